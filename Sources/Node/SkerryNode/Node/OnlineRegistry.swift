package import SkerryModel
import Synchronization

/// One line of the administrator's list of who is connected.
package struct OnlineSession: Sendable, Hashable {
    package enum Kind: String, Sendable { case ws, mqtt }

    package var id: SessionID
    package var user: UserID
    package var name: String
    package var device: DeviceID
    package var kind: Kind
    package var address: String
    package var client: String?
    package var sinceMilliseconds: UInt64

    package init(
        id: SessionID, user: UserID, name: String, device: DeviceID, kind: Kind, address: String, client: String?, sinceMilliseconds: UInt64
    ) {
        self.id = id
        self.user = user
        self.name = name
        self.device = device
        self.kind = kind
        self.address = address
        self.client = client
        self.sinceMilliseconds = sinceMilliseconds
    }
}

/// Who is connected to this box, on any shard: presence and the online count (PRODUCT.md M10).
///
/// Touched when somebody comes or goes, never per message; the lock is a leaf.
package final class OnlineRegistry: Sendable {
    private struct State {
        var sessions: [UserID: [SessionID: OnlineSession]] = [:]
        var lastSeen: [UserID: UInt64] = [:]
        var counts: [OnlineSession.Kind: Int] = [:]
        var next: UInt64 = 1
    }

    private let state = Mutex(State())
    private let lastSeenMax = 10_000

    package init() {}

    package func nextSession() -> SessionID {
        self.state.withLock {
            $0.next += 1
            return SessionID(rawValue: $0.next)
        }
    }

    /// True: the user was not online before. Nil: the user has too many sessions already.
    package func enter(_ session: OnlineSession, limits: Limits) -> Bool? {
        self.state.withLock { state in
            let present = state.sessions[session.user]?.count ?? 0
            guard present < limits.sessionsPerUserMax else { return nil }
            state.sessions[session.user, default: [:]][session.id] = session
            state.counts[session.kind, default: 0] += 1
            return present == 0
        }
    }

    /// True: it was the user's last session.
    package func leave(_ id: SessionID, user: UserID, now milliseconds: UInt64) -> Bool {
        self.state.withLock { state in
            guard let removed = state.sessions[user]?.removeValue(forKey: id) else { return false }
            state.counts[removed.kind, default: 0] -= 1
            guard state.sessions[user]?.isEmpty == true else { return false }
            state.sessions[user] = nil
            if state.lastSeen.count >= self.lastSeenMax { state.lastSeen.removeAll() }
            state.lastSeen[user] = milliseconds
            return true
        }
    }

    package func isOnline(_ user: UserID) -> Bool { self.state.withLock { $0.sessions[user] != nil } }
    package func lastSeen(_ user: UserID) -> UInt64? { self.state.withLock { $0.lastSeen[user] } }
    package func count(_ kind: OnlineSession.Kind) -> Int { self.state.withLock { $0.counts[kind] ?? 0 } }
    package var userCount: Int { self.state.withLock { $0.sessions.count } }

    /// All sessions, longest connected first.
    package var sessions: [OnlineSession] {
        self.state.withLock { $0.sessions.values.flatMap(\.values) }.sorted { $0.id.rawValue < $1.id.rawValue }
    }
}
