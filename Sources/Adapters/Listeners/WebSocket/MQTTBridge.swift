package import NIOCore
package import SkerryNode

/// MQTT over WebSocket (MQTT 5 §6): binary frames in front of the MQTT handler become its byte stream and back. Packets may span frames.
///
/// Payload goes through piece by piece, so no message is ever gathered here; what a packet may be is the MQTT handler's business.
package final class MQTTBridge: ChannelDuplexHandler, RemovableChannelHandler, KeptConnection {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    package static let subprotocols = ["mqtt", "mqttv3.1"]
    private static let closeSeconds: Int64 = 5

    private enum Phase {
        case open
        /// Our close frame is out and the client's end is awaited.
        case closing(deadline: NIODeadline)
        case closed
    }

    private let keeper: ConnectionKeeper
    private let metrics: NodeMetrics
    private var machine = WebSocketMachine(delivery: .pieces)
    private var phase = Phase.open
    private var context: ChannelHandlerContext?
    private var hasOpened = false
    /// The latest ping of a client that does not take its pongs; RFC 6455 §5.5.3 lets the others go unanswered.
    private var waitingPing: ByteBuffer?
    package var keeperSlot: Int?

    package init(keeper: ConnectionKeeper, metrics: NodeMetrics) {
        self.keeper = keeper
        self.metrics = metrics
    }

    // MARK: - Life

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { self.open() }
    }

    package func channelActive(context: ChannelHandlerContext) {
        self.open()
        context.fireChannelActive()
    }

    private func open() {
        if self.hasOpened { return }
        self.hasOpened = true
        self.metrics.add(.webSocketsOpened)
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.finish() }

    package func channelInactive(context: ChannelHandlerContext) {
        self.finish()
        context.fireChannelInactive()
    }

    private func finish() {
        self.phase = .closed
        self.keeper.forget(self)
        self.context = nil
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { return context.close(mode: .all, promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: - From the client

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        while let event = self.machine.receive(&bytes) {
            guard case .open = self.phase else {
                if case .close = event { context.close(mode: .all, promise: nil) }
                continue
            }
            switch event {
            case .message(let message), .piece(let message):
                guard !message.isText else { return self.end(.unacceptableData, "MQTT is binary") }
                self.metrics.add(.webSocketFramesIn)
                if message.payload.readableBytes > 0 { context.fireChannelRead(self.wrapInboundOut(message.payload)) }
            case .ping(let payload): self.pong(payload, context)
            case .pong: break
            case .close(let code, _): self.end(code, "")
            case .violation(let violation):
                self.metrics.add(.webSocketProtocolErrors)
                self.end(violation.code, violation.reason)
            }
        }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, let payload = self.waitingPing {
            self.waitingPing = nil
            self.pong(payload, context)
        }
        context.fireChannelWritabilityChanged()
    }

    private func pong(_ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        guard context.channel.isWritable else {
            self.waitingPing = payload
            return
        }
        var bytes = ByteBuffer()
        self.machine.writePong(payload, into: &bytes)
        context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
    }

    // MARK: - To the client

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let payload = self.unwrapOutboundIn(data)
        var header = ByteBuffer()
        guard self.machine.writeBinaryHeader(length: payload.readableBytes, into: &header) else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        self.metrics.add(.webSocketFramesOut)
        context.write(self.wrapOutboundOut(header), promise: nil)
        context.write(self.wrapOutboundOut(payload), promise: promise)
    }

    /// The MQTT handler ends the connection: the client hears a close frame first.
    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if let promise { context.channel.closeFuture.cascade(to: promise) }
        self.end(.normal, "")
    }

    private func end(_ code: WebSocketCloseCode?, _ reason: String) {
        guard let context = self.context, case .open = self.phase else { return }
        self.phase = .closing(deadline: self.keeper.loop.now + .seconds(Self.closeSeconds))
        self.keeper.keep(self)
        var bytes = ByteBuffer()
        self.machine.writeClose(code, reason: reason, into: &bytes)
        context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
        let promise = self.keeper.loop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenFailure { _ in self.context?.close(mode: .all, promise: nil) }
        context.close(mode: .output, promise: promise)
    }

    // MARK: - KeptConnection

    package func tickEnded() {}

    package func secondPassed(_ now: NIODeadline) {
        if case .closing(let deadline) = self.phase, now >= deadline { self.context?.close(mode: .all, promise: nil) }
    }
}

@available(*, unavailable)
extension MQTTBridge: Sendable {}
