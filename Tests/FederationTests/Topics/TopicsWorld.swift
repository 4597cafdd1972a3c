import Account
import Federation
import MQTTCodec
import NIOCore
import NIOPosix
import Replication
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

/// Boxes with a broker each, whose links are closures: a test decides which are up, what is lost, and what time it is.
final class TopicsWorld: Sendable {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
    let mesh = TestMesh()
    let boxes: [TopicsBox]
    private let milliseconds: Atomic<UInt64>

    /// What each box's feature may be given.
    struct Options: Sendable {
        var allowed: [String]?
        var denied: [String] = []
        var limits = TopicLimits()
        var settings = BrokerSettings()
    }

    init(_ count: Int, _ options: Options = Options()) async throws {
        var settings = options.settings
        settings.anonymous = [try TopicFilter("#")]
        let time = Time()
        self.milliseconds = Atomic(0)
        self.time = time
        var boxes: [TopicsBox] = []
        for index in 0..<count {
            let clock = NodeClock(wall: { 1_700_000_000_000 + time.now }, monotonic: { 1_000 + time.now })
            let node = Node(
                box: Sample.box(UInt8(index + 1)), loops: [self.group.next(), self.group.next()], store: MemoryStore(), limits: Limits(), clock: clock,
                random: .system)
            let broker = try await MQTTBroker.start(
                node: node, accounts: Everybody(), chat: ChatService(node: node), settings: settings, hasTimer: false)
            let feature = TopicsFeature(
                broker: broker, allowed: try options.allowed?.map { try TopicFilter($0) }, denied: try options.denied.map { try TopicFilter($0) },
                limits: options.limits)
            boxes.append(TopicsBox(node: node, broker: broker, feature: feature, service: self.group.next()))
        }
        self.boxes = boxes
        for box in boxes {
            self.mesh.add(box.node.box, box.feature, box.service)
            box.feature.start(TestLinks(mesh: self.mesh, box: box.node.box))
            box.feature.joined(Self.federation)
        }
        try await self.settle()
    }

    static let federation = FederationID([UInt8](repeating: 1, count: 10))!

    private final class Time: Sendable {
        private let value = Atomic<UInt64>(0)
        var now: UInt64 { self.value.load(ordering: .relaxed) }
        func advance(_ count: UInt64) { self.value.wrappingAdd(count, ordering: .relaxed) }
    }
    private let time: Time

    subscript(_ index: Int) -> TopicsBox { self.boxes[index] }

    /// Everybody comes in under the name they say, with any password.
    private struct Everybody: MQTTAuthenticating {
        func authenticate(
            name: String, secret: String, address: AddressKey, loop: (any EventLoop)?,
            completion: @escaping @Sendable (Result<Caller, SkerryError>) -> Void
        ) {
            let user = UserID(Bytes16(high: 1, low: UInt64(name.utf8.first ?? 0)))
            let caller = Caller(user: user, name: name, role: .user, device: DeviceID(user.value))
            if let loop { loop.execute { completion(.success(caller)) } } else { completion(.success(caller)) }
        }
    }

    // MARK: - Time and links

    /// All that follows from what was done so far has happened: so many hops as there are from a client to a client of another box, and the way back of
    /// an answer.
    func settle() async throws {
        for _ in 0..<24 {
            for box in self.boxes {
                _ = try await box.node.commits.commit { _ in true }
                for shard in box.node.shards { try await shard.loop.submit {}.get() }
                try await box.service.submit {}.get()
            }
        }
    }

    func pass(seconds: Int) async throws {
        for _ in 0..<seconds {
            self.time.advance(1_000)
            for box in self.boxes {
                box.feature.tick(now: 1_000 + self.time.now)
                box.broker.tick()
            }
            try await self.settle()
        }
    }

    func link(_ one: Int, _ other: Int) async throws {
        self.mesh.link(self[one].node.box, self[other].node.box)
        try await self.settle()
    }

