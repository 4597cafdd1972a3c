package import NIOCore
package import SkerryNode

/// What is done with the messages of one WebSocket. Called on the connection's loop; it does not outlive the connection.
package protocol WebSocketApplication: AnyObject {
    func opened(_ connection: WebSocketConnection)
    func received(_ message: WebSocketMessage, on connection: WebSocketConnection)
    /// Everything that waited for the client has been written.
    func drained(_ connection: WebSocketConnection)
    func secondPassed(_ now: NIODeadline, on connection: WebSocketConnection)
    /// The listener is shutting down.
    func shouldQuiesce(_ connection: WebSocketConnection)
    /// The connection is gone. Called once, last.
    func closed(_ connection: WebSocketConnection)
}

/// Bounds of one WebSocket.
package struct WebSocketBounds: Sendable {
    package var messageBytesMax: Int
    /// While more than this waits for the client nothing more is read from it: a client that does not take its answers gets no new ones.
    package var unreadBytesMax: Int
    /// How long the other side may take to answer a close frame, or to take it.
    package var closeSeconds: Int64 = 5
    /// How long the other side may take to close its end once ours is closed.
    package var lingerSeconds: Int64 = 2

    package init(messageBytesMax: Int, unreadBytesMax: Int) {
        self.messageBytesMax = messageBytesMax
        self.unreadBytesMax = unreadBytesMax
    }
}

