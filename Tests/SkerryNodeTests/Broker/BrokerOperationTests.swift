import Account
import Logging
import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store
import Synchronization
import TestKit
import Testing

@testable import SkerryNode

extension BrokerWorld {
    /// Asks the broker something that hops over the loops.
    func ask<Value: Sendable>(_ question: @escaping @Sendable (MQTTBroker) async throws -> Value) async throws -> Value {
        let broker = self.broker
        return try await Self.driving(self.box) { try await question(broker) }
    }

    func clients(_ query: ClientQuery = ClientQuery(), after: String? = nil, limit: Int = 100) async throws -> ListPage<ClientSummary> {
        try await self.ask { try await $0.clients(query, after: after, limit: limit) }
    }
}

@Suite("Broker: lists and administrators' acts")
struct BrokerListTests {
    @Test("clients are listed page by page in the order of their ids, each exactly once, whatever shard they are on", arguments: [1, 3, 7, 100])
    func pages(limit: Int) async throws {
        let world = try await BrokerWorld.open(loops: 3)
        var names: [String] = []
        for number in 0..<40 { names.append(number % 3 == 0 ? "sensor/\(number)" : number % 3 == 1 ? "é\(number)" : "Z\(number)") }
        for (index, name) in names.enumerated() { _ = try await world.client(name, loop: index) }
        var seen: [String] = []
        var after: String?
        repeat {
            let page = try await world.clients(after: after, limit: limit)
            #expect(page.items.count <= limit)
            seen += page.items.map(\.id)
            after = page.next
        } while after != nil
        #expect(seen == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    }

    @Test("a client that comes or goes between two pages moves nobody else to or fro")
    func changing() async throws {
        let world = try await BrokerWorld.open(loops: 2)
        var clients: [String: BrokerClient] = [:]
        for name in ["a", "b", "c", "d", "e", "f"] { clients[name] = try await world.client(name) }
        let first = try await world.clients(limit: 3)
        #expect(first.items.map(\.id) == ["a", "b", "c"] && first.next != nil)
        await clients["a"]?.leave()
        await clients["c"]?.leave()
        _ = try await world.client("bb")
        _ = try await world.client("dd")
        #expect(try await world.clients(after: first.next, limit: 3).items.map(\.id) == ["d", "dd", "e"])
    }

    @Test("one question looks at a bounded number of sessions and says how far it got; the whole list is still complete")
    func bounded() async throws {
        let world = try await BrokerWorld.open(loops: 1)
        let count = BrokerShard.workMax + 500
        for number in 0..<count { _ = await world.connect("c\(10_000 + number)", settles: false) }
        await world.settle()
        let last = "c\(10_000 + count - 1)"
        var query = ClientQuery()
        query.presence = .away
        let nobody = query
        let part = try await world.ask { await $0.node.shards[0].broker { $0.clients(nobody, after: nil, limit: 10) } }
        #expect(part?.items.isEmpty == true && part?.through == "c\(10_000 + BrokerShard.workMax - 1)")
        #expect(try await world.clients(nobody, limit: 10).next == nil)
        query = ClientQuery()
        query.prefix = last
        #expect(try await world.clients(query).items.map(\.id) == [last])
        let full = try await world.clients(limit: count)
        #expect(full.items.count == count && full.next == nil)
    }

    @Test("shards that got to different places give a list without a gap and without anybody twice")
    func sparse() async throws {
        let world = try await BrokerWorld.open(loops: 2)
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed: seed)
        let names = (0..<2 * BrokerShard.workMax + 600).map { _ in String(random.next(), radix: 16) }.sorted()
        // Those that are looked for are where the shards' first looks end, which is not at the same place.
        let wanted = names[(2 * BrokerShard.workMax - 200)..<(2 * BrokerShard.workMax + 200)].enumerated().filter { $0.offset % 8 == 0 }.map(\.element)
        let isWanted = Set(wanted)
        for name in names { _ = await world.connect(name, user: isWanted.contains(name) ? "ann" : nil, settles: false) }
        await world.settle()
        var query = ClientQuery()
        query.user = TestBox.userID("ann")
        #expect(try await world.clients(query).items.map(\.id) == wanted, "seed \(seed)")
        var seen: [String] = []
        var after: String?
        repeat {
            let page = try await world.clients(query, after: after, limit: 7)
            seen += page.items.map(\.id)
            after = page.next
        } while after != nil
        #expect(seen == wanted, "seed \(seed)")
    }