    func cut(_ one: Int, _ other: Int) async throws {
        self.mesh.cut(self[one].node.box, self[other].node.box)
        try await self.settle()
    }

    func linkAll() async throws {
        for one in self.boxes.indices { for other in self.boxes.indices where one < other { self.mesh.link(self[one].node.box, self[other].node.box) } }
        try await self.settle()
    }

    func stop() async {
        for box in self.boxes {
            box.feature.stop()
            await box.broker.stop()
        }
        try? await self.group.shutdownGracefully()
    }

    // MARK: - Logs

    /// Brings what `one` has of its own log to `other`, as the replication would.
    func replicate(_ one: Int, to other: Int) async throws {
        let origin = self[one].node.box
        let batches: [IncomingBatch] = try await self[one].node.store.read { store in
            var batches: [IncomingBatch] = []
            for epoch in try store.epochs() where epoch.log.origin == origin && epoch.head > 0 {
                let entries = try (1...epoch.head).map { seq in try store.entry(at: LocalPosition(epoch: epoch.number, seq: seq)).map { BatchItem.entry($0) } }
                for start in stride(from: 0, to: entries.count, by: Batch.entriesMax) {
                    let items = entries[start..<min(start + Batch.entriesMax, entries.count)].compactMap { $0 }
                    batches.append(IncomingBatch(batch: Batch(log: epoch.log, firstSeq: UInt64(start + 1), items: items), knownUpTo: 0))
                }
            }
            return batches
        }
        let replica = ReplicaStore(node: self[other].node)
        let result: Result<[LogEpoch: UInt64], SkerryError> = await withCheckedContinuation { continuation in
            replica.apply(batches) { continuation.resume(returning: $0) }
        }
        _ = try result.get()
    }
}

struct TopicsBox: Sendable {
    let node: Node
    let broker: MQTTBroker
    let feature: TopicsFeature
    let service: any EventLoop

    func count(_ name: MetricName) -> Int { self.node.metrics.value(name) }

    /// "text" of what is retained at a topic.
    func retained(_ topic: String) async throws -> String? {
        try await self.broker.retained(topic: try TopicName(topic), bytesMax: 1_000_000).map { String(buffer: $0.payload) }
    }
}

/// The links between boxes.
final class TestMesh: Sendable {
    struct Sent: Sendable {
        var from: BoxID
        var to: BoxID
        var message: LinkMessage
    }

    private struct Pair: Hashable {
        var low: BoxID
        var high: BoxID
        init(_ one: BoxID, _ other: BoxID) {
            let isFirst = one.bytes.lexicographicallyPrecedes(other.bytes)
            (self.low, self.high) = isFirst ? (one, other) : (other, one)
        }
    }

    private struct State {
        var features: [BoxID: (feature: any FederationFeature, loop: any EventLoop)] = [:]
        /// Links that are up, with a number that changes when they are made anew.
        var links: [Pair: Int] = [:]
        var next = 1
        var lost: @Sendable (Sent) -> Bool = { _ in false }
        var sent: [Sent] = []
    }

    private let state = Mutex(State())

    func add(_ box: BoxID, _ feature: any FederationFeature, _ loop: any EventLoop) { self.state.withLock { $0.features[box] = (feature, loop) } }

    func link(_ one: BoxID, _ other: BoxID) {
        let ends = self.state.withLock { state in
            state.links[Pair(one, other)] = state.next
            state.next += 1
            return [(state.features[one], other), (state.features[other], one)]
        }
        for case (let end?, let peer) in ends { end.loop.execute { end.feature.linkUp(peer) } }
    }

    /// What is on its way is lost.
    func cut(_ one: BoxID, _ other: BoxID) {
        let ends = self.state.withLock { state in
            state.links[Pair(one, other)] = nil
            return [(state.features[one], other), (state.features[other], one)]
        }
        for case (let end?, let peer) in ends { end.loop.execute { end.feature.linkDown(peer) } }
    }

