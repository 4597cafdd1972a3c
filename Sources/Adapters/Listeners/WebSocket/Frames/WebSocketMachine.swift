package import NIOCore

/// One WebSocket connection as the server sees it: bytes in, events out; messages in, frames out (RFC 6455, RFC 7692). No socket, no clock.
///
/// Everything is checked as it arrives: a header at the byte that breaks a rule, a length before its payload is awaited, text at its first
/// impossible byte, even inside a frame and across fragments. Payload is kept only as far as it belongs to an unfinished message below the limit.
package struct WebSocketMachine: ~Copyable {
    package enum Delivery: Sendable, Hashable {
        /// Whole messages of at most this many bytes, counted after decompression; a longer one is a violation with 1009.
        case messages(bytesMax: Int)
        /// Payload as it arrives: the reader bounds it itself.
        case pieces
    }

    private enum Place {
        /// Between frames, or inside a header.
        case header
        /// Inside a payload of which `missing` bytes are awaited.
        case payload(FrameHeader, missing: Int)
        /// A close frame or a violation was seen: whatever comes is ignored.
        case ended
    }

    /// May be changed between messages.
    package var delivery: Delivery
    private let inflater: Inflater?
    private let deflater: Deflater?
    private var reader = FrameHeaderReader()
    private var place = Place.header
    /// The unfinished message: what has been received of it, and how.
    private var message: (isText: Bool, isCompressed: Bool, text: UTF8Check)?
    private var received = ByteBuffer()
    private var control = ByteBuffer()
    /// A close frame was written: nothing may follow it (RFC 6455 §5.5.1).
    package private(set) var isCloseSent = false

    package init(delivery: Delivery, deflate: DeflateAgreement? = nil) {
        self.delivery = delivery
        self.inflater = deflate.flatMap { Inflater($0) }
        self.deflater = deflate.flatMap { Deflater($0) }
    }

    // MARK: - From the client

    /// The next event in `bytes`, which are consumed; nil when more are needed.
    package mutating func receive(_ bytes: inout ByteBuffer) -> WebSocketEvent? {
        do {
            while true {
                switch self.place {
                case .ended:
                    bytes.moveReaderIndex(to: bytes.writerIndex)
                    return nil
                case .header:
                    guard let byte: UInt8 = bytes.readInteger() else { return nil }
                    let isInMessage = self.message != nil
                    guard let header = try self.reader.read(byte, isInMessage: isInMessage, allowsCompressed: self.inflater != nil) else { continue }
                    try self.begin(header)
                    self.place = .payload(header, missing: header.length)
                case .payload(var header, let missing):
                    let count = min(missing, bytes.readableBytes)
                    if count == 0, missing > 0 { return nil }
                    let slice = bytes.readSlice(length: count) ?? ByteBuffer()
                    let isLast = count == missing
                    let event = try self.take(slice, of: &header, isLastOfFrame: isLast)
                    if case .close = event {
                        self.end()
                    } else {
                        self.place = isLast ? .header : .payload(header, missing: missing - count)
                    }
                    if let event { return event }
                }
            }
        } catch {
            self.end()
            return .violation(error)
        }
    }

    private mutating func begin(_ header: FrameHeader) throws(WebSocketViolation) {
        switch header.opcode {
        case .text, .binary: self.message = (header.opcode == .text, header.isCompressed, UTF8Check())
        case .continuation, .close, .ping, .pong: break
        }
        if header.opcode.isControl || self.message?.isCompressed == true { return }
        if case .messages(let limit) = self.delivery, header.length > limit - self.received.readableBytes { throw .tooBig(limit) }
    }

    private mutating func take(_ slice: ByteBuffer, of header: inout FrameHeader, isLastOfFrame: Bool) throws(WebSocketViolation) -> WebSocketEvent? {
        if header.opcode.isControl {
            Self.append(slice, unmaskedBy: &header.mask, to: &self.control)
            guard isLastOfFrame else { return nil }
            let payload = self.control
            self.control = ByteBuffer()
            switch header.opcode {
            case .ping: return .ping(payload)
            case .pong: return .pong(payload)
            case .close, .text, .binary, .continuation: return try Self.closing(payload)
            }
        }
        guard var message = self.message else { throw .protocolError("continuation of nothing") }
        let isLast = isLastOfFrame && header.isFinal
        let start = self.received.readableBytes
        if message.isCompressed {
            try self.inflate(slice, &header.mask, isLast: isLast)
        } else {
            Self.append(slice, unmaskedBy: &header.mask, to: &self.received)
        }
        if message.isText {
            let isValid = self.received.withUnsafeReadableBytes { message.text.accept(UnsafeRawBufferPointer(rebasing: $0[start...])) }
            guard isValid, !isLast || message.text.isComplete else { throw .invalidUTF8 }
        }
        self.message = isLast ? nil : message
        switch self.delivery {
        case .messages:
            guard isLast else { return nil }
            return .message(WebSocketMessage(isText: message.isText, payload: self.takeReceived()))
        case .pieces:
            return self.received.readableBytes == 0 && !isLast ? nil : .piece(WebSocketMessage(isText: message.isText, payload: self.takeReceived()))
        }
    }

    private mutating func takeReceived() -> ByteBuffer {
        let payload = self.received
        self.received = ByteBuffer()
        return payload
    }

    private mutating func inflate(_ slice: ByteBuffer, _ mask: inout WebSocketMask, isLast: Bool) throws(WebSocketViolation) {
        guard let inflater = self.inflater else { throw .badCompression }
        var compressed = ByteBuffer()
        Self.append(slice, unmaskedBy: &mask, to: &compressed)
        let limit = if case .messages(let limit) = self.delivery { limit } else { Inflater.pieceBytesMax }
        switch inflater.inflate(compressed, isLast: isLast, into: &self.received, bytesMax: limit) {
        case .done: break
        case .tooMuch: throw .tooBig(limit)
        case .damaged: throw .badCompression
        }
    }

    /// Copies and unmasks: a slice of the read would keep all of it alive, and for text the copy is needed anyway.
    private static func append(_ slice: ByteBuffer, unmaskedBy mask: inout WebSocketMask, to bytes: inout ByteBuffer) {
        let start = bytes.readableBytes
        bytes.writeImmutableBuffer(slice)
        bytes.withUnsafeMutableReadableBytes { mask.apply(to: UnsafeMutableRawBufferPointer(rebasing: $0[start...])) }
    }

    private static func closing(_ payload: ByteBuffer) throws(WebSocketViolation) -> WebSocketEvent {
        var payload = payload
        if payload.readableBytes == 0 { return .close(nil, reason: "") }
        guard let number: UInt16 = payload.readInteger() else { throw .protocolError("close frame of one byte") }
        let code = WebSocketCloseCode(rawValue: number)
        guard code.isSendable else { throw .protocolError("close code not allowed") }
        var text = UTF8Check()
        let isValid = payload.withUnsafeReadableBytes { text.accept($0) } && text.isComplete
        guard isValid else { throw .invalidUTF8 }
        return .close(code, reason: String(buffer: payload))
    }

    private mutating func end() {
        self.place = .ended
        self.message = nil
        self.received = ByteBuffer()
        self.control = ByteBuffer()
    }

    // MARK: - To the client

    /// Writes a message as one frame. False, and nothing written, after a close frame.
    @discardableResult
    package mutating func write(_ message: WebSocketMessage, into bytes: inout ByteBuffer) -> Bool {
        if self.isCloseSent { return false }
        let opcode = message.isText ? WebSocketOpcode.text : .binary
        if let deflater = self.deflater, let compressed = deflater.deflate(message.payload) {
            WebSocketFrame.write(opcode, compressed, isCompressed: true, into: &bytes)
        } else {
            WebSocketFrame.write(opcode, message.payload, into: &bytes)
        }
        return true
    }

    /// Writes the header of a binary message whose payload the caller sends right behind it. False after a close frame.
    package mutating func writeBinaryHeader(length: Int, into bytes: inout ByteBuffer) -> Bool {
        if self.isCloseSent { return false }
        WebSocketFrame.writeHeader(.binary, length: length, into: &bytes)
        return true
    }

    package mutating func writePing(_ payload: ByteBuffer, into bytes: inout ByteBuffer) {
        if self.isCloseSent { return }
        WebSocketFrame.write(.ping, payload, into: &bytes)
    }

    package mutating func writePong(_ payload: ByteBuffer, into bytes: inout ByteBuffer) {
        if self.isCloseSent { return }
        WebSocketFrame.write(.pong, payload, into: &bytes)
    }

    /// Writes the one close frame. False when it was written before.
    @discardableResult
    package mutating func writeClose(_ code: WebSocketCloseCode?, reason: String = "", into bytes: inout ByteBuffer) -> Bool {
        if self.isCloseSent { return false }
        self.isCloseSent = true
        WebSocketFrame.writeClose(code, reason, into: &bytes)
        return true
    }
}
