import Glibc
import NIOCore
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit

/// A box and its clients on one thread, from one seed: people chat, edit, join, leave, lose their connection; the process dies at any
/// commit, before it, between disk and answer, or after; the clock jumps. At the end everything must add up.
struct Simulation {
    let seed: UInt64
    private var random: SeededRandom
    private let clock = ManualClock()
    private var store = MemoryStore(.manual)
    private var box: TestBox
    private var runs: UInt64 = 0
    private var sends = 0
    private var clients: [SimClient] = []
    private var wasUnavailable = false
    private static let names = ["ann", "bob", "carl", "dora"]
    private(set) var crashes = 0
    private(set) var acks = 0

    init(seed: UInt64) {
        self.seed = seed
        self.random = SeededRandom(seed: seed)
        self.box = TestBox(store: self.store, clock: self.clock, seed: seed &* 1_000)
    }

    /// What went wrong; empty when nothing did.
    mutating func run(steps: Int = 160) throws -> [String] {
        let names = Self.names
        self.box.node.commits.submit(loop: nil, log: { log in for name in names { try log.append(.user(Sample.userEntry(TestBox.userID(name), name: name))) } })
        { _ in }
        self.settle()
        // Two devices for some.
        self.clients = (names + ["ann", "bob"]).map { SimClient(name: $0) }
        for _ in 0..<steps { self.step() }
        self.end()
        return try self.judge()
    }

    // MARK: - Living

    private mutating func step() {
        switch Int.random(in: 0..<100, using: &self.random) {
        case 0..<45: self.act()
        case 45..<62: self.store.step(reads: false)
        case 62..<74: self.store.step(reads: true)
        case 74..<86: self.deliver()
        case 86..<90:
            if let client = self.random.pick(self.clients) {
                client.connection == nil ? client.connect(self.box, loop: Int.random(in: 0..<2, using: &self.random)) : client.disconnect()
            }
        case 90..<94: for client in self.clients { client.connect(self.box, loop: Int.random(in: 0..<2, using: &self.random)) }
        case 94..<96: self.moveClock()
        case 96..<98: self.breakSomething()
        default: self.crash()
        }
    }

    private func deliver() {
        for loop in self.box.loops { loop.runPending() }
        for client in self.clients { client.receive() }
    }

    private mutating func moveClock() {
        if self.random.chance(30) {
            self.clock.setWall(UInt64.random(in: 0...2_000_000_000_000, using: &self.random))
        } else {
            self.clock.advance(UInt64.random(in: 0...5_000, using: &self.random))
        }
    }

    /// The next commit fails: for want of room, or for good, with or without having reached the disk.
    private mutating func breakSomething() {
        let isFull = self.random.chance(50)
        let isApplied = !isFull && self.random.chance(50)
        self.store.fail(.commit(1, StoreError(isFull ? .full : .failed, "simulated"), isApplied: isApplied))
    }

    private mutating func crash() {
        self.crashes += 1
        // Sometimes the disk gets a last group whose answers nobody hears.
        if self.random.chance(50) { self.store.step(reads: false) }
        for loop in self.box.loops { loop.drop() }
        self.store.crash()
        for client in self.clients { client.disconnect(isCrash: true) }
        self.runs += 1
        self.store = MemoryStore(reopening: self.store)
        self.box = TestBox(store: self.store, clock: self.clock, seed: self.seed &* 1_000 &+ self.runs)
    }

