package import SkerryModel

package protocol AccountReading {
    func user(_ id: UserID) throws -> UserRecord?
    func user(nameKey: String) throws -> UserRecord?
    /// Users whose name key starts with `prefix`, by rising key, after the key `after`, at most `limit`.
    func users(prefix: String, after: String, limit: Int) throws -> [UserRecord]
    /// Everybody whose entry gives them the name of this key, whoever of them has it (`UserRecord.wantedName`), by rising (created, id).
    func namesakes(nameKey: String) throws -> [UserRecord]
    func userCount() throws -> Int
    func device(_ id: DeviceID) throws -> DeviceRecord?
    func device(tokenHash: [UInt8]) throws -> DeviceRecord?
    /// Devices of a user that are neither revoked nor expired at `now`, oldest first.
    func devices(of user: UserID, now milliseconds: UInt64) throws -> [DeviceRecord]
    func invite(_ id: InviteID) throws -> InviteRecord?
    func invite(tokenHash: [UInt8]) throws -> InviteRecord?
    /// Invites that can still be used at `now`, newest first.
    func openInvites(now milliseconds: UInt64) throws -> [InviteRecord]
    func isBlocked(_ target: UserID, by owner: UserID) throws -> Bool
    func block(owner: UserID, target: UserID) throws -> BlockRecord?
    func blocks(of owner: UserID) throws -> [UserID]
    /// A rule, whether it holds or was taken back.
    func accessRule(_ id: AccessRuleID) throws -> AccessRuleRecord?
    /// The rules that hold, oldest first.
    func accessRules() throws -> [AccessRuleRecord]
}

/// Rows replace the one with the same id. Comparing stamps is the caller's business.
package protocol AccountWriting {
    func put(_ user: UserRecord) throws
    func put(_ device: DeviceRecord) throws
    func put(_ invite: InviteRecord) throws
    func put(_ block: BlockRecord) throws
    func put(_ rule: AccessRuleRecord) throws
}
