import MQTTCodec
import NIOCore
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Broker: a shared subscription loses nothing when a member leaves")
struct BrokerSharingTests {
    /// A member that is in, subscribed with QoS 2.
    private func member(_ world: BrokerWorld, _ id: String, expiry: UInt32? = nil, loop: Int = 0, receiveMax: UInt16? = nil) async throws -> BrokerClient {
        let member = try await world.client(id, clean: expiry == nil, expiry: expiry, loop: loop) { $0.properties.receiveMaximum = receiveMax }
        try await member.subscribe("$share/g/t/#", qos: .exactlyOnce)
        return member
    }

    private func publish(_ client: BrokerClient, _ texts: [String], qos: MQTTQoS = .atLeastOnce) async throws {
        for (index, text) in texts.enumerated() {
            let id = UInt16(index + 1)
            if qos == .atLeastOnce {
                #expect(try await client.publish("t/1", text, id: id).reason == .success)
            } else {
                await client.say(.publish(try MQTTPublish("t/1", text, qos: .exactlyOnce, id: id)), .pubrel(MQTTAck(id)))
                #expect(client.take() == [.pubrec(MQTTAck(id)), .pubcomp(MQTTAck(id))])
            }
        }
    }

    /// Takes everything a client is sent, acknowledging it, until nothing more comes.
    private func drain(_ client: BrokerClient) async -> [String] {
        var got: [String] = []
        while true {
            let packets = client.take()
            if packets.isEmpty { return got }
            for packet in packets {
                switch packet {
                case .publish(let publish):
                    got.append(publish.text)
                    await client.say(publish.qos == .atLeastOnce ? .puback(MQTTAck(publish.packetID)) : .pubrec(MQTTAck(publish.packetID)))
                case .pubrel(let ack): await client.say(.pubcomp(MQTTAck(ack.packetID)))
                default: break
                }
            }
        }
    }

    @Test("what a member had not acknowledged when its connection closed goes to another, in order, on whatever shard", arguments: 1...3)
    func connectionClosed(loops: Int) async throws {
        let world = try await BrokerWorld.open(loops: loops)
        for round in 0..<4 {
            let leaving = try await self.member(world, "leaving\(round)", receiveMax: 2)
            let publisher = try await world.client("p\(round)", loop: 1)
            let texts = (0..<6).map { "\(round)-\($0)" }
            try await self.publish(publisher, texts)
            // Two were sent, and the first is acknowledged: three were sent and wait, or are still to be sent.
            let first = try #require(leaving.takePublishes().first)
            await leaving.say(.puback(MQTTAck(first.packetID)))
            let heir = try await self.member(world, "heir\(round)", loop: 1)
            await leaving.vanish()
            #expect(await self.drain(heir) == Array(texts.dropFirst()))
            #expect(world.count(.mqttShareMoved) == 5 * (round + 1))
            await heir.leave()
        }
        #expect(world.count(.mqttDropped) == 0)
    }

    @Test(
        "[MQTT-4.8.2-5] a QoS 2 message whose PUBLISH was sent is for nobody else; what was still to be sent goes to another",
        arguments: [nil, 600] as [UInt32?])
    func exactlyOnce(expiry: UInt32?) async throws {
        let world = try await BrokerWorld.open()
        let leaving = try await self.member(world, "leaving", expiry: expiry, receiveMax: 2)
        let publisher = try await world.client("p", loop: 1)
        try await self.publish(publisher, ["taken", "sent", "waits", "also"], qos: .exactlyOnce)
        let sent = leaving.takePublishes()
        #expect(sent.map(\.text) == ["taken", "sent"])
        let heir = try await self.member(world, "heir", expiry: expiry, loop: 1)
        leaving.give(.pubrec(MQTTAck(sent[0].packetID)))
        // In the same moment: for a durable session the note of the PUBREC is still on its way to the disk.
        leaving.give(.disconnect(MQTTDisconnect(.normalDisconnection, properties: expiry == nil ? .none : .expiry(0))))
        await world.settle()
        #expect(await self.drain(heir) == ["waits", "also"])
    }

