import MQTTCodec
import NIOCore
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Broker: limits and rights")
struct BrokerLimitTests {
    @Test("a full queue drops for that client alone; the publisher hears 0x97 when the policy says so", arguments: [BrokerSettings.Overflow.refuse, .drop])
    func fullQueue(overflow: BrokerSettings.Overflow) async throws {
        let world = try await BrokerWorld.open {
            $0.queuedMessagesMax = 3
            $0.overflow = overflow
        }
        let away = try await world.client("s", clean: false, expiry: 600)
        try await away.subscribe("t", qos: .atLeastOnce)
        await away.vanish()
        let here = try await world.client("h", loop: 1)
        try await here.subscribe("t", qos: .atLeastOnce)
        let publisher = try await world.client("p")
        var reasons: [MQTTReason] = []
        for index in 1...5 {
            reasons.append(try await publisher.publish("t", "\(index)", id: UInt16(index)).reason)
            for publish in here.takePublishes() {
                #expect(publish.text == "\(index)")
                await here.say(.puback(MQTTAck(publish.packetID)))
            }
        }
        let full: MQTTReason = overflow == .refuse ? .quotaExceeded : .success
        #expect(reasons == [.success, .success, .success, full, full])
        #expect(world.count(.mqttQueueFull) == 2 && world.count(.mqttDropped) == 2)
        let back = try await world.client("s", clean: false, expiry: 600, isPresent: true)
        let got = back.takePublishes()
        #expect(got.map(\.text) == ["1", "2", "3"])
        // What was acknowledged makes room.
        for publish in got { await back.say(.puback(MQTTAck(publish.packetID))) }
        #expect(try await publisher.publish("t", "6", id: 6).reason == .success)
        #expect(back.takePublishes().map(\.text) == ["6"])
    }

    @Test("bytes are counted as well as messages, and come free with their acknowledgement")
    func queueBytes() async throws {
        let world = try await BrokerWorld.open { $0.queuedBytesMax = 300 }
        let away = try await world.client("s", clean: false, expiry: 600)
        try await away.subscribe("t", qos: .atLeastOnce)
        await away.vanish()
        let publisher = try await world.client("p")
        let text = String(repeating: "x", count: 120)
        #expect(try await publisher.publish("t", text, id: 1).reason == .success)
        #expect(try await publisher.publish("t", text, id: 2).reason == .success)
        #expect(try await publisher.publish("t", text, id: 3).reason == .quotaExceeded)
        let back = try await world.client("s", clean: false, expiry: 600, isPresent: true)
        for publish in back.takePublishes() { await back.say(.puback(MQTTAck(publish.packetID))) }
        #expect(try await publisher.publish("t", text, id: 4).reason == .success)
    }

    @Test("a client that does not read: QoS 0 is dropped, QoS 1 waits, then it is closed as a slow consumer; nobody else waits")
    func slowConsumer() async throws {
        let world = try await BrokerWorld.open {
            $0.outboxBytesMax = 4_096
            $0.slowSecondsMax = 5
        }
        let (slow, patient) = (try await world.client("slow"), try await world.client("patient", loop: 1))
        let quick = try await world.client("quick")
        for client in [slow, patient, quick] { try await client.subscribe("t", qos: .atLeastOnce) }
        (slow.reads, patient.reads) = (false, false)
        let publisher = try await world.client("p")
        let text = String(repeating: "x", count: 1_000)
        for _ in 1...20 { await publisher.say(.publish(try MQTTPublish("t", text))) }
        for index in 1...20 { try await publisher.publish("t", "\(index)", id: UInt16(index)) }
        #expect(quick.takePublishes().count == 40)
        #expect(slow.takePublishes().count < 6)
        #expect(world.count(.mqttDropped) > 25)
        await patient.catchUp()
        #expect(patient.takePublishes().suffix(20).map(\.text) == (1...20).map(String.init))
        await world.pass(seconds: 8)
        #expect(slow.isClosed && !patient.isClosed)
        #expect(world.count(.slowConsumers) == 1)
    }

    @Test("retained messages are limited; what is there may still change and go")
    func retainedLimit() async throws {
        let world = try await BrokerWorld.open { $0.retainedMessagesMax = 2 }
        let publisher = try await world.client("p")
        #expect(try await publisher.publish("r/1", "x", retain: true).reason == .noMatchingSubscribers)
        #expect(try await publisher.publish("r/2", "x", id: 2, retain: true).reason == .noMatchingSubscribers)
        #expect(try await publisher.publish("r/3", "x", id: 3, retain: true).reason == .quotaExceeded)
        #expect(try await publisher.publish("r/1", "new", id: 4, retain: true).reason == .noMatchingSubscribers)
        try await publisher.publish("r/2", "", id: 5, retain: true)
        #expect(try await publisher.publish("r/3", "x", id: 6, retain: true).reason == .noMatchingSubscribers)
        #expect(world.count(.mqttRetainedFull) == 1)
        let client = try await world.client("c")
        try await client.subscribe("#")
        #expect(client.takeTexts() == ["r/1=new", "r/3=x"])
    }

