import Account
import Crypto
import NIOCore
package import SkerryModel
import Store
import Synchronization

/// The parts that every use case with a password or a decision shares.
extension AccountService {
    /// Whose name and password these are. A wrong name, a wrong password and a user without one are answered alike and take as long.
    ///
    /// - Parameter remembers: a right password is remembered for a few minutes, and a remembered one is not hashed again.
    func verify(
        name: String, password: String, address: AddressKey?, remembers: Bool, completion: @escaping @Sendable (Result<UserRecord, SkerryError>) -> Void
    ) {
        do {
            if let address { try self.count(address) }
        } catch {
            if !remembers { self.note(error, "password", address: address) }
            return completion(.failure(error))
        }
        self.node.store.read { store in
            try Self.find(name, store)
        } completion: { result in
            switch result {
            case .failure(let error): completion(.failure(ChatService.refusal(error)))
            case .success(let user): self.verify(user, name, password, address, remembers, completion)
            }
        }
    }

    private func verify(
        _ user: UserRecord?, _ name: String, _ password: String, _ address: AddressKey?, _ remembers: Bool,
        _ completion: @escaping @Sendable (Result<UserRecord, SkerryError>) -> Void
    ) {
        let ladderKey = user?.nameKey ?? name
        let refuse = { @Sendable (error: SkerryError) in
            if !remembers { self.note(error, "password", name: user?.name, address: address) }
            completion(.failure(error))
        }
        do {
            try self.count(name: ladderKey)
        } catch {
            return refuse(error)
        }
        let now = self.node.clock.monotonic()
        var key: [UInt8]?
        if remembers, let user, !user.passwordHash.isEmpty, password.utf8.count <= 4 * self.node.limits.passwordCharactersMax {
            key = self.verified.withLock { $0.key(user, password) }
        }
        let remembered = key
        if let user, let remembered, self.verified.withLock({ $0.contains(remembered, now: now) }) {
            self.succeeded(address, name: ladderKey)
            return user.isLocked ? refuse(SessionRules.locked) : completion(.success(user))
        }
        let offered = Password(offered: password, limits: self.node.limits)
        let isQueued = self.passwords.run {
            guard PasswordHash.verify(offered, against: user?.passwordHash, cost: self.cost), let user else {
                return refuse(SessionRules.wrongPassword)
            }
            self.succeeded(address, name: ladderKey)
            if let remembered { self.verified.withLock { $0.keep(remembered, now: now) } }
            if user.isLocked { return refuse(SessionRules.locked) }
            completion(.success(user))
            self.renewVerifier(user, offered)
        }
        if !isQueued { completion(.failure(Self.passwordsBusy)) }
    }

    func verify(name: String, password: String, address: AddressKey?) async throws(SkerryError) -> UserRecord {
        let result: Result<UserRecord, SkerryError> = await withCheckedContinuation { continuation in
            self.verify(name: name, password: password, address: address, remembers: false) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// What is kept of a chosen password, made on the password threads.
    func hash(_ password: Password) async throws(SkerryError) -> KeptPassword {
        let result: Result<KeptPassword, SkerryError> = await withCheckedContinuation { continuation in
            let isQueued = self.passwords.run {
                var generator = NodeGenerator(random: self.node.random)
                do throws(SkerryError) {
                    let hash = try PasswordHash(password, cost: self.cost, using: &generator).encoded
                    let verifier = self.offersScram ? try ScramVerifier(password, using: &generator).encoded : ""
                    continuation.resume(returning: .success(KeptPassword(hash: hash, scramVerifier: verifier)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
            if !isQueued { continuation.resume(returning: .failure(Self.passwordsBusy)) }
        }
        return try result.get()
    }

    static var passwordsBusy: SkerryError { SkerryError(.busy, "Too many sign-ins at once; try again in a moment.", retryAfterSeconds: 2) }

    /// By id first: a name that looks like somebody's id must not take that person's place.
    static func find(_ name: String, _ store: any StoreReading) throws -> UserRecord? {
        if let id = UserID(text: name), let user = try store.user(id) { return user }
        guard name.utf8.count <= 160 else { return nil }
        return try store.user(nameKey: UserName.key(of: name))
    }

    // MARK: Limits

    /// Counts a try from `address`; throws when there were too many.
    func count(_ address: AddressKey) throws(SkerryError) {
        let now = self.node.clock.monotonic()
        do throws(SkerryError) {
            try self.limiter.withLock { limiter throws(SkerryError) in try limiter.attempt(address, now: now) }
        } catch {
            self.node.metrics.add(.loginsLimited)
            throw error
        }
    }

    func count(name: String) throws(SkerryError) {
        let now = self.node.clock.monotonic()
        do throws(SkerryError) {
            try self.limiter.withLock { limiter throws(SkerryError) in try limiter.attempt(name: name, now: now) }
        } catch {
            self.node.metrics.add(.loginsLimited)
            throw error
        }
    }

    func succeeded(_ address: AddressKey?, name: String?) {
        guard let address else { return }
        self.limiter.withLock { $0.succeeded(address, name: name) }
    }

    // MARK: Deciding

    /// One decision: facts, rule, entries, in one job of the commit queue. What it ends is forgotten and told after the commit, and every shard
    /// has heard of it when this returns: whoever is told that a right was taken away may rely on it.
    func decide<Value: Sendable>(
        _ work: @escaping @Sendable (inout LogTransaction, inout [Ending]) throws -> Value
    ) async throws(SkerryError) -> Value {
        let result: Result<Decision<Value>, SkerryError> = await withCheckedContinuation { continuation in
            let isQueued = self.node.commits.submit(loop: nil) { log in
                var endings: [Ending] = []
                let value = try work(&log, &endings)
                for ending in endings { if let reason = ending.reason { log.events.append(.endSessions(ending.user, ending.device, reason)) } }
                return Decision(value: value, endings: endings, isToHear: !log.events.isEmpty)
            } completion: { (result: Result<Decision<Value>, SkerryError>) in
                // On the writer's thread, before the queue publishes the events of this commit.
                if case .success(let decision) = result { self.ended(decision.endings) }
                continuation.resume(returning: result)
            }
            if !isQueued { continuation.resume(returning: .failure(CommitQueue.busy)) }
        }
        let decision = try result.get()
        if decision.isToHear { await self.node.heard() }
        return decision.value
    }

    private struct Decision<Value: Sendable>: Sendable {
        var value: Value
        var endings: [Ending]
        /// Whether shards are told of it.
        var isToHear: Bool
    }

    func read<Value: Sendable>(_ work: @escaping @Sendable (any StoreReading) throws -> Value) async throws(SkerryError) -> Value {
        do {
            return try await self.node.store.read(work)
        } catch {
            throw ChatService.refusal(error)
        }
    }

    func ended(_ endings: [Ending]) {
        if endings.isEmpty { return }
        self.tokens.withLock { tokens in for ending in endings { tokens.end(ending) } }
    }

    /// The device that stands for all of a user's MQTT connections made with the password: SHA-256 of `skerry mqtt` and the user's id.
    package static func mqttDevice(of user: UserID) -> DeviceID {
        var hash = SHA256()
        hash.update(data: Array("skerry mqtt".utf8))
        hash.update(data: [0])
        hash.update(data: user.bytes)
        return DeviceID(bytes: Array(hash.finalize()).prefix(16)) ?? DeviceID(user.value)
    }
}
