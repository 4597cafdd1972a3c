import SkerryModel
import Store

extension SQLiteReader {
    func accessRule(_ id: AccessRuleID) throws -> AccessRuleRecord? {
        try self.db.first(
            "SELECT id, user, role, verb, filter, is_allow, created_by, created_ms, is_removed, stamp FROM access_rule WHERE id = ?1", id,
            read: Self.accessRule)
    }

    func accessRules() throws -> [AccessRuleRecord] {
        try self.db.all(
            """
            SELECT id, user, role, verb, filter, is_allow, created_by, created_ms, is_removed, stamp FROM access_rule
            WHERE is_removed = 0 ORDER BY created_ms, id
            """, read: Self.accessRule)
    }

    private static func accessRule(_ row: Row) throws(StoreError) -> AccessRuleRecord {
        let subject: AccessSubject = row.isNull(1) ? .role(try row.get(2)) : .user(try row.get(1))
        return AccessRuleRecord(
            id: try row.get(0), subject: subject, verb: try row.get(3), filter: try row.get(4), effect: try row.get(5), createdBy: try row.get(6),
            createdMilliseconds: try row.get(7), isRemoved: try row.get(8), stamp: try row.get(9))
    }
}

extension SQLiteTransaction {
    func put(_ rule: AccessRuleRecord) throws {
        let (user, role): (UserID?, UInt8?)
        switch rule.subject {
        case .user(let id): (user, role) = (id, nil)
        case .role(let one): (user, role) = (nil, one.rawValue)
        }
        try self.write(
            """
            INSERT OR REPLACE INTO access_rule (id, user, role, verb, filter, is_allow, created_by, created_ms, is_removed, stamp)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
            """, rule.id, user, role, rule.verb.rawValue, rule.filter, rule.effect.rawValue, rule.createdBy, Milliseconds(rule.createdMilliseconds),
            rule.isRemoved, rule.stamp)
    }
}
