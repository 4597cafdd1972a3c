import CLinux
import Listeners
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
package import Settings
import SkerryModel
import SkerryNode
import Store
import StoreSQLite
import UnixSignals

/// The whole box: builds every part, opens the listeners, runs until it is told to stop, and closes in the opposite order.
package enum BoxServer {
    /// Returns after SIGTERM or SIGINT, with everything that was acknowledged on the disk. SIGHUP has the settings read anew.
    ///
    /// - Parameter source: reads the settings anew.
    /// - Throws: `ServerError`, `ListenError` or another error whose description says what to do.
    package static func run(_ settings: Settings, source: @escaping SettingsSource) async throws {
        // Before anything else: from now on the signal does not end the process.
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        FileModes.forOwnerOnly()
        let logger = ServerLog.make(settings.log.level)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: settings.loops > 0 ? settings.loops : Self.processorCount)
        do {
            try await Self.run(settings, source, hangups, group, logger)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try? await group.shutdownGracefully()
    }

    /// The processors that this process may use: two loops that take turns on one processor would only wait for each other.
    private static var processorCount: Int {
        let allowed = Int(skerry_allowed_processors())
        return allowed > 0 ? min(allowed, System.coreCount) : System.coreCount
    }

    private static func run(
        _ settings: Settings, _ source: @escaping SettingsSource, _ hangups: UnixSignalsSequence, _ group: MultiThreadedEventLoopGroup, _ logger: Logger
    ) async throws {
        let store = try BoxStore.open(settings)
        // After everything else, whatever happens: nothing writes any more.
        defer { store.close() }
        let directory = RunDirectory(data: settings.data)
        try directory.prepare()
        defer { directory.clear() }
        if FileModes.isWritableByAnybody(settings.data) {
            logger.warning(
                "every user of this machine can replace the box's files: take the right to write from others", metadata: ["data": "\(settings.data)"])
        }

        let parts = try await BoxParts(settings, store: store, group: group, logger: logger)
        let federation = settings.federationPort.isEnabled ? try BoxFederation(parts, settings, logger) : nil
        let listeners: BoxListeners
        do {
            listeners = try await BoxListeners.open(parts, settings, group, federation, logger)
            try await federation?.start()
        } catch {
            await federation?.stop()
            throw error
        }
        parts.control.release(BoxParts.starting)
        for record in listeners.records {
            logger.info(
                "listening",
                metadata: [
                    "kind": "\(record.name ?? record.kind.rawValue)", "tls": "\(record.isTLS)", "address": "\(record.address)", "port": "\(record.port)",
                ])
        }

        let reloader = SettingsReloader(settings, source: source, parts: parts, listeners: listeners, logger: logger)
        let links = LinkPrinter(bases: listeners.webBases)
        var commands = ControlCommands(node: parts.node, accounts: parts.accounts, control: parts.control, links: links) { link in
            try? directory.writeClaim(link)
        }
        commands.reloader = reloader
        try await Self.invite(commands, parts, directory, logger)
        let control = ControlSocket(directory: directory, group: group, limits: settings.limits, commands: commands, logger: logger) {
            // Last of all: whoever waits for this file finds the listeners, the claim link and the control socket there.
            try directory.writeEndpoints(box: parts.identity.box, listeners: listeners.records)
        }
        skerry_release_code()
        logger.notice("ready", metadata: ["box": "\(parts.identity.box)", "version": "\(SkerryVersion.text)", "web": "\(links.bases.first ?? "-")"])

        var configuration = ServiceGroupConfiguration(
            services: [control, listeners, ReloadOnSignal(signals: hangups, reloader: reloader)] as [any Service] + (federation.map { [$0] } ?? []),
            gracefulShutdownSignals: [.sigterm, .sigint], logger: ServerLog.quiet)
        configuration.maximumGracefulShutdownDuration = .seconds(15)
        try await ServiceGroup(configuration: configuration).run()
        logger.notice("stopped")
    }

    /// An unclaimed box says how to become its administrator: in the log, and in the run directory for programs.
    private static func invite(_ commands: ControlCommands, _ parts: BoxParts, _ directory: RunDirectory, _ logger: Logger) async throws {
        guard try await !parts.accounts.isClaimed() else { return }
        let reply = try await commands.perform(ControlRequest(.claim))
        logger.notice("this box has no administrator yet; the link below makes the first")
        for line in reply.text.split(separator: "\n") { ServerLog.show(line) }
        parts.accounts.whenClaimed {
            directory.removeClaim()
            logger.notice("the claim link was used: the box has its administrator")
        }
    }
}

