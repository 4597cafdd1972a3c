import Account
import ChatCodec
import Crypto
import NIOCore
import Replication
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

/// What a box makes of batches: good, bad and strange.
@Suite("Applying other boxes' batches", .timeLimit(.minutes(2)))
struct ReplicaApplyTests {
    private let other = Sample.log(.message, epoch: 77, box: Sample.box(9))
    private let control = Sample.log(.control, epoch: 78, box: Sample.box(9))

    private static func entry(_ body: EntryBody, at milliseconds: UInt64 = 1_700_000_000_000, _ counter: UInt16 = 0) throws -> [UInt8] {
        try EntryCodec.encode(Entry(hlc: HLC(milliseconds: milliseconds, counter: counter), body: body))
    }

    private static func message(_ number: Int) throws -> [UInt8] {
        try Self.entry(
            .message(
                MessageEntry(
                    id: Sample.message(number), conversation: Sample.conversation(1), sender: Sample.user(1), cid: "\(number)", content: .text("\(number)"),
                    replyTo: nil)), at: 1_700_000_000_000 + UInt64(number))
    }

    private static func batch(_ log: LogEpoch, _ entries: [[UInt8]], from first: UInt64) -> [IncomingBatch] {
        LinkedBoxes.batches(log, entries, from: first)
    }

    private func alone(_ kind: StoreKind = .memory) throws -> LinkedBoxes.Member { LinkedBoxes([try BoxPlace(kind: kind).open()])[0] }

    @Test("Unknown types and unreadable entries are kept, given on and not applied; what follows them is", arguments: StoreKind.allCases)
    func strange(_ kind: StoreKind) async throws {
        let box = try self.alone(kind)
        var unknown = FieldWriter()
        unknown.varint(1, 4_000)
        unknown.fixed64(2, 5)
        unknown.text(9, "from the future")
        // A known type without its body, one of another stream, nothing at all, noise, one that is too long.
        var bodiless = FieldWriter()
        bodiless.varint(1, 16)
        bodiless.fixed64(2, 6)
        let entries: [[UInt8]] = [
            try Self.message(1), unknown.bytes, bodiless.bytes, try Self.entry(.user(Sample.userEntry(Sample.user(5), name: "eve"))), [], [0xFF, 0xFF],
            [UInt8](repeating: 8, count: EntryCodec.entryBytesMax + 1), try Self.message(2),
        ]
        #expect(try await box.apply(Self.batch(self.other, entries, from: 1)) == [self.other: 8])
        #expect(try await box.box.store.read { try $0.messageCount() } == 2)
        #expect(try await box.box.store.read { try $0.user(Sample.user(5)) } == nil)
        #expect(box.box.node.metrics.value(.replicaUnknown) == 1)
        #expect(box.box.node.metrics.value(.replicaUnreadable) == 5)
        #expect(box.box.node.metrics.value(.replicaApplied) == 2)
        let answer = await box.range(self.other, from: 1)
        #expect(answer == .batches(Self.batch(self.other, entries, from: 1).map(\.batch)))
        #expect(box.log.isEmpty, "entries of others are not ours to push")
    }

    @Test("What is known is left out, what does not follow is refused, and this run's own log is nobody else's")
    func order() async throws {
        let box = try self.alone()
        let entries = try (1...6).map { try Self.message($0) }
        _ = try await box.apply(Self.batch(self.other, Array(entries[0..<3]), from: 1))
        #expect(try await box.apply(Self.batch(self.other, Array(entries[0..<5]), from: 1)) == [self.other: 5])
        #expect(try await box.apply(Self.batch(self.other, Array(entries[0..<2]), from: 1)) == [self.other: 5])
        #expect(try await box.apply(Self.batch(self.other, [entries[0]], from: 7)) == [self.other: 5])
        #expect(box.box.node.metrics.value(.replicaRefused) == 1)
        #expect(try await box.apply(Self.batch(self.other, [entries[5]], from: .max - 1)) == [self.other: 5])
        #expect(try await box.box.store.read { try $0.messageCount() } == 5)
        try await box.box.addUsers("ann")
        let own = try #require(box.log.keys.first)
        _ = try await box.apply(Self.batch(own, [try Self.entry(.user(Sample.userEntry(Sample.user(1), name: "eve")))], from: 2))
        #expect(try await box.heads()[own] == 1)
        // An earlier run's log of this very box, lost in a restore, comes back.
        let lost = Sample.log(.message, epoch: 5)
        #expect(try await box.apply(Self.batch(lost, [entries[5]], from: 1)) == [lost: 1])
        #expect(try await box.box.store.read { try $0.messageCount() } == 6)
    }

