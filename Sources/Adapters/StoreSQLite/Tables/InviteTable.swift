import SkerryModel
import Store

extension SQLiteReader {
    func invite(_ id: InviteID) throws -> InviteRecord? {
        try self.db.first(
            """
            SELECT id, token_hash, purpose, role, target, uses, used, created_by, created_ms, expires_ms, is_revoked, stamp FROM invite
            WHERE id = ?1
            """, id, read: Self.invite)
    }

    func invite(tokenHash: [UInt8]) throws -> InviteRecord? {
        try self.db.first(
            """
            SELECT id, token_hash, purpose, role, target, uses, used, created_by, created_ms, expires_ms, is_revoked, stamp FROM invite
            WHERE token_hash = ?1 ORDER BY id LIMIT 1
            """, tokenHash, read: Self.invite)
    }

    func openInvites(now milliseconds: UInt64) throws -> [InviteRecord] {
        try self.db.all(
            """
            SELECT id, token_hash, purpose, role, target, uses, used, created_by, created_ms, expires_ms, is_revoked, stamp FROM invite
            WHERE expires_ms > ?1 AND is_revoked = 0 AND used < uses ORDER BY created_ms DESC, id DESC
            """, Milliseconds(milliseconds), read: Self.invite)
    }

    private static func invite(_ row: Row) throws(StoreError) -> InviteRecord {
        InviteRecord(
            id: try row.get(0), tokenHash: try row.get(1), purpose: try Self.purpose(row), uses: try row.get(5), used: try row.get(6),
            createdBy: try row.get(7), createdMilliseconds: try row.get(8), expiresMilliseconds: try row.get(9), isRevoked: try row.get(10),
            stamp: try row.get(11))
    }

    private static func purpose(_ row: Row) throws(StoreError) -> InviteRecord.Purpose {
        switch try row.get(2) as Int {
        case 0: return .claim
        case 1: return .join(try row.get(3))
        case 2: return .reset(try row.get(4))
        default: throw StoreError(.corrupt, "An invite has a purpose that this version does not know; run `skerry check`.")
        }
    }
}

extension SQLiteTransaction {
    func put(_ invite: InviteRecord) throws {
        let (purpose, role, target): (Int, UInt8?, UserID?)
        switch invite.purpose {
        case .claim: (purpose, role, target) = (0, nil, nil)
        case .join(let granted): (purpose, role, target) = (1, granted.rawValue, nil)
        case .reset(let user): (purpose, role, target) = (2, nil, user)
        }
        try self.write(
            """
            INSERT OR REPLACE INTO invite
              (id, token_hash, purpose, role, target, uses, used, created_by, created_ms, expires_ms, is_revoked, stamp)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
            """, invite.id, invite.tokenHash, purpose, role, target, invite.uses, invite.used, invite.createdBy,
            Milliseconds(invite.createdMilliseconds), Milliseconds(invite.expiresMilliseconds), invite.isRevoked, invite.stamp)
    }
}