    private mutating func act() {
        guard let client = self.random.pick(self.clients.filter { $0.connection != nil }) else { return }
        let other = Self.names.filter { $0 != client.name }.randomElement(using: &self.random) ?? "bob"
        let room = self.random.pick(client.rooms.keys.sorted())
        let mid = room.flatMap { client.rooms[$0]?.messages.keys.sorted() }.flatMap { self.random.pick($0) }
        self.sends += 1
        switch Int.random(in: 0..<100, using: &self.random) {
        case 0..<45: client.send(self.random.chance(60) ? room ?? "@\(other)" : "@\(other)", cid: "s\(self.sends)", text: "t\(self.sends)")
        case 45..<52: client.repeatUnanswered()
        case 52..<60: if let mid { client.tell("edit", #"{"mid":"\#(mid)","text":"e\#(self.sends)"}"#) }
        case 60..<64: if let mid { client.tell("recall", #"{"mid":"\#(mid)"}"#) }
        case 64..<72:
            if let mid { client.tell("react", #"{"mid":"\#(mid)","emoji":"\#(self.random.chance(50) ? "👍" : "🚣")","on":\#(self.random.chance(60))}"#) }
        case 72..<78:
            if let room, let order = mid.flatMap({ client.rooms[room]?.messages[$0]?.order }) {
                client.tell("receipt", #"{"conv":"\#(room)","read":"\#(order)"}"#)
            }
        case 78..<83: client.tell("create", #"{"type":"group","title":"g\#(self.sends)","cid":"g\#(self.sends)","members":["@\#(other)"]}"#)
        case 83..<89: if let room { client.tell("invite", #"{"conv":"\#(room)","users":["@\#(other)"]}"#) }
        case 89..<93: if let room { client.tell("remove", #"{"conv":"\#(room)","user":"@\#(other)"}"#) }
        case 93..<95: if let room { client.tell("role", #"{"conv":"\#(room)","user":"@\#(other)","role":"admin"}"#) }
        case 95..<97: if let room { client.tell("leave", #"{"conv":"\#(room)"}"#) }
        default: if let room { client.tell("update", #"{"conv":"\#(room)","title":"u\#(self.sends)"}"#) }
        }
    }

    // MARK: - Ending

    private mutating func settle() {
        repeat {
            while self.store.step() {}
            self.deliver()
        } while self.store.waiting > 0 || !self.box.loops.allSatisfy(\.isIdle)
    }

    /// A new process on a disk that works; everybody comes back, repeats what was not answered, and catches up.
    private mutating func end() {
        self.store.fail(nil)
        self.crash()
        for client in self.clients { client.connect(self.box, loop: 0) }
        self.settle()
        for client in self.clients { client.repeatUnanswered() }
        self.settle()
        self.acks = self.clients.reduce(0) { $0 + $1.acked.count }
    }

    private func judge() throws -> [String] {
        let judged = Mutex<Result<[String], any Error>>(.success(["the judge did not come"]))
        let (clients, box) = (self.clients, self.box)
        self.store.read { store in
            let truth = try LogReplay(store)
            var problems: [String] = []
            if zip(truth.orders, truth.orders.dropFirst()).contains(where: { $0 >= $1 }) { problems.append("two entries share an order") }
            for client in clients { problems += try Self.judge(client, truth, store, box).map { "\(client.name): \($0)" } }
            return problems
        } completion: { result in
            judged.withLock { $0 = result }
        }
        while self.store.step(reads: true) {}
        return try judged.withLock { $0 }.get()
    }

    private static func judge(_ client: SimClient, _ truth: LogReplay, _ store: any StoreReading, _ box: TestBox) throws -> [String] {
        var problems = client.problems
        if !client.isLive { problems.append("never came back") }
        if !client.unanswered.isEmpty { problems.append("\(client.unanswered.count) sends were never answered") }
        // Nothing acknowledged is lost, and it stands where its sender was told.
        let places = Dictionary(truth.conversations.values.flatMap(\.messages).map { ($0.id.description, $0.order.description) }) { $0 + " and " + $1 }
        for (mid, order) in client.acked where places[mid] != order {
            problems.append("\(mid) was acknowledged at \(order) and is at \(places[mid] ?? "no place")")
        }
        // Nothing is shown to those it is not for.
        for shown in client.shownLive {
            guard let conversation = ConversationID(text: shown.conversation), let order = Order(text: shown.order) else { continue }
            if !truth.couldSee(order, in: conversation, client.user) { problems.append("was shown \(shown.mid) without being in \(shown.conversation)") }
        }
        let mine = truth.conversations.filter { $0.value.members[client.user] != nil }
        if Set(client.rooms.keys) != Set(mine.keys.map(\.description)) {
            problems.append("shows \(client.rooms.keys.sorted()), is in \(mine.keys.map(\.description).sorted())")
        }
        for (id, conversation) in mine {
            let wanted = truth.visible(id, to: client.user)
            // The tables agree with the log, in the same order for every reader.
            let rows = try store.history(id, since: conversation.members[client.user]?.since, range: .newest, limit: 10_000)
            if rows.map(\.id) != wanted.map(\.id) { problems.append("the history of \(id) is not what the log says") }
            guard let room = client.rooms[id.description] else { continue }
            if room.title != conversation.title { problems.append("\(id) is called \(room.title), not \(conversation.title)") }
            let members = Dictionary(uniqueKeysWithValues: conversation.members.map { ($0.key.description, $0.value.role.text) })
            if room.members != members { problems.append("\(id) shows members \(room.members), has \(members)") }
            let reads = Dictionary(
                uniqueKeysWithValues: conversation.read.filter { conversation.members[$0.key] != nil }.map { ($0.key.description, $0.value.description) })
            if room.read.filter({ members[$0.key] != nil }) != reads { problems.append("\(id) shows receipts \(room.read), has \(reads)") }
            // What came live and by cursor is all there is, once, as it is now.
            if Set(room.messages.keys) != Set(wanted.map(\.id.description)) {
                problems.append("\(id) shows \(room.messages.count) messages of \(wanted.count)")
                continue
            }
            for message in wanted {
                let reactions = message.isRecalled ? [:] : message.reactions.mapValues { Set($0.map(\.description)) }
                let seen = SimClient.Seen(
                    text: message.isRecalled ? nil : message.text, order: message.order.description, isRecalled: message.isRecalled, reactions: reactions)
                if room.messages[message.id.description] != seen {
                    problems.append("\(message.id) is shown as \(String(describing: room.messages[message.id.description])), is \(seen)")
                }
            }
        }
        return problems
    }

    /// How many seeds to try: `SKERRY_SIM_SEEDS`, else 200; `SKERRY_SIM_SEED` tries one alone.
    static let seeds: [UInt64] = {
        func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }
        if let one = number("SKERRY_SIM_SEED") { return [one] }
        return Array(1...max(1, number("SKERRY_SIM_SEEDS") ?? 200))
    }()
}
