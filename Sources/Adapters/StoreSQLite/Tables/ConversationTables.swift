import SkerryModel
import Store

extension SQLiteReader {
    func conversation(_ id: ConversationID) throws -> ConversationRecord? {
        try self.db.first("SELECT form, title, created_ms, stamp FROM conversation WHERE id = ?1", id) { (row) throws(StoreError) in
            ConversationRecord(id: id, form: try row.get(0), title: try row.get(1), createdMilliseconds: try row.get(2), stamp: try row.get(3))
        }
    }

    func membership(_ conversation: ConversationID, _ user: UserID) throws -> MembershipRecord? {
        try self.db.first(
            "SELECT conv, user, state, role, since, stamp FROM membership WHERE conv = ?1 AND user = ?2", conversation, user, read: Self.membership)
    }

    func memberships(in conversation: ConversationID) throws -> [MembershipRecord] {
        try self.db.all(
            "SELECT conv, user, state, role, since, stamp FROM membership WHERE conv = ?1 ORDER BY user", conversation, read: Self.membership)
    }

    func memberships(of user: UserID) throws -> [MembershipRecord] {
        try self.db.all(
            "SELECT conv, user, state, role, since, stamp FROM membership WHERE user = ?1 AND state = 1 ORDER BY conv", user, read: Self.membership)
    }

    func receipts(in conversation: ConversationID) throws -> [ReceiptRecord] {
        try self.db.all("SELECT conv, user, received, read FROM receipt WHERE conv = ?1 ORDER BY user", conversation, read: Self.receipt)
    }

    func receipt(_ conversation: ConversationID, _ user: UserID) throws -> ReceiptRecord? {
        try self.db.first(
            "SELECT conv, user, received, read FROM receipt WHERE conv = ?1 AND user = ?2", conversation, user, read: Self.receipt)
    }

    private static func membership(_ row: Row) throws(StoreError) -> MembershipRecord {
        MembershipRecord(
            conversation: try row.get(0), user: try row.get(1), state: try row.get(2), role: try row.get(3), since: try row.get(4),
            stamp: try row.get(5))
    }

    private static func receipt(_ row: Row) throws(StoreError) -> ReceiptRecord {
        ReceiptRecord(conversation: try row.get(0), user: try row.get(1), received: try row.get(2), read: try row.get(3))
    }
}

extension SQLiteTransaction {
    func put(_ conversation: ConversationRecord) throws {
        try self.write(
            "INSERT OR REPLACE INTO conversation (id, form, title, created_ms, stamp) VALUES (?1, ?2, ?3, ?4, ?5)", conversation.id,
            conversation.form.rawValue, conversation.title, Milliseconds(conversation.createdMilliseconds), conversation.stamp)
    }

    func put(_ membership: MembershipRecord) throws {
        try self.write(
            "INSERT OR REPLACE INTO membership (conv, user, state, role, since, stamp) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", membership.conversation,
            membership.user, membership.state.rawValue, membership.role.rawValue, membership.since, membership.stamp)
    }

    func put(_ receipt: ReceiptRecord) throws {
        try self.write(
            "INSERT OR REPLACE INTO receipt (conv, user, received, read) VALUES (?1, ?2, ?3, ?4)", receipt.conversation, receipt.user,
            receipt.received, receipt.read)
    }
}
