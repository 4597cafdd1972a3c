import MQTTCodec
import NIOCore
import SkerryModel
import SkerryNode
import TestKit
import Testing

@Suite("Broker: from publisher to subscriber")
struct BrokerRoutingTests {
    @Test("a message reaches subscribers on every shard, at the lower of both QoS", arguments: MQTTVersion.allCases)
    func fanOut(version: MQTTVersion) async throws {
        let world = try await BrokerWorld.open()
        var subscribers: [BrokerClient] = []
        for (index, qos) in [MQTTQoS.atMostOnce, .atLeastOnce, .exactlyOnce, .exactlyOnce].enumerated() {
            let client = try await world.client("s\(index)", version, loop: index)
            #expect(try await client.subscribe("a/+", qos: qos) == [.granted(qos)])
            subscribers.append(client)
        }
        let publisher = try await world.client("p", version, loop: 1)
        #expect(try await publisher.publish("a/b", "hi").reason == .success)
        for (index, client) in subscribers.enumerated() {
            let publishes = client.takePublishes()
            #expect(publishes.map(\.line) == ["a/b=hi"], "subscriber \(index)")
            #expect(publishes.first?.qos == (index == 0 ? .atMostOnce : .atLeastOnce))
            #expect(publishes.first?.packetID == (index == 0 ? 0 : 1))
        }
    }

