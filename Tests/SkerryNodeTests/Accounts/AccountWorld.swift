import Account
import NIOCore
import NIOEmbedded
import SkerryModel
import SkerryNode
import Synchronization
import TestKit

/// A box without sockets and with a clock that only moves when told.
final class AccountWorld: Sendable {
    let loop = NIOAsyncTestingEventLoop()
    let node: Node
    let accounts: AccountService
    let store: MemoryStore
    let home = AddressKey(packed: [192, 168, 1, 10])
    let elsewhere = AddressKey(packed: [10, 0, 0, 7])
    static let password = "correct horse"

    init(limits: Limits = Limits(), offersScram: Bool = false, _ mode: MemoryStore.Mode = .inline) {
        let time = Time()
        let random = Mutex(SeededRandom(seed: 42))
        self.store = MemoryStore(mode, limits: limits)
        self.node = Node(
            box: Sample.box, loops: [self.loop], store: self.store, limits: limits,
            clock: NodeClock(wall: { time.wall }, monotonic: { time.monotonic }), random: NodeRandom { random.withLock { $0.next() } })
        self.accounts = AccountService(node: self.node, cost: .weakest, passwordThreads: 2, offersScram: offersScram)
        self.time = time
    }

    private let time: Time
    private final class Time: Sendable {
        private let passed = Mutex<UInt64>(0)
        var wall: UInt64 { 1_700_000_000_000 + self.passed.withLock { $0 } }
        var monotonic: UInt64 { 1_000 + self.passed.withLock { $0 } }
        func pass(_ milliseconds: UInt64) { self.passed.withLock { $0 += milliseconds } }
    }

    func pass(seconds: Int) { self.time.pass(UInt64(seconds) * 1_000) }

    /// A box with an administrator `ada`.
    func claimed() async throws -> (signedIn: SignedIn, caller: Caller) {
        let link = try await self.accounts.openClaim()
        let signedIn = try await self.accounts.claim(token: link.token.text, name: "ada", password: Self.password, device: "laptop", address: self.home)
        return (signedIn, try await self.accounts.authenticate(token: signedIn.token.text, address: self.home))
    }

    /// An ordinary user, signed in on one device.
    func user(_ name: String) async throws -> (signedIn: SignedIn, caller: Caller) {
        _ = try await self.accounts.createUser(name: name, password: Self.password, role: .user, by: .console)
        return try await self.login(name)
    }

    func login(_ name: String, _ password: String = AccountWorld.password, device: String? = nil) async throws -> (signedIn: SignedIn, caller: Caller) {
        let signedIn = try await self.accounts.login(name: name, password: password, device: device, address: self.home)
        return (signedIn, try await self.accounts.authenticate(token: signedIn.token.text, address: self.home))
    }

    /// A live session of the caller; `ends` fills when the box ends it.
    func attach(_ caller: Caller) async -> LiveSession {
        let session = LiveSession()
        self.node.shards[0].enter { shard in
            let outlet: any ChatOutlet = LiveSession.Outlet(session)
            shard.chat.attach(SessionID(rawValue: 1), caller, NIOLoopBound(outlet, eventLoop: shard.loop))
        }
        await self.loop.run()
        return session
    }

    func code(_ body: () async throws -> Void) async -> ErrorCode? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? SkerryError)?.code
        }
    }

    func mqtt(_ name: String, _ secret: String) async throws -> Caller {
        let result: Result<Caller, SkerryError> = await withCheckedContinuation { continuation in
            self.accounts.authenticate(name: name, secret: secret, address: self.home, loop: nil) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }
}

/// What a socket would hear.
final class LiveSession: Sendable {
    private let heard = Mutex<[SessionEnd]>([])
    var ends: [SessionEnd] { self.heard.withLock { $0 } }

    final class Outlet: ChatOutlet {
        private let session: LiveSession
        init(_ session: LiveSession) { self.session = session }
        func push(_ frame: ByteBuffer, isEphemeral: Bool) {}
        func end(_ reason: SessionEnd) { self.session.heard.withLock { $0.append(reason) } }
    }
}
