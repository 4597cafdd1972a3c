import MQTTCodec
import NIOCore
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Broker: sessions, wills, retained messages")
struct BrokerSessionTests {
    @Test("a second connection with the client id takes over: the first hears 0x8E [MQTT-3.1.4-3]", arguments: [0, 1])
    func takeOver(loop: Int) async throws {
        let world = try await BrokerWorld.open()
        let first = try await world.client("c", clean: false, expiry: 60, loop: 0)
        try await first.subscribe("t", qos: .atLeastOnce)
        let second = try await world.client("c", clean: false, expiry: 60, loop: loop, isPresent: true)
        #expect(first.take() == [.disconnect(MQTTDisconnect(.sessionTakenOver))] && first.isClosed)
        try await world.client("p").publish("t", "x")
        #expect(second.takeTexts() == ["t=x"])
        // The late end of the first socket does not touch the second.
        await first.vanish()
        try await world.client("q").publish("t", "y")
        #expect(second.takeTexts() == ["t=y"])
        #expect(world.count(.mqttTakeOvers) == 1)
    }

    @Test("client ids that look alike but have other bytes are two clients")
    func clientIDsAreBytes() async throws {
        let world = try await BrokerWorld.open()
        let composed = try await world.client("caf\u{E9}")
        let decomposed = try await world.client("cafe\u{301}")
        try await composed.subscribe("t", qos: .atMostOnce)
        try await world.client("p").publish("t", "x")
        #expect(composed.takeTexts() == ["t=x"] && !composed.isClosed && !decomposed.isClosed)
        #expect(world.count(.mqttTakeOvers) == 0)
    }

    @Test("clean start throws away what there was [MQTT-3.1.2-4]")
    func cleanStart() async throws {
        let world = try await BrokerWorld.open()
        let first = try await world.client("c", clean: false, expiry: 60)
        try await first.subscribe("t", qos: .atLeastOnce)
        await first.vanish()
        try await world.client("p").publish("t", "x")
        let second = try await world.client("c", clean: true, expiry: 60, isPresent: false)
        try await world.client("p").publish("t", "y")
        #expect(second.take().isEmpty)
    }

    @Test("a client id is its owner's: nobody else takes it over")
    func owner() async throws {
        let world = try await BrokerWorld.open()
        let mine = try await world.client("c", clean: false, expiry: 60, user: "ann")
        let other = await world.connect("c", user: "bob")
        #expect(try other.connack().reason == .clientIdentifierNotValid)
        #expect(other.isClosed && !mine.isClosed)
    }

    @Test("a wrong password is refused with 0x86, no name with 0x87 when nothing is open", arguments: [MQTTVersion.v311, .v5])
    func refused(version: MQTTVersion) async throws {
        let world = try await BrokerWorld.open { $0.anonymous = [] }
        let wrong = await world.connect("c", version, user: "ann", password: "no")
        #expect(try wrong.connack().reason == .badUserNameOrPassword)
        let nobody = await world.connect("d", version)
        #expect(try nobody.connack().reason == .notAuthorized)
        #expect(wrong.isClosed && nobody.isClosed)
        #expect(world.count(.mqttRefused) == 2)
        _ = try await world.client("e", version, user: "ann")
    }

    @Test("an empty client id: the box chooses one in version 5, 3.1.1 needs a clean session [MQTT-3.1.3-6], [MQTT311-3.1.3-8]")
    func assigned() async throws {
        let world = try await BrokerWorld.open()
        let new = await world.connect("")
        #expect(try new.connack().properties.assignedClientIdentifier?.hasPrefix("auto-") == true)
        let old = await world.connect("", .v311, clean: false)
        #expect(try old.connack().reason == .clientIdentifierNotValid)
        _ = try await world.client("", .v311, clean: true)
    }

    @Test("one and a half keep-alives of silence end the connection [MQTT-3.1.2-22]; a ping keeps it")
    func keepAlive() async throws {
        let world = try await BrokerWorld.open()
        let client = await world.connect("c", keepAlive: 10)
        _ = client.take()
        await world.pass(seconds: 14)
        await client.say(.pingreq)
        #expect(client.take() == [.pingresp])
        await world.pass(seconds: 14)
        #expect(!client.isClosed)
        await world.pass(seconds: 2)
        #expect(client.take() == [.disconnect(MQTTDisconnect(.keepAliveTimeout))] && client.isClosed)
        #expect(world.count(.mqttKeepAliveTimeouts) == 1)
    }