/// What the box consists of beside its sockets.
struct BoxParts: Sendable {
    static let starting = "The box is starting."

    let identity: BoxIdentity
    let clock: DisciplinedClock
    let node: Node
    let refusals: RefusalLog
    let accounts: AccountService
    let chat: ChatService
    let broker: MQTTBroker
    let control: NodeControl
    let itself: BoxSelf

    init(_ settings: Settings, store: any Store, group: MultiThreadedEventLoopGroup, logger: Logger) async throws {
        self.identity = try BoxIdentity.loadOrCreate(directory: settings.data)
        let loops = Array(group.makeIterator())
        self.clock = try await DisciplinedClock(by: store)
        self.node = Node(
            box: self.identity.box, loops: loops, store: store, limits: settings.limits, clock: self.clock.node, random: .system)
        self.refusals = RefusalLog(logger: logger, clock: self.node.clock)
        self.accounts = AccountService(
            node: self.node, offersScram: settings.broker.offersScram, refusals: self.refusals)
        try await self.accounts.prepareScram()
        self.chat = ChatService(node: self.node)
        self.broker = try await MQTTBroker.start(
            node: self.node, accounts: self.accounts, chat: self.chat, settings: try BrokerSettings(settings.broker),
            log: ConnectionLog(logger: logger, logsConnects: settings.log.connects))
        self.control = NodeControl(
            node: self.node, accounts: self.accounts, listeners: ListenerRegistry(), broker: self.broker, version: SkerryVersion.text,
            probe: .system(dataDirectory: settings.data))
        self.itself = .measured(settings, node: self.node, control: self.control)
        self.control.attach(self.itself)
        self.control.hold(Self.starting)
    }
}

extension BrokerSettings {
    init(_ settings: Settings.Broker) throws(ServerError) {
        self.init()
        for text in settings.anonymous {
            do {
                self.anonymous.append(try TopicFilter(text))
            } catch {
                throw ServerError("mqtt.anonymous: \(text) is not a topic filter: \(error)")
            }
        }
        self.connectionsMax = settings.connectionsMax
        self.packetBytesMax = settings.packetBytesMax
        self.receiveMax = settings.receiveMax
        self.inFlightMax = settings.inFlightMax
        self.topicAliasMax = settings.topicAliasMax
        self.keepAliveSecondsMax = settings.keepAliveSecondsMax
        self.sessionSecondsMax = settings.sessionSecondsMax
        self.levelsMax = settings.levelsMax
        self.subscriptionsMax = settings.subscriptionsMax
        self.queuedMessagesMax = settings.queuedMessagesMax
        self.queuedBytesMax = settings.queuedBytesMax
        self.queuedBytesAllMax = settings.queuedBytesAllMax
        self.sessionsMax = settings.sessionsMax
        self.sessionsPerUserMax = settings.sessionsPerUserMax
        self.retainedMessagesMax = settings.retainedMessagesMax
        self.retainedBytesMax = settings.retainedBytesMax
        self.systemSeconds = settings.systemSeconds
        self.overflow =
            switch settings.overflow {
            case .refuse: .refuse
            case .dropNew: .drop
            case .dropOldest: .dropOldest
            }
        self.subscriptionsPerPacketMax = settings.subscriptionsPerPacketMax
        self.repeatedPropertiesMax = settings.repeatedPropertiesMax
        self.connectBurst = settings.connectBurst
        self.connectsPerSecond = settings.connectsPerSecond
    }
}