    @Test("a retained message that comes live while a new subscriber's are still being read comes once", arguments: [nil, 600] as [UInt32?])
    func retainedMeanwhile(expiry: UInt32?) async throws {
        let (world, store) = try await BrokerWorld.openManual()
        let box = world.box
        func step() {
            repeat { box.runLoops() } while store.step()
            box.runLoops()
        }
        let publisher = await world.connect("p", settles: false)
        step()
        for topic in ["r/1", "r/2", "r/3"] { publisher.give(.publish(try MQTTPublish(topic, "old", retain: true))) }
        step()
        let subscriber = await world.connect("s", clean: false, expiry: expiry, settles: false)
        step()
        _ = subscriber.take()
        subscriber.give(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("r/#"), MQTTSubscriptionOptions(qos: .atMostOnce))])))
        box.runLoops()
        publisher.give(.publish(try MQTTPublish("r/1", "new", retain: true)), .publish(try MQTTPublish("r/2", "", retain: true)))
        step()
        #expect(subscriber.takeTexts().sorted() == ["r/1=new", "r/2=", "r/3=old"])
    }

    @Test("QoS 2 goes on at PUBREL and once, however often its packets come [MQTT-4.3.3-10]")
    func exactlyOnce() async throws {
        let world = try await BrokerWorld.open()
        let subscriber = try await world.client("s", loop: 1)
        try await subscriber.subscribe("t", qos: .exactlyOnce)
        let publisher = try await world.client("p")
        await publisher.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 9)))
        #expect(publisher.take() == [.pubrec(MQTTAck(9))])
        #expect(subscriber.take().isEmpty)
        await publisher.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 9, dup: true)))
        #expect(publisher.take() == [.pubrec(MQTTAck(9))])
        await publisher.say(.pubrel(MQTTAck(9)), .pubrel(MQTTAck(9)))
        #expect(publisher.take().first == .pubcomp(MQTTAck(9)))
        let publishes = subscriber.takePublishes()
        #expect(publishes.map(\.line) == ["t=x"])
        #expect(publishes.first?.qos == .exactlyOnce)
        await subscriber.say(.pubrec(MQTTAck(1)))
        #expect(subscriber.take() == [.pubrel(MQTTAck(1))])
        await subscriber.say(.pubcomp(MQTTAck(1)))
        #expect(subscriber.take().isEmpty)
    }

    @Test("nobody wants it: 0x10 in a PUBACK of version 5, 0x00 in a PUBREC and before version 5")
    func noReceivers() async throws {
        let world = try await BrokerWorld.open()
        let publisher = try await world.client("p")
        #expect(try await publisher.publish("t", "x").reason == .noMatchingSubscribers)
        await publisher.say(.publish(try MQTTPublish("t", "x", qos: .exactlyOnce, id: 9)))
        #expect(publisher.take() == [.pubrec(MQTTAck(9))])
        let old = try await world.client("o", .v311)
        #expect(try await old.publish("t", "x").reason == .success)
    }

    @Test("overlapping subscriptions make one message with every identifier [MQTT-3.3.4-4]; No Local keeps one's own away [MQTT-3.8.3-3]")
    func overlapping() async throws {
        let world = try await BrokerWorld.open()
        let client = try await world.client("c")
        try await client.subscribe("a/#", qos: .atMostOnce, id: 3)
        try await client.subscribe("a/+", qos: .atLeastOnce, id: 4)
        try await client.publish("a/b", "x")
        let publishes = client.takePublishes()
        #expect(publishes.count == 1)
        #expect(publishes.first?.qos == .atLeastOnce)
        #expect(Set(publishes.first?.properties.subscriptionIdentifiers ?? []) == [3, 4])

        let deaf = try await world.client("d")
        try await deaf.subscribe("n") { $0.noLocal = true }
        #expect(try await deaf.publish("n", "x").reason == .noMatchingSubscribers)
        try await client.publish("n", "y", id: 2)
        #expect(deaf.takeTexts() == ["n=y"])
    }

    @Test("user properties, content type and what else travels arrive as they were, in their order [MQTT-3.3.2-18]")
    func properties() async throws {
        let world = try await BrokerWorld.open()
        let subscriber = try await world.client("s", loop: 1)
        try await subscriber.subscribe("t")
        let publisher = try await world.client("p")
        try await publisher.publish("t", "x") {
            $0.properties.contentType = "text/plain"
            $0.properties.responseTopic = "r"
            $0.properties.correlationData = ByteBuffer(string: "c")
            $0.properties.payloadFormatIndicator = 1
            $0.properties.userProperties = [MQTTUserProperty("b", "1"), MQTTUserProperty("a", "2"), MQTTUserProperty("b", "3")]
            $0.properties.messageExpiryInterval = 60
        }
        let publish = try #require(subscriber.takePublishes().first)
        #expect(publish.properties.contentType == "text/plain")
        #expect(publish.properties.responseTopic == "r")
        #expect(publish.properties.correlationData == ByteBuffer(string: "c"))
        #expect(publish.properties.userProperties.map(\.value) == ["1", "2", "3"])
        #expect(publish.properties.messageExpiryInterval == 60)
    }

    @Test("a shared subscription gives each message to exactly one member, whatever shard it is on (MQTT 5 §4.8.2)")
    func shared() async throws {
        let world = try await BrokerWorld.open(loops: 3)
        var members: [BrokerClient] = []
        for index in 0..<3 {
            let member = try await world.client("m\(index)", loop: index)
            try await member.subscribe("$share/g/t/#", qos: .atLeastOnce)
            members.append(member)
        }
        let publisher = try await world.client("p", loop: 1)
        for index in 0..<30 { #expect(try await publisher.publish("t/\(index)", "x", id: UInt16(index + 1)).reason == .success) }
        var got: [String] = []
        for member in members {
            let publishes = member.takePublishes()
            #expect(publishes.count == 10)
            for publish in publishes { await member.say(.puback(MQTTAck(publish.packetID))) }
            got += publishes.map(\.line)
        }
        #expect(Set(got).count == 30 && got.count == 30)
        // One goes: the others share what comes.
        await members[0].leave()
        for index in 0..<10 { try await publisher.publish("t/n", "y", id: UInt16(index + 1)) }
        #expect(members[1].takeTexts().count + members[2].takeTexts().count == 10)
    }

    @Test("a topic alias of the client stands for its topic, and the broker makes its own first come, first served")
    func aliases() async throws {
        let world = try await BrokerWorld.open()
        let subscriber = try await world.client("s") { $0.properties.topicAliasMaximum = 1 }
        try await subscriber.subscribe("#")
        let publisher = try await world.client("p")
        try await publisher.publish("long/topic", "1") { $0.properties.topicAlias = 5 }
        try await publisher.publish("long/topic", "2", id: 2) {
            $0.topic = nil
            $0.properties.topicAlias = 5
        }
        try await publisher.publish("other", "3", id: 3)
        let got = subscriber.takePublishes()
        #expect(got.map(\.text) == ["1", "2", "3"])
        #expect(got.map { $0.topic?.text } == ["long/topic", nil, "other"])
        #expect(got.map(\.properties.topicAlias) == [1, 1, nil])
        await publisher.say(
            .publish(
                try {
                    var publish = try MQTTPublish("x", "4")
                    publish.topic = nil
                    publish.properties.topicAlias = 9
                    return publish
                }()))
        #expect(publisher.take() == [.disconnect(MQTTDisconnect(.protocolError, properties: publisher.reason("The topic alias stands for no topic.")))])
        #expect(publisher.isClosed)
    }

    @Test("a packet larger than the client takes is not sent to it, and others get it [MQTT-3.1.2-25]")
    func tooLarge() async throws {
        let world = try await BrokerWorld.open()
        let small = try await world.client("small") { $0.properties.maximumPacketSize = 50 }
        let large = try await world.client("large", loop: 1)
        for client in [small, large] { try await client.subscribe("t", qos: .atLeastOnce) }
        let publisher = try await world.client("p")
        try await publisher.publish("t", String(repeating: "x", count: 100))
        try await publisher.publish("t", "fits", id: 2)
        #expect(small.takeTexts() == ["t=fits"])
        #expect(large.takeTexts().count == 2)
    }

    @Test("every order of messages of one publisher is kept for one subscriber [MQTT-4.6.0-6]")
    func order() async throws {
        let world = try await BrokerWorld.open(loops: 3)
        let subscriber = try await world.client("s", loop: 2) { $0.properties.receiveMaximum = 5 }
        try await subscriber.subscribe("t", qos: .atLeastOnce)
        let publisher = try await world.client("p")
        for index in 0..<40 { publisher.give(.publish(try MQTTPublish("t", "\(index)", qos: .atLeastOnce, id: UInt16(index + 1)))) }
        await world.settle()
        var got: [String] = []
        while true {
            let publishes = subscriber.takePublishes()
            #expect(publishes.count <= 5)
            if publishes.isEmpty { break }
            got += publishes.map(\.text)
            for publish in publishes { subscriber.give(.puback(MQTTAck(publish.packetID))) }
            await world.settle()
        }
        #expect(got == (0..<40).map(String.init))
    }
}

extension BrokerClient {
    func reason(_ text: String) -> MQTTProperties {
        var properties = MQTTProperties.none
        properties.reasonString = text
        return properties
    }
}
