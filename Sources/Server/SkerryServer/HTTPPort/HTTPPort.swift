package import Hummingbird
package import Listeners
package import Logging
import SkerryNode
package import NIOCore
import ServiceLifecycle
import HummingbirdCore
import NIOHTTP1

/// One port for REST, pages and WebSocket, plain or with TLS: HTTP/1.1 through Hummingbird's request path, WebSockets out of it.
///
/// Hummingbird's own server starts a task for every accepted connection and keeps it to the end. Here the first request decides before
/// anything is made: a WebSocket gets its handlers and nothing else, ever; only a connection that speaks HTTP gets HTTP handlers and a task.
package final class HTTPPort: Service {
    package struct Settings: Sendable {
        /// Seconds without a request after which a kept-alive connection is closed.
        package var idleSeconds: Int64 = 60
        package var headerBytesMax = 16 * 1024
        package var headersBytesMax = 32 * 1024
        package var headersMax = 100
        /// How long running requests may take to end when the box stops.
        package var grace: Duration = .seconds(5)
        package var gate = UpgradeGate.Bounds()
        package var pace = RequestPace.Bounds()
        package init() {}
    }

    package let listener: SocketListener
    private let settings: Settings

    private init(listener: SocketListener, settings: Settings) {
        self.listener = listener
        self.settings = settings
    }

    /// Binds and begins to accept.
    ///
    /// - Parameters:
    ///   - routes: where WebSockets may be opened.
    ///   - keepers: of all loops of `group`.
    ///   - responder: answers a request; see `HTTPAnswers.responder`.
    package static func bind(
        _ place: SocketListener.Place, group: any EventLoopGroup, limiter: ConnectionLimiter, tls: TLSDoor? = nil, routes: [WebSocketRoute],
        keepers: ConnectionKeepers, responder: @escaping HTTPChannelHandler.Responder, settings: Settings = Settings(), logger: Logger
    ) async throws(ListenError) -> HTTPPort {
        let http = HTTP1Channel(
            responder: responder,
            configuration: HTTP1Channel.Configuration(
                idleTimeout: .seconds(settings.idleSeconds),
                httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
                    maxHeaderFieldSize: settings.headerBytesMax, maxHeaderListSize: settings.headersBytesMax, maxHeaderFieldCount: settings.headersMax)))
        let pace = settings.pace
        // HTTP clients may close their side after the request and still read the answer.
        let listener = try await SocketListener.bind(place, group: group, limiter: limiter, tls: tls, allowsHalfClosure: true) { channel, address in
            let isProxied = address != channel.remoteAddress
            let gate = UpgradeGate(routes: routes, address: isProxied ? address : nil, bounds: settings.gate) {
                limiter.refuseTLS($0, address)
            } serveHTTP: { channel in
                try Self.serve(channel, isProxied ? address : nil, http, keepers[channel.eventLoop], pace, logger)
            }
            try channel.pipeline.syncOperations.addHandler(gate)
        }
        return HTTPPort(listener: listener, settings: settings)
    }

    private static func serve(
        _ channel: any Channel, _ address: SocketAddress?, _ http: HTTP1Channel, _ keeper: ConnectionKeeper, _ pace: RequestPace.Bounds, _ logger: Logger
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        let watch = RequestPaceHandler(keeper: keeper, bounds: pace)
        try pipeline.addHandler(watch)
        // The future is complete: on its own loop Hummingbird sets a channel up at once.
        http.setup(channel: channel, logger: logger).assumeIsolated().whenSuccess { connection in
            // Ends with the connection, which the listener closes when it is closed itself.
            Task {
                await ClientAddress.$proxied.withValue(address) { await http.handle(value: connection, logger: logger) }
            }
        }
        let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
        try pipeline.addHandler(RequestGuard(watch), position: .after(decoder))
    }

    /// Serves until the box stops; then no connection is left.
    package func run() async {
        try? await gracefulShutdown()
        await self.listener.close(grace: self.settings.grace)
    }
}