/// The one channel handler of an upgraded connection: bytes ⇄ messages, one write a tick, and an orderly end.
///
/// Frames gather in one buffer until the tick ends; while a write is on its way the next buffer gathers. So what waits for a client is known to
/// the byte whatever lies below (TLS, a full socket), and an idle connection holds no buffer at all.
package final class WebSocketConnection: ChannelDuplexHandler, RemovableChannelHandler, KeptConnection {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = Never
    package typealias OutboundOut = ByteBuffer

    private enum Phase {
        case open
        /// The close frame is written or waits to be. With `isAgreed` no answer is awaited: the connection ends when it is out.
        case closing(deadline: NIODeadline, isAgreed: Bool)
        /// Our side is closed; the other side's end is awaited, so that the kernel does not reset the connection under our last frame.
        case lingering(deadline: NIODeadline)
        case closed
    }

    private let keeper: ConnectionKeeper
    private let application: any WebSocketApplication
    private let metrics: NodeMetrics
    private let bounds: WebSocketBounds
    private var machine: WebSocketMachine
    private var phase = Phase.open
    private var context: ChannelHandlerContext?
    private var outbox = ByteBuffer()
    private var writingBytes = 0
    private var isTouched = false
    private var hasOpened = false
    private var isReadHeld = false
    private var isReadWanted = false
    package var keeperSlot: Int?
    /// When bytes came last.
    package private(set) var lastHeard: NIODeadline

    package init(
        keeper: ConnectionKeeper, application: any WebSocketApplication, metrics: NodeMetrics, bounds: WebSocketBounds, deflate: DeflateAgreement? = nil
    ) {
        self.keeper = keeper
        self.application = application
        self.metrics = metrics
        self.bounds = bounds
        self.machine = WebSocketMachine(delivery: .messages(bytesMax: bounds.messageBytesMax), deflate: deflate)
        self.lastHeard = keeper.loop.now
    }

    // MARK: - For the application

    package var loop: any EventLoop { self.keeper.loop }
    package var isOpen: Bool { if case .open = self.phase { true } else { false } }
    /// Bytes written by us that the system has not taken yet.
    package var waitingBytes: Int { self.outbox.readableBytes + self.writingBytes }

    package func send(_ message: WebSocketMessage) {
        guard self.isOpen, self.machine.write(message, into: &self.outbox) else { return }
        self.metrics.add(.webSocketFramesOut)
        self.touch()
    }

    /// From the next message on.
    package func allow(messageBytesMax: Int) { self.machine.delivery = .messages(bytesMax: messageBytesMax) }

    /// Forgets the frames that have not been given to the system. Only right before `close`: the client cannot know what it missed.
    package func dropWaiting() { self.outbox = ByteBuffer() }

    /// Begins the closing handshake. What was sent before still goes out.
    package func close(_ code: WebSocketCloseCode, reason: String = "") { self.end(code, reason, isAgreed: false) }

    /// While held nothing more is read from the client; what was read already is still delivered.
    package func holdReading(_ isHeld: Bool) {
        self.isReadHeld = isHeld
        self.readIfWanted()
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
        self.keeper.keep(self)
        self.application.opened(self)
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.finish() }

    package func channelInactive(context: ChannelHandlerContext) {
        self.finish()
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: context.close(promise: nil)
        case is ChannelShouldQuiesceEvent: self.application.shouldQuiesce(self)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    private func finish() {
        if case .closed = self.phase { return }
        self.phase = .closed
        self.keeper.forget(self)
        self.outbox = ByteBuffer()
        if self.hasOpened { self.application.closed(self) }
        self.context = nil
    }

    // MARK: - Reading

    package func read(context: ChannelHandlerContext) {
        self.isReadWanted = true
        self.readIfWanted()
    }

    private func readIfWanted() {
        guard self.isReadWanted, let context = self.context else { return }
        if self.isOpen, self.isReadHeld || self.waitingBytes > self.bounds.unreadBytesMax { return }
        self.isReadWanted = false
        context.read()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        self.lastHeard = self.loop.now
        while let event = self.machine.receive(&bytes) {
            switch self.phase {
            case .open: self.handle(event)
            case .closing(let deadline, isAgreed: false):
                // Only the answer to our close frame counts now, or the discovery that there will be none.
                switch event {
                case .close, .violation:
                    self.phase = .closing(deadline: deadline, isAgreed: true)
                    self.touch()
                case .message, .piece, .ping, .pong: break
                }
            case .closing, .lingering, .closed: return
            }
        }
    }

    private func handle(_ event: WebSocketEvent) {
        switch event {
        case .message(let message), .piece(let message):
            self.metrics.add(.webSocketFramesIn)
            self.application.received(message, on: self)
        case .ping(let payload):
            self.machine.writePong(payload, into: &self.outbox)
            self.touch()
        case .pong: break
        case .close(let code, _): self.end(code, "", isAgreed: true)
        case .violation(let violation):
            self.metrics.add(.webSocketProtocolErrors)
            self.end(violation.code, violation.reason, isAgreed: true)
        }
    }

    // MARK: - Writing

    private func touch() {
        if self.isTouched { return }
        self.isTouched = true
        self.keeper.touch(self)
    }

    package func tickEnded() {
        self.isTouched = false
        self.write()
    }

    private func write() {
        guard let context = self.context, self.writingBytes == 0 else { return }
        guard self.outbox.readableBytes > 0 else { return self.closeOutputIfDone(context) }
        let bytes = self.outbox
        self.outbox = ByteBuffer()
        self.writingBytes = bytes.readableBytes
        let promise = self.loop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { self.written($0) }
        context.writeAndFlush(self.wrapOutboundOut(bytes), promise: promise)
    }

    private func written(_ result: Result<Void, any Error>) {
        self.writingBytes = 0
        guard let context = self.context else { return }
        switch result {
        case .failure: context.close(promise: nil)
        case .success:
            if self.outbox.readableBytes > 0 { return self.touch() }
            if self.isOpen { self.application.drained(self) }
            self.closeOutputIfDone(context)
            self.readIfWanted()
        }
    }

    // MARK: - The end

    private func end(_ code: WebSocketCloseCode?, _ reason: String, isAgreed: Bool) {
        guard self.isOpen else { return }
        self.machine.writeClose(code, reason: reason, into: &self.outbox)
        self.phase = .closing(deadline: self.loop.now + .seconds(self.bounds.closeSeconds), isAgreed: isAgreed)
        self.touch()
        self.readIfWanted()
    }

    private func closeOutputIfDone(_ context: ChannelHandlerContext) {
        guard case .closing(_, isAgreed: true) = self.phase, self.outbox.readableBytes == 0, self.writingBytes == 0 else { return }
        self.phase = .lingering(deadline: self.loop.now + .seconds(self.bounds.lingerSeconds))
        let promise = self.loop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenFailure { _ in self.context?.close(promise: nil) }
        context.close(mode: .output, promise: promise)
        self.readIfWanted()
    }

    package func secondPassed(_ now: NIODeadline) {
        switch self.phase {
        case .open: self.application.secondPassed(now, on: self)
        case .closing(let deadline, _), .lingering(let deadline):
            if now >= deadline { self.context?.close(promise: nil) }
        case .closed: break
        }
    }
}

@available(*, unavailable)
extension WebSocketConnection: Sendable {}