    @Test("A skip moves the head over what is gone, and is given on; dropped entries keep their hashes", arguments: StoreKind.allCases)
    func gone(_ kind: StoreKind) async throws {
        let box = try self.alone(kind)
        let hash = [UInt8](repeating: 3, count: 32)
        let batch = Batch(
            log: self.other, firstSeq: 11, items: [.entry(try Self.message(1)), .dropped(hash: hash), .entry(try Self.message(2))], signature: [1])
        #expect(try await box.apply([IncomingBatch(batch: batch, knownUpTo: 10, skippedUpTo: 10)]) == [self.other: 13])
        #expect(await box.range(self.other, from: 1) == .skipped(upTo: 10))
        #expect(await box.range(self.other, from: 12) == .batches([batch]))
        #expect(await box.range(self.other, from: 14) == .absent)
        #expect(await box.range(self.control, from: 1) == .absent)
        let empty = Batch(log: self.control, firstSeq: 1, items: [])
        #expect(try await box.apply([IncomingBatch(batch: empty, knownUpTo: 0, skippedUpTo: 4)]) == [self.control: 4])
        let stored = try await box.replica.load()
        #expect(stored.heads == [self.other: 13, self.control: 4])
        #expect(stored.lowWater == [self.other: 10, self.control: 4])
        // A skip that reaches into a batch that came with it: the batch is kept whole, to be given on.
        let late = Sample.log(.message, epoch: 79, box: Sample.box(9))
        let whole = Batch(log: late, firstSeq: 5, items: [.dropped(hash: hash), .entry(try Self.message(3))], signature: [1])
        #expect(try await box.apply([IncomingBatch(batch: whole, knownUpTo: 5, skippedUpTo: 5)]) == [late: 6])
        #expect(await box.range(late, from: 6) == .batches([whole]))
        #expect(await box.range(late, from: 1) == .skipped(upTo: 4))
        // Nothing is missing in it for the check of the database, and a cursor counts the skipped epoch like any.
        #expect(try await box.box.store.read { CursorFolding.cursor(of: try $0.epochs()) }.seen[self.control] == 4)
    }

    @Test("Ranges are whole batches, as many as asked for; one's own log comes unsigned from any place", arguments: StoreKind.allCases)
    func ranges(_ kind: StoreKind) async throws {
        let box = try self.alone(kind)
        let entries = try (1...600).map { try Self.message($0) }
        for start in stride(from: 0, to: 600, by: 100) {
            _ = try await box.apply(LinkedBoxes.batches(self.other, Array(entries[start..<(start + 100)]), from: UInt64(start + 1), size: 25))
        }
        guard case .batches(let first) = await box.range(self.other, from: 30) else { throw Unexpected("no batches") }
        #expect(first.first?.firstSeq == 26)
        #expect(first.reduce(0) { $0 + $1.items.count } == 250)
        guard case .batches(let small) = await box.range(self.other, from: 30, bytesMax: 1) else { throw Unexpected("no batches") }
        #expect(small.map(\.firstSeq) == [26])
        #expect(small.first?.signature == LinkedBoxes.signature(self.other, 26))
        // From range to range to the end.
        var seq: UInt64 = 1
        var carried: [BatchItem] = []
        while case .batches(let batches) = await box.range(self.other, from: seq, bytesMax: 4_000) {
            carried += batches.flatMap(\.items)
            seq = (batches.last?.lastSeq ?? seq) + 1
        }
        #expect(carried == entries.map { .entry($0) })

        try await box.box.addUsers((1...300).map { "u\($0)" })
        let (own, written) = try #require(box.log.first)
        guard case .batches(let mine) = await box.range(own, from: 7) else { throw Unexpected("no batches") }
        #expect(mine == [Batch(log: own, firstSeq: 7, items: written[6..<262].map { .entry($0) })])
        guard case .batches(let few) = await box.range(own, from: 7, bytesMax: 300) else { throw Unexpected("no batches") }
        #expect(few.first?.items.count ?? 0 > 1)
        #expect(few.first?.items.reduce(0) { sum, item in if case .entry(let bytes) = item { sum + bytes.count } else { sum } } ?? 999 <= 300)
    }

