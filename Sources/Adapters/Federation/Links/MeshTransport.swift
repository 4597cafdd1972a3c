import Logging
package import NIOCore
package import Replication
package import SkerryModel
package import SkerryNode
import Synchronization

/// One link for each pair of boxes (FEDERATION.md §2.7): those that this box dials and those that others made to it, as one stream of events.
package final class MeshTransport: BridgeTransport, BoxLinkAcceptor {
    private struct State {
        /// Whom links are kept to; nil before that was said for the first time.
        var kept: [BoxID: LinkPeer]?
        var peers: [BoxID: MeshPeer<AcceptedLink>] = [:]
        var dialled: [LinkPeer] = []
        var isStopped = false
        /// What is to be told, in order; whoever finds nobody telling does it.
        var events = CircularBuffer<TransportEvent>()
        var isTelling = false
    }

    /// A link as the rule sees it.
    private struct AcceptedLink: Equatable, Sendable {
        var link: any BoxLink
        static func == (left: Self, right: Self) -> Bool { left.link === right.link }
    }

    private let configuration: MeshConfiguration
    private let tell: @Sendable (TransportEvent) -> Void
    private let bridge: MosquittoBridge
    private let home: Home
    private let state = Mutex(State())

    /// What the bridge tells of goes through here, because it is there before the transport is.
    private final class Home: Sendable {
        let transport = Mutex<Weak>(Weak())
        struct Weak { weak var value: MeshTransport? }
        var value: MeshTransport? { self.transport.withLock { $0.value } }
    }

    /// Fails when the credentials are of no use. Stopped by `stop`, which also ends the accepted links.
    ///
    /// - Parameter events: called in order, one at a time, from any thread; returns soon.
    package init(_ configuration: MeshConfiguration, events: @escaping @Sendable (TransportEvent) -> Void) throws(LinkFailure) {
        self.configuration = configuration
        self.tell = events
        let home = Home()
        self.home = home
        let terms = BridgeTerms(
            box: configuration.box, federation: configuration.federation, limits: configuration.limits, tls: try MosquittoTLS(configuration.credentials),
            metrics: configuration.metrics, will: configuration.will, events: { box, event in home.value?.hear(box, event) })
        self.bridge = try MosquittoBridge(terms, monotonic: configuration.monotonic, second: { now in home.value?.secondPassed(now) })
        home.transport.withLock { $0.value = self }
        self.bridge.start()
    }

    // MARK: - BridgeTransport

    package func keep(_ peers: [LinkPeer]) {
        let now = self.configuration.monotonic()
        let kept = Dictionary(peers.filter { $0.box != self.configuration.box }.map { ($0.box, $0) }) { first, _ in first }
        let closing = self.state.withLock { state in
            guard !state.isStopped else { return [any BoxLink]() }
            state.kept = kept
            let gone = state.peers.filter { kept[$0.key] == nil }
            for (box, peer) in gone {
                state.peers[box] = nil
                if peer.current != nil { state.events.append(.down(box, LinkFailure(.live, "the link is not wanted any more"))) }
            }
            for box in kept.keys where state.peers[box] == nil { state.peers[box] = self.newPeer(box, now) }
            self.dial(&state, now, isNew: true)
            return gone.values.compactMap { $0.accepted?.link }
        }
        for link in closing { link.close("This box does not keep a link to that box.") }
        self.tellAll()
    }

    package func send(_ message: LinkMessage, to box: BoxID) {
        let (kind, link) = self.state.withLock { state in (state.peers[box]?.current, state.peers[box]?.accepted?.link) }
        switch kind {
        case .dialled: self.bridge.send(message, to: box)
        case .accepted: link?.send(message)
        case nil: break
        }
    }

    package func close(_ box: BoxID, reason: String) {
        let link = self.state.withLock { $0.peers[box]?.accepted?.link }
        link?.close(reason)
        self.bridge.close(box, reason: reason)
    }

    package func stop() async {
        let links = self.state.withLock { state in
            state.isStopped = true
            defer { state.peers = [:] }
            for (box, peer) in state.peers where peer.current != nil { state.events.append(.down(box, LinkFailure(.live, "this box stops"))) }
            return state.peers.values.compactMap { $0.accepted?.link }
        }
        for link in links { link.close("This box stops.") }
        self.tellAll()
        await self.bridge.stop()
    }

    // MARK: - BoxLinkAcceptor

    package var box: BoxID { self.configuration.box }
    package var federation: FederationID { self.configuration.federation }
    package var credentials: BoxCredentials { self.configuration.credentials }
    package var linkLimits: LinkLimits { self.configuration.limits }

    package func member(publicKey: [UInt8]) -> BoxID? { self.configuration.member(publicKey) }

    package func attached(_ link: any BoxLink) {
        let accepted = AcceptedLink(link: link)
        let isWanted = self.change(link.box) { peer, now in peer.attached(accepted, now: now) }
        if !isWanted { link.close("This box does not keep a link to that box.") }
    }

    package func received(_ message: LinkMessage, on link: any BoxLink, taken: @escaping @Sendable () -> Void) {
        let isCurrent = self.tellIfCurrent(link, .received(message, from: link.box, taken: taken))
        if !isCurrent { taken() }
    }

    package func acknowledged(_ bytes: Int, on link: any BoxLink) { _ = self.tellIfCurrent(link, .acknowledged(link.box, bytes: bytes)) }
    package func forged(by box: BoxID, claimed: BoxID?) {
        self.state.withLock { $0.events.append(.forged(box, claimed: claimed)) }
        self.tellAll()
    }

    package func detached(_ link: any BoxLink, reason: String) {
        let accepted = AcceptedLink(link: link)
        _ = self.change(link.box) { peer, now in peer.detached(accepted, reason, now: now) }
    }

    package func addPairingHandlers(to channel: any Channel) -> EventLoopFuture<Void> { self.configuration.addPairingHandlers(channel) }

    // MARK: - What the bridge tells

    private func hear(_ box: BoxID, _ event: BridgeEvent) {
        switch event {
        case .up: _ = self.change(box) { peer, now in peer.dialledUp(now: now) }
        case .down(let failure): _ = self.change(box) { peer, now in peer.dialledDown(failure.detail, now: now) }
        case .failed(let failure): self.tell(of: box, .failed(box, failure))
        case .received(let message, let taken):
            if !self.tellIfDialled(box, .received(message, from: box, taken: taken)) { taken() }
        case .acknowledged(let bytes): _ = self.tellIfDialled(box, .acknowledged(box, bytes: bytes))
        case .forged(let claimed): self.tell(of: box, .forged(box, claimed: claimed))
        case .takenOver: self.tell(of: box, .takenOver(box))
        }
    }

    /// On the bridge's thread.
    private func secondPassed(_ now: UInt64) {
        self.state.withLock { state in
            if !state.isStopped { self.dial(&state, now, isNew: false) }
        }
    }

    // MARK: - Inside

    private func newPeer(_ box: BoxID, _ now: UInt64) -> MeshPeer<AcceptedLink> {
        MeshPeer(isDialler: self.configuration.box < box, patience: self.configuration.limits.patienceMilliseconds, now: now)
    }

    private func dial(_ state: inout State, _ now: UInt64, isNew: Bool) {
        let wanted = (state.kept ?? [:]).values.filter { state.peers[$0.box]?.wantsDial(now: now) == true }.sorted { $0.box < $1.box }
        if !isNew, wanted.map(\.box) == state.dialled.map(\.box) { return }
        if wanted == state.dialled { return }
        state.dialled = wanted
        self.bridge.dial(wanted)
    }

    /// False: no link is kept to that box.
    private func change(_ box: BoxID, _ rule: (inout MeshPeer<AcceptedLink>, UInt64) -> [MeshPeer<AcceptedLink>.Effect]) -> Bool {
        let now = self.configuration.monotonic()
        let effects = self.state.withLock { state -> [MeshPeer<AcceptedLink>.Effect]? in
            guard !state.isStopped, var peer = state.peers[box] ?? (state.kept == nil ? self.newPeer(box, now) : nil) else { return nil }
            let effects = rule(&peer, now)
            state.peers[box] = peer
            for effect in effects {
                switch effect {
                case .up: state.events.append(.up(box))
                case .down(let reason): state.events.append(.down(box, LinkFailure(.live, reason)))
                case .closeDialled, .closeAccepted: break
                }
            }
            self.dial(&state, now, isNew: false)
            return effects
        }
        for effect in effects ?? [] {
            switch effect {
            case .closeDialled(let reason): self.bridge.close(box, reason: reason)
            case .closeAccepted(let old, let reason): old.link.close(reason)
            case .up, .down: break
            }
        }
        self.tellAll()
        return effects != nil
    }

    private func tell(of box: BoxID, _ event: TransportEvent) {
        self.state.withLock { state in
            if !state.isStopped { state.events.append(event) }
        }
        self.tellAll()
    }

    private func tellIfDialled(_ box: BoxID, _ event: TransportEvent) -> Bool {
        self.tell(event) { $0.peers[box]?.current == .dialled }
    }

    private func tellIfCurrent(_ link: any BoxLink, _ event: TransportEvent) -> Bool {
        self.tell(event) { state in
            guard let peer = state.peers[link.box] else { return false }
            return peer.current == .accepted && peer.accepted?.link === link
        }
    }

    private func tell(_ event: TransportEvent, if isCurrent: (borrowing State) -> Bool) -> Bool {
        let isTold = self.state.withLock { state in
            guard !state.isStopped, isCurrent(state) else { return false }
            state.events.append(event)
            return true
        }
        self.tellAll()
        return isTold
    }

    /// Tells what waits. One thread at a time, so that the order holds, and outside the lock.
    private func tellAll() {
        while true {
            let next = self.state.withLock { state -> [TransportEvent]? in
                if state.isTelling || state.events.isEmpty { return nil }
                state.isTelling = true
                defer { state.events.removeAll() }
                return Array(state.events)
            }
            guard let next else { return }
            for event in next { self.tell(event) }
            self.state.withLock { $0.isTelling = false }
        }
    }
}
