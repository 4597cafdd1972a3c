import Synchronization

/// How much there is of what, over all shards.
final class BrokerStatistics: Sendable {
    enum Name: Int, Sendable, CaseIterable {
        case connected, connectedMost, sessions
        /// Those to filters of the client's own, and those shared with others.
        case subscriptions, sharedSubscriptions
        /// Rows of queues, and bytes of their messages; holes between acknowledged rows count.
        case queued, queuedBytes
        /// Of QoS 1 and 2 messages that wait in memory alone: their sessions end with their connections.
        case windowBytes
        /// As they were counted last (`MQTTBroker.refreshTotals`).
        case retained, retainedBytes, inFlight, waitingBytes
    }

    private final class Number: Sendable {
        let value = Atomic<Int>(0)
    }

    private let numbers = Name.allCases.map { _ in Number() }

    func add(_ name: Name, _ count: Int) {
        let now = self.numbers[name.rawValue].value.wrappingAdd(count, ordering: .relaxed).newValue
        if name == .connected { _ = self.numbers[Name.connectedMost.rawValue].value.max(now, ordering: .relaxed) }
    }

    func set(_ name: Name, _ count: Int) { self.numbers[name.rawValue].value.store(count, ordering: .relaxed) }
    /// Bytes of messages that may still be kept for clients, of all of them together.
    func allowance(_ settings: BrokerSettings) -> Int { settings.queuedBytesAllMax - self.value(.queuedBytes) - self.value(.windowBytes) }

    func value(_ name: Name) -> Int { self.numbers[name.rawValue].value.load(ordering: .relaxed) }
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
