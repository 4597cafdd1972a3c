package import NIOCore
package import SkerryModel

/// Appends JSON to a `ByteBuffer`: no tree, no allocation besides the buffer.
///
/// Commas are placed by the writer; the caller keeps objects and arrays balanced by the closures it is given.
package struct JSONWriter {
    package private(set) var buffer: ByteBuffer
    private var needsComma = false

    package init(_ buffer: ByteBuffer = ByteBuffer()) { self.buffer = buffer }

    package mutating func object(_ body: (inout JSONWriter) -> Void) {
        self.open(UInt8(ascii: "{"))
        body(&self)
        self.close(UInt8(ascii: "}"))
    }

    package mutating func array<Element>(_ elements: some Sequence<Element>, _ body: (inout JSONWriter, Element) -> Void) {
        self.open(UInt8(ascii: "["))
        for element in elements { body(&self, element) }
        self.close(UInt8(ascii: "]"))
    }

    package mutating func key(_ name: StaticString) {
        self.separate()
        self.buffer.writeInteger(UInt8(ascii: "\""))
        self.buffer.writeStaticString(name)
        self.buffer.writeStaticString("\":")
        self.needsComma = false
    }

    /// A key that is not known when the program is built: paths and names of a document that describes something.
    package mutating func key(named name: String) {
        self.string(name)
        self.buffer.writeInteger(UInt8(ascii: ":"))
        self.needsComma = false
    }

    package mutating func field(_ name: StaticString, _ value: String) {
        self.key(name)
        self.string(value)
    }

    package mutating func field(_ name: StaticString, _ value: String?) {
        if let value { self.field(name, value) }
    }

    package mutating func field(_ name: StaticString, _ value: some CustomStringConvertible & Identifier) { self.field(name, value.description) }
    package mutating func field(_ name: StaticString, _ value: Order) { self.field(name, value.description) }
    package mutating func field(_ name: StaticString, _ value: Order?) { if let value { self.field(name, value.description) } }

    package mutating func field(_ name: StaticString, _ value: Int) {
        self.key(name)
        self.number(value)
    }

    package mutating func field(_ name: StaticString, _ value: Bool) {
        self.key(name)
        self.bool(value)
    }

    package mutating func field(_ name: StaticString, _ value: Double) {
        self.key(name)
        self.separate()
        self.buffer.writeString(value.isFinite ? "\(value)" : "null")
    }

    /// Milliseconds since 1970 as RFC 3339.
    package mutating func field(_ name: StaticString, time milliseconds: UInt64) { self.field(name, Timestamp.text(milliseconds)) }

    package mutating func object(_ name: StaticString, _ body: (inout JSONWriter) -> Void) {
        self.key(name)
        self.object(body)
    }

    package mutating func array<Element>(_ name: StaticString, _ elements: some Sequence<Element>, _ body: (inout JSONWriter, Element) -> Void) {
        self.key(name)
        self.array(elements, body)
    }

    /// JSON that was made before, put in as it is.
    package mutating func raw(_ name: StaticString, _ json: ByteBuffer) {
        self.key(name)
        self.raw(json)
    }

    package mutating func raw(_ json: ByteBuffer) {
        self.separate()
        self.buffer.writeImmutableBuffer(json)
    }

    package mutating func number(_ value: Int) {
        self.separate()
        self.buffer.writeString(String(value))
    }

    package mutating func bool(_ value: Bool) {
        self.separate()
        self.buffer.writeStaticString(value ? "true" : "false")
    }

    package mutating func string(_ value: String) {
        self.separate()
        var value = value
        self.buffer.writeInteger(UInt8(ascii: "\""))
        value.withUTF8 { bytes in
            var start = 0
            for (index, byte) in bytes.enumerated() where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                self.buffer.writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[start..<index]))
                self.escape(byte)
                start = index + 1
            }
            self.buffer.writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[start...]))
        }
        self.buffer.writeInteger(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): self.buffer.writeStaticString("\\\"")
        case UInt8(ascii: "\\"): self.buffer.writeStaticString("\\\\")
        case 0x0A: self.buffer.writeStaticString("\\n")
        case 0x0D: self.buffer.writeStaticString("\\r")
        case 0x09: self.buffer.writeStaticString("\\t")
        default:
            let digits = Array("0123456789abcdef".utf8)
            self.buffer.writeStaticString("\\u00")
            self.buffer.writeInteger(digits[Int(byte >> 4)])
            self.buffer.writeInteger(digits[Int(byte & 15)])
        }
    }

    private mutating func open(_ bracket: UInt8) {
        self.separate()
        self.buffer.writeInteger(bracket)
        self.needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        self.buffer.writeInteger(bracket)
        self.needsComma = true
    }

    private mutating func separate() {
        if self.needsComma { self.buffer.writeInteger(UInt8(ascii: ",")) }
        self.needsComma = true
    }
}

extension JSONWriter {
    /// The JSON object that `body` fills.
    package static func make(_ body: (inout JSONWriter) -> Void) -> ByteBuffer {
        var writer = JSONWriter()
        writer.object(body)
        return writer.buffer
    }
}
