import Listeners
import Settings
import SkerryModel
import SkerryNode

extension BoxSelf {
    /// This box, as it is told to others: where it listens and how much it has to do.
    static func measured(_ settings: Settings, node: Node, control: NodeControl) -> BoxSelf {
        let online = node.online
        let connectionsMax = settings.limits.connectionsMax
        let meter = LoadMeter(
            loops: node.shards.map(\.loop), probe: .system(.system(dataDirectory: settings.data)), connections: { online.count(.ws) + online.count(.mqtt) },
            connectionsMax: { connectionsMax }, monotonic: node.clock.monotonic)
        let registry = control.listeners
        return BoxSelf(name: settings.federation.name.isEmpty ? HostName.current ?? "" : settings.federation.name, meter: meter) {
            registry.all.flatMap { Self.endpoints(of: $0) }
        } clock: {
            if node.clock.isSynced() { return .ntp }
            return WallClock.milliseconds() > SkerryVersion.earliestMilliseconds ? .set : .unset
        }
    }

    private static func endpoints(of record: ListenerRecord) -> [BoxEndpoint] {
        // A listener with a name of its own is for particular clients; it is not told to everybody.
        guard record.name == nil else { return [] }
        let kinds: [String]
        switch record.kind {
        case .http: kinds = record.isTLS ? ["https"] : ["http"]
        case .mqtt: kinds = record.isTLS ? ["mqtts"] : ["mqtt"]
        case .federation: kinds = ["federation"]
        }
        let hosts = LocalAddress.hosts(of: record.address)
        return (hosts.isEmpty ? ["127.0.0.1"] : hosts).flatMap { host in kinds.map { BoxEndpoint(kind: $0, address: host, port: record.port) } }
    }
}
