import MQTTCodec
import NIOCore
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Broker: the chat over MQTT")
struct BrokerChatTests {
    private func world(_ store: any Store = MemoryStore(), clock: ManualClock = ManualClock(), seed: UInt64 = 1) async throws -> BrokerWorld {
        let world = try await BrokerWorld.open(store: store, clock: clock, seed: seed) { $0.anonymous = [] }
        return world
    }

    private func json(_ publish: MQTTPublish?) throws -> JSON {
        let publish = try #require(publish)
        return try #require(JSON(bytes: publish.payload.readableBytesView))
    }

    @Test("plain text from MQTT reaches a browser; what the browser says reaches v1/me/in", arguments: [MQTTVersion.v311, .v5])
    func bothWays(version: MQTTVersion) async throws {
        let world = try await self.world()
        try await world.box.addUsers("ann", "bob")
        let browser = world.box.connect("bob", loop: 1)
        let ann = try await world.client("a", version, user: "ann")
        try await ann.subscribe("v1/me/in", qos: .atLeastOnce)
        #expect(try await ann.publish("v1/c/@bob/text", "在吗").reason == .success)
        let shown = await browser.received().filter { $0["t"]?.text == "msg" }
        #expect(shown.count == 1 && shown.first?["d"]?["text"]?.text == "在吗")
        // Its own message comes back too, with the cid.
        let own = try self.json(ann.takePublishes().last)
        #expect(own["t"]?.text == "msg" && own["d"]?["cid"]?.text != nil)
        let conversation = try #require(own["d"]?["conv"]?.text)
        _ = try await browser.ask("send", #"{"conv":"\#(conversation)","cid":"1","text":"hi"}"#)
        await world.settle()
        let publish = try #require(ann.takePublishes().last)
        #expect(publish.topic?.text == "v1/me/in" && publish.qos == .atLeastOnce)
        #expect(try self.json(publish)["d"]?["text"]?.text == "hi")
    }

    @Test("answers go to the Response Topic with its Correlation Data, else to v1/me/ack; refusals carry the reason and the code")
    func answers() async throws {
        let world = try await self.world()
        try await world.box.addUsers("ann", "bob")
        let ann = try await world.client("a", user: "ann")
        try await ann.subscribe("v1/me/ack", "answers/ann")
        try await ann.publish("v1/c/@bob/send", #"{"cid":"c1","kind":"text","text":"x"}"#) {
            $0.properties.responseTopic = "answers/ann"
            $0.properties.correlationData = ByteBuffer(string: "77")
        }
        let answer = try #require(ann.takePublishes().first)
        #expect(answer.topic?.text == "answers/ann" && answer.properties.correlationData == ByteBuffer(string: "77"))
        #expect(try self.json(answer)["cid"]?.text == "c1")
        #expect(try self.json(answer)["d"]?["dup"] == .bool(false))

        let ack = try await ann.publish("v1/c/@nobody/text", "x", id: 2)
        #expect(ack.reason == MQTTReason(ErrorCode.notFound.mqttReason))
        #expect(ack.properties.userProperties == [MQTTUserProperty("code", "not_found")] && ack.properties.reasonString != nil)
        #expect(try self.json(ann.takePublishes().first)["error"]?["code"]?.text == "not_found")

        let old = try await world.client("o", .v311, user: "ann", loop: 1)
        try await old.subscribe("v1/me/ack")
        #expect(try await old.publish("v1/c/@bob/send", "not JSON").reason == .success)
        let refusal = try #require(old.takePublishes().first)
        #expect(refusal.topic?.text == "v1/me/ack")
        #expect(try self.json(refusal)["error"]?["code"]?.text == "bad_request")
        #expect(try await ann.publish("v1/c/@bob/send", #"{"cid":"c1","kind":"text","text":"other"}"#, id: 3).reason.rawValue == ErrorCode.conflict.mqttReason)
    }

    @Test("a conversation that is made, named or left while a durable client is away waits for it in v1/me/in")
    func conversationsWait() async throws {
        let world = try await self.world()
        try await world.box.addUsers("ann", "bob", "carl")
        let bob = try await world.client("b", clean: false, expiry: 600, user: "bob")
        try await bob.subscribe("v1/me/in", qos: .atLeastOnce)
        await bob.leave()
        let ann = world.box.connect("ann")
        let group = try await ann.ask("create", #"{"type":"group","title":"g","members":["@bob"],"cid":"g"}"#)["conversation"]?["id"]?.text ?? ""
        _ = try await ann.ask("update", #"{"conv":"\#(group)","title":"h"}"#)
        _ = try await ann.ask("remove", #"{"conv":"\#(group)","user":"@bob"}"#)
        let back = try await world.client("b", clean: false, expiry: 600, user: "bob", isPresent: true)
        let frames = try back.takePublishes().map { try self.json($0) }
        #expect(frames.map { $0["d"]?["kind"]?.text } == ["conversation", "conversation", "left"])
        #expect(frames.map { $0["d"]?["conversation"]?["title"]?.text } == ["g", "h", nil])
    }

    @Test("QoS 2 to the chat: PUBREC after the commit with its refusal, and said once")
    func qos2() async throws {
        let world = try await self.world()
        try await world.box.addUsers("ann", "bob")
        let browser = world.box.connect("bob")
        let ann = try await world.client("a", user: "ann")
        await ann.say(.publish(try MQTTPublish("v1/c/@bob/text", "x", qos: .exactlyOnce, id: 4)))
        #expect(ann.take() == [.pubrec(MQTTAck(4))])
        await ann.say(.publish(try MQTTPublish("v1/c/@bob/text", "x", qos: .exactlyOnce, id: 4, dup: true)), .pubrel(MQTTAck(4)))
        #expect(ann.take() == [.pubrec(MQTTAck(4)), .pubcomp(MQTTAck(4))])
        #expect(await browser.received().count { $0["t"]?.text == "msg" } == 1)
        await ann.say(.publish(try MQTTPublish("v1/c/@no/text", "x", qos: .exactlyOnce, id: 5)))
        guard case .pubrec(let ack)? = ann.take().first else { throw Unexpected("no PUBREC") }
        #expect(ack.reason == MQTTReason(ErrorCode.notFound.mqttReason))
    }

    @Test("the second try of a PUBLISH is the same message, over a restart too; two messages are never taken for one", arguments: StoreKind.allCases)
    func repeatedSend(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        var world = try await self.world(try place.open())
        try await world.box.addUsers("ann", "bob")
        let ann = try await world.client("a", clean: false, expiry: 600, user: "ann")
        try await ann.publish("v1/c/@bob/text", "same", id: 7)
        try await ann.publish("v1/c/@bob/text", "same", id: 7)
        // Acknowledged, so the identifier means a new message whatever DUP says [MQTT-4.3.2-5].
        try await ann.publish("v1/c/@bob/text", "same", id: 7) { $0.isDuplicate = true }
        #expect(try await world.box.store.read { try $0.messageCount() } == 3)
        // This one is stored, and the box dies before its acknowledgement is out.
        ann.give(.publish(try MQTTPublish("v1/c/@bob/text", "cut", qos: .atLeastOnce, id: 8)))
        while try await world.box.store.read({ try $0.messageCount() }) < 4 { await Task.yield() }
        world.box.store.close()
        for loop in world.box.loops { loop.drop() }
        world = try await self.world(try place.open(), seed: 2)
        let again = try await world.client("a", clean: false, expiry: 600, user: "ann", isPresent: true)
        let ack = try await again.publish("v1/c/@bob/text", "cut", id: 8) { $0.isDuplicate = true }
        #expect(ack.reason == .success)
        #expect(try await world.box.store.read { try $0.messageCount() } == 4)
        try await again.publish("v1/c/@bob/text", "cut", id: 8)
        #expect(try await world.box.store.read { try $0.messageCount() } == 5)
        world.box.store.close()
    }

    @Test("QoS 2: after a restart the PUBLISH whose PUBREC was lost is still the same message, until PUBREL", arguments: StoreKind.allCases)
    func repeatedQoS2(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        var world = try await self.world(try place.open())
        try await world.box.addUsers("ann", "bob")
        let ann = try await world.client("a", clean: false, expiry: 600, user: "ann")
        await ann.say(.publish(try MQTTPublish("v1/c/@bob/text", "x", qos: .exactlyOnce, id: 9)))
        #expect(ann.take() == [.pubrec(MQTTAck(9))])
        world.box.store.close()
        world = try await self.world(try place.open(), seed: 2)
        let again = try await world.client("a", clean: false, expiry: 600, user: "ann", isPresent: true)
        await again.say(.publish(try MQTTPublish("v1/c/@bob/text", "x", qos: .exactlyOnce, id: 9, dup: true)), .pubrel(MQTTAck(9)))
        #expect(again.take() == [.pubrec(MQTTAck(9)), .pubcomp(MQTTAck(9))])
        #expect(try await world.box.store.read { try $0.messageCount() } == 1)
        await again.say(.publish(try MQTTPublish("v1/c/@bob/text", "x", qos: .exactlyOnce, id: 9, dup: true)))
        #expect(try await world.box.store.read { try $0.messageCount() } == 2)
        // The box goes between PUBREC and PUBREL: PUBREL ends the exchange though nobody remembers it, and the identifier is free.
        world.box.store.close()
        world = try await self.world(try place.open(), seed: 3)
        let third = try await world.client("a", clean: false, expiry: 600, user: "ann", isPresent: true)
        await third.say(.pubrel(MQTTAck(9)))
        #expect(third.take() == [.pubcomp(MQTTAck(9, .packetIdentifierNotFound))])
        await third.say(.publish(try MQTTPublish("v1/c/@bob/text", "x", qos: .exactlyOnce, id: 9, dup: true)))
        #expect(try await world.box.store.read { try $0.messageCount() } == 3)
        world.box.store.close()
    }

    @Test("a durable session misses no message: not while away, not over a restart, none twice", arguments: StoreKind.allCases)
    func durable(kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        var world = try await self.world(try place.open())
        try await world.box.addUsers("ann", "bob")
        let ann = try await world.client("a", clean: false, expiry: 6_000, user: "ann")
        try await ann.subscribe("v1/me/in", "v1/c/@bob/msg", qos: .atLeastOnce)
        await ann.vanish()
        var bob = world.box.connect("bob")
        _ = try await bob.ask("send", #"{"conv":"@ann","cid":"1","text":"one"}"#)
        world.box.store.close()
        world = try await self.world(try place.open(), seed: 2)
        bob = world.box.connect("bob")
        _ = try await bob.ask("send", #"{"conv":"@ann","cid":"2","text":"two"}"#)
        let back = try await world.client("a", clean: false, expiry: 6_000, user: "ann", isPresent: true)
        let got = back.takePublishes()
        #expect(got.filter { $0.topic?.text == "v1/me/in" }.compactMap { JSON(bytes: $0.payload.readableBytesView)?["d"]?["text"]?.text } == ["one", "two"])
        #expect(got.filter { $0.topic?.text == "v1/c/@bob/msg" }.count == 2)
        for publish in got { await back.say(.puback(MQTTAck(publish.packetID))) }
        _ = try await bob.ask("send", #"{"conv":"@ann","cid":"3","text":"three"}"#)
        await world.settle()
        #expect(back.takePublishes().count == 2)
        world.box.store.close()
    }

    @Test("a chat message and the rows it makes in queues are on the disk together or not at all")
    func atomic() async throws {
        let store = MemoryStore()
        var world = try await self.world(store)
        try await world.box.addUsers("ann", "bob")
        let ann = try await world.client("a", clean: false, expiry: 6_000, user: "ann")
        try await ann.subscribe("v1/me/in", qos: .atLeastOnce)
        await ann.vanish()
        let bob = world.box.connect("bob")
        _ = try await bob.ask("send", #"{"conv":"@ann","cid":"0","text":"zero"}"#)
        // A send takes a number of writes; let each of them fail once: the count of rows always follows the count of messages. The first row is
        // about the conversation.
        var stored = 1
        for write in 1...30 {
            store.fail(.write(write, StoreError(.full, "full")))
            if await bob.refusal("send", #"{"conv":"@ann","cid":"\#(write)","text":"x"}"#) == nil { stored += 1 }
            store.fail(nil)
            let (messages, last) = try await store.read { (try $0.messageCount(), try $0.queueEntries(of: 1, after: 0, limit: 100, bytes: .max).count) }
            #expect(messages == stored && last == stored + 1, "failing write \(write)")
        }
        #expect((2...27).contains(stored), "a send takes at least four writes")
        world.box.store.close()
        world = try await self.world(MemoryStore(reopening: store), seed: 2)
        let back = try await world.client("a", clean: false, expiry: 6_000, user: "ann", isPresent: true)
        #expect(back.takePublishes().count == min(stored + 1, 64))
    }

    @Test("membership decides at subscribe and at delivery: outsiders are refused, who left gets nothing more")
    func membership() async throws {
        let world = try await self.world()
        try await world.box.addUsers("ann", "bob", "eve")
        let browser = world.box.connect("ann")
        let group = try await browser.ask("create", #"{"type":"group","title":"g","members":["@bob"],"cid":"g"}"#)
        let id = try #require(group["conversation"]?["id"]?.text)
        let (bob, eve) = (try await world.client("b", user: "bob", loop: 1), try await world.client("e", user: "eve"))
        #expect(try await bob.subscribe("v1/c/\(id)/msg", "v1/c/+/msg", qos: .atLeastOnce) == [.grantedQoS1, .grantedQoS1])
        #expect(try await eve.subscribe("v1/c/\(id)/msg", "v1/c/@nobody/msg", "v1/c/+/msg") == [.notAuthorized, .notAuthorized, .grantedQoS0])
        _ = try await browser.ask("send", #"{"conv":"\#(id)","cid":"1","text":"x"}"#)
        await world.settle()
        #expect(bob.takePublishes().map { $0.topic?.text } == ["v1/c/\(id)/msg", "v1/c/\(id)/msg"])
        #expect(eve.take().isEmpty)
        _ = try await browser.ask("remove", #"{"conv":"\#(id)","user":"@bob"}"#)
        _ = try await browser.ask("send", #"{"conv":"\#(id)","cid":"2","text":"y"}"#)
        await world.settle()
        #expect(bob.take().isEmpty)
        #expect(try await bob.publish("v1/c/\(id)/text", "z").reason == MQTTReason(ErrorCode.notFound.mqttReason))
    }

    @Test("a durable subscription to a conversation outlives a time outside of it, and a restart in that time")
    func rejoined() async throws {
        let place = BoxPlace(kind: .memory)
        var world = try await self.world(try place.open())
        try await world.box.addUsers("ann", "bob")
        var ann = world.box.connect("ann")
        let group = try await ann.ask("create", #"{"type":"group","title":"g","members":["@bob"],"cid":"g"}"#)["conversation"]?["id"]?.text ?? ""
        let bob = try await world.client("b", clean: false, expiry: 600, user: "bob")
        try await bob.subscribe("v1/c/\(group)/msg", qos: .atLeastOnce)
        await bob.leave()
        _ = try await ann.ask("remove", #"{"conv":"\#(group)","user":"@bob"}"#)
        world.box.store.close()
        world = try await self.world(try place.open(), seed: 2)
        ann = world.box.connect("ann")
        _ = try await ann.ask("send", #"{"conv":"\#(group)","cid":"1","text":"without him"}"#)
        _ = try await ann.ask("invite", #"{"conv":"\#(group)","users":["@bob"]}"#)
        _ = try await ann.ask("send", #"{"conv":"\#(group)","cid":"2","text":"with him"}"#)
        let back = try await world.client("b", clean: false, expiry: 600, user: "bob", isPresent: true)
        #expect(try back.takePublishes().map { try self.json($0)["d"]?["text"]?.text } == ["with him"])
    }

    @Test("receipts, typing and presence: published and heard on their topics")
    func smallThings() async throws {
        let world = try await self.world()
        try await world.box.addUsers("ann", "bob")
        let ann = try await world.client("a", user: "ann")
        try await ann.publish("v1/c/@bob/text", "x")
        try await ann.subscribe("v1/c/@bob/read", "v1/c/+/typing")
        #expect(try await ann.subscribe("v1/u/@bob/presence") == [.grantedQoS0])
        let first = try #require(ann.takePublishes().first)
        #expect(first.topic?.text == "v1/u/@bob/presence" && first.isRetained)
        #expect(try self.json(first)["online"] == .bool(false))
        let bob = try await world.client("b", user: "bob", loop: 1)
        #expect(try self.json(ann.takePublishes().first)["online"] == .bool(true))
        try await bob.subscribe("v1/me/ack")
        try await bob.publish("v1/me/sync", "{}")
        let synced = try self.json(bob.takePublishes().first)
        #expect(synced["d"]?["status"]?.text == "reset")
        let direct = ConversationID.direct(TestBox.userID("ann"), TestBox.userID("bob"))
        let found = try await world.box.store.read { store in try store.newestOrder(direct)?.description }
        let newest = try #require(found)
        try await bob.publish("v1/c/@ann/read", #"{"read":"\#(newest)"}"#, id: 2)
        try await bob.publish("v1/c/@ann/typing", "", id: 3)
        let heard = ann.takePublishes()
        #expect(heard.map { $0.topic?.text.split(separator: "/").last } == ["read", "typing"])
        await bob.leave()
        #expect(try self.json(ann.takePublishes().last)["online"] == .bool(false))
    }
}
