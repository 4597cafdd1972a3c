import Account
import ChatCodec
import MQTTCodec
import NIOCore
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Broker: access rules")
struct BrokerAccessTests {
    /// A broker that lets ann, bob and root (an administrator) in, and clients without an account to `open/#`.
    private func world(_ store: any Store = MemoryStore(), seed: UInt64 = 1) async throws -> BrokerWorld {
        let world = try await BrokerWorld.open(store: store, seed: seed) { $0.anonymous = [.openTopics].compactMap { $0 } }
        if seed == 1 { try await world.box.addUsers("ann", "bob") }
        if seed == 1 {
            _ = try await BrokerWorld.driving(world.box) {
                try await world.box.node.commits.commit { try $0.append(.user(Sample.userEntry(TestBox.userID("root"), name: "root", role: .admin))) }
            }
        }
        return world
    }

    // MARK: - Publishing

    @Test("a publish that is denied: 0x87 with reason and code in PUBACK and PUBREC, QoS 0 dropped; 3.1.1 is acknowledged; nobody gets it")
    func publishing() async throws {
        let world = try await self.world()
        try await world.rule(.deny, .publish, "secret/#", user: "ann")
        let watcher = try await world.client("w", user: "bob", loop: 1)
        try await watcher.subscribe("#", qos: .exactlyOnce)
        let ann = try await world.client("a", user: "ann")
        let ack = try await ann.publish("secret/x", "no")
        #expect(ack.reason == .notAuthorized && ack.properties.userProperties == [MQTTUserProperty("code", "forbidden")])
        #expect(ack.properties.reasonString?.contains("access rules") == true)
        await ann.say(.publish(try MQTTPublish("secret/x", "no", qos: .exactlyOnce, id: 9)))
        guard case .pubrec(let rec)? = ann.take().first else { throw Unexpected("no PUBREC") }
        #expect(rec.reason == .notAuthorized)
        await ann.say(.publish(try MQTTPublish("secret/x", "no")), .pingreq)
        #expect(ann.take() == [.pingresp], "the connection goes on")
        let old = try await world.client("o", .v311, user: "ann")
        #expect(try await old.publish("secret/x", "no").reason == .success)
        #expect(world.count(.mqttDenied) == 4)
        #expect(watcher.take().isEmpty)
        #expect(try await ann.publish("public", "yes").reason == .success)
        #expect(watcher.takeTexts() == ["public=yes"])
        #expect(try await world.client("b", user: "bob").publish("secret/x", "bob's").reason == .success)
    }

    @Test("the next publish is judged by the rules of that moment, on an open connection")
    func atOnce() async throws {
        let world = try await self.world()
        let ann = try await world.client("a", user: "ann", loop: 1)
        #expect(try await ann.publish("t", "1").reason == .noMatchingSubscribers)
        let rule = try await world.rule(.deny, .all, "t", role: .user)
        #expect(try await ann.publish("t", "2").reason == .notAuthorized)
        try await world.takeBack(rule)
        #expect(try await ann.publish("t", "3").reason == .noMatchingSubscribers)
        try await world.rule(.allow, .publish, "dev/%u/%c", user: "ann")
        #expect(try await ann.publish("t", "4").reason == .notAuthorized)
        #expect(try await ann.publish("dev/ann/a", "5").reason == .noMatchingSubscribers)
        #expect(try await ann.publish("dev/ann/b", "6").reason == .notAuthorized)
    }

