import CSQLite
import NIOCore
import SkerryModel

/// What a statement can be given as an argument.
///
/// SQLite copies the bytes, so nothing has to live as long as the statement.
protocol SQLValue {
    /// Binds to the parameter at `index` (from 1) and returns SQLite's result code.
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32
}

extension Int64: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 { sqlite3_bind_int64(statement, index, self) }
}

extension Int32: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 { sqlite3_bind_int64(statement, index, Int64(self)) }
}

extension Int: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 { sqlite3_bind_int64(statement, index, Int64(self)) }
}

extension UInt8: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 { sqlite3_bind_int64(statement, index, Int64(self)) }
}

extension UInt32: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 { sqlite3_bind_int64(statement, index, Int64(self)) }
}

extension Bool: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 { sqlite3_bind_int64(statement, index, self ? 1 : 0) }
}

extension Double: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 { sqlite3_bind_double(statement, index, self) }
}

extension String: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        var text = self
        return text.withUTF8 { utf8 in
            guard let count = Int32(exactly: utf8.count) else { return SQLITE_TOOBIG }
            guard let base = utf8.baseAddress else { return skerry_bind_text_transient(statement, index, "", 0) }
            return base.withMemoryRebound(to: CChar.self, capacity: utf8.count) { skerry_bind_text_transient(statement, index, $0, count) }
        }
    }
}

extension UnsafeRawBufferPointer: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        guard let count = Int32(exactly: self.count) else { return SQLITE_TOOBIG }
        return skerry_bind_blob_transient(statement, index, self.baseAddress, count)
    }
}

extension [UInt8]: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        self.withUnsafeBytes { $0.bind(to: statement, at: index) }
    }
}

extension ByteBuffer: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        self.withUnsafeReadableBytes { $0.bind(to: statement, at: index) }
    }
}

extension Bytes16: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        withUnsafeBytes(of: (self.high.bigEndian, self.low.bigEndian)) { $0.bind(to: statement, at: index) }
    }
}

extension UserID: SQLValue {}
extension DeviceID: SQLValue {}
extension ConversationID: SQLValue {}
extension MessageID: SQLValue {}
extension InviteID: SQLValue {}
extension AccessRuleID: SQLValue {}
extension Identifier where Self: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 { self.value.bind(to: statement, at: index) }
}

extension Order: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 { self.bytes.bind(to: statement, at: index) }
}

extension Optional: SQLValue where Wrapped: SQLValue {
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        guard let self else { return sqlite3_bind_null(statement, index) }
        return self.bind(to: statement, at: index)
    }
}

/// Milliseconds since 1970 as a column: a time beyond the signed range means "never" either way.
struct Milliseconds: SQLValue {
    let value: UInt64
    init(_ value: UInt64) { self.value = value }
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32 { sqlite3_bind_int64(statement, index, Int64(clamping: self.value)) }
}
