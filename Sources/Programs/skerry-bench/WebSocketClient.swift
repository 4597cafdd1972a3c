import NIOCore
import NIOWebSocket

/// The client's side of a WebSocket, as small as measuring allows: handshake, whole text frames, nothing else.
///
/// A client that costs little leaves the processor to the box, so frames are cut here by hand and never decoded further than needed.
final class WebSocketClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State { case handshake, open, closed }

    private let host: String
    private let opened: EventLoopPromise<Void>
    /// Gets every text frame of the box.
    var onText: (ByteBuffer) -> Void = { _ in }
    /// The connection has ended, by whomever.
    var onClose: () -> Void = {}
    private var state = State.handshake
    private var received = ByteBuffer()
    private var context: ChannelHandlerContext?

    init(host: String, opened: EventLoopPromise<Void>) {
        self.host = host
        self.opened = opened
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        let request = """
            GET /v1/ws HTTP/1.1\r\nHost: \(self.host)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: c2tlcnJ5IGJlbmNobWFyaw==\r\nSec-WebSocket-Protocol: skerry.v1.json\r\n\r\n
            """
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: request)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = self.unwrapInboundIn(data)
        self.received.writeBuffer(&buffer)
        if self.state == .handshake { self.finishHandshake() }
        while self.state == .open, let (opcode, payload) = self.nextFrame() {
            switch opcode {
            case 1: self.onText(payload)
            case 9: self.write(opcode: 0xA, payload)
            case 8: context.close(promise: nil)
            default: break
            }
        }
        if self.received.readableBytes == 0 { self.received.clear() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.end(ChannelError.eof)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.end(error)
        context.close(promise: nil)
    }

    /// Sends a text frame.
    func send(_ text: ByteBuffer) { self.write(opcode: 1, text) }

    private func end(_ error: any Error) {
        guard self.state != .closed else { return }
        if self.state == .handshake { self.opened.fail(error) }
        self.state = .closed
        self.context = nil
        self.onClose()
    }

    private func finishHandshake() {
        let view = self.received.readableBytesView
        let end: [UInt8] = [13, 10, 13, 10]
        guard view.count >= 4, let index = view.indices.dropLast(3).first(where: { view[$0...].starts(with: end) }) else { return }
        let head = String(decoding: view[..<index], as: UTF8.self)
        guard head.hasPrefix("HTTP/1.1 101") else {
            self.opened.fail(BenchError("the box refused the WebSocket: \(head.prefix(60))"))
            self.state = .closed
            return
        }
        self.received.moveReaderIndex(to: index + 4)
        self.state = .open
        self.opened.succeed()
    }

    private func nextFrame() -> (opcode: UInt8, payload: ByteBuffer)? {
        let start = self.received.readerIndex
        guard let first = self.received.readInteger(as: UInt8.self), let second = self.received.readInteger(as: UInt8.self) else {
            self.received.moveReaderIndex(to: start)
            return nil
        }
        let length: Int?
        switch second & 0x7F {
        case 126: length = self.received.readInteger(as: UInt16.self).map(Int.init)
        case 127: length = self.received.readInteger(as: UInt64.self).flatMap { Int(exactly: $0) }
        case let short: length = Int(short)
        }
        guard let length, let payload = self.received.readSlice(length: length) else {
            self.received.moveReaderIndex(to: start)
            return nil
        }
        return (first & 0x0F, payload)
    }

    private func write(opcode: UInt8, _ payload: ByteBuffer) {
        guard let context = self.context else { return }
        let key: WebSocketMaskingKey = [0x5A, 0x17, 0xC3, 0x8E]
        var payload = payload
        var frame = context.channel.allocator.buffer(capacity: payload.readableBytes + 14)
        frame.writeInteger(0x80 | opcode)
        switch payload.readableBytes {
        case ..<126: frame.writeInteger(0x80 | UInt8(payload.readableBytes))
        case ..<65_536: frame.writeMultipleIntegers(UInt8(0x80 | 126), UInt16(payload.readableBytes))
        default: frame.writeMultipleIntegers(UInt8(0x80 | 127), UInt64(payload.readableBytes))
        }
        frame.writeBytes(key)
        payload.webSocketMask(key)
        frame.writeBuffer(&payload)
        context.writeAndFlush(self.wrapOutboundOut(frame), promise: nil)
    }
}

@available(*, unavailable)
extension WebSocketClient: Sendable {}
