/// JSON as tests look at it: parsed strictly by RFC 8259, independently of what the product reads and writes it with.
package indirect enum JSON: Sendable, Hashable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// The value written as `text`; nil for anything that is not exactly one.
    package init?(_ text: String) { self.init(bytes: text.utf8) }

    package init?(bytes: some Collection<UInt8>) {
        var parser = Parser(bytes: Array(bytes))
        guard let value = parser.document() else { return nil }
        self = value
    }

    package subscript(_ key: String) -> JSON? {
        if case .object(let fields) = self { fields[key] } else { nil }
    }

    package subscript(_ index: Int) -> JSON? {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { nil }
    }

    package var text: String? { if case .string(let text) = self { text } else { nil } }
    package var elements: [JSON] { if case .array(let elements) = self { elements } else { [] } }
    package var keys: Set<String> { if case .object(let fields) = self { Set(fields.keys) } else { [] } }
    package var isTrue: Bool { self == .bool(true) }
    package var number: Double? { if case .number(let number) = self { number } else { nil } }

    private struct Parser {
        let bytes: [UInt8]
        var index = 0
        var depth = 0

        mutating func document() -> JSON? {
            guard let value = self.value() else { return nil }
            self.space()
            return self.index == self.bytes.count ? value : nil
        }

        var next: UInt8? { self.index < self.bytes.count ? self.bytes[self.index] : nil }

        mutating func space() { while let byte = self.next, [0x20, 0x0A, 0x0D, 0x09].contains(byte) { self.index += 1 } }

        mutating func take(_ text: StaticString) -> Bool {
            let wanted = Array(text.description.utf8)
            guard self.bytes.dropFirst(self.index).starts(with: wanted) else { return false }
            self.index += wanted.count
            return true
        }

        mutating func value() -> JSON? {
            self.space()
            guard let byte = self.next, self.depth < 200 else { return nil }
            self.depth += 1
            defer { self.depth -= 1 }
            switch byte {
            case UInt8(ascii: "{"): return self.object()
            case UInt8(ascii: "["): return self.array()
            case UInt8(ascii: "\""): return self.string().map { .string($0) }
            case UInt8(ascii: "t"): return self.take("true") ? .bool(true) : nil
            case UInt8(ascii: "f"): return self.take("false") ? .bool(false) : nil
            case UInt8(ascii: "n"): return self.take("null") ? .null : nil
            default: return self.numeral()
            }
        }

        mutating func object() -> JSON? {
            self.index += 1
            var fields: [String: JSON] = [:]
            self.space()
            if self.take("}") { return .object(fields) }
            while true {
                self.space()
                // A key that comes twice is allowed by the RFC and never right.
                guard self.next == UInt8(ascii: "\""), let key = self.string(), fields[key] == nil else { return nil }
                self.space()
                guard self.take(":"), let value = self.value() else { return nil }
                fields[key] = value
                self.space()
                if self.take("}") { return .object(fields) }
                guard self.take(",") else { return nil }
            }
        }

        mutating func array() -> JSON? {
            self.index += 1
            var elements: [JSON] = []
            self.space()
            if self.take("]") { return .array(elements) }
            while true {
                guard let value = self.value() else { return nil }
                elements.append(value)
                self.space()
                if self.take("]") { return .array(elements) }
                guard self.take(",") else { return nil }
            }
        }

        mutating func string() -> String? {
            self.index += 1
            var text: [UInt8] = []
            while let byte = self.next {
                self.index += 1
                switch byte {
                case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
                case UInt8(ascii: "\\"):
                    guard let escape = self.next else { return nil }
                    self.index += 1
                    switch escape {
                    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(escape)
                    case UInt8(ascii: "b"): text.append(8)
                    case UInt8(ascii: "f"): text.append(12)
                    case UInt8(ascii: "n"): text.append(10)
                    case UInt8(ascii: "r"): text.append(13)
                    case UInt8(ascii: "t"): text.append(9)
                    case UInt8(ascii: "u"):
                        guard let unit = self.hex4() else { return nil }
                        var value = UInt32(unit)
                        if (0xD800...0xDBFF).contains(unit) {
                            guard self.take("\\u"), let low = self.hex4(), (0xDC00...0xDFFF).contains(low) else { return nil }
                            value = 0x10000 + (UInt32(unit) - 0xD800) << 10 + (UInt32(low) - 0xDC00)
                        }
                        guard let scalar = Unicode.Scalar(value) else { return nil }
                        text.append(contentsOf: String(Character(scalar)).utf8)
                    default: return nil
                    }
                case 0..<0x20: return nil
                default: text.append(byte)
                }
            }
            return nil
        }

        mutating func hex4() -> UInt16? {
            guard self.index + 4 <= self.bytes.count else { return nil }
            defer { self.index += 4 }
            return UInt16(String(decoding: self.bytes[self.index..<(self.index + 4)], as: UTF8.self), radix: 16)
        }

        mutating func numeral() -> JSON? {
            let start = self.index
            _ = self.take("-")
            let whole = self.digits()
            guard whole > 0, whole == 1 || self.bytes[self.index - whole] != UInt8(ascii: "0") else { return nil }
            if self.take(".") { guard self.digits() > 0 else { return nil } }
            if self.take("e") || self.take("E") {
                if !self.take("+") { _ = self.take("-") }
                guard self.digits() > 0 else { return nil }
            }
            return Double(String(decoding: self.bytes[start..<self.index], as: UTF8.self)).map { .number($0) }
        }

        mutating func digits() -> Int {
            let start = self.index
            while let byte = self.next, (0x30...0x39).contains(byte) { self.index += 1 }
            return self.index - start
        }
    }
}

extension JSON: CustomStringConvertible {
    package var description: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let number): number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : "\(number)"
        case .string(let text): Self.quoted(text)
        case .array(let elements): "[" + elements.map(\.description).joined(separator: ",") + "]"
        case .object(let fields): "{" + fields.sorted { $0.key < $1.key }.map { "\(Self.quoted($0.key)):\($0.value)" }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\\(scalar)"
            case "\n": result += "\\n"
            case "\0"..<" ": result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
