/// Watches bytes arrive and says at the first one that cannot be part of any UTF-8 text (RFC 3629), however they are cut.
///
/// Overlong forms, surrogates and code points above U+10FFFF are refused at the byte that makes them certain.
struct UTF8Check {
    /// Continuation bytes that the character begun last still needs.
    private var missing = 0
    /// What the next continuation byte may be: narrower than 80…BF only behind E0, ED, F0 and F4.
    private var next: ClosedRange<UInt8> = 0x80...0xBF

    /// Whether the bytes so far end with a whole character.
    var isComplete: Bool { self.missing == 0 }

    /// False at the first impossible byte; what is fed afterwards has no meaning.
    mutating func accept(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < bytes.count {
            if self.missing == 0 {
                // Eight bytes at a time while all of them are ASCII: most text is, and long texts are what costs.
                while index &+ 8 <= bytes.count, bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 { index &+= 8 }
                if index == bytes.count { return true }
            }
            guard self.accept(bytes[index]) else { return false }
            index &+= 1
        }
        return true
    }

    private mutating func accept(_ byte: UInt8) -> Bool {
        if self.missing > 0 {
            guard self.next.contains(byte) else { return false }
            self.missing -= 1
            self.next = 0x80...0xBF
            return true
        }
        switch byte {
        case 0x00...0x7F: break
        case 0xC2...0xDF: self.missing = 1
        case 0xE0: self.expect(2, 0xA0...0xBF)
        case 0xE1...0xEC, 0xEE, 0xEF: self.missing = 2
        case 0xED: self.expect(2, 0x80...0x9F)
        case 0xF0: self.expect(3, 0x90...0xBF)
        case 0xF1...0xF3: self.missing = 3
        case 0xF4: self.expect(3, 0x80...0x8F)
        default: return false
        }
        return true
    }

    private mutating func expect(_ count: Int, _ first: ClosedRange<UInt8>) {
        self.missing = count
        self.next = first
    }
}