    @Test("connections and subscriptions are limited with 0x97, topic levels close the connection")
    func otherLimits() async throws {
        let world = try await BrokerWorld.open {
            $0.connectionsMax = 2
            $0.subscriptionsMax = 2
            $0.levelsMax = 3
        }
        let (first, second) = (try await world.client("a"), try await world.client("b"))
        let third = await world.connect("c")
        #expect(try third.connack().reason == .quotaExceeded)
        #expect(third.isClosed)
        #expect(try await first.subscribe("1", "2", "3") == [.grantedQoS0, .grantedQoS0, .quotaExceeded])
        #expect(world.count(.mqttSubscriptionsFull) == 1)
        #expect(try await first.subscribe("2", qos: .atLeastOnce) == [.grantedQoS1])
        await second.say(.publish(try MQTTPublish("1/2/3/4", "x")))
        guard case .disconnect(let disconnect)? = second.take().last else { throw Unexpected("no DISCONNECT") }
        #expect(disconnect.reason == .topicNameInvalid)
        _ = try await world.client("d")
    }

    @Test("sessions that outlive their connections are limited, for one user and for all; those that end with them are not")
    func sessions() async throws {
        let world = try await BrokerWorld.open {
            $0.sessionsMax = 3
            $0.sessionsPerUserMax = 2
        }
        for id in ["1", "2"] { try await world.client(id, clean: false, expiry: 60, user: "ann").vanish() }
        let third = await world.connect("3", clean: false, expiry: 60, user: "ann")
        #expect(try third.connack().reason == .quotaExceeded)
        _ = try await world.client("3", user: "ann")
        _ = try await world.client("1", clean: false, expiry: 60, user: "ann", isPresent: true)
        _ = try await world.client("4", clean: false, expiry: 60, user: "bob")
        #expect(try await world.connect("5", clean: false, expiry: 60, user: "carl").connack().reason == .quotaExceeded)
        #expect(world.count(.mqttSessionsFull) == 2)
        // One that is over makes room.
        _ = try await world.client("2", clean: true, user: "ann")
        _ = try await world.client("5", clean: false, expiry: 60, user: "carl")
    }

    @Test("a client that asks on and on and does not read the answers is not read either, until it does")
    func answers() async throws {
        let world = try await BrokerWorld.open {
            $0.outboxBytesMax = 1_000
            $0.packetBytesMax = 1_000
        }
        let client = try await world.client("c")
        client.reads = false
        var asked = 0
        while asked < 5_000 {
            asked += 1
            let mayGoOn = client.give(.pingreq)
            await world.settle()
            if !mayGoOn { break }
        }
        #expect((1_000...1_100).contains(asked), "a PINGRESP has two bytes")
        #expect(client.resumes == 0)
        await client.catchUp()
        #expect(client.resumes == 1)
        #expect(client.give(.pingreq))
    }

