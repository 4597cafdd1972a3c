import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store
import TestKit
import Testing

@testable import SkerryNode

@Suite("Broker: what waits for clients")
struct BrokerQueueTests {
    private static let full = StoreError(.full, "full")

    /// A durable client that subscribed to `t` and went.
    private func away(_ world: BrokerWorld, _ id: String, qos: MQTTQoS = .atLeastOnce) async throws {
        let client = try await world.client(id, clean: false, expiry: 6_000)
        try await client.subscribe("t/\(id)", "t/all", qos: qos)
        await client.vanish()
    }

    private func back(_ world: BrokerWorld, _ id: String, receiveMax: UInt16? = nil) async throws -> BrokerClient {
        try await world.client(id, clean: false, expiry: 6_000, isPresent: true) { $0.properties.receiveMaximum = receiveMax }
    }

    /// Acknowledges everything until nothing more comes.
    private func drain(_ client: BrokerClient) async -> [String] {
        var got: [String] = []
        while true {
            let publishes = client.takePublishes()
            if publishes.isEmpty { return got }
            got += publishes.map(\.text)
            for publish in publishes { client.give(.puback(MQTTAck(publish.packetID))) }
            await client.world.settle()
        }
    }

    // MARK: - Expiry

    @Test("[MQTT-4.4.0-1] [MQTT-3.3.2-5] what was sent before it expired is sent again and finished; what was not is dropped", arguments: StoreKind.allCases)
    func expiredAfterSending(kind: StoreKind) async throws {
        let world = try await BrokerWorld.open(store: try BoxPlace(kind: kind).open())
        let client = try await world.client("s", clean: false, expiry: 6_000) { $0.properties.receiveMaximum = 1 }
        try await client.subscribe("t", qos: .exactlyOnce)
        let publisher = try await world.client("p", loop: 1)
        for id: UInt16 in 1...2 {
            var publish = try MQTTPublish("t", "\(id)", qos: .exactlyOnce, id: id)
            publish.properties.messageExpiryInterval = 5
            await publisher.say(.publish(publish), .pubrel(MQTTAck(id)))
        }
        let first = try #require(client.takePublishes().first)
        await client.vanish()
        await world.pass(seconds: 20)
        let back = try await self.back(world, "s", receiveMax: 1)
        let again = back.takePublishes()
        #expect(again.map(\.text) == ["1"] && again.first?.isDuplicate == true && again.first?.packetID == first.packetID)
        #expect(again.first?.properties.messageExpiryInterval == 0)
        await back.say(.pubrec(MQTTAck(first.packetID)))
        await back.say(.pubcomp(MQTTAck(first.packetID)))
        #expect(back.take() == [.pubrel(MQTTAck(first.packetID))])
        #expect(world.count(.mqttDropped) == 1)
        #expect(try await world.box.store.read { try $0.queueBounds(of: 1) } == nil)
        world.box.store.close()
    }

    // MARK: - All queues together

