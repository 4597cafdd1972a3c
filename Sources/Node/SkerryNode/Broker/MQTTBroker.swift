package import Account
import ChatCodec
package import MQTTCodec
import MQTTSession
package import NIOCore
package import SkerryModel
import Store
import Synchronization

/// What the broker wants of the accounts: who comes in with a name and a secret.
package protocol MQTTAuthenticating: Sendable {
    func authenticate(
        name: String, secret: String, address: AddressKey, loop: (any EventLoop)?, completion: @escaping @Sendable (Result<Caller, SkerryError>) -> Void)
    /// Who comes in with a certificate that carries this name; nil: nobody here has it.
    func authenticate(
        certificateOf name: String, address: AddressKey, loop: (any EventLoop)?, completion: @escaping @Sendable (Result<Caller?, SkerryError>) -> Void)
    /// The authentication methods of MQTT 5 §4.12 that are spoken.
    var methods: [String] { get }
    /// The first message of a sign-in by such a method, and what to ask the client.
    func begin(
        _ message: [UInt8], address: AddressKey, loop: any EventLoop,
        completion: @escaping @Sendable (Result<(signIn: ScramSignIn, challenge: [UInt8]), SkerryError>) -> Void)
    /// The client's answer, and what proves the box to it.
    func finish(
        _ signIn: ScramSignIn, _ message: [UInt8], loop: any EventLoop,
        completion: @escaping @Sendable (Result<(caller: Caller, proof: [UInt8]), SkerryError>) -> Void)
    /// The name of the account that a client said it is; nil when nobody has it, and it may be anything, a password too.
    func knownName(_ text: String, completion: @escaping @Sendable (String?) -> Void)
}

extension MQTTAuthenticating {
    package func knownName(_ text: String, completion: @escaping @Sendable (String?) -> Void) { completion(nil) }

    package func authenticate(
        certificateOf name: String, address: AddressKey, loop: (any EventLoop)?, completion: @escaping @Sendable (Result<Caller?, SkerryError>) -> Void
    ) { completion(.success(nil)) }

    package var methods: [String] { [] }

    package func begin(
        _ message: [UInt8], address: AddressKey, loop: any EventLoop,
        completion: @escaping @Sendable (Result<(signIn: ScramSignIn, challenge: [UInt8]), SkerryError>) -> Void
    ) { loop.execute { completion(.failure(Self.noMethod)) } }

    package func finish(
        _ signIn: ScramSignIn, _ message: [UInt8], loop: any EventLoop,
        completion: @escaping @Sendable (Result<(caller: Caller, proof: [UInt8]), SkerryError>) -> Void
    ) { loop.execute { completion(.failure(Self.noMethod)) } }

    private static var noMethod: SkerryError { SkerryError(.forbidden, "This box knows user name and password only.") }
}

extension AccountService: MQTTAuthenticating {
    package func knownName(_ text: String, completion: @escaping @Sendable (String?) -> Void) {
        self.node.store.read {
            try Self.find(text, $0)?.name
        } completion: {
            completion((try? $0.get()) ?? nil)
        }
    }
}