    @Test("[MQTT-4.8.2-5] also when the power went meanwhile and nobody knows how far it had got", arguments: StoreKind.allCases)
    func exactlyOnceAfterPowerCut(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        let clock = ManualClock()
        func open(_ seed: UInt64) async throws -> BrokerWorld {
            try await BrokerWorld.open(store: try place.open(), clock: clock, seed: seed) {
                $0.windowMax = 2
                $0.inFlightMax = 1
            }
        }
        var world = try await open(1)
        let leaving = try await self.member(world, "leaving", expiry: 60)
        try await self.publish(try await world.client("p", loop: 1), (1...9).map { "\($0)" }, qos: .exactlyOnce)
        #expect(leaving.takePublishes().map(\.text) == ["1"])
        let heir = try await self.member(world, "heir", expiry: 6_000, loop: 1)
        await heir.vanish()
        world.box.store.close()
        world = try await open(2)
        await world.pass(seconds: 80)
        let back = try await world.client("heir", clean: false, expiry: 6_000, isPresent: true)
        // One was sent, and two more may have been.
        #expect(await self.drain(back) == (4...9).map { "\($0)" })
        world.box.store.close()
    }

    @Test("what was acknowledged in the moment its session ended is not given again", arguments: [nil, 600] as [UInt32?])
    func acknowledgedAtTheEnd(expiry: UInt32?) async throws {
        let world = try await BrokerWorld.open()
        let leaving = try await self.member(world, "leaving", expiry: expiry)
        try await self.publish(try await world.client("p", loop: 1), ["1", "2"])
        let heir = try await self.member(world, "heir", loop: 1)
        leaving.give(.puback(MQTTAck(1)), .disconnect(MQTTDisconnect(.normalDisconnection, properties: expiry == nil ? .none : .expiry(0))))
        await world.settle()
        #expect(await self.drain(heir) == ["2"])
    }

    enum Ending: CaseIterable { case expiry, cleanStart, kick, restart }

    @Test(
        "the queue of a durable member goes to others when it expires, starts clean, is removed, also over a restart", arguments: StoreKind.allCases,
        Ending.allCases)
    func queueMoves(kind: StoreKind, ending: Ending) async throws {
        let place = BoxPlace(kind: kind)
        let clock = ManualClock()
        var world = try await BrokerWorld.open(store: try place.open(), clock: clock)
        _ = await (try self.member(world, "away", expiry: 60)).vanish()
        let texts = (0..<700).map { "\($0)" }
        let publisher = try await world.client("p", .v311, loop: 1)
        for text in texts { publisher.give(.publish(try MQTTPublish("t/x", text, qos: .atLeastOnce, id: UInt16(text).map { $0 + 1 } ?? 1))) }
        await world.settle()
        #expect(publisher.take().count == texts.count)
        _ = await (try self.member(world, "heir", expiry: 6_000, loop: 1)).vanish()
        // Whoever is away waits: nothing moves while the session is there.
        await world.pass(seconds: 20)
        #expect(world.count(.mqttShareMoved) == 0)
        switch ending {
        case .expiry: await world.pass(seconds: 60)
        case .cleanStart: _ = try await world.client("away")
        case .kick: #expect(try await world.removeSession("away"))
        case .restart:
            world.box.store.close()
            clock.advance(100_000)
            world = try await BrokerWorld.open(store: try place.open(), clock: clock, seed: 2)
            await world.pass(seconds: 10)
        }
        #expect(world.count(.mqttShareMoved) == texts.count)
        #expect(try await world.box.store.read { try $0.queueBounds(of: 1) } == nil)
        let heir = try await world.client("heir", clean: false, expiry: 6_000, isPresent: true)
        #expect(await self.drain(heir) == texts)
        #expect(world.count(.mqttDropped) == 0)
        world.box.store.close()
    }

