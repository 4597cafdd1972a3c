/// Small rules of HTTP's grammar (RFC 9110 §5.6).
enum HTTPText {
    static func isToken(_ text: some StringProtocol) -> Bool { !text.isEmpty && text.utf8.allSatisfy(Self.isTokenByte) }

    static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "*"),
            UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// `text` without spaces and tabs around it.
    static func trim(_ text: some StringProtocol) -> String {
        var text = Substring(text)
        while let first = text.unicodeScalars.first, first == " " || first == "\t" { text.unicodeScalars.removeFirst() }
        while let last = text.unicodeScalars.last, last == " " || last == "\t" { text.unicodeScalars.removeLast() }
        return String(text)
    }

    /// The elements of a comma-separated list, without empty ones.
    static func list(_ text: some StringProtocol) -> [String] { text.split(separator: ",").map { Self.trim($0) }.filter { !$0.isEmpty } }
}

/// Base64 with padding (RFC 4648 §4).
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        var (accumulator, bits) = (UInt32(0), 0)
        for byte in bytes {
            accumulator = (accumulator << 8) | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(Self.alphabet[Int((accumulator >> UInt32(bits)) & 63)])
            }
        }
        if bits > 0 { text.append(Self.alphabet[Int((accumulator << UInt32(6 - bits)) & 63)]) }
        while text.count % 4 != 0 { text.append(UInt8(ascii: "=")) }
        return String(decoding: text, as: UTF8.self)
    }

    /// How many bytes `text` stands for; nil when it is not base64 in its one spelling.
    static func decodedCount(_ text: some StringProtocol) -> Int? {
        let bytes = Array(text.utf8)
        let padding = bytes.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        guard bytes.count % 4 == 0, padding <= 2 else { return nil }
        let digits = bytes.dropLast(padding).map { Self.alphabet.firstIndex(of: $0) }
        guard digits.allSatisfy({ $0 != nil }) else { return nil }
        if padding > 0, let last = digits.last, let value = last, value & (padding == 1 ? 0x3 : 0xF) != 0 { return nil }
        return bytes.count / 4 * 3 - padding
    }
}
