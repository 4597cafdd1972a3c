import ChatCodec
import NIOCore
import Replication
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

@Suite("Sync and the live stream", .timeLimit(.minutes(2)))
struct SyncTests {
    private final class Acked: Sendable { let mids = Mutex<[String]>([]) }

    @Test("Nothing is skipped and nothing comes twice while many write", arguments: StoreKind.allCases)
    func concurrent(_ kind: StoreKind) async throws {
        let store = try BoxPlace(kind: kind).open()
        defer { store.close() }
        let box = TestBox(store: store)
        let writers = ["ann", "bob", "carl", "dora"]
        try await box.addUsers(writers + ["reader"])
        let group = try await box.connect("ann").ask("create", #"{"type":"group","title":"g","cid":"g","members":["@bob","@carl","@dora","@reader"]}"#)
        let conv = try #require(group["conversation"]?["id"]?.text)
        let reader = box.connect("reader", loop: 1)
        let start = try await reader.greeting().live
        _ = await reader.received()

        let acked = Acked()
        let synced = try await withThrowingTaskGroup(of: [String]?.self) { group in
            for name in writers {
                let client = box.connect(name)
                group.addTask {
                    for number in 0..<40 {
                        let answer = try await client.ask("send", #"{"conv":"\#(conv)","cid":"\#(name)-\#(number)","text":"x"}"#)
                        acked.mids.withLock { $0.append(answer["mid"]?.text ?? "") }
                    }
                    return nil
                }
            }
            group.addTask {
                // Pages while the others write, until all of theirs are there.
                var cursor = start
                var mids: [String] = []
                while mids.count < 160 {
                    let (status, items, next) = try await reader.sync(since: cursor, limit: 7)
                    #expect(status == "ok")
                    mids += items.compactMap { $0["d"]?["mid"]?.text }
                    cursor = next
                    await Task.yield()
                }
                return mids
            }
            var found: [String] = []
            for try await mids in group { found += mids ?? [] }
            return found
        }
        let sent = acked.mids.withLock { $0 }
        #expect(synced.count == 160)
        #expect(Set(synced) == Set(sent))
        let live = await reader.received().filter { $0["t"]?.text == "msg" }
        #expect(live.compactMap { $0["d"]?["mid"]?.text } == synced)
        let orders = live.compactMap { $0["d"]?["order"]?.text }
        #expect(orders == orders.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        // The last push says where the client stands: after everything.
        let end = try await reader.sync(since: live.last?["cursor"]?.text)
        #expect(end.status == "ok")
        #expect(end.items.isEmpty)
    }

    @Test("Every push's cursor continues exactly after that push", arguments: StoreKind.allCases)
    func cursors(_ kind: StoreKind) async throws {
        let store = try BoxPlace(kind: kind).open()
        defer { store.close() }
        let box = TestBox(store: store)
        try await box.addUsers("ann", "bob")
        let (ann, bob) = (box.connect("ann"), box.connect("bob", loop: 1))
        for number in 0..<6 { _ = try await ann.ask("send", #"{"conv":"@bob","cid":"\#(number)","text":"\#(number)"}"#) }
        let pushes = await bob.received()
        #expect(pushes.map(TestClient.kind) == ["change conversation"] + Array(repeating: "msg", count: 6))
        for (index, push) in pushes.enumerated() {
            let rest = try await bob.sync(since: push["cursor"]?.text, limit: 2)
            #expect(rest.status == "ok")
            #expect(rest.items.compactMap { $0["d"]?["text"]?.text } == pushes.dropFirst(index + 1).compactMap { $0["d"]?["text"]?.text })
        }
    }

    @Test("A cursor of another box, or ahead of the log, is a reset; text that is none is a mistake")
    func unknown() async throws {
        let box = TestBox()
        try await box.addUsers("ann", "bob")
        let ann = box.connect("ann")
        _ = try await ann.ask("send", #"{"conv":"@bob","cid":"1","text":"x"}"#)
        let live = try await ann.greeting().live
        var ahead = try #require(SyncCursor(token: live))
        for log in ahead.seen.keys { ahead.seen[log, default: 0] += 1 }
        let foreign = SyncCursor(seen: [Sample.log(epoch: 12_345, box: Sample.box(9)): 1])
        for token in [ahead.token, foreign.token] {
            #expect(try await ann.sync(since: token).status == "reset")
            #expect(try await ann.greeting(cursor: token).isKnown == false)
        }
        #expect(try await ann.sync(since: nil).status == "reset")
        #expect(try await ann.greeting(cursor: nil).isKnown == false)
        #expect(try await ann.greeting(cursor: live).isKnown)
        #expect(await ann.refusal("sync", #"{"since":"xyz"}"#) == .payloadInvalid)
        // The cursor of a reset goes on from here.
        let cursor = try await ann.sync(since: nil).cursor
        _ = try await ann.ask("send", #"{"conv":"@bob","cid":"2","text":"y"}"#)
        #expect(try await ann.sync(since: cursor).items.compactMap { $0["d"]?["text"]?.text } == ["y"])
    }

    @Test("A cursor from any earlier start goes on after hundreds of restarts, and stays short")
    func restarts() async throws {
        var store = MemoryStore()
        let clock = ManualClock()
        var box = TestBox(store: store, clock: clock)
        try await box.addUsers("ann", "bob")
        _ = try await box.connect("ann").ask("send", #"{"conv":"@bob","cid":"first","text":"first"}"#)
        var cursors: [(String, Int)] = [(try await box.connect("bob").greeting().live, 0)]
        for run in 1...150 {
            store = MemoryStore(reopening: store)
            box = TestBox(store: store, clock: clock, seed: UInt64(run + 1))
            _ = try await box.connect("ann").ask("send", #"{"conv":"@bob","cid":"\#(run)","text":"\#(run)"}"#)
            if run.isMultiple(of: 5) {
                _ = try await box.connect("ann").ask("create", #"{"type":"group","title":"\#(run)","cid":"g\#(run)","members":["@bob"]}"#)
            }
            if run.isMultiple(of: 29) { cursors.append((try await box.connect("bob").greeting().live, run)) }
        }
        let bob = box.connect("bob")
        for (cursor, run) in cursors {
            #expect(cursor.utf8.count < 400)
            for limit in [500, 3] {
                let (status, items, end) = try await bob.sync(since: cursor, limit: limit)
                // A client that has slept through more epochs than a cursor can name must reload; it may never be told half.
                if status == "reset" {
                    #expect(limit == 3 && run < 60, "a reset after sleeping from start \(run)")
                    continue
                }
                #expect(
                    items.compactMap { $0["d"]?["text"]?.text } == ((run + 1)...max(run + 1, 150)).prefix(150 - run).map { "\($0)" },
                    "from start \(run), \(limit) a page")
                #expect(end.utf8.count < 400)
            }
        }
    }

    @Test("A change that was decided while the user was still away is in the cursor it is greeted with")
    func greetingRace() async throws {
        let store = MemoryStore(.manual)
        let box = TestBox(store: store)
        let names = ["ann", "bob"]
        box.node.commits.submit(
            loop: nil,
            log: { log in
                for name in names { try log.append(.user(Sample.userEntry(TestBox.userID(name), name: name))) }
            }
        ) { _ in }
        store.step()
        let away = SyncCursor(token: try Self.live(box, store)).map(\.token)
        // Ann's group with Bob is decided, and pushed to nobody as Bob is away; Bob connects before it is committed.
        let ann = box.connect("ann")
        let group = try ann.request("create", #"{"type":"group","title":"g","cid":"g","members":["@bob"]}"#)
        box.chat.perform(group, as: ann.caller, loop: nil) { _ in }
        let bob = Mutex<TestClient?>(nil)
        let greeting = Mutex<ChatService.Greeting?>(nil)
        let loop = box.loops[1]
        box.node.commits.submit(
            loop: nil,
            { _ in
                // Inside the same group, after the decision: the moment of the race.
                let client = box.connect("bob", loop: 1)
                bob.withLock { $0 = client }
                box.chat.greeting(cursor: away, loop: loop) { result in greeting.withLock { $0 = try? result.get() } }
                // A reader would answer now, from before the commit.
                store.step(reads: true)
            }
        ) { _ in }
        while store.step() { box.runLoops() }
        box.runLoops()
        let client = try #require(bob.withLock { $0 })
        let pushed = client.outlet.take().map(TestClient.kind)
        let live = try #require(greeting.withLock { $0 }?.live)
        // Bob pages from where he stood: what was not pushed is in a page, up to where he was told the stream stands.
        let page = Mutex<JSON?>(nil)
        box.chat.perform(.sync(since: away, limit: 100), as: client.caller, loop: nil) { result in
            page.withLock { $0 = (try? result.get()).flatMap { JSON(bytes: $0.readableBytesView) } }
        }
        while store.step() {}
        let items = page.withLock { $0 }?["items"]?.elements.map(TestClient.kind) ?? []
        #expect(pushed == [])
        #expect(items == ["change conversation"])
        #expect(page.withLock { $0 }?["cursor"]?.text == live)
    }

    private static func live(_ box: TestBox, _ store: MemoryStore) throws -> String {
        let found = Mutex<String?>(nil)
        box.chat.greeting(cursor: nil, loop: box.loops[0]) { result in found.withLock { $0 = try? result.get().live } }
        while store.step() {}
        box.runLoops()
        let live = found.withLock { $0 }
        return try #require(live)
    }

    @Test("The greeting still comes when nothing can be written any more")
    func readOnly() async throws {
        let store = MemoryStore()
        let box = TestBox(store: store)
        try await box.addUsers("ann", "bob")
        let ann = box.connect("ann")
        store.fail(.commit(1, StoreError(.failed, "broken"), isApplied: false))
        #expect(await ann.refusal("send", #"{"conv":"@bob","cid":"1","text":"x"}"#) == .unavailable)
        let live = try await ann.greeting().live
        #expect(SyncCursor(token: live) != nil)
        #expect(try await ann.ask("users")["items"]?.elements.count == 2)
        #expect(await ann.refusal("send", #"{"conv":"@bob","cid":"2","text":"x"}"#) == .unavailable)
    }

    @Test("A commit that was reported as failed but reached the disk is found by the send that is repeated")
    func appliedFailure() async throws {
        let store = MemoryStore()
        var box = TestBox(store: store)
        try await box.addUsers("ann", "bob")
        store.fail(.commit(1, StoreError(.failed, "fsync"), isApplied: true))
        #expect(await box.connect("ann").refusal("send", #"{"conv":"@bob","cid":"1","text":"x"}"#) == .unavailable)
        box = TestBox(store: MemoryStore(reopening: store), seed: 2)
        let answer = try await box.connect("ann").ask("send", #"{"conv":"@bob","cid":"1","text":"x"}"#)
        #expect(answer["dup"]?.isTrue == true)
    }
}
