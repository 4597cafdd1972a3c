import ChatCodec
import Replication
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

/// Adding a second box must not change what is stored: the same entries in any order of arrival end in the same tables.
@Suite("Applying entries")
struct ApplierTests {
    struct Item: Sendable {
        var log: LogEpoch
        var seq: UInt64
        var hlc: HLC
        var body: EntryBody
    }

    /// The logs of two boxes that act on the same few users, conversations and messages.
    private static func logs(_ random: inout SeededRandom) -> [[Item]] {
        (UInt8(1)...2).map { box in
            var clock: UInt64 = 1_000
            var seqs: [Stream: UInt64] = [:]
            return (0..<40).map { _ in
                clock += UInt64.random(in: 0...3, using: &random)
                let body = Self.body(&random)
                seqs[body.stream, default: 0] += 1
                return Item(
                    log: Sample.log(body.stream, epoch: UInt64(box), box: Sample.box(box)), seq: seqs[body.stream] ?? 1,
                    hlc: HLC(milliseconds: clock, counter: UInt16(seqs[body.stream] ?? 0)), body: body)
            }
        }
    }

    /// A message's id is made of its sender and cid.
    private static func sender(of message: MessageID) -> UserID { Sample.user(Int(message.value.low % 3) + 1) }

    private static func body(_ random: inout SeededRandom) -> EntryBody {
        func some(_ count: Int) -> Int { Int.random(in: 1...count, using: &random) }
        let (user, conversation, message) = (Sample.user(some(3)), Sample.conversation(some(2)), Sample.message(some(4)))
        let change = MessageChange(target: message, conversation: conversation, by: user)
        switch some(15) {
        case 1: return .user(Sample.userEntry(user, name: "n\(some(3))"))
        case 2:
            return .device(
                DeviceEntry(
                    id: Sample.device(some(2)), user: user, tokenHash: [UInt8(some(9))], name: "d", createdMilliseconds: 1,
                    expiresMilliseconds: UInt64(some(9)), isRevoked: random.chance(50)))
        case 3: return .conversation(ConversationEntry(id: conversation, form: .group, title: "t\(some(9))", createdMilliseconds: 1))
        case 4:
            let state = [MemberState.member, .left, .kicked].randomElement(using: &random) ?? .member
            return .membership(MembershipEntry(conversation: conversation, user: user, state: state, role: .member, since: nil, by: user))
        case 5: return .block(owner: user, target: Sample.user(some(3)), isOn: random.chance(50))
        case 6, 7:
            return .message(
                MessageEntry(id: message, conversation: conversation, sender: Self.sender(of: message), cid: "c", content: .text("m\(some(9))"), replyTo: nil))
        case 8: return .edit(change, text: "e\(some(9))")
        case 9: return .recall(change)
        case 11:
            return .accessRule(
                AccessRuleEntry(
                    id: Sample.accessRule(some(2)), subject: random.chance(50) ? .user(user) : .role(.user), verb: .all, filter: "f\(some(9))",
                    effect: random.chance(50) ? .allow : .deny, createdBy: nil, createdMilliseconds: UInt64(some(9)), isRemoved: random.chance(30)))
        case 12:
            let box = Sample.box(UInt8(some(2)))
            return .member(
                MemberEntry(
                    box: box, standing: random.chance(20) ? .removed : .active, name: "b", publicKey: [], logKey: [], endpoints: [], version: UInt64(some(3)),
                    signature: [UInt8(some(9))]))
        case 13:
            return .retained(RetainedEntry(topic: "t/\(some(3))", body: random.chance(30) ? [] : [UInt8(some(9))], expiresMilliseconds: 0))
        case 14: return .edit(MessageChange(target: message, conversation: conversation, by: Self.sender(of: message)), text: "s\(some(9))")
        case 10: return .reaction(change, emoji: ["👍", "\u{e9}", "e\u{301}"].randomElement(using: &random) ?? "x", isOn: random.chance(50))
        default: return .receipt(conversation: conversation, user: user, received: Sample.order(some(50)), read: Sample.order(some(50)))
        }
    }

