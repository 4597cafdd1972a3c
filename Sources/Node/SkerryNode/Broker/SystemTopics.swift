import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store
import Synchronization

/// `$SYS/broker/…`: what is there to tell, under the names of Mosquitto 2.0, and what was told already.
///
/// A value is published when it is another than the last time; a new subscriber gets the present one. The lock is a leaf and taken once an
/// interval and once a subscription.
final class SystemTopics: Sendable {
    private struct State {
        /// As published last. A value that a new subscriber was told since then is not here, so that it is published in any case.
        var published: [String: String] = [:]
        var loads: [Load: LoadAverage] = [:]
        var updated: UInt64
        var heapMost = 0
    }

    enum Load: String, CaseIterable {
        case messagesReceived = "messages/received"
        case messagesSent = "messages/sent"
        case publishReceived = "publish/received"
        case publishSent = "publish/sent"
        case publishDropped = "publish/dropped"
        case bytesReceived = "bytes/received"
        case bytesSent = "bytes/sent"
        case sockets
        case connections
    }

    private let state: Mutex<State>

    init(now: UInt64) { self.state = Mutex(State(updated: now)) }

    /// What has changed since the last time.
    func changes(_ broker: MQTTBroker) -> [ApplicationMessage] {
        let now = broker.clock.now()
        let values = self.values(broker)
        return self.state.withLock { state in
            let seconds = Double(now - min(now, state.updated)) / 1000
            state.updated = now
            var values = values
            for load in Load.allCases {
                state.loads[load, default: LoadAverage(from: 0)].update(broker.count(load), seconds: seconds)
                values += Self.texts(load, state.loads[load])
            }
            self.addHeap(&values, &state)
            var changed: [ApplicationMessage] = []
            for (name, text) in values where state.published[name] != text {
                state.published[name] = text
                if let message = Self.message(name, text) { changed.append(message) }
            }
            return changed
        }
    }

    /// The values of this moment, for a new subscription; averages as they were published last.
    func present(_ broker: MQTTBroker) -> [ApplicationMessage] {
        let values = self.values(broker)
        return self.state.withLock { state in
            var values = values
            for load in Load.allCases { values += Self.texts(load, state.loads[load]) }
            self.addHeap(&values, &state)
            return values.compactMap { name, text in
                if state.published[name] != text { state.published[name] = nil }
                return Self.message(name, text)
            }
        }
    }

    private static func texts(_ load: Load, _ average: LoadAverage?) -> [(String, String)] {
        zip(LoadAverage.minutes, (average ?? LoadAverage(from: 0)).values).map { minutes, value in
            ("load/\(load.rawValue)/\(minutes)min", LoadAverage.text(value))
        }
    }

    private static func message(_ name: String, _ text: String) -> ApplicationMessage? {
        guard let topic = try? TopicName("$SYS/broker/\(name)") else { return nil }
        return ApplicationMessage(topic: topic, payload: ByteBuffer(string: text), qos: .atMostOnce)
    }

    private func addHeap(_ values: inout [(String, String)], _ state: inout State) {
        guard let bytes = SystemProbe.resident() else { return }
        state.heapMost = max(state.heapMost, bytes)
        values.append(("heap/current", "\(bytes)"))
        values.append(("heap/maximum", "\(state.heapMost)"))
    }

    private func values(_ broker: MQTTBroker) -> [(String, String)] {
        let (metrics, statistics) = (broker.node.metrics, broker.statistics)
        let connected = statistics.value(.connected)
        let sessions = statistics.value(.sessions)
        let away = max(0, sessions - connected)
        let stored = statistics.value(.retained) + statistics.value(.queued)
        let counts: [(String, Int)] = [
            ("clients/connected", connected), ("clients/active", connected), ("clients/disconnected", away), ("clients/inactive", away),
            ("clients/total", sessions), ("clients/maximum", statistics.value(.connectedMost)),
            ("clients/expired", metrics.value(.mqttSessionsExpired)), ("subscriptions/count", statistics.value(.subscriptions)),
            ("shared_subscriptions/count", statistics.value(.sharedSubscriptions)), ("publish/messages/received", metrics.value(.mqttPublishesIn)),
            ("publish/messages/sent", metrics.value(.mqttPublishesOut)), ("publish/messages/dropped", metrics.value(.mqttDropped)),
            ("publish/bytes/received", metrics.value(.mqttPublishBytesIn)), ("publish/bytes/sent", metrics.value(.mqttPublishBytesOut)),
            ("messages/received", metrics.value(.mqttPacketsIn)), ("messages/sent", metrics.value(.mqttPacketsOut)), ("messages/stored", stored),
            ("store/messages/count", stored), ("store/messages/bytes", statistics.value(.retainedBytes) + statistics.value(.queuedBytes)),
            ("retained messages/count", statistics.value(.retained)), ("bytes/received", metrics.value(.mqttBytesIn)),
            ("bytes/sent", metrics.value(.mqttBytesOut)),
        ]
        return [
            ("version", "skerry version \(SkerryVersion.text)"), ("uptime", "\((broker.clock.now() - broker.started) / 1000) seconds"),
        ] + counts.map { ($0, "\($1)") }
    }
}

extension MQTTBroker {
    fileprivate func count(_ load: SystemTopics.Load) -> Int {
        let metrics = self.node.metrics
        return switch load {
        case .messagesReceived: metrics.value(.mqttPacketsIn)
        case .messagesSent: metrics.value(.mqttPacketsOut)
        case .publishReceived: metrics.value(.mqttPublishesIn)
        case .publishSent: metrics.value(.mqttPublishesOut)
        case .publishDropped: metrics.value(.mqttDropped)
        case .bytesReceived: metrics.value(.mqttBytesIn)
        case .bytesSent: metrics.value(.mqttBytesOut)
        case .sockets: metrics.value(.mqttSocketsOpened)
        case .connections: metrics.value(.mqttConnects) + metrics.value(.mqttRefused)
        }
    }

    /// Brings up to date what is not counted as it happens: before somebody reads the figures.
    package func refreshTotals() async {
        await withCheckedContinuation { continuation in self.refreshRetained { continuation.resume() } }
        var (inFlight, waitingBytes) = (0, 0)
        for shard in self.node.shards {
            var after = ""
            while true {
                let start = after
                guard let part = await shard.broker({ $0.load(after: start) }) else { break }
                inFlight += part.inFlight
                waitingBytes += part.waitingBytes
                guard let through = part.through else { break }
                after = through
            }
        }
        self.statistics.set(.inFlight, inFlight)
        self.statistics.set(.waitingBytes, waitingBytes)
    }

    /// Only the store knows how much is retained.
    func refreshRetained(_ completion: @escaping @Sendable () -> Void) {
        self.node.store.read {
            try $0.retainedTotals()
        } completion: { result in
            if case .success(let totals) = result {
                self.statistics.set(.retained, totals.count)
                self.statistics.set(.retainedBytes, totals.bytes)
            }
            completion()
        }
    }
}
