import Crypto
import Federation
import Listeners
import MQTTCodec
import NIOCore
import NIOPosix
import Replication
import SkerryModel
import SkerryNode
import Synchronization
import Testing

/// The federation listener, packet by packet.
@Suite("the door for other boxes", .timeLimit(.minutes(2)))
struct BoxDoorTests {
    /// A door, and the identity of a member that stands before it.
    private struct Door {
        let authority: TestAuthority
        let members = TestMembers()
        let door: TestLinkBox
        let guest: TestIdentity
        let third: TestIdentity

        init(
            limits: LinkLimits = .quick,
            pairing: @escaping @Sendable (any Channel) -> EventLoopFuture<Void> = { $0.eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel) }
        ) async throws {
            self.authority = try TestAuthority()
            self.guest = try TestIdentity(self.authority)
            self.third = try TestIdentity(self.authority)
            let here = try TestIdentity(self.authority)
            for identity in [self.guest, self.third, here] { self.members.add(identity) }
            self.door = try await TestLinkBox(here, self.authority.federation, self.members, limits: limits, pairing: pairing)
            self.door.transport.keep([
                LinkPeer(box: self.guest.box, publicKey: self.guest.publicKey, endpoints: []),
                LinkPeer(box: self.third.box, publicKey: self.third.publicKey, endpoints: []),
            ])
        }

        func client() async throws -> RawBoxClient { try await RawBoxClient(self.door.listener.port, self.guest.credentials) }

        /// Connected, and subscribed like a link.
        func guestLink() async throws -> RawBoxClient {
            let client = try await self.client()
            #expect(try await client.connect(as: self.guest.box).reason == .success)
            let filters = FederationTopic.filters(self.authority.federation, of: self.door.box, for: self.guest.box)
            #expect(try await client.subscribe(filters).allSatisfy { !$0.isFailure })
            return client
        }

