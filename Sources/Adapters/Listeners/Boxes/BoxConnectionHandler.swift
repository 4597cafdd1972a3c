import MQTTCodec
import NIOCore
import Replication
import SkerryModel
import SkerryNode

/// One connection of another box: MQTT 5 as a broker speaks it, and no more of it than links need.
///
/// A box publishes under its own name only and listens to what it may (FEDERATION.md §2.4): what goes beyond is refused with 0x87 and not
/// delivered. PUBACK waits until the message was taken; while too much waits, the socket is not read.
final class BoxConnectionHandler: ChannelDuplexHandler, KeptConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// CONNECT is awaited.
        case new(deadline: NIODeadline)
        case connected
        /// The last bytes are on their way.
        case closing(deadline: NIODeadline)
        case closed
    }

    /// A message that was received and not taken.
    private struct Untaken {
        var place: UInt64
        /// 0: nothing to acknowledge.
        var packetID: UInt16
        var bytes: Int
        var isTaken = false
    }

    private static let connectSeconds: Int64 = 10
    private static let closingSeconds: Int64 = 3
    private static let partialSeconds: Int64 = 60
    /// Bytes of a CONNECT, which has a will.
    private static let connectBytesMax = 16 * 1024
    /// Bytes that wait for the socket. What may be on its way to a box is less: above it are answers to a box that sends and does not read, and
    /// then it is not read either.
    private static let unwrittenBytesMax = 1024 * 1024
    /// Bytes of payloads that are written in one turn of the loop.
    private static let turnBytes = 128 * 1024

    let door: BoxDoor
    let acceptor: any BoxLinkAcceptor
    let box: BoxID
    let limits: LinkLimits
    private let keeper: ConnectionKeeper
    private var context: ChannelHandlerContext?
    private(set) var phase = Phase.closed
    private var decoder: MQTTDecoder
    private var link: BoxDoorLink?
    /// Whether the acceptor knows of the link.
    private var isAttached = false
    private var will: LinkMessage?
    private var endReason = "the connection was closed"
    var subscriptions: BoxSubscriptions
    private var keepAliveSeconds: Int64 = 0
    private var lastHeard: NIODeadline
    private var partialSince: NIODeadline?
    var refused = 0

    // In
    private var untaken = CircularBuffer<Untaken>()
    private var untakenBytes = 0
    private var nextPlace: UInt64 = 0
    private var hasReadWaiting = false
    private var isPaused = false

    // Out
    private var out = ByteBuffer()
    private var fleeting: [Int] = []
    private var isTouched = false
    private var flying: [UInt16: Int] = [:]
    private var lastPacketID: UInt16 = 0
    private var packetBytesMax = MQTTCodecLimits.packetBytesProtocolMax
    var keeperSlot: Int?

    init(_ door: BoxDoor, _ acceptor: any BoxLinkAcceptor, _ box: BoxID, _ keeper: ConnectionKeeper) {
        self.door = door
        self.acceptor = acceptor
        self.box = box
        self.keeper = keeper
        self.limits = acceptor.linkLimits
        self.lastHeard = keeper.loop.now
        self.subscriptions = BoxSubscriptions(federation: acceptor.federation, box: box, countMax: self.limits.subscriptionsMax)
        var limits = MQTTCodecLimits()
        limits.packetBytesMax = Self.connectBytesMax
        limits.subscriptionsPerPacketMax = self.limits.subscriptionsMax
        limits.repeatedPropertiesMax = 16
        self.decoder = MQTTDecoder(limits: limits)
    }

    // MARK: - Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.phase = .new(deadline: self.keeper.loop.now + .seconds(Self.connectSeconds))
        self.keeper.keep(self)
        let mark = ChannelOptions.Types.WriteBufferWaterMark(low: Self.unwrittenBytesMax / 2, high: Self.unwrittenBytesMax)
        try? context.channel.syncOptions?.setOption(.writeBufferWaterMark, value: mark)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.finish()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.finish() }

    private func finish() {
        self.keeper.forget(self)
        self.context = nil
        self.phase = .closed
        guard let link = self.link else { return }
        self.link = nil
        link.detach()
        self.door.detach(link)
        self.untaken.removeAll()
        self.flying = [:]
        guard self.isAttached else { return }
        if let will = self.will { self.acceptor.received(will, on: link) {} }
        self.acceptor.detached(link, reason: self.endReason)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.endReason = "the connection failed"
        context.close(promise: nil)
    }

    /// Says why, where that may be said, and ends the connection.
    func end(_ reason: MQTTReason, _ text: String) {
        guard case .connected = self.phase else { return self.close() }
        self.endReason = text
        // It was this box that went; nothing was lost.
        if reason == .administrativeAction || reason == .sessionTakenOver { self.will = nil }
        var properties = MQTTProperties()
        properties.reasonString = text
        self.send(.disconnect(MQTTDisconnect(reason, properties: properties)))
        self.close()
    }

    private func close() {
        switch self.phase {
        case .new, .connected: break
        case .closing, .closed: return
        }
        self.phase = .closing(deadline: self.keeper.loop.now + .seconds(Self.closingSeconds))
        guard let context = self.context else { return }
        self.flush()
        // An empty write behind the last bytes: when it is done they have left.
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in self.context?.close(mode: .all, promise: nil) }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: promise)
    }

    // MARK: - From the box

    func read(context: ChannelHandlerContext) {
        if self.isPaused || !context.channel.isWritable { self.hasReadWaiting = true } else { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if !context.channel.isWritable { self.door.metrics.add(.federationReadsPaused) }
        self.readWaiting()
        context.fireChannelWritabilityChanged()
    }

    private func readWaiting() {
        guard self.hasReadWaiting, !self.isPaused, let context = self.context, context.channel.isWritable else { return }
        self.hasReadWaiting = false
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.phase {
        case .new, .connected: break
        case .closing, .closed: return
        }
        self.lastHeard = self.keeper.loop.now
        self.decoder.append(self.unwrapInboundIn(data))
        do {
            while let packet = try self.decoder.next() {
                self.handle(packet)
                if case .closing = self.phase { return }
            }
            self.partialSince = self.decoder.bufferedBytes == 0 ? nil : self.partialSince ?? self.lastHeard
        } catch {
            self.door.metrics.add(.mqttProtocolErrors)
            self.endReason = "it broke the protocol: \(error.reason)"
            if let farewell = self.decoder.farewell { self.send(farewell.packet, version: farewell.version) }
            self.close()
        }
    }

    private func handle(_ packet: MQTTPacket) {
        if case .connect(let connect) = packet { return self.connect(connect) }
        guard let link = self.link else { return self.close() }
        switch packet {
        case .publish(let publish): self.publish(publish, link)
        case .puback(let ack): self.acknowledged(ack, link)
        case .subscribe(let subscribe): self.subscribe(subscribe, link)
        case .unsubscribe(let unsubscribe):
            let reasons = unsubscribe.filters.map { self.subscriptions.remove($0) ? MQTTReason.success : .noSubscriptionExisted }
            self.send(.unsuback(MQTTUnsuback(unsubscribe.packetID, reasons)))
        case .pingreq: self.send(.pingresp)
        case .disconnect(let disconnect):
            // Reason 0 is a good-bye; anything else leaves the will in force.
            if disconnect.reason == .normalDisconnection { self.will = nil }
            self.endReason = disconnect.properties.reasonString.map { "it said good-bye: \($0.prefix(100))" } ?? "it said good-bye"
            self.close()
        case .connect, .connack, .pubrec, .pubrel, .pubcomp, .suback, .unsuback, .pingresp, .auth:
            self.end(.protocolError, "There is no QoS 2 and no enhanced authentication here.")
        }
    }

    // MARK: - CONNECT

    private func connect(_ connect: MQTTConnect) {
        guard case .new = self.phase else { return }
        guard connect.version == .v5 else { return self.refuse(.unsupportedProtocolVersion, "Boxes speak MQTT 5.", connect.version) }
        guard connect.clientID == self.box.description else {
            return self.refuse(.clientIdentifierNotValid, "The client identifier is not the id of the certificate's box.")
        }
        guard connect.properties.authenticationMethod == nil else { return self.refuse(.badAuthenticationMethod, "The certificate is enough.") }
        if let will = connect.will, let refusal = self.take(will) { return self.refuse(refusal, "This will is not possible here.") }
        guard let link = self.makeLink(connect) else { return }
        self.send(.connack(MQTTConnack(.success, properties: self.terms(connect))))
        self.phase = .connected
        self.decoder.limits.packetBytesMax = self.limits.packetBytesMax
        self.link = link
        self.door.attach(link)
    }

    private func makeLink(_ connect: MQTTConnect) -> BoxDoorLink? {
        var outbox = LinkOutbox(limits: self.limits)
        outbox.narrow(to: Int(connect.properties.receiveMaximum ?? .max))
        if let most = connect.properties.maximumPacketSize { self.packetBytesMax = Int(most) }
        let asked = Int64(connect.keepAliveSeconds)
        self.keepAliveSeconds = asked == 0 ? Int64(self.limits.keepAliveSecondsMax) : min(asked, Int64(self.limits.keepAliveSecondsMax))
        return BoxDoorLink(self.box, self, loop: self.keeper.loop, outbox: outbox)
    }

    /// What CONNACK says that this side does not do.
    private func terms(_ connect: MQTTConnect) -> MQTTProperties {
        var properties = MQTTProperties()
        properties.receiveMaximum = UInt16(clamping: self.limits.untakenMessagesMax)
        properties.maximumQoS = 1
        properties.retainAvailable = false
        properties.maximumPacketSize = UInt32(clamping: self.limits.packetBytesMax)
        properties.sharedSubscriptionAvailable = false
        properties.subscriptionIdentifierAvailable = false
        if Int64(connect.keepAliveSeconds) != self.keepAliveSeconds { properties.serverKeepAlive = UInt16(clamping: self.keepAliveSeconds) }
        if (connect.properties.sessionExpiryInterval ?? 0) != 0 { properties.sessionExpiryInterval = 0 }
        return properties
    }

    /// Nil: it is kept.
    private func take(_ will: MQTTWill) -> MQTTReason? {
        guard will.qos != .exactlyOnce else { return .qosNotSupported }
        guard !will.isRetained else { return .retainNotSupported }
        guard let topic = FederationTopic(will.topic.text), topic.federation == self.acceptor.federation, topic.origin == self.box, topic.addressee == nil
        else { return .notAuthorized }
        guard will.payload.readableBytes <= self.limits.willBytesMax else { return .packetTooLarge }
        self.will = LinkMessage(origin: self.box, channel: topic.channel, payload: Array(will.payload.readableBytesView))
        return nil
    }

    private func refuse(_ reason: MQTTReason, _ text: String, _ version: MQTTVersion = .v5) {
        self.door.metrics.add(.federationDoorRefused)
        var properties = MQTTProperties()
        if version == .v5 { properties.reasonString = text }
        self.send(.connack(MQTTConnack(reason, properties: properties)), version: version)
        self.will = nil
        self.close()
    }

    private func attach(_ link: BoxDoorLink) {
        guard !self.isAttached else { return }
        self.isAttached = true
        self.acceptor.attached(link)
    }

    // MARK: - SUBSCRIBE, PUBLISH

    private func subscribe(_ subscribe: MQTTSubscribe, _ link: BoxDoorLink) {
        let reasons = subscribe.subscriptions.map { subscription in
            switch self.subscriptions.add(subscription.filter, subscription.options) {
            case .granted(let qos): return MQTTReason.granted(qos)
            case .refused(let reason):
                self.door.metrics.add(.federationRefused)
                return reason
            }
        }
        self.send(.suback(MQTTSuback(subscribe.packetID, reasons)))
        if reasons.contains(where: { !$0.isFailure }) { self.attach(link) }
    }

    private func publish(_ publish: MQTTPublish, _ link: BoxDoorLink) {
        guard publish.qos != .exactlyOnce else { return self.end(.qosNotSupported, "There is no QoS 2 here.") }
        guard !publish.isRetained else { return self.end(.retainNotSupported, "Nothing is retained here.") }
        guard let topic = publish.topic else { return self.end(.topicAliasInvalid, "There are no topic aliases here.") }
        guard publish.qos == .atMostOnce || self.untaken.count(where: { $0.packetID != 0 }) < self.limits.untakenMessagesMax else {
            return self.end(.receiveMaximumExceeded, "More messages are unacknowledged than CONNACK allowed.")
        }
        let bytes = publish.payload.readableBytes
        switch BoxPublishRule.judge(topic.text, bytes, from: self.box, at: self.acceptor.box, of: self.acceptor.federation) {
        case .accepted(let place):
            self.attach(link)
            let message = LinkMessage(
                origin: place.origin, channel: place.channel, addressee: place.addressee, payload: Array(publish.payload.readableBytesView))
            self.take(message, publish.packetID, link)
        case .forged(let claimed):
            self.door.metrics.add(.federationForged)
            self.acceptor.forged(by: self.box, claimed: claimed)
            self.refuse(publish, .notAuthorized)
        case .refused(let reason):
            self.door.metrics.add(.federationRefused)
            self.refuse(publish, reason)
        }
    }

    private func refuse(_ publish: MQTTPublish, _ reason: MQTTReason) {
        if publish.packetID != 0 {
            // In its turn, like every PUBACK.
            self.untaken.append(Untaken(place: self.nextPlace, packetID: publish.packetID, bytes: 0, isTaken: true))
            self.nextPlace += 1
            self.refusals[publish.packetID] = reason
            self.acknowledgeTaken()
        }
        self.refused += 1
        if self.refused > self.limits.refusedMax { self.end(.notAuthorized, "Too many messages were not this box's to send.") }
    }

    /// Reasons of the PUBACKs that wait behind others.
    private var refusals: [UInt16: MQTTReason] = [:]

    private func take(_ message: LinkMessage, _ packetID: UInt16, _ link: BoxDoorLink) {
        let place = self.nextPlace
        self.nextPlace += 1
        self.untaken.append(Untaken(place: place, packetID: packetID, bytes: message.payload.count))
        self.untakenBytes += message.payload.count
        self.acceptor.received(message, on: link) { [weak link] in link?.taken(place) }
        if !self.isPaused, self.isFull {
            self.isPaused = true
            self.door.metrics.add(.federationReadsPaused)
        }
    }

    private var isFull: Bool { self.untaken.count >= self.limits.untakenMessagesMax || self.untakenBytes >= self.limits.untakenBytesMax }

    /// The message at this place of what was received has been taken. Calling it twice changes nothing.
    func taken(_ place: UInt64) {
        guard let first = self.untaken.first, place >= first.place, place - first.place < UInt64(self.untaken.count) else { return }
        let index = self.untaken.index(self.untaken.startIndex, offsetBy: Int(place - first.place))
        guard !self.untaken[index].isTaken else { return }
        self.untaken[index].isTaken = true
        self.untakenBytes -= self.untaken[index].bytes
        self.acknowledgeTaken()
        guard self.isPaused, !self.isFull else { return }
        self.isPaused = false
        self.lastHeard = self.keeper.loop.now
        self.readWaiting()
    }

    /// PUBACKs go out in the order of their PUBLISHs [MQTT-4.6.0-2].
    private func acknowledgeTaken() {
        while let first = self.untaken.first, first.isTaken {
            self.untaken.removeFirst()
            guard first.packetID != 0 else { continue }
            self.send(.puback(MQTTAck(first.packetID, self.refusals.removeValue(forKey: first.packetID) ?? .success)))
        }
    }

    // MARK: - To the box

    /// Sends what waits, as far as the box takes more.
    func sendWaiting() {
        guard case .connected = self.phase, let link = self.link else { return }
        let work = link.work(bytesMax: Self.turnBytes)
        if work.dropped > 0 {
            self.door.metrics.add(.federationDropped, work.dropped)
            self.acceptor.acknowledged(work.droppedBytes, on: link)
        }
        for message in work.messages { self.send(message, link) }
        // There may be more: after those of others.
        if !work.messages.isEmpty { self.keeper.loop.assumeIsolated().execute { self.sendWaiting() } }
    }

    private func send(_ message: LinkMessage, _ link: BoxDoorLink) {
        let bytes = message.payload.count
        let channelQoS = message.channel.qos
        guard let qos = self.subscriptions.qos(of: message), let packetID = self.packetID(qos),
            let name = try? TopicName(FederationTopic(self.acceptor.federation, message.origin, message.channel, to: message.addressee).description)
        else { return self.dropped(bytes, channelQoS, link) }
        var publish = MQTTPublish(topic: name, payload: ByteBuffer(bytes: message.payload), qos: qos, packetID: packetID)
        publish.properties.messageExpiryInterval = message.channel.expirySeconds
        guard MQTTEncoder.encode(.publish(publish), version: .v5, packetBytesMax: self.packetBytesMax, into: &self.out) else {
            self.door.metrics.add(.federationDropped)
            return self.dropped(bytes, channelQoS, link)
        }
        self.touch()
        if packetID != 0 {
            self.flying[packetID] = bytes
        } else if channelQoS == 0 {
            self.fleeting.append(bytes)
        } else {
            // The box asked for it without acknowledgements.
            self.dropped(bytes, channelQoS, link)
        }
    }

    private func dropped(_ bytes: Int, _ qos: UInt8, _ link: BoxDoorLink) {
        link.done(bytes, qos: qos)
        self.acceptor.acknowledged(bytes, on: link)
    }

    /// 0 for QoS 0; nil when none is free.
    private func packetID(_ qos: MQTTQoS) -> UInt16? {
        guard qos != .atMostOnce else { return 0 }
        for _ in 0...self.flying.count {
            self.lastPacketID = self.lastPacketID == .max ? 1 : self.lastPacketID + 1
            if self.flying[self.lastPacketID] == nil { return self.lastPacketID }
        }
        return nil
    }

    private func acknowledged(_ ack: MQTTAck, _ link: BoxDoorLink) {
        guard let bytes = self.flying.removeValue(forKey: ack.packetID) else { return }
        if ack.reason.isFailure { self.door.metrics.add(.federationDropped) }
        link.done(bytes, qos: 1)
        self.acceptor.acknowledged(bytes, on: link)
        self.sendWaiting()
    }

    private func send(_ packet: MQTTPacket, version: MQTTVersion = .v5) {
        MQTTEncoder.encode(packet, version: version, packetBytesMax: self.packetBytesMax, into: &self.out)
        self.touch()
    }

    private func touch() {
        if self.isTouched { return }
        self.isTouched = true
        self.keeper.touch(self)
    }

    private func flush() {
        guard let context = self.context, self.out.readableBytes > 0 else { return }
        let bytes = self.out
        self.out = ByteBuffer()
        let fleeting = self.fleeting
        self.fleeting = []
        guard !fleeting.isEmpty else { return context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil) }
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in
            guard let link = self.link else { return }
            for count in fleeting { link.done(count, qos: 0) }
            self.acceptor.acknowledged(fleeting.reduce(0, +), on: link)
        }
        context.writeAndFlush(self.wrapOutboundOut(bytes), promise: promise)
    }

    // MARK: - KeptConnection

    func tickEnded() {
        self.isTouched = false
        self.flush()
    }

    func secondPassed(_ now: NIODeadline) {
        switch self.phase {
        case .new(let deadline):
            guard now >= deadline else { return }
            self.door.metrics.add(.federationDoorRefused)
            self.close()
        case .closing(let deadline):
            if now >= deadline { self.context?.close(mode: .all, promise: nil) }
        case .connected:
            // What is not read cannot be heard.
            if self.isPaused { return self.lastHeard = now }
            // One and a half keep-alives [MQTT-3.1.2-22].
            if now - self.lastHeard > .seconds(self.keepAliveSeconds) + .milliseconds(self.keepAliveSeconds * 500) {
                self.end(.keepAliveTimeout, "Nothing was heard for one and a half keep-alives.")
            } else if let since = self.partialSince, now - since > .seconds(Self.partialSeconds) {
                self.end(.keepAliveTimeout, "A packet that had begun did not go on.")
            }
        case .closed: break
        }
    }
}

@available(*, unavailable)
extension BoxConnectionHandler: Sendable {}
