import SkerryModel
import Store

extension SQLiteReader {
    func edit(of target: MessageID, by user: UserID) throws -> EditRecord? {
        try self.db.first("SELECT text, stamp FROM edit WHERE mid = ?1 AND by_user = ?2", target, user) { (row) throws(StoreError) in
            EditRecord(target: target, by: user, text: try row.get(0), stamp: try row.get(1))
        }
    }

    func recall(of target: MessageID) throws -> RecallRecord? {
        try self.db.first("SELECT by_user, stamp FROM message_recall WHERE mid = ?1", target) { (row) throws(StoreError) in
            RecallRecord(target: target, by: try row.get(0), stamp: try row.get(1))
        }
    }

    func reactions(to target: MessageID) throws -> [ReactionRecord] {
        try self.db.all("SELECT user, emoji, is_on, stamp FROM reaction WHERE mid = ?1 ORDER BY stamp, user, emoji", target) { (row) throws(StoreError) in
            ReactionRecord(target: target, user: try row.get(0), emoji: try row.get(1), isOn: try row.get(2), stamp: try row.get(3))
        }
    }
}

extension SQLiteTransaction {
    func put(_ edit: EditRecord) throws {
        try self.write(
            "INSERT OR REPLACE INTO edit (mid, by_user, text, stamp) VALUES (?1, ?2, ?3, ?4)", edit.target, edit.by, edit.text, edit.stamp)
    }

    func removeChanges(of target: MessageID) throws {
        try self.write("DELETE FROM edit WHERE mid = ?1", target)
        try self.write("DELETE FROM message_recall WHERE mid = ?1", target)
        try self.write("DELETE FROM reaction WHERE mid = ?1", target)
    }

    func put(_ recall: RecallRecord) throws {
        try self.write("INSERT OR REPLACE INTO message_recall (mid, by_user, stamp) VALUES (?1, ?2, ?3)", recall.target, recall.by, recall.stamp)
    }

    func put(_ reaction: ReactionRecord) throws {
        try self.write(
            "INSERT OR REPLACE INTO reaction (mid, user, emoji, is_on, stamp) VALUES (?1, ?2, ?3, ?4, ?5)", reaction.target, reaction.user,
            reaction.emoji, reaction.isOn, reaction.stamp)
    }
}
