import HTTPAPI
import Hummingbird
import HummingbirdCore
import Listeners
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Settings
import SkerryModel
import SkerryNode
import WebPages

/// Every socket the box listens on, as one service: they open together or not at all, and close together.
struct BoxListeners: Service {
    let records: [ListenerRecord]
    /// Where people open the web pages, most useful first.
    let webBases: [String]

    /// What a reload reaches.
    let doors: TLSDoors
    let entrances: MQTTEntrances
    let limiter: ConnectionLimiter

    private let ports: [HTTPPort]
    private let sockets: [SocketListener]
    private let parts: BoxParts

    /// Ports tried from the usual one on when any free one will do.
    private static let hints = (http: 8_080, https: 8_443, mqtt: 1_883, mqtts: 8_883)

    /// What all listeners share while they are opened.
    private struct Opening: Sendable {
        let parts: BoxParts
        let settings: Settings
        let group: MultiThreadedEventLoopGroup
        let logger: Logger
        let limiter: ConnectionLimiter
        let keepers: ConnectionKeepers
        let doors: TLSDoors
        let entrances: MQTTEntrances
        let federation: BoxFederation?

        func handler(
            _ channel: any Channel, _ client: SocketAddress?, _ transport: MQTTTransport, _ entrance: MQTTEntrance?, _ clients: ClientCertificates
        ) -> MQTTConnectionHandler {
            MQTTConnectionHandler(
                broker: self.parts.broker, keeper: self.keepers[channel.eventLoop], transport: transport, entrance: entrance, client: client,
                naming: self.doors.naming(clients))
        }
    }

    static func open(
        _ parts: BoxParts, _ settings: Settings, _ group: MultiThreadedEventLoopGroup, _ federation: BoxFederation?, _ logger: Logger
    ) async throws -> BoxListeners {
        let limiter = ConnectionLimiter(limits: settings.limits, metrics: parts.node.metrics, refusals: parts.refusals)
        limiter.change(ConnectionLimiter.Bounds(settings))
        let opening = Opening(
            parts: parts, settings: settings, group: group, logger: logger, limiter: limiter, keepers: ConnectionKeepers(loops: Array(group.makeIterator())),
            doors: try TLSDoors(settings, identity: parts.identity), entrances: try MQTTEntrances(settings),
            federation: federation)
        var ports: [HTTPPort] = []
        var sockets: [SocketListener] = []
        var opened: [ListenerRecord] = []
        do {
            for (isTLS, listener) in [(false, settings.http), (true, settings.https)] where listener.isEnabled {
                let port = try await Self.openHTTP(listener, isTLS: isTLS, opening)
                ports.append(port)
                opened.append(ListenerRecord(kind: .http, address: port.listener.address, port: port.listener.port, isTLS: isTLS))
            }
            for (isTLS, listener) in [(false, settings.mqtt), (true, settings.mqtts)] where listener.isEnabled {
                let kind = isTLS ? "mqtts" : "mqtt"
                let place = SocketListener.Place(
                    kind: kind, address: settings.bind, port: listener.port, portHint: isTLS ? Self.hints.mqtts : Self.hints.mqtt)
                let socket = try await Self.openMQTT(place, opening.entrances.usual(kind), isTLS ? listener.clients : nil, opening)
                sockets.append(socket)
                opened.append(ListenerRecord(kind: .mqtt, address: socket.address, port: socket.port, isTLS: isTLS))
            }
            for listener in settings.listeners {
                let place = SocketListener.Place(
                    kind: "mqtt.listeners.\(listener.name)", address: listener.address.isEmpty ? settings.bind : listener.address, port: listener.port,
                    interface: listener.interface.isEmpty ? nil : listener.interface)
                let socket = try await Self.openMQTT(place, opening.entrances.named(listener.name), listener.isTLS ? listener.clients : nil, opening)
                sockets.append(socket)
                opened.append(ListenerRecord(kind: .mqtt, address: socket.address, port: socket.port, isTLS: listener.isTLS, name: listener.name))
            }
            if let federation {
                let place = SocketListener.Place(
                    kind: FederationListener.kind, address: settings.bind, port: settings.federationPort.port, portHint: FederationListener.portHint)
                let socket = try await FederationListener.open(
                    place, group: group, limiter: limiter, keepers: opening.keepers, metrics: parts.node.metrics, acceptor: { federation.acceptor })
                sockets.append(socket)
                federation.listens(on: socket.address, port: socket.port)
                opened.append(ListenerRecord(kind: .federation, address: socket.address, port: socket.port, isTLS: true))
            }
        } catch {
            for port in ports { await port.listener.close(grace: .zero) }
            for socket in sockets { await socket.close(grace: .zero) }
            throw error
        }
        for record in opened { parts.control.listeners.opened(record) }
        let web = opened.first { $0.kind == .http && !$0.isTLS } ?? opened.first { $0.kind == .http }
        let bases = web.map { BoxAddresses.bases($0.isTLS ? "https" : "http", $0.address, $0.port) } ?? []
        return BoxListeners(
            records: opened, webBases: bases, doors: opening.doors, entrances: opening.entrances, limiter: limiter, ports: ports, sockets: sockets, parts: parts
        )
    }