        func topic(_ channel: LinkChannel, of origin: BoxID? = nil, to addressee: BoxID? = nil) -> String {
            FederationTopic(self.authority.federation, origin ?? self.guest.box, channel, to: addressee).description
        }
    }

    private static func ack(_ packet: MQTTPacket) -> MQTTAck? {
        if case .puback(let ack) = packet { ack } else { nil }
    }

    @Test("CONNACK says what there is not, and the link is up with the first subscription")
    func connect() async throws {
        let world = try await Door()
        let client = try await world.client()
        let connack = try await client.connect(as: world.guest.box, keepAlive: 600)
        #expect(connack.reason == .success && !connack.isSessionPresent)
        #expect(connack.properties.maximumQoS == 1 && connack.properties.retainAvailable == false)
        #expect(connack.properties.receiveMaximum == 32 && connack.properties.serverKeepAlive == 60)
        #expect(connack.properties.sharedSubscriptionAvailable == false && connack.properties.subscriptionIdentifierAvailable == false)
        #expect(world.door.log.entries.isEmpty)
        #expect(try await client.subscribe([world.topic(.message, of: world.door.box)]) == [.grantedQoS1])
        try await eventually("the link") { world.door.log.isUp(world.guest.box) }
        try await client.send(.pingreq)
        #expect(try await client.next() == .pingresp)
        try await client.send(.disconnect(MQTTDisconnect()))
        try await eventually("the end") { !world.door.log.isUp(world.guest.box) && client.isClosed }
        await world.door.stop()
    }

    @Test("a CONNECT that is not that of the certificate's box is refused with a reason")
    func refusals() async throws {
        let world = try await Door()
        var client = try await world.client()
        #expect(try await client.connect(as: world.third.box).reason == .clientIdentifierNotValid)
        client = try await world.client()
        // CONNACK of its version is not understood by this client.
        await #expect(throws: TooSlow.self) { try await client.connect(as: world.guest.box, version: .v311) }
        #expect(client.isClosed)
        client = try await world.client()
        var properties = MQTTProperties()
        properties.authenticationMethod = "SCRAM-SHA-256"
        #expect(try await client.connect(as: world.guest.box, properties: properties).reason == .badAuthenticationMethod)
        let wills: [(MQTTWill, MQTTReason)] = [
            (MQTTWill(topic: try TopicName(world.topic(.state, of: world.third.box)), payload: ByteBuffer(), qos: .atLeastOnce), .notAuthorized),
            (MQTTWill(topic: try TopicName("v1/x"), payload: ByteBuffer(), qos: .atLeastOnce), .notAuthorized),
            (MQTTWill(topic: try TopicName(world.topic(.state)), payload: ByteBuffer(), qos: .exactlyOnce), .qosNotSupported),
            (MQTTWill(topic: try TopicName(world.topic(.state)), payload: ByteBuffer(), isRetained: true), .retainNotSupported),
            (MQTTWill(topic: try TopicName(world.topic(.state)), payload: ByteBuffer(repeating: 1, count: 4_097)), .packetTooLarge),
        ]
        for (will, reason) in wills {
            client = try await world.client()
            #expect(try await client.connect(as: world.guest.box, will: will).reason == reason)
        }
        #expect(world.door.log.entries.isEmpty)
        #expect(world.door.metrics.value(.federationDoorRefused) == 3 + wills.count)
        await world.door.stop()
    }

    @Test("without a certificate there is no MQTT, with that of somebody else neither")
    func strangers() async throws {
        let world = try await Door()
        for credentials in [nil, try TestIdentity(world.authority).credentials, try TestIdentity(try TestAuthority()).credentials] as [BoxCredentials?] {
            let client = try await RawBoxClient(world.door.listener.port, credentials, protocols: ["mqtt"])
            try? await client.send(.connect(MQTTConnect(version: .v5, clientID: world.guest.box.description)))
            try await eventually("the end") { client.isClosed }
            #expect(client.waiting == 0)
        }
        // Pairing is for boxes without one: a member speaks MQTT whatever it calls it.
        let client = try await RawBoxClient(world.door.listener.port, nil, protocols: ["skerry-pair/1"])
        try await eventually("the end of a pairing connection that nobody takes") { client.isClosed }
        #expect(world.door.log.entries.isEmpty)
        await world.door.stop()
    }

    @Test("a box that is not paired reaches pairing, with all it has sent so far")
    func pairing() async throws {
        let world = try await Door(pairing: { channel in
            // Later, as if something had to be looked up first.
            channel.eventLoop.scheduleTask(in: .milliseconds(50)) {}.futureResult.flatMapThrowing {
                try channel.pipeline.syncOperations.addHandler(Echo())
            }
        })
        let client = try await RawBoxClient(world.door.listener.port, nil, protocols: ["skerry-pair/1"])
        // An answer of MQTT, because the client understands nothing else.
        try await client.send(raw: [0xD0, 0x00])
        try await client.send(raw: [0xD0, 0x00, 0xD0, 0x00])
        for _ in 0..<3 { #expect(try await client.next() == .pingresp) }
        try await client.channel.close()
        await world.door.stop()
    }

    @Test("no more strangers than the limit are listened to at a time")
    func strangersLimit() async throws {
        var limits = LinkLimits.quick
        limits.strangersMax = 2
        let paired = Mutex(0)
        let world = try await Door(
            limits: limits,
            pairing: { channel in
                paired.withLock { $0 += 1 }
                return channel.eventLoop.makeSucceededVoidFuture()
            })
        let one = try await RawBoxClient(world.door.listener.port, nil, protocols: ["skerry-pair/1"])
        let two = try await RawBoxClient(world.door.listener.port, nil, protocols: ["skerry-pair/1"])
        try await eventually("two") { paired.withLock { $0 } == 2 }
        let three = try await RawBoxClient(world.door.listener.port, nil, protocols: ["skerry-pair/1"])
        try await eventually("the third to be turned away") { three.isClosed }
        #expect(world.door.metrics.value(.federationDoorRefused) == 1)
        try await one.channel.close()
        try await two.channel.close()
        try await eventually("a member to get in once they have gone") {
            let client = try? await world.client()
            return (try? await client?.connect(as: world.guest.box))?.reason == .success
        }
        await world.door.stop()
    }

    @Test("a message under another name is refused with 0x87, told of, and not delivered")
    func forged() async throws {
        let world = try await Door()
        let client = try await world.guestLink()
        let topics = [
            world.topic(.message, of: world.third.box), world.topic(.request, of: world.third.box, to: world.door.box),
            world.topic(.message, of: world.door.box),
            FederationTopic(FederationID([UInt8](repeating: 9, count: 10))!, world.guest.box, .message).description, "v1/c/x/send", "$SYS/x",
        ]
        for (number, topic) in topics.enumerated() {
            try await client.publish(topic, id: UInt16(number + 1))
            let ack = Self.ack(try await client.next())
            #expect(ack?.reason == .notAuthorized && ack?.packetID == UInt16(number + 1), "\(topic)")
        }
        try await client.publish(world.topic(.heartbeat, of: world.third.box), qos: .atMostOnce)
        try await client.publish(world.topic(.message), [42], id: 99)
        #expect(Self.ack(try await client.next())?.reason == .success)
        try await eventually("the one honest message") { world.door.log.messages.map(\.payload) == [[42]] }
        #expect(world.door.log.count("forged") == topics.count + 1)
        #expect(world.door.log.entries.first { $0.kind == "forged" }?.text == world.third.box.description)
        #expect(world.door.metrics.value(.federationForged) == topics.count + 1)
        await world.door.stop()
    }

    @Test("a box that goes on forging is cut off")
    func forger() async throws {
        let world = try await Door()
        let client = try await world.guestLink()
        for number in 1...40 as ClosedRange<UInt16> { try? await client.publish(world.topic(.message, of: world.third.box), id: number) }
        #expect(try await client.farewell() == .notAuthorized)
        #expect(world.door.log.count("forged") == LinkLimits.quick.refusedMax + 1)
        await world.door.stop()
    }

    @Test("what is not for this box, too large, or of a later version is refused without an alarm")
    func refused() async throws {
        let world = try await Door()
        let client = try await world.guestLink()
        try await client.publish(world.topic(.request, to: world.third.box), id: 1)
        #expect(Self.ack(try await client.next())?.reason == .notAuthorized)
        try await client.publish(world.topic(.message), [UInt8](repeating: 0, count: LinkChannel.payloadBytesMax + 1), id: 2)
        #expect(Self.ack(try await client.next())?.reason == .quotaExceeded)
        try await client.publish("fed/1/\(world.authority.federation)/\(world.guest.box)/later", id: 3)
        #expect(Self.ack(try await client.next())?.reason == .topicNameInvalid)
        #expect(world.door.log.messages.isEmpty && world.door.log.count("forged") == 0)
        #expect(world.door.metrics.value(.federationRefused) == 3)
        await world.door.stop()
    }

    @Test("a filter that is not the box's to hear is refused, the others of the packet are not")
    func subscribing() async throws {
        let world = try await Door()
        let client = try await world.client()
        _ = try await client.connect(as: world.guest.box)
        let reasons = try await client.subscribe([
            "#", world.topic(.message, of: world.door.box), world.topic(.request, of: world.door.box, to: world.third.box),
        ])
        #expect(reasons == [.notAuthorized, .grantedQoS1, .notAuthorized])
        world.door.transport.send(LinkMessage(origin: world.door.box, channel: .control, payload: [1]), to: world.guest.box)
        world.door.transport.send(LinkMessage(origin: world.door.box, channel: .message, payload: [2]), to: world.guest.box)
        guard case .publish(let publish) = try await client.next() else { throw TooSlow(description: "no PUBLISH") }
        #expect(publish.topic?.text == world.topic(.message, of: world.door.box))
        // What nobody listens to is not on its way.
        try await eventually("word of it") { world.door.log.acknowledgedBytes == 1 }
        try await client.send(.puback(MQTTAck(publish.packetID)))
        try await eventually("word of the other") { world.door.log.acknowledgedBytes == 2 }
        await world.door.stop()
    }

    @Test("PUBACK waits until the message was taken, and keeps the order")
    func pubackWaits() async throws {
        let world = try await Door()
        let client = try await world.guestLink()
        world.door.log.hold(true)
        for number in 1...3 as ClosedRange<UInt16> { try await client.publish(world.topic(.message), [UInt8(number)], id: number) }
        try await client.publish(world.topic(.message, of: world.third.box), id: 4)
        try await client.send(.pingreq)
        // The answer to the ping has overtaken them all.
        #expect(try await client.next() == .pingresp)
        try await eventually("the messages") { world.door.log.messages.count == 3 }
        world.door.log.hold(false)
        for number in 1...3 as ClosedRange<UInt16> {
            #expect(Self.ack(try await client.next()) == MQTTAck(number))
        }
        #expect(Self.ack(try await client.next())?.reason == .notAuthorized)
        await world.door.stop()
    }

    @Test("more unacknowledged messages than CONNACK allowed end the connection")
    func receiveMaximum() async throws {
        let world = try await Door()
        let client = try await world.guestLink()
        world.door.log.hold(true)
        // In one piece, so that all of it is read before anything is paused.
        var bytes = ByteBuffer()
        for number in 1...33 as ClosedRange<UInt16> {
            MQTTEncoder.encode(
                .publish(MQTTPublish(topic: try TopicName(world.topic(.message)), payload: ByteBuffer(), qos: .atLeastOnce, packetID: number)), version: .v5,
                into: &bytes)
        }
        try await client.send(raw: Array(bytes.readableBytesView))
        #expect(try await client.farewell() == .receiveMaximumExceeded)
        await world.door.stop()
    }

    @Test("QoS 2, retained messages, aliases and packets over the limit end the connection with their reason")
    func protocolLimits() async throws {
        let world = try await Door()
        var client = try await world.guestLink()
        try await client.publish(world.topic(.message), qos: .exactlyOnce)
        #expect(try await client.farewell() == .qosNotSupported)
        client = try await world.guestLink()
        try await client.publish(world.topic(.message), isRetained: true)
        #expect(try await client.farewell() == .retainNotSupported)
        client = try await world.guestLink()
        var aliased = MQTTPublish(topic: nil, payload: ByteBuffer(), qos: .atLeastOnce, packetID: 1)
        aliased.properties.topicAlias = 1
        try await client.send(.publish(aliased))
        #expect(try await client.farewell() == .topicAliasInvalid)
        client = try await world.guestLink()
        // A PUBLISH that says it has 200 MB.
        try await client.send(raw: [0x32, 0x80, 0x80, 0xBF, 0x5F])
        #expect(try await client.farewell() == .packetTooLarge)
        client = try await world.guestLink()
        try await client.send(raw: [0xFF, 0xFF])
        #expect(try await client.farewell().isFailure)
        await world.door.stop()
    }

    @Test("the will of a box that is lost is delivered, that of one which says good-bye is not")
    func will() async throws {
        let world = try await Door()
        for isLost in [false, true] {
            let client = try await world.client()
            let will = MQTTWill(topic: try TopicName(world.topic(.state)), payload: ByteBuffer(string: "gone"), qos: .atLeastOnce)
            #expect(try await client.connect(as: world.guest.box, will: will).reason == .success)
            _ = try await client.subscribe([world.topic(.message, of: world.door.box)])
            try await eventually("the link") { world.door.log.isUp(world.guest.box) }
            if !isLost { try await client.send(.disconnect(MQTTDisconnect())) }
            try? await client.channel.close()
            try await eventually("its end") { !world.door.log.isUp(world.guest.box) }
            #expect(world.door.log.messages.map(\.payload) == (isLost ? [Array("gone".utf8)] : []))
            #expect(world.door.log.entries.last?.kind == "down")
        }
        await world.door.stop()
    }

    @Test("a second connection of the same box takes the place of the first")
    func takeOver() async throws {
        let world = try await Door()
        let first = try await world.guestLink()
        try await eventually("the link") { world.door.log.isUp(world.guest.box) }
        let second = try await world.guestLink()
        #expect(try await first.farewell() == .sessionTakenOver)
        try await eventually("both ends of it") { world.door.log.entries.map(\.kind) == ["up", "down", "up"] }
        world.door.transport.send(LinkMessage(origin: world.door.box, channel: .message, payload: [5]), to: world.guest.box)
        guard case .publish(let publish) = try await second.next() else { throw TooSlow(description: "no PUBLISH") }
        #expect(Array(publish.payload.readableBytesView) == [5])
        #expect(world.door.metrics.value(.federationTakeOvers) == 1)
        await world.door.stop()
    }

    @Test("a box that says nothing for one and a half keep-alives is cut off")
    func keepAlive() async throws {
        let world = try await Door()
        let client = try await world.client()
        #expect(try await client.connect(as: world.guest.box, keepAlive: 1).reason == .success)
        _ = try await client.subscribe([world.topic(.message, of: world.door.box)])
        #expect(try await client.farewell() == .keepAliveTimeout)
        await world.door.stop()
    }

    @Test("fleeting channels go out with QoS 0 and their expiry, the others with QoS 1 and a packet identifier of their own")
    func outgoing() async throws {
        let world = try await Door()
        let client = try await world.guestLink()
        try await eventually("the link") { world.door.log.isUp(world.guest.box) }
        let expiries: [LinkChannel: UInt32] = [.heartbeat: 15, .ephemeral: 5, .lease: 3]
        for channel in LinkChannel.allCases {
            let addressee = channel.isAddressed ? world.guest.box : nil
            world.door.transport.send(LinkMessage(origin: world.door.box, channel: channel, addressee: addressee, payload: [1]), to: world.guest.box)
        }
        var identifiers: Set<UInt16> = []
        var seen: Set<LinkChannel> = []
        for _ in LinkChannel.allCases {
            guard case .publish(let publish) = try await client.next(), let topic = publish.topic.flatMap({ FederationTopic($0.text) }) else {
                throw TooSlow(description: "no PUBLISH")
            }
            #expect(publish.qos.rawValue == topic.channel.qos)
            #expect(publish.properties.messageExpiryInterval == expiries[topic.channel])
            if publish.packetID != 0 { #expect(identifiers.insert(publish.packetID).inserted) }
            seen.insert(topic.channel)
        }
        #expect(seen == Set(LinkChannel.allCases))
        await world.door.stop()
    }

    @Test("a box with a small Receive Maximum has no more on its way, and one that acknowledges nothing is bounded")
    func window() async throws {
        let world = try await Door()
        let client = try await world.client()
        var properties = MQTTProperties()
        properties.receiveMaximum = 3
        _ = try await client.connect(as: world.guest.box, properties: properties)
        _ = try await client.subscribe([world.topic(.message, of: world.door.box)])
        try await eventually("the link") { world.door.log.isUp(world.guest.box) }
        for number in 0..<10 as Range<UInt8> {
            world.door.transport.send(LinkMessage(origin: world.door.box, channel: .message, payload: [number]), to: world.guest.box)
        }
        try await client.send(.pingreq)
        var identifiers: [UInt16] = []
        while case .publish(let publish) = try await client.next() { identifiers.append(publish.packetID) }
        try await client.send(.pingreq)
        while case .publish(let publish) = try await client.next() { identifiers.append(publish.packetID) }
        #expect(identifiers.count == 3)
        #expect(world.door.log.acknowledgedBytes == 0)
        var next: UInt8 = 3
        while next < 10 {
            try await client.send(.puback(MQTTAck(identifiers.removeFirst())))
            guard case .publish(let publish) = try await client.next() else { throw TooSlow(description: "no PUBLISH") }
            #expect(Array(publish.payload.readableBytesView) == [next])
            identifiers.append(publish.packetID)
            next += 1
        }
        // Now it acknowledges nothing any more.
        for _ in 0..<3_000 {
            world.door.transport.send(
                LinkMessage(origin: world.door.box, channel: .message, payload: [UInt8](repeating: 1, count: 1_000)), to: world.guest.box)
        }
        try await eventually("drops") { world.door.metrics.value(.federationDropped) > 1_900 }
        #expect(client.waiting == 0)
        await world.door.stop()
    }

    @Test("a door of a box without a federation closes every connection at once")
    func noFederation() async throws {
        let metrics = NodeMetrics()
        let listener = try await FederationListener.open(
            SocketListener.Place(kind: FederationListener.kind, address: "127.0.0.1", port: PortRange(0)), group: TestLinkBox.group,
            limiter: ConnectionLimiter(limits: Limits(), metrics: metrics), keepers: ConnectionKeepers(loops: Array(TestLinkBox.group.makeIterator())),
            metrics: metrics
        ) { nil }
        let client = try await RawBoxClient(listener.port, nil, protocols: ["skerry-pair/1"])
        try await eventually("the end") { client.isClosed }
        #expect(metrics.value(.federationDoorRefused) == 1)
        await listener.close(grace: .zero)
    }
}

private final class Echo: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
}
