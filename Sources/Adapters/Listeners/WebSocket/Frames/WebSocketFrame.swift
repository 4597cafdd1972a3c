import NIOCore

/// What a frame is (RFC 6455 §5.2). Opcodes 3–7 and B–F are reserved and have no case.
enum WebSocketOpcode: UInt8, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    var isControl: Bool { self.rawValue & 0x8 != 0 }
}

/// Writing frames as a server does: unmasked, lengths in their shortest form.
enum WebSocketFrame {
    static let controlBytesMax = 125

    static func writeHeader(_ opcode: WebSocketOpcode, length: Int, isFinal: Bool = true, isCompressed: Bool = false, into bytes: inout ByteBuffer) {
        bytes.writeInteger((isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0) | opcode.rawValue)
        switch length {
        case ...125: bytes.writeInteger(UInt8(length))
        case ...0xFFFF:
            bytes.writeInteger(UInt8(126))
            bytes.writeInteger(UInt16(length))
        default:
            bytes.writeInteger(UInt8(127))
            bytes.writeInteger(UInt64(length))
        }
    }

    static func write(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, isCompressed: Bool = false, into bytes: inout ByteBuffer) {
        bytes.reserveCapacity(minimumWritableBytes: payload.readableBytes + 10)
        self.writeHeader(opcode, length: payload.readableBytes, isCompressed: isCompressed, into: &bytes)
        bytes.writeImmutableBuffer(payload)
    }

    static func writeClose(_ code: WebSocketCloseCode?, _ reason: String, into bytes: inout ByteBuffer) {
        var payload = ByteBuffer()
        if let code {
            payload.writeInteger(code.rawValue)
            // A reason is UTF-8 of at most 123 bytes; ours are short, and a longer one is cut between characters.
            var text = reason
            while text.utf8.count > Self.controlBytesMax - 2 { text.removeLast() }
            payload.writeString(text)
        }
        self.write(.close, payload, into: &bytes)
    }
}

/// The mask of one frame and how much of it was used; masking twice gives the bytes back.
struct WebSocketMask {
    private let key: UInt64
    private var offset = 0

    init(_ key: UInt32) { self.key = UInt64(key) << 32 | UInt64(key) }

    mutating func apply(to bytes: UnsafeMutableRawBufferPointer) {
        // The key seen from the current offset, twice, in memory order.
        let shift = UInt64(self.offset * 8)
        let turned = shift == 0 ? self.key : (self.key << shift) | (self.key >> (64 - shift))
        let word = turned.bigEndian
        var index = 0
        while index &+ 8 <= bytes.count {
            bytes.storeBytes(of: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ word, toByteOffset: index, as: UInt64.self)
            index &+= 8
        }
        while index < bytes.count {
            bytes[index] ^= UInt8(truncatingIfNeeded: turned >> UInt64(56 - (index & 7) * 8))
            index &+= 1
        }
        self.offset = (self.offset + bytes.count) & 3
    }
}
