import Account
import MQTTCodec
import NIOCore
import Replication
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

@Suite("Broker: to other boxes and from them")
struct BrokerCrossingTests {
    /// What the broker tells of itself.
    private final class Tap: PublicationTap {
        private struct State {
            var published: [(line: String, boxes: [BoxID], message: CrossingMessage)] = []
            var interest: [String: Int] = [:]
        }
        private let state = Mutex(State())

        func published(_ message: CrossingMessage, for boxes: [BoxID]) {
            self.state.withLock { $0.published.append(("\(message.topic)=\(String(buffer: message.payload))", boxes, message)) }
        }

        func subscribed(_ filter: TopicFilter, _ change: Int) {
            self.state.withLock {
                let count = ($0.interest[filter.text] ?? 0) + change
                $0.interest[filter.text] = count == 0 ? nil : count
            }
        }

        var interest: [String: Int] { self.state.withLock { $0.interest } }
        func take() -> [(line: String, boxes: [BoxID], message: CrossingMessage)] {
            self.state.withLock { state in
                defer { state.published = [] }
                return state.published
            }
        }
    }

    private static let other = Sample.box(7)
    private static let third = Sample.box(8)

    private func world(_ policy: TopicCrossing = TopicCrossing(), _ change: (inout BrokerSettings) -> Void = { _ in }) async throws -> (BrokerWorld, Tap) {
        let world = try await BrokerWorld.open(settings: change)
        let tap = Tap()
        world.broker.attach(tap, policy)
        await world.settle()
        return (world, tap)
    }

    private func wants(_ world: BrokerWorld, _ box: BoxID, _ filters: String...) async throws {
        world.broker.wants(box, Set(try filters.map { try TopicFilter($0) }))
        await world.settle()
    }

    // MARK: - Out

    @Test("a message goes to exactly the boxes whose clients want it, once each, at once with its QoS and its time left")
    func interestDecides() async throws {
        let (world, tap) = try await self.world()
        try await self.wants(world, Self.other, "a/+", "a/#", "b")
        try await self.wants(world, Self.third, "b")
        let publisher = try await world.client("p")
        try await publisher.publish("a/b", "one") { $0.properties.messageExpiryInterval = 60 }
        await publisher.say(.publish(try MQTTPublish("b", "two")))
        try await publisher.publish("c", "three")
        let told = tap.take()
        #expect(told.map(\.line) == ["a/b=one", "b=two"])
        #expect(told.map(\.boxes) == [[Self.other], [Self.other, Self.third]] || told.map(\.boxes) == [[Self.other], [Self.third, Self.other]])
        #expect(told.map(\.message.qos) == [.atLeastOnce, .atMostOnce])
        #expect(told.first?.message.millisecondsLeft == 60_000)
        try await self.wants(world, Self.other)
        try await publisher.publish("a/b", "four")
        #expect(tap.take().isEmpty)
    }

