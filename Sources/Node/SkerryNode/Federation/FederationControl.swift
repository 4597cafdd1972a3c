package import Replication
package import SkerryModel

/// Whether a box is there, as this box sees it (FEDERATION.md §3).
package enum BoxLiveness: String, Sendable, Hashable, CaseIterable {
    case unknown, alive, suspect, down, leaving
    /// No word from it, but another box hears it.
    case unreachable
}

/// Load as a box tells it in its heartbeat (FEDERATION.md §5); shares of what it can bear, 1 = full.
package struct BoxLoad: Sendable, Hashable {
    package var connections: Int
    package var connectionsMax: Int
    /// How much this box can bear beside others: 1 for a small board.
    package var weight: Double
    package var memory: Double
    package var processor: Double
    package var descriptors: Double
    package var loopLagMilliseconds: Double
    package var isDiskLow: Bool

    package init(
        connections: Int = 0, connectionsMax: Int = 0, weight: Double = 1, memory: Double = 0, processor: Double = 0, descriptors: Double = 0,
        loopLagMilliseconds: Double = 0, isDiskLow: Bool = false
    ) {
        self.connections = connections
        self.connectionsMax = connectionsMax
        self.weight = weight
        self.memory = memory
        self.processor = processor
        self.descriptors = descriptors
        self.loopLagMilliseconds = loopLagMilliseconds
        self.isDiskLow = isDiskLow
    }
}

/// Where a box can be reached by people and devices: `kind` is ws, wss, http, https, mqtt, mqtts or federation.
package struct BoxEndpoint: Sendable, Hashable {
    package var kind: String
    package var address: String
    package var port: Int

    package init(kind: String, address: String, port: Int) {
        self.kind = kind
        self.address = address
        self.port = port
    }
}

/// One line of the list of boxes: the box itself first.
package struct BoxOverview: Sendable {
    package var box: BoxID
    package var name: String
    package var standing: BoxStanding
    package var isSelf: Bool
    package var isIssuer: Bool
    package var liveness: BoxLiveness
    /// Milliseconds since 1970; nil: never.
    package var lastSeenMilliseconds: UInt64?
    package var version: String?
    package var sync: PeerSync
    /// Entries of all logs that this box holds and that it does: in-sync % is `held / known`.
    package var entriesKnown: UInt64
    package var entriesHeld: UInt64
    /// What waits to go to it: entries, bytes roughly, and the age of the oldest in seconds.
    package var backlogEntries: UInt64
    package var backlogBytes: UInt64
    package var backlogSeconds: UInt64
    /// `ntp`, `set` (plausible, nobody vouches for it) or `unset`; and how far from this box's own.
    package var clock: String
    package var clockOffsetMilliseconds: Int64
    package var isDraining: Bool
    package var load: BoxLoad?
    package var onlineUsers: Int
    package var endpoints: [BoxEndpoint]
    /// A sentence that says what is wrong and one that says what to do about it; nil: all is well.
    package var trouble: String?
    package var remedy: String?

    package init(box: BoxID, name: String, standing: BoxStanding = .active, isSelf: Bool, isIssuer: Bool = false, liveness: BoxLiveness = .unknown) {
        self.box = box
        self.name = name
        self.standing = standing
        self.isSelf = isSelf
        self.isIssuer = isIssuer
        self.liveness = liveness
        self.lastSeenMilliseconds = nil
        self.version = nil
        self.sync = PeerSync()
        self.entriesKnown = 0
        self.entriesHeld = 0
        self.backlogEntries = 0
        self.backlogBytes = 0
        self.backlogSeconds = 0
        self.clock = "unset"
        self.clockOffsetMilliseconds = 0
        self.isDraining = false
        self.load = nil
        self.onlineUsers = 0
        self.endpoints = []
        self.trouble = nil
        self.remedy = nil
    }
}

/// A pairing token that was just made: shown once.
package struct PairingInvite: Sendable, Hashable {
    package var token: String
    package var expiresMilliseconds: UInt64
    /// Fingerprint words of this box, to compare.
    package var words: String

    package init(token: String, expiresMilliseconds: UInt64, words: String) {
        self.token = token
        self.expiresMilliseconds = expiresMilliseconds
        self.words = words
    }
}

/// A box that has used a token and waits for an administrator, or one seen on the network that wants to join.
package struct PairingCandidate: Sendable, Hashable {
    package enum State: String, Sendable, Hashable { case waiting, nearby }
    package var box: BoxID
    package var name: String
    package var words: String
    package var address: String
    package var state: State
    package var sinceMilliseconds: UInt64

    package init(box: BoxID, name: String, words: String, address: String, state: State, sinceMilliseconds: UInt64) {
        self.box = box
        self.name = name
        self.words = words
        self.address = address
        self.state = state
        self.sinceMilliseconds = sinceMilliseconds
    }
}

/// Where a client should connect (FEDERATION.md §5).
package struct BoxAssignment: Sendable, Hashable {
    package var box: BoxID
    package var endpoints: [BoxEndpoint]
    package var alternates: [(box: BoxID, endpoints: [BoxEndpoint])]
    package var secondsToLive: Int
    /// Carries how often the client was sent on lately.
    package var token: String

    package init(box: BoxID, endpoints: [BoxEndpoint], alternates: [(box: BoxID, endpoints: [BoxEndpoint])], secondsToLive: Int, token: String) {
        self.box = box
        self.endpoints = endpoints
        self.alternates = alternates
        self.secondsToLive = secondsToLive
        self.token = token
    }

    package static func == (left: Self, right: Self) -> Bool { left.box == right.box && left.token == right.token }
    package func hash(into hasher: inout Hasher) { hasher.combine(self.box) }
}

/// The federation for administrators and clients: the same for REST, pages and the command line. Callers check who asks.
package protocol FederationControl: AnyObject, Sendable {
    var federation: FederationID? { get }
    /// This box first, then by name; removed boxes last.
    func boxes() async -> [BoxOverview]

    // Pairing (FEDERATION.md §3)
    /// Makes the federation first if there is none. `waits`: whether an administrator must approve whoever uses it.
    func invite(waits: Bool) async throws(SkerryError) -> PairingInvite
    /// Joins the federation of `token`; returns its name for people.
    func join(token: String) async throws(SkerryError) -> String
    func candidates() async -> [PairingCandidate]
    func approve(_ box: BoxID) async throws(SkerryError)
    func ignore(_ box: BoxID) async throws(SkerryError)
    /// Fingerprint words of this box.
    var words: String { get }
    /// Takes a box out: `isLost` at once and for ever, else only once others hold all it has.
    func remove(_ box: BoxID, isLost: Bool, reason: String) async throws(SkerryError)
    /// The CA's key under a passphrase, as a file to keep elsewhere.
    func recoveryFile(passphrase: String) async throws(SkerryError) -> [UInt8]
    func restoreIssuer(file: [UInt8], passphrase: String) async throws(SkerryError)

    // Load (FEDERATION.md §5)
    func assign(previous: BoxID?, token: String?) async throws(SkerryError) -> BoxAssignment
    /// Starts or ends sending clients elsewhere.
    func drain(_ isOn: Bool) async throws(SkerryError)
}
