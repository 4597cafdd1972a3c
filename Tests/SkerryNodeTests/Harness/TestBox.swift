import ChatCodec
import NIOCore
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

/// A box without sockets, driven by a test: its node over some store, on loops that run when told.
final class TestBox: Sendable {
    let store: any Store
    let clock: ManualClock
    let loops: [SimLoop]
    let node: Node
    let chat: ChatService
    let random: Mutex<SeededRandom>

    init(
        store: any Store = MemoryStore(), limits: Limits = Limits(), clock: ManualClock = ManualClock(), seed: UInt64 = 1, loops: Int = 2,
        box: BoxID = Sample.box
    ) {
        let random = Mutex(SeededRandom(seed: seed))
        let loops = (0..<loops).map { _ in SimLoop() }
        self.store = store
        self.clock = clock
        self.loops = loops
        self.random = random
        // The node keeps a closure over the generator, not over the box.
        let numbers = Numbers(seed: seed)
        self.node = Node(
            box: box, loops: loops, store: store, limits: limits, clock: clock.nodeClock, random: NodeRandom { numbers.next() })
        self.chat = ChatService(node: self.node)
    }

    private final class Numbers: Sendable {
        private let generator: Mutex<SeededRandom>
        init(seed: UInt64) { self.generator = Mutex(SeededRandom(seed: seed)) }
        func next() -> UInt64 { self.generator.withLock { $0.next() } }
    }

    /// Makes users as an administrator would, one a name.
    @discardableResult
    func addUsers(_ names: String...) async throws -> [UserID] { try await self.addUsers(names) }

    @discardableResult
    func addUsers(_ names: [String]) async throws -> [UserID] {
        try await self.node.commits.commit { log in
            try names.map { name in
                let id = Self.userID(name)
                try log.append(.user(Sample.userEntry(id, name: name)))
                return id
            }
        }
    }

    /// A user's id follows from the name, so that scripts of several runs agree.
    static func userID(_ name: String) -> UserID {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return UserID(Bytes16(high: hash, low: 1))
    }

    /// Connects a user: in the registry, attached to a shard.
    func connect(_ name: String, loop: Int = 0) -> TestClient {
        let client = TestClient(box: self, user: Self.userID(name), name: name, loop: self.loops[loop % self.loops.count])
        client.attach()
        return client
    }

    /// Everything committed so far has reached the sessions.
    func settle() async {
        // What was published before this job's group is in the loops' queues when it completes.
        _ = try? await self.node.commits.commit { _ in true }
        self.runLoops()
    }

    func runLoops() { while !self.loops.allSatisfy(\.isIdle) { for loop in self.loops { loop.runPending() } } }
}

/// One device of a user, speaking through the codec as a real client does.
final class TestClient: Sendable {
    let box: TestBox
    let caller: Caller
    let loop: SimLoop
    let outlet = RecordingOutlet()

    init(box: TestBox, user: UserID, name: String, loop: SimLoop) {
        self.box = box
        self.loop = loop
        let session = box.node.online.nextSession()
        self.caller = Caller(user: user, name: name, role: .user, device: Sample.device(Int(session.rawValue)), session: session)
    }

    var session: SessionID { self.caller.session ?? SessionID(rawValue: 0) }

    func attach() {
        let session = OnlineSession(
            id: self.session, user: self.caller.user, name: self.caller.name, device: self.caller.device, kind: .ws, address: "127.0.0.1", client: nil,
            sinceMilliseconds: self.box.clock.wall)
        _ = self.box.node.online.enter(session, limits: self.box.node.limits)
        let shard = self.box.node.shard(on: self.loop)
        self.loop.run {
            let outlet = NIOLoopBound<any ChatOutlet>(self.outlet, eventLoop: self.loop)
            shard.assumeIsolated { $0.chat.attach(self.session, self.caller, outlet) }
        }
    }