    @Test("bytes of all queues together are limited, from the start and until rows go", arguments: StoreKind.allCases)
    func allQueues(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        func open(_ seed: UInt64) async throws -> BrokerWorld {
            try await BrokerWorld.open(store: try place.open(), seed: seed) { $0.queuedBytesAllMax = 1_000 }
        }
        var world = try await open(1)
        for id in ["a", "b", "c"] { try await self.away(world, id) }
        let publisher = try await world.client("p")
        let text = String(repeating: "x", count: 297)
        for id in ["a", "a", "b"] { #expect(try await publisher.publish("t/\(id)", text).reason == .success) }
        #expect(world.broker.statistics.value(.queuedBytes) == 900)
        for id in ["a", "b"] { #expect(try await publisher.publish("t/\(id)", text).reason == .quotaExceeded) }
        #expect(world.count(.mqttQueuedBytesFull) == 2 && world.count(.mqttDropped) == 2)
        // For whom nothing waits gets it all the same.
        #expect(try await publisher.publish("t/c", text).reason == .success)
        #expect(try await publisher.publish("t/c", text).reason == .quotaExceeded)
        world.box.store.close()
        world = try await open(2)
        #expect(world.broker.statistics.value(.queuedBytes) == 1_200)
        let second = try await world.client("p")
        #expect(try await second.publish("t/b", text).reason == .quotaExceeded)
        #expect(await self.drain(try await self.back(world, "a")).count == 2)
        #expect(world.broker.statistics.value(.queuedBytes) == 600)
        #expect(try await second.publish("t/b", text).reason == .success)
        #expect(try await second.publish("t/b", text).reason == .quotaExceeded)
        // A session that is removed gives its bytes back with its rows.
        #expect(try await world.removeSession("b"))
        #expect(world.broker.statistics.value(.queuedBytes) == 300 && world.broker.statistics.value(.queued) == 1)
        world.box.store.close()
    }

    @Test("what waits in memory alone counts with them, and is given back with its connection")
    func windowsCount() async throws {
        let world = try await BrokerWorld.open {
            $0.queuedBytesAllMax = 1_000
            $0.outboxBytesMax = 200
        }
        let slow = try await world.client("slow", loop: 1) { $0.properties.receiveMaximum = 1 }
        try await slow.subscribe("t", qos: .atLeastOnce)
        let publisher = try await world.client("p")
        let text = String(repeating: "x", count: 299)
        for _ in 1...3 { #expect(try await publisher.publish("t", text).reason == .success) }
        #expect(world.broker.statistics.value(.windowBytes) == 900)
        #expect(try await publisher.publish("t", text).reason == .quotaExceeded)
        #expect(world.count(.mqttQueuedBytesFull) == 1)
        await slow.vanish()
        #expect(world.broker.statistics.value(.windowBytes) == 0)
    }

    // MARK: - The oldest goes

    @Test("drop_oldest: an absent client finds the newest, and the publisher hears of success", arguments: StoreKind.allCases)
    func dropOldest(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        func open(_ seed: UInt64) async throws -> BrokerWorld {
            try await BrokerWorld.open(store: try place.open(), seed: seed) {
                $0.queuedMessagesMax = 3
                $0.queuedBytesMax = 500
                $0.overflow = .dropOldest
            }
        }
        var world = try await open(1)
        try await self.away(world, "s")
        var publisher = try await world.client("p")
        for index in 1...8 { #expect(try await publisher.publish("t/s", "\(index)", id: UInt16(index)).reason == .success) }
        #expect(world.count(.mqttDropped) == 5)
        world.box.store.close()
        world = try await open(2)
        publisher = try await world.client("p")
        #expect(try await publisher.publish("t/s", "9").reason == .success)
        // By bytes: as many go as it takes.
        #expect(try await publisher.publish("t/s", String(repeating: "x", count: 494)).reason == .success)
        #expect(world.broker.statistics.value(.queued) == 1 && world.broker.statistics.value(.queuedBytes) == 497)
        #expect(try await publisher.publish("t/s", "10").reason == .success)
        #expect(await self.drain(try await self.back(world, "s")) == ["10"])
        #expect(world.broker.statistics.value(.queued) == 0 && world.broker.statistics.value(.queuedBytes) == 0)
        world.box.store.close()
    }

    @Test("drop_oldest: what is in flight stays, over a reconnection too; the oldest behind it goes", arguments: [6_000, nil] as [UInt32?])
    func dropBehindFlight(expiry: UInt32?) async throws {
        let world = try await BrokerWorld.open {
            $0.queuedMessagesMax = 3
            $0.overflow = .dropOldest
        }
        var client = try await world.client("s", clean: false, expiry: expiry) { $0.properties.receiveMaximum = 1 }
        try await client.subscribe("t", qos: .atLeastOnce)
        let publisher = try await world.client("p", loop: 1)
        for index in 1...6 { #expect(try await publisher.publish("t", "\(index)", id: UInt16(index)).reason == .success) }
        #expect(client.takePublishes().map(\.text) == ["1"])
        #expect(world.count(.mqttDropped) == 3)
        if expiry != nil {
            await client.vanish()
            #expect(try await publisher.publish("t", "7").reason == .success)
            client = try await self.back(world, "s", receiveMax: 1)
            #expect(await self.drain(client) == ["1", "6", "7"])
        } else {
            await client.say(.puback(MQTTAck(1)))
            #expect(await self.drain(client) == ["5", "6"])
        }
        let statistics = world.broker.statistics
        #expect(statistics.value(.queued) == 0 && statistics.value(.queuedBytes) == 0 && statistics.value(.windowBytes) == 0)
    }

    @Test(
        "a row that is being dropped is not sent although its client asks for it in that moment; if the transaction fails it is sent", arguments: [false, true])
    func droppedMeanwhile(fails: Bool) async throws {
        let (world, store) = try await BrokerWorld.openManual(loops: 1) {
            $0.queuedMessagesMax = 2
            $0.overflow = .dropOldest
        }
        let box = world.box
        func step() { repeat { box.runLoops() } while store.step() }
        let client = await world.connect("s", clean: false, expiry: 600, settles: false) { $0.properties.receiveMaximum = 1 }
        step()
        client.give(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("t"), MQTTSubscriptionOptions(qos: .atLeastOnce))])))
        let publisher = await world.connect("p", settles: false)
        step()
        for (index, text) in ["a", "b"].enumerated() { publisher.give(.publish(try MQTTPublish("t", text, qos: .atLeastOnce, id: UInt16(index + 1)))) }
        step()
        #expect(client.takePublishes().map(\.text) == ["a"])
        publisher.give(.publish(try MQTTPublish("t", "c", qos: .atLeastOnce, id: 3)))
        box.runLoops()
        if fails { store.fail(.commit(1, Self.full, isApplied: false)) }
        // The transaction is done; its news has not come yet.
        while store.step() {}
        client.give(.puback(MQTTAck(1)))
        let early = client.takePublishes().map(\.text)
        step()
        let got = early + client.takePublishes().map(\.text)
        #expect(got == [fails ? "b" : "c"])
        client.give(.puback(MQTTAck(UInt16(fails ? 2 : 3))))
        step()
        #expect(client.takePublishes().isEmpty)
        #expect(world.broker.statistics.value(.queued) == 0 && world.broker.statistics.value(.queuedBytes) == 0)
    }

    @Test("a queue in memory that is full is told to the publisher where the policy is to refuse", arguments: [BrokerSettings.Overflow.refuse, .drop])
    func fullWindow(overflow: BrokerSettings.Overflow) async throws {
        let world = try await BrokerWorld.open {
            $0.queuedMessagesMax = 2
            $0.overflow = overflow
        }
        let slow = try await world.client("slow", loop: 1) { $0.properties.receiveMaximum = 1 }
        try await slow.subscribe("t", qos: .atLeastOnce)
        let publisher = try await world.client("p")
        for _ in 1...2 { #expect(try await publisher.publish("t", "x").reason == .success) }
        #expect(try await publisher.publish("t", "x").reason == (overflow == .refuse ? .quotaExceeded : .success))
        #expect(world.count(.mqttQueueFull) == 1)
    }

    // MARK: - Retained messages

    @Test("expired retained messages are given to nobody and leave the disk in steps; their room is free again")
    func retainedExpiry() async throws {
        let world = try await BrokerWorld.open { $0.retainedMessagesMax = 1_200 }
        let publisher = try await world.client("p", .v5)
        for index in 0..<1_200 {
            var publish = try MQTTPublish("r/\(index)", "x", retain: true)
            if index > 0 { publish.properties.messageExpiryInterval = 5 }
            publisher.give(.publish(publish))
        }
        await world.settle()
        #expect(try await publisher.publish("r/new", "x", id: 2, retain: true).reason == .quotaExceeded)
        world.box.clock.advance(6_000)
        let reader = try await world.client("s")
        try await reader.subscribe("r/#")
        #expect(reader.takeTexts() == ["r/0=x"])
        // A new one finds room before the sweeper comes.
        #expect(try await publisher.publish("r/new", "x", id: 2, retain: true).reason == .success)
        #expect(world.count(.mqttRetainedExpired) == 100)
        await world.pass(seconds: 10)
        #expect(world.count(.mqttRetainedExpired) == 1_199)
        #expect(try await world.box.store.read { try $0.retainedTotals() }.count == 2)
    }

    @Test("a retained message in place of another counts for what it adds")
    func retainedReplaced() async throws {
        let world = try await BrokerWorld.open { $0.retainedBytesMax = 1_000 }
        let publisher = try await world.client("p")
        func retain(_ topic: String, _ count: Int) async throws -> MQTTReason {
            try await publisher.publish(topic, String(repeating: "x", count: count), retain: true).reason
        }
        #expect(try await retain("r/1", 400) == .noMatchingSubscribers)
        #expect(try await retain("r/2", 400) == .noMatchingSubscribers)
        for _ in 1...5 { #expect(try await retain("r/1", 400) == .noMatchingSubscribers) }
        #expect(try await retain("r/1", 700) == .quotaExceeded, "a larger one does not slip in by way of a smaller one")
        #expect(try await retain("r/1", 100) == .noMatchingSubscribers)
        #expect(try await retain("r/2", 700) == .noMatchingSubscribers)
        #expect(try await world.box.store.read { try $0.retainedTotals() }.bytes < 1_000)
    }

    // MARK: - Memory

    @Test(
        "a long queue costs the same memory as a short one: at the start, when its client comes, while it drains, when it is removed",
        arguments: StoreKind.allCases)
    func longQueue(kind: StoreKind) async throws {
        var costs: [[Int]] = []
        for count in [400, 4_000] {
            let place = BoxPlace(kind: kind)
            var world = try await BrokerWorld.open(store: try place.open()) { $0.windowMax = 32 }
            try await self.away(world, "s")
            let publisher = try await world.client("p", .v311)
            for index in 0..<count {
                publisher.give(.publish(try MQTTPublish("t/s", "\(index)", qos: .atLeastOnce, id: UInt16(index % 60_000 + 1))))
                if index % 200 == 199 { await world.settle() }
            }
            await world.settle()
            var cost = [world.footprint()]
            world.box.store.close()
            world = try await BrokerWorld.open(store: try place.open(), seed: 2) { $0.windowMax = 32 }
            cost.append(world.footprint())
            let client = try await self.back(world, "s")
            cost.append(world.footprint())
            var (got, most) = (0, 0)
            while got < count / 2 {
                let publishes = client.takePublishes()
                #expect(!publishes.isEmpty)
                if publishes.isEmpty { break }
                for publish in publishes { client.give(.puback(MQTTAck(publish.packetID))) }
                got += publishes.count
                most = max(most, world.footprint())
                await world.settle()
            }
            cost.append(most)
            await client.vanish()
            #expect(try await world.removeSession("s"))
            cost.append(world.footprint())
            #expect(world.broker.statistics.value(.queued) == 0)
            #expect(try await world.box.store.read { try $0.queueBounds(of: 1) } == nil)
            costs.append(cost)
            world.box.store.close()
        }
        #expect(costs[0] == costs[1])
        #expect((costs[1].max() ?? .max) < 32 * 4)
    }

    @Test("a client that does not read costs a bounded outbox and a bounded queue, and delays nobody", arguments: [nil, 6_000] as [UInt32?])
    func notReading(expiry: UInt32?) async throws {
        let world = try await BrokerWorld.open {
            $0.outboxBytesMax = 8_192
            $0.queuedMessagesMax = 50
            $0.windowMax = 16
            $0.overflow = .drop
        }
        let slow = try await world.client("slow", clean: false, expiry: expiry, loop: 1)
        let quick = try await world.client("quick")
        for client in [slow, quick] { try await client.subscribe("t", qos: .atLeastOnce) }
        slow.reads = false
        let publisher = try await world.client("p")
        let text = String(repeating: "x", count: 1_000)
        for index in 1...200 {
            #expect(try await publisher.publish("t", text, id: UInt16(index)).reason == .success)
            #expect(await self.drain(quick).count == 1)
            #expect(slow.link.waitingBytes <= 8_192 + 2_000)
            #expect(world.footprint() < 150)
        }
        #expect(world.count(.mqttQueueFull) > 100)
    }

    // MARK: - The way to the disk

    @Test("a full commit queue delays messages, and neither loses nor reorders them")
    func fullCommitQueue() async throws {
        var limits = Limits()
        limits.commitQueueMax = 4
        limits.commitGroupMax = 2
        let (world, store) = try await BrokerWorld.openManual(limits: limits)
        let box = world.box
        func step() { repeat { box.runLoops() } while store.step() }
        let client = await world.connect("s", clean: false, expiry: 600, settles: false)
        step()
        client.give(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("t"), MQTTSubscriptionOptions(qos: .atLeastOnce))])))
        step()
        let publisher = await world.connect("p", settles: false)
        step()
        _ = (client.take(), publisher.take())
        for index in 1...40 { publisher.give(.publish(try MQTTPublish("t", "\(index)", qos: .atLeastOnce, id: UInt16(index)))) }
        box.runLoops()
        #expect(box.node.commits.status.waiting <= 4)
        var (acks, got): ([UInt16], [String]) = ([], [])
        for _ in 0..<200 where acks.count < 40 || got.count < 40 {
            step()
            for packet in publisher.take() { if case .puback(let ack) = packet { acks.append(ack.packetID) } }
            for publish in client.takePublishes() {
                got.append(publish.text)
                client.give(.puback(MQTTAck(publish.packetID)))
            }
            for loop in box.loops { loop.runTimers() }
        }
        #expect(acks == (1...40).map { $0 })
        #expect(got == (1...40).map(String.init))
    }

    @Test("another program that keeps the database busy refuses one message, not all that follow")
    func busyDatabase() async throws {
        let store = MemoryStore()
        let world = try await BrokerWorld.open(store: store, loops: 1)
        let client = try await world.client("s", clean: false, expiry: 600)
        try await client.subscribe("t", qos: .exactlyOnce)
        let publisher = try await world.client("p")
        store.fail(.commit(1, StoreError(.inUse, "busy"), isApplied: false))
        let refused = try await publisher.publish("t", "1")
        #expect(refused.reason.isFailure && refused.properties.userProperties == [MQTTUserProperty("code", "unavailable")])
        #expect(try await publisher.publish("t", "2").reason == .success)
        #expect(client.takeTexts() == ["t=2"])
        // What is ours already is tried again.
        await publisher.say(.publish(try MQTTPublish("t", "3", qos: .exactlyOnce, id: 3)))
        store.fail(.commit(1, StoreError(.inUse, "busy"), isApplied: false))
        await publisher.say(.pubrel(MQTTAck(3)))
        #expect(publisher.take() == [.pubrec(MQTTAck(3))])
        await world.pass(seconds: 1)
        #expect(publisher.take() == [.pubcomp(MQTTAck(3))])
        #expect(client.takeTexts() == ["t=3"])
        // So is what nobody waits for.
        store.fail(.commit(1, StoreError(.inUse, "busy"), isApplied: false))
        await client.say(.puback(MQTTAck(1)))
        await world.pass(seconds: 1)
        #expect(try await world.box.store.read { try $0.queueEntries(of: 1, after: 0, limit: 9, bytes: 0).map(\.seq) } == [2])
    }

    @Test("a client that is not read because its messages wait for the disk is not taken for silent")
    func keepAliveWhilePaused() async throws {
        let (world, store) = try await BrokerWorld.openManual(loops: 1)
        let box = world.box
        func step() { repeat { box.runLoops() } while store.step() }
        func pass(_ seconds: Int) {
            for _ in 0..<seconds {
                box.clock.advance(1_000)
                world.broker.tick()
                box.runLoops()
            }
        }
        let durable = await world.connect("s", clean: false, expiry: 600, settles: false)
        step()
        durable.give(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("t"), MQTTSubscriptionOptions(qos: .atLeastOnce))])))
        let publisher = await world.connect("p", .v311, keepAlive: 10, settles: false)
        step()
        var mayGoOn = true
        var id: UInt16 = 0
        while mayGoOn {
            id += 1
            mayGoOn = publisher.give(.publish(try MQTTPublish("t", "x", qos: .atLeastOnce, id: id)))
        }
        pass(40)
        #expect(!publisher.isClosed)
        step()
        #expect(publisher.resumes == 1)
        pass(14)
        #expect(!publisher.isClosed)
        pass(2)
        #expect(publisher.isClosed && world.count(.mqttKeepAliveTimeouts) == 1)
    }

    // MARK: - The chat

    @Test("SUBSCRIBE to the chat and UNSUBSCRIBE at once: the last word counts", arguments: [nil, 600] as [UInt32?])
    func unsubscribedAtOnce(expiry: UInt32?) async throws {
        let world = try await BrokerWorld.open()
        try await world.box.addUsers("ann", "bob")
        let ann = try await world.client("a", clean: false, expiry: expiry, user: "ann")
        let filter = try TopicFilter("v1/c/@bob/msg")
        ann.give(
            .subscribe(MQTTSubscribe(1, [MQTTSubscription(filter, MQTTSubscriptionOptions(qos: .atLeastOnce))])), .unsubscribe(MQTTUnsubscribe(2, [filter])))
        await world.settle()
        #expect(ann.take() == [.suback(MQTTSuback(1, [.grantedQoS1])), .unsuback(MQTTUnsuback(2, [.success]))])
        let bob = world.box.connect("bob", loop: 1)
        _ = try await bob.ask("send", #"{"conv":"@ann","cid":"1","text":"hi"}"#)
        await world.settle()
        #expect(ann.take().isEmpty)
        #expect(world.broker.statistics.value(.subscriptions) == 0)
        // And the other way round.
        ann.give(
            .unsubscribe(MQTTUnsubscribe(3, [filter])), .subscribe(MQTTSubscribe(4, [MQTTSubscription(filter, MQTTSubscriptionOptions(qos: .atLeastOnce))])))
        await world.settle()
        #expect(world.broker.statistics.value(.subscriptions) == 1)
    }

    @Test("pages of v1/me/sync under way are limited for one client")
    func syncs() async throws {
        let (world, store) = try await BrokerWorld.openManual { $0.syncsMax = 3 }
        let box = world.box
        func step() { repeat { box.runLoops() } while store.step() }
        _ = try await BrokerWorld.driving(box, step: { store.step() }) { try await box.addUsers("ann") }
        let ann = await world.connect("a", user: "ann", settles: false)
        step()
        _ = ann.take()
        for id: UInt16 in 1...10 { ann.give(.publish(try MQTTPublish("v1/me/sync", "{}", qos: .atLeastOnce, id: id))) }
        step()
        #expect(world.count(.mqttSyncsRefused) == 7)
        func busy() -> Int {
            ann.take().count { if case .puback(let ack) = $0 { ack.properties.userProperties == [MQTTUserProperty("code", "busy")] } else { false } }
        }
        #expect(busy() == 7)
        ann.give(.publish(try MQTTPublish("v1/me/sync", "{}", qos: .atLeastOnce, id: 11)))
        step()
        #expect(busy() == 0 && world.count(.mqttSyncsRefused) == 7)
    }

    @Test("the cid of a chat message that found the disk full is written, or forgotten, when there is room", arguments: [1, 2])
    func cidOnFullDisk(failing: Int) async throws {
        let place = BoxPlace(kind: .memory)
        let opened = try place.open()
        let store = try #require(opened as? MemoryStore)
        let world = try await BrokerWorld.open(store: store, loops: 1)
        try await world.box.addUsers("ann", "bob")
        let ann = try await world.client("a", clean: false, expiry: 600, user: "ann")
        // The record of the cid, or its removal after the PUBACK.
        store.fail(.write(1, Self.full))
        ann.give(.publish(try MQTTPublish("v1/c/@bob/text", "hi", qos: .exactlyOnce, id: 5)))
        await world.settle()
        await world.pass(seconds: 1)
        let records = { try await world.box.store.read { try $0.inboundPublications(of: 1).map(\.packetID) } }
        #expect(try await records() == [5])
        if failing == 2 { store.fail(.write(1, Self.full)) }
        await ann.say(.pubrel(MQTTAck(5)))
        await world.pass(seconds: 1)
        #expect(try await records() == [])
    }
}

extension BrokerWorld {
    /// Things that are kept in memory for what waits: entries of windows, rows to be removed or noted, messages that wait for the disk.
    func footprint() -> Int {
        var count = self.broker.queue.stalled.count
        for shard in self.box.node.shards {
            count += self.box.loops[shard.index].run { shard.assumeIsolated { $0.mqtt.map(Self.footprint) ?? 0 } }
        }
        return count
    }

    private static func footprint(_ shard: BrokerShard) -> Int {
        var count = 0
        for session in shard.byKey.values {
            count += session.machine.outbound.entries.count
            count += session.unremoved.seqs.count + session.unreleased.count
        }
        for entry in shard.acknowledged.values { count += entry.seqs.count }
        return count
    }
}
