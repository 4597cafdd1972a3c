/// Lower-case base32 in the extended-hex alphabet (RFC 4648 §7), without padding.
///
/// That alphabet keeps the order of the bytes it encodes, so an encoded `Order` sorts as text.
package enum Base32 {
    private static let alphabet: StaticString = "0123456789abcdefghijklmnopqrstuv"

    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        var accumulator: UInt32 = 0
        var bits = 0
        Self.alphabet.withUTF8Buffer { symbols in
            for byte in bytes {
                accumulator = (accumulator << 8) | UInt32(byte)
                bits += 8
                while bits >= 5 {
                    bits -= 5
                    text.append(symbols[Int((accumulator >> UInt32(bits)) & 31)])
                }
            }
            if bits > 0 { text.append(symbols[Int((accumulator << UInt32(5 - bits)) & 31)]) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of `text`; nil when a character is outside the alphabet, the length is impossible, or left-over bits are set.
    ///
    /// Refusing left-over bits gives every value one spelling, so two ids are equal exactly when their texts are.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count * 5 / 8)
        var accumulator: UInt32 = 0
        var bits = 0
        for character in text.utf8 {
            let value: UInt32
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(character - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "v"): value = UInt32(character - UInt8(ascii: "a")) + 10
            default: return nil
            }
            accumulator = (accumulator << 5) | value
            bits += 5
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: accumulator >> UInt32(bits)))
            }
        }
        guard bits < 5, accumulator & ((1 << UInt32(bits)) - 1) == 0 else { return nil }
        return bytes
    }
}
