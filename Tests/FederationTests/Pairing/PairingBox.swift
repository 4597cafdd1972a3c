import Crypto
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Replication
import SkerryModel
import SkerryNode
import Synchronization
import TestKit
import Testing

@testable import Federation

/// A box as membership sees it: a member list in memory, a clock that the test moves, a pairing port on a socket of its own.
final class PairingBox: MembershipHost {
    private struct State {
        var members: [BoxID: MemberEntry] = [:]
        var monotonic: UInt64 = 1_000_000
        var endpoints: [String] = []
        var adopted: [FederationID] = []
        var obstacle: String?
        var failsToAppend = false
    }

    let name: String
    let key = P256.Signing.PrivateKey()
    let directory: TemporaryDirectory
    let membership: MembershipService
    let metrics = NodeMetrics()
    private let state = Mutex(State())
    private let server = Mutex<(any Channel)?>(nil)

    init(_ name: String, timing: MembershipService.Timing = PairingBox.quick) async throws {
        self.name = name
        self.directory = TemporaryDirectory()
        self.membership = try MembershipService(
            boxKey: self.key, directory: self.directory.path, software: "test", metrics: self.metrics,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            timing: timing)
        try await self.membership.start(self)
    }

    /// Nobody waits longer than a test has to.
    static var quick: MembershipService.Timing {
        var timing = MembershipService.Timing()
        timing.pollMilliseconds = 10
        timing.redialMilliseconds = 5
        timing.dials = 2
        timing.answerMilliseconds = 5_000
        return timing
    }

    var box: BoxID { self.membership.box }

    // MARK: - The port

    /// Opens a port that shows `identity`, this box's own when nil.
    @discardableResult
    func listen(
        as identity: FederationIdentity? = nil, key: P256.Signing.PrivateKey? = nil, limits: PairingPort.Limits = PairingPort.Limits()
    ) async throws -> Int {
        let shown = try identity ?? #require(self.membership.identity)
        let chain = try [shown.certificate, shown.authority].map { NIOSSLCertificateSource.certificate(try NIOSSLCertificate(bytes: $0, format: .der)) }
        let private_ = try NIOSSLPrivateKey(bytes: Array((key ?? self.key).derRepresentation), format: .der)
        var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(private_))
        configuration.applicationProtocols = [PairingMessage.alpn]
        let context = try NIOSSLContext(configuration: configuration)
        let port = PairingPort(self.membership, limits: limits)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context)) }
                    .flatMap { port.addHandlers(to: channel) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let number = try #require(channel.localAddress?.port)
        self.server.withLock { $0 = channel }
        self.state.withLock { $0.endpoints = ["127.0.0.1:\(number)"] }
        return number
    }

    func close() async throws {
        await self.membership.stop()
        try await self.server.withLock { $0 }?.close().get()
    }

    /// A token of this box, whose port is open: founds the federation.
    func token(waits: Bool = false) async throws -> String {
        if self.endpoints().isEmpty {
            self.state.withLock { $0.endpoints = ["127.0.0.1:1"] }
            _ = try await self.membership.invite(waits: false)
            try await self.listen()
        }
        return try await self.membership.invite(waits: waits).token
    }

    // MARK: - What a test does to it

    func pass(_ milliseconds: UInt64) { self.state.withLock { $0.monotonic += milliseconds } }
    func put(_ row: MemberEntry) { self.state.withLock { $0.members[row.box] = row } }
    func hinder(_ obstacle: String?) { self.state.withLock { $0.obstacle = obstacle } }
    func failToAppend(_ fails: Bool) { self.state.withLock { $0.failsToAppend = fails } }
    func place(_ endpoints: [String]) { self.state.withLock { $0.endpoints = endpoints } }
    var rows: [BoxID: MemberEntry] { self.state.withLock { $0.members } }
    var adopted: [FederationID] { self.state.withLock { $0.adopted } }

    // MARK: - MembershipHost

    func endpoints() -> [String] { self.state.withLock { $0.endpoints } }
    func federationMilliseconds() -> UInt64 { 1_795_000_000_000 + self.monotonicMilliseconds() }
    func monotonicMilliseconds() -> UInt64 { self.state.withLock { $0.monotonic } }
    func members() async throws(SkerryError) -> [MemberEntry] { Array(self.rows.values) }
    func append(_ member: MemberEntry) async throws(SkerryError) {
        if self.state.withLock({ $0.failsToAppend }) { throw SkerryError(.storageLow, "The disk is full.") }
        guard self.membership.memberCheck(member) else { throw SkerryError(.forbidden, "A row that the CA did not sign.") }
        self.state.withLock { state in
            if MemberRules.replaces(member, state.members[member.box]) { state.members[member.box] = member }
        }
    }
    func held(of box: BoxID) async throws(SkerryError) -> [LogEpoch: UInt64] { [LogEpoch(origin: box, stream: .message, epoch: 5): 77] }
    func obstacle(toRetiring box: BoxID) async -> String? { self.state.withLock { $0.obstacle } }
    func adopt(_ identity: FederationIdentity, members: [MemberEntry]) async throws(SkerryError) {
        self.state.withLock { state in
            if let last = state.adopted.last, last != identity.federation { state.members = [:] }
            state.adopted.append(identity.federation)
        }
        for member in members { try await self.append(member) }
    }
}

/// What a call was refused with.
func refusal(_ body: () async throws -> Void) async -> SkerryError? {
    do {
        try await body()
        return nil
    } catch { return error as? SkerryError }
}

/// Waits for something that happens on another thread.
func eventually(_ claim: @Sendable () async -> Bool, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    for _ in 0..<2_000 {
        if await claim() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("it did not come about", sourceLocation: sourceLocation)
}
