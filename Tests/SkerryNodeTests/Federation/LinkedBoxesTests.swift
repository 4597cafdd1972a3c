import Account
import ChatCodec
import Replication
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Two boxes as one", .timeLimit(.minutes(2)))
struct LinkedBoxesTests {
    private func pair(_ kind: StoreKind) throws -> LinkedBoxes {
        LinkedBoxes([try BoxPlace(kind: kind).open(), try BoxPlace(kind: kind).open()])
    }

    @Test("An account made on one box signs in on the other, and its token opens both", arguments: StoreKind.allCases)
    func accounts(_ kind: StoreKind) async throws {
        let boxes = try self.pair(kind)
        let home = AddressKey(packed: [10, 0, 0, 1])
        _ = try await boxes[0].accounts.createUser(name: "ann", password: "correct horse", role: .user, by: .console)
        try await boxes.exchange()
        let signedIn = try await boxes[1].accounts.login(name: "ann", password: "correct horse", device: "phone", address: home)
        #expect(try await boxes[1].accounts.authenticate(token: signedIn.token.text, address: home).user == signedIn.user.id)
        try await boxes.exchange()
        let caller = try await boxes[0].accounts.authenticate(token: signedIn.token.text, address: home)
        #expect(caller.user == signedIn.user.id)
        // Signed out on the one, it opens neither: also where it was just used and is remembered.
        let there = try await boxes[1].accounts.authenticate(token: signedIn.token.text, address: home)
        try await boxes[1].running { try await $0.accounts.logout(there) }
        try await boxes.exchange()
        await #expect(throws: SkerryError.self) { try await boxes[0].accounts.authenticate(token: signedIn.token.text, address: home) }
    }