    @Test("lists are narrowed by start of the id, user, presence and subscription")
    func narrowed() async throws {
        let world = try await BrokerWorld.open(loops: 2)
        _ = try await world.client("dev")
        let ann = try await world.client("dev-1", clean: false, expiry: 600, user: "ann")
        _ = try await world.client("dev-2", user: "bob")
        let other = try await world.client("other")
        try await ann.subscribe("sensors/+/t", "$share/g/sensors/#")
        try await other.subscribe("#")
        await ann.vanish()
        func ids(_ change: (inout ClientQuery) throws -> Void) async throws -> [String] {
            var query = ClientQuery()
            try change(&query)
            return try await world.clients(query).items.map(\.id)
        }
        #expect(try await ids { $0.prefix = "dev" } == ["dev", "dev-1", "dev-2"])
        #expect(try await ids { $0.prefix = "dev-" } == ["dev-1", "dev-2"])
        #expect(try await ids { $0.prefix = "x" } == [])
        #expect(try await ids { $0.user = TestBox.userID("ann") } == ["dev-1"])
        #expect(try await ids { $0.presence = .away } == ["dev-1"])
        #expect(try await ids { $0.presence = .connected } == ["dev", "dev-2", "other"])
        #expect(try await ids { $0.topic = try TopicName("sensors/1/t") } == ["dev-1", "other"])
        #expect(try await ids { $0.topic = try TopicName("$SYS/x") } == [])
        let topic = try TopicName("sensors/1/t")
        let page = try await world.ask { await $0.subscribers(topic, after: nil, limit: 1) }
        #expect(page.items.map(\.filter) == ["$share/g/sensors/#", "sensors/+/t"], "all of one client's stand together")
        #expect(page.items.allSatisfy { $0.client == "dev-1" && !$0.isConnected && $0.name == "ann" } && page.next == "dev-1")
        let rest = try await world.ask { await $0.subscribers(topic, after: "dev-1", limit: 9) }
        #expect(rest.items.map(\.client) == ["other"] && rest.next == nil)
    }

    @Test("one client: its values while connected and while away, with what waits for it")
    func detail() async throws {
        let world = try await BrokerWorld.open(loops: 2)
        let client = try await world.client("c/1", clean: false, expiry: 600, user: "ann") { $0.keepAliveSeconds = 30 }
        try await client.subscribe("t/#", qos: .atLeastOnce, id: 7)
        try await client.publish("x", "1")
        let publisher = try await world.client("p")
        try await publisher.publish("t/1", "hello")
        let here = try #require(try await world.ask { try await $0.client("c/1") })
        let connection = try #require(here.connection)
        #expect(here.name == "ann" && here.isDurable && here.expirySeconds == 600 && here.subscriptions == 1 && here.left == nil)
        #expect(connection.version == "5.0" && connection.transport == .tcp && connection.keepAliveSeconds == 30 && !connection.isCleanStart)
        #expect(here.received == 1 && here.sent == 1 && here.inFlight == 1 && here.queuedMessages == 1 && here.queuedBytes > 5)
        await client.vanish()
        await world.pass(seconds: 3)
        try await publisher.publish("t/2", "more", id: 2)
        let away = try #require(try await world.ask { try await $0.client("c/1") })
        #expect(away.connection == nil && away.queuedMessages == 2 && away.inFlight == 0)
        #expect(away.left.map { world.box.node.clock.wall() - $0 } == 3_000)
        let page = try #require(try await world.ask { await $0.subscriptions(of: "c/1", after: nil, limit: 9) })
        #expect(page.items.map(\.filter) == ["t/#"] && page.items[0].qos == 1 && page.items[0].identifier == 7 && page.next == nil)
        #expect(try await world.ask { try await $0.client("nobody") } == nil)
        #expect(try await world.ask { await $0.subscriptions(of: "nobody", after: nil, limit: 9) } == nil)
    }

