import Federation
import MQTTCodec
import NIOCore
import Replication
import SkerryModel
import SkerryNode
import Synchronization
import TestKit
import Testing

@Suite("Topics across boxes")
struct TopicsFeatureTests {
    /// A world that ends with the test.
    private func with(
        _ count: Int, _ options: TopicsWorld.Options = .init(), isLinked: Bool = true, _ body: (TopicsWorld) async throws -> Void
    ) async throws {
        let world = try await TopicsWorld(count, options)
        if isLinked { try await world.linkAll() }
        do {
            try await body(world)
        } catch {
            await world.stop()
            throw error
        }
        await world.stop()
    }

    @Test("what is published on one box is heard on another, with every QoS, and only where somebody wants it")
    func heard() async throws {
        try await self.with(3) { world in
            let subscriber = try await TopicsClient.connect(world, 1, "s")
            try await subscriber.subscribe("plant/+/temp")
            let publisher = try await TopicsClient.connect(world, 0, "p")
            try publisher.publish("plant/7/temp", "21", qos: .atMostOnce)
            try publisher.publish("plant/7/temp", "22", qos: .atLeastOnce)
            try publisher.publish("plant/7/temp", "23", qos: .exactlyOnce, id: 2)
            try publisher.publish("plant/7/wet", "no")
            try await world.settle()
            let heard = subscriber.take()
            #expect(heard.map { String(buffer: $0.payload) }.sorted() == ["21", "22", "23"])
            #expect(Set(heard.map(\.qos)) == [.atMostOnce, .atLeastOnce, .exactlyOnce])
            let crossed = try world.mesh.takeTopics()
            #expect(crossed.count == 3 && crossed.allSatisfy { $0.to == world[1].node.box })
            #expect(world[0].count(.federationTopicsOut) == 3 && world[1].count(.federationTopicsIn) == 3)
        }
    }

    @Test("three boxes in a triangle where everybody wants everything: each message once to each, and over each link once")
    func triangle() async throws {
        try await self.with(3) { world in
            var subscribers: [TopicsClient] = []
            for index in 0..<3 {
                let subscriber = try await TopicsClient.connect(world, index, "s\(index)")
                try await subscriber.subscribe("#", "t/+", "t/#")
                subscribers.append(subscriber)
            }
            var sent: Set<String> = []
            for index in 0..<3 {
                let publisher = try await TopicsClient.connect(world, index, "p\(index)")
                for number in 0..<40 {
                    try publisher.publish("t/\(index)", "\(number)", qos: MQTTQoS(rawValue: UInt8(number % 3)) ?? .atMostOnce, id: UInt16(number + 1))
                    sent.insert("t/\(index)=\(number)")
                }
                try await world.settle()
            }
            try await world.pass(seconds: 15)
            for subscriber in subscribers {
                let lines = subscriber.takeLines()
                #expect(lines.count == 120 && Set(lines) == sent)
            }
            #expect(try world.mesh.takeTopics().count == 240)
        }
    }

    @Test("one publisher's messages with QoS 1 keep their order")
    func order() async throws {
        try await self.with(2) { world in
            let subscriber = try await TopicsClient.connect(world, 1, "s")
            try await subscriber.subscribe("t", qos: .atLeastOnce)
            let publisher = try await TopicsClient.connect(world, 0, "p")
            // As many at a time as a client may have unacknowledged.
            for start in stride(from: 0, to: 600, by: 60) {
                for number in start..<start + 60 { try publisher.publish("t", "\(number)", id: UInt16(number % 60 + 1)) }
                try await world.settle()
            }
            try await world.settle()
            let isInOrder = subscriber.takeLines() == (0..<600).map { "t=\($0)" }
            #expect(isInOrder)
        }
    }

