/// Writes the wire form of FEDERATION.md §2.3: the subset of the protobuf format with varint, fixed 64-bit and bytes fields.
///
/// Fields are written in rising number, so equal values have equal bytes: what a batch's signature covers.
package struct FieldWriter: ~Copyable {
    package private(set) var bytes: [UInt8] = []

    package init(reserving count: Int = 128) { self.bytes.reserveCapacity(count) }

    package mutating func varint(_ field: UInt64, _ value: UInt64) {
        self.raw((field << 3) | 0)
        self.raw(value)
    }

    package mutating func fixed64(_ field: UInt64, _ value: UInt64) {
        self.raw((field << 3) | 1)
        for shift in stride(from: UInt64(0), to: 64, by: 8) { self.bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    package mutating func bytes(_ field: UInt64, _ value: some Collection<UInt8>) {
        self.raw((field << 3) | 2)
        self.raw(UInt64(value.count))
        self.bytes.append(contentsOf: value)
    }

    package mutating func text(_ field: UInt64, _ value: String) { self.bytes(field, value.utf8) }
    package mutating func flag(_ field: UInt64, _ value: Bool) { if value { self.varint(field, 1) } }

    private mutating func raw(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            self.bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        self.bytes.append(UInt8(value))
    }
}

/// Why bytes from a log or a peer could not be read. Never holds the bytes themselves.
package struct EntryDecodeError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Reason: String, Sendable { case truncated, overlong, badField, missingField, tooLarge }
    package let reason: Reason
    /// Field number, or byte offset for `truncated` and `overlong`.
    package let place: UInt64

    package init(_ reason: Reason, at place: UInt64) {
        self.reason = reason
        self.place = place
    }

    package var description: String { "entry not readable: \(self.reason.rawValue) at \(self.place)" }
}

/// Reads what `FieldWriter` writes: fields in any order, unknown ones skipped, every length checked before it is used.
package struct FieldReader {
    package enum Value {
        case number(UInt64)
        case bytes(ArraySlice<UInt8>)
    }

    private var rest: ArraySlice<UInt8>

    package init(_ bytes: ArraySlice<UInt8>) { self.rest = bytes }

    /// The next field; nil at the end.
    package mutating func next() throws(EntryDecodeError) -> (field: UInt64, value: Value)? {
        if self.rest.isEmpty { return nil }
        let tag = try self.varint()
        let field = tag >> 3
        switch tag & 7 {
        case 0: return (field, .number(try self.varint()))
        case 1:
            let bytes = try self.take(8)
            var value: UInt64 = 0
            for byte in bytes.reversed() { value = (value << 8) | UInt64(byte) }
            return (field, .number(value))
        case 2:
            let count = try self.varint()
            guard count <= UInt64(self.rest.count) else { throw EntryDecodeError(.truncated, at: UInt64(self.rest.startIndex)) }
            return (field, .bytes(try self.take(Int(count))))
        default: throw EntryDecodeError(.badField, at: field)
        }
    }

    private mutating func take(_ count: Int) throws(EntryDecodeError) -> ArraySlice<UInt8> {
        guard count <= self.rest.count else { throw EntryDecodeError(.truncated, at: UInt64(self.rest.startIndex)) }
        defer { self.rest = self.rest.dropFirst(count) }
        return self.rest.prefix(count)
    }

    private mutating func varint() throws(EntryDecodeError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            guard let byte = self.rest.popFirst() else { throw EntryDecodeError(.truncated, at: UInt64(self.rest.startIndex)) }
            let part = UInt64(byte & 0x7F)
            guard shift < 63 || part <= 1 else { throw EntryDecodeError(.overlong, at: UInt64(self.rest.startIndex)) }
            value |= part << shift
            if byte < 0x80 { return value }
        }
        throw EntryDecodeError(.overlong, at: UInt64(self.rest.startIndex))
    }
}

/// The fields of one value, collected for reading in any order; the last of a repeated field counts.
package struct FieldMap {
    private var numbers: [(UInt64, UInt64)] = []
    private var slices: [(UInt64, ArraySlice<UInt8>)] = []

    package init(_ bytes: ArraySlice<UInt8>) throws(EntryDecodeError) {
        var reader = FieldReader(bytes)
        while let (field, value) = try reader.next() {
            guard self.numbers.count + self.slices.count < 64 else { throw EntryDecodeError(.tooLarge, at: field) }
            switch value {
            case .number(let number): self.numbers.append((field, number))
            case .bytes(let slice): self.slices.append((field, slice))
            }
        }
    }

    package func number(_ field: UInt64) -> UInt64? { self.numbers.last { $0.0 == field }?.1 }
    package func slice(_ field: UInt64) -> ArraySlice<UInt8>? { self.slices.last { $0.0 == field }?.1 }
    package func flag(_ field: UInt64) -> Bool { self.number(field) == 1 }

    package func required(_ field: UInt64) throws(EntryDecodeError) -> UInt64 {
        guard let number = self.number(field) else { throw EntryDecodeError(.missingField, at: field) }
        return number
    }

    package func required8(_ field: UInt64) throws(EntryDecodeError) -> UInt8 {
        guard let number = UInt8(exactly: try self.required(field)) else { throw EntryDecodeError(.badField, at: field) }
        return number
    }

    package func required32(_ field: UInt64) throws(EntryDecodeError) -> UInt32 {
        guard let number = UInt32(exactly: try self.required(field)) else { throw EntryDecodeError(.badField, at: field) }
        return number
    }

    package func requiredBytes(_ field: UInt64) throws(EntryDecodeError) -> [UInt8] {
        guard let slice = self.slice(field) else { throw EntryDecodeError(.missingField, at: field) }
        return Array(slice)
    }

    package func text(_ field: UInt64) throws(EntryDecodeError) -> String? {
        guard let slice = self.slice(field) else { return nil }
        guard let text = String(validating: slice, as: UTF8.self) else { throw EntryDecodeError(.badField, at: field) }
        return text
    }

    package func requiredText(_ field: UInt64) throws(EntryDecodeError) -> String {
        guard let text = try self.text(field) else { throw EntryDecodeError(.missingField, at: field) }
        return text
    }
}