    @Test("QoS 2 crosses at PUBREL, and once however often its packets come")
    func exactlyOnce() async throws {
        let (world, tap) = try await self.world()
        try await self.wants(world, Self.other, "#")
        let publisher = try await world.client("p")
        await publisher.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 9)))
        await publisher.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 9, dup: true)))
        #expect(tap.take().isEmpty)
        await publisher.say(.pubrel(MQTTAck(9)), .pubrel(MQTTAck(9)))
        let told = tap.take()
        #expect(told.map(\.line) == ["t=x"] && told.first?.message.qos == .exactlyOnce)
    }

    @Test("wills cross; what the box says of itself, the chat, and what the administrator keeps back do not")
    func whatCrosses() async throws {
        let (world, tap) = try await self.world(
            TopicCrossing(
                allowed: [try TopicFilter("plant/#"), try TopicFilter("v1/#"), try TopicFilter("$SYS/#")], denied: [try TopicFilter("plant/secret/#")]))
        try await self.wants(world, Self.other, "#", "$SYS/#", "v1/#")
        let publisher = try await world.client("p") { connect in
            connect.will = (try? TopicName("plant/gone")).map { MQTTWill(topic: $0, payload: ByteBuffer(string: "will"), qos: .atLeastOnce) }
        }
        for topic in ["plant/7", "plant/secret/8", "office", "$other/x"] { await publisher.say(.publish(try MQTTPublish(topic, "x"))) }
        await world.pass(seconds: 20)
        await publisher.vanish()
        #expect(tap.take().map(\.line) == ["plant/7=x", "plant/gone=will"])
        world.broker.change(TopicCrossing())
        await world.settle()
        let second = try await world.client("p2")
        await second.say(.publish(try MQTTPublish("office", "y")))
        #expect(tap.take().map(\.line) == ["office=y"])
        world.broker.detachTap()
        await world.settle()
        await second.say(.publish(try MQTTPublish("office", "z")))
        #expect(tap.take().isEmpty)
    }

    // MARK: - Interest

    @Test(
        "filters are counted from the moment of joining: of sessions that were there, of absent durable ones, shared ones without their group; not of the chat or $SYS"
    )
    func counting() async throws {
        let world = try await BrokerWorld.open()
        let before = try await world.client("before", clean: false, expiry: 600, user: "root")
        try await before.subscribe("a/b", "$share/g/s/+", "$SYS/#", "v1/me/inbox")
        await before.vanish()
        let tap = Tap()
        world.broker.attach(tap, TopicCrossing())
        await world.settle()
        #expect(tap.interest == ["a/b": 1, "s/+": 1])
        let client = try await world.client("c", loop: 1)
        try await client.subscribe("a/b", "$share/h/s/+", "#")
        try await client.subscribe("a/b", qos: .exactlyOnce)
        #expect(tap.interest == ["a/b": 2, "s/+": 2, "#": 1])
        await client.say(.unsubscribe(MQTTUnsubscribe(5, [try TopicFilter("#")])))
        await client.leave()
        #expect(tap.interest == ["a/b": 1, "s/+": 1])
        // The durable one goes for good.
        let again = try await world.client("before", clean: true, user: "root")
        #expect(tap.interest.isEmpty)
        await again.leave()
    }

    // MARK: - In

    private func deliver(
        _ world: BrokerWorld, _ topic: String, _ text: String, qos: MQTTQoS = .atLeastOnce, retain: Bool = false, millisecondsLeft: UInt64? = nil
    ) async throws -> SkerryError? {
        let answer = Mutex<SkerryError??>(nil)
        world.broker.deliver(
            CrossingMessage(
                topic: try TopicName(topic), payload: ByteBuffer(string: text), qos: qos, isRetained: retain, millisecondsLeft: millisecondsLeft),
            from: Self.other
        ) { error in answer.withLock { $0 = .some(error) } }
        await world.settle()
        return try #require(answer.withLock { $0 }, "it was never answered")
    }

    @Test("a message of another box reaches subscribers on every shard and absent durable ones, and is never told to any box again")
    func arrival() async throws {
        let (world, tap) = try await self.world()
        try await self.wants(world, Self.other, "#")
        try await self.wants(world, Self.third, "#")
        let live = try await world.client("live", loop: 1)
        try await live.subscribe("t", qos: .exactlyOnce) { $0.noLocal = true }
        let durable = try await world.client("durable", clean: false, expiry: 600)
        try await durable.subscribe("t", qos: .atLeastOnce)
        await durable.vanish()
        #expect(try await self.deliver(world, "t", "one") == nil)
        #expect(try await self.deliver(world, "t", "two", qos: .exactlyOnce) == nil)
        #expect(live.takePublishes().map { "\($0.line) \($0.qos)" } == ["t=one atLeastOnce", "t=two exactlyOnce"])
        let back = try await world.client("durable", clean: false, expiry: 600, isPresent: true)
        #expect(back.takeTexts() == ["t=one", "t=two"])
        #expect(tap.take().isEmpty)
    }

    @Test("exactly one member of each shared subscription gets it, and nobody whom the access rules forbid to read it")
    func sharedAndForbidden() async throws {
        let (world, _) = try await self.world()
        var members: [BrokerClient] = []
        for index in 0..<3 {
            let member = try await world.client("m\(index)", loop: index)
            try await member.subscribe("$share/g/t")
            members.append(member)
        }
        let forbidden = try await world.client("f", user: "eve")
        try await forbidden.subscribe("t")
        let rules = AccessRules([
            AccessRuleRecord(
                id: AccessRuleID(Bytes16(high: 1, low: 1)), subject: .user(TestBox.userID("eve")), verb: .subscribe, filter: "t", effect: .deny,
                createdBy: nil, createdMilliseconds: 1, isRemoved: false,
                stamp: Order(hlc: HLC(rawValue: 1), origin: Sample.box, epoch: 1, seq: 1))
        ])
        for number in 0..<6 { #expect(try await self.deliver(world, "t", "\(number)") == nil) }
        #expect(members.flatMap { $0.takeTexts() }.count == 6)
        #expect(forbidden.takeTexts().count == 6)
        world.box.node.publish([.rulesChanged(rules)])
        await world.settle()
        #expect(try await self.deliver(world, "t", "no") == nil)
        #expect(forbidden.takeTexts().isEmpty)
    }

    @Test("topics that never cross are not taken from a box either: $…, fed/…, the chat")
    func neverTaken() async throws {
        let (world, _) = try await self.world()
        let admin = try await world.client("a", user: "root")
        try await admin.subscribe("#", "$SYS/#")
        _ = admin.take()
        for topic in ["$SYS/broker/load", "$x", "fed/1/x", "v1/me/inbox", "v1"] { #expect(try await self.deliver(world, topic, "x") == nil) }
        #expect(admin.takeTexts().isEmpty)
    }

    @Test("a message whose time is over on arrival reaches nobody, and one with the longest span does")
    func expiry() async throws {
        let (world, _) = try await self.world()
        let subscriber = try await world.client("s")
        try await subscriber.subscribe("t", qos: .atLeastOnce)
        #expect(try await self.deliver(world, "t", "late", millisecondsLeft: 0) == nil)
        #expect(try await self.deliver(world, "t", "ever", millisecondsLeft: .max) == nil)
        #expect(subscriber.takeTexts() == ["t=ever"])
    }

    @Test("a full disk says so, and the message may be given again")
    func fullDisk() async throws {
        let (world, store) = try await BrokerWorld.openManual()
        func step() {
            repeat { world.box.runLoops() } while store.step()
            world.box.runLoops()
        }
        let durable = await world.connect("d", clean: false, expiry: 600, settles: false)
        step()
        durable.give(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("t"), MQTTSubscriptionOptions(qos: .atLeastOnce))])))
        step()
        _ = durable.take()
        let answers = Mutex<[Bool]>([])
        let message = CrossingMessage(topic: try TopicName("t"), payload: ByteBuffer(string: "x"), qos: .atLeastOnce)
        store.fail(.commit(1, StoreError(.full, "full"), isApplied: false))
        world.broker.deliver(message, from: Self.other) { error in answers.withLock { $0.append(error == nil) } }
        step()
        #expect(answers.withLock { $0 } == [false] && durable.takeTexts().isEmpty)
        world.broker.deliver(message, from: Self.other) { error in answers.withLock { $0.append(error == nil) } }
        step()
        #expect(answers.withLock { $0 } == [false, true])
        #expect(durable.takeTexts() == ["t=x"])
    }

    // MARK: - Retained

    /// What the box has written to its log about retained messages.
    private func entries(_ world: BrokerWorld) async throws -> [RetainedEntry] {
        try await world.box.node.store.read { store in
            var found: [RetainedEntry] = []
            for epoch in try store.epochs() where epoch.log.stream == .control && epoch.head > 0 {
                for seq in 1...epoch.head {
                    guard let bytes = try store.entry(at: LocalPosition(epoch: epoch.number, seq: seq)) else { continue }
                    if case .retained(let entry) = try EntryCodec.decode(bytes).body { found.append(entry) }
                }
            }
            return found
        }
    }

    @Test("in a federation a retained message is an entry of the log and its row in one, and clearing it is one too; outside it leaves none")
    func retainedEntries() async throws {
        let (world, _) = try await self.world(TopicCrossing(denied: [try TopicFilter("mine/#")]))
        let publisher = try await world.client("p")
        try await publisher.publish("r", "one", retain: true)
        try await publisher.publish("mine/r", "own", retain: true)
        try await publisher.publish("never", "", retain: true)
        let first = try await self.entries(world)
        #expect(first.map(\.topic) == ["r"])
        let subscriber = try await world.client("s")
        try await subscriber.subscribe("#")
        #expect(subscriber.takePublishes().map { "\($0.line) \($0.isRetained)" }.sorted() == ["mine/r=own true", "r=one true"])
        try await publisher.publish("r", "", retain: true)
        #expect(try await self.entries(world).map { "\($0.topic) \($0.body.isEmpty)" } == ["r false", "r true"])
        #expect(try await world.box.node.store.read { try $0.retained(topic: "r") } == nil)
    }

    @Test("an administrator's clearing is an entry as well")
    func clearing() async throws {
        let (world, _) = try await self.world()
        let publisher = try await world.client("p")
        for topic in ["r/1", "r/2", "q"] { try await publisher.publish(topic, "x", retain: true) }
        let broker = world.broker
        #expect(try await BrokerWorld.driving(world.box) { try await broker.clearRetained(try TopicFilter("r/#")) } == 2)
        #expect(try await BrokerWorld.driving(world.box) { try await broker.clearRetained(topic: try TopicName("q")) })
        #expect(try await self.entries(world).suffix(3).map { "\($0.topic) \($0.body.isEmpty)" } == ["r/1 true", "r/2 true", "q true"])
    }

    @Test("a retained message too large for an entry stays on its box, and other boxes lose what was there before")
    func tooLarge() async throws {
        let (world, _) = try await self.world()
        let publisher = try await world.client("p")
        let large = String(repeating: "x", count: 17_000)
        try await publisher.publish("r", large, retain: true)
        #expect(try await self.entries(world).isEmpty)
        #expect(world.count(.federationRetainedTooLarge) == 1)
        try await publisher.publish("r", "small", retain: true)
        try await publisher.publish("r", large, retain: true)
        #expect(try await self.entries(world).map(\.body.isEmpty) == [false, true])
        let subscriber = try await world.client("s")
        try await subscriber.subscribe("r")
        #expect(subscriber.takeTexts() == ["r=\(large)"])
        // What came before it elsewhere does not bring the old one back.
        #expect(try await world.box.node.store.read { try $0.retained(topic: "r")?.stamp } != nil)
    }

    @Test("the limit of retained messages refuses a new topic before anything is written to the log")
    func limit() async throws {
        let (world, _) = try await self.world { $0.retainedMessagesMax = 2 }
        let publisher = try await world.client("p")
        for topic in ["r/1", "r/2"] { try await publisher.publish(topic, "x", retain: true) }
        #expect(try await publisher.publish("r/3", "x", retain: true).reason == .quotaExceeded)
        #expect(try await self.entries(world).map(\.topic) == ["r/1", "r/2"])
    }

    @Test("a live message of another box with RETAIN is given to who is there and retained by nobody")
    func liveRetained() async throws {
        let (world, _) = try await self.world()
        let plain = try await world.client("plain")
        try await plain.subscribe("r")
        let bridge = try await world.client("bridge", loop: 1)
        try await bridge.subscribe("r") { $0.retainAsPublished = true }
        #expect(try await self.deliver(world, "r", "x", retain: true) == nil)
        #expect(plain.takePublishes().map(\.isRetained) == [false])
        #expect(bridge.takePublishes().map(\.isRetained) == [true])
        #expect(try await world.box.node.store.read { try $0.retained(topic: "r") } == nil)
        #expect(try await self.entries(world).isEmpty)
        let late = try await world.client("late")
        try await late.subscribe("r")
        #expect(late.takeTexts().isEmpty)
    }

    @Test("what was retained before the box joined is written to its log in pages, except what is too large, expired or kept back")
    func offering() async throws {
        let world = try await BrokerWorld.open()
        let publisher = try await world.client("p")
        for number in 0..<1_203 { try await publisher.publish("r/\(number)", "x", retain: true) }
        try await publisher.publish("mine", "x", retain: true)
        try await publisher.publish("large", String(repeating: "x", count: 17_000), retain: true)
        try await publisher.publish("soon", "x", retain: true) { $0.properties.messageExpiryInterval = 1 }
        await world.pass(seconds: 2)
        world.broker.attach(Tap(), TopicCrossing(denied: [try TopicFilter("mine")]))
        await world.settle()
        #expect(try await self.entries(world).count < 600)
        for _ in 0..<6 {
            for loop in world.box.loops { loop.runTimers() }
            await world.settle()
        }
        let entries = try await self.entries(world)
        #expect(Set(entries.map(\.topic)) == Set((0..<1_203).map { "r/\($0)" }))
        #expect(entries.count == 1_203)
    }

    @Test("a row that came with a log is served by physical time, and not at all when its topic is none that crosses or its message is about another")
    func rowsOfOthers() async throws {
        let (world, _) = try await self.world()
        let publisher = try await world.client("p")
        try await publisher.publish("r", "x", retain: true) { $0.properties.messageExpiryInterval = 100 }
        let entry = try #require(try await self.entries(world).first)
        #expect(entry.expiresMilliseconds == world.box.clock.wall + 100_000)
        let order = Order(hlc: HLC(milliseconds: world.box.clock.wall + 5_000, counter: 0), origin: Self.other, epoch: 9, seq: 1)
        let forged = [
            RetainedEntry(topic: "$SYS/broker/version", body: entry.body, expiresMilliseconds: 0),
            RetainedEntry(topic: "other", body: entry.body, expiresMilliseconds: 0), RetainedEntry(topic: "torn", body: [1, 2, 3], expiresMilliseconds: 0),
        ]
        _ = try await world.box.node.commits.commit { log in
            for row in forged {
                _ = try Applier.apply(.retained(row), order: order, position: LocalPosition(epoch: 1, seq: 1), to: log.store)
            }
            return true
        }
        let admin = try await world.client("a", user: "root")
        try await admin.subscribe("#", "other", "torn")
        #expect(admin.takePublishes().map { "\($0.line) \($0.properties.messageExpiryInterval ?? 0)" } == ["r=x 100"])
        // The wall clock is put right by ten minutes: so is what is left.
        world.box.clock.setWall(world.box.clock.wall + 600_000)
        let late = try await world.client("l")
        try await late.subscribe("r")
        #expect(late.takeTexts().isEmpty)
    }
}
