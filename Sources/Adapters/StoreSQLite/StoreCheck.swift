package import Store

/// What `skerry check` asks of the database.
package enum StoreCheck {
    /// What is wrong with the database of `directory`, in sentences for a person; empty when nothing is.
    ///
    /// Reads only, and beside a running box. Takes long for a large database: it reads all of it.
    ///
    /// - Throws: when the database cannot be opened at all.
    package static func problems(directory: String) throws(StoreError) -> [String] {
        let path = DataDirectory.databasePath(in: directory)
        guard DataDirectory.exists(path) else {
            throw StoreError(.failed, "There is no \(DataDirectory.databaseName) in this directory. Give the data directory of a box.")
        }
        let connection = try Connection(path: path, access: .readWrite)
        try connection.execute("PRAGMA query_only = ON")
        let latest = Migration.all.last?.number ?? 0
        let version = try Migrator.version(of: connection, latest: latest)
        try connection.execute("BEGIN DEFERRED")
        defer { try? connection.execute("ROLLBACK") }
        var problems = try connection.texts("PRAGMA quick_check(20)").filter { $0 != "ok" }.map { "The file is damaged: \($0)" }
        guard version == latest else {
            return problems + ["The database has form \(version) of \(latest); starting Skerry once brings it up to date."]
        }
        for rule in Self.rules {
            let count = try connection.integer(rule.count) ?? 0
            if count > 0 { problems.append("\(count) × \(rule.sentence)") }
        }
        return problems
    }

    private struct Rule {
        let sentence: String
        /// A statement that counts what breaks the rule.
        let count: String
    }

    private static let rules: [Rule] = [
        Rule(
            sentence: "an epoch of the log has a gap, or its head is not its last entry.",
            count: """
                SELECT count(*) FROM epoch e WHERE e.head - e.low <> (SELECT count(*) FROM entry WHERE pos > e.number << 40 AND pos < (e.number + 1) << 40)
                + (SELECT count(*) FROM dropped WHERE pos > e.number << 40 AND pos < (e.number + 1) << 40)
                OR e.head <> max(e.low, (SELECT coalesce(max(pos) - (e.number << 40), 0) FROM entry WHERE pos > e.number << 40 AND pos < (e.number + 1) << 40),
                (SELECT coalesce(max(pos) - (e.number << 40), 0) FROM dropped WHERE pos > e.number << 40 AND pos < (e.number + 1) << 40))
                """),
        Rule(
            sentence: "an entry of the log belongs to no epoch.",
            count: "SELECT count(*) FROM entry WHERE NOT EXISTS (SELECT 1 FROM epoch WHERE number = pos >> 40)"),
        Rule(
            sentence: "a signed batch covers entries that are not there.",
            count:
                "SELECT count(*) FROM batch b WHERE NOT EXISTS (SELECT 1 FROM epoch WHERE number = b.pos >> 40 AND head >= (b.pos & 0xFFFFFFFFFF) + b.count - 1)"
        ),
        Rule(
            sentence: "a retained message is there and cleared at the same time.",
            count: "SELECT count(*) FROM retained WHERE topic IN (SELECT topic FROM retained_cleared)"),
        Rule(
            sentence: "a message has no entry in the log.",
            count: "SELECT count(*) FROM message m WHERE NOT EXISTS (SELECT 1 FROM entry WHERE pos = m.pos)"),
        Rule(
            sentence: "a place in somebody's sync has no entry in the log.",
            count: "SELECT count(*) FROM sync_item s WHERE NOT EXISTS (SELECT 1 FROM entry WHERE pos = s.pos)"),
        Rule(
            sentence: "the count of messages is wrong.",
            count: "SELECT (SELECT value FROM total WHERE name = 'messages') <> (SELECT count(*) FROM message)"),
        Rule(
            sentence: "the totals of retained messages are wrong.",
            count: """
                SELECT (SELECT value FROM total WHERE name = 'retained') <> (SELECT count(*) FROM retained)
                OR (SELECT value FROM total WHERE name = 'retained_bytes')
                <> (SELECT coalesce(sum(length(CAST(topic AS BLOB)) + length(body)), 0) FROM retained)
                """),
        Rule(
            sentence: "a queued MQTT message's body is missing.",
            count: """
                SELECT count(*) FROM broker_queue q WHERE q.message IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM broker_message WHERE id = q.message)
                """),
        Rule(
            sentence: "a shared MQTT message is counted wrong.",
            count: """
                SELECT count(*) FROM broker_message m
                WHERE m.refs <> (SELECT count(*) FROM broker_queue q WHERE q.message = m.id)
                """),
        Rule(
            sentence: "two MQTT sessions have the same client identifier.",
            count: "SELECT count(*) - count(DISTINCT client) FROM broker_session"),
    ]
}
