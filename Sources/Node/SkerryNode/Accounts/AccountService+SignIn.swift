package import Account
package import SkerryModel
import Store

/// Coming in: claim, login, invite, reset; and going.
extension AccountService {
    /// Makes the first administrator. The link works once, and only while there is no administrator.
    package func claim(token: String, name: String, password: String, device: String?, address: AddressKey) async throws(SkerryError) -> SignedIn {
        let hash = try await self.linkHash(token, .claim, address)
        let (name, password, device) = try self.chosen(name, password, device)
        let now = self.node.clock.wall()
        // Before the costly part, and again where it counts.
        try await self.readLink(address) { store in _ = try Self.claim(hash, now, store) }
        let kept = try await self.hash(password)
        let signedIn = try await self.decide { (log: inout LogTransaction, endings: inout [Ending]) in
            let now = self.node.clock.wall()
            let record = try Self.claim(hash, now, log.store)
            let user = try self.createUser(name, kept, .admin, &log)
            try log.append(.invite(InviteEntry(InviteRules.using(record))))
            return try self.issue(to: user, device, &log, &endings)
        }
        self.succeeded(address, name: name.key)
        self.tellClaimed()
        return signedIn
    }

    /// Signs a device in. Also the moment at which a hash of an older cost is made anew.
    package func login(name: String, password: String, device: String?, address: AddressKey) async throws(SkerryError) -> SignedIn {
        let device = try self.deviceName(device)
        let user: UserRecord
        do {
            user = try await self.verify(name: name, password: password, address: address)
        } catch {
            if error.code == .unauthenticated { self.node.metrics.add(.loginsRefused) }
            throw error
        }
        var renewed: KeptPassword?
        if PasswordHash(encoded: user.passwordHash)?.needsRehash(for: self.cost) == true, let chosen = try? Password(new: password, limits: self.node.limits) {
            renewed = try? await self.hash(chosen)
        }
        let kept = renewed
        return try await self.decide { log, endings in
            // The password may have been changed, or the account locked, while this one was being hashed.
            guard var current = try log.store.user(user.id), current.passwordHash == user.passwordHash else { throw SessionRules.wrongPassword }
            guard !current.isLocked else { throw SessionRules.locked }
            if let kept {
                current.keep(kept)
                try log.append(.user(UserEntry(current)))
            }
            return try self.issue(to: current, device, &log, &endings)
        }
    }

    /// The token of the caller's device is gone; its live sessions end.
    package func logout(_ caller: Caller) async throws(SkerryError) {
        try await self.decide { log, endings in
            guard let device = try log.store.device(caller.device), device.user == caller.user, !device.isRevoked else { return }
            try self.revoke(device, .revoked, &log, &endings)
        }
    }

    /// What the bearer of an invite link would become, without using it up.
    package func checkInvite(token: String, address: AddressKey) async throws(SkerryError) -> (role: Role, expiresMilliseconds: UInt64) {
        let hash = try await self.linkHash(token, .invite, address)
        let now = self.node.clock.wall()
        let found = try await self.readLink(address) { store in
            let (record, role) = try InviteRules.join(try store.invite(tokenHash: hash), now: now)
            return (role: role, expiresMilliseconds: record.expiresMilliseconds)
        }
        self.succeeded(address, name: nil)
        return found
    }

    /// Makes an account for the bearer of an invite link.
    package func acceptInvite(token: String, name: String, password: String, device: String?, address: AddressKey) async throws(SkerryError) -> SignedIn {
        let hash = try await self.linkHash(token, .invite, address)
        let (name, password, device) = try self.chosen(name, password, device)
        let now = self.node.clock.wall()
        try await self.readLink(address) { store in
            _ = try InviteRules.join(try store.invite(tokenHash: hash), now: now)
            if try store.user(nameKey: name.key) != nil { throw Self.nameTaken }
        }
        let kept = try await self.hash(password)
        let signedIn = try await self.decide { (log: inout LogTransaction, endings: inout [Ending]) in
            let (record, role) = try InviteRules.join(try log.store.invite(tokenHash: hash), now: self.node.clock.wall())
            let user = try self.createUser(name, kept, role, &log)
            try log.append(.invite(InviteEntry(InviteRules.using(record))))
            return try self.issue(to: user, device, &log, &endings)
        }
        self.succeeded(address, name: name.key)
        return signedIn
    }

    /// Sets a new password by a reset link: every other device of the user is signed out.
    package func reset(token: String, password: String, device: String?, address: AddressKey) async throws(SkerryError) -> SignedIn {
        let hash = try await self.linkHash(token, .reset, address)
        let device = try self.deviceName(device)
        let chosen = try Password(new: password, limits: self.node.limits)
        let now = self.node.clock.wall()
        try await self.readLink(address) { store in _ = try InviteRules.reset(try store.invite(tokenHash: hash), now: now) }
        let kept = try await self.hash(chosen)
        let signedIn = try await self.decide { (log: inout LogTransaction, endings: inout [Ending]) in
            let (record, id) = try InviteRules.reset(try log.store.invite(tokenHash: hash), now: self.node.clock.wall())
            guard var user = try log.store.user(id) else { throw InviteRules.unknown }
            guard !user.isLocked else { throw SessionRules.locked }
            user.keep(kept)
            try log.append(.user(UserEntry(user)))
            try log.append(.invite(InviteEntry(InviteRules.using(record))))
            for old in try log.store.devices(of: id, now: self.node.clock.wall()) { try log.append(.device(DeviceEntry(revoking: old))) }
            endings.append(Ending(user: id, device: nil, reason: .revoked))
            return try self.issue(to: user, device, &log, &endings)
        }
        self.succeeded(address, name: signedIn.user.nameKey)
        return signedIn
    }

