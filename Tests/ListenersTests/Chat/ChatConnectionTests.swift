import Account
import ChatCodec
import NIOCore
import NIOEmbedded
import SkerryModel
import SkerryNode
import TestKit
import Testing

@testable import Listeners

@Suite struct ChatConnectionTests {
    // MARK: - Hello

    @Test("hello is answered with who one is, what is allowed and where the live stream stands")
    func hello() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let client = try await world.connect()
        try await client.say(#"{"t":"hello","id":1,"d":{"token":"\#(alice.token)","device":"phone"}}"#)
        let reply = try #require(await client.heardTexts().first)
        for part in [
            #"{"id":1,"d":{"#, #""user":"\#(alice.user)""#, #""name":"alice""#, #""role":"user""#, #""box":"\#(Sample.box)""#, #""heartbeat":25"#,
            #""maxFrame":65536"#,
            #""sync":"reset""#, #""live":""#, #""features":["#, #""limits":{"#, #""device":""#, #""time":""#,
        ] { #expect(reply.contains(part), "\(part) in \(reply)") }
        #expect(world.node.online.sessions.map(\.client) == ["phone"])
        #expect(world.node.online.isOnline(alice.user))
    }

    @Test("a cursor this box gave is good to go on from, another one is not", arguments: [(true, "ok"), (false, "reset")])
    func cursor(_ isOurs: Bool, _ answer: String) async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let first = try await world.connect()
        try await first.say(#"{"t":"hello","id":1,"d":{"token":"\#(alice.token)"}}"#)
        let greeting = try #require(await first.heardTexts().first)
        let live = try #require(greeting.split(separator: "\"live\":\"").last?.split(separator: "\"").first)
        let second = try await world.connect()
        try await second.say(#"{"t":"hello","id":2,"d":{"token":"\#(alice.token)","cursor":"\#(isOurs ? String(live) : "x")"}}"#)
        #expect(await second.heardTexts().contains { $0.contains("\"sync\":\"\(answer)\"") })
    }

    @Test(
        "what is not a hello with a good token ends the connection with the reason",
        arguments: [
            (#"{"t":"ping","id":4}"#, 4401, "unauthenticated"), (#"{"t":"hello","id":4,"d":{}}"#, 4401, "unauthenticated"),
            (#"{"t":"hello","id":4}"#, 4401, "unauthenticated"),
            (#"{"t":"hello","id":4,"d":{"token":"wrong"}}"#, 4401, "unauthenticated"),
        ])
    func badHello(_ text: String, _ code: Int, _ error: String) async throws {
        let world = ChatWorld()
        let client = try await world.connect()
        try await client.say(text)
        let frames = await client.heard()
        #expect(frames.first?.text.contains(#""id":4,"error":{"#) == true && frames.first?.text.contains(error) == true)
        #expect(frames.last?.closeCode == code)
        #expect(world.node.online.userCount == 0)
    }

    @Test("a locked account hears 4403")
    func locked() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        try await world.accounts.lock(.id(alice.user), by: .console)
        let client = try await world.connect()
        try await client.say(#"{"t":"hello","id":1,"d":{"token":"\#(alice.token)"}}"#)
        #expect(await client.closeCode() == 4403)
    }

    @Test("who does not say hello in time hears 4408, who did is left alone")
    func helloDeadline() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let (silent, live) = (try await world.connect(), try await world.connect(as: alice.token))
        await silent.pass(4)
        #expect(await silent.heard().isEmpty)
        await silent.pass(2)
        #expect(await silent.closeCode() == 4408)
        #expect(await live.heard().isEmpty)
    }

    @Test("requests sent right behind hello are answered after it")
    func pipelined() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let client = try await world.connect()
        world.store.hold()
        try await client.say(#"{"t":"hello","id":1,"d":{"token":"\#(alice.token)"}}"#, #"{"t":"ping","id":2}"#, #"{"t":"blocks","id":3}"#)
        #expect(await client.heard().isEmpty)
        world.store.release()
        await world.loop.run()
        world.store.release()
        let texts = await client.heardTexts()
        #expect(texts.map { String($0.prefix(7)) } == ["{\"id\":1", "{\"id\":2", "{\"id\":3"])
    }

    @Test("a session more than allowed is refused with 4429")
    func tooMany() async throws {
        var limits = Limits()
        limits.sessionsPerUserMax = 2
        let world = ChatWorld(limits: limits)
        let alice = try await world.person("alice")
        let first = try await world.connect(as: alice.token)
        _ = try await world.connect(as: alice.token)
        let third = try await world.connect()
        try await third.say(#"{"t":"hello","id":1,"d":{"token":"\#(alice.token)"}}"#)
        let frames = await third.heard()
        #expect(frames.first?.text.contains("quota_exceeded") == true && frames.last?.closeCode == 4429)
        try await first.leave()
        _ = try await world.connect(as: alice.token)
    }

    // MARK: - Frames

    @Test("ten frames in a row that are no requests end the connection, a good one between starts the count anew")
    func badFrames() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let client = try await world.connect(as: alice.token)
        let bad: [ClientFrame] = [
            .text("x"), .text("[]"), .text("{"), .binary([1]), .text(""), .text("\"t\""), .text("{}"), .text("{\"t\":1}"),
            .text(String(repeating: "[", count: 50)),
        ]
        for frame in bad { try await client.send(frame) }
        let answers = await client.heardTexts()
        #expect(answers.count == 9)
        #expect(answers.allSatisfy { $0.hasPrefix(#"{"error":{"#) && $0.contains(#""code":"bad_request""#) })
        try await client.say(#"{"t":"ping","id":1}"#)
        for frame in bad { try await client.send(frame) }
        #expect(await client.closeCode() == nil)
        try await client.send(.text("x"))
        #expect(await client.closeCode() == 4400)
    }

    @Test(
        "a request that is wrong inside is answered under its id and does not count as a bad frame",
        arguments: [
            #"{"t":"send","id":9,"d":{"conv":5}}"#, #"{"t":"nonsense","id":9}"#, #"{"t":"send","id":9,"d":{}}"#, #"{"t":"hello","id":9,"d":{"token":"x"}}"#,
            #"{"t":"sync","id":9,"d":{"limit":501}}"#,
        ])
    func badRequest(_ text: String) async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let client = try await world.connect(as: alice.token)
        for _ in 0..<12 { try await client.say(text) }
        let frames = await client.heard()
        #expect(frames.count == 12)
        #expect(frames.allSatisfy { $0.text.hasPrefix(#"{"id":9,"error":{"#) })
    }

    @Test("a frame over the limit ends the connection with 1009")
    func frameLimit() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let client = try await world.connect(as: alice.token)
        try await client.send(.text(String(repeating: " ", count: 65_537)))
        #expect(await client.closeCode() == 1009)
    }

    @Test("a stranger's message has a bound of its own; hello lifts it")
    func strangers() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let stranger = try await world.connect()
        try await stranger.send(.text(String(repeating: " ", count: world.node.limits.strangerBytesMax + 1)))
        #expect(await stranger.closeCode() == 1009)
        let client = try await world.connect()
        let long = String(repeating: " ", count: 2 * world.node.limits.strangerBytesMax)
        try await client.send(.text(#"{"t":"hello","id":1,"d":{"token":"\#(alice.token)"}}"#))
        try await client.send(.text(#"{"t":"ping","id":2}"# + long))
        #expect(await client.heard().contains { $0.text.contains("\"id\":2,\"d\"") })
    }

    // MARK: - Pushes

    @Test("a message reaches the other one, one's other device and oneself")
    func pushed() async throws {
        let world = ChatWorld()
        let (alice, bob) = (try await world.person("alice"), try await world.person("bob"))
        let (phone, laptop, other) = (
            try await world.connect(as: alice.token), try await world.connect(as: alice.token), try await world.connect(as: bob.token)
        )
        try await phone.say(#"{"t":"send","id":2,"d":{"conv":"@bob","cid":"c1","kind":"text","text":"hi"}}"#)
        for client in [phone, laptop, other] {
            #expect(await client.heardTexts().contains { $0.hasPrefix(#"{"t":"msg","d":{"#) && $0.contains(#""text":"hi""#) && $0.contains(#""cursor":""#) })
        }
    }

    @Test("coming and going is told to those one talks with, once for all devices")
    func presence() async throws {
        let world = ChatWorld()
        let (alice, bob) = (try await world.person("alice"), try await world.person("bob"))
        let client = try await world.connect(as: alice.token)
        try await client.say(#"{"t":"send","id":2,"d":{"conv":"@bob","cid":"c1","kind":"text","text":"hi"}}"#)
        _ = await client.heard()
        func presences() async -> [Bool] { await client.heardTexts().filter { $0.hasPrefix(#"{"t":"presence""#) }.map { $0.contains(#""online":true"#) } }
        let first = try await world.connect(as: bob.token)
        let second = try await world.connect(as: bob.token)
        #expect(await presences() == [true])
        try await first.leave()
        #expect(await presences() == [])
        try await second.leave()
        #expect(await presences() == [false])
        #expect(world.node.online.sessions.count == 1)
    }

    @Test("whatever is sent while a session comes in is pushed to it or behind its live cursor, at every moment")
    func nothingFallsBetween() async throws {
        var pushes: Set<Bool> = []
        for moment in 0..<12 {
            let world = ChatWorld()
            let (alice, bob) = (try await world.person("alice"), try await world.person("bob"))
            let sender = try await world.connect(as: alice.token)
            try await sender.say(#"{"t":"send","id":1,"d":{"conv":"@bob","cid":"first","kind":"text","text":"first"}}"#)
            let client = try await world.connect()
            world.store.hold()
            try await client.say(#"{"t":"hello","id":1,"d":{"token":"\#(bob.token)"}}"#)
            for _ in 0..<moment {
                _ = world.store.step()
                await world.loop.run()
            }
            try await sender.say(#"{"t":"send","id":2,"d":{"conv":"@bob","cid":"second","kind":"text","text":"second"}}"#)
            while world.store.step() { await world.loop.run() }
            world.store.release()
            let texts = await client.heardTexts()
            let greeting = try #require(texts.first { $0.contains("\"live\":\"") }, "moment \(moment)")
            let live = try #require(greeting.split(separator: "\"live\":\"").last?.split(separator: "\"").first)
            let isPushed = texts.contains { $0.hasPrefix(#"{"t":"msg""#) && $0.contains("\"second\"") }
            try await client.say(#"{"t":"sync","id":2,"d":{"since":"\#(live)"}}"#)
            let isBehind = await client.heardTexts().contains { $0.contains("\"second\"") }
            // Neither pushed nor covered by the cursor it was told: nobody would ever tell it.
            #expect(isPushed || !isBehind, "moment \(moment)")
            pushes.insert(isPushed)
        }
        #expect(pushes.contains(true), "the moments reach into the session")
    }

    // MARK: - Limits

    @Test("requests being worked on are bounded, and nothing more is read until they are answered")
    func inFlight() async throws {
        var limits = Limits()
        limits.requestsInFlightMax = 4
        let world = ChatWorld(limits: limits)
        let alice = try await world.person("alice")
        let client = try await world.connect(as: alice.token)
        world.store.hold()
        for number in 0..<4 { try await client.say(#"{"t":"block","id":\#(number),"d":{"user":"@nobody","on":true}}"#) }
        #expect(try await client.wantsToRead())
        try await client.say(#"{"t":"block","id":4,"d":{"user":"@nobody","on":true}}"#, #"{"t":"ping","id":5}"#)
        #expect(try await !client.wantsToRead())
        #expect(await client.heard().isEmpty)
        world.store.release()
        let answers = await client.heardTexts()
        #expect(answers.count == 6)
        #expect(try await client.wantsToRead())
    }

    @Test("pages are read a few at a time, in order, and the rest waits")
    func pages() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let client = try await world.connect(as: alice.token)
        world.store.hold()
        for number in 0..<10 { try await client.say(#"{"t":"conversations","id":\#(number),"d":{}}"#) }
        #expect(world.store.waiting == world.node.limits.pagesInFlightMax)
        #expect(try await !client.wantsToRead())
        var answers: [String] = []
        while world.store.step() { answers += await client.heardTexts() }
        #expect(answers.map { String($0.prefix(7)) } == (0..<10).map { "{\"id\":\($0)" })
    }

    @Test("a slow client first misses what is ephemeral, then is let go with 4508")
    func slow() async throws {
        var limits = Limits()
        limits.outboxEphemeralBytesMax = 2_000
        limits.outboxBytesMax = 20_000
        let world = ChatWorld(limits: limits)
        let (alice, bob) = (try await world.person("alice"), try await world.person("bob"))
        let client = try await world.connect(as: alice.token)
        try await client.setStuck(true)
        func push(_ count: Int, isEphemeral: Bool) async {
            let frame = ByteBuffer(repeating: UInt8(ascii: " "), count: 1_000)
            for _ in 0..<count {
                world.node.publish([.push(ChatPush(audience: [alice.user, bob.user], conversation: nil, frame: frame, isEphemeral: isEphemeral))])
            }
            await world.loop.run()
        }
        await push(5, isEphemeral: true)
        #expect(world.node.metrics.value(.ephemeralDropped) == 4)
        await push(18, isEphemeral: false)
        #expect(world.node.metrics.value(.slowConsumers) == 0)
        await push(5, isEphemeral: false)
        #expect(world.node.metrics.value(.slowConsumers) == 1)
        try await client.setStuck(false)
        let frames = await client.heard()
        #expect(frames.last?.closeCode == 4508)
        #expect(frames.count < 20, "what waited was dropped")
    }

    @Test("a client that asked for more than the outbox holds is not slow because of the answers")
    func largeAnswers() async throws {
        var limits = Limits()
        limits.outboxBytesMax = 2_000
        let world = ChatWorld(limits: limits)
        let alice = try await world.person("alice")
        let client = try await world.connect(as: alice.token)
        try await client.setStuck(true)
        for number in 0..<200 { try await client.say(#"{"t":"nonsense","id":\#(number)}"#) }
        world.node.publish([.push(ChatPush(audience: [alice.user], conversation: nil, frame: ByteBuffer(string: "pushed"), isEphemeral: false))])
        await world.loop.run()
        try await client.setStuck(false)
        let frames = await client.heard()
        #expect(frames.count == 201 && frames.last?.text == "pushed")
    }

    @Test("a slow client that never reads again is cut off")
    func slowForever() async throws {
        var limits = Limits()
        limits.outboxBytesMax = 1_000
        let world = ChatWorld(limits: limits)
        let alice = try await world.person("alice")
        let client = try await world.connect(as: alice.token)
        try await client.setStuck(true)
        for _ in 0..<3 {
            world.node.publish([
                .push(ChatPush(audience: [alice.user], conversation: nil, frame: ByteBuffer(repeating: 0x20, count: 2_000), isEphemeral: false))
            ])
            await world.loop.run()
        }
        await client.pass(6)
        #expect(!client.channel.isActive)
        #expect(world.node.online.userCount == 0)
    }

    @Test("silence is first asked about, then cut; anything heard counts")
    func idle() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let client = try await world.connect(as: alice.token)
        await client.pass(37)
        #expect(await client.heard().isEmpty)
        await client.pass(2)
        #expect(await client.heardTexts() == [#"{"t":"ping","d":{}}"#])
        try await client.send(.pong([]))
        await client.pass(37)
        await client.pass(20)
        #expect(await client.closeCode() == nil)
        await client.pass(7)
        #expect(await client.closeCode() == 4510)
    }

    // MARK: - Ends

    @Test("revoking a device ends its session and no other, locking ends them all")
    func revoked() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let second = try await world.accounts.issueToken(for: .id(alice.user), device: "second", by: .console)
        let (first, other) = (try await world.connect(as: alice.token), try await world.connect(as: second.token.text))
        let caller = try await world.accounts.authenticate(token: second.token.text, address: .init(packed: []))
        try await world.accounts.logout(caller)
        #expect(await other.closeCode() == 4401)
        #expect(await first.heard().isEmpty)
        try await world.accounts.lock(.id(alice.user), by: .console)
        #expect(await first.closeCode() == 4403)
    }

    @Test("the box's end is 4500")
    func shutdown() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let client = try await world.connect(as: alice.token)
        try await world.loop.executeInContext { client.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        #expect(await client.closeCode() == 4500)
    }

    @Test("a connection that goes leaves nothing behind, wherever it stood")
    func leaves() async throws {
        for moment in 0..<6 {
            let world = ChatWorld()
            let alice = try await world.person("alice")
            let client = try await world.connect()
            world.store.hold()
            try await client.say(#"{"t":"hello","id":1,"d":{"token":"\#(alice.token)"}}"#, #"{"t":"sync","id":2,"d":{}}"#)
            for _ in 0..<moment {
                _ = world.store.step()
                await world.loop.run()
            }
            try await client.leave()
            while world.store.step() { await world.loop.run() }
            world.store.release()
            #expect(world.node.online.userCount == 0, "moment \(moment)")
            #expect(await world.node.shards[0].chat.count == 0, "moment \(moment)")
        }
    }
}
