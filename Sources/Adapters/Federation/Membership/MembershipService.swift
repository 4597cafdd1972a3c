package import Crypto
package import Logging
package import Replication
package import SkerryModel
package import SkerryNode
import NIOPosix
import Synchronization

/// How boxes come into the federation and go (FEDERATION.md §3): founds it, makes and takes tokens, joins, removes, and keeps the CA's key.
///
/// Everything that counts is a row of the member list, signed by the CA and appended to the control log by way of the host; here is only what leads to one.
package actor MembershipService: PairingControl {
    package struct Timing: Sendable {
        /// Between two questions of a box that waits for an approval.
        package var pollMilliseconds: UInt64 = 2_000
        /// How long `join` waits before it answers with how far it is.
        package var answerMilliseconds: UInt64 = 8_000
        /// How often the other box is tried before joining fails, and how long apart.
        package var dials = 3
        package var redialMilliseconds: UInt64 = 2_000
        /// How long a box goes on asking whether it was approved.
        package var patienceMilliseconds: UInt64 = 2_400_000
        package var announceMilliseconds: UInt64 = 600_000

        package init() {}
    }

    /// Active boxes of one federation; one more is refused.
    package static let boxesMax = 32
    static let passphraseCharactersMin = 8

    package nonisolated let box: BoxID
    package nonisolated let words: String
    nonisolated let boxKey: P256.Signing.PrivateKey
    nonisolated let directory: String
    nonisolated let software: String
    nonisolated let logger: Logger
    nonisolated let metrics: NodeMetrics
    nonisolated let random: NodeRandom
    let timing: Timing
    private let deskLimits: PairingDesk.Limits
    private nonisolated let current: Mutex<FederationIdentity?>
    private nonisolated let announcing = Mutex<UInt64>(0)
    private nonisolated let speaker = Mutex<(@Sendable () -> Void)?>(nil)

    private weak var attached: (any MembershipHost)?
    var desk: PairingDesk
    var nearby = NearbyBoxes()
    var joining: PairingProgress = .idle
    var joiner: Task<Void, Never>?
    var listeners: [CheckedContinuation<Void, Never>] = []
    /// `join` has waited long enough and answers with how far it is.
    var isPatienceOver = false

    /// Reads what the box is to a federation from `directory`.
    package init(
        boxKey: P256.Signing.PrivateKey, directory: String, software: String, random: NodeRandom = .system, metrics: NodeMetrics, logger: Logger,
        desk: PairingDesk.Limits = PairingDesk.Limits(), timing: Timing = Timing()
    ) throws(FederationIdentityError) {
        guard let box = FederationCertificates.box(of: boxKey.publicKey) else { throw FederationIdentityError("The box id could not be made from the key.") }
        self.box = box
        self.words = FingerprintWords.text(publicKey: Array(boxKey.publicKey.derRepresentation))
        self.boxKey = boxKey
        self.directory = directory
        self.software = software
        self.random = random
        self.metrics = metrics
        self.logger = logger
        self.timing = timing
        self.deskLimits = desk
        self.desk = PairingDesk(desk)
        self.current = Mutex(try FederationIdentity.load(directory: directory, boxKey: boxKey))
    }

    /// Nil: the box is of no federation. May be asked from anywhere, in every handshake.
    package nonisolated var identity: FederationIdentity? { self.current.withLock { $0 } }
    package nonisolated var federation: FederationID? { self.identity?.federation }
    package nonisolated var isIssuer: Bool { self.identity?.isIssuer ?? false }

    /// For the store: whether a row of the member list counts here.
    package nonisolated var memberCheck: @Sendable (MemberEntry) -> Bool {
        { [weak self] member in self?.identity?.isGood(member) ?? false }
    }

    /// From now on `host` is asked and told. If the box is of a federation, `host.adopt` is called before this returns.
    package func start(_ host: any MembershipHost) async throws(SkerryError) {
        self.attached = host
        guard let identity = self.identity else { return }
        try await host.adopt(identity, members: self.storedRows(of: identity))
        if identity.isIssuer { try await self.ensureRow(identity, host) }
        self.forgetStoredRows()
    }

    package func stop() {
        self.joiner?.cancel()
        self.joiner = nil
        self.attached = nil
    }

    func host() throws(SkerryError) -> any MembershipHost {
        guard let host = self.attached else { throw SkerryError(.unavailable, "The box is starting or stopping; try again shortly.", retryAfterSeconds: 2) }
        return host
    }

    // MARK: - Founding and inviting

    /// The federation, made first if there is none; afterwards this box is in its member list.
    func found(_ host: any MembershipHost) async throws(SkerryError) -> FederationIdentity {
        let identity: FederationIdentity
        if let present = self.identity {
            identity = present
        } else {
            if case .connecting = self.joining { throw Self.busyJoining }
            if case .waiting = self.joining { throw Self.busyJoining }
            do throws(FederationIdentityError) {
                identity = try FederationIdentity.found(boxKey: self.boxKey)
                try identity.store(directory: self.directory)
            } catch {
                throw SkerryError(.unavailable, error.description)
            }
            self.current.withLock { $0 = identity }
            self.logger.notice("a federation was founded", metadata: ["federation": "\(identity.federation)", "box": "\(self.box)"])
            try await host.adopt(identity, members: [])
        }
        if identity.isIssuer { try await self.ensureRow(identity, host) }
        return identity
    }

    /// The issuer's own row: the start of a new federation, or missing because the box stopped in between.
    private func ensureRow(_ identity: FederationIdentity, _ host: any MembershipHost) async throws(SkerryError) {
        let stored = try await host.members().first { $0.box == self.box }
        if let stored, stored.isIssuer, stored.logKey == identity.logKey, stored.standing == .active, identity.isGood(stored) { return }
        guard stored?.standing != .removed else { return }
        let version = MemberRules.nextVersion(after: stored, milliseconds: host.federationMilliseconds())
        let row = MemberEntry(
            box: self.box, name: MemberRules.name(host.name), publicKey: identity.publicKey, logKey: identity.logKey,
            endpoints: Self.endpoints(host), isIssuer: true, version: version)
        guard let signed = identity.signed(row) else { return }
        try await host.append(signed)
    }

    static func endpoints(_ host: any MembershipHost) -> [String] {
        Array(host.endpoints().filter { $0.utf8.count <= MemberEntry.endpointBytesMax }.prefix(MemberEntry.endpointsMax))
    }

    /// An issuer's identity, or why this box is none and which one is.
    func issuer(_ host: any MembershipHost) async throws(SkerryError) -> FederationIdentity {
        guard let identity = self.identity else {
            throw SkerryError(.conflict, "This box is of no federation. `skerry pair invite` founds one, `skerry pair join` joins one.")
        }
        guard identity.isIssuer else {
            let issuers = try await host.members().filter { $0.isIssuer && $0.standing == .active }.map { $0.name.isEmpty ? $0.box.description : $0.name }
            let which = issuers.isEmpty ? "none that this box knows: restore the recovery file with `skerry pair restore`" : issuers.joined(separator: ", ")
            throw SkerryError(.conflict, "Only a box that has the federation's CA key may do this; that is \(which).")
        }
        return identity
    }

    package func invite(waits: Bool) async throws(SkerryError) -> PairingInvite {
        let host = try self.host()
        let addresses = host.endpoints().compactMap { PairingToken.Address($0) }.prefix(PairingToken.addressesMax)
        guard !addresses.isEmpty else {
            throw SkerryError(
                .unavailable, "The federation listener is not open, so no box could come. Set federation.port, look at the log, and restart the box.")
        }
        _ = try await self.found(host)
        let identity = try await self.issuer(host)
        let secret = self.random.bytes(PairingToken.secretBytes)
        guard self.desk.open(secret, waits: waits, now: host.monotonicMilliseconds()) else {
            throw SkerryError(.quotaExceeded, "Too many tokens are open. Use one of them, or wait until they expire.", retryAfterSeconds: 600)
        }
        let expires = host.federationMilliseconds() + self.deskLimits.lifetimeMilliseconds
        let token = PairingToken(
            authorityHash: FederationCertificates.hash(of: identity.authorityPublicKey), secret: secret, addresses: Array(addresses),
            expiresSeconds: expires / 1_000)
        self.logger.notice("a pairing token was made", metadata: ["approval": "\(waits)"])
        return PairingInvite(
            token: token.description, addresses: addresses.map(\.description), expiresMilliseconds: expires, words: self.words)
    }

    // MARK: - Who wants to come in

    package func candidates() async -> [PairingCandidate] {
        guard let host = self.attached else { return [] }
        let (now, time) = (host.monotonicMilliseconds(), host.federationMilliseconds())
        func since(_ monotonic: UInt64) -> UInt64 { time &- min(time, now &- min(now, monotonic)) }
        let waiting = self.desk.waiting(now: now).map { waiting in
            PairingCandidate(
                box: waiting.guest.box, name: waiting.guest.name, words: waiting.guest.words, address: waiting.guest.address, state: .waiting,
                sinceMilliseconds: since(waiting.sinceMonotonic))
        }
        let others = self.nearby.list(now: now).filter { near in !waiting.contains { $0.box == near.box } }.map { near in
            PairingCandidate(
                box: near.box, name: near.name, words: near.words, address: near.address, state: .nearby, sinceMilliseconds: since(near.sinceMonotonic))
        }
        return waiting + others
    }

    package func approve(_ box: BoxID) async throws(SkerryError) {
        let host = try self.host()
        if self.desk.approve(box, now: host.monotonicMilliseconds()) {
            self.logger.notice("a box was approved", metadata: ["box": "\(box)"])
            return
        }
        guard self.nearby.list(now: host.monotonicMilliseconds()).contains(where: { $0.box == box }) else { throw Self.noCandidate }
        throw SkerryError(.conflict, "This box was only seen on the network. Make a token here (`skerry pair invite`) and enter it there.")
    }

    package func ignore(_ box: BoxID) async throws(SkerryError) {
        let now = try self.host().monotonicMilliseconds()
        let isDone = self.desk.ignore(box, now: now)
        guard self.nearby.ignore(box, now: now) || isDone else { throw Self.noCandidate }
        self.logger.notice("a box was ignored", metadata: ["box": "\(box)"])
    }

    static let noCandidate = SkerryError(.notFound, "No such box is waiting or was seen. `skerry pair list` shows which are.")
    static let busyJoining = SkerryError(.conflict, "This box is joining a federation right now. Wait until that is done or has failed.")

    // MARK: - Announcing

    package func announce(_ isOn: Bool) async throws(SkerryError) {
        let host = try self.host()
        guard !isOn || self.identity == nil else { throw SkerryError(.conflict, "This box is in a federation already; it does not ask to join one.") }
        let speak = self.speaker.withLock { $0 }
        guard !isOn || speak != nil else {
            throw SkerryError(
                .unavailable,
                "This box does not speak to its network: federation.discovery is off, or it listens on this machine alone. Enter a token instead.")
        }
        self.announcing.withLock { $0 = isOn ? host.monotonicMilliseconds() + self.timing.announceMilliseconds : 0 }
        speak?()
    }

    /// What tells the network at once; nil: nothing does.
    nonisolated func speaks(by speaker: (@Sendable () -> Void)?) { self.speaker.withLock { $0 = speaker } }

    /// Whether to tell the network that this box wants to join a federation.
    package nonisolated func isAnnouncing(now monotonic: UInt64) -> Bool {
        self.identity == nil && self.announcing.withLock { $0 > monotonic }
    }

    /// A beacon of a box that wants to join came.
    func sighted(_ sighting: NearbyBoxes.Sighting, now monotonic: UInt64) { self.nearby.note(sighting, now: monotonic) }

    // MARK: - State of others' extensions

    func become(_ identity: FederationIdentity) { self.current.withLock { $0 = identity } }
}
