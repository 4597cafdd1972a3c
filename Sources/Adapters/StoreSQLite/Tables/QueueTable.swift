import NIOCore
import SkerryModel
import Store

/// The key of broker_queue: 27 bits of session over 36 bits of sequence, so that a session's rows are one run of the table.
enum QueueKey {
    static let seqBits = 36
    static let seqMax: UInt64 = (1 << 36) - 1

    static func isSession(_ session: Int32) -> Bool { session > 0 && session < 1 << 27 }
    /// Sequences beyond the last are brought to it, so that a range stays inside its session.
    static func of(_ session: Int32, _ seq: UInt64) -> Int64 { (Int64(session) << Self.seqBits) | Int64(min(seq, Self.seqMax)) }
    static func last(of session: Int32) -> Int64 { Self.of(session, Self.seqMax) }
    static func seq(_ key: Int64) -> UInt64 { UInt64(key) & Self.seqMax }
    static func session(_ key: Int64) -> Int32 { Int32(truncatingIfNeeded: key >> Self.seqBits) }
}

extension SQLiteReader {
    func queueBounds(of session: Int32) throws -> QueueBounds? {
        guard QueueKey.isSession(session) else { return nil }
        let (low, high) = (QueueKey.of(session, 0), QueueKey.last(of: session))
        let first: (UInt64, Int64)? = try self.db.first(
            "SELECT key, byte_sum FROM broker_queue WHERE key >= ?1 AND key <= ?2 ORDER BY key LIMIT 1", low, high
        ) { (row) throws(StoreError) in (QueueKey.seq(try row.get(0)), try row.get(1)) }
        let last: (UInt64, Int64)? = try self.db.first(
            "SELECT key, byte_sum FROM broker_queue WHERE key >= ?1 AND key <= ?2 ORDER BY key DESC LIMIT 1", low, high
        ) { (row) throws(StoreError) in (QueueKey.seq(try row.get(0)), try row.get(1)) }
        guard let first, let last else { return nil }
        return QueueBounds(first: first.0, last: last.0, firstByteSum: first.1, lastByteSum: last.1)
    }

    func queueEntries(of session: Int32, after seq: UInt64, limit: Int, bytes: Int) throws -> [QueueEntry] {
        guard QueueKey.isSession(session), seq < QueueKey.seqMax, limit > 0 else { return [] }
        var entries: [QueueEntry] = []
        var bytesLeft = bytes
        try self.db.each(
            """
            SELECT q.key, q.flags, q.extra, q.byte_sum, coalesce(q.body, m.body)
            FROM broker_queue q LEFT JOIN broker_message m ON m.id = q.message
            WHERE q.key > ?1 AND q.key <= ?2 ORDER BY q.key LIMIT ?3
            """, QueueKey.of(session, seq), QueueKey.last(of: session), limit
        ) { (row) throws(StoreError) in
            let body: ByteBuffer? = try row.get(4)
            bytesLeft -= body?.readableBytes ?? 0
            guard entries.isEmpty || bytesLeft >= 0 else { return false }
            entries.append(
                QueueEntry(
                    session: session, seq: QueueKey.seq(try row.get(0)), flags: try row.get(1), extra: try row.get(2), byteSum: try row.get(3),
                    body: body.map { .inline($0) } ?? .none))
            return true
        }
        return entries
    }

    func orphanedQueues(after number: Int32, limit: Int) throws -> [Int32] {
        var orphans: [Int32] = []
        var key = QueueKey.last(of: number)
        while orphans.count < limit {
            let next: Int64? = try self.db.first("SELECT key FROM broker_queue WHERE key > ?1 ORDER BY key LIMIT 1", key) { (row) throws(StoreError) in
                try row.get(0)
            }
            guard let next else { break }
            let session = QueueKey.session(next)
            let isKnown = try self.db.first("SELECT 1 FROM broker_session WHERE number = ?1", session) { _ in true } ?? false
            if !isKnown { orphans.append(session) }
            key = QueueKey.last(of: session)
        }
        return orphans
    }
}

