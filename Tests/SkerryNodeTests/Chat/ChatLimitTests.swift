import ChatCodec
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

@Suite("The limits of the chat, each reached")
struct ChatLimitTests {
    private func box(_ change: (inout Limits) -> Void, store: any Store = MemoryStore()) -> TestBox {
        var limits = Limits()
        change(&limits)
        return TestBox(store: store, limits: limits)
    }

    @Test("Writing faster than allowed is refused with the time to wait, and counted; other users are not touched")
    func rate() async throws {
        let box = self.box { ($0.sendBurst, $0.sendPerSecond) = (3, 2) }
        try await box.addUsers("ann", "bob")
        let (ann, bob) = (box.connect("ann"), box.connect("bob"))
        for number in 0..<3 { _ = try await ann.ask("send", #"{"conv":"@bob","cid":"\#(number)","text":"x"}"#) }
        do throws(SkerryError) {
            _ = try await ann.ask("send", #"{"conv":"@bob","cid":"3","text":"x"}"#)
            Issue.record("it was not refused")
        } catch {
            #expect(error.code == .rateLimited)
            #expect(error.retryAfterSeconds == 1)
        }
        #expect(box.node.metrics.value(.sendsLimited) == 1)
        #expect(await bob.refusal("send", #"{"conv":"@ann","cid":"1","text":"x"}"#) == nil)
        box.clock.advance(500)
        #expect(await ann.refusal("send", #"{"conv":"@bob","cid":"3","text":"x"}"#) == nil)
        #expect(await ann.refusal("send", #"{"conv":"@bob","cid":"4","text":"x"}"#) == .rateLimited)
    }

    @Test("Who left a group sees nothing more of it by repeating the request that made it")
    func repeatedAfterLeaving() async throws {
        let box = self.box { _ in }
        try await box.addUsers("ann", "bob")
        let (ann, bob) = (box.connect("ann"), box.connect("bob"))
        let create = #"{"type":"group","title":"g","cid":"1","members":["@bob"]}"#
        let group = try await ann.ask("create", create)["conversation"]?["id"]?.text ?? ""
        #expect(try await ann.ask("create", create)["dup"]?.isTrue == true)
        _ = try await ann.ask("leave", #"{"conv":"\#(group)"}"#)
        _ = try await bob.ask("send", #"{"conv":"\#(group)","cid":"1","text":"among us"}"#)
        #expect(await ann.refusal("create", create) == .notFound)
    }

    @Test("The rate limiter remembers so many users, and forgets those who are idle first")
    func rateKeys() async throws {
        let box = self.box { ($0.sendBurst, $0.sendPerSecond, $0.chatLimiterKeysMax) = (1, 1, 2) }
        try await box.addUsers("ann", "bob", "carl")
        let clients = ["ann", "bob", "carl"].map { box.connect($0) }
        func ask(_ index: Int) async -> ErrorCode? { await clients[index].refusal("block", #"{"user":"@\#(["bob", "ann", "ann"][index])","on":false}"#) }
        #expect(await ask(0) == nil)
        box.clock.advance(500)
        #expect(await ask(1) == nil)
        box.clock.advance(500)
        // Ann's bucket is full again and is forgotten for Carl; Bob's is not.
        #expect(await ask(2) == nil)
        #expect(await ask(1) == .rateLimited)
        #expect(await ask(2) == .rateLimited)
    }

    @Test("A group takes so many members, a person so many conversations, a message so many reactions")
    func quotas() async throws {
        let box = self.box { ($0.groupMembersMax, $0.conversationsPerUserMax, $0.reactionsPerMessageMax, $0.blocksPerUserMax) = (3, 2, 2, 1) }
        try await box.addUsers("ann", "bob", "carl", "dora")
        let (ann, bob) = (box.connect("ann"), box.connect("bob"))
        let group = try await ann.ask("create", #"{"type":"group","title":"g","cid":"1","members":["@bob"]}"#)["conversation"]?["id"]?.text ?? ""
        #expect(await ann.refusal("invite", #"{"conv":"\#(group)","users":["@carl","@dora"]}"#) == .quotaExceeded)
        #expect(await ann.refusal("invite", #"{"conv":"\#(group)","users":["@carl"]}"#) == nil)
        #expect(await ann.refusal("create", #"{"type":"group","title":"h","cid":"2"}"#) == nil)
        #expect(await ann.refusal("create", #"{"type":"group","title":"i","cid":"3"}"#) == .quotaExceeded)
        #expect(await ann.refusal("send", #"{"conv":"@dora","cid":"4","text":"x"}"#) == .quotaExceeded)
        #expect(await box.connect("dora").refusal("send", #"{"conv":"@ann","cid":"4","text":"x"}"#) == .quotaExceeded)
        let mid = try await ann.ask("send", #"{"conv":"\#(group)","cid":"5","text":"x"}"#)["mid"]?.text ?? ""
        for emoji in ["1", "2"] { #expect(await bob.refusal("react", #"{"mid":"\#(mid)","emoji":"\#(emoji)"}"#) == nil) }
        #expect(await bob.refusal("react", #"{"mid":"\#(mid)","emoji":"3"}"#) == .quotaExceeded)
        #expect(await bob.refusal("react", #"{"mid":"\#(mid)","emoji":"2","on":false}"#) == nil)
        #expect(await ann.refusal("block", #"{"user":"@bob"}"#) == nil)
        #expect(await ann.refusal("block", #"{"user":"@carl"}"#) == .quotaExceeded)
    }

    @Test("A group that is made too large is refused whole")
    func largeGroup() async throws {
        let box = self.box { $0.groupMembersMax = 3 }
        try await box.addUsers("ann", "bob", "carl", "dora")
        let ann = box.connect("ann")
        #expect(await ann.refusal("create", #"{"type":"group","title":"g","cid":"1","members":["@bob","@carl","@dora"]}"#) == .quotaExceeded)
        #expect(try await ann.ask("conversations")["items"]?.elements.isEmpty == true)
    }

    @Test("Too many reads waiting are refused with busy")
    func reads() async throws {
        var limits = Limits()
        limits.readQueueMax = 2
        let store = MemoryStore(.manual, limits: limits)
        let box = TestBox(store: store, limits: limits)
        let ann = box.connect("ann")
        let codes = Mutex<[ErrorCode?]>([])
        for _ in 0..<3 {
            box.chat.perform(.blocks, as: ann.caller, loop: nil) { result in
                codes.withLock { codes in
                    if case .failure(let error) = result { codes.append(error.code) } else { codes.append(nil) }
                }
            }
        }
        #expect(codes.withLock { $0 } == [.busy])
        while store.step() {}
        #expect(codes.withLock { $0 } == [.busy, nil, nil])
    }

    @Test("Too much waiting to be written is refused with busy")
    func writes() async throws {
        var limits = Limits()
        limits.commitQueueMax = 1
        let store = MemoryStore(.manual)
        let box = TestBox(store: store, limits: limits)
        let ann = box.connect("ann")
        let codes = Mutex<[ErrorCode?]>([])
        for number in 0..<2 {
            box.chat.perform(try ann.request("block", #"{"user":"@nobody\#(number)"}"#), as: ann.caller, loop: nil) { result in
                if case .failure(let error) = result { codes.withLock { $0.append(error.code) } }
            }
        }
        #expect(codes.withLock { $0 } == [.busy])
        while store.step() {}
        #expect(codes.withLock { $0 } == [.busy, .notFound])
    }

    @Test("A person has so many sessions at once; presence counts people, not sessions")
    func sessions() {
        var limits = Limits()
        limits.sessionsPerUserMax = 2
        let registry = OnlineRegistry()
        func session(_ user: Int, _ kind: OnlineSession.Kind) -> OnlineSession {
            OnlineSession(
                id: registry.nextSession(), user: Sample.user(user), name: "u", device: Sample.device(1), kind: kind, address: "::1", client: nil,
                sinceMilliseconds: 1)
        }
        let (first, second) = (session(1, .ws), session(1, .mqtt))
        #expect(registry.enter(first, limits: limits) == true)
        #expect(registry.enter(second, limits: limits) == false)
        #expect(registry.enter(session(1, .ws), limits: limits) == nil)
        #expect(registry.enter(session(2, .ws), limits: limits) == true)
        #expect(registry.userCount == 2)
        #expect(registry.count(.ws) == 2)
        #expect(registry.count(.mqtt) == 1)
        #expect(registry.sessions.map(\.user) == [Sample.user(1), Sample.user(1), Sample.user(2)])
        #expect(registry.leave(first.id, user: Sample.user(1), now: 5) == false)
        #expect(registry.isOnline(Sample.user(1)))
        #expect(registry.leave(second.id, user: Sample.user(1), now: 6) == true)
        #expect(registry.leave(second.id, user: Sample.user(1), now: 7) == false)
        #expect(!registry.isOnline(Sample.user(1)))
        #expect(registry.lastSeen(Sample.user(1)) == 6)
        #expect(registry.count(.mqtt) == 0)
    }

    @Test("A text of the largest size that can be set fits into an entry, with every other field at its largest")
    func largestText() async throws {
        let box = self.box { $0.textBytesMax = 15_360 }
        try await box.addUsers("ann", "bob")
        let ann = box.connect("ann")
        let first = try await ann.ask("send", #"{"conv":"@bob","cid":"1","text":"x"}"#)["mid"]?.text ?? ""
        let text = String(repeating: "x", count: 15_360)
        let (cid, type) = (String(repeating: "c", count: 64), String(repeating: "t", count: 64))
        #expect(await ann.refusal("send", #"{"conv":"@bob","cid":"\#(cid)","kind":"custom","type":"\#(type)","data":"\#(text)","replyTo":"\#(first)"}"#) == nil)
        #expect(await ann.refusal("edit", #"{"mid":"\#(first)","text":"\#(text)"}"#) == nil)
    }
}
