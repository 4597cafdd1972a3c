package import Crypto

/// The SHA-256 of a blob: its name on every box.
package struct BlobHash: Sendable, Hashable, CustomStringConvertible {
    package static let byteCount = 32
    package let bytes: [UInt8]

    /// Nil unless there are exactly 32.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = Array(bytes)
    }

    package init(_ digest: SHA256.Digest) { self.bytes = Array(digest) }

    /// 64 lower-case hexadecimal digits; nil for anything else.
    package init?(hex text: some StringProtocol) {
        var bytes: [UInt8] = []
        var half: UInt8?
        for digit in text.utf8 {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            default: return nil
            }
            if let high = half { bytes.append(high << 4 | value) }
            half = half == nil ? value : nil
        }
        guard half == nil else { return nil }
        self.init(bytes)
    }

    package var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(2 * self.bytes.count)
        for byte in self.bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    package var description: String { self.hex }
}
