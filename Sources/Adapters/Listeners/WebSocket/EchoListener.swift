package import NIOCore
import SkerryModel
import SkerryNode

/// An echo server on the very WebSocket stack of the product, for conformance suites.
package enum EchoListener {
    /// - Parameter compresses: agree to permessage-deflate on whatever terms the client offers.
    package static func bind(
        port: Int, messageBytesMax: Int, compresses: Bool, loops: [any EventLoop], group: any EventLoopGroup
    ) async throws(ListenError) -> SocketListener {
        let metrics = NodeMetrics()
        let keepers = ConnectionKeepers(loops: loops)
        let bounds = WebSocketBounds(messageBytesMax: messageBytesMax, unreadBytesMax: messageBytesMax)
        let echo = WebSocketRoute(path: nil, subprotocols: [], origins: .any, deflate: compresses ? DeflateAgreement.Wish(keepsContext: true) : nil) {
            channel, opened in
            [
                WebSocketConnection(
                    keeper: keepers[channel.eventLoop], application: EchoApplication(), metrics: metrics, bounds: bounds, deflate: opened.deflate)
            ]
        }
        let place = SocketListener.Place(kind: "ws-echo", address: "127.0.0.1", port: PortRange(port))
        return try await SocketListener.bind(place, group: group, limiter: ConnectionLimiter(limits: Limits(), metrics: metrics)) { channel, _ in
            try channel.pipeline.syncOperations.addHandler(UpgradeGate(routes: [echo]) { $0.close(promise: nil) })
        }
    }
}
