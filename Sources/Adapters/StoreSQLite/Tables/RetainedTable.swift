import NIOCore
import SkerryModel
import Store

extension SQLiteReader {
    func retained(topic: String) throws -> RetainedRecord? {
        try self.db.first("SELECT topic, body, expires_ms, stamp FROM retained WHERE topic = ?1", topic, read: Self.retained)
    }

    func retained(prefix: String, after topic: String, limit: Int, bytes: Int) throws -> [RetainedRecord] {
        guard limit > 0 else { return [] }
        var records: [RetainedRecord] = []
        var bytesLeft = bytes
        let isAfterPrefix = prefix.utf8.lexicographicallyPrecedes(topic.utf8)
        // The topics with a prefix are one run of the table: read from its start until it ends.
        try self.db.each(
            "SELECT topic, body, expires_ms, stamp FROM retained WHERE topic >= ?1 ORDER BY topic", isAfterPrefix ? topic : prefix
        ) { (row) throws(StoreError) in
            let isInside = row.withBytes(0) { $0.starts(with: prefix.utf8) }
            guard isInside, records.count < limit else { return false }
            guard row.withBytes(0, { topic.utf8.lexicographicallyPrecedes($0) }) else { return true }
            bytesLeft -= row.withBytes(1) { $0.count }
            guard records.isEmpty || bytesLeft >= 0 else { return false }
            records.append(try Self.retained(row))
            return true
        }
        return records
    }

    func retainedStamp(topic: String) throws -> Order? {
        let row: Order?? = try self.db.first("SELECT stamp FROM retained WHERE topic = ?1", topic) { (row) throws(StoreError) in try row.get(0) }
        if let row { return row }
        return try self.db.first("SELECT stamp FROM retained_cleared WHERE topic = ?1", topic) { (row) throws(StoreError) in try row.get(0) }
    }

    func retainedTotals() throws -> RetainedTotals {
        RetainedTotals(
            count: try self.total("retained") + self.pending.retained, bytes: try self.total("retained_bytes") + self.pending.retainedBytes)
    }

    private static func retained(_ row: Row) throws(StoreError) -> RetainedRecord {
        RetainedRecord(topic: try row.get(0), body: try row.get(1), expiresMilliseconds: try row.get(2), stamp: try row.get(3))
    }
}

extension SQLiteTransaction {
    func putRetained(_ record: RetainedRecord) throws {
        try self.forget(record.topic)
        try self.write(
            "INSERT OR REPLACE INTO retained (topic, body, expires_ms, stamp) VALUES (?1, ?2, ?3, ?4)", record.topic, record.body,
            Milliseconds(record.expiresMilliseconds), record.stamp)
        try self.write("DELETE FROM retained_cleared WHERE topic = ?1", record.topic)
        self.pending.retained += 1
        self.pending.retainedBytes += record.topic.utf8.count + record.body.readableBytes
    }

    func removeRetained(topic: String) throws {
        try self.forget(topic)
        try self.write("DELETE FROM retained WHERE topic = ?1", topic)
        try self.write("DELETE FROM retained_cleared WHERE topic = ?1", topic)
    }

    func clearRetained(topic: String, stamp: Order) throws {
        try self.removeRetained(topic: topic)
        try self.write("INSERT INTO retained_cleared (topic, stamp) VALUES (?1, ?2)", topic, stamp)
    }

    func forgetClearedRetained(before milliseconds: UInt64, limit: Int) throws -> Int {
        // A stamp begins with its milliseconds and 16 bits of counter, the highest byte first.
        var bound: [UInt8] = []
        bound.appendBigEndian(HLC(milliseconds: min(milliseconds, (1 << 48) - 1), counter: .max).rawValue)
        bound.append(contentsOf: [UInt8](repeating: .max, count: Order.byteCount - bound.count))
        let topics: [String] = try self.db.all(
            "SELECT topic FROM retained_cleared WHERE stamp <= ?1 ORDER BY topic LIMIT ?2", bound, max(0, limit)
        ) { (row) throws(StoreError) in try row.get(0) }
        for topic in topics { try self.write("DELETE FROM retained_cleared WHERE topic = ?1", topic) }
        return topics.count
    }

    func removeRetained(expiredAt now: UInt64, limit: Int) throws -> Int {
        let expired: [(topic: String, stamp: Order?)] = try self.db.all(
            "SELECT topic, stamp FROM retained WHERE expires_ms > 0 AND expires_ms <= ?1 ORDER BY expires_ms, topic LIMIT ?2", Milliseconds(now),
            max(0, limit)
        ) { (row) throws(StoreError) in (try row.get(0), try row.get(1)) }
        for (topic, stamp) in expired {
            if let stamp { try self.clearRetained(topic: topic, stamp: stamp) } else { try self.removeRetained(topic: topic) }
        }
        return expired.count
    }

    /// Takes a topic's row, if there is one, out of the totals.
    private func forget(_ topic: String) throws(StoreError) {
        let bytes: Int? = try self.db.first("SELECT length(body) FROM retained WHERE topic = ?1", topic) { (row) throws(StoreError) in try row.get(0) }
        guard let bytes else { return }
        self.pending.retained -= 1
        self.pending.retainedBytes -= topic.utf8.count + bytes
    }
}