    @Test("a QoS 2 message that was accepted goes on at PUBREL though a rule came between; its second try is the same exchange")
    func accepted() async throws {
        let world = try await self.world()
        let watcher = try await world.client("w", user: "bob")
        try await watcher.subscribe("t")
        let ann = try await world.client("a", user: "ann", loop: 1)
        await ann.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 9)))
        try await world.rule(.deny, .publish, "t", user: "ann")
        await ann.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 9, dup: true)), .pubrel(MQTTAck(9)))
        #expect(ann.take() == [.pubrec(MQTTAck(9)), .pubrec(MQTTAck(9)), .pubcomp(MQTTAck(9))])
        #expect(watcher.takeTexts() == ["t=x"])
    }

    // MARK: - Subscribing

    @Test(
        "a subscription that is not allowed: 0x87 in 5.0 with the reason, 0x80 in 3.1.1; the others of the packet are granted",
        arguments: [MQTTVersion.v311, .v5])
    func subscribing(version: MQTTVersion) async throws {
        let world = try await self.world()
        try await world.rule(.allow, .all, "a/#", user: "ann")
        try await world.rule(.deny, .subscribe, "a/secret/#", role: .user)
        let ann = try await world.client("a", version, user: "ann")
        let no = version == .v5 ? MQTTReason.notAuthorized : .unspecifiedError
        #expect(
            try await ann.subscribe("a/b", "#", "a/#", "a/secret/x", "$share/g/a/+", "$share/g/+/b", "a/secret/#", "+", "a/+/secret", qos: .atLeastOnce)
                == [.granted(.atLeastOnce), no, .granted(.atLeastOnce), no, .granted(.atLeastOnce), no, no, no, .granted(.atLeastOnce)])
        #expect(world.count(.mqttDenied) == 5)
    }

    @Test("a subscription that is denied in part is accepted, and the denied part does not come: live, retained and over a share")
    func inPart() async throws {
        let world = try await self.world()
        let bob = try await world.client("b", user: "bob", loop: 1)
        try await bob.publish("a/secret", "old secret", retain: true)
        try await bob.publish("a/open", "old", retain: true)
        try await world.rule(.deny, .subscribe, "a/secret", user: "ann")
        let ann = try await world.client("a", user: "ann")
        #expect(try await ann.subscribe("a/#", qos: .atLeastOnce) == [.granted(.atLeastOnce)])
        #expect(ann.takeTexts() == ["a/open=old"])
        #expect(try await bob.publish("a/secret", "new").reason == .noMatchingSubscribers, "who may not read is no subscriber")
        #expect(try await bob.publish("a/open", "new").reason == .success)
        #expect(ann.takeTexts() == ["a/open=new"])
        #expect(world.count(.mqttWithheld) == 2)
    }

    @Test("deliveries stop when a rule comes and go on when it is taken back; the subscription stays", arguments: [nil, 600] as [UInt32?])
    func sleeping(expiry: UInt32?) async throws {
        let world = try await self.world()
        let ann = try await world.client("a", expiry: expiry, user: "ann", loop: 1)
        try await ann.subscribe("a/+", "a/b", qos: .atLeastOnce)
        let bob = try await world.client("b", user: "bob")
        try await bob.publish("a/b", "1")
        #expect(ann.takeTexts() == ["a/b=1"])
        let rule = try await world.rule(.deny, .all, "a/b", user: "ann")
        #expect(try await bob.publish("a/b", "2").reason == .noMatchingSubscribers)
        try await bob.publish("a/c", "3")
        #expect(ann.takeTexts() == ["a/c=3"])
        try await world.takeBack(rule)
        #expect(try await bob.publish("a/b", "4").reason == .success)
        #expect(ann.takeTexts() == ["a/b=4"])
    }

    @Test("rules are about bytes of topics, empty levels too")
    func emptyLevels() async throws {
        let world = try await self.world()
        try await world.rule(.allow, .all, "a//+", user: "ann")
        let ann = try await world.client("a", user: "ann")
        #expect(
            try await ann.subscribe("a//b", "a/b", "a/+/b", "a///", "a//") == [
                .granted(.atMostOnce), .notAuthorized, .notAuthorized, .notAuthorized, .granted(.atMostOnce),
            ])
        try await ann.publish("a//", "x")
        #expect(ann.takeTexts() == ["a//=x"])
    }

    // MARK: - What waits

    @Test("queued messages that may no longer be read are dropped when they would be sent, counted, and their rows go", arguments: StoreKind.allCases)
    func queued(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        var world = try await self.world(try place.open())
        let away = try await world.client("a", clean: false, expiry: 6_000, user: "ann", loop: 1)
        try await away.subscribe("a/#", qos: .exactlyOnce)
        await away.vanish()
        let bob = try await world.client("b", user: "bob")
        for (index, topic) in ["a/1", "a/secret", "a/2"].enumerated() { try await bob.publish(topic, "\(index)") }
        try await world.rule(.deny, .subscribe, "a/secret", user: "ann")
        #expect(try await bob.publish("a/secret", "later").reason == .noMatchingSubscribers, "not even queued any more")
        world.box.store.close()

        world = try await self.world(try place.open(), seed: 2)
        let back = try await world.client("a", clean: false, expiry: 6_000, user: "ann", isPresent: true)
        let got = back.takePublishes()
        #expect(got.map(\.line) == ["a/1=0", "a/2=2"])
        #expect(world.count(.mqttWithheld) == 1)
        for publish in got { await back.say(.puback(MQTTAck(publish.packetID))) }
        await back.vanish()
        #expect(try await world.box.store.read { try $0.queueBounds(of: 1) } == nil, "nothing is left in the queue")
        world.box.store.close()
    }

    @Test("a message that was sent and not acknowledged is not sent again when it may no longer be read", arguments: [MQTTVersion.v311, .v5])
    func redelivery(version: MQTTVersion) async throws {
        let world = try await self.world()
        let ann = try await world.client("a", version, clean: false, expiry: 6_000, user: "ann")
        try await ann.subscribe("a/#", qos: .atLeastOnce)
        let bob = try await world.client("b", user: "bob", loop: 1)
        try await bob.publish("a/secret", "1")
        try await bob.publish("a/b", "2")
        #expect(ann.takeTexts().count == 2)
        await ann.vanish()
        let rule = try await world.rule(.deny, .all, "a/secret", user: "ann")
        let back = try await world.client("a", version, clean: false, expiry: 6_000, user: "ann", isPresent: true)
        #expect(back.takePublishes().map(\.line) == ["a/b=2"])
        try await world.takeBack(rule)
        await back.vanish()
        #expect(try await world.client("a", version, clean: false, expiry: 6_000, user: "ann", isPresent: true).takeTexts() == ["a/b=2"])
    }

    @Test("messages that wait for a slow client are judged when they would be sent; a QoS 2 exchange under way is finished")
    func waiting() async throws {
        let world = try await self.world()
        let ann = try await world.client("a", user: "ann") { $0.properties.receiveMaximum = 1 }
        try await ann.subscribe("a/#", qos: .exactlyOnce)
        let bob = try await world.client("b", user: "bob", loop: 1)
        for topic in ["a/secret", "a/secret", "a/b"] {
            await bob.say(.publish(try MQTTPublish(topic, "x", qos: .exactlyOnce, id: 3)), .pubrel(MQTTAck(3)))
        }
        let first = try #require(ann.takePublishes().first)
        #expect(first.line == "a/secret=x")
        await ann.say(.pubrec(MQTTAck(first.packetID)))
        #expect(ann.take() == [.pubrel(MQTTAck(first.packetID))])
        try await world.rule(.deny, .all, "a/secret", user: "ann")
        await ann.say(.pubcomp(MQTTAck(first.packetID)))
        #expect(ann.takeTexts() == ["a/b=x"])
        #expect(world.count(.mqttWithheld) == 1)
    }

    // MARK: - Wills

    private func will(_ topic: String, delay: UInt32? = nil) throws -> MQTTWill {
        var will = MQTTWill(topic: try TopicName(topic), payload: ByteBuffer(string: "gone"), qos: .atLeastOnce)
        will.properties.willDelayInterval = delay
        return will
    }

    @Test("a will to a topic that is denied is refused with 0x87 at CONNECT, and one that was accepted is not published once it is denied")
    func wills() async throws {
        let world = try await self.world()
        let watcher = try await world.client("w", user: "bob", loop: 1)
        try await watcher.subscribe("w/#", qos: .atLeastOnce)
        let rule = try await world.rule(.deny, .publish, "w/%c", role: .user)
        #expect(try await world.connect("a", user: "ann", will: self.will("w/a")).connack().reason == .notAuthorized)
        let other = await world.connect("a", expiry: 600, user: "ann", will: try self.will("w/b", delay: 2))
        #expect(try other.connack().reason == .success)
        await other.vanish()
        let lost = await world.connect("c", user: "ann", will: try self.will("w/d"))
        #expect(try lost.connack().reason == .success)
        try await world.rule(.deny, .all, "w/+", user: "ann")
        await lost.vanish()
        await world.pass(seconds: 3)
        #expect(watcher.takeTexts() == [])
        #expect(world.count(.mqttDenied) == 2)
        try await world.takeBack(rule)
        let allowed = await world.connect("e", user: "bob", will: try self.will("w/e"))
        await allowed.vanish()
        #expect(watcher.takeTexts() == ["w/e=gone"])
    }

    // MARK: - Shared subscriptions

    @Test("a message of a shared subscription goes to a member who may read it", arguments: [nil, 600] as [UInt32?], [MQTTQoS.atMostOnce, .atLeastOnce])
    func shared(expiry: UInt32?, qos: MQTTQoS) async throws {
        let world = try await self.world()
        let ann = try await world.client("a", expiry: expiry, user: "ann")
        let bob = try await world.client("b", expiry: expiry, user: "bob", loop: 1)
        for member in [ann, bob] { #expect(try await member.subscribe("$share/g/t/#", qos: qos) == [.granted(qos)]) }
        let publisher = try await world.client("p", user: "root")
        func publish(_ topic: String, _ numbers: Range<Int>) async throws {
            for number in numbers { try await publisher.publish(topic, "\(number)", id: UInt16(number + 1)) }
        }
        let rule = try await world.rule(.deny, .subscribe, "t/secret", user: "ann")
        try await publish("t/secret", 0..<4)
        #expect(ann.takeTexts() == [] && bob.takePublishes().map(\.text) == ["0", "1", "2", "3"])
        try await publish("t/open", 4..<8)
        #expect(ann.takeTexts().count == 2 && bob.takeTexts().count == 2, "in turn as ever")
        try await world.takeBack(rule)
        try await publish("t/secret", 8..<12)
        #expect(ann.takeTexts().count == 2 && bob.takeTexts().count == 2)
        try await world.rule(.deny, .all, "t/secret", role: .user)
        #expect(try await publisher.publish("t/secret", "nobody's", id: 99).reason == .noMatchingSubscribers)
        #expect(ann.takeTexts() == [] && bob.takeTexts() == [])
    }

    @Test("a member that subscribes while a rule holds is known to be restricted from the start, also after a restart")
    func sharedLater() async throws {
        let place = BoxPlace(kind: .memory)
        var world = try await self.world(try place.open())
        try await world.rule(.deny, .subscribe, "t/secret", user: "ann")
        let ann = try await world.client("a", clean: false, expiry: 600, user: "ann")
        let bob = try await world.client("b", clean: false, expiry: 600, user: "bob", loop: 1)
        for member in [ann, bob] { try await member.subscribe("$share/g/t/#", qos: .atLeastOnce) }
        for number in 1...3 { try await world.client("p").publish("open/none", "x", id: UInt16(number)) }
        world.box.store.close()
        world = try await self.world(try place.open(), seed: 2)
        // Both are away: the message waits for the one who may read it.
        let publisher = try await world.client("p", user: "root")
        for number in 0..<4 { try await publisher.publish("t/secret", "\(number)", id: UInt16(number + 1)) }
        #expect(try await world.client("a", clean: false, expiry: 600, user: "ann", isPresent: true).takeTexts() == [])
        #expect(try await world.client("b", clean: false, expiry: 600, user: "bob", isPresent: true).takeTexts().count == 4)
        world.box.store.close()
    }

    // MARK: - Roles

    @Test("a changed role holds at once on an open connection: an administrator reads $SYS, one who is none any more does not")
    func roles() async throws {
        let world = try await self.world()
        let ann = try await world.client("a", expiry: 600, user: "ann")
        #expect(try await ann.subscribe("$SYS/broker/version") == [.notAuthorized])
        try await world.role(.admin, "ann")
        #expect(try await ann.subscribe("$SYS/broker/version") == [.granted(.atMostOnce)])
        #expect(ann.takeTexts().count == 1)
        try await world.rule(.deny, .publish, "t", role: .user)
        #expect(try await ann.publish("t", "x").reason == .noMatchingSubscribers)
        try await world.role(.user, "ann")
        #expect(ann.isClosed, "she is made to come again")
        let back = try await world.client("a", clean: false, expiry: 600, user: "ann", isPresent: true)
        #expect(back.takeTexts() == [])
        #expect(try await back.publish("t", "x").reason == .notAuthorized)
        await world.pass(seconds: 30)
        #expect(back.takeTexts() == [])
    }

    @Test("rules for a role hold for sessions that are away as well, whoever they were when they left")
    func rolesAway() async throws {
        let world = try await self.world()
        let ann = try await world.client("a", clean: false, expiry: 600, user: "ann")
        try await ann.subscribe("t/#", qos: .atLeastOnce)
        await ann.vanish()
        try await world.rule(.deny, .subscribe, "t/secret", role: .admin)
        let bob = try await world.client("b", user: "bob")
        #expect(try await bob.publish("t/secret", "1").reason == .success)
        try await world.role(.admin, "ann")
        #expect(try await bob.publish("t/secret", "2").reason == .noMatchingSubscribers)
    }

    @Test("deny rules take $SYS from administrators, in whole or in part; allow rules leave it to them")
    func system() async throws {
        let world = try await self.world()
        try await world.rule(.allow, .all, "a/#", user: "root")
        try await world.rule(.deny, .subscribe, "$SYS/broker/clients/#", role: .admin)
        let root = try await world.client("r", user: "root")
        #expect(try await root.subscribe("$SYS/broker/clients/+", "b", "$SYS/#") == [.notAuthorized, .notAuthorized, .granted(.atMostOnce)])
        let topics = root.takePublishes().compactMap { $0.topic?.text }
        #expect(topics.contains("$SYS/broker/version") && !topics.contains { $0.hasPrefix("$SYS/broker/clients/") })
    }

    @Test("a slash with an accent or a joiner behind it parts levels: nobody gets under $SYS, v1 or fed by it", arguments: ["\u{301}", "\u{200D}"])
    func accents(_ mark: String) async throws {
        let world = try await self.world()
        let ann = try await world.client("a", user: "ann")
        let filters = ["$SYS/\(mark)/#", "$SYS/\(mark)x", "v1/\(mark)", "fed/\(mark)/#", "$share/g/$SYS/\(mark)/#"]
        for filter in filters { #expect(try await ann.subscribe(filter) == [.notAuthorized], "\(filter)") }
        #expect(try await ann.subscribe("a/\(mark)/#") == [.granted(.atMostOnce)])
    }

    // MARK: - Without an account

    @Test("clients without an account say that they bridge, below $SYS, where all topics are opened to them and nowhere else")
    func bridges() async throws {
        let (world, state) = (try await self.world(), "$SYS/broker/connection/b/state")
        let client = try await world.client("c", loop: 1)
        #expect(try await client.publish(state, "1", retain: true).reason == .notAuthorized)
        #expect(try await world.client("a", user: "ann").publish(state, "1").reason == .noMatchingSubscribers)
        world.broker.open([try TopicFilter("#")])
        await world.settle()
        #expect(try await client.publish(state, "1", retain: true).reason == .noMatchingSubscribers)
        try await world.rule(.deny, .publish, "$SYS/#", role: .anonymous)
        #expect(try await client.publish(state, "1", retain: true).reason == .notAuthorized)
    }

    @Test("clients without an account: what is opened less what is denied; opening other topics holds at once")
    func anonymous() async throws {
        let world = try await self.world()
        let rule = try await world.rule(.deny, .all, "open/secret", role: .anonymous)
        let client = try await world.client("c", loop: 1)
        #expect(try await client.subscribe("open/#", "open/secret", "other") == [.granted(.atMostOnce), .notAuthorized, .notAuthorized])
        #expect(try await client.publish("open/secret", "x").reason == .notAuthorized)
        #expect(try await client.publish("other", "x").reason == .notAuthorized)
        let bob = try await world.client("b", user: "bob")
        for topic in ["open/a", "open/secret"] { try await bob.publish(topic, "x") }
        #expect(client.takeTexts() == ["open/a=x"])
        try await world.takeBack(rule)
        #expect(try await client.publish("open/secret", "x").reason == .success)
        #expect(client.takeTexts() == ["open/secret=x"])
        world.broker.open([try TopicFilter("other/#")])
        await world.settle()
        #expect(try await client.publish("open/a", "x").reason == .notAuthorized)
        #expect(try await client.publish("other/a", "x").reason == .noMatchingSubscribers)
        try await bob.publish("open/a", "x")
        #expect(client.takeTexts() == [])
        world.broker.open([])
        await world.settle()
        #expect(try await client.publish("other/a", "x").reason == .notAuthorized)
        #expect(try await world.connect("d").connack().reason == .notAuthorized)
    }

    @Test("a listener with topics of its own: a client without an account that is away keeps what it may read there, over a change and a restart")
    func entrances() async throws {
        let place = BoxPlace(kind: .memory)
        var world = try await self.world(try place.open())
        func come(_ world: BrokerWorld, isPresent: Bool) async throws -> BrokerClient {
            let entrance = MQTTEntrance("lab", world.broker.settings, anonymous: [try TopicFilter("lab/#")])
            let client = BrokerClient(world, .v5, loop: world.box.loops[0], through: entrance)
            var connect = MQTTConnect(version: .v5, clientID: "c", cleanStart: false, keepAliveSeconds: 0)
            connect.properties.sessionExpiryInterval = 600
            client.loop.run { world.broker.connect(connect, client.link) }
            await world.settle()
            #expect(try client.connack().isSessionPresent == isPresent)
            return client
        }
        let client = try await come(world, isPresent: false)
        #expect(try await client.subscribe("lab/#", "open/x", qos: .atLeastOnce) == [.granted(.atLeastOnce), .notAuthorized])
        await client.vanish()
        try await world.rule(.deny, .all, "lab/secret", role: .anonymous)
        let bob = try await world.client("b", user: "bob")
        #expect(try await bob.publish("lab/1", "kept").reason == .success)
        #expect(try await bob.publish("lab/secret", "not").reason == .noMatchingSubscribers)
        world.box.store.close()
        world = try await self.world(try place.open(), seed: 2)
        let again = try await world.client("b", user: "bob")
        #expect(try await again.publish("lab/2", "kept").reason == .success)
        #expect(try await again.publish("lab/secret", "not").reason == .noMatchingSubscribers)
        #expect(try await come(world, isPresent: true).takeTexts() == ["lab/1=kept", "lab/2=kept"])
        world.box.store.close()
    }

    // MARK: - Any order of things

    /// A client of the random test, and what it must be given when it next looks.
    private final class Somebody {
        let id: String
        let user: String
        let isDurable: Bool
        var client: BrokerClient?
        var wasThere = false
        var filters: [TopicFilter] = []
        var owed: [(topic: TopicName, line: String)] = []

        init(_ id: String, _ user: String, isDurable: Bool) { (self.id, self.user, self.isDurable) = (id, user, isDurable) }
    }

    @Test("whatever changes in whatever order: everybody gets all that they may read by the rules of that moment, and nothing else", arguments: 1...12)
    func anyOrder(_ seed: UInt64) async throws {
        let world = try await self.world()
        var random = SeededRandom(seed: seed)
        var rules: [AccessRuleRecord] = []
        var ids: [AccessRuleID] = []
        let people = [
            Somebody("a1", "ann", isDurable: true), Somebody("a2", "ann", isDurable: false), Somebody("b1", "bob", isDurable: true),
            Somebody("b2", "bob", isDurable: false),
        ]
        let topics = ["t/a", "t/b", "t/c/a1", "u/ann", "u/bob/x", "t"]
        let filters = ["t/#", "t/+", "t/a", "#", "u/%u/#", "t/c/%c", "+/a", "u/+"]

        func rights(_ somebody: Somebody) -> TopicRights? {
            AccessRules(rules).rights(
                of: AccessRules.Client(user: TestBox.userID(somebody.user), name: somebody.user, role: .user, clientID: somebody.id), opened: [])
        }
        func look(_ somebody: Somebody, _ what: String) async {
            guard let client = somebody.client else { return }
            let got = client.takePublishes()
            #expect(got.map(\.line).sorted() == somebody.owed.map(\.line).sorted(), "seed \(seed): \(somebody.id) \(what); rules \(rules.map(\.filter))")
            somebody.owed = []
            for publish in got where publish.qos == .atLeastOnce { await client.say(.puback(MQTTAck(publish.packetID))) }
        }

        for step in 0..<120 {
            let somebody = people[Int.random(in: 0..<people.count, using: &random)]
            switch Int.random(in: 0..<10, using: &random) {
            case 0 where ids.count < 6:
                let (effect, verb) = (random.chance(60) ? AccessEffect.deny : .allow, random.pick(AccessVerb.allCases) ?? .all)
                let filter = random.pick(filters) ?? "#"
                let isRole = random.chance(40)
                let subject: AccessSubject = isRole ? .role(.user) : .user(TestBox.userID(somebody.user))
                if rules.contains(where: { $0.subject == subject && $0.verb == verb && $0.effect == effect && $0.filter == filter }) { continue }
                let id =
                    isRole
                    ? try await world.rule(effect, verb, filter, role: .user) : try await world.rule(effect, verb, filter, user: somebody.user)
                ids.append(id)
                rules.append(
                    AccessRuleRecord(
                        id: id, subject: subject, verb: verb, filter: filter, effect: effect, createdBy: nil, createdMilliseconds: 0, isRemoved: false,
                        stamp: Sample.order(step)))
            case 1 where !ids.isEmpty:
                let id = ids.remove(at: Int.random(in: 0..<ids.count, using: &random))
                try await world.takeBack(id)
                rules.removeAll { $0.id == id }
            case 2:
                guard let client = somebody.client else { break }
                await client.vanish()
                somebody.client = nil
                if !somebody.isDurable { (somebody.filters, somebody.owed) = ([], []) }
            case 3, 4:
                guard let client = somebody.client else { break }
                let filter = try TopicFilter((random.pick(filters) ?? "#").replacing("%u", with: somebody.user).replacing("%c", with: somebody.id))
                let isAllowed = rights(somebody)?.maySubscribe(filter) ?? true
                let reasons = try await client.subscribe(filter.text, qos: .atLeastOnce)
                #expect(reasons == [isAllowed ? .granted(.atLeastOnce) : .notAuthorized], "seed \(seed): \(somebody.id) subscribes to \(filter)")
                if isAllowed && !somebody.filters.contains(filter) { somebody.filters.append(filter) }
            default:
                guard let client = somebody.client else {
                    somebody.client = try await world.client(
                        somebody.id, clean: !somebody.isDurable, expiry: somebody.isDurable ? 6_000 : nil, user: somebody.user,
                        loop: Int.random(in: 0...1, using: &random), isPresent: somebody.isDurable && somebody.wasThere)
                    somebody.wasThere = true
                    let rights = rights(somebody)
                    somebody.owed.removeAll { !(rights?.mayRead($0.topic) ?? true) }
                    await look(somebody, "comes back")
                    break
                }
                let topic = try TopicName(random.pick(topics) ?? "t")
                let mayPublish = rights(somebody)?.mayPublish(topic) ?? true
                var hasReader = false
                for other in people where mayPublish && other.filters.contains(where: { $0.matches(topic) }) && (rights(other)?.mayRead(topic) ?? true) {
                    hasReader = true
                    other.owed.append((topic, "\(topic)=\(step)"))
                }
                let reason = try await client.publish(topic.text, "\(step)", id: UInt16(step + 1)).reason
                #expect(reason == (!mayPublish ? .notAuthorized : hasReader ? .success : .noMatchingSubscribers), "seed \(seed): \(somebody.id) to \(topic)")
                for other in people { await look(other, "hears \(topic)=\(step)") }
            }
        }
        #expect(world.count(.mqttDenied) + world.count(.mqttWithheld) > 0 && world.count(.mqttPublishesOut) > 10, "seed \(seed): nothing happened")
    }

    // MARK: - The chat

    @Test("rules are about the topics of the chat too: sending, subscribing and what comes, live and kept", arguments: [nil, 600] as [UInt32?])
    func chat(expiry: UInt32?) async throws {
        let world = try await self.world()
        let ann = try await world.client("a", clean: false, expiry: expiry, user: "ann")
        #expect(try await ann.subscribe("v1/me/in", "v1/me/ack", qos: .atLeastOnce) == [.granted(.atLeastOnce), .granted(.atLeastOnce)])
        #expect(try await ann.publish("v1/c/@bob/text", "1").reason == .success)
        let topics = ann.takePublishes().compactMap { $0.topic?.text }
        #expect(topics.contains("v1/me/in"))
        let rule = try await world.rule(.deny, .all, "v1/#", user: "ann")
        #expect(try await ann.publish("v1/c/@bob/text", "2").reason == .notAuthorized)
        #expect(try await ann.subscribe("v1/c/+/msg") == [.notAuthorized])
        let bob = try await world.client("b", user: "bob", loop: 1)
        #expect(try await bob.publish("v1/c/@ann/text", "3").reason == .success)
        #expect(ann.takeTexts() == [])
        try await world.takeBack(rule)
        try await bob.publish("v1/c/@ann/text", "4")
        let got = ann.takeTexts()
        #expect(got.count == 1 && got.first?.contains("\"4\"") == true)
    }

    @Test("the answer to a chat message does not go where its sender may not publish")
    func answers() async throws {
        let world = try await self.world()
        try await world.rule(.deny, .publish, "answers/#", user: "ann")
        let watcher = try await world.client("w", user: "bob", loop: 1)
        try await watcher.subscribe("answers/#")
        let ann = try await world.client("a", user: "ann")
        try await ann.publish("v1/c/@bob/text", "x") { $0.properties.responseTopic = "answers/1" }
        #expect(watcher.take().isEmpty)
        #expect(try await world.client("b", user: "bob").publish("v1/c/@ann/text", "x") { $0.properties.responseTopic = "answers/1" }.reason == .success)
        #expect(watcher.take().count == 1)
    }
}

extension TopicFilter {
    fileprivate static let openTopics = try? TopicFilter("open/#")
}

extension BrokerWorld {
    private var service: AccountService { AccountService(node: self.box.node, cost: .weakest) }

    private func drive<Value: Sendable>(_ work: @escaping @Sendable (AccountService) async throws -> Value) async throws -> Value {
        let service = self.service
        let value = try await Self.driving(self.box) { try await work(service) }
        await self.settle()
        return value
    }

    @discardableResult
    fileprivate func rule(_ effect: AccessEffect, _ verb: AccessVerb, _ filter: String, user: String) async throws -> AccessRuleID {
        try await self.drive {
            try await $0.addAccessRule(AccessRuleRequest(user: "@\(user)", role: nil, access: verb.text, filter: filter, effect: effect.text), by: .console)
        }.rule.id
    }

    @discardableResult
    fileprivate func rule(_ effect: AccessEffect, _ verb: AccessVerb, _ filter: String, role: AccessRole) async throws -> AccessRuleID {
        try await self.drive {
            try await $0.addAccessRule(AccessRuleRequest(subject: .role(role), verb: verb, filter: filter, effect: effect), by: .console)
        }.rule.id
    }

    fileprivate func takeBack(_ id: AccessRuleID) async throws { try await self.drive { try await $0.removeAccessRule(id, by: .console) } }
    fileprivate func role(_ role: Role, _ name: String) async throws {
        _ = try await self.drive { try await $0.setRole(role, of: .name(key: name), by: .console) }
    }
}