    @Test("a client's subscriptions come in pages by filter")
    func subscriptionPages() async throws {
        let world = try await BrokerWorld.open()
        let client = try await world.client("c")
        for number in 0..<10 { try await client.subscribe("t/\(number)") }
        let first = try #require(try await world.ask { await $0.subscriptions(of: "c", after: nil, limit: 4) })
        #expect(first.items.map(\.filter) == ["t/0", "t/1", "t/2", "t/3"] && first.next == "t/3")
        let last = try #require(try await world.ask { await $0.subscriptions(of: "c", after: "t/7", limit: 4) })
        #expect(last.items.map(\.filter) == ["t/8", "t/9"] && last.next == nil)
    }

    @Test("a kick ends the connection with 0x98 and leaves the session; a removal takes the session and its queue too, connected or away")
    func kick() async throws {
        let world = try await BrokerWorld.open(loops: 2)
        let client = try await world.client("c", clean: false, expiry: 600)
        try await client.subscribe("t", qos: .atLeastOnce)
        let publisher = try await world.client("p")
        #expect(try await world.ask { await $0.kick("c", removes: false) })
        await world.settle()
        guard case .disconnect(let goodbye)? = client.take().last else { throw Unexpected("no DISCONNECT") }
        #expect(goodbye.reason == .administrativeAction && client.isClosed)
        #expect(try await !world.ask { await $0.kick("c", removes: false) }, "nobody is there any more")
        try await publisher.publish("t", "x")
        let back = try await world.client("c", clean: false, expiry: 600, isPresent: true)
        #expect(back.takeTexts() == ["t=x"])
        await back.vanish()
        #expect(try await world.ask { await $0.kick("c", removes: true) })
        await world.settle()
        #expect(try await world.ask { try await $0.client("c") } == nil)
        #expect(try await world.box.store.read { (try $0.brokerSessions(after: 0, limit: 9).count, try $0.orphanedQueues(after: 0, limit: 9)) } == (0, []))
        #expect(try await !world.ask { await $0.kick("c", removes: true) })
        #expect(world.broker.statistics.value(.queued) == 0 && world.broker.statistics.value(.queuedBytes) == 0)
        _ = try await world.client("c", clean: false, expiry: 600, isPresent: false)
        #expect(try await world.ask { await $0.kick("c", removes: true) })
        await world.settle()
        #expect(try await world.clients().items.map(\.id) == ["p"])
    }

    @Test("the order of lists is kept while sessions come and go")
    func index() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed: seed)
        var index = SessionIndex()
        var kept: [String: BrokerSession] = [:]
        for step in 0..<8_000 {
            let id = "\(random.next() % 3_000)"
            if let session = kept.removeValue(forKey: id) {
                index.remove(session)
            } else {
                let session = BrokerSession.named(id)
                kept[id] = session
                index.insert(session)
            }
            guard step % 500 == 0 else { continue }
            let start = "\(random.next() % 3_000)"
            for isIncluded in [true, false] {
                var seen: [String] = []
                index.forEach(from: start, includesStart: isIncluded) {
                    seen.append($0.machine.clientID)
                    return true
                }
                #expect(seen == kept.keys.filter { isIncluded ? $0 >= start : $0 > start }.sorted(), "seed \(seed)")
            }
        }
        #expect(index.count == kept.count, "seed \(seed)")
    }
}

extension BrokerSession {
    fileprivate static func named(_ id: String) -> BrokerSession {
        var settings = BrokerSettings()
        settings.windowMax = 1
        return BrokerSession(
            key: 1, number: 0, owner: .anonymous, name: "", role: .user,
            machine: .init(clientID: id, limits: settings.session, expirySeconds: 0, will: nil, outbound: .init(entriesMax: 1, isDurable: false)))
    }
}

