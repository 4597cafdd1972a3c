package import ChatCodec
package import SkerryModel

/// A pairing token that was just made: shown once.
package struct PairingInvite: Sendable, Hashable {
    package var token: String
    /// Where the other box will look for this one, as `address:port`: it must be able to reach one of them.
    package var addresses: [String]
    package var expiresMilliseconds: UInt64
    /// Fingerprint words of this box, to compare.
    package var words: String

    package init(token: String, addresses: [String], expiresMilliseconds: UInt64, words: String) {
        self.token = token
        self.addresses = addresses
        self.expiresMilliseconds = expiresMilliseconds
        self.words = words
    }
}

/// A box that has used a token and waits for an administrator, or one seen on the network that wants to join.
package struct PairingCandidate: Sendable, Hashable {
    package enum State: String, Sendable, Hashable, CaseIterable { case waiting, nearby }
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

/// How far this box is with joining a federation.
package enum PairingProgress: Sendable, Hashable {
    /// No administrator has told it to, since it started.
    case idle
    /// It tries to reach the other box.
    case connecting
    /// The other box has its request, and an administrator there must approve. With the other box's name and words, to compare.
    case waiting(name: String, words: String)
    case joined(name: String)
    case failed(SkerryError)

    package var text: String {
        switch self {
        case .idle: "idle"
        case .connecting: "connecting"
        case .waiting: "waiting"
        case .joined: "joined"
        case .failed: "failed"
        }
    }
}

/// What a box is to its federation, and what its administrator may do about that; the same for REST, pages and the command line. Callers check who asks.
package protocol PairingControl: AnyObject, Sendable {
    /// Nil: this box is of none yet.
    var federation: FederationID? { get }
    /// Whether it has the CA's key, and so may take boxes in and out.
    var isIssuer: Bool { get }
    /// Fingerprint words of this box.
    var words: String { get }

    /// Makes the federation first if there is none. `waits`: whether an administrator must approve whoever uses it.
    func invite(waits: Bool) async throws(SkerryError) -> PairingInvite
    /// Joins the federation of `token`. Returns when it is done, or after a few seconds with what it waits for; it goes on by itself then.
    func join(token: String) async throws(SkerryError) -> PairingProgress
    func progress() async -> PairingProgress
    /// Whether this box, which is of no federation, tells its network that it wants to join one. Ends by itself after ten minutes.
    func announce(_ isOn: Bool) async throws(SkerryError)

    func candidates() async -> [PairingCandidate]
    func approve(_ box: BoxID) async throws(SkerryError)
    func ignore(_ box: BoxID) async throws(SkerryError)

    /// Takes a box out: `isLost` at once and for ever, else only once others hold all it has.
    func remove(_ box: BoxID, isLost: Bool, reason: String) async throws(SkerryError)
    /// The CA's key under a passphrase, as a text file to keep elsewhere.
    func recoveryFile(passphrase: String) async throws(SkerryError) -> [UInt8]
    /// Makes this box, a member of the file's federation, one that may take boxes in and out.
    func restoreIssuer(file: [UInt8], passphrase: String) async throws(SkerryError)
}

// MARK: - As JSON

extension PairingInvite {
    /// `POST /v1/admin/federation/invites`.
    package func write(to json: inout JSONWriter) {
        json.field("token", self.token)
        json.array("addresses", self.addresses) { $0.string($1) }
        json.field("expires", time: self.expiresMilliseconds)
        json.field("words", self.words)
    }
}

extension PairingCandidate {
    /// One item of `GET /v1/admin/federation/candidates`.
    package func write(to json: inout JSONWriter) {
        json.field("box", self.box.description)
        json.field("name", self.name)
        json.field("words", self.words)
        json.field("address", self.address)
        json.field("state", self.state.rawValue)
        json.field("since", time: self.sinceMilliseconds)
    }
}

extension PairingProgress {
    /// `POST /v1/admin/federation/join`, and `progress` of `GET /v1/admin/federation`.
    package func write(to json: inout JSONWriter) {
        json.field("state", self.text)
        switch self {
        case .idle, .connecting: break
        case .waiting(let name, let words):
            json.field("name", name)
            json.field("words", words)
        case .joined(let name): json.field("name", name)
        case .failed(let error):
            json.field("code", error.code.rawValue)
            json.field("detail", error.detail)
        }
    }
}
