import HTTPAPI
import Hummingbird
import HummingbirdCore
import Listeners
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Settings
import SkerryNode
import WebPages

/// Every socket the box listens on, as one service: they open together or not at all, and close together.
struct BoxListeners: Service {
    let records: [ListenerRecord]
    /// Where people open the web pages, most useful first.
    let webBases: [String]

    private let ports: [HTTPPort]
    private let sockets: [SocketListener]
    private let parts: BoxParts

    /// Ports tried from the usual one on when any free one will do.
    private static let hints = (http: 8_080, https: 8_443, mqtt: 1_883, mqtts: 8_883)

    static func open(_ parts: BoxParts, _ settings: Settings, _ group: MultiThreadedEventLoopGroup, _ logger: Logger) async throws -> BoxListeners {
        let limiter = ConnectionLimiter(limits: settings.limits, metrics: parts.node.metrics)
        let keepers = ConnectionKeepers(loops: Array(group.makeIterator()))
        let needsTLS = settings.https.isEnabled || settings.mqtts.isEnabled
        let tls = needsTLS ? try parts.identity.makeTLSContext(certificatePath: settings.tls.certificate, keyPath: settings.tls.key) : nil

        let chat = ChatListener(node: parts.node, chat: parts.chat, accounts: parts.accounts, keepers: keepers)
        let mqtt = { @Sendable (channel: any Channel, transport: MQTTTransport) in
            MQTTConnectionHandler(broker: parts.broker, keeper: keepers[channel.eventLoop], transport: transport)
        }
        let chatRoute = chat.route(compresses: settings.webSocket.compresses)
        let responder = Self.responder(parts, logger)

        var ports: [HTTPPort] = []
        var sockets: [SocketListener] = []
        var opened: [ListenerRecord] = []
        do {
            for (kind, listener, hint, context) in [("http", settings.http, Self.hints.http, nil), ("https", settings.https, Self.hints.https, tls)]
            where listener.isEnabled {
                let mqttRoutes = Self.mqttRoutes(parts, keepers, context == nil ? .webSocket : .secureWebSocket, mqtt)
                let port = try await HTTPPort.bind(
                    SocketListener.Place(kind: kind, address: settings.bind, port: listener.port, portHint: hint), group: group, limiter: limiter,
                    tls: context, routes: [chatRoute] + mqttRoutes, keepers: keepers, responder: responder, logger: logger)
                ports.append(port)
                opened.append(ListenerRecord(kind: .http, address: port.listener.address, port: port.listener.port, isTLS: context != nil))
            }
            for (kind, listener, hint, context) in [("mqtt", settings.mqtt, Self.hints.mqtt, nil), ("mqtts", settings.mqtts, Self.hints.mqtts, tls)]
            where listener.isEnabled {
                let socket = try await SocketListener.bind(
                    SocketListener.Place(kind: kind, address: settings.bind, port: listener.port, portHint: hint), group: group, limiter: limiter,
                    tls: context
                ) { channel in try channel.pipeline.syncOperations.addHandler(mqtt(channel, context == nil ? .tcp : .tls)) }
                sockets.append(socket)
                opened.append(ListenerRecord(kind: .mqtt, address: socket.address, port: socket.port, isTLS: context != nil))
            }
        } catch {
            for port in ports { await port.listener.close(grace: .zero) }
            for socket in sockets { await socket.close(grace: .zero) }
            throw error
        }
        for record in opened { parts.control.listeners.opened(record) }
        let web = opened.first { $0.kind == .http && !$0.isTLS } ?? opened.first { $0.kind == .http }
        let bases = web.map { BoxAddresses.bases($0.isTLS ? "https" : "http", $0.address, $0.port) } ?? []
        return BoxListeners(records: opened, webBases: bases, ports: ports, sockets: sockets, parts: parts)
    }

    /// MQTT over WebSocket (MQTT 5 §6): at `/mqtt`, and at `/` because many clients know no other path.
    private static func mqttRoutes(
        _ parts: BoxParts, _ keepers: ConnectionKeepers, _ transport: MQTTTransport,
        _ handler: @escaping @Sendable (any Channel, MQTTTransport) -> MQTTConnectionHandler
    ) -> [WebSocketRoute] {
        ["/mqtt", "/"].map { path in
            WebSocketRoute(path: path, subprotocols: MQTTBridge.subprotocols, origins: .ownPages(also: []), deflate: nil) { channel, _ in
                [MQTTBridge(keeper: keepers[channel.eventLoop], metrics: parts.node.metrics), handler(channel, transport)]
            }
        }
    }

    private static func responder(_ parts: BoxParts, _ logger: Logger) -> HTTPChannelHandler.Responder {
        let router = Router(context: SkerryRequestContext.self)
        HTTPAPI(control: parts.control, chat: parts.chat).addRoutes(to: router)
        WebPages.addRoutes(to: router)
        HTTPAPI.refuseOtherMethods(on: router)
        return HTTPAnswers.responder(
            router.buildResponder(), upgradePaths: [ChatListener.path, "/mqtt"], clock: parts.node.clock, logger: ServerLog.requests(logger))
    }

    /// Serves until the box stops; then every connection has ended.
    func run() async throws {
        try? await gracefulShutdown()
        self.parts.control.hold("The box is stopping.")
        // Clients hear why before their sockets close.
        await self.parts.broker.stop()
        for shard in self.parts.node.shards { shard.enter { $0.chat.endAll(.shutdown) } }
        await withDiscardingTaskGroup { group in
            for port in self.ports { group.addTask { await port.listener.close(grace: .seconds(3)) } }
            for socket in self.sockets { group.addTask { await socket.close(grace: .seconds(3)) } }
        }
        for record in self.records { self.parts.control.listeners.closed(record) }
    }
}
