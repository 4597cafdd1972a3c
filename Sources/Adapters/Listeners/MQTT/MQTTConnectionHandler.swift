import MQTTCodec
package import NIOCore
package import SkerryModel
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
        /// The client is to prove who it is by an AUTH; all its AUTHs together have the time of one CONNECT.
        case authenticating(AuthExchange, deadline: NIODeadline)
        case connected(home: Shard)
        /// The last bytes are on their way; a client that does not take them is cut off at the deadline.
        case closing(deadline: NIODeadline)
        case closed
    }

    /// The decision about a CONNECT may wait for a password to be hashed behind others.
    private static let connectingSeconds: Int64 = 30
    private static let closingSeconds: Int64 = 5
    /// A packet that has begun may take this long whatever its size; after that it must come at least this fast on average. The keep-alive does
    /// not see to that where the client has none.
    private static let packetSeconds: Int64 = 30
    private static let packetBytesPerSecondMin = 256

    private let broker: MQTTBroker
    private let keeper: ConnectionKeeper
    private let transport: MQTTTransport
    private let terms: ListenerTerms
    /// Where the client is, if that is not where the connection comes from.
    private let client: SocketAddress?
    /// How a client's certificate says whose it is; nil: nobody is asked for one.
    private let naming: CertificateNaming?
    private var decoder: MQTTDecoder
    private var phase = Phase.closed
    private var context: ChannelHandlerContext?
    private var link: MQTTLink?
    private var isPaused = false
    private var hasReadWaiting = false
    /// Since when a packet of a connected client is on its way and not whole.
    private var partialSince: NIODeadline?
    package var keeperSlot: Int?

    /// - Parameters:
    ///   - keeper: that of the connection's loop.
    ///   - entrance: of the listener; nil for one without settings of its own.
    ///   - client: the address that a proxy gave.
    ///   - naming: how a client's certificate says whose it is, where the listener asks for them.
    package init(
        broker: MQTTBroker, keeper: ConnectionKeeper, transport: MQTTTransport = .tcp, entrance: MQTTEntrance? = nil, client: SocketAddress? = nil,
        naming: CertificateNaming? = nil
    ) {
        self.broker = broker
        self.keeper = keeper
        self.transport = transport
        self.terms = (entrance ?? broker.standard).terms
        self.client = client
        self.naming = naming
        var limits = MQTTCodecLimits()
        self.terms.apply(to: &limits)
        limits.packetBytesMax = min(broker.node.limits.connectPacketBytesMax, limits.packetBytesMax)
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
            id: self.broker.nextLink(), loop: context.eventLoop, remote: self.client ?? context.remoteAddress, transport: self.transport,
            terms: self.terms, outlet: self)
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
        case .new, .authenticating, .closing, .closed: break
        }
        self.phase = .closed
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .new = self.phase, let link = self.link, let reason = TLSFailure.reason(error) {
            self.broker.node.metrics.add(.tlsHandshakesFailed)
            self.broker.noteFault(link, .notAuthorized, reason)
        }
        context.close(promise: nil)
    }

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
        case .new, .connecting, .authenticating, .connected: break
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
                self.phase = .connecting(deadline: self.keeper.loop.now + .seconds(Self.connectingSeconds))
                self.broker.connect(connect, link, certificate: self.certificateUser())
            case .authenticating(let exchange, let deadline):
                var packets: [MQTTPacket] = []
                while let packet = try self.decoder.next() { packets.append(packet) }
                if packets.isEmpty { return }
                self.phase = .connecting(deadline: deadline)
                self.broker.proceed(exchange, packets, link)
            case .connected(let home):
                var packets: [MQTTPacket] = []
                defer { self.hand(packets, link, home) }
                while let packet = try self.decoder.next() { packets.append(packet) }
                self.watchPartial(isNew: !packets.isEmpty)
            case .connecting, .closing, .closed: return
            }
        } catch {
            self.fail(error)
        }
    }

    /// While a packet is not whole the keeper looks at how it gets on.
    private func watchPartial(isNew: Bool) {
        if self.decoder.bufferedBytes == 0 {
            guard self.partialSince != nil else { return }
            self.partialSince = nil
            self.keeper.forget(self)
        } else if isNew || self.partialSince == nil {
            self.partialSince = self.keeper.loop.now
            self.keeper.keep(self)
        }
    }

    private func cutPartial(since: NIODeadline, _ now: NIODeadline, _ link: MQTTLink, _ home: Shard) {
        // What we do not read cannot come.
        if self.isPaused { return self.partialSince = now }
        let seconds = (now - since).nanoseconds / 1_000_000_000
        guard seconds > Self.packetSeconds, Int64(self.decoder.bufferedBytes) < seconds * Int64(Self.packetBytesPerSecondMin) else { return }
        self.broker.node.metrics.add(.mqttStalledPackets)
        self.broker.noteFault(link, .keepAliveTimeout, "A packet that had begun did not go on.")
        self.broker.disconnected(link, home: home)
        if self.decoder.version == .v5 {
            var bytes = ByteBuffer()
            MQTTEncoder.encode(.disconnect(MQTTDisconnect(.keepAliveTimeout)), version: .v5, into: &bytes)
            self.context?.write(self.wrapOutboundOut(bytes), promise: nil)
        }
        self.close()
    }

    /// Only where the listener asks for certificates.
    private func certificateUser() -> String? {
        guard let naming = self.naming, let context = self.context else { return nil }
        return CertificateUser.name(of: context.pipeline.syncOperations, naming: naming)
    }

    private func hand(_ packets: [MQTTPacket], _ link: MQTTLink, _ home: Shard) {
        if packets.isEmpty { return }
        if !link.owe(packets.count) { self.isPaused = true }
        self.broker.receive(packets, link, home: home)
    }

    /// The client broke the protocol: it hears why, where its version can say so, and the session takes it as lost.
    private func fail(_ error: MQTTDecodeError) {
        self.broker.node.metrics.add(.mqttProtocolErrors)
        switch error.cause {
        case .tooLarge: self.broker.node.metrics.add(.mqttPacketsTooLarge)
        case .tooMany: self.broker.node.metrics.add(.mqttPacketItemsOver)
        default: break
        }
        if case .authenticating(let exchange, _) = self.phase, let link = self.link {
            // DISCONNECT is for clients that had their CONNACK [MQTT-3.14.0-1].
            return self.broker.refuse(exchange, error.reason, "What came instead of an AUTH is no packet that may come here.", link)
        }
        if let link = self.link {
            self.broker.noteFault(link, error.reason, "What came is no MQTT packet that may come here: \(error)")
            if case .connected(let home) = self.phase { self.broker.disconnected(link, home: home) }
        }
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
        // Not before: the AUTHs of a stranger are bounded as its CONNECT is.
        self.decoder.limits.packetBytesMax = self.terms.settings.packetBytesMax
        self.keeper.forget(self)
        self.decode()
        self.readWaiting()
    }

    package func challenged(_ exchange: AuthExchange) {
        guard case .connecting(let deadline) = self.phase else { return }
        self.phase = .authenticating(exchange, deadline: deadline)
        self.decode()
        self.readWaiting()
    }

    package func send(_ bytes: ByteBuffer) {
        guard let context = self.context, let link = self.link else { return }
        switch self.phase {
        case .new, .connecting, .authenticating, .connected: break
        case .closing, .closed: return
        }
        let count = bytes.readableBytes
        self.broker.node.metrics.add(.mqttBytesOut, count)
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in self.left(count, link) }
        context.writeAndFlush(self.wrapOutboundOut(bytes), promise: promise)
    }

    private func left(_ count: Int, _ link: MQTTLink) {
        guard link.left(count, roomBelow: self.terms.settings.outboxBytesMax / 2), case .connected(let home) = self.phase else { return }
        self.broker.hasRoom(link, home: home)
    }

    package func close() {
        guard let context = self.context else { return }
        switch self.phase {
        case .closing, .closed: return
        case .new, .connecting, .authenticating, .connected: break
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
        case .new(let deadline):
            guard now >= deadline else { return }
            if let link = self.link { self.broker.noteFault(link, .keepAliveTimeout, "No CONNECT came in time.") }
            self.context?.close(mode: .all, promise: nil)
        case .connecting(let deadline), .closing(let deadline):
            if now >= deadline { self.context?.close(mode: .all, promise: nil) }
        case .authenticating(let exchange, let deadline):
            if now >= deadline, let link = self.link { self.broker.refuse(exchange, .notAuthorized, "The sign-in took too long.", link) }
        case .connected(let home):
            if let since = self.partialSince, let link = self.link { self.cutPartial(since: since, now, link, home) }
        case .closed: break
        }
    }
}

@available(*, unavailable)
extension MQTTConnectionHandler: Sendable {}
