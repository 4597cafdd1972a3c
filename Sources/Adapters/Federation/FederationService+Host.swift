import Replication
package import SkerryModel
import SkerryNode

/// What the service needs to know of the machine it is on.
package struct FederationPlace: Sendable {
    package var name: String
    /// `address:port` of the federation listener, those that others can most likely reach first.
    package var endpoints: @Sendable () -> [String]
    /// Links for a box of this identity; told where to send what it hears, and whom to let in.
    package var transport:
        @Sendable (FederationIdentity, _ member: @escaping @Sendable ([UInt8]) -> BoxID?, @escaping @Sendable (TransportEvent) -> Void) throws ->
            any BridgeTransport

    /// The box belongs to the federation no more.
    package var removed: @Sendable (BoxID) -> Void = { _ in }
    /// What a peer said of its clock.
    package var clockHeard: @Sendable (BoxID, _ physical: UInt64, _ isSynced: Bool) -> Void = { _, _, _ in }

    package init(
        name: String, endpoints: @escaping @Sendable () -> [String],
        transport:
            @escaping @Sendable (FederationIdentity, _ member: @escaping @Sendable ([UInt8]) -> BoxID?, @escaping @Sendable (TransportEvent) -> Void)
            throws -> any BridgeTransport
    ) {
        self.name = name
        self.endpoints = endpoints
        self.transport = transport
    }
}

extension FederationService: MembershipHost {
    package nonisolated var name: String { self.place.name }
    package nonisolated func endpoints() -> [String] { self.place.endpoints() }
    package nonisolated func federationMilliseconds() -> UInt64 { self.node.clock.wall() }
    package nonisolated func monotonicMilliseconds() -> UInt64 { self.node.clock.monotonic() }

    package func members() async throws(SkerryError) -> [MemberEntry] {
        let check = self.memberCheck
        return try await self.replica.members().filter { check?($0) ?? false }
    }

    package func append(_ member: MemberEntry) async throws(SkerryError) {
        _ = try await self.node.commits.commit { log in try log.append(.member(member)) }
        await self.reloadMembers()
    }

    /// Also what only another member is known to hold so far: whoever wrote it was told that it is safe, and it still comes here.
    package func held(of box: BoxID) async throws(SkerryError) -> [LogEpoch: UInt64] {
        let held = try await self.replica.held(of: box)
        return held.merging(self.running?.engine.reach(of: box) ?? [:]) { max($0, $1) }
    }

    package func obstacle(toRetiring box: BoxID) async -> String? {
        guard box != self.node.box else { return "This is the box itself: retire it from another one." }
        guard self.view.peers.contains(box), let sync = self.sync[box] else {
            return "It cannot be reached, so nobody knows what only it has. Switch it on and wait until it is in sync, or say that it is lost."
        }
        guard sync.ahead == 0 else { return "It still has \(sync.ahead) entries that no other box holds. Wait until they have been fetched." }
        return nil
    }

    package func adopt(_ identity: FederationIdentity, members: [MemberEntry]) async throws(SkerryError) {
        if let running = self.running {
            // The same federation: only what this box may do in it has changed.
            if running.federation == identity.federation { return }
            await self.leave()
        }
        let check: @Sendable (MemberEntry) -> Bool = { identity.isGood($0) }
        self.memberCheck = check
        self.replica.checkMembers(check)
        try await self.replica.adopt(members.filter(check))
        try await self.join(identity)
    }

    private func join(_ identity: FederationIdentity) async throws(SkerryError) {
        // Listening first: what is appended between the two is in both, and nothing in neither.
        self.replica.listen(self)
        let stored = try await self.replica.load()
        let random = self.node.random
        let engine = ReplicationEngine(
            box: self.node.box, federation: identity.federation, keys: identity.batchKeys, stored: stored, limits: self.limits, random: { random.next() })
        let view = self.view
        let transport: any BridgeTransport
        do {
            transport = try self.place.transport(identity, { key in view.member(publicKey: key) }) { [weak self] event in self?.enter { $0.hear(event) } }
        } catch {
            throw SkerryError(.unavailable, "Links to other boxes cannot be made: \(error)")
        }
        self.running = Running(federation: identity.federation, engine: engine, transport: transport, members: [:])
        self.view.start = StartMark(counter: stored.startCounter, nonce: stored.startNonce)
        self.view.federation = identity.federation
        for feature in self.features { feature.joined(identity.federation) }
        self.view.hints = Dictionary(
            stored.kept.compactMap { name, value in
                guard name.hasPrefix(Self.hintName), let box = BoxID(text: name.dropFirst(Self.hintName.count)) else { return nil }
                return (box, String(decoding: value, as: UTF8.self).split(separator: "\n").map(String.init))
            }
        ) { first, _ in first }
        for run in self.early { self.step(.appended(run)) }
        self.early = []
        await self.reloadMembers()
    }
}