    @Test("a connection with too much under way is not read, and read again when it is dealt with")
    func backPressure() async throws {
        let (world, store) = try await BrokerWorld.openManual { $0.owedMax = 10 }
        let box = world.box
        func step() { while store.step() { box.runLoops() } }
        let durable = await world.connect("s", clean: false, expiry: 600, settles: false)
        box.runLoops()
        step()
        durable.give(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("t"), MQTTSubscriptionOptions(qos: .atLeastOnce))])))
        box.runLoops()
        step()
        let publisher = await world.connect("p", .v311, settles: false)
        box.runLoops()
        _ = publisher.take()
        var mayGoOn = true
        var given = 0
        for id in 1...40 where mayGoOn {
            mayGoOn = publisher.give(.publish(try MQTTPublish("t", "x", qos: .atLeastOnce, id: UInt16(id))))
            box.runLoops()
            given += 1
        }
        #expect(given == 11 && publisher.resumes == 0)
        #expect(publisher.take().isEmpty, "nothing is on the disk yet")
        step()
        box.runLoops()
        #expect(publisher.resumes == 1)
        #expect(publisher.take().count == 11)
    }

    // MARK: - Rights

    @Test("without an account only what was opened: publish, subscribe, will")
    func anonymous() async throws {
        let world = try await BrokerWorld.open { $0.anonymous = [try! TopicFilter("open/#"), try! TopicFilter("+/x")] }
        let client = try await world.client("c")
        #expect(try await client.publish("open/1", "x").reason == .noMatchingSubscribers)
        #expect(try await client.publish("a/x", "x", id: 2).reason == .noMatchingSubscribers)
        let denied = try await client.publish("closed", "x", id: 3)
        #expect(denied.reason == .notAuthorized)
        #expect(denied.properties.userProperties == [MQTTUserProperty("code", "forbidden")])
        let reasons = try await client.subscribe("open/#", "open/+/y", "open", "+/x", "b/x", "#", "+/#", "open2/#", "+/+", "$x/x")
        #expect(reasons.map(\.isFailure) == [false, false, false, false, false, true, true, true, true, true])
        #expect(try await client.publish("v1/c/@bob/text", "x", id: 4).reason == .notAuthorized)
        #expect(try await client.subscribe("v1/me/in") == [.notAuthorized])
        let willing = await world.connect("w", will: MQTTWill(topic: try TopicName("closed"), payload: ByteBuffer(string: "x")))
        #expect(try willing.connack().reason == .notAuthorized)
        #expect(world.count(.mqttDenied) == 8)
        // An earlier client cannot be told no: it is acknowledged, and nobody gets it.
        let old = try await world.client("o", .v311)
        #expect(try await old.publish("closed", "x").reason == .success)
        #expect(try await old.subscribe("closed") == [.unspecifiedError])
    }

    @Test("the box's own topics: $SYS for administrators, fed/ and $share/ for nobody, unknown v1/ refused")
    func ownTopics() async throws {
        let world = try await BrokerWorld.open()
        let user = try await world.client("u", user: "ann")
        #expect(
            try await user.subscribe("$SYS/#", "$SYS/broker/version", "fed/#", "fed/1/x", "v1/#", "v1/dev/1/x", "v1/me/+", "$share/g/v1/me/in").allSatisfy {
                $0 == .notAuthorized
            })
        for (index, topic) in ["$SYS/x", "$share/g/x", "fed/1", "v1", "v1/x", "v1/me/in", "v1/c/@bob/msg"].enumerated() {
            #expect(try await user.publish(topic, "x", id: UInt16(index + 1)).reason == .notAuthorized, "\(topic)")
        }
        #expect(try await user.publish("$other/x", "x", id: 9).reason == .noMatchingSubscribers)
        // A wildcard never reaches what is refused by name.
        try await user.subscribe("#", "+/#")
        let root = try await world.client("r", user: "root")
        try await root.subscribe("$SYS/broker/#")
        let values = root.takePublishes()
        #expect(values.contains { $0.topic?.text == "$SYS/broker/clients/connected" && $0.text == "2" && $0.isRetained })
        await world.pass(seconds: 10)
        #expect(root.takePublishes().contains { $0.topic?.text == "$SYS/broker/uptime" && $0.text == "10 seconds" && !$0.isRetained })
        #expect(user.takeTexts() == [])
    }

    @Test("a session that an administrator left reads $SYS no more when its user is none now")
    func demoted() async throws {
        let world = try await BrokerWorld.open()
        let root = try await world.client("r", clean: false, expiry: 600, user: "root")
        try await root.subscribe("$SYS/#", "t")
        await root.vanish()
        let later = await world.connect("r", clean: false, expiry: 600, user: "root", password: "demoted")
        #expect(try later.connack().isSessionPresent)
        await world.pass(seconds: 10)
        try await world.client("p").publish("t", "x")
        #expect(later.takeTexts() == ["t=x"])
        #expect(try await world.box.store.read { try $0.brokerSubscriptions(of: 1).map(\.filter) } == ["t"])
    }

    @Test("a revoked token closes its connections, and no will speaks for it")
    func revoked() async throws {
        let world = try await BrokerWorld.open()
        let watcher = try await world.client("w")
        try await watcher.subscribe("t")
        let will = MQTTWill(topic: try TopicName("t"), payload: ByteBuffer(string: "x"))
        let ann = try await world.client("a", user: "ann", loop: 1) { $0.will = will }
        let bob = try await world.client("b", user: "bob") { $0.will = will }
        world.box.node.publish([.endSessions(TestBox.userID("ann"), nil, .revoked)])
        await world.settle()
        #expect(ann.take() == [.disconnect(MQTTDisconnect(.notAuthorized))] && ann.isClosed)
        #expect(!bob.isClosed && watcher.take().isEmpty)
        #expect(!world.box.node.online.isOnline(TestBox.userID("ann")))
    }

    @Test("a client with an account is on the list of who is online while it is connected")
    func online() async throws {
        let world = try await BrokerWorld.open()
        let ann = try await world.client("a", user: "ann", loop: 1)
        let line = try #require(world.box.node.online.sessions.first)
        #expect(line.user == TestBox.userID("ann") && line.kind == .mqtt && line.client == "a")
        await ann.leave()
        #expect(world.box.node.online.sessions.isEmpty)
    }
}
