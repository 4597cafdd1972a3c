import CSQLite
import NIOCore
import SkerryModel
import Store

/// The row a statement stands on; valid only inside the closure that receives it.
struct Row {
    let statement: OpaquePointer

    /// The column at `column` (from 0).
    ///
    /// - Throws: `corrupt` when what is stored cannot be such a value: only damage, or a hand in the file, can bring that about.
    func get<Value: SQLColumn>(_ column: Int32) throws(StoreError) -> Value {
        guard let value = Value(self, column) else {
            throw StoreError(.corrupt, "A row of the database holds something impossible; run `skerry check`.")
        }
        return value
    }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(self.statement, column) == SQLITE_NULL }

    /// The bytes of a text or blob column, valid until the statement moves on.
    func withBytes<Result>(_ column: Int32, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        // sqlite3_column_blob before sqlite3_column_bytes: the other order may convert and move the bytes.
        let base = sqlite3_column_blob(self.statement, column)
        let count = Int(sqlite3_column_bytes(self.statement, column))
        return body(UnsafeRawBufferPointer(start: base, count: base == nil ? 0 : count))
    }
}

/// What a column can be read as.
protocol SQLColumn {
    init?(_ row: Row, _ column: Int32)
}

extension Int64: SQLColumn {
    init?(_ row: Row, _ column: Int32) { self = sqlite3_column_int64(row.statement, column) }
}

extension SQLColumn where Self: FixedWidthInteger {
    init?(_ row: Row, _ column: Int32) { self.init(exactly: sqlite3_column_int64(row.statement, column)) }
}

extension Int: SQLColumn {}
extension Int32: SQLColumn {}
extension UInt8: SQLColumn {}
extension UInt16: SQLColumn {}
extension UInt32: SQLColumn {}
extension UInt64: SQLColumn {}

extension Bool: SQLColumn {
    init?(_ row: Row, _ column: Int32) { self = sqlite3_column_int64(row.statement, column) != 0 }
}

extension String: SQLColumn {
    init?(_ row: Row, _ column: Int32) { self = row.withBytes(column) { String(decoding: $0, as: UTF8.self) } }
}

extension [UInt8]: SQLColumn {
    init?(_ row: Row, _ column: Int32) { self = row.withBytes(column) { Array($0) } }
}

extension ByteBuffer: SQLColumn {
    init?(_ row: Row, _ column: Int32) { self = row.withBytes(column) { ByteBuffer(bytes: $0) } }
}

extension UserID: SQLColumn {}
extension DeviceID: SQLColumn {}
extension ConversationID: SQLColumn {}
extension MessageID: SQLColumn {}
extension InviteID: SQLColumn {}
extension AccessRuleID: SQLColumn {}
extension Identifier where Self: SQLColumn {
    init?(_ row: Row, _ column: Int32) {
        guard let id = row.withBytes(column, { Self(bytes: $0) }) else { return nil }
        self = id
    }
}

extension BoxID: SQLColumn {
    init?(_ row: Row, _ column: Int32) {
        guard let id = row.withBytes(column, { $0.count == BoxID.byteCount ? BoxID($0) : nil }) else { return nil }
        self = id
    }
}

extension Order: SQLColumn {
    init?(_ row: Row, _ column: Int32) {
        guard let order = row.withBytes(column, { Order(bytes: $0) }) else { return nil }
        self = order
    }
}

extension Optional: SQLColumn where Wrapped: SQLColumn {
    init?(_ row: Row, _ column: Int32) {
        if row.isNull(column) {
            self = Self.none
        } else {
            guard let value = Wrapped(row, column) else { return nil }
            self = Self.some(value)
        }
    }
}

extension SQLColumn where Self: RawRepresentable, RawValue == UInt8 {
    init?(_ row: Row, _ column: Int32) {
        guard let raw = UInt8(row, column) else { return nil }
        self.init(rawValue: raw)
    }
}

extension Role: SQLColumn {}
extension AccessRole: SQLColumn {}
extension AccessVerb: SQLColumn {}
extension AccessEffect: SQLColumn {}
extension MemberRole: SQLColumn {}
extension MemberState: SQLColumn {}
extension ConversationRecord.Form: SQLColumn {}
extension Stream: SQLColumn {}
extension BoxStanding: SQLColumn {}
