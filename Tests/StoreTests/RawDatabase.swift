import CSQLite

/// The file as the `sqlite3` shell sees it, for tests that need to look or meddle behind the store's back.
final class RawDatabase {
    private var handle: OpaquePointer?

    struct Failure: Error { let code: Int32 }

    init(_ path: String) throws {
        let code = sqlite3_open(path, &self.handle)
        guard code == SQLITE_OK else { throw Failure(code: code) }
    }

    deinit { sqlite3_close_v2(self.handle) }

    func execute(_ sql: String) throws {
        let code = sqlite3_exec(self.handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw Failure(code: code) }
    }

    /// The first column of every row, as text.
    func column(_ sql: String) throws -> [String] {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v2(self.handle, sql, -1, &statement, nil)
        guard code == SQLITE_OK else { throw Failure(code: code) }
        defer { sqlite3_finalize(statement) }
        var texts: [String] = []
        while sqlite3_step(statement) == SQLITE_ROW { texts.append(sqlite3_column_text(statement, 0).map { String(cString: $0) } ?? "NULL") }
        return texts
    }

    /// Everything that makes the form of the database, in one text.
    func schema() throws -> String {
        try self.column("SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type DESC, name").joined(
            separator: "\n")
    }
}