    @Test("the properties of version 5 arrive as they were sent, and the time left is what is left")
    func properties() async throws {
        try await self.with(2) { world in
            let subscriber = try await TopicsClient.connect(world, 1, "s")
            try await subscriber.subscribe("t")
            let publisher = try await TopicsClient.connect(world, 0, "p")
            try publisher.publish("t", "x") { publish in
                publish.properties.payloadFormatIndicator = 1
                publish.properties.messageExpiryInterval = 90
                publish.properties.contentType = "text/plain"
                publish.properties.responseTopic = "answers/é"
                publish.properties.correlationData = ByteBuffer(bytes: [0, 255])
                for name in ["b", "a", "b"] { publish.properties.append(.userProperty, .pair(MQTTUserProperty(name, "1"))) }
            }
            try publisher.publish("t", "now", qos: .atMostOnce) { $0.properties.messageExpiryInterval = 0 }
            try await world.settle()
            let heard = subscriber.take()
            let first = try #require(heard.first { String(buffer: $0.payload) == "x" }).properties
            #expect(first.payloadFormatIndicator == 1 && first.messageExpiryInterval == 90 && first.contentType == "text/plain")
            #expect(first.responseTopic == "answers/é" && first.correlationData == ByteBuffer(bytes: [0, 255]))
            #expect(first.userProperties.map(\.name) == ["b", "a", "b"])
            #expect(heard.first { String(buffer: $0.payload) == "now" }?.properties.messageExpiryInterval == 0)
        }
    }