    private static func openHTTP(_ listener: Settings.Listener, isTLS: Bool, _ opening: Opening) async throws -> HTTPPort {
        let parts = opening.parts
        let chat = ChatListener(node: parts.node, chat: parts.chat, accounts: parts.accounts, keepers: opening.keepers) { origin in
            SisterPages.allow(origin, from: parts.control.federation?.sisters ?? [])
        }
        let routes = [chat.route(compresses: opening.settings.webSocket.compresses)] + Self.mqttRoutes(isTLS: isTLS, listener.clients, opening)
        let place = SocketListener.Place(
            kind: isTLS ? "https" : "http", address: opening.settings.bind, port: listener.port, portHint: isTLS ? Self.hints.https : Self.hints.http)
        return try await HTTPPort.bind(
            place, group: opening.group, limiter: opening.limiter, tls: isTLS ? opening.doors.door(listener.clients) : nil, routes: routes,
            keepers: opening.keepers, responder: Self.responder(parts, opening.logger), logger: opening.logger)
    }

    /// MQTT over WebSocket (MQTT 5 §6): at `/mqtt`, and at `/` because many clients know no other path.
    private static func mqttRoutes(isTLS: Bool, _ clients: ClientCertificates, _ opening: Opening) -> [WebSocketRoute] {
        let entrance = opening.entrances.usual(isTLS ? "wss" : "ws")
        return ["/mqtt", "/"].map { path in
            WebSocketRoute(path: path, subprotocols: MQTTBridge.subprotocols, origins: .ownPages(also: []), deflate: nil) { channel, opened in
                [
                    MQTTBridge(keeper: opening.keepers[channel.eventLoop], metrics: opening.parts.node.metrics),
                    opening.handler(channel, opened.address, isTLS ? .secureWebSocket : .webSocket, entrance, isTLS ? clients : .off),
                ]
            }
        }
    }

    /// - Parameter clients: nil without TLS.
    private static func openMQTT(
        _ place: SocketListener.Place, _ entrance: MQTTEntrance?, _ clients: ClientCertificates?, _ opening: Opening
    ) async throws -> SocketListener {
        try await SocketListener.bind(
            place, group: opening.group, limiter: opening.limiter, tls: clients.flatMap { opening.doors.door($0) }
        ) { channel, client in
            try channel.pipeline.syncOperations.addHandler(
                opening.handler(channel, client, clients == nil ? .tcp : .tls, entrance, clients ?? .off))
        }
    }

    private static func responder(_ parts: BoxParts, _ logger: Logger) -> HTTPChannelHandler.Responder {
        let router = Router(context: SkerryRequestContext.self)
        HTTPAPI(control: parts.control, chat: parts.chat).addRoutes(to: router)
        WebPages.addRoutes(to: router) { SisterPages.policySources(parts.control.federation?.sisters ?? []) }
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
