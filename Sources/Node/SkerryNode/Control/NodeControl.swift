package import ChatCodec
package import SkerryModel
import Store
import Synchronization

/// What administrators may see and do to the running box; the same for web pages, REST and the command line.
package final class NodeControl: Sendable {
    package let node: Node
    package let accounts: AccountService
    package let listeners: ListenerRegistry
    /// Nil: this box runs no MQTT broker.
    package let broker: MQTTBroker?
    package let gauges = GaugeRegistry()
    package let version: String

    private let probe: SystemProbe
    private let startedMilliseconds: UInt64
    private let startedMonotonic: UInt64
    /// Why the box is not ready beside what can be seen from here: starting, draining.
    private let holds = Mutex<Set<String>>([])
    private let boxes = Mutex<(any FederationControl)?>(nil)
    private let itself = Mutex<BoxSelf?>(nil)

    package init(
        node: Node, accounts: AccountService, listeners: ListenerRegistry, broker: MQTTBroker? = nil, version: String, probe: SystemProbe
    ) {
        self.node = node
        self.accounts = accounts
        self.listeners = listeners
        self.broker = broker
        self.version = version
        self.probe = probe
        self.startedMilliseconds = node.clock.wall()
        self.startedMonotonic = node.clock.monotonic()
        self.addGauges()
        self.addBrokerGauges()
    }

    /// The other boxes; nil until it is attached, and for good where the box has no federation listener.
    package var federation: (any FederationControl)? { self.boxes.withLock { $0 } }
    package func attach(_ federation: any FederationControl) { self.boxes.withLock { $0 = federation } }

    /// What the box says of itself; nil until its listeners are open.
    package var own: BoxSelf? { self.itself.withLock { $0 } }
    package func attach(_ own: BoxSelf) { self.itself.withLock { $0 = own } }

    package var uptimeSeconds: Int { Int((self.node.clock.monotonic() - self.startedMonotonic) / 1_000) }

    package func overview(by actor: Actor) async throws(SkerryError) -> Overview {
        let counts = try await self.accounts.read { store in
            try AccountService.administrator(actor, store)
            return (users: try store.userCount(), messages: try store.messageCount(), isClaimed: try store.administrators(atMost: 1) > 0)
        }
        let online = self.node.online
        return Overview(
            box: self.node.box, version: self.version, uptimeSeconds: self.uptimeSeconds, startedMilliseconds: self.startedMilliseconds,
            users: counts.users, online: online.userCount, onlineEverywhere: online.userCountEverywhere, webSockets: online.count(.ws),
            mqttSessions: online.count(.mqtt),
            messages: counts.messages, listeners: self.listeners.all, storeBytes: self.node.store.sizeBytes,
            residentBytes: self.probe.residentBytes(), disk: self.probe.disk(), clockIsSynced: self.probe.clockIsSynced(),
            isClaimed: counts.isClaimed)
    }

    /// Who is connected, longest first.
    package func online(by actor: Actor) async throws(SkerryError) -> [OnlineSession] {
        try await self.requireAdministrator(actor)
        return self.node.online.sessions
    }

    package func listeners(by actor: Actor) async throws(SkerryError) -> [ListenerRecord] {
        try await self.requireAdministrator(actor)
        return self.listeners.all
    }

    /// Ends live sessions of a user, all or those of one device. They may come back: to keep somebody out, lock the account.
    package func kick(_ reference: UserReference, device: DeviceID? = nil, by actor: Actor) async throws(SkerryError) {
        let user = try await self.accounts.read { store in
            try AccountService.administrator(actor, store)
            return try AccountService.user(reference, store).id
        }
        self.node.publish([.endSessions(user, device, .replaced)])
    }

    package func requireAdministrator(_ actor: Actor) async throws(SkerryError) {
        try await self.accounts.read { store in try AccountService.administrator(actor, store) }
    }

    // MARK: - Health

    /// Holds the box back from being ready, for a reason that people can read, until `release` of the same.
    package func hold(_ reason: String) { self.holds.withLock { _ = $0.insert(reason) } }
    package func release(_ reason: String) { self.holds.withLock { _ = $0.remove(reason) } }

    /// Why the box should get no new work; empty when it should.
    package func unreadiness() async -> [String] {
        var reasons = self.holds.withLock { $0.sorted() }
        if self.node.moving.isDraining { reasons.append("The box is being drained.") }
        let status = self.node.commits.status
        if let failure = status.failure { reasons.append("store: \(failure.detail)") }
        if status.waiting >= self.node.limits.commitQueueMax { reasons.append("store: the commit queue is full.") }
        do throws(SkerryError) {
            _ = try await self.accounts.read { store in try store.meta("box") }
        } catch {
            reasons.append("store: \(error.detail)")
        }
        return reasons
    }

    private func addGauges() {
        let (node, probe, accounts) = (self.node, self.probe, self.accounts)
        let gauges: [Gauge] = [
            Gauge(name: "skerry_online_users", help: "Users with at least one session.") { node.online.userCount },
            Gauge(name: "skerry_online_users_federation", help: "Users with at least one session on any box.") { node.online.userCountEverywhere },
            Gauge(name: "skerry_websocket_sessions", help: "Live WebSocket chat sessions.") { node.online.count(.ws) },
            Gauge(name: "skerry_mqtt_sessions", help: "Live MQTT connections.") { node.online.count(.mqtt) },
            Gauge(name: "skerry_store_bytes", help: "Bytes the database takes on disk.") { node.store.sizeBytes },
            Gauge(name: "skerry_commit_queue_jobs", help: "Writes that wait for the disk.") { node.commits.status.waiting },
            Gauge(name: "skerry_commits", help: "Jobs committed since the start.") { Int(clamping: node.commits.status.committed) },
            Gauge(name: "skerry_commit_groups", help: "Transactions committed since the start.") { Int(clamping: node.commits.status.groups) },
            Gauge(name: "skerry_password_queue_jobs", help: "Password checks that wait for a thread.") { accounts.passwords.waiting },
            Gauge(name: "skerry_token_cache_entries", help: "Device tokens whose owner is remembered.") { accounts.tokens.withLock(\.count) },
            Gauge(name: "skerry_resident_bytes", help: "Memory the process holds.") { probe.residentBytes() },
            Gauge(name: "skerry_disk_free_bytes", help: "Bytes free on the disk of the data directory.") { probe.disk()?.freeBytes },
        ]
        for gauge in gauges { self.gauges.add(gauge) }
    }
}