    @Test("shared subscriptions are served per box: one member of the group on each")
    func shared() async throws {
        try await self.with(2) { world in
            var members: [[TopicsClient]] = [[], []]
            for index in 0..<4 {
                let member = try await TopicsClient.connect(world, index % 2, "m\(index)")
                try await member.subscribe("$share/g/t")
                members[index % 2].append(member)
            }
            let publisher = try await TopicsClient.connect(world, 0, "p")
            for number in 0..<10 { try publisher.publish("t", "\(number)", id: UInt16(number + 1)) }
            try await world.settle()
            for group in members { #expect(group.flatMap { $0.takeLines() }.sorted() == (0..<10).map { "t=\($0)" }) }
        }
    }

    @Test("what the administrator does not let cross stays, whether the sender's box or the receiver's says so")
    func lists() async throws {
        var options = TopicsWorld.Options()
        (options.allowed, options.denied) = (["plant/#", "door"], ["plant/secret/+"])
        try await self.with(2, options) { world in
            let subscriber = try await TopicsClient.connect(world, 1, "s")
            try await subscriber.subscribe("#")
            let publisher = try await TopicsClient.connect(world, 0, "p")
            for topic in ["plant/1", "plant/secret/1", "door", "window", "plant/secret/1/deep"] { try publisher.publish(topic, "x") }
            try await world.settle()
            #expect(subscriber.takeLines() == ["plant/1=x", "door=x", "plant/secret/1/deep=x"])
            // The receiver's lists alone.
            world[1].feature.reload(allowed: nil, denied: [try TopicFilter("door")])
            try await world.settle()
            try publisher.publish("door", "y")
            try publisher.publish("plant/1", "y")
            try await world.settle()
            #expect(subscriber.takeLines() == ["plant/1=y"])
            #expect(world[1].count(.federationTopicsRefused) == 1)
            try await world.pass(seconds: 12)
            #expect(world[1].count(.federationTopicsRefused) == 1, "it is not sent again")
            // An empty list lets nothing cross.
            world[0].feature.reload(allowed: [], denied: [])
            try await world.settle()
            try publisher.publish("plant/1", "z")
            try await world.settle()
            #expect(subscriber.takeLines().isEmpty)
        }
    }

    // MARK: - Links that end

    @Test("QoS 1 over a link that loses messages or answers: everything arrives, once, also for a client that is away")
    func loss() async throws {
        try await self.with(2) { world in
            let absent = try await TopicsClient.connect(world, 1, "absent", expiry: 900, clean: false)
            try await absent.subscribe("t", qos: .atLeastOnce)
            try await absent.vanish()
            let live = try await TopicsClient.connect(world, 1, "live")
            try await live.subscribe("t", qos: .atLeastOnce)
            let publisher = try await TopicsClient.connect(world, 0, "p")
            let there = world[1].node.box
            let expected = (0..<3).map { "t=\($0)" }
            // A message is lost.
            world.mesh.lose { $0.message.channel == .topicAcknowledged && $0.to == there }
            try publisher.publish("t", "0", id: 1)
            try await world.settle()
            #expect(live.takeLines().isEmpty)
            world.mesh.lose { _ in false }
            try await world.cut(0, 1)
            try await world.link(0, 1)
            #expect(live.takeLines() == ["t=0"])
            // An answer is lost.
            world.mesh.lose { $0.message.channel == .topicAcknowledged && $0.from == there }
            try publisher.publish("t", "1", id: 2)
            try await world.settle()
            #expect(live.takeLines() == ["t=1"])
            world.mesh.lose { _ in false }
            try await world.cut(0, 1)
            try await world.link(0, 1)
            #expect(world[1].count(.federationTopicsRepeated) == 1)
            // One is lost on a link that stays: it goes again after ten seconds.
            world.mesh.lose { $0.message.channel == .topicAcknowledged && $0.to == there }
            try publisher.publish("t", "2", id: 3)
            try await world.settle()
            world.mesh.lose { _ in false }
            try await world.pass(seconds: 9)
            #expect(live.takeLines().isEmpty)
            try await world.pass(seconds: 3)
            #expect(live.takeLines() == ["t=2"])
            try await world.pass(seconds: 30)
            #expect(live.takeLines().isEmpty)
            let back = try await TopicsClient.connect(world, 1, "absent", expiry: 900, clean: false)
            #expect(back.takeLines() == expected)
        }
    }

    @Test("a short cut loses no QoS 1, a long one is forgotten and counted; QoS 0 waits for nobody")
    func cuts() async throws {
        try await self.with(2) { world in
            let subscriber = try await TopicsClient.connect(world, 1, "s")
            try await subscriber.subscribe("t")
            let publisher = try await TopicsClient.connect(world, 0, "p")
            try await world.cut(0, 1)
            try publisher.publish("t", "kept", id: 1)
            try publisher.publish("t", "lost", qos: .atMostOnce)
            try await world.pass(seconds: 50)
            try await world.link(0, 1)
            #expect(subscriber.takeLines() == ["t=kept"])
            #expect(world[0].count(.federationTopicsDropped) == 1)
            try await world.cut(0, 1)
            try publisher.publish("t", "forgotten", id: 2)
            try await world.pass(seconds: 61)
            #expect(world[0].count(.federationTopicsDropped) == 2)
            try publisher.publish("t", "unheard", id: 3)
            try await world.settle()
            try await world.link(0, 1)
            #expect(subscriber.takeLines().isEmpty)
            try publisher.publish("t", "again", id: 4)
            try await world.settle()
            #expect(subscriber.takeLines() == ["t=again"], "what it wants was told anew")
        }
    }

    @Test("a receiver that does not answer: so much is on its way, so much waits, and what is beyond is dropped and counted; nobody else notices")
    func window() async throws {
        var options = TopicsWorld.Options()
        (options.limits.waitingMax, options.limits.flightMax, options.limits.liveBytesMax) = (20, 5, 2_000)
        try await self.with(3, options) { world in
            var subscribers: [TopicsClient] = []
            for index in 1...2 {
                subscribers.append(try await TopicsClient.connect(world, index, "s"))
                try await subscribers[index - 1].subscribe("t")
            }
            let publisher = try await TopicsClient.connect(world, 0, "p")
            let mute = world[1].node.box
            world.mesh.lose { $0.from == mute }
            for number in 0..<30 {
                try publisher.publish("t", "\(number)", id: UInt16(number + 1))
                try await world.settle()
            }
            #expect(subscribers[0].takeLines().count == 5, "on their way")
            #expect(subscribers[1].takeLines().count == 30)
            #expect(world[0].count(.federationTopicsQueueFull) == 10)
            for number in 0..<30 {
                try publisher.publish("t", String(repeating: "\(number % 10)", count: 300), qos: .atMostOnce)
                try await world.settle()
            }
            let (live, dropped) = (subscribers[0].takeLines().count, world[0].count(.federationTopicsDropped))
            #expect(live < 8 && live > 3 && live + dropped == 30)
            // It answers again.
            world.mesh.lose { _ in false }
            try await world.pass(seconds: 12)
            try await world.pass(seconds: 12)
            #expect(subscribers[0].takeLines() == (5..<20).map { "t=\($0)" })
            try publisher.publish("t", "x", qos: .atMostOnce)
            try await world.settle()
            #expect(subscribers[0].takeLines() == ["t=x"])
        }
    }

    @Test("a message larger than a link carries does not cross, and is counted; one that just fits does")
    func large() async throws {
        try await self.with(2) { world in
            let subscriber = try await TopicsClient.connect(world, 1, "s")
            try await subscriber.subscribe("t")
            let publisher = try await TopicsClient.connect(world, 0, "p")
            try publisher.publish("t", String(repeating: "x", count: LinkChannel.payloadBytesMax), id: 1)
            try publisher.publish("t", String(repeating: "y", count: TopicFrame.messageBytesMax - 30), id: 2)
            try publisher.publish("t", String(repeating: "z", count: TopicFrame.messageBytesMax - 30), qos: .atMostOnce)
            try await world.settle()
            #expect(subscriber.takeLines().map { $0.prefix(3) }.sorted() == ["t=y", "t=z"])
            #expect(world[0].count(.federationTopicsTooLarge) == 1)
        }
    }

    // MARK: - Interest

    @Test("a box with more filters than may be told tells fewer and wider ones, and misses nothing")
    func coalesced() async throws {
        try await self.with(2) { world in
            let subscriber = try await TopicsClient.connect(world, 1, "s")
            subscriber.say(
                try (0..<12).map { part in
                    .subscribe(
                        MQTTSubscribe(
                            UInt16(part + 1),
                            try (0..<100).map { MQTTSubscription(try TopicFilter("s/\(part)/\($0)"), MQTTSubscriptionOptions(qos: .atMostOnce)) }))
                })
            try await world.settle()
            try await world.pass(seconds: 2)
            let told = try #require(world.mesh.take(.interest).last { $0.from == world[1].node.box })
            #expect(try TopicInterest(decoding: told.message.payload).filters.count <= 1_000)
            #expect(world[1].count(.federationInterestCoalesced) >= 1)
            let publisher = try await TopicsClient.connect(world, 0, "p")
            for part in 0..<12 { try publisher.publish("s/\(part)/\(part * 8)", "x", qos: .atMostOnce) }
            try await world.settle()
            #expect(subscriber.take().count == 12)
        }
    }

    @Test("interest is told once a second at most, and not at all while nothing changes")
    func paced() async throws {
        try await self.with(2) { world in
            let subscriber = try await TopicsClient.connect(world, 1, "s")
            try await subscriber.subscribe("first")
            _ = world.mesh.take(.interest)
            for number in 0..<20 {
                subscriber.say([.subscribe(MQTTSubscribe(9, [MQTTSubscription(try TopicFilter("n/\(number)"), MQTTSubscriptionOptions(qos: .atMostOnce))]))])
                try await world.settle()
            }
            #expect(world.mesh.take(.interest).count <= 1)
            try await world.pass(seconds: 2)
            #expect(world.mesh.take(.interest).count <= 2)
            try await world.pass(seconds: 90)
            #expect(world.mesh.take(.interest).isEmpty)
        }
    }

    // MARK: - Retained

    @Test("retained messages converge to the last one written, are heard live once, and a box that joins gives what it had")
    func retained() async throws {
        let world = try await TopicsWorld(2)
        let live = try await TopicsClient.connect(world, 1, "live")
        try await world.linkAll()
        try await live.subscribe("r/#")
        let (one, two) = (try await TopicsClient.connect(world, 0, "p"), try await TopicsClient.connect(world, 1, "q"))
        try one.publish("r/1", "one", retain: true)
        try await world.settle()
        #expect(try await world[1].retained("r/1") == nil, "the row comes with the log alone")
        try await world.replicate(0, to: 1)
        try await world.settle()
        #expect(live.take().map { "\(String(buffer: $0.payload)) \($0.isRetained)" } == ["one false"])
        #expect(try await world[1].retained("r/1") == "one")
        // Both write while they are apart.
        try await world.cut(0, 1)
        try one.publish("r/2", "early", id: 2, retain: true)
        try await world.pass(seconds: 1)
        try two.publish("r/2", "late", id: 2, retain: true)
        try two.publish("r/1", "", id: 3, retain: true)
        try await world.settle()
        try await world.replicate(0, to: 1)
        try await world.replicate(1, to: 0)
        for box in world.boxes {
            #expect(try await box.retained("r/2") == "late")
            #expect(try await box.retained("r/1") == nil)
        }
        // An older clearing does not take away what came after it.
        try one.publish("r/1", "new", id: 4, retain: true)
        try await world.settle()
        try await world.replicate(0, to: 1)
        try await world.replicate(1, to: 0)
        for box in world.boxes { #expect(try await box.retained("r/1") == "new") }
        let newcomer = try await TopicsClient.connect(world, 1, "n")
        try await newcomer.subscribe("r/1")
        #expect(newcomer.take().map { "\(String(buffer: $0.payload)) \($0.isRetained)" } == ["new true"])
        await world.stop()
    }

    // MARK: - Bad input

    @Test("whatever another box sends: it is refused and counted, and what comes after it is heard")
    func garbage() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        try await self.with(2) { world in
            let subscriber = try await TopicsClient.connect(world, 1, "s")
            try await subscriber.subscribe("#")
            let from = world[0].node.box
            let envelope = TopicEnvelope(number: 1, topic: "t", qos: 1, payload: [1, 2, 3], userProperties: [.init("a", "b")])
            let whole = TopicFrame(run: 5, messages: [envelope], taken: [.init(run: 1, first: 0, count: .max)], oldest: .max, sent: .max, heard: .max).payload
            for _ in 0..<400 {
                var bytes = random.chance(50) ? whole : (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
                for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                    bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                if random.chance(20) { bytes.removeLast(Int.random(in: 0...bytes.count, using: &random)) }
                let channel = random.pick([LinkChannel.topic, .topicAcknowledged, .interest]) ?? .topic
                world[1].feature.received(LinkMessage(origin: from, channel: channel, payload: bytes), from: from)
            }
            // A box nobody has a link with.
            world[1].feature.received(LinkMessage(origin: Sample.box(99), channel: .topic, payload: whole), from: Sample.box(99))
            try await world.settle()
            #expect(world[1].count(.federationTopicsRefused) > 0, "seed \(seed)")
            _ = subscriber.take()
            let publisher = try await TopicsClient.connect(world, 0, "p")
            try publisher.publish("t", "after")
            try await world.settle()
            try await world.pass(seconds: 12)
            #expect(subscriber.takeLines().contains("t=after"), "seed \(seed)")
        }
    }

    @Test("messages about topics that never cross are not believed from a box that sends them all the same")
    func forbiddenTopics() async throws {
        try await self.with(2) { world in
            let subscriber = try await TopicsClient.connect(world, 1, "s")
            try await subscriber.subscribe("#")
            let from = world[0].node.box
            let topics = ["$SYS/broker/load", "fed/1/x", "v1/me/inbox", "a/+", "", "bad\u{0}"]
            for (index, topic) in topics.enumerated() {
                let envelope = TopicEnvelope(number: UInt64(index + 1), topic: topic, qos: 1, payload: [1])
                let payload = TopicFrame(run: 5, messages: [envelope]).payload
                world[1].feature.received(LinkMessage(origin: from, channel: .topicAcknowledged, payload: payload), from: from)
                world[1].feature.received(LinkMessage(origin: from, channel: .topic, payload: payload), from: from)
            }
            try await world.settle()
            #expect(subscriber.take().isEmpty)
            #expect(world[1].count(.federationTopicsRefused) == 2 * topics.count)
        }
    }
}
