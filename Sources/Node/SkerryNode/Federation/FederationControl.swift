package import Replication
package import SkerryModel

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
    /// Of a removed box, why; as the administrator wrote it.
    package var reason: String?

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
        self.reason = nil
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

    /// The other active boxes and where they serve people: what is known now, without waiting, because it is asked for with requests of web pages.
    var sisters: [SisterBox] { get }

    /// How boxes come in and go.
    var pairing: any PairingControl { get }

    // Load (FEDERATION.md §5)
    func assign(previous: BoxID?, token: String?) async throws(SkerryError) -> BoxAssignment
    /// Starts or ends sending clients elsewhere.
    func drain(_ isOn: Bool) async throws(SkerryError)
}