@Suite("Broker: retained messages for administrators")
struct BrokerRetainedTests {
    @Test("retained messages are browsed by filter in pages, shown, cleared one by one and by filter")
    func browse() async throws {
        let world = try await BrokerWorld.open()
        let publisher = try await world.client("p")
        for number in 0..<7 { try await publisher.publish("a/\(number)", "value \(number)", retain: true) }
        try await publisher.publish("a/b/c", "deep", retain: true) { $0.properties.contentType = "text/plain" }
        try await publisher.publish("z", "soon gone", retain: true) { $0.properties.messageExpiryInterval = 60 }
        func topics(_ text: String, after: String? = nil, limit: Int = 100) async throws -> ([String], String?) {
            let filter = try TopicFilter(text)
            let page = try await world.ask { try await $0.retained(filter, after: after, limit: limit) }
            return (page.items.map(\.topic), page.next)
        }
        let all = ["a/0", "a/1", "a/2", "a/3", "a/4", "a/5", "a/6", "a/b/c", "z"]
        #expect(try await topics("#") == (all, nil))
        #expect(try await topics("a/+", limit: 3) == (["a/0", "a/1", "a/2"], "a/2"))
        #expect(try await topics("a/+", after: "a/2") == (["a/3", "a/4", "a/5", "a/6"], nil))
        #expect(try await topics("z") == (["z"], nil))
        #expect(try await topics("y") == ([], nil))
        let filter = try TopicFilter("#")
        let last = try await world.ask { try await $0.retained(filter, after: "a/6", limit: 9) }.items
        #expect(last[0].size == 4 && last[0].contentType == "text/plain" && last[0].expiresIn == nil && last[0].qos == 1)
        #expect(last[1].expiresIn == 60)

        let (deep, absent) = (try TopicName("a/b/c"), try TopicName("no"))
        let shown = try #require(try await world.ask { try await $0.retained(topic: deep, bytesMax: 100) })
        #expect(shown.text == "deep" && shown.payload.readableBytes == 4)
        #expect(try await world.ask { try await $0.retained(topic: deep, bytesMax: 2) }?.text == "de")
        #expect(try await world.ask { try await $0.retained(topic: absent, bytesMax: 2) } == nil)

        await world.pass(seconds: 61)
        #expect(try await topics("#").0.contains("z") == false, "what has expired is not there, though its row may be")
        #expect(try await world.ask { try await $0.clearRetained(topic: deep) })
        #expect(try await !world.ask { try await $0.clearRetained(topic: deep) })
        let some = try TopicFilter("a/+")
        #expect(try await world.ask { try await $0.clearRetained(some) } == 7)
        #expect(try await topics("#") == ([], nil))
        let late = try await world.client("late")
        try await late.subscribe("#")
        #expect(late.takeTexts() == [])
    }

    @Test("a payload that is no text is shown as base64")
    func binary() {
        let summary = RetainedSummary(topic: "t", size: 3, qos: 0, contentType: nil, expiresIn: nil)
        let message = RetainedMessage(summary: summary, payload: ByteBuffer(bytes: [0xFF, 0xFE, 0x00]), properties: [])
        #expect(message.text == nil && message.base64 == "//4A")
    }

    @Test("many are cleared and listed in small steps", arguments: ["#", "t/+/x"])
    func many(text: String) async throws {
        let world = try await BrokerWorld.open()
        let publisher = try await world.client("p")
        for number in 0..<2_300 { publisher.give(.publish(try MQTTPublish("t/\(number)/x", "v", qos: .atMostOnce, retain: true))) }
        await world.settle()
        let filter = try TopicFilter(text)
        #expect(try await world.ask { try await $0.retained(filter, after: nil, limit: 3_000) }.items.count == 2_300)
        #expect(try await world.ask { try await $0.clearRetained(filter) } == 2_300)
        #expect(try await world.box.store.read { try $0.retainedTotals() } == RetainedTotals())
    }
}

@Suite("Broker: $SYS")
struct BrokerSystemTests {
    /// What Mosquitto 2.0.11 publishes.
    static let names: Set<String> = {
        var names: Set<String> = [
            "version", "uptime", "clients/total", "clients/inactive", "clients/disconnected", "clients/active", "clients/connected",
            "clients/expired", "clients/maximum", "messages/stored", "messages/received", "messages/sent", "subscriptions/count",
            "shared_subscriptions/count", "retained messages/count", "heap/current", "heap/maximum", "publish/messages/dropped",
            "publish/messages/received", "publish/messages/sent", "publish/bytes/received", "publish/bytes/sent", "bytes/received", "bytes/sent",
            "store/messages/count", "store/messages/bytes",
        ]
        let loads = [
            "messages/received", "messages/sent", "publish/dropped", "publish/received", "publish/sent", "bytes/received", "bytes/sent", "sockets",
            "connections",
        ]
        for load in loads { for minutes in [1, 5, 15] { names.insert("load/\(load)/\(minutes)min") } }
        return names
    }()

