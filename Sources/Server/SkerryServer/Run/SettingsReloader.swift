import Listeners
import Logging
package import Settings
import ServiceLifecycle
import SkerryModel
import SkerryNode
import Synchronization
import UnixSignals

/// Reads the settings anew; throws every problem with its file and line.
package typealias SettingsSource = @Sendable () throws(SettingsError) -> Settings

/// What came of reading the settings anew.
struct ReloadReport: Sendable, Hashable {
    /// Keys with another value, which is in force now.
    var taken: [String] = []
    /// Keys with another value, which the next start takes.
    var waiting: [String] = []
    /// What could not be taken; what it was before goes on.
    var problems: [String] = []
}

/// Takes changed settings while the box runs: limits, policies, topics without an account, the log's level, trusted proxies and certificates.
///
/// Settings that are wrong change nothing at all. A certificate that cannot be used keeps the old ones, and everything else is taken.
final class SettingsReloader: Sendable {
    private struct State {
        var settings: Settings
    }

    private let started: Settings
    private let state: Mutex<State>
    private let source: SettingsSource
    private let parts: BoxParts
    private let listeners: BoxListeners
    private let logger: Logger

    init(_ settings: Settings, source: @escaping SettingsSource, parts: BoxParts, listeners: BoxListeners, logger: Logger) {
        self.started = settings
        self.state = Mutex(State(settings: settings))
        self.source = source
        self.parts = parts
        self.listeners = listeners
        self.logger = logger
    }

    /// One after the other, whoever asks.
    func reload() -> ReloadReport {
        let report = self.state.withLock { self.reload(&$0) }
        self.parts.node.metrics.add(report.problems.isEmpty ? .reloads : .reloadsFailed)
        for problem in report.problems { self.logger.error("a setting was not taken", metadata: ["problem": "\(problem)"]) }
        for key in report.waiting { self.logger.warning("this setting takes a restart", metadata: ["key": "\(key)"]) }
        if report.problems.isEmpty {
            self.logger.notice(
                "settings and certificates read", metadata: ["changed": "\(report.taken.isEmpty ? "nothing" : report.taken.joined(separator: ", "))"])
        }
        return report
    }

    private func reload(_ state: inout State) -> ReloadReport {
        var report = ReloadReport()
        let settings: Settings
        let broker: BrokerSettings
        let terms: [ListenerSettings]
        do throws(SettingsError) {
            settings = try self.source()
            do throws(ServerError) {
                broker = try BrokerSettings(settings.broker)
                terms = try settings.listeners.map { listener throws(ServerError) in try ListenerSettings(listener) }
            } catch {
                throw SettingsError(error.description)
            }
        } catch {
            report.problems = error.problems
            return report
        }
        report.taken = state.settings.differences(to: settings).filter(self.isLive).map(\.key)
        report.waiting = self.started.differences(to: settings).filter { !self.isLive($0) }.map(\.key)
        do throws(BoxIdentityError) {
            try self.listeners.doors.reload(settings)
        } catch {
            report.problems = ["\(error) The certificates that are in use stay."]
            report.taken.removeAll { $0.hasPrefix("tls.") }
        }
        state.settings = settings
        ServerLog.level.change(settings.log.level)
        self.listeners.limiter.change(ConnectionLimiter.Bounds(settings))
        self.parts.broker.reload(broker)
        self.listeners.entrances.change(broker, terms)
        return report
    }

    /// What is set for a listener that is not there waits for it.
    private func isLive(_ difference: (key: String, isLive: Bool)) -> Bool {
        let words = difference.key.split(separator: ".")
        guard difference.isLive, words.count == 4, difference.key.hasPrefix("mqtt.listeners.") else { return difference.isLive }
        return self.started.listeners.contains { $0.name == words[2] }
    }
}

/// What a named listener grants, as the broker takes it.
struct ListenerSettings: Sendable {
    let name: String
    let settings: BrokerSettings
    /// Nil: as elsewhere.
    let anonymous: [TopicFilter]?

    init(_ listener: Settings.MQTTListener) throws(ServerError) {
        self.name = listener.name
        self.settings = try BrokerSettings(listener.broker)
        self.anonymous = listener.hasOwnAnonymous ? self.settings.anonymous : nil
    }
}

/// The ways in for MQTT clients, by the name of the listener.
struct MQTTEntrances: Sendable {
    private let named: [String: MQTTEntrance]
    /// Listeners of one kind each, with the settings of the whole box.
    private let usual: [String: MQTTEntrance]

    static let usualNames = ["mqtt", "mqtts", "ws", "wss"]

    init(_ settings: Settings) throws(ServerError) {
        let broker = try BrokerSettings(settings.broker)
        var usual: [String: MQTTEntrance] = [:]
        for name in Self.usualNames { usual[name] = MQTTEntrance(name, broker) }
        var named: [String: MQTTEntrance] = [:]
        for listener in settings.listeners {
            let terms = try ListenerSettings(listener)
            named[terms.name] = MQTTEntrance(terms.name, terms.settings, anonymous: terms.anonymous)
        }
        self.usual = usual
        self.named = named
    }

    func usual(_ name: String) -> MQTTEntrance? { self.usual[name] }
    func named(_ name: String) -> MQTTEntrance? { self.named[name] }

    func change(_ broker: BrokerSettings, _ listeners: [ListenerSettings]) {
        for entrance in self.usual.values { entrance.change(broker) }
        for listener in listeners { self.named[listener.name]?.change(listener.settings, anonymous: listener.anonymous) }
    }
}

extension ConnectionLimiter.Bounds {
    init(_ settings: Settings) {
        self.init(settings.limits)
        self.trusted = settings.trustedProxies
    }
}

/// Reads the settings anew at every SIGHUP.
struct ReloadOnSignal: Service {
    let signals: UnixSignalsSequence
    let reloader: SettingsReloader

    func run() async throws {
        for await _ in self.signals.cancelOnGracefulShutdown() { _ = self.reloader.reload() }
    }
}