    @Test("A full disk at any write leaves nothing of a batch, and the next try finds it as new")
    func atomic() async throws {
        var number = 1
        while true {
            let store = MemoryStore()
            let box = LinkedBoxes([store])[0]
            try await box.box.addUsers("ann", "bob")
            let before = try await box.heads()
            let batches = Self.batch(self.other, try (1...3).map { try Self.message($0) }, from: 1)
            let rows = Self.batch(self.control, [try Self.entry(.user(Sample.userEntry(Sample.user(7), name: "dora")))], from: 1)
            store.fail(.write(number, StoreError(.full, "full")))
            let result = try? await box.apply(batches + rows)
            store.fail(nil)
            if result == nil {
                #expect(try await box.heads() == before, "write \(number)")
                #expect(try await store.read { try $0.messageCount() } == 0, "write \(number)")
                // What is written here meanwhile takes the number that the batch's epoch would have had.
                try await box.box.addUsers("carl")
            }
            #expect(try await box.apply(batches + rows) == [self.other: 3, self.control: 1])
            #expect(try await store.read { try $0.messageCount() } == 3)
            #expect(try await store.read { try $0.user(nameKey: "dora") } != nil)
            if result != nil { break }
            number += 1
        }
        #expect(number > 10)
    }

    @Test("This box's stamps follow those that come in, unless they are far ahead of its time")
    func clock() async throws {
        let box = try self.alone()
        let now = box.box.clock.wall
        _ = try await box.apply(Self.batch(self.other, [try Self.entry(.recall(Self.change), at: now + 5_000, 7)], from: 1))
        let order = try await box.box.node.commits.commit { try $0.append(.user(Sample.userEntry(Sample.user(1), name: "ann"))) }
        #expect(order.hlc == HLC(milliseconds: now + 5_000, counter: 8))
        _ = try await box.apply(Self.batch(self.other, [try Self.entry(.recall(Self.change), at: now + 3_600_000)], from: 2))
        #expect(box.box.node.metrics.value(.replicaAheadOfTime) == 1)
        let next = try await box.box.node.commits.commit { try $0.append(.user(Sample.userEntry(Sample.user(1), name: "ann"))) }
        #expect(next.hlc == HLC(milliseconds: now + 5_000, counter: 9))
        #expect(try await box.heads()[self.other] == 2)
    }

    private static var change: MessageChange { MessageChange(target: Sample.message(1), conversation: Sample.conversation(1), by: Sample.user(1)) }

    @Test("The start counter rises with every load, and what was kept comes back by its name", arguments: StoreKind.allCases)
    func load(_ kind: StoreKind) async throws {
        let place = BoxPlace(kind: kind)
        for run in UInt64(1)...3 {
            let store = try place.open()
            defer { store.close() }
            let box = LinkedBoxes([store])[0]
            let stored = try await box.replica.load()
            #expect(stored.startCounter == run)
            #expect(stored.kept == (run == 1 ? [:] : ["peers": [UInt8(run - 1)], "x": []]))
            box.replica.persist(name: "x", [])
            box.replica.persist(name: "peers", [9])
            box.replica.persist(name: "peers", [UInt8(run)])
            await box.box.settle()
        }
    }

    // MARK: - Rows that concern sessions