    @Test("more unacknowledged messages than the receive maximum close a version 5 connection with 0x93 [MQTT-3.3.4-7]")
    func receiveMaximum() async throws {
        let world = try await BrokerWorld.open { $0.receiveMax = 2 }
        let client = await world.connect("c")
        #expect(try client.connack().properties.receiveMaximum == 2)
        for id in 1...2 { await client.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: UInt16(id)))) }
        #expect(client.take().count == 2)
        await client.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 3)))
        #expect(client.take().last == .disconnect(MQTTDisconnect(.receiveMaximumExceeded)))
    }

    // MARK: - Wills

    private func will(_ text: String, delay: UInt32? = nil, retain: Bool = false) throws -> MQTTWill {
        var will = MQTTWill(topic: try TopicName("will"), payload: ByteBuffer(string: text), qos: .atLeastOnce, isRetained: retain)
        will.properties.willDelayInterval = delay
        return will
    }

    @Test("a will is published when the client is lost, not when it says good-bye, and when it says 0x04 [MQTT-3.1.2-8], [MQTT-3.14.4-3]")
    func wills() async throws {
        let world = try await BrokerWorld.open()
        let watcher = try await world.client("w", loop: 1)
        try await watcher.subscribe("will", qos: .atLeastOnce)
        let lost = await world.connect("a", will: try self.will("lost"))
        await lost.vanish()
        #expect(watcher.takeTexts() == ["will=lost"])
        let polite = await world.connect("b", will: try self.will("polite"))
        await polite.leave()
        #expect(watcher.takeTexts() == [])
        let wanting = await world.connect("c", will: try self.will("wanted"))
        await wanting.say(.disconnect(MQTTDisconnect(.disconnectWithWill)))
        #expect(watcher.takeTexts() == ["will=wanted"])
        let old = await world.connect("d", .v311, will: try self.will("old"))
        await old.say(.pubrel(MQTTAck(9)))
        await old.leave()
        #expect(watcher.takeTexts() == [])
    }

    @Test("a delayed will waits, is called off by a return, and comes at once when its session ends [MQTT-3.1.3-9]")
    func delayedWill() async throws {
        let world = try await BrokerWorld.open()
        let watcher = try await world.client("w", loop: 1)
        try await watcher.subscribe("will")
        let first = await world.connect("a", clean: false, expiry: 100, will: try self.will("1", delay: 10))
        await first.vanish()
        await world.pass(seconds: 9)
        #expect(watcher.takeTexts() == [])
        let second = await world.connect("a", clean: false, expiry: 100, will: try self.will("2", delay: 10))
        await world.pass(seconds: 15)
        #expect(watcher.takeTexts() == [])
        await second.vanish()
        await world.pass(seconds: 11)
        #expect(watcher.takeTexts() == ["will=2"])
        let third = await world.connect("a", clean: false, expiry: 100, will: try self.will("3", delay: 50))
        await third.vanish()
        _ = await world.connect("a", clean: true)
        #expect(watcher.takeTexts() == ["will=3"])
    }

    @Test("take-over publishes a will without delay, and calls off one with delay")
    func willOnTakeOver() async throws {
        let world = try await BrokerWorld.open()
        let watcher = try await world.client("w")
        try await watcher.subscribe("will")
        _ = await world.connect("a", clean: false, expiry: 100, will: try self.will("now"))
        _ = await world.connect("a", clean: false, expiry: 100, will: try self.will("later", delay: 10))
        #expect(watcher.takeTexts() == ["will=now"])
        _ = await world.connect("a", clean: false, expiry: 100)
        await world.pass(seconds: 20)
        #expect(watcher.takeTexts() == [])
    }

    @Test("a will that waited survives a restart, and a client that was there when the power went has left one")
    func willOverRestart() async throws {
        let place = BoxPlace(kind: .memory)
        let clock = ManualClock()
        var world = try await BrokerWorld.open(store: try place.open(), clock: clock)
        _ = await world.connect("a", clean: false, expiry: 100, will: try self.will("crash", delay: 5))
        world.box.store.close()
        world = try await BrokerWorld.open(store: try place.open(), clock: clock, seed: 2)
        let watcher = try await world.client("w")
        try await watcher.subscribe("will")
        await world.pass(seconds: 7)
        #expect(watcher.takeTexts() == ["will=crash"])
        world.box.store.close()
        world = try await BrokerWorld.open(store: try place.open(), clock: clock, seed: 3)
        let again = try await world.client("w")
        try await again.subscribe("will")
        await world.pass(seconds: 7)
        #expect(again.takeTexts() == [])
    }

    // MARK: - Retained messages

    @Test("retain handling: always, only for a new subscription, never [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]")
    func retainHandling() async throws {
        let world = try await BrokerWorld.open()
        let publisher = try await world.client("p")
        try await publisher.publish("r", "x", retain: true)
        let client = try await world.client("c", loop: 1)
        try await client.subscribe("r") { $0.retainHandling = .doNotSend }
        #expect(client.takeTexts() == [])
        try await client.subscribe("r") { $0.retainHandling = .sendIfNew }
        #expect(client.takeTexts() == [])
        try await client.subscribe("r")
        #expect(client.takeTexts() == ["r=x"])
        let other = try await world.client("d")
        try await other.subscribe("r") { $0.retainHandling = .sendIfNew }
        #expect(other.takeTexts() == ["r=x"])
    }

    @Test("live messages lose RETAIN unless the subscription keeps it [MQTT-3.3.1-12], [MQTT-3.3.1-13]")
    func retainAsPublished() async throws {
        let world = try await BrokerWorld.open()
        let (plain, keeping) = (try await world.client("a"), try await world.client("b", loop: 1))
        try await plain.subscribe("r")
        try await keeping.subscribe("r") { $0.retainAsPublished = true }
        try await world.client("p").publish("r", "x", retain: true)
        #expect(plain.takePublishes().map(\.isRetained) == [false])
        #expect(keeping.takePublishes().map(\.isRetained) == [true])
    }

    @Test("a retained message is seen at once, although it is not on the disk yet")
    func retainedBeforeCommit() async throws {
        let (world, store) = try await BrokerWorld.openManual()
        let box = world.box
        let publisher = await world.connect("p", settles: false)
        let subscriber = await world.connect("s", loop: 1, settles: false)
        box.runLoops()
        _ = subscriber.take()
        publisher.give(.publish(try MQTTPublish("r", "x", retain: true)))
        subscriber.give(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("#"), MQTTSubscriptionOptions(qos: .atMostOnce))])))
        box.runLoops()
        #expect(subscriber.takeTexts() == ["r=x"])
        while store.step() { box.runLoops() }
        box.runLoops()
        #expect(subscriber.takeTexts() == [], "and not a second time from the disk")
    }

    @Test("a thousand retained messages come in pages, as fast as the client takes them, with QoS 1 too")
    func retainedPages() async throws {
        let world = try await BrokerWorld.open()
        let publisher = try await world.client("p", .v311)
        for index in 0..<1_000 { publisher.give(.publish(try MQTTPublish("r/\(index)", "x", qos: .atLeastOnce, id: UInt16(index + 1), retain: true))) }
        await world.settle()
        let client = try await world.client("c", loop: 1)
        try await client.subscribe("#", qos: .atLeastOnce)
        var got: [String] = []
        for _ in 0..<100 {
            let publishes = client.takePublishes()
            if publishes.isEmpty { break }
            got += publishes.map(\.line)
            for publish in publishes { client.give(.puback(MQTTAck(publish.packetID))) }
            await world.settle()
        }
        #expect(got.count == 1_000 && Set(got).count == 1_000)
    }

    @Test("expired messages are not sent, and the rest of their time is [MQTT-3.3.2-5], [MQTT-3.3.2-6]")
    func messageExpiry() async throws {
        let world = try await BrokerWorld.open()
        let client = try await world.client("c", clean: false, expiry: 1_000)
        try await client.subscribe("t", qos: .atLeastOnce)
        await client.vanish()
        let publisher = try await world.client("p")
        try await publisher.publish("t", "short") { $0.properties.messageExpiryInterval = 10 }
        try await publisher.publish("t", "long", id: 2) { $0.properties.messageExpiryInterval = 100 }
        try await publisher.publish("r", "retained", id: 3, retain: true) { $0.properties.messageExpiryInterval = 10 }
        await world.pass(seconds: 30)
        let back = try await world.client("c", clean: false, expiry: 1_000, isPresent: true)
        let got = back.takePublishes()
        #expect(got.map(\.text) == ["long"])
        #expect(got.first?.properties.messageExpiryInterval == 70)
        try await back.subscribe("r")
        #expect(back.takeTexts() == [])
        await world.pass(seconds: 60)
        #expect(try await world.box.store.read { try $0.retainedTotals().count } == 0)
    }
}
