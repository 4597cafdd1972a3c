import Synchronization

/// How much there is of what, over all shards.
final class BrokerStatistics: Sendable {
    let connected = Atomic<Int>(0)
    let connectedMost = Atomic<Int>(0)
    let sessions = Atomic<Int>(0)
    let subscriptions = Atomic<Int>(0)

    enum Name: Sendable { case connected, connectedMost, sessions, subscriptions }

    func add(_ name: Name, _ count: Int) {
        switch name {
        case .connected:
            let now = self.connected.wrappingAdd(count, ordering: .relaxed).newValue
            _ = self.connectedMost.max(now, ordering: .relaxed)
        case .connectedMost: break
        case .sessions: self.sessions.wrappingAdd(count, ordering: .relaxed)
        case .subscriptions: self.subscriptions.wrappingAdd(count, ordering: .relaxed)
        }
    }

    func value(_ name: Name) -> Int {
        switch name {
        case .connected: self.connected.load(ordering: .relaxed)
        case .connectedMost: self.connectedMost.load(ordering: .relaxed)
        case .sessions: self.sessions.load(ordering: .relaxed)
        case .subscriptions: self.subscriptions.load(ordering: .relaxed)
        }
    }
}
