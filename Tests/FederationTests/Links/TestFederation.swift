import Crypto
import Federation
import FoundationEssentials
import Listeners
import Logging
import NIOCore
import NIOPosix
import Replication
import SkerryModel
import SkerryNode
import SwiftASN1
import Synchronization
import X509

/// A certificate authority for boxes, as a federation has one.
struct TestAuthority: Sendable {
    let key = P256.Signing.PrivateKey()
    let name: DistinguishedName
    let pem: String
    let federation: FederationID

    init(_ name: String = "federation") throws {
        self.name = try DistinguishedName { CommonName(name) }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: Certificate.PublicKey(self.key.publicKey),
            notValidBefore: Self.start, notValidAfter: Self.end, issuer: self.name, subject: self.name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true, cRLSign: true))
            },
            issuerPrivateKey: Certificate.PrivateKey(self.key))
        self.pem = try certificate.serializeAsPEM().pemString
        self.federation = FederationID(Array(SHA256.hash(data: self.key.publicKey.derRepresentation)))!
    }

    static let start = Date(timeIntervalSince1970: 946_684_800)
    static let end = Date(timeIntervalSince1970: 253_402_300_799)

    func certificate(for key: P256.Signing.PrivateKey, named name: String, from start: Date = Self.start, to end: Date = Self.end) throws -> String {
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: Certificate.PublicKey(key.publicKey),
            notValidBefore: start, notValidAfter: end, issuer: self.name, subject: try DistinguishedName { CommonName(name) },
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                try ExtendedKeyUsage([.serverAuth, .clientAuth])
            },
            issuerPrivateKey: Certificate.PrivateKey(self.key))
        return try certificate.serializeAsPEM().pemString
    }
}

/// Who a box is, with its certificate.
struct TestIdentity: Sendable {
    let key: P256.Signing.PrivateKey
    let box: BoxID
    let credentials: BoxCredentials
    var publicKey: [UInt8] { Array(self.key.publicKey.derRepresentation) }

    init(_ authority: TestAuthority, trusting other: TestAuthority? = nil, from start: Date = TestAuthority.start, to end: Date = TestAuthority.end) throws {
        self.key = P256.Signing.PrivateKey()
        self.box = BoxID(Array(SHA256.hash(data: self.key.publicKey.derRepresentation)))!
        self.credentials = BoxCredentials(
            certificateChain: try authority.certificate(for: self.key, named: self.box.description, from: start, to: end),
            privateKey: self.key.pemRepresentation, authority: (other ?? authority).pem)
    }
}

/// What a transport told, in its order.
final class EventLog: Sendable {
    struct Entry: Sendable, CustomStringConvertible {
        var kind: String
        var box: BoxID
        var text = ""
        var message: LinkMessage?
        var bytes = 0
        var description: String { "\(self.kind) \(self.box) \(self.text)" }
    }

    private struct State {
        var entries: [Entry] = []
        var held: [@Sendable () -> Void] = []
        var isHolding = false
    }

    private let state = Mutex(State())

    func hear(_ event: TransportEvent) {
        let entry: Entry
        var taken: (@Sendable () -> Void)?
        switch event {
        case .up(let box): entry = Entry(kind: "up", box: box)
        case .down(let box, let failure): entry = Entry(kind: "down", box: box, text: failure.description)
        case .failed(let box, let failure): entry = Entry(kind: "failed", box: box, text: failure.description)
        case .received(let message, let box, let done):
            entry = Entry(kind: "received", box: box, message: message)
            taken = done
        case .acknowledged(let box, let bytes): entry = Entry(kind: "acknowledged", box: box, bytes: bytes)
        case .forged(let box, let claimed): entry = Entry(kind: "forged", box: box, text: claimed?.description ?? "")
        case .takenOver(let box): entry = Entry(kind: "takenOver", box: box)
        }
        let call = self.state.withLock { state -> (@Sendable () -> Void)? in
            state.entries.append(entry)
            guard state.isHolding, let taken else { return taken }
            state.held.append(taken)
            return nil
        }
        call?()
    }

    /// From now on nothing is taken, or what was held is.
    func hold(_ isHolding: Bool) {
        let held = self.state.withLock { state in
            state.isHolding = isHolding
            defer { if !isHolding { state.held = [] } }
            return isHolding ? [] : state.held
        }
        for taken in held { taken() }
    }

    var entries: [Entry] { self.state.withLock { $0.entries } }
    func forget() { self.state.withLock { $0.entries = [] } }
    func count(_ kind: String) -> Int { self.entries.count { $0.kind == kind } }
    func count(_ kind: String, of box: BoxID) -> Int { self.entries.count { $0.kind == kind && $0.box == box } }
    var messages: [LinkMessage] { self.entries.compactMap(\.message) }
    var acknowledgedBytes: Int { self.entries.reduce(0) { $0 + $1.bytes } }
    /// Whether the last word about the link is that it is there.
    func isUp(_ box: BoxID) -> Bool { self.entries.last { $0.box == box && ($0.kind == "up" || $0.kind == "down") }?.kind == "up" }
}

