import NIOCore

/// The variable byte integer (MQTT 5 §1.5.5): seven bits in a byte, lowest first, the high bit says that more follow.
enum VariableInteger {
    static let max = 268_435_455
    static let bytesMax = 4

    /// How many bytes the encoder uses: as few as there can be [MQTT-1.5.5-1].
    static func byteCount(_ value: Int) -> Int {
        switch value {
        case ..<0x80: 1
        case ..<0x4000: 2
        case ..<0x20_0000: 3
        default: 4
        }
    }

    enum Peek {
        case value(Int, byteCount: Int)
        case incomplete
        case malformed
    }

    /// Reads at `index` without moving on. Refuses a fifth byte, and a last byte that adds nothing.
    static func peek(_ buffer: ByteBuffer, at index: Int) -> Peek {
        var value = 0
        for position in 0..<Self.bytesMax {
            guard let byte = buffer.getInteger(at: index + position, as: UInt8.self) else { return .incomplete }
            value |= Int(byte & 0x7F) << (7 * position)
            if byte & 0x80 == 0 {
                if byte == 0, position > 0 { return .malformed }
                return .value(value, byteCount: position + 1)
            }
        }
        return .malformed
    }
}

extension ByteBuffer {
    mutating func writeVariableInteger(_ value: Int) {
        var rest = UInt32(truncatingIfNeeded: value)
        while rest >= 0x80 {
            self.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        self.writeInteger(UInt8(truncatingIfNeeded: rest))
    }
}
