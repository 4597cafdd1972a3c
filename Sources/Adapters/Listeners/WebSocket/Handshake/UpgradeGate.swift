package import NIOCore

/// The first handler of a connection on the HTTP port: reads one request head and decides whose connection it is.
///
/// A WebSocket handshake is answered here and the connection goes to the route's handlers: no HTTP handler was ever in its pipeline, and
/// nothing stays behind. Everything else, malformed bytes included, is handed to the HTTP server as it came.
///
/// Only the first request of a connection may become a WebSocket; clients open a new connection for one (RFC 6455 §4.1).
package final class UpgradeGate: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    package struct Bounds: Sendable {
        /// A longer head is nobody's WebSocket.
        package var headBytesMax = 16 * 1024
        /// From the connection's begin, TLS handshake included, to the end of the head; then it is closed.
        package var headSeconds: Int64 = 10
        package init() {}
    }

    private let routes: [WebSocketRoute]
    private let address: SocketAddress?
    private let bounds: Bounds
    private let handshakeFailed: (@Sendable (String) -> Void)?
    private let serveHTTP: @Sendable (any Channel) throws -> Void
    private var received = ByteBuffer()
    private var deadline: Scheduled<Void>?
    private var isDone = false

    /// - Parameters:
    ///   - address: the client's, if that is not the connection's own.
    ///   - handshakeFailed: hears why TLS failed, if it does.
    ///   - serveHTTP: puts the HTTP handlers behind the gate. What was read so far follows through the pipeline.
    package init(
        routes: [WebSocketRoute], address: SocketAddress? = nil, bounds: Bounds = Bounds(), handshakeFailed: (@Sendable (String) -> Void)? = nil,
        serveHTTP: @escaping @Sendable (any Channel) throws -> Void
    ) {
        self.routes = routes
        self.address = address
        self.bounds = bounds
        self.handshakeFailed = handshakeFailed
        self.serveHTTP = serveHTTP
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        self.deadline = channel.eventLoop.scheduleTask(in: .seconds(self.bounds.headSeconds)) { channel.close(promise: nil) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.deadline?.cancel() }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        if self.isDone { return }
        let searched = max(0, self.received.readableBytes - 3)
        self.received.writeBuffer(&bytes)
        guard let first = self.received.readableBytesView.first, (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first) else {
            return self.passToHTTP(context)
        }
        guard let length = self.headLength(from: searched) else {
            if self.received.readableBytes > self.bounds.headBytesMax { self.passToHTTP(context) }
            return
        }
        guard let head = RequestHead(self.received.readableBytesView.prefix(length)), head.asksForWebSocket else { return self.passToHTTP(context) }
        switch WebSocketHandshake.decide(head, routes: self.routes) {
        case .refuse(let response): self.refuse(context, response)
        case .accept(let route, let opened, let response):
            self.received.moveReaderIndex(forwardBy: length)
            var opened = opened
            opened.address = self.address
            self.open(context, route, opened, response)
        }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent || event as? ChannelEvent == .inputClosed { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let reason = TLSFailure.reason(error) { self.handshakeFailed?(reason) }
        context.close(promise: nil)
    }

    /// Bytes up to and including the empty line; nil while it has not come. A line that ends with LF alone counts here: what it is worth is
    /// decided by who reads the head.
    private func headLength(from start: Int) -> Int? {
        let view = self.received.readableBytesView
        var index = view.startIndex + start
        while let end = view[index...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = view[view.startIndex..<end].suffix(2)
            if line.last == UInt8(ascii: "\n") || line.elementsEqual("\n\r".utf8) { return end - view.startIndex + 1 }
            index = end + 1
        }
        return nil
    }

    private func passToHTTP(_ context: ChannelHandlerContext) {
        self.isDone = true
        do {
            try self.serveHTTP(context.channel)
        } catch {
            return context.close(promise: nil)
        }
        self.leave(context)
    }

    private func open(_ context: ChannelHandlerContext, _ route: WebSocketRoute, _ opened: OpenedWebSocket, _ response: ByteBuffer) {
        self.isDone = true
        context.writeAndFlush(self.wrapOutboundOut(response), promise: nil)
        do {
            let handlers = route.makeHandlers(context.channel, opened)
            try context.pipeline.syncOperations.addHandlers(handlers, position: .after(self))
        } catch {
            return context.close(promise: nil)
        }
        self.leave(context)
    }

    private func leave(_ context: ChannelHandlerContext) {
        let received = self.received
        self.received = ByteBuffer()
        if received.readableBytes > 0 {
            context.fireChannelRead(self.wrapInboundOut(received))
            context.fireChannelReadComplete()
        }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    private func refuse(_ context: ChannelHandlerContext, _ response: ByteBuffer) {
        self.isDone = true
        // The client reads the answer, then sees the end; the deadline closes what does not leave by itself.
        let channel = context.channel
        let promise = channel.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenFailure { _ in channel.close(promise: nil) }
        context.writeAndFlush(self.wrapOutboundOut(response), promise: nil)
        context.close(mode: .output, promise: promise)
    }
}

@available(*, unavailable)
extension UpgradeGate: Sendable {}