    // MARK: - Parts

    /// The hash of a link's token. A malformed one is answered like an unknown one, and either counts as a try of the address.
    private func linkHash(_ token: String, _ kind: Token.Kind, _ address: AddressKey) async throws(SkerryError) -> [UInt8] {
        do throws(SkerryError) {
            try self.count(address)
            guard let token = Token(text: token, kind: kind) else { throw InviteRules.unknown }
            return token.hash
        } catch {
            self.note(error, "link", address: address)
            throw error
        }
    }

    /// What the store says of a link; whoever came with a wrong one is noted.
    private func readLink<Value: Sendable>(
        _ address: AddressKey, _ work: @escaping @Sendable (any StoreReading) throws -> Value
    ) async throws(SkerryError) -> Value {
        do throws(SkerryError) {
            return try await self.read(work)
        } catch {
            self.note(error, "link", address: address)
            throw error
        }
    }

    private static func claim(_ hash: [UInt8], _ now: UInt64, _ store: any StoreReading) throws -> InviteRecord {
        try ClaimRules.check(try store.invite(tokenHash: hash), hasAdministrator: try store.administrators(atMost: 1) > 0, now: now)
    }

    func chosen(_ name: String, _ password: String, _ device: String?) throws(SkerryError) -> (UserName, Password, String) {
        (try UserName(name, limits: self.node.limits), try Password(new: password, limits: self.node.limits), try self.deviceName(device))
    }

    func deviceName(_ text: String?) throws(SkerryError) -> String {
        let text = text ?? ""
        guard text.utf8.count <= self.node.limits.deviceNameBytesMax, !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw SkerryError(.payloadInvalid, "A device's name has at most \(self.node.limits.deviceNameBytesMax) bytes.", field: "device")
        }
        return text
    }

    static var nameTaken: SkerryError { SkerryError(.conflict, "Somebody on this box has this name already; choose another.", field: "name") }

    func createUser(_ name: UserName, _ password: KeptPassword, _ role: Role, _ log: inout LogTransaction) throws -> UserRecord {
        guard try log.store.user(nameKey: name.key) == nil else { throw Self.nameTaken }
        let id: UserID = self.node.random.identifier()
        let entry = UserEntry(
            id: id, name: name.text, display: name.text, role: role, isLocked: false, passwordHash: password.hash,
            scramVerifier: password.scramVerifier, createdMilliseconds: self.node.clock.wall())
        try log.append(.user(entry))
        guard let user = try log.store.user(id) else { throw SkerryError(.unavailable, "The box could not make the account.") }
        return user
    }

    /// A new device with a token of its own. Beyond `devicesPerUserMax` the oldest device is signed out.
    func issue(to user: UserRecord, _ device: String, _ log: inout LogTransaction, _ endings: inout [Ending]) throws -> SignedIn {
        let now = self.node.clock.wall()
        let devices = try log.store.devices(of: user.id, now: now)
        let excess = devices.count - max(1, self.node.limits.devicesPerUserMax) + 1
        for old in devices.prefix(max(0, excess)) { try self.revoke(old, .revoked, &log, &endings) }
        var generator = NodeGenerator(random: self.node.random)
        let token = Token.random(.session, using: &generator)
        let id: DeviceID = self.node.random.identifier()
        let expires = SessionRules.expiry(now: now, limits: self.node.limits)
        try log.append(
            .device(
                DeviceEntry(
                    id: id, user: user.id, tokenHash: token.hash, name: device, createdMilliseconds: now, expiresMilliseconds: expires, isRevoked: false)))
        return SignedIn(token: token, user: user, device: id, expiresMilliseconds: expires)
    }

    func revoke(_ device: DeviceRecord, _ reason: SessionEnd, _ log: inout LogTransaction, _ endings: inout [Ending]) throws {
        try log.append(.device(DeviceEntry(revoking: device)))
        endings.append(Ending(user: device.user, device: device.id, reason: reason))
    }
}

extension AccountReading {
    /// Unlocked administrators, counted up to `limit`. Reads through the users: only for what happens rarely.
    func administrators(atMost limit: Int) throws -> Int {
        var (count, after) = (0, "")
        while count < limit {
            let users = try self.users(prefix: "", after: after, limit: 500)
            count += users.count { $0.role == .admin && !$0.isLocked }
            guard users.count == 500, let last = users.last else { break }
            after = last.nameKey
        }
        return min(count, limit)
    }
}
