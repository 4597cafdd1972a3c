import SkerryModel
import Store

// MARK: - Users

extension SQLiteReader {
    func user(_ id: UserID) throws -> UserRecord? {
        try self.db.first(
            "SELECT id, name, name_key, display, role, is_locked, password, created_ms, stamp, scram, wanted FROM user WHERE id = ?1", id, read: Self.user)
    }

    /// Should two boxes have given the name away, the user who was there first has it.
    func user(nameKey: String) throws -> UserRecord? {
        try self.db.first(
            """
            SELECT id, name, name_key, display, role, is_locked, password, created_ms, stamp, scram, wanted FROM user WHERE name_key = ?1
            ORDER BY created_ms, id LIMIT 1
            """, nameKey, read: Self.user)
    }

    func users(prefix: String, after: String, limit: Int) throws -> [UserRecord] {
        var users: [UserRecord] = []
        let isAfterPrefix = prefix.utf8.lexicographicallyPrecedes(after.utf8)
        // Text columns compare byte by byte, so the names with a prefix are one run of the index: read from its start until it ends.
        try self.db.each(
            """
            SELECT id, name, name_key, display, role, is_locked, password, created_ms, stamp, scram, wanted FROM user WHERE name_key >= ?1
            ORDER BY name_key, id
            """, isAfterPrefix ? after : prefix
        ) { (row) throws(StoreError) in
            let user = try Self.user(row)
            guard users.count < limit, user.nameKey.utf8.starts(with: prefix.utf8) else { return false }
            if after.utf8.lexicographicallyPrecedes(user.nameKey.utf8) { users.append(user) }
            return true
        }
        return users
    }

    func namesakes(nameKey: String) throws -> [UserRecord] {
        try self.db.all(
            """
            SELECT id, name, name_key, display, role, is_locked, password, created_ms, stamp, scram, wanted FROM user
            WHERE (name_key = ?1 AND wanted_key IS NULL) OR wanted_key = ?1 ORDER BY created_ms, id
            """, nameKey, read: Self.user)
    }

    func userCount() throws -> Int {
        try self.db.first("SELECT count(*) FROM user") { (row) throws(StoreError) in try row.get(0) } ?? 0
    }

    private static func user(_ row: Row) throws(StoreError) -> UserRecord {
        UserRecord(
            id: try row.get(0), name: try row.get(1), nameKey: try row.get(2), display: try row.get(3), role: try row.get(4),
            isLocked: try row.get(5), passwordHash: try row.get(6), scramVerifier: try row.get(9), createdMilliseconds: try row.get(7),
            stamp: try row.get(8), wantedName: try row.get(10))
    }
}

// MARK: - Devices

extension SQLiteReader {
    func device(_ id: DeviceID) throws -> DeviceRecord? {
        try self.db.first(
            "SELECT id, user, token_hash, name, created_ms, expires_ms, is_revoked, stamp FROM device WHERE id = ?1", id, read: Self.device)
    }

    func device(tokenHash: [UInt8]) throws -> DeviceRecord? {
        try self.db.first(
            "SELECT id, user, token_hash, name, created_ms, expires_ms, is_revoked, stamp FROM device WHERE token_hash = ?1 ORDER BY id LIMIT 1",
            tokenHash, read: Self.device)
    }

    func devices(of user: UserID, now milliseconds: UInt64) throws -> [DeviceRecord] {
        try self.db.all(
            """
            SELECT id, user, token_hash, name, created_ms, expires_ms, is_revoked, stamp FROM device
            WHERE user = ?1 AND is_revoked = 0 AND expires_ms > ?2 ORDER BY created_ms, id
            """, user, Milliseconds(milliseconds), read: Self.device)
    }

    private static func device(_ row: Row) throws(StoreError) -> DeviceRecord {
        DeviceRecord(
            id: try row.get(0), user: try row.get(1), tokenHash: try row.get(2), name: try row.get(3), createdMilliseconds: try row.get(4),
            expiresMilliseconds: try row.get(5), isRevoked: try row.get(6), stamp: try row.get(7))
    }
}

// MARK: - Blocks

extension SQLiteReader {
    func isBlocked(_ target: UserID, by owner: UserID) throws -> Bool { try self.block(owner: owner, target: target)?.isOn ?? false }

    func block(owner: UserID, target: UserID) throws -> BlockRecord? {
        try self.db.first("SELECT is_on, stamp FROM block WHERE owner = ?1 AND target = ?2", owner, target) { (row) throws(StoreError) in
            BlockRecord(owner: owner, target: target, isOn: try row.get(0), stamp: try row.get(1))
        }
    }

    func blocks(of owner: UserID) throws -> [UserID] {
        try self.db.all("SELECT target FROM block WHERE owner = ?1 AND is_on = 1 ORDER BY target", owner) { (row) throws(StoreError) in
            try row.get(0)
        }
    }
}

// MARK: - Writing

extension SQLiteTransaction {
    func put(_ user: UserRecord) throws {
        try self.write(
            """
            INSERT OR REPLACE INTO user (id, name, name_key, display, role, is_locked, password, created_ms, stamp, scram, wanted, wanted_key)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
            """, user.id, user.name, user.nameKey, user.display, user.role.rawValue, user.isLocked, user.passwordHash,
            Milliseconds(user.createdMilliseconds), user.stamp, user.scramVerifier, user.wantedName, user.wantedName.map { UserName.key(of: $0) })
    }

    func put(_ device: DeviceRecord) throws {
        try self.write(
            """
            INSERT OR REPLACE INTO device (id, user, token_hash, name, created_ms, expires_ms, is_revoked, stamp)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            """, device.id, device.user, device.tokenHash, device.name, Milliseconds(device.createdMilliseconds),
            Milliseconds(device.expiresMilliseconds), device.isRevoked, device.stamp)
    }

    func put(_ block: BlockRecord) throws {
        try self.write(
            "INSERT OR REPLACE INTO block (owner, target, is_on, stamp) VALUES (?1, ?2, ?3, ?4)", block.owner, block.target, block.isOn, block.stamp)
    }
}