    @Test("rows of a queue without a session that are found at the start go to a member, those of its own are removed", arguments: StoreKind.allCases)
    func orphans(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        var world = try await BrokerWorld.open(store: try place.open())
        let gone = try await self.member(world, "gone", expiry: 600)
        try await gone.subscribe("t/1", qos: .atLeastOnce)
        await gone.vanish()
        try await self.publish(try await world.client("p"), ["1", "2"])
        _ = await (try self.member(world, "heir", expiry: 600)).vanish()
        // As a power cut leaves it: the session's row went, its queue did not.
        try await world.box.store.commit { try $0.removeBrokerSession(1) }
        world.box.store.close()
        world = try await BrokerWorld.open(store: try place.open(), seed: 2)
        await world.settle()
        let heir = try await world.client("heir", clean: false, expiry: 600, isPresent: true)
        #expect(await self.drain(heir) == ["1", "2"])
        #expect(try await world.box.store.read { try $0.orphanedQueues(after: 0, limit: 9) } == [])
        world.box.store.close()
    }

    @Test("a session that is found to be replaced at the start leaves its messages to a member that is found later")
    func replacedAtStart() async throws {
        let place = BoxPlace(kind: .memory)
        var world = try await BrokerWorld.open(store: try place.open())
        let gone = try await self.member(world, "gone", expiry: 600)
        await gone.vanish()
        try await self.publish(try await world.client("p"), ["1", "2"])
        let found = try await world.box.store.read { (try $0.brokerSessions(after: 0, limit: 1), try $0.brokerSubscriptions(of: 1)) }
        let (session, subscription) = (try #require(found.0.first), try #require(found.1.first))
        // Its successor's row found room on the disk before its end did. Then many others, and the heir.
        try await world.box.store.commit { store in
            for number in 2...1_600 as ClosedRange<Int32> {
                var record = session
                record.number = number
                if number > 2 { record.clientID = "other\(number)" }
                try store.putBrokerSession(record)
            }
            var seat = subscription
            seat.session = 1_600
            try store.putBrokerSubscription(seat)
        }
        world.box.store.close()
        world = try await BrokerWorld.open(store: try place.open(), seed: 2)
        await world.settle()
        let heir = try await world.client("other1600", clean: false, expiry: 600, isPresent: true)
        #expect(await self.drain(heir) == ["1", "2"])
    }

    @Test("connected members are preferred, and who has no room is passed over")
    func preferred() async throws {
        let world = try await BrokerWorld.open { $0.queuedMessagesMax = 3 }
        let leaving = try await self.member(world, "leaving", expiry: 600)
        try await self.publish(try await world.client("p"), ["1", "2", "3"])
        _ = await (try self.member(world, "away", expiry: 600)).vanish()
        let here = try await self.member(world, "here", loop: 1)
        leaving.give(.disconnect(MQTTDisconnect(.normalDisconnection, properties: .expiry(0))))
        await world.settle()
        #expect(await self.drain(here) == ["1", "2", "3"])
        await here.leave()
        // Nobody is connected: the one that is away keeps what fits.
        let publisher = try await world.client("p2")
        for text in ["4", "5", "6"] { #expect(try await publisher.publish("t/2", text).reason == .success) }
        let second = try await self.member(world, "second", expiry: 600)
        try await self.publish(publisher, ["7", "8"])
        second.give(.disconnect(MQTTDisconnect(.normalDisconnection, properties: .expiry(0))))
        await world.settle()
        #expect(world.count(.mqttDropped) == 2)
        let away = try await world.client("away", clean: false, expiry: 600, isPresent: true)
        #expect(await self.drain(away) == ["4", "5", "6"])
    }

    @Test("what a connection leaves goes past a member whose queue is full to the next one")
    func fullHeir() async throws {
        let world = try await BrokerWorld.open { $0.queuedMessagesMax = 3 }
        let publisher = try await world.client("p")
        let leaving = try await self.member(world, "leaving", receiveMax: 1)
        try await self.publish(publisher, ["1", "2", "3"])
        for (id, other) in [("a", "own"), ("b", "none")] {
            let member = try await self.member(world, id, expiry: 600, loop: 1)
            try await member.subscribe(other, qos: .atLeastOnce)
            await member.vanish()
        }
        // Two of the three places of one are taken.
        let own = try await world.client("q")
        for _ in 1...2 { await own.say(.publish(try MQTTPublish("own", "own", qos: .atLeastOnce, id: 1))) }
        await leaving.vanish()
        var got: [String] = []
        for id in ["a", "b"] { got += await self.drain(try await world.client(id, clean: false, expiry: 600, isPresent: true)) }
        #expect(Set(got).isSuperset(of: ["1", "2", "3"]))
        #expect(world.count(.mqttDropped) == 0)
    }

    @Test("with no member left what it had is dropped, and counted")
    func nobodyLeft() async throws {
        let world = try await BrokerWorld.open()
        for expiry in [nil, 600] as [UInt32?] {
            let member = try await self.member(world, "m", expiry: expiry)
            try await self.publish(try await world.client("p"), ["1", "2"])
            let before = world.count(.mqttDropped)
            member.give(.disconnect(MQTTDisconnect(.normalDisconnection, properties: expiry == nil ? .none : .expiry(0))))
            await world.settle()
            #expect(world.count(.mqttDropped) == before + 2)
        }
        #expect(try await world.box.store.read { try $0.queueBounds(of: 1) } == nil)
    }

    @Test("a member whose session ends before the commit of its row: the message is on the disk all the same, and another member gets it")
    func endsBeforeCommit() async throws {
        let (world, store) = try await BrokerWorld.openManual()
        let box = world.box
        func step() { repeat { box.runLoops() } while store.step() }
        // All on the group's own shard, so that the member is chosen and gone before the other shard has heard of the message.
        let place = box.node.home(of: "$share/g/t").index
        func name(_ start: String) throws -> String {
            try #require((0..<99).map { "\(start)\($0)" }.first { box.node.home(of: $0).index == place })
        }
        func join(_ id: String) async throws -> BrokerClient {
            let member = await world.connect(id, clean: false, expiry: 600, loop: place, settles: false)
            step()
            member.give(
                .subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("$share/g/t"), MQTTSubscriptionOptions(qos: .atLeastOnce))])))
            step()
            _ = member.take()
            return member
        }
        let leaving = try await join(try name("leaving"))
        let publisher = await world.connect(try name("p"), loop: place, settles: false)
        let heir = await world.connect("heir", clean: false, expiry: 600, settles: false)
        step()
        _ = publisher.take()
        publisher.give(.publish(try MQTTPublish("t", "x", qos: .atLeastOnce, id: 1)))
        leaving.give(.disconnect(MQTTDisconnect(.normalDisconnection, properties: .expiry(0))))
        heir.give(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("$share/g/t"), MQTTSubscriptionOptions(qos: .atLeastOnce))])))
        box.runLoops()
        #expect(publisher.take().isEmpty, "nothing is on the disk yet")
        step()
        #expect(publisher.take() == [.puback(MQTTAck(1))])
        #expect(heir.takeTexts() == ["t=x"])
        #expect(world.count(.mqttShareMoved) == 1 && world.count(.mqttDropped) == 0)
    }

    @Test("a full disk while a queue moves leaves every message in one queue; it moves on when there is room")
    func fullWhileMoving() async throws {
        let store = MemoryStore()
        let world = try await BrokerWorld.open(store: store, loops: 1)
        let leaving = try await self.member(world, "leaving", expiry: 600)
        try await self.publish(try await world.client("p"), ["1", "2", "3"])
        let heir = try await self.member(world, "heir", expiry: 600)
        // The second commit from here on: the first one forgets the session.
        store.fail(.commit(2, StoreError(.full, "full"), isApplied: false))
        leaving.give(.disconnect(MQTTDisconnect(.normalDisconnection, properties: .expiry(0))))
        await world.settle()
        let before = heir.takeTexts()
        await world.pass(seconds: 2)
        #expect(before + heir.takeTexts() == ["t/1=1", "t/1=2", "t/1=3"])
    }
}

extension MQTTProperties {
    static func expiry(_ seconds: UInt32) -> MQTTProperties {
        var properties = MQTTProperties.none
        properties.sessionExpiryInterval = seconds
        return properties
    }
}

extension BrokerWorld {
    /// As an administrator removes a session.
    func removeSession(_ id: String) async throws -> Bool {
        let broker = self.broker
        let isRemoved = try await Self.driving(self.box) { await broker.kick(id, removes: true) }
        await self.settle()
        return isRemoved
    }
}