/// The MQTT broker of a node: its doors for connections, and what its shards have in common.
///
/// A session lives on the home shard of its client id (`Node.home(of:)`), its connection on whatever loop accepted it. Subscriptions are on the
/// session's home; a PUBLISH is told to every shard once. See `BrokerShard`, `Publication`, `QueueWriter`, `SharedGroups`.
package final class MQTTBroker: Sendable {
    package let node: Node
    /// The listeners that have no settings of their own.
    package let standard: MQTTEntrance
    private let current: Mutex<BrokerSettings>
    private let rates: Mutex<AddressRates>
    let accounts: any MQTTAuthenticating
    let chat: ChatService
    /// What clients without an account may use; nothing: they are not let in.
    let opened: Mutex<[TopicFilter]>
    let clock: BrokerClock
    let started: UInt64
    let queue: QueueWriter
    let writes: BrokerWrites
    let statistics = BrokerStatistics()
    let system: SystemTopics
    let log: ConnectionLog
    let counts = SessionCounts()
    private let key = Atomic<UInt64>(1)
    private let number: Atomic<Int32>
    private let open = Atomic<Bool>(true)
    private let ticks = Mutex<[RepeatedTask]>([])
    private let unforgotten = Mutex<[(session: Int32, key: UInt64, user: UserID?, taken: [UInt64], begun: UInt64)]>([])
    let leaving = Mutex(LeavingQueues())
    /// Which topics cross to other boxes; nil while the box is in no federation.
    let crossing = Mutex<TopicCrossing?>(nil)
    let isSweeping = Atomic<Bool>(false)

    /// Brings the broker up: loads every session that is on the disk, publishes nothing yet, and takes connections when this returns.
    ///
    /// - Parameter hasTimer: false for a test or simulation, which calls `tick` itself.
    package static func start(
        node: Node, accounts: any MQTTAuthenticating, chat: ChatService, settings: BrokerSettings, log: ConnectionLog = ConnectionLog(),
        hasTimer: Bool = true
    ) async throws -> MQTTBroker {
        let beginning = try await node.store.read { store in
            (
                clock: try store.meta(BrokerClock.metaName).flatMap { $0.bigEndian(at: 0) } ?? 0, orphans: try Self.orphans(store),
                rules: AccessRules(try store.accessRules())
            )
        }
        let broker = MQTTBroker(
            node: node, accounts: accounts, chat: chat, settings: settings, log: log, clock: BrokerClock(node.clock, last: beginning.clock))
        let access = TopicAccess(rules: beginning.rules, opened: settings.anonymous)
        for shard in node.shards {
            shard.enter { $0.mqtt = BrokerShard(broker: broker, shard: $0, access: access) }
        }
        try await broker.load()
        for orphan in beginning.orphans { broker.number.max(orphan, ordering: .relaxed) }
        node.commits.attach(broker.queue)
        let queue = broker.queue
        for orphan in beginning.orphans { broker.writes.rows(loop: nil) { try queue.adopt(session: orphan, $0) } }
        // Sessions are there, then the groups of which they are members: whoever was left a message by one that is gone is known.
        for _ in 0..<2 { for shard in node.shards { await shard.passed() } }
        for orphan in beginning.orphans { broker.empty(session: orphan) }
        broker.emptyNext()
        if hasTimer { broker.startTicking() }
        return broker
    }

    private init(
        node: Node, accounts: any MQTTAuthenticating, chat: ChatService, settings: BrokerSettings, log: ConnectionLog, clock: BrokerClock
    ) {
        self.log = log
        self.node = node
        self.accounts = accounts
        self.chat = chat
        self.current = Mutex(settings)
        self.standard = MQTTEntrance("mqtt", settings)
        self.rates = Mutex(AddressRates(keysMax: node.limits.limiterKeysMax))
        self.opened = Mutex(settings.anonymous)
        self.clock = clock
        self.started = clock.now()
        self.system = SystemTopics(now: clock.now())
        self.queue = QueueWriter(settings: settings, metrics: node.metrics, statistics: self.statistics, clock: clock) {
            node.publish([.mqtt(BrokerEvent(kind: .kept($0)))])
        }
        self.writes = BrokerWrites(commits: node.commits, loop: node.shards[0].loop)
        self.number = Atomic<Int32>(0)
    }

    /// What is in force for the box as a whole; a connection has its own `ListenerTerms`.
    package var settings: BrokerSettings { self.current.withLock { $0 } }

    var isOpen: Bool { self.open.load(ordering: .relaxed) }
    func nextKey() -> UInt64 { self.key.wrappingAdd(1, ordering: .relaxed).newValue }
    /// Numbers of durable sessions are not used again: there are 2²⁷ of them.
    func nextNumber() -> Int32 { self.number.wrappingAdd(1, ordering: .relaxed).newValue }

    private func startTicking() {
        let tasks = self.node.shards.map { shard in
            shard.loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
                shard.assumeIsolated { $0.mqtt?.tick() }
            }
        }
        self.ticks.withLock { $0 = tasks }
    }

    /// A second has passed: keep-alives, wills, expiry, `$SYS`.
    package func tick() {
        for shard in self.node.shards { shard.enter { $0.mqtt?.tick() } }
    }

    // MARK: - Connections

    /// A number for a new connection's link.
    package func nextLink() -> UInt64 {
        self.node.metrics.add(.mqttSocketsOpened)
        return self.nextKey()
    }

    /// The first packet of a connection. The outlet hears `accepted`, or the connection is refused and closed.
    ///
    /// - Parameter certificate: the user's name in the client's certificate, which was found good.
    package func connect(_ connect: MQTTConnect, _ link: MQTTLink, certificate: String? = nil) {
        self.node.metrics.add(.mqttPacketsIn)
        link.introduce(client: connect.clientID, user: connect.userName)
        if let bytes = connect.properties.maximumPacketSize { link.packetBytesMax.store(Int(clamping: bytes), ordering: .relaxed) }
        let terms: ConnectTerms
        do {
            try self.checkRate(link)
            if let target = self.node.moving.target() {
                self.node.metrics.add(.clientsMoved)
                let refusal = ConnectRefusal(.useAnotherServer, "This box is being drained; use another one of its federation.")
                return self.refuse(refusal, connect.version, link, reference: target.serverReference(link.transport.endpointKind))
            }
            terms = try ConnectTerms(connect, limits: link.terms.session, methods: self.accounts.methods) {
                let id: MessageID = self.node.random.identifier()
                return "auto-\(id)"
            }
        } catch {
            return self.refuse(error, connect.version, link)
        }
        guard let certificate else { return self.enter(terms, connect, link) }
        let home = self.node.home(of: terms.clientID)
        self.accounts.authenticate(certificateOf: certificate, address: link.address, loop: home.loop) { result in
            switch result {
            case .success(nil): self.enter(terms, connect, link)
            case .success(var caller?):
                if let refusal = Self.refusal(of: connect, from: caller) { return self.refuse(refusal, connect.version, link) }
                caller.session = self.node.online.nextSession()
                let known = caller
                home.enter { $0.mqtt?.connect(terms, known, link) }
            case .failure(let error): self.refuse(ConnectRefusal(error), connect.version, link)
            }
        }
    }

    /// A certificate says who the client is; its CONNECT must not say otherwise.
    private static func refusal(of connect: MQTTConnect, from caller: Caller) -> ConnectRefusal? {
        if connect.properties.authenticationMethod != nil {
            return ConnectRefusal(.badAuthenticationMethod, "Your certificate says who you are; leave the authentication method out.")
        }
        guard let name = connect.userName, !AccountService.names(name, caller) else { return nil }
        return ConnectRefusal(.notAuthorized, "Your certificate is another user's. Leave the user name out, or use the certificate of that user.")
    }

    private func checkRate(_ link: MQTTLink) throws(ConnectRefusal) {
        let settings = link.terms.settings
        let rate = TokenBucket.Rate(burst: settings.connectBurst, refill: settings.connectsPerSecond)
        let now = self.node.clock.monotonic()
        if self.rates.withLock({ $0.take(link.address, rate, now: now) }) { return }
        self.node.metrics.add(.mqttConnectsLimited)
        throw ConnectRefusal(.connectionRateExceeded, "Too many connections from your address; wait a little.")
    }

    /// With what CONNECT says of the client.
    private func enter(_ terms: ConnectTerms, _ connect: MQTTConnect, _ link: MQTTLink) {
        if terms.authenticationMethod != nil {
            return self.begin(AuthExchange(terms, userName: connect.userName, signIn: nil), connect.properties.authenticationData, link)
        }
        let home = self.node.home(of: terms.clientID)
        guard let name = connect.userName else {
            guard !(link.terms.anonymous ?? self.opened.withLock { $0 }).isEmpty else {
                return self.refuse(ConnectRefusal(.notAuthorized, "This box wants a user name and password."), connect.version, link)
            }
            return home.enter { $0.mqtt?.connect(terms, nil, link) }
        }
        let secret = connect.password.flatMap { $0.withUnsafeReadableBytes { String(validating: $0, as: UTF8.self) } } ?? ""
        // Answered on the session's home, so that a revocation cannot slip between the answer and the session.
        self.accounts.authenticate(name: name, secret: secret, address: link.address, loop: home.loop) { result in
            switch result {
            case .success(var caller):
                caller.session = self.node.online.nextSession()
                let known = caller
                home.enter { $0.mqtt?.connect(terms, known, link) }
            case .failure(let error): self.refuse(ConnectRefusal(error), connect.version, link)
            }
        }
    }

    /// Everything that one read brought after CONNECT, in one crossing.
    package func receive(_ packets: [MQTTPacket], _ link: MQTTLink, home: Shard) {
        home.enter { $0.mqtt?.receive(packets, link) }
    }

    /// The connection is gone, whoever closed it.
    package func disconnected(_ link: MQTTLink, home: Shard) { home.enter { $0.mqtt?.lost(link) } }

    /// The connection went before its CONNECT was decided: wherever its session is, or comes to be, it is lost.
    package func abandoned(_ link: MQTTLink) {
        link.abandon()
        for shard in self.node.shards { shard.enter { $0.mqtt?.lost(link) } }
    }

    /// There is room in the connection's outbox again.
    package func hasRoom(_ link: MQTTLink, home: Shard) { home.enter { $0.mqtt?.hasRoom(link) } }

    /// - Parameter reference: where else to go, for those who can be told.
    func refuse(_ refusal: ConnectRefusal, _ version: MQTTVersion, _ link: MQTTLink, reference: String? = nil) {
        self.node.metrics.add(.mqttRefused)
        self.note(refusal, version, link)
        var connack = MQTTConnack(refusal.reason)
        if version == .v5 {
            connack.properties.reasonString = refusal.text
            connack.properties.serverReference = reference
        }
        var bytes = ByteBuffer()
        let packetBytesMax = min(link.packetBytesMax.load(ordering: .relaxed), MQTTCodecLimits.packetBytesProtocolMax)
        MQTTEncoder.encode(.connack(connack), version: version, packetBytesMax: packetBytesMax, into: &bytes)
        link.send(bytes, thenClose: true)
    }

    func answer(_ source: PublicationSource?, _ answer: AckAnswer) {
        guard let source else { return }
        source.link?.settle(1)
        source.arrival?.taken(answer)
        guard let exchange = source.exchange else { return }
        self.node.shards[source.shard].enter { shard in
            shard.mqtt?.perform { [mqtt = shard.mqtt] in mqtt?.answered(source.session, exchange, answer) }
        }
    }

    /// Other settings from now on. A connection that is there keeps the terms it was accepted under; what is about all clients counts at once.
    package func reload(_ settings: BrokerSettings) {
        self.current.withLock { $0 = settings }
        self.standard.change(settings)
        let queue = self.queue
        self.writes.rows(loop: nil) { _ in
            queue.change(settings)
        } completion: { _ in
        }
        for shard in self.node.shards { shard.enter { $0.mqtt?.settings = settings } }
        self.open(settings.anonymous)
    }

    // MARK: - Going down

    /// Tells every client (0x8B), publishes the wills of sessions that end, and returns when what must survive is on the disk.
    package func stop() async {
        self.open.store(false, ordering: .relaxed)
        for task in self.ticks.withLock({ $0 }) { task.cancel() }
        for shard in self.node.shards { shard.enter { $0.mqtt?.stop() } }
        // Wills cross to other shards and from there to the writer; what a shared subscription had chosen a client for, that goes now, may be
        // offered to another one that goes as well before it comes to a queue. Four rounds let the last of them arrive.
        for _ in 0..<4 {
            for shard in self.node.shards { await shard.passed() }
            await self.written()
        }
        for shard in self.node.shards { shard.enter { $0.mqtt = nil } }
        for shard in self.node.shards { await shard.passed() }
    }

    /// Everything given to the writer before is done.
    private func written() async {
        await withCheckedContinuation { continuation in
            self.writes.rows(loop: nil, { _ in }, completion: { _ in continuation.resume() })
        }
    }

    // MARK: - Durable sessions

    /// - Parameter taken: rows that the client has, although that is not on the disk yet: nobody else gets them.
    /// - Parameter begun: up to which number rows were sent to the client once.
    func forget(session number: Int32, key: UInt64, user: UserID?, taken: [UInt64] = [], begun: UInt64 = 0) {
        let (queue, metrics, rowsMax) = (self.queue, self.node.metrics, self.settings.begunMax)
        self.writes.rows(loop: nil) { store in
            if !taken.isEmpty { try store.removeQueue(session: number, seqs: taken) }
            metrics.add(.mqttDropped, try Self.removeBegun(session: number, through: begun, rowsMax: rowsMax, store))
            try store.removeBrokerSession(number)
            queue.forget(session: number)
            if let user { queue.removeInterests(key: key, user: user) }
        } completion: { result in
            if case .failure(let error) = result {
                if error.isOfFullDisk { self.unforgotten.withLock { $0.append((number, key, user, taken, begun)) } }
                return
            }
            self.empty(session: number)
        }
    }

    /// What a client had begun to receive with QoS 2 is for nobody else, not even when its session ends [MQTT-4.8.2-5]. No more of it can be
    /// under way than the box ever has unacknowledged towards a client, behind what was acknowledged and is not removed yet. Returns how many
    /// messages of shared subscriptions that were.
    private static func removeBegun(session number: Int32, through begun: UInt64, rowsMax: Int, _ store: any StoreTransaction) throws -> Int {
        var (after, left, count): (UInt64, Int, Int) = (0, rowsMax, 0)
        while after < begun, left > 0 {
            let rows = try store.queueEntries(of: number, after: after, limit: left, bytes: 256 * 1024)
            guard let last = rows.last else { return count }
            let gone = rows.filter { $0.seq <= begun && $0.flags & 3 == MQTTQoS.exactlyOnce.rawValue }
            if !gone.isEmpty { try store.removeQueue(session: number, seqs: gone.map(\.seq)) }
            count += gone.count { QueueFlags.share($0) != nil }
            after = last.seq
            left -= rows.count
        }
        return count
    }

    /// Once a second: sessions whose rows could not be removed because even that takes room on the disk.
    func retryForgetting() {
        let sessions = self.unforgotten.withLock { sessions in
            defer { sessions = [] }
            return sessions
        }
        for (number, key, user, taken, begun) in sessions { self.forget(session: number, key: key, user: user, taken: taken, begun: begun) }
    }

    private static let loadPage = 500

    private static func orphans(_ store: any StoreReading) throws -> [Int32] {
        var orphans: [Int32] = []
        while true {
            let page = try store.orphanedQueues(after: orphans.last ?? 0, limit: 1_000)
            orphans += page
            if page.count < 1_000 { return orphans }
        }
    }

    private func load() async throws {
        var after: Int32 = 0
        while true {
            let start = after
            let online = self.node.online
            let page = try await self.node.store.read { store in
                try store.brokerSessions(after: start, limit: Self.loadPage).map { try self.load($0, store, online) }
            }
            for (record, loaded) in page {
                after = record.number
                self.number.max(record.number, ordering: .relaxed)
                guard let loaded else {
                    // Written by something newer, or damaged: it cannot be served, and must not be half served.
                    self.forget(session: record.number, key: 0, user: nil)
                    continue
                }
                self.remember(loaded)
                self.node.home(of: record.clientID).enter { $0.mqtt?.load(loaded) }
            }
            if page.count < Self.loadPage { return }
        }
    }

    private func load(_ record: BrokerSessionRecord, _ store: any StoreReading, _ online: OnlineRegistry) throws -> (BrokerSessionRecord, LoadedSession?) {
        guard var state = SessionState(record.state) else { return (record, nil) }
        // The role may have been changed while the box did not run.
        if let user = try state.owner.user.flatMap({ try store.user($0) }) { (state.name, state.role) = (user.name, user.role) }
        var loaded = LoadedSession(
            key: self.nextKey(), record: record, state: state, found: try QueueFound(record.number, begunMax: self.settings.begunMax, store))
        for row in try store.brokerSubscriptions(of: record.number) {
            guard let filter = try? TopicFilter(row.filter), let options = MQTTSubscriptionOptions(rawValue: row.options) else { continue }
            let subscription = ClientSubscription(filter, options, id: row.subscriptionID)
            guard TopicAccess.firstLevel(filter) == "v1" else {
                loaded.subscriptions.append((subscription, nil))
                continue
            }
            guard let chat = ChatFilter(filter), let user = state.owner.user else { continue }
            do {
                loaded.subscriptions.append(
                    (subscription, try ChatInterest.resolve(chat, filter, for: user, ChatReader(store, online: online))))
            } catch is SkerryError {
                // Somebody who left the conversation may be in it again one day; until then nothing is for them.
                guard case .conversation(let part, .id(let id)?) = chat else { continue }
                loaded.subscriptions.append((subscription, ChatInterest(.conversation(part, id), filter: filter)))
            }
        }
        for row in try store.inboundPublications(of: record.number) {
            var body = row.body
            switch body.readInteger(as: UInt8.self) {
            case InboundBody.message: if let message = MessageCodec.decode(body) { loaded.held.append((row.packetID, message)) }
            case InboundBody.cid: loaded.cids[row.packetID] = String(buffer: body)
            default: break
            }
        }
        return (record, loaded)
    }

    /// Tells the writer of a session, on its own thread: others may be being forgotten there at the same time.
    private func remember(_ loaded: LoadedSession) {
        let (queue, shard) = (self.queue, self.node.home(of: loaded.record.clientID).index)
        self.writes.rows(loop: nil) { _ in
            queue.open(session: loaded.record.number, QueueHome(shard: shard, key: loaded.key, cursor: loaded.cursor), loaded.found)
            guard let user = loaded.state.owner.user else { return }
            for (subscription, interest) in loaded.subscriptions {
                guard let interest, interest.isKept, subscription.options.qos != .atMostOnce else { continue }
                queue.add(
                    DurableInterest(
                        session: loaded.record.number, shard: shard, key: loaded.key, filter: subscription.filter.text, interest: interest,
                        options: subscription.options, subscriptionID: subscription.id), user: user)
            }
        }
    }
}

extension Shard {
    /// Returns when everything entered before has run.
    nonisolated func passed() async {
        await withCheckedContinuation { continuation in
            self.loop.execute { continuation.resume() }
        }
    }
}

extension ConnectRefusal {
    /// A refusal of the accounts as CONNACK says it (MQTT 5 §3.2.2.2).
    init(_ error: SkerryError) {
        let reason: MQTTReason
        switch error.code {
        case .unauthenticated, .tokenExpired: reason = .badUserNameOrPassword
        case .rateLimited: reason = .connectionRateExceeded
        case .busy: reason = .serverBusy
        case .unavailable, .noQuorum: reason = .serverUnavailable
        case .forbidden, .blocked, .muted, .banned: reason = .banned
        default: reason = .notAuthorized
        }
        self.init(reason, error.detail)
    }
}
