import Store

/// The writing side, on its own thread.
///
/// `@unchecked Sendable`: made before the writer's thread starts, used on it alone, closed after it ended.
final class SQLiteWriter: StoreWriter, @unchecked Sendable {
    private var connection: Connection?

    init(_ connection: Connection) { self.connection = connection }

    func write(_ body: (any StoreTransaction) throws -> Void) throws {
        guard let connection = self.connection else { throw StoreError.closed }
        if !connection.isOutsideTransaction { try connection.run("ROLLBACK") }
        try connection.run("BEGIN IMMEDIATE")
        do {
            // One object a transaction: what it remembers (heads, sums) goes with it, committed or not.
            let transaction = SQLiteTransaction(connection)
            try body(transaction)
            try transaction.finish()
            try connection.run("COMMIT")
        } catch {
            // After a full disk or an I/O error SQLite may have rolled back by itself.
            if !connection.isOutsideTransaction { try? connection.run("ROLLBACK") }
            throw error
        }
    }

    func close() { self.connection = nil }
}
