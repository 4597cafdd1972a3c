import SkerryModel
import Store

extension SQLiteReader {
    func message(_ id: MessageID) throws -> MessageRow? {
        try self.db.first("SELECT conv, ord, mid, sender, pos, changed FROM message WHERE mid = ?1", id, read: Self.message)
    }

    func history(_ conversation: ConversationID, since: Order?, range: HistoryRange, limit: Int) throws -> [MessageRow] {
        let limit = max(0, limit)
        // An empty blob sorts before every order.
        let floor = since?.bytes ?? []
        switch range {
        case .newest:
            return try self.db.all(
                "SELECT conv, ord, mid, sender, pos, changed FROM message WHERE conv = ?1 AND ord > ?2 ORDER BY ord DESC LIMIT ?3", conversation,
                floor, limit, read: Self.message
            ).reversed()
        case .before(let order):
            return try self.db.all(
                """
                SELECT conv, ord, mid, sender, pos, changed FROM message WHERE conv = ?1 AND ord > ?2 AND ord < ?3
                ORDER BY ord DESC LIMIT ?4
                """, conversation, floor, order, limit, read: Self.message
            ).reversed()
        case .after(let order):
            let start = since.map { max($0, order) } ?? order
            return try self.db.all(
                "SELECT conv, ord, mid, sender, pos, changed FROM message WHERE conv = ?1 AND ord > ?2 ORDER BY ord LIMIT ?3", conversation, start,
                limit, read: Self.message)
        }
    }

    func newestOrder(_ conversation: ConversationID) throws -> Order? {
        try self.db.first("SELECT ord FROM message WHERE conv = ?1 ORDER BY ord DESC LIMIT 1", conversation) { (row) throws(StoreError) in
            try row.get(0)
        }
    }

    func unreadCount(_ conversation: ConversationID, for user: UserID, after order: Order?, limit: Int) throws -> Int {
        try self.db.first(
            "SELECT count(*) FROM (SELECT 1 FROM message WHERE conv = ?1 AND ord > ?2 AND sender <> ?3 LIMIT ?4)", conversation,
            order?.bytes ?? [], user, max(0, limit)
        ) { (row) throws(StoreError) in try row.get(0) } ?? 0
    }

    func messageCount() throws -> Int { try self.total("messages") + self.pending.messages }

    private static func message(_ row: Row) throws(StoreError) -> MessageRow {
        MessageRow(
            id: try row.get(2), conversation: try row.get(0), order: try row.get(1), sender: try row.get(3),
            position: LocalPosition(packed: try row.get(4)), isChanged: try row.get(5))
    }
}

extension SQLiteTransaction {
    func insert(_ message: MessageRow) throws {
        try self.write(
            "INSERT INTO message (conv, ord, mid, sender, pos, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", message.conversation, message.order,
            message.id, message.sender, message.position.packed, message.isChanged)
        self.pending.messages += 1
    }

    func remove(_ message: MessageRow) throws {
        try self.write("DELETE FROM message WHERE conv = ?1 AND ord = ?2", message.conversation, message.order)
        self.pending.messages -= self.db.changes
    }

    func markChanged(_ id: MessageID) throws {
        try self.write("UPDATE message SET changed = 1 WHERE mid = ?1 AND changed = 0", id)
    }
}