    @Test("A lock, a role, a password and a revocation that come from another box end what they end here")
    func endings() async throws {
        let boxes = LinkedBoxes([MemoryStore(), MemoryStore()])
        let home = AddressKey(packed: [10, 0, 0, 1])
        for name in ["ann", "boss"] { _ = try await boxes[0].accounts.createUser(name: name, password: "correct horse", role: .admin, by: .console) }
        let ann = try await boxes[0].accounts.login(name: "ann", password: "correct horse", device: nil, address: home)
        try await boxes.exchange()
        let caller = try await boxes[1].accounts.authenticate(token: ann.token.text, address: home)
        func live() -> RecordingOutlet {
            let outlet = RecordingOutlet()
            let box = boxes[1].box
            box.loops[0].run {
                let bound = NIOLoopBound<any ChatOutlet>(outlet, eventLoop: box.loops[0])
                box.node.shards[0].assumeIsolated { $0.chat.attach(box.node.online.nextSession(), caller, bound) }
            }
            return outlet
        }
        let first = live()
        _ = try await boxes[0].running { try await $0.accounts.setRole(.user, of: .name(key: "ann"), by: .console) }
        try await boxes.exchange()
        await boxes.settle()
        #expect(first.ended == [.shutdown])
        #expect(try await boxes[1].accounts.authenticate(token: ann.token.text, address: home).role == .user)
        let second = live()
        try await boxes[0].running { try await $0.accounts.lock(.name(key: "ann"), by: .console) }
        try await boxes.exchange()
        await boxes.settle()
        #expect(second.ended == [.locked])
        await #expect(throws: SkerryError.self) { try await boxes[1].accounts.authenticate(token: ann.token.text, address: home) }
        try await boxes[0].running { try await $0.accounts.unlock(.name(key: "ann"), by: .console) }
        try await boxes.exchange()
        #expect(try await boxes[1].accounts.authenticate(token: ann.token.text, address: home).user == caller.user)
        // Of the device alone.
        let third = live()
        try await boxes[0].running { try await $0.accounts.logout(caller) }
        try await boxes.exchange()
        await boxes.settle()
        #expect(third.ended == [.revoked])
    }