/// Who belongs to the federation of a test.
final class TestMembers: Sendable {
    private let members = Mutex<[[UInt8]: BoxID]>([:])
    func add(_ identity: TestIdentity) { self.members.withLock { $0[identity.publicKey] = identity.box } }
    func remove(_ identity: TestIdentity) { self.members.withLock { $0[identity.publicKey] = nil } }
    func member(_ key: [UInt8]) -> BoxID? { self.members.withLock { $0[key] } }
}

/// A box as far as links go: a federation listener and a transport.
final class TestLinkBox: Sendable {
    let identity: TestIdentity
    let log = EventLog()
    let metrics = NodeMetrics()
    let transport: MeshTransport
    let listener: SocketListener
    var box: BoxID { self.identity.box }
    var endpoint: String { "127.0.0.1:\(self.listener.port)" }
    var peer: LinkPeer { LinkPeer(box: self.box, publicKey: self.identity.publicKey, endpoints: [self.endpoint]) }

    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)

    init(
        _ identity: TestIdentity, _ federation: FederationID, _ members: TestMembers, port: Int = 0, limits: LinkLimits = .quick, reads: TestMembers? = nil,
        pairing: @escaping @Sendable (any Channel) -> EventLoopFuture<Void> = { $0.eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel) }
    ) async throws {
        self.identity = identity
        var configuration = MeshConfiguration(
            box: identity.box, federation: federation, credentials: identity.credentials, member: { (reads ?? members).member($0) },
            will: { Array("gone".utf8) }, addPairingHandlers: pairing, metrics: self.metrics, logger: Logger(label: "test"))
        configuration.limits = limits
        let log = self.log
        let transport = try MeshTransport(configuration) { log.hear($0) }
        self.transport = transport
        self.listener = try await FederationListener.open(
            SocketListener.Place(kind: FederationListener.kind, address: "127.0.0.1", port: PortRange(port)), group: Self.group,
            limiter: ConnectionLimiter(limits: Limits(), metrics: self.metrics), keepers: ConnectionKeepers(loops: Array(Self.group.makeIterator())),
            metrics: self.metrics
        ) { transport }
    }

    func send(_ channel: LinkChannel, _ payload: [UInt8], to other: TestLinkBox) {
        let message = LinkMessage(origin: self.box, channel: channel, addressee: channel.isAddressed ? other.box : nil, payload: payload)
        self.transport.send(message, to: other.box)
    }

    func stop() async {
        await self.transport.stop()
        await self.listener.close(grace: .seconds(1))
    }
}

extension LinkLimits {
    /// So that a test which makes boxes wait for each other does not take a minute.
    static var quick: LinkLimits {
        var limits = LinkLimits()
        limits.backoffMinMilliseconds = 20
        limits.backoffMaxMilliseconds = 200
        limits.keepAliveSeconds = 5
        return limits
    }
}

/// Some boxes of one federation, the lowest id first.
struct TestFederation {
    let authority: TestAuthority
    let members: TestMembers
    let boxes: [TestLinkBox]

    init(_ count: Int, limits: LinkLimits = .quick) async throws {
        self.authority = try TestAuthority()
        self.members = TestMembers()
        var identities: [TestIdentity] = []
        for _ in 0..<count { identities.append(try TestIdentity(self.authority)) }
        identities.sort { $0.box < $1.box }
        var boxes: [TestLinkBox] = []
        for identity in identities {
            self.members.add(identity)
            boxes.append(try await TestLinkBox(identity, self.authority.federation, self.members, limits: limits))
        }
        self.boxes = boxes
    }

    func connect() {
        for box in self.boxes { box.transport.keep(self.boxes.filter { $0 !== box }.map(\.peer)) }
    }

    var isConnected: Bool {
        self.boxes.allSatisfy { box in self.boxes.allSatisfy { $0 === box || box.log.isUp($0.box) } }
    }

    func stop() async {
        for box in self.boxes { await box.stop() }
    }
}

struct TooSlow: Error, CustomStringConvertible { var description: String }

/// Waits until a number has not changed for a while.
func standstill(_ what: String, _ number: () async throws -> Int) async throws {
    var last = -1
    var same = 0
    try await eventually("\(what) to stand still", seconds: 60) {
        let now = try await number()
        same = now == last ? same + 1 : 0
        last = now
        return same == 60
    }
}

/// Waits until something is so.
func eventually(_ what: String, seconds: Int = 20, _ isSo: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try await !isSo() {
        guard ContinuousClock.now < deadline else { throw TooSlow(description: "not within \(seconds) s: \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}