    @Test("all of Mosquitto's names are there for a new subscriber, and no others; only administrators hear them")
    func names() async throws {
        let world = try await BrokerWorld.open()
        let root = try await world.client("r", user: "root")
        try await root.subscribe("$SYS/#")
        let topics = root.takePublishes().map { $0.topic?.text ?? "" }
        #expect(Set(topics) == Set(Self.names.map { "$SYS/broker/\($0)" }) && topics.count == Self.names.count)
        let user = try await world.client("u", user: "ann")
        #expect(try await user.subscribe("$SYS/#", "$SYS/broker/uptime", "$share/g/$SYS/#").allSatisfy(\.isFailure))
    }

    @Test("a value is published when it has changed, at the interval, and what a new subscriber was told goes to the others too")
    func changes() async throws {
        let world = try await BrokerWorld.open { $0.systemSeconds = 5 }
        let root = try await world.client("r", user: "root")
        try await root.subscribe("$SYS/broker/clients/connected", "$SYS/broker/version", "$SYS/broker/clients/maximum")
        #expect(
            root.takeTexts().sorted() == [
                "$SYS/broker/clients/connected=1", "$SYS/broker/clients/maximum=1", "$SYS/broker/version=skerry version \(SkerryVersion.text)",
            ])
        await world.pass(seconds: 5)
        #expect(root.takeTexts().count == 3, "the first publication")
        await world.pass(seconds: 5)
        #expect(root.takeTexts() == [])
        let second = try await world.client("s", user: "root")
        try await second.subscribe("$SYS/broker/clients/connected")
        #expect(second.takeTexts() == ["$SYS/broker/clients/connected=2"])
        await world.pass(seconds: 4)
        #expect(root.takeTexts() == [])
        await world.pass(seconds: 1)
        #expect(root.takeTexts().sorted() == ["$SYS/broker/clients/connected=2", "$SYS/broker/clients/maximum=2"])
        // Back to what was published last, after a subscriber was told another value: it has to hear of it.
        let third = try await world.client("t")
        try await second.subscribe("$SYS/broker/clients/connected")
        #expect(second.takeTexts().contains("$SYS/broker/clients/connected=3"))
        await third.leave()
        await world.pass(seconds: 5)
        #expect(second.takeTexts() == ["$SYS/broker/clients/connected=2"])
    }

    @Test("an interval of 0 publishes nothing; a new subscriber is told all the same")
    func off() async throws {
        let world = try await BrokerWorld.open { $0.systemSeconds = 0 }
        let root = try await world.client("r", user: "root")
        try await root.subscribe("$SYS/broker/uptime")
        #expect(root.takeTexts() == ["$SYS/broker/uptime=0 seconds"])
        await world.pass(seconds: 120)
        #expect(root.takeTexts() == [])
    }

    @Test("packets, messages and bytes are counted, sessions and subscriptions too")
    func counted() async throws {
        let world = try await BrokerWorld.open(loops: 2) { $0.systemSeconds = 1 }
        let root = try await world.client("r", user: "root")
        let subscriber = try await world.client("s", clean: false, expiry: 600)
        try await subscriber.subscribe("t", "$share/g/t", qos: .atLeastOnce)
        let publisher = try await world.client("p", .v311)
        try await publisher.publish("t", "12345", retain: true)
        await subscriber.vanish()
        try await publisher.publish("t", "123")
        await publisher.leave()
        await world.pass(seconds: 1)
        try await root.subscribe("$SYS/#")
        var values: [String: String] = [:]
        for publish in root.takePublishes() { values[publish.topic?.text.replacing("$SYS/broker/", with: "") ?? ""] = publish.text }
        // CONNECT thrice, SUBSCRIBE once (the one that asks is counted when its tick ends), PUBLISH twice, DISCONNECT.
        #expect(values["messages/received"] == "7")
        // CONNACK thrice, SUBACK once, PUBACK twice, PUBLISH twice: by both subscriptions.
        #expect(values["messages/sent"] == "8")
        #expect(values["publish/messages/received"] == "2" && values["publish/bytes/received"] == "8")
        #expect(values["publish/messages/sent"] == "2" && values["publish/bytes/sent"] == "10")
        #expect(values["clients/total"] == "2" && values["clients/connected"] == "1" && values["clients/disconnected"] == "1")
        #expect(values["clients/maximum"] == "3" && values["subscriptions/count"] == "2" && values["shared_subscriptions/count"] == "1")
        #expect(values["retained messages/count"] == "1")
        // Two sent and unacknowledged, two more that came while it was away, and the retained one.
        #expect(values["store/messages/count"] == "5" && values["messages/stored"] == "5")
        await world.pass(seconds: 600)
        #expect(root.takeTexts().contains("$SYS/broker/clients/expired=1"))
        #expect(world.broker.statistics.value(.queued) == 0 && world.broker.statistics.value(.queuedBytes) == 0)
    }

    @Test("what waits in queues is known after a restart as before, and falls as it is acknowledged")
    func queued() async throws {
        let store = MemoryStore()
        let world = try await BrokerWorld.open(store: store)
        let client = try await world.client("c", clean: false, expiry: 600)
        try await client.subscribe("t", qos: .atLeastOnce)
        await client.vanish()
        let publisher = try await world.client("p")
        for number in 1...5 { try await publisher.publish("t", "12345", id: UInt16(number)) }
        #expect(world.broker.statistics.value(.queued) == 5)
        try await world.stop()
        let again = try await BrokerWorld.open(store: MemoryStore(reopening: store), clock: world.box.clock)
        #expect(again.broker.statistics.value(.queued) == 5 && again.broker.statistics.value(.queuedBytes) > 0)
        let back = try await again.client("c", clean: false, expiry: 600, isPresent: true)
        for publish in back.takePublishes() { await back.say(.puback(MQTTAck(publish.packetID))) }
        #expect(again.broker.statistics.value(.queued) == 0 && again.broker.statistics.value(.queuedBytes) == 0)
    }

    @Test("loads are moving averages per minute as Mosquitto reckons them")
    func loads() {
        var load = LoadAverage(from: 0)
        load.update(100, seconds: 10)
        // 600 a minute: 600 × (1 − e^(−10/60)), likewise for 5 and 15 minutes.
        #expect(load.values.map(LoadAverage.text) == ["92.11", "19.67", "6.63"])
        load.update(100, seconds: 10)
        #expect(load.values.map(LoadAverage.text) == ["77.97", "19.03", "6.56"])
        load.update(100, seconds: 0)
        #expect(LoadAverage.text(load.values[0]) == "77.97")
        #expect(LoadAverage.text(0) == "0.00" && LoadAverage.text(0.999) == "1.00" && LoadAverage.text(12.05) == "12.05")
    }
}