    func detach() {
        let shard = self.box.node.shard(on: self.loop)
        self.loop.run { shard.assumeIsolated { $0.chat.detach(self.session, user: self.caller.user) } }
        _ = self.box.node.online.leave(self.session, user: self.caller.user, now: self.box.clock.wall)
    }

    func request(_ verb: String, _ json: String) throws(SkerryError) -> ChatRequest {
        guard let verb = ChatVerb(rawValue: verb) else { throw SkerryError(.badRequest, "no verb \(verb)") }
        return try verb.request(try ChatDecoder.fields(ByteBuffer(string: json), limits: self.box.node.limits), limits: self.box.node.limits)
    }

    /// The answer's `d`, or the refusal.
    func ask(_ verb: String, _ json: String = "{}") async throws(SkerryError) -> JSON {
        let answer = try await self.box.chat.perform(try self.request(verb, json), as: self.caller)
        guard let parsed = JSON(bytes: answer.readableBytesView) else { throw SkerryError(.unavailable, "the answer is not JSON: \(String(buffer: answer))") }
        return parsed
    }

    /// The code of the refusal; nil when it was not refused.
    func refusal(_ verb: String, _ json: String = "{}") async -> ErrorCode? {
        do throws(SkerryError) {
            _ = try await self.ask(verb, json)
            return nil
        } catch { return error.code }
    }

    /// Pages `sync` to its end: every item, and the cursor it leaves.
    func sync(since: String?, limit: Int = 100) async throws -> (status: String, items: [JSON], cursor: String) {
        var cursor = since
        var items: [JSON] = []
        while true {
            let page = try await self.ask("sync", cursor.map { #"{"since":"\#($0)","limit":\#(limit)}"# } ?? #"{"limit":\#(limit)}"#)
            let status = page["status"]?.text ?? "none"
            items += page["items"]?.elements ?? []
            cursor = page["cursor"]?.text
            if page["done"]?.isTrue == true || status != "ok" { return (status, items, cursor ?? "") }
            #expect(!(page["items"]?.elements.isEmpty ?? true) || limit > 0, "a page without items that is not the last")
        }
    }

    /// Where the live stream stands.
    func greeting(cursor: String? = nil) async throws -> ChatService.Greeting {
        let loop = self.loop
        let answer = Mutex<Result<ChatService.Greeting, SkerryError>?>(nil)
        self.box.chat.greeting(cursor: cursor, loop: loop) { result in answer.withLock { $0 = result } }
        while answer.withLock({ $0 == nil }) {
            await self.box.settle()
            await Task.yield()
        }
        let result = try #require(answer.withLock { $0 })
        return try result.get()
    }

    /// What came since the last call.
    func received() async -> [JSON] {
        await self.box.settle()
        return self.outlet.take()
    }

    /// As `received`, shortened to `t` and, for changes, their kind.
    func receivedKinds() async -> [String] { await self.received().map(Self.kind) }

    static func kind(_ frame: JSON) -> String {
        let t = frame["t"]?.text ?? "?"
        return frame["d"]?["kind"]?.text.map { t == "change" ? "change \($0)" : t } ?? t
    }
}

/// Keeps what a session was sent.
final class RecordingOutlet: ChatOutlet, Sendable {
    private let frames = Mutex<[JSON]>([])
    private let endings = Mutex<[SessionEnd]>([])

    func push(_ frame: ByteBuffer, isEphemeral: Bool) {
        let parsed = JSON(bytes: frame.readableBytesView)
        #expect(parsed != nil, "a push is not JSON: \(String(buffer: frame))")
        if let parsed { self.frames.withLock { $0.append(parsed) } }
    }

    func end(_ reason: SessionEnd) { self.endings.withLock { $0.append(reason) } }

    func take() -> [JSON] {
        self.frames.withLock { frames in
            defer { frames = [] }
            return frames
        }
    }

    var ended: [SessionEnd] { self.endings.withLock { $0 } }
}

/// The stores that node tests run over.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case memory, sqlite
    var testDescription: String { self.rawValue }
}