    /// From now on what this says yes to is lost.
    func lose(_ lost: @escaping @Sendable (Sent) -> Bool) { self.state.withLock { $0.lost = lost } }

    func peers(of box: BoxID) -> [BoxID] {
        self.state.withLock { state in state.features.keys.filter { $0 != box && state.links[Pair($0, box)] != nil } }
    }

    func send(_ channel: LinkChannel, _ payload: [UInt8], from box: BoxID, to peer: BoxID) {
        let sent = Sent(
            from: box, to: peer, message: LinkMessage(origin: box, channel: channel, addressee: channel.isAddressed ? peer : nil, payload: payload))
        let way: (end: (feature: any FederationFeature, loop: any EventLoop), link: Int)? = self.state.withLock { state in
            guard payload.count <= LinkChannel.payloadBytesMax else {
                Issue.record("a payload of \(payload.count) bytes")
                return nil
            }
            guard let link = state.links[Pair(box, peer)], let end = state.features[peer] else { return nil }
            state.sent.append(sent)
            return state.lost(sent) ? nil : (end, link)
        }
        guard let way else { return }
        way.end.loop.execute {
            guard self.state.withLock({ $0.links[Pair(box, peer)] }) == way.link else { return }
            way.end.feature.received(sent.message, from: box)
        }
    }

    func ask(_ kind: RequestKind, _ body: [UInt8], from box: BoxID, of peer: BoxID) async -> [UInt8]? {
        let end = self.state.withLock { state in state.links[Pair(box, peer)] == nil ? nil : state.features[peer] }
        return await end?.feature.answer(kind, body, from: box)
    }

    /// Messages of topics on `x` and `y` that were sent so far, and no more.
    func takeTopics() throws -> [(from: BoxID, to: BoxID, envelope: TopicEnvelope)] {
        let sent = self.state.withLock { state in
            defer { state.sent = [] }
            return state.sent
        }
        return try sent.filter { $0.message.channel == .topic || $0.message.channel == .topicAcknowledged }.flatMap { sent in
            try TopicFrame(decoding: sent.message.payload).messages.map { (sent.from, sent.to, $0) }
        }
    }

    func take(_ channel: LinkChannel) -> [Sent] {
        self.state.withLock { state in
            defer { state.sent.removeAll { $0.message.channel == channel } }
            return state.sent.filter { $0.message.channel == channel }
        }
    }
}

final class TestLinks: FederationLinks {
    let mesh: TestMesh
    let box: BoxID

    init(mesh: TestMesh, box: BoxID) {
        self.mesh = mesh
        self.box = box
    }

    var peers: [BoxID] { self.mesh.peers(of: self.box) }

    func send(_ channel: LinkChannel, _ payload: [UInt8], to box: BoxID?) {
        for peer in box.map({ [$0] }) ?? self.peers { self.mesh.send(channel, payload, from: self.box, to: peer) }
    }

    func ask(_ kind: RequestKind, _ body: [UInt8], of box: BoxID) async -> [UInt8]? { await self.mesh.ask(kind, body, from: self.box, of: box) }
}

/// A client of a box's broker that speaks packets and acknowledges what it is sent.
final class TopicsClient: MQTTOutlet, @unchecked Sendable {
    private struct State {
        var decoder = MQTTDecoder(clientOf: .v5)
        var home: Shard?
        var publishes: [MQTTPublish] = []
        var acks: [MQTTPacket] = []
    }

    private let world: TopicsWorld
    private let box: TopicsBox
    private let loop: any EventLoop
    private let state = Mutex(State())
    /// Set at once, and used on the loop.
    private var link: MQTTLink?

    private init(_ world: TopicsWorld, _ box: TopicsBox) {
        self.world = world
        self.box = box
        self.loop = box.node.shards[0].loop
    }

