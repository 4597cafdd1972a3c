package import Account
package import NIOCore
package import SkerryModel
import Store
import Synchronization

/// Who may come in and what they may change about accounts: the use cases over the pure rules of `Account`.
///
/// Whatever decides runs whole inside one job of the commit queue (read, rule, append), so two acceptances of a one-use invite cannot
/// both win. Passwords are hashed on threads of their own before that. Everything that changes what a token opens tells `ended` of it
/// right after the commit and before the shards hear `NodeEvent.endSessions`, so no cache outlives a revocation.
package final class AccountService: Sendable {
    package typealias Completion = @Sendable (Result<Caller, SkerryError>) -> Void

    let node: Node
    let cost: PasswordHash.Cost
    /// Whether SCRAM-SHA-256 is spoken over MQTT, and verifiers for it are kept.
    let offersScram: Bool
    /// Behind the salts of names that do not exist; see `prepareScram`.
    let scramSecret: Mutex<[UInt8]>
    let passwords: PasswordPool
    let limiter: Mutex<LoginLimiter>
    let tokens: Mutex<TokenCache>
    let verified: Mutex<VerifiedPasswords>
    let refusals: RefusalLog
    private let claimListener = Mutex<(@Sendable () -> Void)?>(nil)

    /// - Parameters:
    ///   - cost: what a password check costs; the standard cost outside of tests.
    ///   - passwordThreads: checks at the same time. Each takes 16 MiB while it runs: one is right for a small board.
    ///   - offersScram: whether SCRAM-SHA-256 is spoken; `prepareScram` is to be awaited then.
    ///   - refusals: hears of everybody who is not let in.
    package init(node: Node, cost: PasswordHash.Cost = .standard, passwordThreads: Int = 1, offersScram: Bool = false, refusals: RefusalLog? = nil) {
        self.node = node
        self.refusals = refusals ?? RefusalLog(clock: node.clock)
        self.cost = cost
        self.offersScram = offersScram
        self.scramSecret = Mutex(node.random.bytes(32))
        self.passwords = PasswordPool(threads: passwordThreads, queueMax: node.limits.passwordQueueMax)
        self.limiter = Mutex(LoginLimiter(limits: node.limits))
        self.tokens = Mutex(TokenCache(entriesMax: node.limits.tokenCacheMax))
        self.verified = Mutex(VerifiedPasswords(salt: node.random.bytes(32), entriesMax: node.limits.verifiedPasswordsMax))
        node.replication.whenEnded { [weak self] endings in self?.ended(endings) }
    }

    /// Calls `body` once the box has its first administrator by way of the claim link: the link that lies about can go.
    package func whenClaimed(_ body: @escaping @Sendable () -> Void) { self.claimListener.withLock { $0 = body } }

    func tellClaimed() { self.claimListener.withLock { $0.take() }?() }

    // MARK: - Authentication

    /// Whom a device token stands for (the WebSocket's `hello`, REST's bearer). Answers on `loop`, or where the answer was found when that is nil.
    ///
    /// Not rate-limited: nobody guesses 256 bits, and a crowd of devices behind one address may come back at once. `address` is for the log.
    ///
    /// The answer is checked once more on `loop` itself: whoever attaches the session in `completion`, before giving the loop back, either
    /// is refused here or hears `endSessions`; a revocation cannot slip between.
    package func authenticate(token text: String, address: AddressKey, loop: (any EventLoop)?, completion: @escaping Completion) {
        guard let token = Token(text: text, kind: .session) else {
            self.note(Self.unknownToken, "token", address: address)
            return self.finish(.failure(Self.unknownToken), since: 0, loop, completion)
        }
        self.lookUp(token, owner: nil, address, loop, completion)
    }

    /// Who comes in with a name and a secret (MQTT's CONNECT): `name` is the user's name or id, `secret` a device token or the password.
    ///
    /// With a token the device is the token's. With a password there is none, so all such connections of a user share one made from
    /// the user's id (`mqttDevice`): it can be shown, revoked by changing the password, and never collides with a signed-in device.
    ///
    /// A password that was right is remembered for a few minutes (`VerifiedPasswords`), so that a client that reconnects often does not
    /// cost 16 MiB and 50 ms each time. Tries are counted either way.
    package func authenticate(name: String, secret: String, address: AddressKey, loop: (any EventLoop)?, completion: @escaping Completion) {
        if let token = Token(text: secret, kind: .session) { return self.lookUp(token, owner: name, address, loop, completion) }
        let generation = self.tokens.withLock(\.generation)
        self.verify(name: name, password: secret, address: address, remembers: true) { result in
            let caller = result.map { Caller(user: $0.id, name: $0.name, role: $0.role, device: Self.mqttDevice(of: $0.id)) }
            self.finish(caller, since: generation, loop, completion)
        }
    }

    /// As `authenticate(token:address:loop:completion:)`, for async callers.
    package func authenticate(token: String, address: AddressKey) async throws(SkerryError) -> Caller {
        let result: Result<Caller, SkerryError> = await withCheckedContinuation { continuation in
            self.authenticate(token: token, address: address, loop: nil) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// The box belongs to the federation no more: tokens that it gave out open nothing from now on, and sessions with them end.
    package func removed(_ box: BoxID) {
        self.tokens.withLock { $0.forgetAll() }
        let (node, sessions) = (self.node, self.node.online.sessions)
        node.store.read { store in
            try sessions.filter { try store.device($0.device)?.stamp.origin == box }
        } completion: { result in
            guard case .success(let sessions) = result, !sessions.isEmpty else { return }
            node.publish(sessions.map { .endSessions($0.user, $0.device, .revoked) })
        }
    }

    /// Forgets what is remembered of a user's tokens: their account was changed by an entry of another box.
    package func forget(_ user: UserID) { self.ended([Ending(user: user, device: nil, reason: nil)]) }

    private func lookUp(_ token: Token, owner: String?, _ address: AddressKey, _ loop: (any EventLoop)?, _ completion: @escaping Completion) {
        let (hash, now) = (token.hash, self.node.clock.wall())
        let (cached, generation) = self.tokens.withLock { ($0.caller(hash, now: now), $0.generation) }
        if let cached, owner.map({ Self.names($0, cached) }) ?? true {
            return self.finish(.success(cached), since: generation, loop, completion)
        }
        self.node.store.read { store in
            let device = try store.device(tokenHash: hash)
            // Tokens that a removed box gave out die with it, whatever it wrote before (FEDERATION.md §3).
            if let device, try store.member(device.stamp.origin)?.entry.standing == .removed { throw Self.unknownToken }
            let user = try device.flatMap { try store.user($0.user) }
            return try SessionRules.check(device: device, user: user, now: now)
        } completion: { result in
            let caller = result.mapError(ChatService.refusal).flatMap { found -> Result<Caller, SkerryError> in
                let caller = Caller(user: found.user.id, name: found.user.name, role: found.user.role, device: found.device.id)
                if let owner, !Self.names(owner, caller) { return .failure(SessionRules.wrongPassword) }
                self.tokens.withLock { $0.keep(caller, hash: hash, expires: found.device.expiresMilliseconds, now: now, generation: generation) }
                return .success(caller)
            }
            if owner == nil, case .failure(let error) = caller { self.note(error, "token", address: address) }
            self.finish(caller, since: generation, loop, completion)
        }
    }

    /// Leaves the administrator a line, if the fault was the caller's and not the box's own.
    func note(_ error: SkerryError, _ by: StaticString, name: String? = nil, address: AddressKey?) {
        guard let address else { return }
        switch error.code {
        case .unauthenticated, .tokenExpired, .forbidden, .notFound, .gone, .rateLimited:
            self.refusals.note(by, reason: error.code.rawValue, name: name, address: address)
        default: break
        }
    }

    static func names(_ text: String, _ caller: Caller) -> Bool {
        text == caller.user.description || UserName.key(of: text) == UserName.key(of: caller.name)
    }

    func finish(_ result: Result<Caller, SkerryError>, since generation: UInt64, _ loop: (any EventLoop)?, _ completion: @escaping Completion) {
        if case .failure(let error) = result, error.code == .unauthenticated || error.code == .tokenExpired { self.node.metrics.add(.loginsRefused) }
        let answer: @Sendable () -> Void = {
            if case .success(let caller) = result, !self.tokens.withLock({ $0.stands(caller, since: generation) }) {
                completion(.failure(Self.unknownToken))
            } else {
                completion(result)
            }
        }
        if let loop, !loop.inEventLoop { loop.execute(answer) } else { answer() }
    }

    static var unknownToken: SkerryError { SkerryError(.unauthenticated, "This token is not valid here; sign in again.") }
}
