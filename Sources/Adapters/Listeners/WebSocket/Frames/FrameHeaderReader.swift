/// A checked frame header from a client.
struct FrameHeader {
    var opcode: WebSocketOpcode
    var isFinal: Bool
    var isCompressed: Bool
    var length: Int
    var mask: WebSocketMask
}

/// Reads frame headers byte by byte and refuses each at the first byte that breaks a rule, so nothing is kept between reads but a few integers.
struct FrameHeaderReader {
    private enum State {
        /// A frame may begin.
        case start
        /// The opcode has been read, the mask bit and length are awaited.
        case length
        /// A longer length has been announced; `missing` bytes of it are awaited.
        case longLength(missing: Int, isWide: Bool, UInt64)
        /// The length is known, `missing` bytes of the mask are awaited.
        case mask(missing: Int, UInt32)
    }

    private var state = State.start
    private var opcode = WebSocketOpcode.continuation
    private var isFinal = false
    private var isCompressed = false
    private var size = 0

    /// Takes one byte; gives the header when it was the last one.
    ///
    /// - Parameters:
    ///   - isInMessage: a fragmented message has begun and not ended.
    ///   - allowsCompressed: permessage-deflate was agreed, so RSV1 has a meaning on the first frame of a message.
    mutating func read(_ byte: UInt8, isInMessage: Bool, allowsCompressed: Bool) throws(WebSocketViolation) -> FrameHeader? {
        switch self.state {
        case .start:
            try self.readFirst(byte, isInMessage: isInMessage, allowsCompressed: allowsCompressed)
            self.state = .length
        case .length: try self.readLength(byte)
        case .longLength(let missing, let isWide, let value):
            let value = value << 8 | UInt64(byte)
            if missing > 1 {
                self.state = .longLength(missing: missing - 1, isWide: isWide, value)
            } else {
                try self.finishLength(value, isWide: isWide)
            }
        case .mask(let missing, let key):
            let key = key << 8 | UInt32(byte)
            if missing > 1 {
                self.state = .mask(missing: missing - 1, key)
            } else {
                self.state = .start
                return FrameHeader(
                    opcode: self.opcode, isFinal: self.isFinal, isCompressed: self.isCompressed, length: self.size, mask: WebSocketMask(key))
            }
        }
        return nil
    }

    private mutating func readFirst(_ byte: UInt8, isInMessage: Bool, allowsCompressed: Bool) throws(WebSocketViolation) {
        guard byte & 0x30 == 0 else { throw .protocolError("reserved bit set") }
        guard let opcode = WebSocketOpcode(rawValue: byte & 0x0F) else { throw .protocolError("reserved opcode") }
        let isCompressed = byte & 0x40 != 0
        switch opcode {
        case .text, .binary:
            if isInMessage { throw .protocolError("message begun inside another") }
            if isCompressed && !allowsCompressed { throw .protocolError("reserved bit set") }
        case .continuation:
            if !isInMessage { throw .protocolError("continuation of nothing") }
            // RFC 7692 §6.1: only the first frame of a message says that it is compressed.
            if isCompressed { throw .protocolError("reserved bit set") }
        case .close, .ping, .pong:
            if isCompressed { throw .protocolError("reserved bit set") }
            if byte & 0x80 == 0 { throw .protocolError("fragmented control frame") }
        }
        self.opcode = opcode
        self.isFinal = byte & 0x80 != 0
        self.isCompressed = isCompressed
    }

    private mutating func readLength(_ byte: UInt8) throws(WebSocketViolation) {
        // RFC 6455 §5.1: a server MUST fail the connection on an unmasked frame; masks keep a hostile page from writing to caches between.
        guard byte & 0x80 != 0 else { throw .protocolError("frame without mask") }
        let length = Int(byte & 0x7F)
        if self.opcode.isControl, length > WebSocketFrame.controlBytesMax { throw .protocolError("control frame too long") }
        switch length {
        case 126: self.state = .longLength(missing: 2, isWide: false, 0)
        case 127: self.state = .longLength(missing: 8, isWide: true, 0)
        default:
            self.size = length
            self.state = .mask(missing: 4, 0)
        }
    }

    private mutating func finishLength(_ value: UInt64, isWide: Bool) throws(WebSocketViolation) {
        guard value > (isWide ? 0xFFFF : 125) else { throw .protocolError("length not in its shortest form") }
        guard value >> 63 == 0 else { throw .protocolError("length out of range") }
        self.size = Int(value)
        self.state = .mask(missing: 4, 0)
    }
}
