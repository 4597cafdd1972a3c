package import NIOCore
import NIOSSL
import NIOPosix
package import SkerryModel
import Synchronization

/// One listening socket and the connections it accepted.
package final class SocketListener: Sendable {
    /// What is being bound. `kind` is what a person calls it: `http`, `https`, `mqtt`, `mqtts`.
    package struct Place: Sendable, Hashable {
        package var kind: String
        /// An IP address, not a name.
        package var address: String
        /// Of several the lowest free one; 0 is any.
        package var port: PortRange
        /// With port 0: the first port to try; the next ones follow, then the system chooses. Nil: the system chooses at once.
        package var portHint: Int?
        /// The network interface by which clients have to come; nil: any.
        package var interface: String?

        package init(kind: String, address: String, port: PortRange, portHint: Int? = nil, interface: String? = nil) {
            self.kind = kind
            self.address = address
            self.port = port
            self.portHint = portHint
            self.interface = interface
        }
    }

    /// Ports tried from the hint on.
    private static let portsTriedMax = 100

    package let kind: String
    package let address: String
    package let port: Int
    package let isTLS: Bool
    private let channel: any Channel
    private let connections: OpenConnections

    private init(kind: String, address: String, channel: any Channel, isTLS: Bool, connections: OpenConnections) {
        self.kind = kind
        self.address = address
        self.port = channel.localAddress?.port ?? 0
        self.isTLS = isTLS
        self.channel = channel
        self.connections = connections
    }

    /// Binds and begins to accept.
    ///
    /// - Parameters:
    ///   - tls: terminates TLS before the handlers of `initializer`.
    ///   - limiter: refuses what is over the limits; shared by all listeners.
    ///   - initializer: adds the handlers of an accepted connection, on its loop. Its second argument is the client's address: the connection's
    ///     own, or the one that a trusted proxy gave.
    package static func bind(
        _ place: Place, group: any EventLoopGroup, limiter: ConnectionLimiter, tls: TLSDoor? = nil, allowsHalfClosure: Bool = false,
        initializer: @escaping @Sendable (any Channel, SocketAddress?) throws -> Void
    ) async throws(ListenError) -> SocketListener {
        let connections = OpenConnections()
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // What the listening socket has, Linux gives to those it accepts. A peer that vanished without a word and has nothing to hear from us
            // is found out by the kernel, whatever its protocol's own keep-alive.
            .serverChannelOption(.socketOption(.so_keepalive), value: 1)
            .serverChannelInitializer { channel in SocketOptions.prepare(channel, interface: place.interface) }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: allowsHalfClosure)
            // A connection keeps the buffer of its last read for the next one: an idle client, whose reads are small, must not hold a large one.
            // It doubles with every read that fills it.
            .childChannelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 256, maximum: 65_536))
            .childChannelInitializer { channel in
                // A failed initializer closes the channel: that is the refusal.
                channel.eventLoop.makeCompletedFuture { try Self.accept(channel, connections, limiter, tls, initializer) }
            }
        let channel = try await Self.bind(place, bootstrap)
        return SocketListener(kind: place.kind, address: place.address, channel: channel, isTLS: tls != nil, connections: connections)
    }

    private static func accept(
        _ channel: any Channel, _ connections: OpenConnections, _ limiter: ConnectionLimiter, _ tls: TLSDoor?,
        _ initializer: @escaping @Sendable (any Channel, SocketAddress?) throws -> Void
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        let open = { @Sendable (channel: any Channel, address: SocketAddress?) in
            if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.context)) }
            try initializer(channel, address)
        }
        let address = channel.remoteAddress
        switch limiter.origin(address) {
        case .client:
            guard limiter.admit(channel), connections.add(channel) else { throw ChannelError.ioOnClosedChannel }
            try open(channel, address)
        case .stranger:
            guard limiter.admit(channel), connections.add(channel) else { throw ChannelError.ioOnClosedChannel }
            try pipeline.addHandler(ProxyScreen { limiter.refuseProxy("a PROXY header from an address that is not trusted", address) })
            try open(channel, address)
        case .proxy:
            guard limiter.admitProxy(channel), connections.add(channel) else { throw ChannelError.ioOnClosedChannel }
            try pipeline.addHandler(
                ProxyHandler(bounds: ProxyHandler.Bounds(headerSeconds: limiter.proxyHeaderSeconds)) { channel, client in
                    guard limiter.admit(channel, behindProxy: client ?? address) else { throw ChannelError.ioOnClosedChannel }
                    try open(channel, client ?? address)
                } refused: {
                    limiter.refuseProxy($0, address)
                })
        }
    }

    private static func bind(_ place: Place, _ bootstrap: ServerBootstrap) async throws(ListenError) -> any Channel {
        if place.port.isAny, let hint = place.portHint {
            for port in hint..<min(hint + Self.portsTriedMax, 65_536) {
                if let channel = try? await Self.bind(place, port, bootstrap) { return channel }
            }
        }
        // No port is asked whether it is free: another program could take it before it is bound.
        var isTaken = false
        for port in place.port.ports.dropLast() {
            do throws(ListenError) {
                return try await Self.bind(place, port, bootstrap)
            } catch {
                guard error.isOfPort else { throw error }
                isTaken = true
            }
        }
        do throws(ListenError) {
            return try await Self.bind(place, place.port.last, bootstrap)
        } catch {
            guard isTaken, error.isOfPort else { throw error }
            throw ListenError(kind: place.kind, address: place.address, port: place.port, reason: ListenError.noneFree)
        }
    }

    private static func bind(_ place: Place, _ port: Int, _ bootstrap: ServerBootstrap) async throws(ListenError) -> any Channel {
        var failure = ListenError(kind: place.kind, address: place.address, port: PortRange(port), reason: "it is not an IP address.")
        guard let address = try? SocketAddress(ipAddress: place.address, port: port) else { throw failure }
        do {
            return try await bootstrap.bind(to: address).get()
        } catch {
            let number = (error as? IOError)?.errnoCode
            failure.isOfPort = number == EADDRINUSE || number == EACCES
            failure.reason = number.map { ListenError.reason(errno: $0, port: port, interface: place.interface) } ?? "\(error)."
            throw failure
        }
    }

    /// Open connections of this listener.
    package var connectionCount: Int { self.connections.count }

    /// Accepts no more, tells the open connections to end (`ChannelShouldQuiesceEvent`), and after `grace` closes those that did not.
    package func close(grace: Duration) async {
        try? await self.channel.close().get()
        await self.connections.quiesce(grace: grace)
    }
}

