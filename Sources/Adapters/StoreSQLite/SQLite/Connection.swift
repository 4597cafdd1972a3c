import CSQLite
import Store

/// One connection to the database, with its prepared statements.
///
/// Opened without SQLite's own locks: one thread at a time uses it, which its owner (`SQLiteWriter`, `ReaderPool`) guarantees.
final class Connection {
    enum Access {
        case readWrite
        case readOnly
    }

    private let handle: OpaquePointer
    /// Prepared statements by the address of their literal: a `StaticString` has one for the life of the process.
    private var statements: [UnsafeRawPointer: Statement] = [:]

    /// - Parameter vfs: the name of a registered SQLite file system, for tests; nil = the system's.
    init(path: String, access: Access, vfs: String? = nil) throws(StoreError) {
        Self.configureOnce
        var opened: OpaquePointer?
        let mode = access == .readWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY
        let code = sqlite3_open_v2(path, &opened, mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs)
        guard code == SQLITE_OK, let opened else {
            sqlite3_close_v2(opened)
            throw StoreError.sqlite(code, "The database could not be opened")
        }
        self.handle = opened
        sqlite3_busy_timeout(opened, Self.busyMilliseconds)
        // The file is data, not program: nothing in its schema may call functions with effects, and nobody may edit it as a table.
        _ = skerry_db_config_int(opened, SQLITE_DBCONFIG_DEFENSIVE, 1)
        _ = skerry_db_config_int(opened, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        _ = skerry_db_config_int(opened, SQLITE_DBCONFIG_DQS_DML, 0)
        _ = skerry_db_config_int(opened, SQLITE_DBCONFIG_DQS_DDL, 0)
    }

    deinit {
        self.statements.removeAll()
        sqlite3_close_v2(self.handle)
    }

    /// How long a lock of another program (a backup, the `sqlite3` shell) is waited for.
    private static let busyMilliseconds: Int32 = 10_000

    /// SQLite's memory statistics take a process-wide lock at every allocation and nobody reads them.
    private static let configureOnce: Void = { _ = skerry_config_int(SQLITE_CONFIG_MEMSTATUS, 0) }()

    /// Whether no transaction is open: SQLite ends one by itself after some failures.
    var isOutsideTransaction: Bool { sqlite3_get_autocommit(self.handle) != 0 }

    /// Rows changed by the last statement.
    var changes: Int { Int(sqlite3_changes64(self.handle)) }

    // MARK: - Statements

    /// Runs a statement that gives no rows, prepared once and kept.
    func run<each Value: SQLValue>(_ sql: StaticString, _ values: repeat each Value) throws(StoreError) {
        let statement = try self.statement(sql)
        defer { statement.reset() }
        try self.bind(statement, repeat each values)
        while try self.step(statement) {}
    }

    /// The first row, read by `read`; nil when there is none.
    func first<Result, each Value: SQLValue>(
        _ sql: StaticString, _ values: repeat each Value, read: (Row) throws(StoreError) -> Result
    ) throws(StoreError) -> Result? {
        let statement = try self.statement(sql)
        defer { statement.reset() }
        try self.bind(statement, repeat each values)
        guard try self.step(statement) else { return nil }
        return try read(Row(statement: statement.handle))
    }

    /// Every row, read by `read`. The same statement must not be used inside `read`.
    func all<Result, each Value: SQLValue>(
        _ sql: StaticString, _ values: repeat each Value, read: (Row) throws(StoreError) -> Result
    ) throws(StoreError) -> [Result] {
        var results: [Result] = []
        try self.each(sql, repeat each values) { (row) throws(StoreError) in
            results.append(try read(row))
            return true
        }
        return results
    }

    /// Rows in turn until `read` returns false.
    func each<each Value: SQLValue>(
        _ sql: StaticString, _ values: repeat each Value, read: (Row) throws(StoreError) -> Bool
    ) throws(StoreError) {
        let statement = try self.statement(sql)
        defer { statement.reset() }
        try self.bind(statement, repeat each values)
        while try self.step(statement) {
            guard try read(Row(statement: statement.handle)) else { return }
        }
    }

    /// Runs statements that are made at run time, one after the other, without keeping them. Never holds anything from outside.
    func execute(_ sql: String) throws(StoreError) {
        let code = sqlite3_exec(self.handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw self.failure(code) }
    }

    /// The first column of the first row of a statement made at run time.
    func integer(_ sql: String) throws(StoreError) -> Int64? {
        let statement = try Statement(sql, on: self.handle)
        guard try self.step(statement) else { return nil }
        return sqlite3_column_int64(statement.handle, 0)
    }

    /// The first column of every row of a statement made at run time.
    func texts(_ sql: String) throws(StoreError) -> [String] {
        let statement = try Statement(sql, on: self.handle)
        var texts: [String] = []
        while try self.step(statement) { texts.append(try Row(statement: statement.handle).get(0)) }
        return texts
    }

    // MARK: - Plumbing

    private func statement(_ sql: StaticString) throws(StoreError) -> Statement {
        let key = UnsafeRawPointer(sql.utf8Start)
        if let statement = self.statements[key] { return statement }
        let statement = try Statement(sql.description, on: self.handle)
        self.statements[key] = statement
        return statement
    }

    private func bind<each Value: SQLValue>(_ statement: Statement, _ values: repeat each Value) throws(StoreError) {
        var index: Int32 = 0
        for value in repeat each values {
            index += 1
            let code = value.bind(to: statement.handle, at: index)
            guard code == SQLITE_OK else { throw self.failure(code) }
        }
        assert(index == sqlite3_bind_parameter_count(statement.handle), "a statement got another number of values than it has parameters")
    }

    /// Whether there is a row.
    private func step(_ statement: Statement) throws(StoreError) -> Bool {
        let code = sqlite3_step(statement.handle)
        switch code {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw self.failure(code)
        }
    }

    private func failure(_ code: Int32) -> StoreError {
        // For a broken constraint SQLite's message names table and column, which helps, and no value.
        let isConstraint = code & 0xFF == SQLITE_CONSTRAINT
        return StoreError.sqlite(
            code, "The database refused", names: isConstraint ? sqlite3_errmsg(self.handle).map { String(cString: $0) } : nil)
    }
}

/// A prepared statement; finalized with its last reference.
final class Statement {
    let handle: OpaquePointer

    init(_ sql: String, on connection: OpaquePointer) throws(StoreError) {
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v3(connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard code == SQLITE_OK, let prepared else {
            let sentence = sqlite3_errmsg(connection).map { String(cString: $0) }
            throw StoreError.sqlite(code, "A statement could not be prepared", names: sentence)
        }
        self.handle = prepared
    }

    deinit { sqlite3_finalize(self.handle) }

    /// Lets go of the row, its locks and the bound values: a kept statement must not keep somebody's message in memory.
    func reset() {
        sqlite3_reset(self.handle)
        sqlite3_clear_bindings(self.handle)
    }
}
