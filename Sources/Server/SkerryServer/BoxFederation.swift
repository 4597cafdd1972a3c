import Blobs
import Federation
import Listeners
import Logging
import NIOCore
import NIOPosix
import Replication
import ServiceLifecycle
import Settings
import SkerryModel
import SkerryNode
import Synchronization

/// The box's part in a federation, put together: the service and its loop, membership, features, and who takes links that come in.
final class BoxFederation: Service {
    let service: FederationService
    let membership: MembershipService
    let blobs: BlobChannel
    private let doors: FederationDoors
    private let discovery: DiscoveryService?
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger

    init(_ parts: BoxParts, _ settings: Settings, _ logger: Logger) throws {
        let node = parts.node
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let membership = try MembershipService(
            boxKey: parts.identity.key, directory: settings.data, software: SkerryVersion.text, metrics: node.metrics, logger: logger)
        let doors = FederationDoors(settings.federation.addresses)
        let boxKey = parts.identity.key
        let presence = PresenceFeature(node: node, chat: parts.chat)
        let facts = FederationFacts()
        let load = LoadFeature(
            node: node,
            own: LoadFeature.Own(
                start: { facts.start }, version: SkerryVersion.text, box: parts.itself, behind: { facts.behind }, quarantine: { facts.quarantine }),
            presence: presence, heard: { box, heartbeat in facts.heard(box, heartbeat) })
        var place = FederationPlace(name: parts.itself.name) {
            doors.endpoints
        } transport: { identity, member, events in
            let pairing = PairingPort(membership)
            let configuration = MeshConfiguration(
                box: identity.box, federation: identity.federation, credentials: identity.credentials(boxKey: boxKey), member: member,
                will: { load.will.payload }, addPairingHandlers: { pairing.addHandlers(to: $0) }, metrics: node.metrics, logger: logger,
                monotonic: node.clock.monotonic)
            let transport = try MeshTransport(configuration, events: events)
            doors.open(transport)
            return transport
        }
        place.removed = { [accounts = parts.accounts] in accounts.removed($0) }
        place.clockHeard = { [clock = parts.clock] box, physical, isSynced in clock.heard(box, physical: physical, isSynced: isSynced) }
        let topics = TopicsFeature(
            broker: parts.broker, allowed: try Self.filters("federation.topics", settings.federation.topics),
            denied: try Self.filters("federation.topics_kept", settings.federation.keptTopics))
        let blobs = BlobChannel(
            shelf: BlobCache(directory: "\(settings.data)/blobs", bytesMax: settings.federation.blobCacheBytes, metrics: node.metrics), metrics: node.metrics,
            loop: group.next())
        var limits = EngineLimits()
        limits.copiesWanted = settings.federation.copies
        let service = FederationService(
            node: node, replica: ReplicaStore(node: node), features: [load, presence, topics, blobs], place: place, limits: limits, loop: group.next(),
            logger: logger)
        facts.watch(service)
        (self.service, self.membership, self.blobs, self.doors, self.group, self.logger) = (service, membership, blobs, doors, group, logger)
        let hooks = DiscoveryService.Hooks(
            isMember: { box in service.view.members[box]?.standing == .active }, found: { box, endpoints in service.hint(box, endpoints) })
        // A box that only this machine can reach has nothing to tell the network.
        let isReachable = settings.bind != "::1" && !settings.bind.hasPrefix("127.")
        self.discovery =
            settings.federation.discovers && isReachable
            ? DiscoveryService(
                membership: membership, host: service, startNonce: node.random.next(), hooks: hooks, loop: group.next(), logger: logger) : nil
        parts.control.attach(FederationFront(service: service, membership: membership, load: load))
    }

    private static func filters(_ key: String, _ texts: [String]) throws(ServerError) -> [TopicFilter] {
        var filters: [TopicFilter] = []
        for text in texts {
            do {
                filters.append(try TopicFilter(text))
            } catch {
                throw ServerError("\(key): \(text) is not a topic filter: \(error)")
            }
        }
        return filters
    }

    /// Who takes what comes to the federation listener; nil while the box is of no federation.
    var acceptor: (any BoxLinkAcceptor)? { self.doors.acceptor }

    /// Where the federation listener is, once it is open.
    func listens(on address: String, port: Int) { self.doors.listens(on: address, port: port) }

    /// Begins, once the listeners are open: what the box belongs to, it belongs to when this returns.
    func start() async throws {
        await self.service.start()
        try await self.membership.start(self.service)
        do {
            try await self.discovery?.start()
        } catch {
            // The box can do without: where others are, the member list says too.
            self.logger.notice("boxes on this network cannot be heard", metadata: ["error": "\(error)"])
        }
    }

    func run() async throws {
        try? await gracefulShutdown()
        await self.stop()
    }

    func stop() async {
        await self.discovery?.stop()
        await self.membership.stop()
        await self.service.stop()
        try? await self.group.shutdownGracefully()
    }
}

/// What the load feature says of the box, which the service comes to know.
private final class FederationFacts: Sendable {
    private let service = Mutex<FederationService?>(nil)
    private var view: FederationView? { self.service.withLock { $0?.view } }

    func watch(_ service: FederationService) { self.service.withLock { $0 = service } }
    var start: StartMark { self.view?.start ?? StartMark(counter: 0, nonce: 0) }
    var quarantine: QuarantineReason? { self.view?.quarantine }
    var behind: UInt64 { self.view?.sync.values.map(\.ahead).max() ?? 0 }

    /// A box says in every heartbeat where it can be reached: next time it is looked for there first.
    func heard(_ box: BoxID, _ heartbeat: Heartbeat) {
        let places = heartbeat.endpoints.filter { $0.kind == "federation" }.map { place in
            place.address.contains(":") ? "[\(place.address)]:\(place.port)" : "\(place.address):\(place.port)"
        }
        if !places.isEmpty { self.service.withLock { $0 }?.hint(box, places) }
    }
}

/// Where other boxes come in.
private final class FederationDoors: Sendable {
    private struct State {
        var acceptor: (any BoxLinkAcceptor)?
        var place: (address: String, port: Int)?
    }

    private let written: [String]
    private let state = Mutex(State())

    /// - Parameter written: what the settings say; a port that is not written is the listener's.
    init(_ written: [String]) { self.written = written }

    var acceptor: (any BoxLinkAcceptor)? { self.state.withLock(\.acceptor) }
    func open(_ acceptor: any BoxLinkAcceptor) { self.state.withLock { $0.acceptor = acceptor } }
    func listens(on address: String, port: Int) { self.state.withLock { $0.place = (address, port) } }

    var endpoints: [String] {
        guard let place = self.state.withLock({ $0.place }) else { return [] }
        func text(_ address: String) -> String { address.contains(":") ? "[\(address)]:\(place.port)" : "\(address):\(place.port)" }
        if !self.written.isEmpty {
            return self.written.map { $0.contains("]:") || ($0.contains(".") && $0.contains(":")) ? $0 : text($0) }
        }
        let hosts = LocalAddress.hosts(of: place.address)
        return hosts.isEmpty ? [text("127.0.0.1")] : hosts.map(text)
    }
}
