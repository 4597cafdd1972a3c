import Account
import MQTTCodec
import NIOCore
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

/// A broker without sockets: clients speak packets, loops run when the test says so, time is the test's.
final class BrokerWorld: Sendable {
    let box: TestBox
    let broker: MQTTBroker
    private let store: WatchedStore?

    private init(box: TestBox, broker: MQTTBroker, store: WatchedStore?) {
        self.box = box
        self.broker = broker
        self.store = store
    }

    static func open(
        store: any Store = MemoryStore(), clock: ManualClock = ManualClock(), seed: UInt64 = 1, loops: Int = 2, accounts: AccountsOf = .names,
        log: ConnectionLog = ConnectionLog(), settings change: (inout BrokerSettings) -> Void = { _ in }
    ) async throws -> BrokerWorld {
        let watched = WatchedStore(store)
        let box = TestBox(store: watched, clock: clock, seed: seed, loops: loops)
        var settings = BrokerSettings()
        settings.anonymous = [try TopicFilter("#")]
        change(&settings)
        let chosen = settings
        let chooser: any MQTTAuthenticating =
            switch accounts {
            case .names: Names()
            case .service(let make): make(box)
            }
        let broker = try await Self.driving(box) {
            try await MQTTBroker.start(node: box.node, accounts: chooser, chat: box.chat, settings: chosen, log: log, hasTimer: false)
        }
        return BrokerWorld(box: box, broker: broker, store: watched)
    }

    /// Who decides about names and passwords.
    enum AccountsOf {
        /// Everybody whose password is "pw" comes in.
        case names
        /// The real thing.
        case service((TestBox) -> AccountService)
    }

    /// On a store that does nothing until it is told to.
    static func openManual(
        store: MemoryStore = MemoryStore(.manual), limits: Limits = Limits(), clock: ManualClock = ManualClock(), seed: UInt64 = 1, loops: Int = 2,
        settings change: (inout BrokerSettings) -> Void = { _ in }
    ) async throws -> (BrokerWorld, MemoryStore) {
        let box = TestBox(store: store, limits: limits, clock: clock, seed: seed, loops: loops)
        var settings = BrokerSettings()
        settings.anonymous = [try TopicFilter("#")]
        change(&settings)
        let chosen = settings
        let broker = try await Self.driving(box, step: { store.step() }) {
            try await MQTTBroker.start(node: box.node, accounts: Names(), chat: box.chat, settings: chosen, hasTimer: false)
        }
        return (BrokerWorld(box: box, broker: broker, store: nil), store)
    }

    /// Everybody whose password is "pw" comes in; root is an administrator, unless the password is "demoted".
    private struct Names: MQTTAuthenticating {
        func authenticate(
            name: String, secret: String, address: AddressKey, loop: (any EventLoop)?,
            completion: @escaping @Sendable (Result<Caller, SkerryError>) -> Void
        ) {
            let user = TestBox.userID(name)
            let caller = Caller(user: user, name: name, role: name == "root" && secret == "pw" ? .admin : .user, device: DeviceID(user.value))
            let result: Result<Caller, SkerryError> =
                secret == "pw" || secret == "demoted" ? .success(caller) : .failure(SkerryError(.unauthenticated, "Wrong."))
            if let loop, !loop.inEventLoop { loop.execute { completion(result) } } else { completion(result) }
        }
    }

    /// Runs the loops while `work` waits for them.
    static func driving<Value: Sendable>(_ box: TestBox, step: () -> Void = {}, _ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let isDone = Mutex(false)
        let task = Task {
            defer { isDone.withLock { $0 = true } }
            return try await work()
        }
        while !isDone.withLock({ $0 }) {
            step()
            box.runLoops()
            await Task.yield()
        }
        return try await task.value
    }

    /// Everything that follows from what was done so far has happened: no loop has anything to do, and no thread of the store.
    func settle() async {
        while true {
            // Looked at before the loops: whoever finishes meanwhile leaves them something to do.
            let isStill = self.store?.isIdle ?? true
            let wasIdle = self.box.loops.allSatisfy(\.isIdle)
            self.box.runLoops()
            if isStill && wasIdle && self.store?.isIdle ?? true && self.box.loops.allSatisfy(\.isIdle) { return }
            await Task.yield()
        }
    }

    func pass(seconds: Int) async {
        for _ in 0..<seconds {
            self.box.clock.advance(1000)
            self.broker.tick()
            self.box.runLoops()
        }
        await self.settle()
    }

    func stop() async throws {
        let broker = self.broker
        try await Self.driving(self.box) { await broker.stop() }
    }

    func count(_ name: MetricName) -> Int { self.box.node.metrics.value(name) }

    // MARK: - Clients

