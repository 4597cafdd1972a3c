import Account
package import ChatCodec
package import SkerryModel
import Store

/// What administrators do with the accounts of others, over the network or from the command line of the box.
extension AccountService {
    // MARK: The claim link

    package func isClaimed() async throws(SkerryError) -> Bool {
        try await self.read { store in try store.administrators(atMost: 1) > 0 }
    }

    /// A new claim link; earlier ones stop working. Refused once there is an administrator.
    package func openClaim() async throws(SkerryError) -> IssuedLink {
        try await self.decide { log, _ in
            try ClaimRules.checkOpening(hasAdministrator: try log.store.administrators(atMost: 1) > 0)
            let now = self.node.clock.wall()
            for var old in try log.store.openInvites(now: now) where old.purpose == .claim {
                old.isRevoked = true
                try log.append(.invite(InviteEntry(old)))
            }
            return try self.issueLink(.claim, .claim, uses: 1, expires: ClaimRules.expiry(now: now, limits: self.node.limits), by: nil, &log)
        }
    }

    // MARK: Invites

    /// Links for new people that can still be used, newest first.
    package func invites(by actor: Actor) async throws(SkerryError) -> [InviteRecord] {
        let now = self.node.clock.wall()
        return try await self.read { store in
            _ = try Self.administrator(actor, store)
            return try store.openInvites(now: now).filter { if case .join = $0.purpose { true } else { false } }
        }
    }

    package func createInvite(role: Role, uses: Int, hours: Int, by actor: Actor) async throws(SkerryError) -> IssuedLink {
        try InviteRules.check(uses: uses, hours: hours)
        return try await self.decide { log, _ in
            try Self.administrator(actor, log.store)
            let now = self.node.clock.wall()
            guard try log.store.openInvites(now: now).count < Self.openLinksMax else {
                throw SkerryError(.quotaExceeded, "There are \(Self.openLinksMax) open links already; withdraw some first.")
            }
            return try self.issueLink(.join(role), .invite, uses: UInt32(uses), expires: InviteRules.expiry(now: now, hours: hours), by: actor.user, &log)
        }
    }

    package func revokeInvite(_ id: InviteID, by actor: Actor) async throws(SkerryError) {
        try await self.decide { log, _ in
            try Self.administrator(actor, log.store)
            guard var record = try log.store.invite(id), case .join = record.purpose else { throw SkerryError(.notFound, "There is no such invite.") }
            if record.isRevoked { return }
            record.isRevoked = true
            try log.append(.invite(InviteEntry(record)))
        }
    }

    /// Links that can be open at the same time; more is `quota_exceeded`.
    static let openLinksMax = 1_000

    // MARK: Users

    /// Users by name, from after the key `after`.
    package func users(prefix: String = "", after: String?, limit: Int, by actor: Actor) async throws(SkerryError) -> AccountPage<UserSummary> {
        let (now, online) = (self.node.clock.wall(), self.node.online)
        return try await self.read { store in
            try Self.administrator(actor, store)
            let rows = try store.users(prefix: UserName.key(of: prefix), after: UserName.key(of: after ?? ""), limit: limit + 1)
            let items = try rows.prefix(limit).map {
                UserSummary(user: $0, isOnline: online.isOnline($0.id), devices: try store.devices(of: $0.id, now: now).count)
            }
            return AccountPage(items: items, next: rows.count > items.count ? items.last?.user.nameKey : nil)
        }
    }

    /// - Parameter password: nil for a user who will set one by a reset link, or only ever has tokens.
    package func createUser(name: String, password: String?, role: Role, by actor: Actor) async throws(SkerryError) -> UserRecord {
        let name = try UserName(name, limits: self.node.limits)
        var kept = KeptPassword()
        if let password {
            let chosen = try Password(new: password, limits: self.node.limits)
            try await self.read { store in
                try Self.administrator(actor, store)
                if try store.user(nameKey: name.key) != nil { throw Self.nameTaken }
            }
            kept = try await self.hash(chosen)
        }
        let keptPassword = kept
        return try await self.decide { log, _ in
            try Self.administrator(actor, log.store)
            return try self.createUser(name, keptPassword, role, &log)
        }
    }

    /// Locks an account: its live sessions end, its tokens open nothing until it is unlocked.
    package func lock(_ user: UserReference, by actor: Actor) async throws(SkerryError) { try await self.setLocked(true, user, actor) }
    package func unlock(_ user: UserReference, by actor: Actor) async throws(SkerryError) { try await self.setLocked(false, user, actor) }

