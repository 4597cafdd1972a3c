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

/// How many durable sessions each owner has: what a client leaves behind takes memory and disk although nobody is connected.
final class SessionCounts: Sendable {
    private struct State {
        var total = 0
        var byOwner: [SessionOwner: Int] = [:]
    }

    private let state = Mutex(State())

    /// False: there is no room for another one. Without settings it is counted in any case.
    func enter(_ owner: SessionOwner, _ settings: BrokerSettings? = nil) -> Bool {
        self.state.withLock { state in
            let own = state.byOwner[owner] ?? 0
            if let settings, state.total >= settings.sessionsMax || own >= settings.sessionsPerUserMax { return false }
            state.total += 1
            state.byOwner[owner] = own + 1
            return true
        }
    }

    func leave(_ owner: SessionOwner) {
        self.state.withLock { state in
            guard let own = state.byOwner[owner] else { return }
            state.total -= 1
            state.byOwner[owner] = own > 1 ? own - 1 : nil
        }
    }
}