    /// A connection that has said CONNECT.
    func connect(
        _ id: String, _ version: MQTTVersion = .v5, clean: Bool = true, expiry: UInt32? = nil, keepAlive: UInt16 = 0, user: String? = nil,
        password: String = "pw", will: MQTTWill? = nil, loop: Int = 0, settles: Bool = true, _ change: (inout MQTTConnect) -> Void = { _ in }
    ) async -> BrokerClient {
        var connect = MQTTConnect(version: version, clientID: id, cleanStart: clean, keepAliveSeconds: keepAlive)
        connect.properties.sessionExpiryInterval = expiry
        if let user {
            connect.userName = user
            connect.password = ByteBuffer(string: password)
        }
        connect.will = will
        change(&connect)
        let client = BrokerClient(self, version, loop: self.box.loops[loop % self.box.loops.count])
        client.loop.run { self.broker.connect(connect, client.link) }
        if settles { await self.settle() }
        return client
    }

    /// A client that is in.
    func client(
        _ id: String, _ version: MQTTVersion = .v5, clean: Bool = true, expiry: UInt32? = nil, user: String? = nil, loop: Int = 0,
        isPresent: Bool = false, _ change: (inout MQTTConnect) -> Void = { _ in }
    ) async throws -> BrokerClient {
        let client = await self.connect(id, version, clean: clean, expiry: expiry, user: user, loop: loop, change)
        let connack = try client.connack()
        #expect(connack.reason == .success)
        #expect(connack.isSessionPresent == isPresent)
        return client
    }
}

/// The other side of a connection.
final class BrokerClient: MQTTOutlet, @unchecked Sendable {
    let world: BrokerWorld
    let loop: SimLoop
    let version: MQTTVersion
    // Made in init, where it needs self.
    // swift-format-ignore: NeverUseImplicitlyUnwrappedOptionals
    private(set) var link: MQTTLink!
    private var decoder: MQTTDecoder
    private var packets: [MQTTPacket] = []
    private var home: Shard?
    /// Between CONNECT and CONNACK: what its next AUTH is for.
    private(set) var exchange: AuthExchange?
    private(set) var isClosed = false
    private(set) var resumes = 0
    /// Whether it reads what it is sent.
    var reads = true
    private var unread = 0

    init(_ world: BrokerWorld, _ version: MQTTVersion, loop: SimLoop, through entrance: MQTTEntrance? = nil) {
        self.world = world
        self.loop = loop
        self.version = version
        self.decoder = MQTTDecoder(clientOf: version)
        self.link = loop.run {
            MQTTLink(id: world.broker.nextLink(), loop: loop, remote: nil, terms: (entrance ?? world.broker.standard).terms, outlet: self)
        }
    }

    // MARK: - MQTTOutlet, on the loop

    func accepted(by home: Shard) { self.home = home }
    func challenged(_ exchange: AuthExchange) { self.exchange = exchange }

    func send(_ bytes: ByteBuffer) {
        self.decoder.append(bytes)
        do {
            while let packet = try self.decoder.next() { self.packets.append(packet) }
        } catch {
            Issue.record("the broker sent what cannot be read: \(error)")
        }
        if self.reads { self.leave(bytes.readableBytes) } else { self.unread += bytes.readableBytes }
    }

    private func leave(_ count: Int) {
        if self.link.left(count, roomBelow: self.world.broker.settings.outboxBytesMax / 2), let home = self.home {
            self.world.broker.hasRoom(self.link, home: home)
        }
    }

    func catchUp() async {
        self.reads = true
        let unread = self.unread
        self.unread = 0
        self.loop.run { self.leave(unread) }
        await self.world.settle()
    }

    func close() { self.isClosed = true }
    func resumeReading() { self.resumes += 1 }

    // MARK: - The test's side

    var isIn: Bool { self.home != nil }

    /// Packets between CONNECT and CONNACK.
    func answer(_ packets: MQTTPacket...) async { await self.answer(packets) }

    func answer(_ packets: [MQTTPacket]) async {
        guard let exchange = self.exchange else { return }
        self.exchange = nil
        self.loop.run { self.world.broker.proceed(exchange, packets, self.link) }
        await self.world.settle()
    }

    func auth() throws -> MQTTAuth {
        guard case .auth(let auth)? = self.packets.first else { throw Unexpected("no AUTH but \(self.packets)") }
        self.packets.removeFirst()
        return auth
    }

    /// The reason of the DISCONNECT that the box sent last; nil when its last word was another.
    var farewell: MQTTReason? { if case .disconnect(let disconnect)? = self.packets.last { disconnect.reason } else { nil } }

