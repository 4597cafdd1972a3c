import MQTTCodec
package import NIOCore
import SkerryModel
package import SkerryNode

/// The socket's side of one MQTT connection: bytes to packets and to the session's home, bytes from there to the socket.
///
/// What comes is bounded before it is understood: a packet by the decoder, the time until CONNECT by a deadline, what is under way to the
/// session by `MQTTLink.owe`, above which the socket is not read. TCP, TLS and the WebSocket bridge all put it last in their pipeline.
package final class MQTTConnectionHandler: ChannelDuplexHandler, MQTTOutlet, KeptConnection {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = Never
    package typealias OutboundOut = ByteBuffer

    private enum Phase {
        /// CONNECT is awaited.
        case new(deadline: NIODeadline)
        /// CONNECT came; who it is, and whether they may come in, is being found out. Nothing is read meanwhile.
        case connecting(deadline: NIODeadline)
        case connected(home: Shard)
        /// The last bytes are on their way; a client that does not take them is cut off at the deadline.
        case closing(deadline: NIODeadline)
        case closed
    }

    /// The decision about a CONNECT may wait for a password to be hashed behind others.
    private static let connectingSeconds: Int64 = 30
    private static let closingSeconds: Int64 = 5

    private let broker: MQTTBroker
    private let keeper: ConnectionKeeper
    private let transport: MQTTTransport
    private var decoder: MQTTDecoder
    private var phase = Phase.closed
    private var context: ChannelHandlerContext?
    private var link: MQTTLink?
    private var isPaused = false
    private var hasReadWaiting = false
    package var keeperSlot: Int?

    /// - Parameter keeper: that of the connection's loop.
    package init(broker: MQTTBroker, keeper: ConnectionKeeper, transport: MQTTTransport = .tcp) {
        self.broker = broker
        self.keeper = keeper
        self.transport = transport
        var limits = MQTTCodecLimits()
        limits.packetBytesMax = min(broker.node.limits.connectPacketBytesMax, broker.settings.packetBytesMax)
        self.decoder = MQTTDecoder(limits: limits)
    }

    // MARK: - Life

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { self.open(context) }
    }

    package func channelActive(context: ChannelHandlerContext) {
        self.open(context)
        context.fireChannelActive()
    }

    private func open(_ context: ChannelHandlerContext) {
        guard self.link == nil else { return }
        self.link = MQTTLink(
            id: self.broker.nextLink(), loop: context.eventLoop, remote: context.remoteAddress, transport: self.transport,
            owedMax: self.broker.settings.owedMax, outlet: self)
        self.phase = .new(deadline: self.keeper.loop.now + .seconds(Int64(self.broker.node.limits.helloSecondsMax)))
        self.keeper.keep(self)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.finish()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.finish() }

    /// The socket is gone; the session hears of it, unless it was the one that closed.
    private func finish() {
        self.keeper.forget(self)
        self.context = nil
        guard let link = self.link else { return }
        self.link = nil
        link.detach()
        switch self.phase {
        case .connected(let home): self.broker.disconnected(link, home: home)
        case .connecting: self.broker.abandoned(link)
        case .new, .closing, .closed: break
        }
        self.phase = .closed
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client of MQTT that says no more wants no more either.
        if event as? ChannelEvent == .inputClosed { return context.close(mode: .all, promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: - From the client

    package func read(context: ChannelHandlerContext) {
        if self.isPaused || self.isConnecting { self.hasReadWaiting = true } else { context.read() }
    }

    private var isConnecting: Bool {
        if case .connecting = self.phase { true } else { false }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = self.unwrapInboundIn(data)
        self.broker.node.metrics.add(.mqttBytesIn, bytes.readableBytes)
        switch self.phase {
        case .new, .connecting, .connected: break
        case .closing, .closed: return
        }
        self.decoder.append(bytes)
        self.decode()
    }

    /// Hands over everything that is whole; what comes behind CONNECT waits until the session is there.
    private func decode() {
        guard let link = self.link else { return }
        do {
            switch self.phase {
            case .new:
                guard case .connect(let connect) = try self.decoder.next() else { return }
                self.decoder.limits.packetBytesMax = self.broker.settings.packetBytesMax
                self.phase = .connecting(deadline: self.keeper.loop.now + .seconds(Self.connectingSeconds))
                self.broker.connect(connect, link)
            case .connected(let home):
                var packets: [MQTTPacket] = []
                defer { self.hand(packets, link, home) }
                while let packet = try self.decoder.next() { packets.append(packet) }
            case .connecting, .closing, .closed: return
            }
        } catch {
            self.fail(error)
        }
    }

    private func hand(_ packets: [MQTTPacket], _ link: MQTTLink, _ home: Shard) {
        if packets.isEmpty { return }
        if !link.owe(packets.count) { self.isPaused = true }
        self.broker.receive(packets, link, home: home)
    }

    /// The client broke the protocol: it hears why, where its version can say so, and the session takes it as lost.
    private func fail(_ error: MQTTDecodeError) {
        self.broker.node.metrics.add(.mqttProtocolErrors)
        if case .connected(let home) = self.phase, let link = self.link { self.broker.disconnected(link, home: home) }
        if let farewell = self.decoder.farewell {
            var bytes = ByteBuffer()
            MQTTEncoder.encode(farewell.packet, version: farewell.version, into: &bytes)
            self.context?.write(self.wrapOutboundOut(bytes), promise: nil)
        }
        self.close()
    }

    // MARK: - MQTTOutlet

    package func accepted(by home: Shard) {
        guard case .connecting = self.phase else { return }
        self.phase = .connected(home: home)
        self.keeper.forget(self)
        self.decode()
        self.readWaiting()
    }

    package func send(_ bytes: ByteBuffer) {
        guard let context = self.context, let link = self.link else { return }
        switch self.phase {
        case .new, .connecting, .connected: break
        case .closing, .closed: return
        }
        let count = bytes.readableBytes
        self.broker.node.metrics.add(.mqttBytesOut, count)
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in self.left(count, link) }
        context.writeAndFlush(self.wrapOutboundOut(bytes), promise: promise)
    }

    private func left(_ count: Int, _ link: MQTTLink) {
        guard link.left(count, roomBelow: self.broker.settings.outboxBytesMax / 2), case .connected(let home) = self.phase else { return }
        self.broker.hasRoom(link, home: home)
    }

    package func close() {
        guard let context = self.context else { return }
        switch self.phase {
        case .closing, .closed: return
        case .new, .connecting, .connected: break
        }
        self.phase = .closing(deadline: self.keeper.loop.now + .seconds(Self.closingSeconds))
        self.keeper.keep(self)
        // An empty write behind the last bytes: when it is done they have left.
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in self.context?.close(mode: .all, promise: nil) }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: promise)
    }

    package func resumeReading() {
        self.isPaused = false
        self.readWaiting()
    }

    private func readWaiting() {
        guard self.hasReadWaiting, !self.isPaused, !self.isConnecting else { return }
        self.hasReadWaiting = false
        self.context?.read()
    }

    // MARK: - KeptConnection

    package func tickEnded() {}

    package func secondPassed(_ now: NIODeadline) {
        switch self.phase {
        case .new(let deadline), .connecting(let deadline), .closing(let deadline):
            if now >= deadline { self.context?.close(mode: .all, promise: nil) }
        case .connected, .closed: break
        }
    }
}

@available(*, unavailable)
extension MQTTConnectionHandler: Sendable {}
