import Synchronization

/// Counters that are told apart by labels. For what happens once a connection, never once a message: adding takes a lock, which is a leaf.
///
/// Labels and their values come from lists in the program, never from outside, so there are few of them.
package enum MetricFamily: String, Sendable, CaseIterable {
    case mqttConnectionsOpened = "skerry_mqtt_connections_opened_total"
    case mqttConnectsRefused = "skerry_mqtt_connects_refused_total"
    case mqttDisconnects = "skerry_mqtt_disconnects_total"

    package var help: String {
        switch self {
        case .mqttConnectionsOpened: "MQTT connections accepted, by protocol version and transport."
        case .mqttConnectsRefused: "MQTT connections refused, by reason."
        case .mqttDisconnects: "MQTT connections that ended, by reason."
        }
    }
}

/// The counters of all families.
final class LabelledCounters: Sendable {
    private let counts = Mutex<[MetricFamily: [String: Int]]>([:])

    /// - Parameter labels: as Prometheus writes them: `version="5.0",transport="tcp"`.
    func add(_ family: MetricFamily, _ labels: String) { self.counts.withLock { $0[family, default: [:]][labels, default: 0] += 1 } }

    func values(_ family: MetricFamily) -> [(labels: String, value: Int)] {
        self.counts.withLock { $0[family] ?? [:] }.sorted { $0.key < $1.key }.map { (labels: $0.key, value: $0.value) }
    }
}

extension NodeMetrics {
    package func add(_ family: MetricFamily, _ labels: KeyValuePairs<StaticString, String>) {
        self.labelled.add(family, labels.map { "\($0.key)=\"\($0.value)\"" }.joined(separator: ","))
    }

    /// By labels, as Prometheus writes them.
    package func values(_ family: MetricFamily) -> [(labels: String, value: Int)] { self.labelled.values(family) }
}
