import Account
import ChatCodec
import NIOCore
import NIOEmbedded
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

@testable import Listeners

/// A box of one loop that is driven by hand, with people who have tokens, and clients that are a channel each.
final class ChatWorld: Sendable {
    let loop = NIOAsyncTestingEventLoop()
    let store: SwitchableStore
    let node: Node
    let accounts: AccountService
    let chat: ChatService
    let listener: ChatListener

    init(limits: Limits = Limits()) {
        let random = Mutex(SeededRandom(seed: 11))
        let loop = self.loop
        self.store = SwitchableStore()
        self.node = Node(
            box: Sample.box, loops: [loop], store: self.store, limits: limits,
            clock: NodeClock(
                wall: { 1_700_000_000_000 + loop.now.uptimeNanoseconds / 1_000_000 }, monotonic: { 1_000 + loop.now.uptimeNanoseconds / 1_000_000 }),
            random: NodeRandom { random.withLock { $0.next() } })
        self.accounts = AccountService(node: self.node, cost: .weakest)
        self.chat = ChatService(node: self.node)
        self.listener = ChatListener(node: self.node, chat: self.chat, accounts: self.accounts, keepers: ConnectionKeepers(loops: [loop]))
    }

    /// A new user's id and token.
    func person(_ name: String) async throws -> (user: UserID, token: String) {
        let user = try await self.accounts.createUser(name: name, password: nil, role: .user, by: .console)
        let signedIn = try await self.accounts.issueToken(for: .id(user.id), device: "test", by: .console)
        return (user.id, signedIn.token.text)
    }

    func connect() async throws -> ChatClient { try await ChatClient(self) }

    /// A client that has said hello.
    func connect(as token: String) async throws -> ChatClient {
        let client = try await self.connect()
        try await client.say(#"{"t":"hello","id":1,"d":{"token":"\#(token)"}}"#)
        #expect(await client.heard().contains { $0.text.contains("\"live\":") })
        return client
    }
}

/// The store in memory, whose work waits for `step` while it is held.
final class SwitchableStore: Store {
    private let memory = MemoryStore(.manual)
    private let isHeld = Mutex(false)

    func hold() { self.isHeld.withLock { $0 = true } }
    func step(reads: Bool? = nil) -> Bool { reads.map { self.memory.step(reads: $0) } ?? self.memory.step() }
    func release() {
        self.isHeld.withLock { $0 = false }
        while self.memory.step() {}
    }

    func onWriter(_ work: @escaping @Sendable (any StoreWriter) -> Void) {
        self.memory.onWriter(work)
        self.runUnlessHeld()
    }

    func read<Value: Sendable>(
        _ work: @escaping @Sendable (any StoreReading) throws -> Value, completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) {
        self.memory.read(work, completion: completion)
        self.runUnlessHeld()
    }

    private func runUnlessHeld() { if !self.isHeld.withLock({ $0 }) { while self.memory.step() {} } }

    var waiting: Int { self.memory.waiting }
    var sizeBytes: Int { self.memory.sizeBytes }
    func close() { self.memory.close() }
}

/// The other side of one chat connection.
final class ChatClient: Sendable {
    let channel: NIOAsyncTestingChannel
    let socket: NIOLoopBoundBox<StuckSocket>
    private let world: ChatWorld
    private let received: NIOLoopBoundBox<ByteBuffer>

    init(_ world: ChatWorld) async throws {
        let loop = world.loop
        let channel = NIOAsyncTestingChannel(loop: loop)
        self.world = world
        self.channel = channel
        self.socket = NIOLoopBoundBox.makeBoxSendingValue(StuckSocket(), eventLoop: loop)
        self.received = NIOLoopBoundBox.makeBoxSendingValue(ByteBuffer(), eventLoop: loop)
        let (socket, listener) = (self.socket, world.listener)
        try await loop.executeInContext {
            let opened = OpenedWebSocket(path: "/v1/ws", subprotocol: "skerry.v1.json", deflate: nil, userAgent: "test")
            try channel.pipeline.syncOperations.addHandler(socket.value)
            try channel.pipeline.syncOperations.addHandlers(listener.route().makeHandlers(channel, opened))
        }
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
    }

    func say(_ text: String...) async throws {
        let bytes = ByteBuffer(bytes: text.map { ClientFrame.text($0) }.bytes)
        try await self.channel.writeInbound(bytes)
        await self.world.loop.run()
    }

    func send(_ frame: ClientFrame) async throws {
        try await self.channel.writeInbound(ByteBuffer(bytes: frame.bytes))
        await self.world.loop.run()
    }

    /// The frames that came since last asked.
    func heard() async -> [ServerFrame] {
        await self.world.loop.run()
        var bytes = ByteBuffer()
        while var more = try? await self.channel.readOutbound(as: ByteBuffer.self) { bytes.writeBuffer(&more) }
        let (received, new) = (self.received, bytes)
        let frames = try? await self.world.loop.executeInContext {
            var all = received.value
            var new = new
            all.writeBuffer(&new)
            let frames = ServerFrame.read(&all)
            received.value = all
            return frames
        }
        return frames ?? []
    }

    func heardTexts() async -> [String] { await self.heard().map(\.text) }
    func closeCode() async -> Int? { await self.heard().compactMap(\.closeCode).first }
    func pass(_ seconds: Int64) async { await self.world.loop.advanceTime(by: .seconds(seconds)) }

    func leave() async throws {
        try await self.channel.close().get()
        await self.world.loop.run()
    }

    func setStuck(_ isStuck: Bool) async throws {
        let socket = self.socket
        try await self.world.loop.executeInContext { if isStuck { socket.value.isStuck = true } else { socket.value.release() } }
        await self.world.loop.run()
    }

    func reads() async throws -> Int {
        let socket = self.socket
        return try await self.world.loop.executeInContext { socket.value.reads }
    }

    /// Asks for a read as a socket does after each, and says whether it came through.
    func wantsToRead() async throws -> Bool {
        let before = try await self.reads()
        let channel = self.channel
        try await self.world.loop.executeInContext { channel.pipeline.read() }
        return try await self.reads() > before
    }
}