    private func setLocked(_ isLocked: Bool, _ reference: UserReference, _ actor: Actor) async throws(SkerryError) {
        try await self.decide { log, endings in
            try Self.administrator(actor, log.store)
            var user = try Self.user(reference, log.store)
            guard user.isLocked != isLocked else { return }
            if isLocked { try RoleRules.checkLock(user, administrators: try log.store.administrators(atMost: 2)) }
            user.isLocked = isLocked
            try log.append(.user(UserEntry(user)))
            endings.append(Ending(user: user.id, device: nil, reason: isLocked ? .locked : nil))
        }
    }

    /// Gives a user another role. Whoever loses one is made to connect again, so that no session keeps what the role allowed.
    package func setRole(_ role: Role, of reference: UserReference, by actor: Actor) async throws(SkerryError) -> UserRecord {
        try await self.decide { log, endings in
            try Self.administrator(actor, log.store)
            var user = try Self.user(reference, log.store)
            guard user.role != role else { return user }
            try RoleRules.checkRole(role, for: user, administrators: try log.store.administrators(atMost: 2))
            user.role = role
            user.stamp = try log.append(.user(UserEntry(user)))
            // MQTT sessions, those that are away among them, are judged by the new role at once; wills are.
            log.events.append(.roleChanged(user.id, role))
            endings.append(Ending(user: user.id, device: nil, reason: role == .user ? .shutdown : nil))
            return user
        }
    }

    /// A one-time link by which the user sets a new password; earlier ones of theirs stop working.
    package func createReset(for reference: UserReference, by actor: Actor) async throws(SkerryError) -> IssuedLink {
        try await self.decide { log, _ in
            try Self.administrator(actor, log.store)
            let user = try Self.user(reference, log.store)
            let now = self.node.clock.wall()
            for var old in try log.store.openInvites(now: now) where old.purpose == .reset(user.id) {
                old.isRevoked = true
                try log.append(.invite(InviteEntry(old)))
            }
            let expires = InviteRules.expiry(now: now, hours: self.node.limits.resetHours)
            return try self.issueLink(.reset(user.id), .reset, uses: 1, expires: expires, by: actor.user, &log)
        }
    }

    /// A device token for a user, without their password: for MQTT devices and scripts, from the box's command line.
    package func issueToken(for reference: UserReference, device: String?, by actor: Actor) async throws(SkerryError) -> SignedIn {
        let device = try self.deviceName(device)
        return try await self.decide { log, endings in
            try Self.administrator(actor, log.store)
            let user = try Self.user(reference, log.store)
            guard !user.isLocked else { throw SkerryError(.conflict, "The account is locked; unlock it first.") }
            return try self.issue(to: user, device, &log, &endings)
        }
    }

    // MARK: Parts

    private func issueLink(
        _ purpose: InviteRecord.Purpose, _ kind: Token.Kind, uses: UInt32, expires: UInt64, by: UserID?, _ log: inout LogTransaction
    ) throws -> IssuedLink {
        var generator = NodeGenerator(random: self.node.random)
        let token = Token.random(kind, using: &generator)
        let id: InviteID = self.node.random.identifier()
        try log.append(
            .invite(
                InviteEntry(
                    id: id, tokenHash: token.hash, purpose: purpose, uses: uses, used: 0, createdBy: by, createdMilliseconds: self.node.clock.wall(),
                    expiresMilliseconds: expires, isRevoked: false)))
        return IssuedLink(id: id, token: token, expiresMilliseconds: expires)
    }

    /// Whether the actor may administer, as the store has it now: a role that was taken back a moment ago counts no more.
    static func administrator(_ actor: Actor, _ store: any StoreReading) throws {
        guard case .caller(let caller) = actor else { return }
        guard let user = try store.user(caller.user), !user.isLocked else { throw Self.unknownToken }
        try RoleRules.requireAdministrator(user)
    }

    static func user(_ reference: UserReference, _ store: any StoreReading) throws -> UserRecord {
        let user: UserRecord?
        switch reference {
        case .id(let id): user = try store.user(id)
        case .name(let key): user = try store.user(nameKey: key)
        }
        guard let user else { throw SkerryError(.notFound, "There is no such person on this box.") }
        return user
    }
}