    static func connect(
        _ world: TopicsWorld, _ index: Int, _ id: String, expiry: UInt32? = nil, clean: Bool = true, user: String? = nil, will: MQTTWill? = nil
    ) async throws -> TopicsClient {
        let client = TopicsClient(world, world[index])
        var connect = MQTTConnect(version: .v5, clientID: id, cleanStart: clean, keepAliveSeconds: 0)
        connect.properties.sessionExpiryInterval = expiry
        connect.will = will
        if let user { (connect.userName, connect.password) = (user, ByteBuffer(string: "pw")) }
        let packet = connect
        try await client.loop.submit {
            let link = MQTTLink(id: client.box.broker.nextLink(), loop: client.loop, remote: nil, terms: client.box.broker.standard.terms, outlet: client)
            client.link = link
            client.box.broker.connect(packet, link)
        }.get()
        try await world.settle()
        _ = try #require(client.state.withLock { $0.home })
        return client
    }

    func accepted(by home: Shard) { self.state.withLock { $0.home = home } }
    func challenged(_ exchange: AuthExchange) {}
    func close() {}
    func resumeReading() {}

    func send(_ bytes: ByteBuffer) {
        var answers: [MQTTPacket] = []
        self.state.withLock { state in
            state.decoder.append(bytes)
            while let packet = try? state.decoder.next() {
                switch packet {
                case .publish(let publish):
                    state.publishes.append(publish)
                    if publish.qos == .atLeastOnce { answers.append(.puback(MQTTAck(publish.packetID))) }
                    if publish.qos == .exactlyOnce { answers.append(.pubrec(MQTTAck(publish.packetID))) }
                case .pubrel(let ack): answers.append(.pubcomp(MQTTAck(ack.packetID)))
                case .pubrec(let ack):
                    state.acks.append(packet)
                    answers.append(.pubrel(MQTTAck(ack.packetID)))
                default: state.acks.append(packet)
                }
            }
        }
        _ = self.link?.left(bytes.readableBytes, roomBelow: 1 << 19)
        if !answers.isEmpty { self.say(answers) }
    }

    /// Gives packets to the broker, and waits for nothing.
    func say(_ packets: [MQTTPacket]) {
        self.loop.execute {
            guard let link = self.link, let home = self.state.withLock({ $0.home }) else { return }
            _ = link.owe(packets.count)
            self.box.broker.receive(packets, link, home: home)
        }
    }

    func subscribe(
        _ filters: String..., qos: MQTTQoS = .exactlyOnce, _ change: (inout MQTTSubscriptionOptions) -> Void = { _ in }
    ) async throws {
        var options = MQTTSubscriptionOptions(qos: qos)
        change(&options)
        let chosen = options
        self.say([.subscribe(MQTTSubscribe(7, try filters.map { MQTTSubscription(try TopicFilter($0), chosen) }))])
        // Others are told once a second at most.
        try await self.world.settle()
        try await self.world.pass(seconds: 1)
    }

    func publish(
        _ topic: String, _ text: String, qos: MQTTQoS = .atLeastOnce, id: UInt16 = 1, retain: Bool = false, _ change: (inout MQTTPublish) -> Void = { _ in }
    ) throws {
        var publish = MQTTPublish(
            topic: try TopicName(topic), payload: ByteBuffer(string: text), qos: qos, packetID: qos == .atMostOnce ? 0 : id, isRetained: retain,
            isDuplicate: false)
        change(&publish)
        self.say([.publish(publish)])
    }

    func vanish() async throws {
        let home = self.state.withLock { state in
            defer { state.home = nil }
            return state.home
        }
        try await self.loop.submit {
            guard let link = self.link, let home else { return }
            link.detach()
            self.box.broker.disconnected(link, home: home)
        }.get()
        try await self.world.settle()
    }

    /// PUBLISH packets that came since the last call.
    func take() -> [MQTTPublish] {
        self.state.withLock { state in
            defer { state.publishes = [] }
            return state.publishes
        }
    }

    /// "topic=payload" of each.
    func takeLines() -> [String] { self.take().map { "\($0.topic?.text ?? "")=\(String(buffer: $0.payload))" } }
}
