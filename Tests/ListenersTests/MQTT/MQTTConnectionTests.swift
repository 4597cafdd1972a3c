import Account
import NIOCore
import NIOEmbedded
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

@testable import Listeners

@Suite(.timeLimit(.minutes(1))) struct MQTTConnectionTests {
    // MARK: Packets as bytes, written by hand

    static func connect(_ version: UInt8, id: String = "c", flags: UInt8 = 2, tail: [UInt8] = []) -> [UInt8] {
        var body: [UInt8] = [0, 4]
        body += "MQTT".utf8
        body += [version, flags, 0, 0]
        if version == 5 { body.append(0) }
        body += [0, UInt8(id.utf8.count)]
        body += id.utf8
        body += tail
        return [0x10, UInt8(body.count)] + body
    }
    static let ping: [UInt8] = [0xC0, 0]
    static let pong: [UInt8] = [0xD0, 0]
    static let accepted: [UInt8] = [0x20, 2, 0, 0]

    /// Lets everybody in, when the test says so.
    final class Gate: MQTTAuthenticating {
        private let waiting = Mutex<[@Sendable () -> Void]>([])

        func authenticate(
            name: String, secret: String, address: AddressKey, loop: (any EventLoop)?,
            completion: @escaping @Sendable (Result<Caller, SkerryError>) -> Void
        ) {
            let id = UserID(Bytes16(high: 7, low: 7))
            let caller = Caller(user: id, name: name, role: .user, device: DeviceID(id.value))
            self.waiting.withLock { $0.append { loop?.execute { completion(.success(caller)) } } }
        }

        func open() {
            let waiting = self.waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            for answer in waiting { answer() }
        }
    }

    final class World: Sendable {
        let loop = NIOAsyncTestingEventLoop()
        let node: Node
        let gate = Gate()
        let broker: MQTTBroker
        let keepers: ConnectionKeepers

        init(settings change: (inout BrokerSettings) -> Void = { _ in }) async throws {
            let loop = self.loop
            self.node = Node(
                box: Sample.box, loops: [loop], store: MemoryStore(), limits: Limits(),
                clock: NodeClock(
                    wall: { 1_700_000_000_000 + loop.now.uptimeNanoseconds / 1_000_000 }, monotonic: { loop.now.uptimeNanoseconds / 1_000_000 }),
                random: .system)
            self.keepers = ConnectionKeepers(loops: [loop])
            var settings = BrokerSettings()
            settings.anonymous = [try TopicFilter("#")]
            change(&settings)
            self.broker = try await MQTTBroker.start(
                node: self.node, accounts: self.gate, chat: ChatService(node: self.node), settings: settings, hasTimer: false)
        }

        func channel() async throws -> NIOAsyncTestingChannel {
            let channel = NIOAsyncTestingChannel(loop: self.loop)
            try await self.loop.executeInContext {
                try channel.pipeline.syncOperations.addHandler(MQTTConnectionHandler(broker: self.broker, keeper: self.keepers[self.loop]))
            }
            try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
            return channel
        }

        func sent(_ channel: NIOAsyncTestingChannel) async throws -> [UInt8] {
            await self.loop.run()
            var bytes: [UInt8] = []
            while let more = try await channel.readOutbound(as: ByteBuffer.self) { bytes += Array(more.readableBytesView) }
            return bytes
        }
    }

    private func say(_ bytes: [UInt8], _ channel: NIOAsyncTestingChannel) async throws {
        try await channel.writeInbound(ByteBuffer(bytes: bytes))
    }

    @Test("packets may be cut anywhere, and may follow CONNECT before its answer: answers come in their order")
    func cuts() async throws {
        let bytes = Self.connect(4) + Self.ping + Self.ping
        for cut in 0...bytes.count {
            let world = try await World()
            let channel = try await world.channel()
            try await self.say(Array(bytes[..<cut]), channel)
            try await self.say(Array(bytes[cut...]), channel)
            #expect(try await world.sent(channel) == Self.accepted + Self.pong + Self.pong, "cut at \(cut)")
            #expect(channel.isActive)
        }
    }

    @Test("no CONNECT in time: closed, however busily bytes trickle in", arguments: [false, true])
    func helloDeadline(trickles: Bool) async throws {
        let world = try await World()
        let channel = try await world.channel()
        let bytes = Self.connect(4)
        for second in 0..<Int(world.node.limits.helloSecondsMax) + 1 {
            #expect(channel.isActive || second > 4)
            if trickles && channel.isActive { try await self.say([bytes[second]], channel) }
            await world.loop.advanceTime(by: .seconds(1))
        }
        #expect(!channel.isActive)
        #expect(try await world.sent(channel) == [])
    }

    @Test("CONNECT has a bound of its own, because a stranger sends it; behind it packets may be as long as the settings say")
    func connectBound() async throws {
        let world = try await World()
        func packet(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
            [first, UInt8(body.count & 0x7F | 0x80), UInt8(body.count >> 7 & 0x7F | 0x80), UInt8(body.count >> 14 & 0x7F)] + body
        }
        let most = world.node.limits.connectPacketBytesMax
        let stranger = try await world.channel()
        // Only the beginning: the length alone is refused.
        try await self.say(Array(packet(0x10, [0, 4] + Array("MQTT".utf8) + [4, 2] + [UInt8](repeating: 0, count: most)).prefix(64)), stranger)
        _ = try await world.sent(stranger)
        #expect(!stranger.isActive)
        let client = try await world.channel()
        try await self.say(Self.connect(4) + packet(0x30, [0, 1] + Array("t".utf8) + [UInt8](repeating: 0, count: most)) + Self.ping, client)
        #expect(try await world.sent(client) == Self.accepted + Self.pong)
        #expect(client.isActive)
    }

    @Test("what does not begin like a client of MQTT is closed at its first bytes, and nothing of it is kept")
    func garbage() async throws {
        let world = try await World()
        for bytes in [Array("GET / HTTP/1.1\r\n".utf8), Self.ping, [0x10, 0xFF, 0xFF, 0xFF, 0xFF], [0x10, 0xFF, 0xFF, 0xFF, 0x7F, 0, 4]] {
            let channel = try await world.channel()
            try await self.say(bytes, channel)
            await world.loop.run()
            #expect(!channel.isActive)
        }
        #expect(world.node.metrics.value(.mqttProtocolErrors) == 4)
        let old = try await world.channel()
        try await self.say(Self.connect(9), old)
        #expect(try await world.sent(old) == [0x20, 2, 0, 1], "an unknown level of the protocol is told so")
    }

    @Test("a broken packet: version 5 hears the reason, an earlier one is closed; the session ends with its connection")
    func malformed() async throws {
        let world = try await World()
        let new = try await world.channel()
        try await self.say(Self.connect(5), new)
        #expect(try await world.sent(new).prefix(1) == [0x20])
        try await self.say([0xC1, 0], new)
        #expect(try await world.sent(new) == [0xE0, 1, 0x81])
        #expect(!new.isActive)
        let old = try await world.channel()
        try await self.say(Self.connect(4) + [0xC1, 0], old)
        #expect(try await world.sent(old) == Self.accepted)
        #expect(!old.isActive)
        // Both sessions are gone: the client id is free for anybody.
        let again = try await world.channel()
        try await self.say(Self.connect(4), again)
        #expect(try await world.sent(again) == Self.accepted)
    }

    @Test("while a password is being checked nothing is read; what came before waits and is answered after CONNACK")
    func connecting() async throws {
        let world = try await World()
        let channel = try await world.channel()
        let named = Self.connect(4, flags: 0xC2, tail: [0, 1, 0x61, 0, 2, 0x70, 0x77])
        try await self.say(named + Self.ping, channel)
        #expect(try await world.sent(channel) == [])
        world.gate.open()
        #expect(try await world.sent(channel) == Self.accepted + Self.pong)
        #expect(world.node.online.userCount == 1)
        try await channel.close()
        await world.loop.run()
        #expect(world.node.online.userCount == 0)
    }

    @Test("a client that goes while its password is being checked leaves nothing behind")
    func abandoned() async throws {
        let world = try await World()
        let channel = try await world.channel()
        try await self.say(Self.connect(4, flags: 0xC2, tail: [0, 1, 0x61, 0, 2, 0x70, 0x77]), channel)
        try await channel.close()
        world.gate.open()
        await world.loop.run()
        #expect(world.node.online.userCount == 0)
        #expect(world.node.metrics.value(.mqttConnects) == 0)
    }

    @Test("a packet over the limit is refused by its length, before its bytes are awaited")
    func tooLarge() async throws {
        let world = try await World { $0.packetBytesMax = 1_024 }
        let channel = try await world.channel()
        try await self.say(Self.connect(5), channel)
        _ = try await world.sent(channel)
        try await self.say([0x30, 0x80, 0x10], channel)
        #expect(try await world.sent(channel) == [0xE0, 1, 0x95])
        #expect(!channel.isActive)
    }

    @Test("a second connection with the client id closes the first")
    func takeOver() async throws {
        let world = try await World()
        let (first, second) = (try await world.channel(), try await world.channel())
        try await self.say(Self.connect(5), first)
        _ = try await world.sent(first)
        try await self.say(Self.connect(5), second)
        #expect(try await world.sent(first) == [0xE0, 1, 0x8E])
        #expect(!first.isActive && second.isActive)
    }

    @Test("a packet that has begun and does not go on is cut after its time, whatever the keep-alive; one that is fast enough is not")
    func stalledPacket() async throws {
        let world = try await World()
        let (stalled, trickling, steady, quiet) = (
            try await world.channel(), try await world.channel(), try await world.channel(), try await world.channel()
        )
        for (index, channel) in [stalled, trickling, steady, quiet].enumerated() {
            try await self.say(Self.connect(5, id: "\(index)"), channel)
            _ = try await world.sent(channel)
        }
        // A PUBLISH of 16,384 bytes to "t".
        let head: [UInt8] = [0x30, 0x80, 0x80, 0x01, 0, 1, 0x74, 0]
        for channel in [stalled, trickling, steady] { try await self.say(head, channel) }
        for second in 1...40 {
            await world.loop.advanceTime(by: .seconds(1))
            if trickling.isActive { try await self.say([0], trickling) }
            if second < 40 { try await self.say([UInt8](repeating: 0, count: 300), steady) }
            #expect(second > 30 || (stalled.isActive && trickling.isActive), "after \(second) s")
        }
        for channel in [stalled, trickling] {
            #expect(try await world.sent(channel) == [0xE0, 1, 0x8D])
            #expect(!channel.isActive)
        }
        #expect(world.node.metrics.value(.mqttStalledPackets) == 2)
        #expect(steady.isActive && quiet.isActive)
        // Whole at last: the keeper looks no more, and the client is there.
        try await self.say([UInt8](repeating: 0, count: 16_384 - 4 - 39 * 300) + Self.ping, steady)
        #expect(try await world.sent(steady) == Self.pong)
        #expect(try await world.loop.executeInContext { world.keepers[world.loop].count } == 0)
        for _ in 0..<60 { await world.loop.advanceTime(by: .seconds(1)) }
        #expect(steady.isActive && quiet.isActive)
    }

    @Test("a connection keeps the terms it came under; a reload is for the next one")
    func reload() async throws {
        let world = try await World { $0.packetBytesMax = 2_048 }
        let old = try await world.channel()
        try await self.say(Self.connect(5, id: "old"), old)
        _ = try await world.sent(old)
        var settings = world.broker.settings
        settings.packetBytesMax = 1_024
        world.broker.reload(settings)
        let new = try await world.channel()
        try await self.say(Self.connect(5, id: "new"), new)
        _ = try await world.sent(new)
        // Only the head of a packet of 1,500 bytes: it is refused by its length or awaited.
        for channel in [old, new] { try await self.say([0x30, 0xD9, 0x0B], channel) }
        #expect(try await world.sent(new) == [0xE0, 1, 0x95])
        #expect(!new.isActive && old.isActive)
        #expect(world.node.metrics.value(.mqttPacketsTooLarge) == 1)
    }
}