/// The open connections of one listener, so that shutting down can reach them.
final class OpenConnections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isQuiescing = false
        /// Resumed when the last one has gone.
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var count: Int { self.state.withLock(\.channels.count) }

    /// False when no more are taken.
    func add(_ channel: any Channel) -> Bool {
        let key = ObjectIdentifier(channel)
        let isAdded = self.state.withLock { state in
            if state.isQuiescing { return false }
            state.channels[key] = channel
            return true
        }
        if isAdded { channel.closeFuture.whenComplete { _ in self.remove(key) } }
        return isAdded
    }

    private func remove(_ key: ObjectIdentifier) {
        let waiter = self.state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.channels[key] = nil
            guard state.channels.isEmpty else { return nil }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    func quiesce(grace: Duration) async {
        let open = self.state.withLock { state in
            state.isQuiescing = true
            return Array(state.channels.values)
        }
        for channel in open { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        await withTaskGroup { group in
            group.addTask {
                // Cancelled when all have gone before.
                try? await Task.sleep(for: grace)
                for channel in self.state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
            }
            await self.emptied()
            group.cancelAll()
        }
    }

    private func emptied() async {
        await withCheckedContinuation { continuation in
            let isEmpty = self.state.withLock { state in
                if state.channels.isEmpty { return true }
                state.waiter = continuation
                return false
            }
            if isEmpty { continuation.resume() }
        }
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif
