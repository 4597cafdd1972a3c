import NIOCore
import SkerryModel
import Synchronization
import TestKit
import Testing

@testable import SkerryNode

/// What people do at other boxes, as those who are here see it.
@Suite("Chat: presence and typing of other boxes")
struct ElsewhereTests {
    private static let other = Sample.box(2)

    private final class Relay: FleetingRelay {
        let told = Mutex<[(UserID, ConversationID, [BoxID])]>([])
        func typing(_ user: UserID, in conversation: ConversationID, at boxes: [BoxID]) { self.told.withLock { $0.append((user, conversation, boxes)) } }
    }

    private func conversation(_ box: TestBox, _ one: TestClient, with name: String) async throws -> ConversationID {
        let answer = try await one.ask("create", #"{"type":"direct","user":"@\#(name)"}"#)
        return try #require(answer["conversation"]?["id"]?.text.flatMap { ConversationID(text: $0) })
    }

    /// What a client was sent once there is something of that kind.
    private func wait(_ client: TestClient, for t: String) async throws -> JSON {
        while true {
            for frame in await client.received() where frame["t"]?.text == t { return frame }
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    @Test("contacts who are here hear when somebody comes and goes at another box; nobody else does", .timeLimit(.minutes(1)))
    func presence() async throws {
        let box = TestBox()
        try await box.addUsers("ann", "bob", "eve")
        let (ann, eve) = (box.connect("ann"), box.connect("eve"))
        _ = try await self.conversation(box, ann, with: "bob")
        _ = await ann.received()
        _ = await eve.received()
        let bob = TestBox.userID("bob")
        box.chat.announce(changed: box.node.online.arrived([bob], at: Self.other, limits: Limits()).changed)
        let came = try await self.wait(ann, for: "presence")
        #expect(came["d"]?["user"]?.text == bob.description)
        #expect(came["d"]?["online"]?.isTrue == true)
        #expect(try await ann.ask("presence", #"{"users":["@bob"]}"#)["items"]?.elements.first?["online"]?.isTrue == true)
        box.chat.announce(changed: box.node.online.forget(Self.other, now: 1))
        let left = try await self.wait(ann, for: "presence")
        #expect(left["d"]?["online"]?.isTrue == false)
        #expect(await eve.receivedKinds().isEmpty)
    }

    @Test("three hundred who come at once are all told of, each once", .timeLimit(.minutes(1)))
    func many() async throws {
        let box = TestBox()
        let names = (0..<300).map { "u\($0)" }
        try await box.addUsers(["ann"] + names)
        let ann = box.connect("ann")
        let members = names.prefix(40).map { "\"@\($0)\"" }.joined(separator: ",")
        _ = try await ann.ask("create", #"{"type":"group","title":"g","members":[\#(members)],"cid":"c1"}"#)
        _ = await ann.received()
        let users = names.map { TestBox.userID($0) }
        box.chat.announce(changed: box.node.online.arrived(users, at: Self.other, limits: Limits()).changed)
        var told: [String] = []
        while told.count < 40 {
            told += await ann.received().filter { $0["t"]?.text == "presence" }.compactMap { $0["d"]?["user"]?.text }
            await Task.yield()
        }
        #expect(Set(told) == Set(users.prefix(40).map(\.description)))
        #expect(told.count == 40)
    }

    @Test("beyond the bound nobody is told, and it is counted")
    func bound() {
        var limits = Limits()
        limits.announcementsMax = 2
        let box = TestBox(limits: limits)
        box.chat.announce(changed: (1...5).map { Sample.user($0) })
        #expect(box.node.metrics.value(.presenceDropped) == 3)
    }

    @Test("typing at another box is shown to members who are here, unless they blocked the person or that is no member", .timeLimit(.minutes(1)))
    func typing() async throws {
        let box = TestBox()
        try await box.addUsers("ann", "bob", "eve")
        let ann = box.connect("ann")
        let conversation = try await self.conversation(box, ann, with: "bob")
        _ = await ann.received()
        let (bob, eve) = (TestBox.userID("bob"), TestBox.userID("eve"))
        // Not a member: nothing comes of it.
        box.chat.heard(typing: eve, in: conversation)
        box.chat.heard(typing: bob, in: conversation)
        let frame = try await self.wait(ann, for: "typing")
        #expect(frame["d"]?["user"]?.text == bob.description)
        // Again at once: the gate holds it back; later it is shown again, after a block it is not.
        box.chat.heard(typing: bob, in: conversation)
        box.clock.advance(UInt64(Limits().typingSeconds) * 1_000)
        _ = try await ann.ask("block", #"{"user":"@bob","on":true}"#)
        box.chat.heard(typing: bob, in: conversation)
        box.clock.advance(UInt64(Limits().typingSeconds) * 1_000)
        _ = try await ann.ask("block", #"{"user":"@bob","on":false}"#)
        box.chat.heard(typing: bob, in: conversation)
        _ = try await self.wait(ann, for: "typing")
        #expect(await ann.receivedKinds().filter { $0 == "typing" }.isEmpty)
    }

    @Test("who types here is told to boxes where a member is, and to none where nobody is or where the only one blocked them", .timeLimit(.minutes(1)))
    func relay() async throws {
        let box = TestBox()
        try await box.addUsers("ann", "bob")
        let (ann, relay) = (box.connect("ann"), Relay())
        let conversation = try await self.conversation(box, ann, with: "bob")
        box.chat.attach(relay)
        _ = try await ann.ask("typing", #"{"conv":"\#(conversation)"}"#)
        #expect(relay.told.withLock { $0.isEmpty }, "nobody of the conversation is anywhere else")
        _ = box.node.online.arrived([TestBox.userID("bob")], at: Self.other, limits: Limits())
        box.clock.advance(10_000)
        _ = try await ann.ask("typing", #"{"conv":"\#(conversation)"}"#)
        let told = try #require(relay.told.withLock { $0.first })
        #expect(told.0 == ann.caller.user && told.1 == conversation && told.2 == [Self.other])
        let bob = box.connect("bob")
        _ = try await bob.ask("block", #"{"user":"@ann","on":true}"#)
        box.clock.advance(10_000)
        _ = try await ann.ask("typing", #"{"conv":"\#(conversation)"}"#)
        #expect(relay.told.withLock { $0.count } == 1)
    }

    @Test("pushes are made for who is here alone: somebody who is online elsewhere costs nothing")
    func audience() async throws {
        let box = TestBox()
        try await box.addUsers("ann", "bob")
        _ = box.node.online.arrived([TestBox.userID("bob")], at: Self.other, limits: Limits())
        let log = LogWriter(box: box.node.box, clock: box.node.clock, random: box.node.random, online: box.node.online)
        #expect(!log.isHeard(TestBox.userID("bob")))
        _ = box.connect("bob")
        #expect(log.isHeard(TestBox.userID("bob")))
    }
}