/// What was logged: each line's message and pairs.
private final class LogLines: Sendable {
    private let state = Mutex<[(String, [String: String])]>([])
    var all: [(text: String, pairs: [String: String])] { self.state.withLock { $0.map { (text: $0.0, pairs: $0.1) } } }
    func take() -> [(text: String, pairs: [String: String])] {
        defer { self.state.withLock { $0 = [] } }
        return self.all
    }
    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }
        func log(event: LogEvent) { self.lines.state.withLock { $0.append(("\(event.message)", (event.metadata ?? [:]).mapValues { "\($0)" })) } }
    }
}

@Suite("Broker: the log of connections")
struct ConnectionLogTests {
    private static func world(logsConnects: Bool) async throws -> (BrokerWorld, LogLines) {
        let lines = LogLines()
        return (try await BrokerWorld.open(log: ConnectionLog(logger: lines.logger, logsConnects: logsConnects)), lines)
    }

    @Test("clients that come and go as they should have a line only when the administrator wants it")
    func connects() async throws {
        for isWanted in [true, false] {
            let (world, lines) = try await Self.world(logsConnects: isWanted)
            let client = try await world.client("c", user: "ann")
            await client.leave()
            let gone = try await world.client("d", .v311)
            await gone.vanish()
            let texts = lines.take().map { "\($0.text) \($0.pairs["client"] ?? "-") \($0.pairs["user"] ?? "-") \($0.pairs["reason"] ?? "-")" }
            #expect(
                texts
                    == (isWanted
                        ? [
                            "MQTT client connected c ann -", "MQTT client disconnected c ann the client said goodbye", "MQTT client connected d - -",
                            "MQTT client disconnected d - the connection was lost",
                        ] : []))
        }
    }

    @Test("who is cut off has a line with the reason, who is not let in one with everything about it but the secret")
    func refusals() async throws {
        let (world, lines) = try await Self.world(logsConnects: false)
        let client = await world.connect("c", keepAlive: 1)
        #expect(try client.connack().reason == .success)
        await world.pass(seconds: 3)
        #expect(lines.take().map { $0.pairs["reason"] } == ["0x8D, the keep-alive ran out"])
        _ = await world.connect("liar\nforged", user: "ann", password: "my secret")
        await world.settle()
        let line = try #require(lines.take().first)
        #expect(line.text == "MQTT connection refused")
        #expect(line.pairs == ["address": "local", "listener": "mqtt", "transport": "tcp", "client": "liar\nforged", "version": "5.0", "reason": "Wrong."])
        #expect(world.broker.node.metrics.values(.mqttConnectsRefused).map(\.labels) == [#"reason="0x86""#])
        #expect(world.broker.node.metrics.values(.mqttConnectionsOpened).map(\.labels) == [#"version="5.0",transport="tcp""#])
        #expect(world.broker.node.metrics.values(.mqttDisconnects).map(\.labels) == [#"reason="0x8D""#])
    }

    @Test("lines are few, per address and in total, and the end of the minute says how many there were more")
    func limited() async throws {
        let (world, lines) = try await Self.world(logsConnects: false)
        for number in 0..<50 { _ = await world.connect("c\(number)", user: "eve", password: "no") }
        #expect(lines.take().count == ConnectionLog.linesPerAddress)
        await world.pass(seconds: 61)
        #expect(lines.take().map(\.text) == ["… and \(50 - ConnectionLog.linesPerAddress) more MQTT connections were refused in the last minute"])
        await world.pass(seconds: 61)
        #expect(lines.take().isEmpty)
        #expect(world.count(.mqttRefused) == 50)
    }

    @Test("many addresses share the lines of a minute")
    func total() throws {
        let (lines, box) = (LogLines(), TestBox())
        let log = ConnectionLog(logger: lines.logger, logsConnects: false)
        let terms = MQTTEntrance("mqtt", BrokerSettings()).terms
        for number in 0..<5_000 {
            let remote = try SocketAddress(ipAddress: "10.0.\(number / 250).\(number % 250)", port: 1)
            let link = box.loops[0].run { MQTTLink(id: 1, loop: box.loops[0], remote: remote, terms: terms, outlet: NoOutlet()) }
            if log.admitsRefusal(link, now: 0) { log.refused(link, clientID: "c", name: nil, version: .v5, "No.") }
        }
        #expect(lines.take().count == ConnectionLog.linesPerMinute)
        log.secondPassed(now: 60_000)
        #expect(lines.take().map(\.text) == ["… and \(5_000 - ConnectionLog.linesPerMinute) more MQTT connections were refused in the last minute"])
    }

    @Test("a client id of many kilobytes is shown as far as it is of use")
    func long() {
        #expect(ConnectionLog.short(String(repeating: "x", count: 5_000)) == String(repeating: "x", count: ConnectionLog.textMax) + "…")
        #expect(ConnectionLog.short("abc") == "abc")
        #expect(ConnectionLog.short("e" + String(repeating: "\u{301}", count: 5_000)).utf8.count < 300, "one character with very many accents")
        #expect(ConnectionLog.short(String(repeating: "x", count: ConnectionLog.textMax)).utf8.count == ConnectionLog.textMax)
    }

    private final class NoOutlet: MQTTOutlet {
        func accepted(by home: Shard) {}
        func challenged(_ exchange: AuthExchange) {}
        func send(_ bytes: ByteBuffer) {}
        func close() {}
        func resumeReading() {}
    }
}