    @Test("A name that two boxes gave away stays with whoever was there first; the other signs in under a longer one, on both")
    func names() async throws {
        let boxes = LinkedBoxes([MemoryStore(), MemoryStore()])
        let home = AddressKey(packed: [10, 0, 0, 1])
        let first = try await boxes[1].accounts.createUser(name: "Ann", password: "correct horse", role: .user, by: .console)
        boxes.clock.advance(1_000)
        let second = try await boxes[0].accounts.createUser(name: "ann", password: "another horse", role: .user, by: .console)
        try await boxes.exchange()
        let long = "ann~\(second.id.description.prefix(4))"
        for box in boxes.members {
            #expect(try await box.accounts.login(name: "ann", password: "correct horse", device: nil, address: home).user.id == first.id)
            let signedIn = try await box.accounts.login(name: long, password: "another horse", device: nil, address: home)
            #expect(signedIn.user.id == second.id)
            #expect(signedIn.user.name == long)
        }
        // What happens to the account later is not what settles the name.
        try await boxes[0].running { try await $0.accounts.lock(.id(second.id), by: .console) }
        try await boxes.exchange()
        for box in boxes.members { #expect(try await box.box.store.read { try $0.user(second.id)?.name } == long) }
    }

    @Test("Member rows count when the CA signed them: the greater version, and removed for ever")
    func members() async throws {
        let box = try self.alone()
        func row(_ version: UInt64, _ standing: BoxStanding = .active, good: Bool = true) throws -> [UInt8] {
            try Self.entry(
                .member(
                    MemberEntry(
                        box: Sample.box(9), standing: standing, name: "v\(version)", publicKey: [1], logKey: [2], endpoints: [], version: version,
                        signature: good ? [1] : [])))
        }
        func name() async throws -> String? { try await box.replica.members().first?.name }
        var seq: UInt64 = 0
        func apply(_ bytes: [UInt8]) async throws {
            seq += 1
            _ = try await box.apply(Self.batch(self.control, [bytes], from: seq))
        }
        try await apply(try row(1))
        #expect(try await name() == nil, "nobody checks")
        box.replica.checkMembers { !$0.signature.isEmpty }
        try await apply(try row(2, good: false))
        #expect(try await name() == nil)
        #expect(box.memberChanges.withLock { $0 } == 0)
        try await apply(try row(2))
        #expect(try await name() == "v2")
        #expect(box.memberChanges.withLock { $0 } == 1)
        try await apply(try row(1))
        #expect(try await name() == "v2")
        try await apply(try row(3, .removed))
        try await apply(try row(9))
        #expect(try await name() == "v3")
        #expect(box.memberChanges.withLock { $0 } == 2)
        #expect(try await box.heads()[self.control] == seq)
    }

    // MARK: - Roaming

    @Test("A client that pages at any box while logs arrive in any order misses nothing and is shown nothing twice", arguments: 1...25)
    func roaming(_ seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let boxes = LinkedBoxes([MemoryStore(), MemoryStore(), MemoryStore()])
        try await boxes.admitAll()
        try await boxes[0].box.addUsers("ann", "bob", "roamer")
        _ = try await boxes[0].box.connect("ann").ask("create", #"{"type":"group","title":"g","cid":"g","members":["@bob","@roamer"]}"#)
        let groups = try await boxes[0].box.connect("ann").ask("conversations")
        let conv = try #require(groups["items"]?.elements.first?["id"]?.text)
        try await boxes.exchange()
        let writers = boxes.members.map { [$0.box.connect("ann"), $0.box.connect("bob")] }
        let readers = boxes.members.map { $0.box.connect("roamer") }
        var cursor = try await readers[0].greeting().live
        var (sent, shown): (Set<String>, [String]) = ([], [])
        func page(_ reader: TestClient, limit: Int) async throws -> (status: String, isDone: Bool) {
            let since = cursor
            let answer = Task { try await reader.ask("sync", #"{"since":"\#(since)","limit":\#(limit)}"#) }
            // Nothing comes while it waits here: the waiting is over at once.
            let isOver = Task { try? await answer.value }
            for _ in 0..<200 {
                for loop in reader.box.loops { loop.runTimers() }
                boxes.clock.advance(20)
                await Task.yield()
            }
            _ = await isOver.value
            let got = try await answer.value
            #expect(got["status"]?.text != "reset", "seed \(seed)")
            shown += got["items"]?.elements.compactMap { $0["t"]?.text == "msg" ? $0["d"]?["mid"]?.text : nil } ?? []
            cursor = got["cursor"]?.text ?? cursor
            return (got["status"]?.text ?? "", got["done"]?.isTrue ?? false)
        }
        for number in 0..<60 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0...3:
                let writer = try #require(writers.randomElement(using: &random)?.randomElement(using: &random))
                let answer = try await writer.ask("send", #"{"conv":"\#(conv)","cid":"\#(number)","text":"\#(number)"}"#)
                let mid = try #require(answer["mid"]?.text)
                sent.insert(mid)
            case 4...7: _ = try await boxes.step(&random)
            default:
                let reader = readers[Int.random(in: readers.indices, using: &random)]
                _ = try await page(reader, limit: Int.random(in: 1...3, using: &random))
            }
        }
        while try await boxes.step(&random) {}
        let last = readers[Int.random(in: readers.indices, using: &random)]
        while try await !page(last, limit: 5).isDone {}
        #expect(Set(shown) == sent, "seed \(seed)")
        #expect(shown.count == sent.count, "seed \(seed): shown twice")
        // And every box has the same order.
        var histories: Set<[String]> = []
        for reader in readers {
            let history = try await reader.ask("history", #"{"conv":"\#(conv)","limit":200}"#)
            histories.insert(history["items"]?.elements.compactMap { $0["mid"]?.text } ?? [])
        }
        #expect(histories.count == 1, "seed \(seed)")
    }
}

@Suite("Tidying logs", .timeLimit(.minutes(2)))
struct TidyingTests {
    private static let policy = RetentionPolicy(messageMilliseconds: 1_000_000)

    private func tidy(_ box: LinkedBoxes.Member, _ policy: RetentionPolicy = RetentionPolicy()) async throws -> (dropped: Int, low: [LogEpoch: UInt64]) {
        var place: LocalPlace? = LocalPlace()
        var (dropped, low): (Int, [LogEpoch: UInt64]) = (0, [:])
        while let next = place {
            let outcome = try await box.replica.tidy(from: next, policy: policy)
            dropped += outcome.dropped
            low.merge(outcome.lowWater) { $1 }
            place = outcome.next
        }
        return (dropped, low)
    }

    @Test("What was superseded goes and leaves its hash; a third box gets the same rows from what is left", arguments: StoreKind.allCases)
    func compaction(_ kind: StoreKind) async throws {
        let boxes = LinkedBoxes(try (0..<3).map { _ in try BoxPlace(kind: kind).open() })
        let user = TestBox.userID("ann")
        for number in 0..<5 {
            _ = try await boxes[0].box.node.commits.commit { log in
                try log.append(
                    .user(UserEntry(id: user, name: "ann", display: "\(number)", role: .user, isLocked: false, passwordHash: "", createdMilliseconds: 1)))
            }
        }
        let (log, entries) = try #require(boxes[0].log.first)
        _ = try await boxes[1].apply(LinkedBoxes.batches(log, entries, from: 1))
        #expect(try await self.tidy(boxes[1]).dropped == 4)
        #expect(try await self.tidy(boxes[1]).dropped == 0)
        guard case .batches(let batches) = await boxes[1].range(log, from: 1), let batch = batches.first else { throw Unexpected("nothing is left") }
        #expect(batch.signature == LinkedBoxes.signature(log, 1))
        #expect(batch.items == entries.dropLast().map { .dropped(hash: Array(SHA256.hash(data: $0))) } + [.entry(entries[4])])
        _ = try await boxes[2].apply([IncomingBatch(batch: batch, knownUpTo: 0)])
        #expect(try await boxes[2].box.store.read { try $0.user(user)?.display } == "4")
        #expect(try await boxes[1].box.store.read { try $0.user(user)?.display } == "4")
    }

    @Test("What replaced an entry must be elsewhere before the entry goes")
    func unsafeWinner() async throws {
        let boxes = LinkedBoxes([MemoryStore(), MemoryStore()])
        _ = try await boxes[1].replica.load()
        try await boxes[0].box.addUsers("ann")
        try await boxes.exchange()
        try await boxes[1].box.addUsers("ann")
        #expect(try await self.tidy(boxes[1]).dropped == 0)
        try await boxes.exchange()
        #expect(try await self.tidy(boxes[1]).dropped == 1)
    }

    @Test("Messages stay unless the policy says otherwise; expired ones go with everything about them", arguments: StoreKind.allCases)
    func expiry(_ kind: StoreKind) async throws {
        let boxes = LinkedBoxes(try (0..<2).map { _ in try BoxPlace(kind: kind).open() })
        try await boxes[0].box.addUsers("ann", "bob")
        let ann = boxes[0].box.connect("ann")
        for number in 0..<3 { _ = try await ann.ask("send", #"{"conv":"@bob","cid":"\#(number)","text":"\#(number)"}"#) }
        let first = try await ann.ask("history", #"{"conv":"@bob"}"#)["items"]?.elements.first?["mid"]?.text ?? ""
        _ = try await ann.ask("react", #"{"mid":"\#(first)","emoji":"👍","on":true}"#)
        boxes.clock.advance(2_000_000)
        for number in 3..<5 { _ = try await ann.ask("send", #"{"conv":"@bob","cid":"\#(number)","text":"\#(number)"}"#) }
        let (log, entries) = try #require(boxes[0].log.first { $0.key.stream == .message })
        for (other, entries) in boxes[0].log where other.stream == .control { _ = try await boxes[1].apply(LinkedBoxes.batches(other, entries, from: 1)) }
        _ = try await boxes[1].apply(LinkedBoxes.batches(log, entries, from: 1, size: 2))
        let bob = boxes[1].box.connect("bob")
        let cursor = try await bob.greeting().live
        #expect(try await self.tidy(boxes[1]) == (0, [:]))
        #expect(try await self.tidy(boxes[1], Self.policy) == (4, [log: 4]))
        let history = try await bob.ask("history", #"{"conv":"@ann"}"#)
        #expect(history["items"]?.elements.map { $0["text"]?.text } == ["3", "4"])
        #expect(await boxes[1].range(log, from: 1) == .skipped(upTo: 4))
        guard case .batches(let rest) = await boxes[1].range(log, from: 5) else { throw Unexpected("nothing is left") }
        #expect(rest.map(\.firstSeq) == [5])
        #expect(try await bob.sync(since: cursor).status == "ok")
        #expect(try await boxes[1].box.store.read { try $0.messageCount() } == 2)
        // The box that writes the log keeps its place: nothing of an epoch goes wholly while it is written.
        #expect(try await self.tidy(boxes[0], Self.policy) == (4, [:]))
        _ = try await ann.ask("send", #"{"conv":"@bob","cid":"9","text":"9"}"#)
    }
}