extension SQLiteTransaction {
    func appendQueue(_ entry: QueueEntry) throws {
        guard QueueKey.isSession(entry.session), entry.seq <= QueueKey.seqMax else {
            throw self.fail(StoreError(.constraint, "A queue row's session or sequence is out of range."))
        }
        let (message, body): (Int64?, ByteBuffer?)
        switch entry.body {
        case .inline(let bytes): (message, body) = (nil, bytes)
        case .shared(let id): (message, body) = (id, nil)
        case .none: (message, body) = (nil, nil)
        }
        try self.write(
            "INSERT INTO broker_queue (key, flags, extra, byte_sum, message, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            QueueKey.of(entry.session, entry.seq), entry.flags, entry.extra.isEmpty ? nil : entry.extra, entry.byteSum, message, body)
    }

    func releaseQueue(session: Int32, seq: UInt64, flags: UInt8) throws {
        guard QueueKey.isSession(session), seq <= QueueKey.seqMax else { return }
        let key = QueueKey.of(session, seq)
        try self.release(self.message(of: key))
        try self.write("UPDATE broker_queue SET flags = ?2, message = NULL, body = NULL WHERE key = ?1", key, flags)
    }

    func removeQueue(session: Int32, seqs: [UInt64]) throws {
        guard QueueKey.isSession(session) else { return }
        for seq in seqs where seq <= QueueKey.seqMax {
            let key = QueueKey.of(session, seq)
            try self.release(self.message(of: key))
            try self.write("DELETE FROM broker_queue WHERE key = ?1", key)
        }
    }

    func trimQueue(session: Int32, through seq: UInt64, limit: Int) throws -> Int {
        guard QueueKey.isSession(session), limit > 0 else { return 0 }
        var count = 0
        var last: Int64?
        try self.db.each(
            "SELECT key, message FROM broker_queue WHERE key >= ?1 AND key <= ?2 ORDER BY key LIMIT ?3", QueueKey.of(session, 0),
            QueueKey.of(session, seq), limit
        ) { (row) throws(StoreError) in
            count += 1
            last = try row.get(0)
            self.release(try row.get(1))
            return true
        }
        if let last { try self.write("DELETE FROM broker_queue WHERE key >= ?1 AND key <= ?2", QueueKey.of(session, 0), last) }
        return count
    }

    /// The shared message a row names; nil when it names none or is not there.
    private func message(of key: Int64) throws(StoreError) -> Int64? {
        let message: Int64?? = try self.db.first("SELECT message FROM broker_queue WHERE key = ?1", key) { (row) throws(StoreError) in try row.get(0) }
        return message ?? nil
    }
}

// MARK: - Messages that queues share

extension SQLiteReader {
    func greatestMessageID() throws -> Int64 {
        // A message whose last reference this transaction let go of has its row until `finish`, but is gone.
        var id = Int64.max
        while true {
            let row: (id: Int64, references: Int)? = try self.db.first(
                "SELECT id, refs FROM broker_message WHERE id <= ?1 ORDER BY id DESC LIMIT 1", id
            ) { (row) throws(StoreError) in (try row.get(0), try row.get(1)) }
            guard let row else { return 0 }
            if row.references > self.pending.releases[row.id] ?? 0 { return row.id }
            guard row.id > .min else { return 0 }
            id = row.id - 1
        }
    }
}

extension SQLiteTransaction {
    func putMessage(_ id: Int64, body: ByteBuffer, references: Int) throws {
        guard references > 0 else { return }
        try self.write("INSERT INTO broker_message (id, refs, body) VALUES (?1, ?2, ?3)", id, references, body)
    }

    /// Counts a reference down, in rows once a transaction and message.
    private func release(_ message: Int64?) {
        if let message { self.pending.releases[message, default: 0] += 1 }
    }

    func flushReleases() throws(StoreError) {
        for (id, count) in self.pending.releases {
            try self.write("DELETE FROM broker_message WHERE id = ?1 AND refs <= ?2", id, count)
            if self.db.changes == 0 { try self.write("UPDATE broker_message SET refs = refs - ?2 WHERE id = ?1", id, count) }
        }
        self.pending.releases.removeAll()
    }
}
