import CSQLite
import Store

extension StoreError {
    /// What a result code of SQLite means to Skerry.
    ///
    /// The detail names the doing and SQLite's own sentence, never an argument of a statement: rows hold what people wrote.
    static func sqlite(_ code: Int32, _ doing: String, names: String? = nil) -> StoreError {
        let reason: Reason
        switch code & 0xFF {
        case SQLITE_FULL: reason = .full
        // A full disk, met while the index of the write-ahead log was being enlarged; the transaction is rolled back as with any other.
        case SQLITE_IOERR where code == SQLITE_IOERR | (19 << 8): reason = .full
        case SQLITE_CORRUPT, SQLITE_NOTADB: reason = .corrupt
        case SQLITE_BUSY, SQLITE_LOCKED: reason = .inUse
        case SQLITE_CONSTRAINT: reason = .constraint
        default: reason = .failed
        }
        let sentence = sqlite3_errstr(code).map { String(cString: $0) } ?? "unknown error"
        return StoreError(reason, "\(doing): \(names ?? sentence) (SQLite \(code)). \(Self.advice(reason))")
    }

    private static func advice(_ reason: Reason) -> String {
        switch reason {
        case .full: "Free some disk space."
        case .corrupt: "Stop Skerry and run `skerry check`."
        case .newer: "Install that version or a later one."
        case .inUse: "Another program keeps the database busy; close it."
        case .failed: "Look at the disk, its mount and its permissions."
        case .closed: "Start Skerry again."
        case .constraint: "This is a fault in Skerry; please report it."
        }
    }
}
