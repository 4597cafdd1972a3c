package import Account
package import NIOCore
package import SkerryModel
import Store
import Synchronization

/// A sign-in by SCRAM between the client's two messages.
package final class ScramSignIn: Sendable {
    fileprivate let exchange: ScramExchange
    /// Who the client says it is.
    var name: String { self.exchange.name }
    fileprivate let user: UserRecord?
    fileprivate let ladderKey: String
    fileprivate let address: AddressKey
    /// From before the user was read: a password that is changed, or an account that is locked, after that is noticed at the end.
    fileprivate let generation: UInt64

    fileprivate init(_ exchange: ScramExchange, _ user: UserRecord?, _ ladderKey: String, _ address: AddressKey, _ generation: UInt64) {
        self.exchange = exchange
        self.user = user
        self.ladderKey = ladderKey
        self.address = address
        self.generation = generation
    }
}

/// Coming in by SCRAM-SHA-256: the client proves that it knows the password without showing it, and the box that it knew it before.
///
/// A name that does not exist, one without a verifier and a wrong password are told apart by nothing: each gets a challenge, and each
/// fails at the end. A try counts at its first message, like one with a password, and against the same address and name.
extension AccountService {
    static let scramSecretName = "scram.secret"

    /// Reads the secret behind the salts of names that do not exist, or makes it: it has to outlive a restart, or the names that do exist
    /// would be those whose salts stay.
    package func prepareScram() async throws(SkerryError) {
        guard self.offersScram else { return }
        if let known = try await self.read({ store in try store.meta(Self.scramSecretName) }) { return self.scramSecret.withLock { $0 = known } }
        let fresh = self.scramSecret.withLock { $0 }
        do throws(SkerryError) {
            try await self.decide { log, _ in try log.store.setMeta(Self.scramSecretName, fresh) }
        } catch  where error.code == .storageLow {
            // A box with a full disk starts all the same; its secret is for this run.
        }
    }

    package var methods: [String] { self.offersScram ? [Scram.method] : [] }

    /// The client's first message; answers on `loop`.
    package func begin(
        _ message: [UInt8], address: AddressKey, loop: any EventLoop,
        completion: @escaping @Sendable (Result<(signIn: ScramSignIn, challenge: [UInt8]), SkerryError>) -> Void
    ) {
        let answer = { @Sendable (result: Result<(signIn: ScramSignIn, challenge: [UInt8]), SkerryError>) in
            if loop.inEventLoop { completion(result) } else { loop.execute { completion(result) } }
        }
        let generation = self.tokens.withLock(\.generation)
        let exchange: ScramExchange
        do {
            try self.count(address)
            exchange = try Self.read(message)
        } catch {
            return answer(.failure(error))
        }
        self.node.store.read { store in
            try Self.find(exchange.name, store)
        } completion: { found in
            answer(found.mapError(ChatService.refusal).flatMap { self.challenge(exchange, $0, address, generation) })
        }
    }

    private static func read(_ message: [UInt8]) throws(SkerryError) -> ScramExchange {
        do {
            return try ScramExchange(message)
        } catch {
            throw error.error
        }
    }

    private func challenge(
        _ exchange: ScramExchange, _ user: UserRecord?, _ address: AddressKey, _ generation: UInt64
    ) -> Result<(signIn: ScramSignIn, challenge: [UInt8]), SkerryError> {
        let ladderKey = user?.nameKey ?? exchange.name
        do throws(SkerryError) {
            try self.count(name: ladderKey)
        } catch {
            return .failure(error)
        }
        // Both are made and read in any case, so that every name takes as long.
        let unknown = ScramVerifier(unknown: UserName.key(of: exchange.name), secret: self.scramSecret.withLock { $0 })
        let kept = user?.scramVerifier ?? ""
        let verifier = ScramVerifier(encoded: kept.isEmpty ? unknown.encoded : kept)
        let isGenuine = !kept.isEmpty && verifier != nil
        var exchange = exchange
        let challenge = exchange.challenge(verifier ?? unknown, isGenuine: isGenuine, random: self.node.random.bytes(Scram.nonceByteCount))
        return .success((ScramSignIn(exchange, user, ladderKey, address, generation), challenge))
    }

    /// The client's final message; answers on `loop` with who it is and what proves the box to it.
    package func finish(
        _ signIn: ScramSignIn, _ message: [UInt8], loop: any EventLoop,
        completion: @escaping @Sendable (Result<(caller: Caller, proof: [UInt8]), SkerryError>) -> Void
    ) {
        do throws(SkerryError) {
            let (caller, proof) = try self.judge(signIn, message)
            self.finish(.success(caller), since: signIn.generation, loop) { completion($0.map { ($0, proof) }) }
        } catch {
            self.finish(.failure(error), since: signIn.generation, loop) { completion($0.map { ($0, []) }) }
        }
    }

    private func judge(_ signIn: ScramSignIn, _ message: [UInt8]) throws(SkerryError) -> (Caller, [UInt8]) {
        let proof: [UInt8]
        do {
            proof = try signIn.exchange.finish(message)
        } catch {
            throw error.error
        }
        guard let user = signIn.user else { throw SessionRules.wrongPassword }
        self.succeeded(signIn.address, name: signIn.ladderKey)
        guard !user.isLocked else { throw SessionRules.locked }
        return (Caller(user: user.id, name: user.name, role: user.role, device: Self.mqttDevice(of: user.id)), proof)
    }

    // MARK: - Verifiers

    /// A password was right: the user gets the verifier it lacks, or loses the one that nobody uses any more. On a password thread.
    func renewVerifier(_ user: UserRecord, _ password: Password) {
        let renewed: String
        if self.offersScram {
            if ScramVerifier(encoded: user.scramVerifier)?.iterations == ScramVerifier.standardIterations { return }
            var generator = NodeGenerator(random: self.node.random)
            guard let verifier = try? ScramVerifier(password, using: &generator) else { return }
            renewed = verifier.encoded
        } else {
            if user.scramVerifier.isEmpty { return }
            renewed = ""
        }
        // Nobody waits for it: what a full queue or disk refuses is tried again at the next sign-in.
        _ = self.node.commits.submit(loop: nil) { log in
            guard var current = try log.store.user(user.id), current.passwordHash == user.passwordHash, current.scramVerifier == user.scramVerifier else {
                return
            }
            current.scramVerifier = renewed
            try log.append(.user(UserEntry(current)))
        } completion: { (_: Result<Void, SkerryError>) in
        }
    }
}
