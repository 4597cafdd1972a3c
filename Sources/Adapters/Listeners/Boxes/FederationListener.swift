package import NIOCore
package import SkerryNode

/// The door for other boxes: MQTT 5 under TLS with a certificate of the federation, and pairing connections of boxes that have none yet.
package enum FederationListener {
    package static let kind = "federation"
    /// The port to try first when any free one will do.
    package static let portHint = 8_884
    /// The protocol (ALPN) of a pairing connection.
    package static let pairingProtocol = "skerry-pair/1"

    /// Binds and begins to accept. The listener may be there before the box belongs to a federation: nobody is let in then.
    ///
    /// - Parameter acceptor: who takes what comes; asked for every connection. Nil: the box is of no federation.
    package static func open(
        _ place: SocketListener.Place, group: any EventLoopGroup, limiter: ConnectionLimiter, keepers: ConnectionKeepers, metrics: NodeMetrics,
        acceptor: @escaping @Sendable () -> (any BoxLinkAcceptor)?
    ) async throws(ListenError) -> SocketListener {
        let door = BoxDoor(keepers: keepers, limiter: limiter, metrics: metrics, acceptor: acceptor)
        return try await SocketListener.bind(place, group: group, limiter: limiter) { channel, client in try door.open(channel, client) }
    }
}
