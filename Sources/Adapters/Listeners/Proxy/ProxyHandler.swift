import NIOCore

/// The first handler of a connection from a trusted proxy: reads the PROXY header, then makes way for the connection's own handlers.
///
/// Nothing else of the connection exists before the header is whole, so nothing can act on the proxy's address by mistake.
final class ProxyHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    struct Bounds: Sendable {
        /// The longest header of version 2: addresses, and what a proxy says beside them.
        var headerBytesMax = 2_048
        /// From the connection's begin to the header's end.
        var headerSeconds: Int64
    }

    private let bounds: Bounds
    /// Puts the connection's handlers behind this one; throws when the client is not to be let in.
    private let open: (any Channel, SocketAddress?) throws -> Void
    /// The connection is closed for what its header is.
    private let refused: (String) -> Void
    private var received = ByteBuffer()
    private var deadline: Scheduled<Void>?
    private var isDone = false

    init(bounds: Bounds, open: @escaping (any Channel, SocketAddress?) throws -> Void, refused: @escaping (String) -> Void) {
        self.bounds = bounds
        self.open = open
        self.refused = refused
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let loopBound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let channel = context.channel
        self.deadline = context.eventLoop.scheduleTask(in: .seconds(self.bounds.headerSeconds)) {
            loopBound.value.refuse("no PROXY header came in time", channel)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.deadline?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        if self.isDone { return }
        self.received.writeBuffer(&bytes)
        switch ProxyHeader.read(self.received.readableBytesView, binaryBytesMax: self.bounds.headerBytesMax) {
        case .incomplete: break
        case .wrong(let reason): self.refuse("the PROXY header is wrong: \(reason)", context.channel)
        case .complete(let length, let address):
            self.isDone = true
            self.received.moveReaderIndex(forwardBy: length)
            let rest = self.received
            self.received = ByteBuffer()
            do {
                try self.open(context.channel, address)
            } catch {
                return context.close(promise: nil)
            }
            if rest.readableBytes > 0 {
                context.fireChannelRead(self.wrapInboundOut(rest))
                context.fireChannelReadComplete()
            }
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        }
    }

    private func refuse(_ reason: String, _ channel: any Channel) {
        if self.isDone { return }
        self.isDone = true
        self.received = ByteBuffer()
        self.refused(reason)
        channel.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // Only while the header is awaited: nobody to tell yet.
        if event is ChannelShouldQuiesceEvent || event as? ChannelEvent == .inputClosed { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }
}

@available(*, unavailable)
extension ProxyHandler: Sendable {}

/// Looks at the first bytes of everybody else while some proxies are trusted: who is not one of them does not get to say who they are.
final class ProxyScreen: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let refused: () -> Void
    /// At most as many bytes as tell a PROXY header from other things.
    private var received = ByteBuffer()
    private var isDone = false

    init(refused: @escaping () -> Void) { self.refused = refused }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        if self.isDone { return }
        self.received.writeBuffer(&bytes)
        switch ProxyHeader.kind(self.received.readableBytesView) {
        case .unknown: break
        case .neither:
            self.isDone = true
            let received = self.received
            self.received = ByteBuffer()
            context.fireChannelRead(self.wrapInboundOut(received))
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        case .text, .binary:
            self.isDone = true
            self.refused()
            context.close(promise: nil)
        }
    }
}

@available(*, unavailable)
extension ProxyScreen: Sendable {}