    /// Gives packets to the broker; false: it wants no more for now.
    @discardableResult
    func give(_ packets: MQTTPacket...) -> Bool {
        guard let home = self.home else { return false }
        let mayGoOn = self.link.owe(packets.count)
        self.loop.run { self.world.broker.receive(packets, self.link, home: home) }
        return mayGoOn
    }

    func say(_ packets: MQTTPacket...) async {
        for packet in packets { self.give(packet) }
        await self.world.settle()
    }

    /// The socket goes without a word.
    func vanish() async {
        guard let home = self.home else { return }
        self.home = nil
        self.loop.run {
            self.link.detach()
            self.world.broker.disconnected(self.link, home: home)
        }
        await self.world.settle()
    }

    /// The socket goes without a word, and nobody waits for what follows.
    func goSilently() {
        guard let home = self.home else { return self.loop.run { self.world.broker.abandoned(self.link) } }
        self.home = nil
        self.loop.run {
            self.link.detach()
            self.world.broker.disconnected(self.link, home: home)
        }
    }

    func leave() async { await self.say(.disconnect(MQTTDisconnect())) }

    func take() -> [MQTTPacket] {
        defer { self.packets = [] }
        return self.packets
    }

    func connack() throws -> MQTTConnack {
        guard case .connack(let connack)? = self.packets.first else { throw Unexpected("no CONNACK but \(self.packets)") }
        self.packets.removeFirst()
        return connack
    }

    func takePublishes() -> [MQTTPublish] {
        self.take().compactMap { if case .publish(let publish) = $0 { publish } else { nil } }
    }

    /// "topic=payload" of each PUBLISH.
    func takeTexts() -> [String] { self.takePublishes().map(\.line) }

    @discardableResult
    func subscribe(
        _ filters: String..., qos: MQTTQoS = .atMostOnce, id: UInt32? = nil, _ change: (inout MQTTSubscriptionOptions) -> Void = { _ in }
    )
        async throws -> [MQTTReason]
    {
        var options = MQTTSubscriptionOptions(qos: qos)
        change(&options)
        var packet = MQTTSubscribe(77, try filters.map { MQTTSubscription(try TopicFilter($0), options) })
        if let id { packet.properties.subscriptionIdentifiers = [id] }
        await self.say(.subscribe(packet))
        guard let index = self.packets.firstIndex(where: { if case .suback = $0 { true } else { false } }), case .suback(let suback) = self.packets[index]
        else {
            throw Unexpected("no SUBACK but \(self.packets)")
        }
        self.packets.remove(at: index)
        #expect(suback.packetID == 77)
        return suback.reasons
    }

    /// Publishes with QoS 1 and gives the reason of the PUBACK.
    @discardableResult
    func publish(
        _ topic: String, _ text: String, id: UInt16 = 1, retain: Bool = false, _ change: (inout MQTTPublish) -> Void = { _ in }
    )
        async throws -> MQTTAck
    {
        var publish = try MQTTPublish(topic, text, qos: .atLeastOnce, id: id, retain: retain)
        change(&publish)
        await self.say(.publish(publish))
        guard let index = self.packets.firstIndex(where: { if case .puback = $0 { true } else { false } }), case .puback(let ack) = self.packets[index] else {
            throw Unexpected("no PUBACK but \(self.packets)")
        }
        self.packets.remove(at: index)
        #expect(ack.packetID == id)
        return ack
    }
}

struct Unexpected: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension MQTTPublish {
    init(_ topic: String, _ text: String, qos: MQTTQoS = .atMostOnce, id: UInt16 = 0, retain: Bool = false, dup: Bool = false) throws {
        self.init(
            topic: try TopicName(topic), payload: ByteBuffer(string: text), qos: qos, packetID: id, isRetained: retain, isDuplicate: dup)
    }

    var text: String { String(buffer: self.payload) }
    var line: String { "\(self.topic?.text ?? "")=\(self.text)" }
}

/// Counts what a store is doing, so that a test knows when it does nothing.
final class WatchedStore: Store {
    private let store: any Store
    private let working = Mutex(0)

    init(_ store: any Store) { self.store = store }

    var isIdle: Bool { self.working.withLock { $0 == 0 } }

    func onWriter(_ work: @escaping @Sendable (any StoreWriter) -> Void) {
        self.working.withLock { $0 += 1 }
        self.store.onWriter {
            work($0)
            self.working.withLock { $0 -= 1 }
        }
    }

    func read<Value: Sendable>(
        _ work: @escaping @Sendable (any StoreReading) throws -> Value, completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) {
        self.working.withLock { $0 += 1 }
        self.store.read(work) {
            completion($0)
            self.working.withLock { $0 -= 1 }
        }
    }

    var sizeBytes: Int { self.store.sizeBytes }
    func close() { self.store.close() }
}