    @Test("Messages that come before it is known who belongs to their conversation are shown with it, live and in a sync", arguments: StoreKind.allCases)
    func late(_ kind: StoreKind) async throws {
        let boxes = try self.pair(kind)
        try await boxes[0].box.addUsers("ann", "bob")
        try await boxes.exchange()
        let (ann, bob, absent) = (boxes[0].box.connect("ann"), boxes[1].box.connect("bob", loop: 1), boxes[1].box.connect("bob"))
        var cursor = try await absent.sync(since: nil).cursor
        let group = try await ann.ask("create", #"{"type":"group","title":"g","cid":"g","members":["@bob"]}"#)
        let conv = try #require(group["conversation"]?["id"]?.text)
        for number in 0..<3 { _ = try await ann.ask("send", #"{"conv":"\#(conv)","cid":"\#(number)","text":"\#(number)"}"#) }
        await boxes.settle()
        // The message log first, as two streams on a network may come.
        for stream in [Stream.message, .control] {
            for (log, entries) in boxes[0].log where log.stream == stream {
                let head = try await boxes[1].heads()[log] ?? 0
                _ = try await boxes[1].apply(LinkedBoxes.batches(log, Array(entries.dropFirst(Int(head))), from: head + 1))
            }
            if stream == .message {
                // The cursor of somebody who looks in between has seen the messages' log go by.
                let page = try await absent.sync(since: cursor)
                #expect(page.status == "ok" && page.items.isEmpty)
                cursor = page.cursor
            }
        }
        let passed = try await absent.sync(since: cursor)
        #expect(passed.items.map(TestClient.kind).filter { $0 == "msg" }.count == 3)
        let heard = await bob.received()
        #expect(heard.map(TestClient.kind) == ["change conversation", "msg", "msg", "msg"])
        #expect(heard.compactMap { $0["d"]?["text"]?.text } == ["0", "1", "2"])
    }

    @Test("A block holds at the box where one reads, also for what a box took that had not heard of it", arguments: StoreKind.allCases)
    func blocks(_ kind: StoreKind) async throws {
        let boxes = try self.pair(kind)
        try await boxes[0].box.addUsers("ann", "bob")
        try await boxes.exchange()
        let (ann, bob) = (boxes[0].box.connect("ann"), boxes[1].box.connect("bob"))
        let created = try await ann.ask("create", #"{"type":"direct","user":"@bob"}"#)
        let conv = try #require(created["conversation"]?["id"]?.text)
        _ = try await ann.ask("send", #"{"conv":"\#(conv)","cid":"before","text":"before"}"#)
        try await boxes.exchange()
        _ = await bob.received()
        let cursor = try await bob.sync(since: nil).cursor
        _ = try await bob.ask("block", #"{"user":"@ann","on":true}"#)
        // The other box has not heard of it, and takes the message a moment later.
        boxes[0].box.clock.advance(1_000)
        _ = try await ann.ask("send", #"{"conv":"\#(conv)","cid":"after","text":"after"}"#)
        try await boxes.exchange()
        #expect(await bob.received().filter { TestClient.kind($0) == "msg" }.isEmpty)
        #expect(try await bob.sync(since: cursor).items.filter { TestClient.kind($0) == "msg" }.isEmpty)
        let history = try await bob.ask("history", #"{"conv":"\#(conv)"}"#)["items"]?.elements ?? []
        #expect(history.compactMap { $0["text"]?.text } == ["before"])
        #expect(try await ann.ask("history", #"{"conv":"\#(conv)"}"#)["items"]?.elements.count == 2)
        // And from now on it is refused where it is said.
        await #expect(throws: SkerryError.self) { try await ann.ask("send", #"{"conv":"\#(conv)","cid":"later","text":"later"}"#) }
    }

    @Test("What is said on one box is pushed on the other: the conversation first, in order, once", arguments: StoreKind.allCases)
    func pushes(_ kind: StoreKind) async throws {
        let boxes = try self.pair(kind)
        try await boxes[0].box.addUsers("ann", "bob", "eve")
        try await boxes.exchange()
        let (ann, bob, eve) = (boxes[0].box.connect("ann"), boxes[1].box.connect("bob", loop: 1), boxes[1].box.connect("eve"))
        let group = try await ann.ask("create", #"{"type":"group","title":"g","cid":"g","members":["@bob"]}"#)
        let conv = try #require(group["conversation"]?["id"]?.text)
        for number in 0..<5 { _ = try await ann.ask("send", #"{"conv":"\#(conv)","cid":"\#(number)","text":"\#(number)"}"#) }
        try await boxes.exchange()
        try await boxes.exchange()
        let heard = await bob.received()
        #expect(heard.map(TestClient.kind) == ["change conversation"] + Array(repeating: "msg", count: 5))
        #expect(heard.compactMap { $0["d"]?["text"]?.text } == ["0", "1", "2", "3", "4"])
        #expect(heard.dropFirst().allSatisfy { $0["d"]?["replicated"]?.isTrue == true && $0["d"]?["cid"] == nil })
        #expect(await eve.received().isEmpty)
        // The cursor of a push stands right behind it.
        for (index, push) in heard.enumerated().dropFirst() {
            let (status, items, _) = try await bob.sync(since: push["cursor"]?.text, limit: 2)
            #expect(status == "ok")
            #expect(items.compactMap { $0["d"]?["text"]?.text } == heard.dropFirst(index + 1).compactMap { $0["d"]?["text"]?.text })
        }
        // And back: edits, reactions, recalls and receipts.
        _ = await ann.received()
        let mids = heard.compactMap { $0["d"]?["mid"]?.text }
        let order = try #require(heard.last?["d"]?["order"]?.text)
        _ = try await bob.ask("react", #"{"mid":"\#(mids[0])","emoji":"👍","on":true}"#)
        _ = try await bob.ask("receipt", #"{"conv":"\#(conv)","read":"\#(order)"}"#)
        _ = try await ann.ask("edit", #"{"mid":"\#(mids[1])","text":"new"}"#)
        _ = try await ann.ask("recall", #"{"mid":"\#(mids[2])"}"#)
        _ = await bob.received()
        _ = await ann.received()
        try await boxes.exchange()
        #expect(await ann.receivedKinds() == ["change react", "receipt"])
        #expect(await bob.receivedKinds() == ["change edit", "change recall"])
        let histories = [try await ann.ask("history", #"{"conv":"\#(conv)"}"#), try await bob.ask("history", #"{"conv":"\#(conv)"}"#)]
        let texts = histories.map { $0["items"]?.elements.map { $0["text"]?.text } }
        #expect(texts[0] == ["0", "new", nil, "3", "4"])
        #expect(texts[0] == texts[1])
        // Somebody who is taken out hears of it at their box.
        _ = try await ann.ask("remove", #"{"conv":"\#(conv)","user":"@bob"}"#)
        try await boxes.exchange()
        #expect(await bob.receivedKinds() == ["change left"])
        #expect(await bob.refusal("history", #"{"conv":"\#(conv)"}"#) == .notFound)
    }

    @Test("A sender hears when another box holds the message; history says so afterwards, and only then", arguments: StoreKind.allCases)
    func replicated(_ kind: StoreKind) async throws {
        let boxes = try self.pair(kind)
        _ = try await boxes[0].replica.load()
        try await boxes[0].box.addUsers("ann", "bob")
        let ann = boxes[0].box.connect("ann")
        let mid = try await ann.ask("send", #"{"conv":"@bob","cid":"1","text":"x"}"#)["mid"]?.text
        _ = await ann.received()
        #expect(try await ann.ask("history", #"{"conv":"@bob"}"#)["items"]?.elements.map { $0["replicated"]?.isTrue } == [nil])
        try await boxes.exchange()
        let heard = await ann.received()
        #expect(heard.map(TestClient.kind) == ["replicated"])
        #expect(heard.first?["d"]?["mids"]?.elements.map(\.text) == [mid])
        #expect(try await ann.ask("history", #"{"conv":"@bob"}"#)["items"]?.elements.map { $0["replicated"]?.isTrue } == [true])
        // The next one is not held yet.
        _ = try await ann.ask("send", #"{"conv":"@bob","cid":"2","text":"y"}"#)
        #expect(try await ann.ask("history", #"{"conv":"@bob"}"#)["items"]?.elements.map { $0["replicated"]?.isTrue } == [true, nil])
        _ = await ann.received()
        // Told twice, heard once.
        let log = try #require(boxes[0].log.keys.first { $0.stream == .message })
        boxes[0].replica.replicated(log, upTo: 1)
        #expect(await ann.received().isEmpty)
        // Written down with the next commit, for the next start.
        #expect(try await boxes[0].box.store.read { try $0.epoch(log)?.replicated } == 1)
    }

    @Test("A client that goes away between any two pushes of one commit hears of the rest when it comes back")
    func goesAwayBetweenPushes() async throws {
        let boxes = LinkedBoxes([MemoryStore(), MemoryStore()])
        try await boxes.admitAll()
        try await boxes[0].box.addUsers("ann", "bob")
        _ = try await boxes[0].box.connect("ann").ask("create", #"{"type":"direct","user":"@bob"}"#)
        try await boxes.exchange()
        let (ann, bob) = (boxes[0].box.connect("ann"), boxes[1].box.connect("bob", loop: 1))
        _ = try await ann.ask("send", #"{"conv":"@bob","cid":"0","text":"0"}"#)
        let greeting = try await bob.greeting().live
        for title in ["g", "h", "i"] { _ = try await ann.ask("create", #"{"type":"group","title":"\#(title)","cid":"\#(title)","members":["@bob"]}"#) }
        try await boxes.exchange()
        let heard = await bob.received()
        let titles = heard.compactMap { $0["d"]?["conversation"]?["title"]?.text }
        #expect(titles.filter { !$0.isEmpty }.sorted() == ["g", "h", "i"])
        for count in 0..<heard.count {
            let seen = heard.prefix(count)
            let cursor = seen.last { $0["cursor"] != nil }?["cursor"]?.text ?? greeting
            let missed = try await bob.sync(since: cursor, limit: 100).items.compactMap { $0["d"]?["conversation"]?["title"]?.text }
            let known = seen.compactMap { $0["d"]?["conversation"]?["title"]?.text }
            #expect(Set(known + missed).isSuperset(of: ["g", "h", "i"]))
        }
    }

    @Test("The same send at two boxes that are apart is one message at both, shown once, where its order is the smaller")
    func sameSend() async throws {
        let boxes = LinkedBoxes([MemoryStore(), MemoryStore()])
        try await boxes.admitAll()
        try await boxes[0].box.addUsers("ann", "bob")
        _ = try await boxes[0].box.connect("ann").ask("create", #"{"type":"direct","user":"@bob"}"#)
        try await boxes.exchange()
        let bobs = boxes.members.map { $0.box.connect("bob", loop: 1) }
        let cursors = [try await bobs[0].greeting().live, try await bobs[1].greeting().live]
        var orders: [String] = []
        // The ack was lost, and the client roamed.
        for (index, text) in ["first", "x", "last"].enumerated() {
            for box in boxes.members where box === boxes[0] || index == 1 {
                boxes.clock.advance(10)
                let answer = try await box.box.connect("ann").ask("send", #"{"conv":"@bob","cid":"\#(index)","text":"\#(text)"}"#)
                if index == 1 { orders.append(answer["order"]?.text ?? "") }
            }
        }
        try await boxes.exchange()
        #expect(Set(orders).count == 2)
        for (bob, cursor) in zip(bobs, cursors) {
            let live = await bob.received().filter { $0["t"]?.text == "msg" }.compactMap { $0["d"]?["text"]?.text }
            #expect(live.sorted() == ["first", "last", "x"])
            let history = try await bob.ask("history", #"{"conv":"@ann"}"#)["items"]?.elements ?? []
            #expect(history.map { $0["text"]?.text } == ["first", "x", "last"])
            #expect(history[1]["order"]?.text == orders.min())
            for limit in [1, 100] {
                let synced = try await bob.sync(since: cursor, limit: limit).items.compactMap { $0["d"]?["text"]?.text }
                #expect(synced.sorted() == ["first", "last", "x"])
            }
        }
    }

    @Test("Access rules of another box judge sessions here from its commit on")
    func accessRules() async throws {
        let boxes = LinkedBoxes([MemoryStore(), MemoryStore()])
        try await boxes[0].running { member in
            _ = try await member.accounts.addAccessRule(
                AccessRuleRequest(subject: .role(.user), verb: .publish, filter: "secret/#", effect: .deny), by: .console)
        }
        try await boxes.exchange()
        #expect(try await boxes[1].box.store.read { try $0.accessRules().map(\.filter) } == ["secret/#"])
    }

    @Test("A cursor of one box goes on at the other; one that is ahead of a box waits and is not skipped", arguments: StoreKind.allCases)
    func cursors(_ kind: StoreKind) async throws {
        let boxes = try self.pair(kind)
        try await boxes.admitAll()
        try await boxes[0].box.addUsers("ann", "bob")
        _ = try await boxes[0].box.connect("ann").ask("send", #"{"conv":"@bob","cid":"1","text":"1"}"#)
        try await boxes.exchange()
        let (there, here) = (boxes[0].box.connect("bob"), boxes[1].box.connect("bob"))
        let cursor = try await there.greeting().live
        #expect(try await here.greeting(cursor: cursor).isKnown)
        _ = try await boxes[0].box.connect("ann").ask("send", #"{"conv":"@bob","cid":"2","text":"2"}"#)
        _ = try await boxes[1].box.connect("ann").ask("send", #"{"conv":"@bob","cid":"3","text":"3"}"#)
        let ahead = try await there.greeting().live
        // Its box has not what the cursor has seen: it waits, and then serves what it has and says so.
        async let page = here.ask("sync", #"{"since":"\#(ahead)"}"#)
        boxes.clock.advance(2_000)
        while boxes[1].box.loops[0].runTimers() == 0 { await Task.yield() }
        let late = try await page
        #expect(late["status"]?.text == "syncing")
        #expect(late["items"]?.elements.compactMap { $0["d"]?["text"]?.text } == ["3"])
        #expect(try await here.greeting(cursor: ahead).isKnown)
        let next = try #require(late["cursor"]?.text)
        // What did not come is not waited for again at once.
        #expect(try await here.ask("sync", #"{"since":"\#(next)"}"#)["status"]?.text == "syncing")
        boxes.clock.advance(60_000)
        // When it comes meanwhile, it is answered at once; what was seen at the other box is not shown again.
        async let second = here.ask("sync", #"{"since":"\#(next)"}"#)
        try await boxes.exchange()
        #expect(try await second["status"]?.text == "ok")
        #expect(try await second["items"]?.elements.count == 0)
        #expect(try await there.sync(since: ahead).items.compactMap { $0["d"]?["text"]?.text } == ["3"])
        // From before both, on either box: each once.
        for client in [there, here] {
            #expect(Set(try await client.sync(since: cursor, limit: 1).items.compactMap { $0["d"]?["text"]?.text }) == ["2", "3"])
        }
    }
}

extension LinkedBoxes {
    /// Every box has every box in its member list.
    func admitAll() async throws {
        for member in self.members {
            let entries = self.members.map { MemberEntry(box: $0.box.node.box, name: "b", publicKey: [1], logKey: [2], endpoints: [], version: 1) }
            try await member.replica.adopt(entries)
        }
    }
}
