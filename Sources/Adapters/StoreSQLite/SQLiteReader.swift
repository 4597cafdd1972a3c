import Store

/// What may be read through one connection. The methods are with their tables, in `Tables/`.
class SQLiteReader: StoreReading {
    let db: Connection
    /// What the running transaction has not written into rows yet; empty outside of one.
    var pending = PendingSums()

    init(_ connection: Connection) { self.db = connection }
}

/// Rows that every message would change, changed once a transaction instead.
struct PendingSums {
    /// The new heads of epochs, by their local number.
    var heads: [Int32: UInt64] = [:]
    /// What to add to the sums in `total`.
    var messages = 0
    var retained = 0
    var retainedBytes = 0
    /// References to let go of, by message.
    var releases: [Int64: Int] = [:]
}

/// One transaction: what may be read, and what may be written.
///
/// The first failure decides: should somebody swallow it, `finish` throws it again, so that half of a change is never committed.
final class SQLiteTransaction: SQLiteReader, StoreTransaction {
    private var failure: StoreError?
    private(set) var hasChanges = false

    /// Writes the pending sums. To be called once, before the commit.
    func finish() throws(StoreError) {
        if let failure = self.failure { throw failure }
        for (epoch, head) in self.pending.heads {
            try self.db.run("UPDATE epoch SET head = ?2 WHERE number = ?1", epoch, Int64(bitPattern: head))
        }
        try self.flushReleases()
        try self.add(self.pending.messages, to: "messages")
        try self.add(self.pending.retained, to: "retained")
        try self.add(self.pending.retainedBytes, to: "retained_bytes")
        self.pending = PendingSums()
    }

    /// Runs a statement that changes rows.
    func write<each Value: SQLValue>(_ sql: StaticString, _ values: repeat each Value) throws(StoreError) {
        do {
            try self.db.run(sql, repeat each values)
            if self.db.changes > 0 { self.hasChanges = true }
        } catch {
            throw self.fail(error)
        }
    }

    /// Remembers the first failure of the transaction.
    func fail(_ error: StoreError) -> StoreError {
        self.failure = self.failure ?? error
        return error
    }

    private func add(_ count: Int, to name: String) throws(StoreError) {
        if count != 0 { try self.db.run("UPDATE total SET value = value + ?2 WHERE name = ?1", name, count) }
    }
}

extension SQLiteReader {
    func total(_ name: String) throws(StoreError) -> Int {
        try self.db.first("SELECT value FROM total WHERE name = ?1", name) { (row) throws(StoreError) in try row.get(0) } ?? 0
    }
}