    /// Everything a reader can tell about the tables, positions apart: those count arrivals.
    private static func picture(_ store: any StoreReading) throws -> [String] {
        var lines: [String] = []
        for number in 1...3 {
            lines.append("\(String(describing: try store.user(Sample.user(number))))")
            lines += try (1...3).map { "block \(number) \($0) \(String(describing: try store.block(owner: Sample.user(number), target: Sample.user($0))))" }
        }
        for number in 1...2 {
            lines.append("\(String(describing: try store.device(Sample.device(number))))")
            lines.append("\(String(describing: try store.accessRule(Sample.accessRule(number))))")
            lines.append("\(String(describing: try store.conversation(Sample.conversation(number))))")
            lines += try store.memberships(in: Sample.conversation(number)).map { "\($0)" }
            lines += try store.receipts(in: Sample.conversation(number)).map { "\($0)" }
            lines += try store.history(Sample.conversation(number), since: nil, range: .newest, limit: 99).map { "\($0.id) \($0.order) \($0.isChanged)" }
        }
        lines += try (1...3).map { "\(String(describing: try store.user(nameKey: "n\($0)")?.id)) \(try store.namesakes(nameKey: "n\($0)").map(\.name))" }
        lines += try store.members().map { "\($0)" }
        lines += try (1...3).map {
            "\(String(describing: try store.retained(topic: "t/\($0)"))) \(String(describing: try store.retainedStamp(topic: "t/\($0)")))"
        }
        for number in 1...4 {
            let id = Sample.message(number)
            lines += try (1...3).map { "\(String(describing: try store.edit(of: id, by: Sample.user($0))))" }
            lines += try ViewBuilder(store).shown(id)
            lines.append("\(number) \(String(describing: try store.recall(of: id)))")
            lines += try store.reactions(to: id).map { "\($0)" }
        }
        return lines + ["\(try store.messageCount())"]
    }

    /// The two logs mixed: each in its own order, as they travel.
    private static func arrive(_ logs: [[Item]], _ random: inout SeededRandom) -> [Item] {
        var rest = logs.flatMap { log in Stream.allCases.map { stream in log.filter { $0.log.stream == stream }[...] } }
        var items: [Item] = []
        while let index = rest.indices.filter({ !rest[$0].isEmpty }).randomElement(using: &random) {
            if let item = rest[index].popFirst() { items.append(item) }
        }
        return items
    }

    @Test("The same entries in any order of arrival end in the same tables", arguments: 1...60)
    func commutes(_ seed: UInt64) async throws { try await Self.check(seed) { MemoryStore() } }

    @Test("So they do on SQLite", arguments: 61...75)
    func commutesOnDisk(_ seed: UInt64) async throws { try await Self.check(seed) { try BoxPlace(kind: .sqlite).open() } }

    private static func check(_ seed: UInt64, _ open: () throws -> any Store) async throws {
        var random = SeededRandom(seed: seed)
        let logs = Self.logs(&random)
        var pictures: Set<[String]> = []
        for _ in 0..<4 {
            let items = Self.arrive(logs, &random)
            let store = try open()
            defer { store.close() }
            try await store.commit { transaction in
                for item in items {
                    let epoch = try transaction.registerEpoch(item.log)
                    let position = LocalPosition(epoch: epoch.number, seq: item.seq)
                    try transaction.append(try EntryCodec.encode(Entry(hlc: item.hlc, body: item.body)), at: position)
                    let order = Order(hlc: item.hlc, position: LogPosition(log: item.log, seq: item.seq))
                    try Applier.apply(item.body, order: order, position: position, to: transaction)
                }
            }
            pictures.insert(try await store.read { try Self.picture($0) })
        }
        #expect(pictures.count == 1, "seed \(seed)")
        if pictures.count > 1, let one = pictures.first, let other = pictures.dropFirst().first {
            for (a, b) in zip(one, other) where a != b { Issue.record("seed \(seed):\n\(a)\n\(b)") }
        }
    }
}

extension ViewBuilder {
    /// The message as a client is shown it.
    fileprivate func shown(_ id: MessageID) throws -> [String] {
        guard let row = try self.store.message(id), let view = try self.message(row) else { return ["none"] }
        return ["\(view.order) \(view.content) \(String(describing: view.edited)) \(view.isRecalled) \(view.reactions)"]
    }
}
