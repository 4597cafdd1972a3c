import MQTTCodec
import NIOCore
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Broker: what survives")
struct BrokerDurabilityTests {
    @Test("PUBACK waits for the commit of durable receivers' rows; QoS 0 and receivers that end with their connection need no disk")
    func acknowledgedAfterCommit() async throws {
        let (world, store) = try await BrokerWorld.openManual()
        let box = world.box
        func step() { while store.step() { box.runLoops() } }
        let durable = await world.connect("durable", clean: false, expiry: 600, settles: false)
        box.runLoops()
        step()
        durable.give(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("t/#"), MQTTSubscriptionOptions(qos: .atLeastOnce))])))
        box.runLoops()
        step()
        box.runLoops()
        _ = durable.take()
        let publisher = await world.connect("p", settles: false)
        box.runLoops()
        _ = publisher.take()

        publisher.give(.publish(try MQTTPublish("t/1", "x", qos: .atLeastOnce, id: 1)))
        box.runLoops()
        #expect(publisher.take().isEmpty && durable.take().isEmpty, "nothing is on the disk yet")
        step()
        box.runLoops()
        #expect(publisher.take() == [.puback(MQTTAck(1))])
        #expect(durable.takeTexts() == ["t/1=x"])

        publisher.give(.publish(try MQTTPublish("t/2", "y")))
        publisher.give(.publish(try MQTTPublish("nobody", "z", qos: .atLeastOnce, id: 2)))
        box.runLoops()
        #expect(durable.takeTexts() == ["t/2=y"])
        #expect(publisher.take() == [.puback(MQTTAck(2, .noMatchingSubscribers))])
    }

    @Test("CONNACK waits until a session that outlives its connection is on the disk, and is the first word all the same")
    func acceptedAfterCommit() async throws {
        let (world, store) = try await BrokerWorld.openManual()
        let box = world.box
        func step() { while store.step() { box.runLoops() } }
        func connect(_ expiry: UInt32?, clean: Bool = false, _ id: String = "s") async -> BrokerClient {
            let client = await world.connect(id, clean: clean, expiry: expiry, settles: false)
            box.runLoops()
            return client
        }
        func presence(_ client: BrokerClient) throws -> Bool { try client.connack().isSessionPresent }

        let first = await connect(600)
        #expect(first.take().isEmpty && !first.isIn, "a power cut now would undo it")
        step()
        #expect(try presence(first) == false)
        first.give(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("t"), MQTTSubscriptionOptions(qos: .atMostOnce))])))
        box.runLoops()
        step()
        _ = first.take()
        first.goSilently()
        box.runLoops()
        step()

        let publisher = await connect(nil, clean: true, "p")
        #expect(try presence(publisher) == false, "a session that ends with its connection needs no disk")
        let back = await connect(600)
        publisher.give(.publish(try MQTTPublish("t", "x")))
        box.runLoops()
        #expect(back.take().isEmpty)
        step()
        #expect(try presence(back) == true)
        #expect(back.takeTexts() == ["t=x"])

        // One that is replaced while it waits, and one that goes, are no hindrance for the next.
        let replaced = await connect(600)
        let gone = await connect(600)
        #expect(replaced.isClosed)
        gone.goSilently()
        let last = await connect(600, clean: true)
        #expect(last.take().isEmpty, "the earlier session is still on the disk")
        step()
        #expect(gone.take().isEmpty)
        #expect(try presence(last) == false)
        let left = try await BrokerWorld.driving(box, step: { store.step() }) {
            try await box.store.read { try $0.brokerSessions(after: 0, limit: 9).map(\.number) }
        }
        #expect(left == [2])
        #expect(left == [2])
    }

    @Test("a persistent session gets what it missed, in order, after a restart", arguments: StoreKind.allCases)
    func restart(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        let clock = ManualClock()
        var world = try await BrokerWorld.open(store: try place.open(), clock: clock)
        let first = try await world.client("s", clean: false, expiry: 6_000)
        try await first.subscribe("a/+", "b", qos: .exactlyOnce)
        let publisher = try await world.client("p", loop: 1)
        try await publisher.publish("a/1", "online")
        #expect(first.takePublishes().map(\.line) == ["a/1=online"])
        // It does not acknowledge, goes, and more comes.
        await first.vanish()
        try await publisher.publish("a/2", "away", id: 2)
        await publisher.say(.publish(try MQTTPublish("b", "twice", qos: .exactlyOnce, id: 3)), .pubrel(MQTTAck(3)))
        #expect(publisher.take().suffix(1) == [.pubcomp(MQTTAck(3))])
        await publisher.say(.publish(try MQTTPublish("a/3", "QoS 0")))
        // The power goes.
        world.box.store.close()
        world = try await BrokerWorld.open(store: try place.open(), clock: clock, seed: 2)
        let other = try await world.client("p")
        try await other.publish("a/4", "after")
        let again = try await world.client("s", clean: false, expiry: 6_000, isPresent: true)
        let got = again.takePublishes()
        #expect(got.map(\.line) == ["a/1=online", "a/2=away", "b=twice", "a/4=after"])
        #expect(got.map(\.packetID) == [1, 2, 3, 4])
        #expect(got.map(\.isDuplicate) == [true, false, false, false])
        for publish in got {
            if publish.qos == .atLeastOnce { await again.say(.puback(MQTTAck(publish.packetID))) } else { await again.say(.pubrec(MQTTAck(publish.packetID))) }
        }
        #expect(again.take() == [.pubrel(MQTTAck(3))])
        // A second restart between PUBREC and PUBCOMP: PUBREL again, the message never [MQTT-4.4.0-1].
        world.box.store.close()
        world = try await BrokerWorld.open(store: try place.open(), clock: clock, seed: 3)
        let third = try await world.client("s", clean: false, expiry: 6_000, isPresent: true)
        #expect(third.take() == [.pubrel(MQTTAck(3))])
        await third.say(.pubcomp(MQTTAck(3)))
        await third.leave()
        let fourth = try await world.client("s", clean: false, expiry: 6_000, isPresent: true)
        #expect(fourth.take().isEmpty)
        try await world.client("p2").publish("a/5", "still subscribed")
        #expect(fourth.takeTexts() == ["a/5=still subscribed"])
        world.box.store.close()
    }

    @Test("a half-received QoS 2 message is kept over a restart and goes on once, at PUBREL", arguments: StoreKind.allCases)
    func halfReceived(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        var world = try await BrokerWorld.open(store: try place.open())
        let publisher = try await world.client("p", clean: false, expiry: 6_000)
        await publisher.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 5)))
        #expect(publisher.take() == [.pubrec(MQTTAck(5))])
        let subscriber = try await world.client("s", clean: false, expiry: 6_000)
        try await subscriber.subscribe("t", qos: .exactlyOnce)
        world.box.store.close()
        world = try await BrokerWorld.open(store: try place.open(), seed: 2)
        let again = try await world.client("p", clean: false, expiry: 6_000, isPresent: true)
        await again.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 5, dup: true)), .pubrel(MQTTAck(5)))
        #expect(again.take() == [.pubrec(MQTTAck(5)), .pubcomp(MQTTAck(5))])
        await again.say(.pubrel(MQTTAck(5)))
        #expect(again.take() == [.pubcomp(MQTTAck(5, .packetIdentifierNotFound))])
        let back = try await world.client("s", clean: false, expiry: 6_000, isPresent: true)
        #expect(back.takeTexts() == ["t=x"])
        world.box.store.close()
    }

    @Test("a long queue comes back in pages, in order and whole", arguments: StoreKind.allCases)
    func pages(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        let world = try await BrokerWorld.open(store: try place.open()) { $0.windowMax = 16 }
        let away = try await world.client("s", clean: false, expiry: 6_000)
        try await away.subscribe("t", qos: .atLeastOnce)
        await away.vanish()
        let publisher = try await world.client("p", .v311, loop: 1)
        let count = 200
        for index in 0..<count { publisher.give(.publish(try MQTTPublish("t", "\(index)", qos: .atLeastOnce, id: UInt16(index + 1)))) }
        await world.settle()
        #expect(publisher.take().count == count)
        let back = try await world.client("s", clean: false, expiry: 6_000, isPresent: true)
        var got: [String] = []
        for _ in 0..<count where got.count < count + 5 {
            let publishes = back.takePublishes()
            #expect(publishes.count <= 64)
            got += publishes.map(\.text)
            for publish in publishes { back.give(.puback(MQTTAck(publish.packetID))) }
            if got.count == 100 { try await publisher.publish("t", "live", id: 1000) }
            await world.settle()
        }
        #expect(got == (0..<count).map(String.init) + ["live"] || got == (0..<count).map(String.init))
        #expect(try await world.box.store.read { try $0.queueBounds(of: 1) } == nil, "acknowledged rows are gone")
        world.box.store.close()
    }

    @Test("a page that ends because the next message is large is not the last one", arguments: StoreKind.allCases)
    func largeMessages(kind: StoreKind) async throws {
        let world = try await BrokerWorld.open(store: try BoxPlace(kind: kind).open())
        let away = try await world.client("s", clean: false, expiry: 6_000)
        try await away.subscribe("t", qos: .atLeastOnce)
        await away.vanish()
        let publisher = try await world.client("p", loop: 1)
        let sizes = [100_000, 200_000, 10]
        for (index, size) in sizes.enumerated() {
            try await publisher.publish("t", String(repeating: "x", count: size), id: UInt16(index + 1))
        }
        let back = try await world.client("s", clean: false, expiry: 6_000, isPresent: true)
        var got: [Int] = []
        for _ in sizes {
            for publish in back.takePublishes() {
                got.append(publish.payload.readableBytes)
                await back.say(.puback(MQTTAck(publish.packetID)))
            }
        }
        #expect(got == sizes)
        world.box.store.close()
    }

    @Test("a retained message and its clearing survive a restart", arguments: StoreKind.allCases)
    func retained(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        var world = try await BrokerWorld.open(store: try place.open())
        let publisher = try await world.client("p")
        try await publisher.publish("r/1", "one", retain: true)
        try await publisher.publish("r/2", "two", id: 2, retain: true)
        await publisher.say(.publish(try MQTTPublish("r/3", "three", retain: true)))
        try await publisher.publish("r/2", "", id: 3, retain: true)
        world.box.store.close()
        world = try await BrokerWorld.open(store: try place.open(), seed: 2)
        let subscriber = try await world.client("s")
        try await subscriber.subscribe("r/+")
        let got = subscriber.takePublishes()
        #expect(got.map(\.line) == ["r/1=one", "r/3=three"])
        #expect(got.map(\.isRetained) == [true, true])
        world.box.store.close()
    }

    @Test("a session ends when it expires, also over a restart, and its queue goes with it")
    func expiry() async throws {
        let place = BoxPlace(kind: .memory)
        let clock = ManualClock()
        var world = try await BrokerWorld.open(store: try place.open(), clock: clock)
        let client = try await world.client("s", clean: false, expiry: 30)
        try await client.subscribe("t", qos: .atLeastOnce)
        await client.vanish()
        try await world.client("p").publish("t", "x")
        #expect(try await world.box.store.read { try $0.queueBounds(of: 1)?.last } == 1)
        world.box.store.close()
        clock.advance(20_000)
        world = try await BrokerWorld.open(store: try place.open(), clock: clock, seed: 2)
        await world.pass(seconds: 20)
        #expect(try await world.box.store.read { try $0.brokerSessions(after: 0, limit: 9) }.isEmpty)
        #expect(try await world.box.store.read { try $0.queueBounds(of: 1) } == nil)
        _ = try await world.client("s", clean: false, expiry: 30, isPresent: false)
    }

    @Test("[MQTT311-4.8.0-2] a failed commit is not acknowledged: version 5 hears why, 3.1.1 is closed without PUBACK")
    func failedCommit() async throws {
        let store = MemoryStore()
        // One loop: the next commit is the message's.
        let world = try await BrokerWorld.open(store: store, loops: 1)
        let durable = try await world.client("s", clean: false, expiry: 600)
        try await durable.subscribe("t", qos: .atLeastOnce)
        let (new, old) = (try await world.client("n"), try await world.client("o", .v311))
        store.fail(.commit(1, StoreError(.full, "full"), isApplied: false))
        #expect(try await new.publish("t", "x").reason == .quotaExceeded)
        store.fail(.commit(1, StoreError(.full, "full"), isApplied: false))
        await old.say(.publish(try MQTTPublish("t", "y", qos: .atLeastOnce, id: 1)))
        #expect(old.take().isEmpty && old.isClosed)
        #expect(durable.take().isEmpty)
        #expect(try await new.publish("t", "z", id: 2).reason == .success)
        #expect(durable.takeTexts() == ["t=z"])
    }

    private static let full = StoreError(.full, "full")

    @Test("a full disk at PUBREL: the message is not given up and not doubled; PUBCOMP follows when there is room")
    func fullAtRelease() async throws {
        let store = MemoryStore()
        let world = try await BrokerWorld.open(store: store, loops: 1)
        let durable = try await world.client("s", clean: false, expiry: 600)
        try await durable.subscribe("t", qos: .exactlyOnce)
        let live = try await world.client("l")
        try await live.subscribe("t", qos: .exactlyOnce)
        for (index, version) in [MQTTVersion.v5, .v311].enumerated() {
            let publisher = try await world.client("p\(index)", version)
            await publisher.say(.publish(try MQTTPublish("t", "x\(index)", qos: .exactlyOnce, id: 1)))
            #expect(publisher.take() == [.pubrec(MQTTAck(1))])
            store.fail(.commit(1, Self.full, isApplied: false))
            await publisher.say(.pubrel(MQTTAck(1)))
            #expect(publisher.take().isEmpty && !publisher.isClosed)
            await world.pass(seconds: 1)
            #expect(publisher.take() == [.pubcomp(MQTTAck(1))])
            #expect(durable.takeTexts() == ["t=x\(index)"])
            #expect(live.takeTexts() == ["t=x\(index)"])
        }
    }

    @Test("[MQTT-4.6.0-6] a full disk in the middle of one publisher's messages does not change their order, on whatever shard", arguments: 1...3)
    func fullInTheMiddle(loops: Int) async throws {
        let store = MemoryStore()
        let world = try await BrokerWorld.open(store: store, loops: loops)
        let durable = try await world.client("s", clean: false, expiry: 600)
        try await durable.subscribe("t", qos: .exactlyOnce)
        let publisher = try await world.client("p")
        let ids = (1...6).map { UInt16($0) }
        for id in ids { await publisher.say(.publish(try MQTTPublish("t", "\(id)", qos: .exactlyOnce, id: id))) }
        #expect(publisher.take() == ids.map { .pubrec(MQTTAck($0)) })
        // The first finds no room, and the third; between them and behind there is some.
        for id in ids[..<5] {
            if id % 2 == 1 { store.fail(.commit(1, Self.full, isApplied: false)) }
            await publisher.say(.pubrel(MQTTAck(id)))
        }
        // Nor does one of those that are tried again.
        store.fail(.commit(1, Self.full, isApplied: false))
        await world.pass(seconds: 1)
        await publisher.say(.pubrel(MQTTAck(6)))
        await world.pass(seconds: 3)
        #expect(publisher.take() == ids.map { .pubcomp(MQTTAck($0)) })
        #expect(durable.takePublishes().map(\.text) == ids.map { "\($0)" })
    }

    @Test("failed groups leave no holes that would count as messages: a nearly empty queue takes more after any number of them")
    func fullAndAgain() async throws {
        let store = MemoryStore()
        let world = try await BrokerWorld.open(store: store, loops: 1) { $0.queuedMessagesMax = 5 }
        let away = try await world.client("s", clean: false, expiry: 600)
        try await away.subscribe("t", qos: .atLeastOnce)
        await away.vanish()
        let publisher = try await world.client("p")
        var expected: [String] = []
        for round in 1...4 {
            #expect(try await publisher.publish("t", "\(round)").reason == .success)
            expected.append("\(round)")
            for _ in 0..<10 {
                store.fail(.commit(1, Self.full, isApplied: false))
                #expect(try await publisher.publish("t", "lost").reason == .quotaExceeded)
            }
        }
        #expect(world.count(.mqttQueueFull) == 0)
        let back = try await world.client("s", clean: false, expiry: 600, isPresent: true)
        #expect(back.takePublishes().map(\.text) == expected)
    }

    @Test("a session whose row found the disk full gets its messages all the same, and its row when there is room")
    func fullAtConnect() async throws {
        let place = BoxPlace(kind: .memory)
        let opened = try place.open()
        let store = try #require(opened as? MemoryStore)
        var world = try await BrokerWorld.open(store: store, loops: 1)
        store.fail(.write(1, Self.full))
        let durable = try await world.client("s", clean: false, expiry: 600)
        #expect(try await durable.subscribe("t", qos: .atLeastOnce) == [.grantedQoS1])
        let publisher = try await world.client("p")
        #expect(try await publisher.publish("t", "x").reason == .success)
        #expect(durable.takeTexts() == ["t=x"])
        // Another one, that does not even subscribe.
        store.fail(.write(1, Self.full))
        _ = try await world.client("other", clean: false, expiry: 600)
        await world.pass(seconds: 1)
        store.close()
        world = try await BrokerWorld.open(store: try place.open(), seed: 2)
        let back = try await world.client("s", clean: false, expiry: 600, isPresent: true)
        #expect(back.takeTexts() == ["t=x"])
        _ = try await world.client("other", clean: false, expiry: 600, isPresent: true)
    }

    @Test("of two sessions with one client id on the disk the later one is the client's, the other one is removed")
    func twice() async throws {
        let place = BoxPlace(kind: .memory)
        var world = try await BrokerWorld.open(store: try place.open())
        try await world.client("s", clean: false, expiry: 600).subscribe("t", qos: .atLeastOnce)
        let found = try await world.box.store.read { try $0.brokerSessions(after: 0, limit: 1) }
        var record = try #require(found.first)
        record.number = 2
        let second = record
        _ = try await world.box.node.commits.commit { try $0.store.putBrokerSession(second) }
        world.box.store.close()
        world = try await BrokerWorld.open(store: try place.open(), seed: 2)
        await world.settle()
        #expect(try await world.box.store.read { try $0.brokerSessions(after: 0, limit: 9).map(\.number) } == [2])
        #expect(try await world.client("p").publish("t", "x").reason == .noMatchingSubscribers)
    }

    @Test("an acknowledgement that found the disk full is written later, and nothing is sent again meanwhile")
    func fullAtAcknowledgement() async throws {
        let store = MemoryStore()
        let world = try await BrokerWorld.open(store: store, loops: 1)
        let durable = try await world.client("s", clean: false, expiry: 600)
        try await durable.subscribe("t", qos: .exactlyOnce)
        let publisher = try await world.client("p")
        try await publisher.publish("t", "first")
        try await publisher.publish("t", "second")
        #expect(durable.takePublishes().map(\.packetID) == [1, 2])
        store.fail(.commit(1, Self.full, isApplied: false))
        await durable.say(.puback(MQTTAck(2)))
        await durable.vanish()
        let back = try await world.client("s", clean: false, expiry: 600, isPresent: true)
        let got = back.takePublishes()
        #expect(got.map(\.text) == ["first"])
        await back.say(.puback(MQTTAck(1)))
        await world.pass(seconds: 1)
        #expect(try await store.read { try $0.queueBounds(of: 1) } == nil)
        // The note of a PUBREC likewise: PUBREL waits for it.
        await publisher.say(.publish(try MQTTPublish("t", "third", qos: .exactlyOnce, id: 9)), .pubrel(MQTTAck(9)))
        let third = try #require(back.takePublishes().first)
        store.fail(.commit(1, Self.full, isApplied: false))
        await back.say(.pubrec(MQTTAck(third.packetID)))
        #expect(back.take().isEmpty)
        await world.pass(seconds: 1)
        #expect(back.take() == [.pubrel(MQTTAck(third.packetID))])
    }

    @Test("a subscription that was to go while the disk was full is gone when there is room", arguments: [MQTTVersion.v311, .v5])
    func fullAtUnsubscribe(version: MQTTVersion) async throws {
        let store = MemoryStore()
        let world = try await BrokerWorld.open(store: store, loops: 1)
        let client = try await world.client("s", version, clean: false, expiry: 600)
        try await client.subscribe("gone", "again", "kept", qos: .atLeastOnce)
        store.fail(.commit(1, Self.full, isApplied: false))
        await client.say(.unsubscribe(MQTTUnsubscribe(5, [try TopicFilter("gone"), try TopicFilter("again")])))
        #expect(client.take().count == 1)
        try await client.subscribe("again", qos: .atLeastOnce)
        await world.pass(seconds: 1)
        #expect(Set(try await store.read { try $0.brokerSubscriptions(of: 1).map(\.filter) }) == ["again", "kept"])
    }

    @Test("a session that ended while the disk was full is gone when there is room")
    func fullAtEnd() async throws {
        let store = MemoryStore()
        let world = try await BrokerWorld.open(store: store, loops: 1)
        let first = try await world.client("s", clean: false, expiry: 600)
        await first.vanish()
        store.fail(.commit(1, Self.full, isApplied: false))
        _ = try await world.client("s", clean: true, expiry: 600)
        await world.pass(seconds: 1)
        #expect(try await store.read { try $0.brokerSessions(after: 0, limit: 9).map(\.number) } == [2])
    }

    @Test("too much waits for a full disk: the publisher is closed without PUBCOMP, comes back and sends PUBREL again")
    func stalledFull() async throws {
        let store = MemoryStore()
        let world = try await BrokerWorld.open(store: store, loops: 1) { $0.stalledBytesMax = 1 }
        let durable = try await world.client("s", clean: false, expiry: 600)
        try await durable.subscribe("t", qos: .exactlyOnce)
        let publisher = try await world.client("p", clean: false, expiry: 600)
        await publisher.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 1)))
        _ = publisher.take()
        store.fail(.commit(1, Self.full, isApplied: false))
        await publisher.say(.pubrel(MQTTAck(1)))
        #expect(publisher.isClosed && !publisher.take().contains(.pubcomp(MQTTAck(1))))
        #expect(world.count(.mqttStalledFull) == 1)
        let back = try await world.client("p", clean: false, expiry: 600, isPresent: true)
        await back.say(.pubrel(MQTTAck(1)))
        #expect(back.take() == [.pubcomp(MQTTAck(1))])
        #expect(durable.takeTexts() == ["t=x"])
    }

    @Test("going down: everybody hears 0x8B, what is owed is owed after the start")
    func shutdown() async throws {
        let place = BoxPlace(kind: .memory)
        var world = try await BrokerWorld.open(store: try place.open())
        let client = try await world.client("s", clean: false, expiry: 600)
        try await client.subscribe("t", qos: .atLeastOnce)
        let will = MQTTWill(topic: try TopicName("t"), payload: ByteBuffer(string: "gone"), qos: .atLeastOnce)
        let dying = try await world.client("d") { $0.will = will }
        try await world.stop()
        #expect(dying.take() == [.disconnect(MQTTDisconnect(.serverShuttingDown))] && dying.isClosed)
        world.box.store.close()
        world = try await BrokerWorld.open(store: try place.open(), seed: 2)
        let back = try await world.client("s", clean: false, expiry: 600, isPresent: true)
        #expect(back.takeTexts() == ["t=gone"])
    }
}
