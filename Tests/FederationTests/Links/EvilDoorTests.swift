import Federation
import MQTTCodec
import NIOCore
import NIOPosix
import NIOSSL
import Replication
import SkerryModel
import SkerryNode
import Synchronization
import Testing

/// A member whose door does not behave: what the dialled side bears.
@Suite("links to a door that does not behave", .timeLimit(.minutes(2)))
struct EvilDoorTests {
    /// Its own loop: it may be kept busy, and then other tests must not wait for it.
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// Answers CONNECT and SUBSCRIBE, then does what the test says, once for each connection.
    private final class EvilDoor: Sendable {
        let channel: any Channel
        var port: Int { self.channel.localAddress?.port ?? 0 }

        init(
            _ credentials: BoxCredentials, connack: MQTTReason, alongside: ByteBuffer, then act: @escaping @Sendable (any Channel) -> Void
        ) async throws {
            let chain = try NIOSSLCertificate.fromPEMBytes(Array(credentials.certificateChain.utf8))
            let key = try NIOSSLPrivateKey(bytes: Array(credentials.privateKey.utf8), format: .pem)
            let context = try NIOSSLContext(
                configuration: .makeServerConfiguration(certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
            self.channel = try await ServerBootstrap(group: EvilDoorTests.group)
                .serverChannelOption(.socketOption(.so_rcvbuf), value: 4_096)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                        try channel.pipeline.syncOperations.addHandler(Answers(connack, alongside, act))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
        }
    }

    private final class Answers: ChannelInboundHandler, @unchecked Sendable {
        // Unchecked: on its loop.
        typealias InboundIn = ByteBuffer
        private var decoder = MQTTDecoder()
        private let connack: MQTTReason
        /// Comes in one piece with SUBACK.
        private let alongside: ByteBuffer
        private let act: @Sendable (any Channel) -> Void

        init(_ connack: MQTTReason, _ alongside: ByteBuffer, _ act: @escaping @Sendable (any Channel) -> Void) {
            self.connack = connack
            self.alongside = alongside
            self.act = act
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.decoder.append(self.unwrapInboundIn(data))
            while let packet = (try? self.decoder.next()) ?? nil {
                var bytes = ByteBuffer()
                switch packet {
                case .connect:
                    var properties = MQTTProperties()
                    if self.connack.isFailure { properties.reasonString = "because of ü " + String(repeating: "x", count: 1_000) }
                    MQTTEncoder.encode(.connack(MQTTConnack(self.connack, properties: properties)), version: .v5, into: &bytes)
                case .subscribe(let subscribe):
                    MQTTEncoder.encode(
                        .suback(MQTTSuback(subscribe.packetID, subscribe.subscriptions.map { _ in .grantedQoS1 })), version: .v5, into: &bytes)
                default: continue
                }
                if case .subscribe = packet { bytes.writeImmutableBuffer(self.alongside) }
                context.writeAndFlush(NIOAny(bytes), promise: nil)
                if case .subscribe = packet { self.act(context.channel) }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private struct World {
        let authority: TestAuthority
        let box: TestLinkBox
        let evil: TestIdentity
        let door: EvilDoor

        init(
            connack: MQTTReason = .success, alongside: (TestAuthority, BoxID) -> ByteBuffer = { _, _ in ByteBuffer() },
            then act: @escaping @Sendable (any Channel, TestAuthority, BoxID) -> Void
        ) async throws {
            let authority = try TestAuthority()
            let members = TestMembers()
            var identities = [try TestIdentity(authority), try TestIdentity(authority)]
            identities.sort { $0.box < $1.box }
            for identity in identities { members.add(identity) }
            let evil = identities[1]
            self.authority = authority
            self.evil = evil
            self.box = try await TestLinkBox(identities[0], authority.federation, members)
            self.door = try await EvilDoor(evil.credentials, connack: connack, alongside: alongside(authority, evil.box)) { act($0, authority, evil.box) }
            self.box.transport.keep([LinkPeer(box: evil.box, publicKey: evil.publicKey, endpoints: ["127.0.0.1:\(self.door.port)"])])
        }

        func stop() async throws {
            await self.box.stop()
            try await self.door.channel.close()
        }
    }

    private static func publish(_ topic: String, _ payload: ByteBuffer = ByteBuffer(), qos: MQTTQoS = .atMostOnce, id: UInt16 = 0) -> ByteBuffer {
        var bytes = ByteBuffer()
        guard let name = try? TopicName(topic) else { return bytes }
        MQTTEncoder.encode(.publish(MQTTPublish(topic: name, payload: payload, qos: qos, packetID: id)), version: .v5, into: &bytes)
        return bytes
    }

    @Test("a packet that claims 200 MB and keeps coming is cut off after what a message may have")
    func endless() async throws {
        let sent = Mutex(0)
        let world = try await World { channel, _, _ in
            channel.writeAndFlush(ByteBuffer(bytes: [0x30, 0x80, 0x80, 0xBF, 0x5F, 0x00, 0x01, 0x61, 0x00]), promise: nil)
            let piece = ByteBuffer(repeating: 1, count: 16_384)
            @Sendable func more() {
                channel.writeAndFlush(piece).whenSuccess {
                    sent.withLock { $0 += 16_384 }
                    channel.eventLoop.execute { more() }
                }
            }
            more()
        }
        try await eventually("the cut") { world.box.log.entries.contains { $0.kind == "down" && $0.text.contains("more bytes than a message may have") } }
        // The sockets' buffers hold some of it too.
        #expect(sent.withLock { $0 } < 16 * 1024 * 1024)
        #expect(world.box.log.messages.isEmpty)
        try await world.stop()
    }

    @Test("messages under other names are told of and not delivered, and too many of them end the link")
    func forging() async throws {
        let messages = { (authority: TestAuthority, evil: BoxID) in
            var bytes = ByteBuffer()
            let other = BoxID([UInt8](repeating: 3, count: 10))!
            for _ in 0..<16 { bytes.writeImmutableBuffer(Self.publish(FederationTopic(authority.federation, other, .heartbeat).description)) }
            bytes.writeImmutableBuffer(Self.publish("v1/me/in"))
            bytes.writeImmutableBuffer(Self.publish(FederationTopic(authority.federation, evil, .heartbeat).description))
            return bytes
        }
        let world = try await World(alongside: messages) { _, _, _ in }
        try await eventually("the cut") { world.box.log.entries.contains { $0.kind == "down" && $0.text.contains("not the peer's to send") } }
        let first = world.box.log.entries.drop { $0.kind == "failed" }.prefix { $0.kind != "down" }
        #expect(first.map(\.kind) == ["up"] + [String](repeating: "forged", count: 17))
        #expect(first.last?.text == "")
        #expect(world.box.log.messages.isEmpty)
        try await world.stop()
    }

    @Test("a door that lets nobody in gives its reason, fit for a log")
    func refusal() async throws {
        let world = try await World(connack: .banned) { _, _, _ in }
        try await eventually("the failure") { world.box.log.count("failed") > 1 }
        try await eventually("its reason") {
            world.box.log.entries.contains { $0.text.hasPrefix("connack: refused with 0x8A: because of ?? xxx") && $0.text.utf8.count < 300 }
        }
        try await world.stop()
    }

    @Test("bytes that are no MQTT end the link")
    func nonsense() async throws {
        let world = try await World { channel, _, _ in
            channel.writeAndFlush(ByteBuffer(bytes: [0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), promise: nil)
        }
        try await eventually("the end") { world.box.log.count("down") > 1 }
        try await world.stop()
    }

    @Test("a door that hangs up at once is tried again with growing waits, and never spun on")
    func hangsUp() async throws {
        let count = Mutex(0)
        let world = try await World { channel, _, _ in
            count.withLock { $0 += 1 }
            channel.close(promise: nil)
        }
        try await eventually("some attempts") { count.withLock { $0 } >= 4 }
        try await eventually("up and down in turn") { world.box.log.count("down") >= 4 }
        let order = world.box.log.entries.filter { $0.kind == "up" || $0.kind == "down" }.map(\.kind)
        for (number, kind) in order.enumerated() { #expect(kind == (number.isMultiple(of: 2) ? "up" : "down")) }
        try await world.stop()
    }

    @Test("a door that sends and does not read is not read either")
    func deaf() async throws {
        let written = Mutex(0)
        let world = try await World { channel, authority, evil in
            channel.setOption(.autoRead, value: false).whenSuccess {
                let topic = FederationTopic(authority.federation, evil, .message).description
                @Sendable func more(_ id: UInt16) {
                    var bytes = ByteBuffer()
                    for offset in 0..<500 as Range<UInt16> {
                        bytes.writeImmutableBuffer(Self.publish(topic, ByteBuffer(bytes: [1]), qos: .atLeastOnce, id: id &+ offset | 1))
                    }
                    channel.writeAndFlush(bytes).whenSuccess {
                        written.withLock { $0 += 500 }
                        channel.eventLoop.execute { more(id &+ 500) }
                    }
                }
                more(1)
            }
        }
        // Sockets' buffers take many answers before anything waits here.
        try await eventually("the first") { written.withLock { $0 } > 0 }
        try await standstill("what is sent") { written.withLock { $0 } }
        #expect(world.box.log.count("down") == 0)
        try await world.stop()
    }

    @Test("messages of QoS 2 that are never released do not pile up")
    func unreleased() async throws {
        let world = try await World { channel, authority, evil in
            let topic = FederationTopic(authority.federation, evil, .message).description
            let payload = ByteBuffer(repeating: 1, count: 60_000)
            for id in 1...200 as ClosedRange<UInt16> { channel.write(Self.publish(topic, payload, qos: .exactlyOnce, id: id), promise: nil) }
            channel.flush()
        }
        try await eventually("the cut") { world.box.log.entries.contains { $0.kind == "down" } }
        #expect(world.box.log.messages.isEmpty)
        try await world.stop()
    }
}
