import NIOCore
import NIOSSL
import Replication
import SkerryModel
import SkerryNode
import Synchronization

/// What the connections of the federation listener share.
final class BoxDoor: Sendable {
    private struct State {
        var tls: (credentials: BoxCredentials, tls: BoxDoorTLS)?
        /// The link of every box that is connected: a second one takes its place.
        var links: [BoxID: BoxDoorLink] = [:]
        /// Connections that have not shown yet whose they are.
        var strangers = 0
    }

    let metrics: NodeMetrics
    let keepers: ConnectionKeepers
    private let limiter: ConnectionLimiter
    private let acceptor: @Sendable () -> (any BoxLinkAcceptor)?
    private let state = Mutex(State())

    init(
        keepers: ConnectionKeepers, limiter: ConnectionLimiter, metrics: NodeMetrics, acceptor: @escaping @Sendable () -> (any BoxLinkAcceptor)?
    ) {
        self.keepers = keepers
        self.limiter = limiter
        self.metrics = metrics
        self.acceptor = acceptor
    }

    /// Adds the handlers of a connection that was accepted; throwing closes it.
    func open(_ channel: any Channel, _ client: SocketAddress?) throws {
        guard let acceptor = self.acceptor(), let tls = self.tls(acceptor.credentials), self.enter(channel, acceptor.linkLimits.strangersMax) else {
            self.metrics.add(.federationDoorRefused)
            throw ChannelError.ioOnClosedChannel
        }
        let secure = NIOSSLServerHandler(
            context: tls.context,
            customVerificationCallback: { chain, promise in
                promise.succeed(tls.isMember(chain, acceptor) ? .certificateVerified : .failed)
            })
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(secure)
        try pipeline.addHandler(BoxGate(self, acceptor, self.keepers[channel.eventLoop]) { [limiter] in limiter.refuseTLS($0, client) })
    }

    /// A context costs more than a connection: it is made anew only when the credentials have changed.
    private func tls(_ credentials: BoxCredentials) -> BoxDoorTLS? {
        if let known = self.state.withLock({ $0.tls }), known.credentials == credentials { return known.tls }
        guard let tls = try? BoxDoorTLS(credentials) else { return nil }
        self.state.withLock { $0.tls = (credentials, tls) }
        return tls
    }

    private func enter(_ channel: any Channel, _ strangersMax: Int) -> Bool {
        self.state.withLock { state in
            guard state.strangers < strangersMax else { return false }
            state.strangers += 1
            return true
        }
    }

    /// A connection has shown whose it is, or has gone.
    func strangerLeft() { self.state.withLock { $0.strangers -= 1 } }

    /// The box is connected by this link from now on.
    func attach(_ link: BoxDoorLink) {
        let old = self.state.withLock { $0.links.updateValue(link, forKey: link.box) }
        guard let old else { return }
        self.metrics.add(.federationTakeOvers)
        old.takeOver()
    }

    func detach(_ link: BoxDoorLink) {
        self.state.withLock { state in
            if state.links[link.box] === link { state.links[link.box] = nil }
        }
    }
}
