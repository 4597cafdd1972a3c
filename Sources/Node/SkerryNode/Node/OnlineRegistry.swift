import Replication
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

/// Who is online (PRODUCT.md M10): everybody who is connected to this box, on any shard, and whom other boxes of the federation say is connected there.
///
/// Touched when somebody comes or goes, never per message; the lock is a leaf.
package final class OnlineRegistry: Sendable {
    private struct Elsewhere {
        var users: Set<UserID> = []
        var hash = PresenceHash()
    }

    private struct State {
        var sessions: [UserID: [SessionID: OnlineSession]] = [:]
        var lastSeen: [UserID: UInt64] = [:]
        var counts: [OnlineSession.Kind: Int] = [:]
        var next: UInt64 = 1
        var boxes: [BoxID: Elsewhere] = [:]
        /// On how many other boxes somebody is.
        var elsewhere: [UserID: Int] = [:]
        /// Entries in `boxes`, together.
        var listed = 0
        /// Who is here and was not when `takeChanges` was called last, or the other way round.
        var changed: Set<UserID> = []
        /// Over everybody of whom other boxes were told.
        var announced = PresenceHash()
        var whenChanged: (@Sendable () -> Void)?

        func isOnline(_ user: UserID) -> Bool { self.sessions[user] != nil || self.elsewhere[user] != nil }

        /// True: there is news now, and was none before.
        mutating func toggle(_ user: UserID) -> Bool {
            if self.changed.remove(user) != nil { return false }
            self.changed.insert(user)
            return self.changed.count == 1
        }
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

    /// True: the user was not online before, on any box. Nil: the user has too many sessions here already.
    package func enter(_ session: OnlineSession, limits: Limits) -> Bool? {
        let (isFirst, listener) = self.state.withLock { state -> (Bool?, (@Sendable () -> Void)?) in
            let present = state.sessions[session.user]?.count ?? 0
            guard present < limits.sessionsPerUserMax else { return (nil, nil) }
            let wasOnline = state.isOnline(session.user)
            state.sessions[session.user, default: [:]][session.id] = session
            state.counts[session.kind, default: 0] += 1
            let isNews = present == 0 && state.toggle(session.user)
            return (!wasOnline, isNews ? state.whenChanged : nil)
        }
        listener?()
        return isFirst
    }

    /// True: the user is not online any more, on any box.
    package func leave(_ id: SessionID, user: UserID, now milliseconds: UInt64) -> Bool {
        let (wasLast, listener) = self.state.withLock { state -> (Bool, (@Sendable () -> Void)?) in
            guard let removed = state.sessions[user]?.removeValue(forKey: id) else { return (false, nil) }
            state.counts[removed.kind, default: 0] -= 1
            guard state.sessions[user]?.isEmpty == true else { return (false, nil) }
            state.sessions[user] = nil
            let isNews = state.toggle(user)
            let isGone = !state.isOnline(user)
            if isGone { self.noteSeen(user, milliseconds, &state) }
            return (isGone, isNews ? state.whenChanged : nil)
        }
        listener?()
        return wasLast
    }

    private func noteSeen(_ user: UserID, _ milliseconds: UInt64, _ state: inout State) {
        if state.lastSeen.count >= self.lastSeenMax { state.lastSeen.removeAll() }
        state.lastSeen[user] = milliseconds
    }

    /// Whether the user is connected to this box: whether something has to be sent at all.
    package func isHere(_ user: UserID) -> Bool { self.state.withLock { $0.sessions[user] != nil } }
    /// Whether one of them is connected to this box.
    package func isAnyHere(_ users: [UserID]) -> Bool {
        self.state.withLock { state in !state.sessions.isEmpty && users.contains { state.sessions[$0] != nil } }
    }
    /// Whether the user is connected to any box: what people are told.
    package func isOnline(_ user: UserID) -> Bool { self.state.withLock { $0.isOnline(user) } }
    package func lastSeen(_ user: UserID) -> UInt64? { self.state.withLock { $0.lastSeen[user] } }
    package func count(_ kind: OnlineSession.Kind) -> Int { self.state.withLock { $0.counts[kind] ?? 0 } }
    /// Users who are connected to this box.
    package var userCount: Int { self.state.withLock { $0.sessions.count } }
    /// Users who are connected to any box.
    package var userCountEverywhere: Int {
        self.state.withLock { state in
            let both = state.sessions.keys.count { state.elsewhere[$0] != nil }
            return state.sessions.count + state.elsewhere.count - both
        }
    }

    /// All sessions, longest connected first.
    package var sessions: [OnlineSession] {
        self.state.withLock { $0.sessions.values.flatMap(\.values) }.sorted { $0.id.rawValue < $1.id.rawValue }
    }
}

/// What goes to other boxes, and what comes from them.
extension OnlineRegistry {
    /// `listener` is called when there is news for other boxes, and not again until it was taken.
    package func listen(_ listener: (@Sendable () -> Void)?) { self.state.withLock { $0.whenChanged = listener } }

    /// Who has come to this box and who has left it since this was called last. Who did both is in neither.
    package func takeChanges() -> (came: [UserID], left: [UserID]) {
        self.state.withLock { state in
            defer { state.changed = [] }
            var changes: (came: [UserID], left: [UserID]) = ([], [])
            for user in state.changed {
                state.announced.toggle(user)
                if state.sessions[user] != nil { changes.came.append(user) } else { changes.left.append(user) }
            }
            return changes
        }
    }

    /// `PresenceHash` over everybody who is here, as far as `takeChanges` has told of them.
    package var announcedHash: UInt64 { self.state.withLock(\.announced.value) }

    /// `PresenceHash` over everybody who is known to be at `box`.
    package func hash(at box: BoxID) -> UInt64 { self.state.withLock { $0.boxes[box]?.hash.value ?? 0 } }

    /// Up to `limit` users who are here, rising, behind `after`.
    package func users(after: UserID?, limit: Int) -> [UserID] {
        let users = self.state.withLock { state in state.sessions.keys.filter { user in after.map { user > $0 } ?? true } }
        return Array(users.sorted().prefix(limit))
    }

    /// Whether all of `users` could be noted: beyond `limits.onlineElsewhereMax` nobody more is, and they are shown as offline.
    ///
    /// - Returns: users who were not online anywhere before.
    package func arrived(_ users: [UserID], at box: BoxID, limits: Limits) -> (changed: [UserID], areAllNoted: Bool) {
        self.state.withLock { state in
            var changed: [UserID] = []
            for user in users {
                guard state.boxes[box]?.users.contains(user) != true else { continue }
                guard state.listed < limits.onlineElsewhereMax else { return (changed, false) }
                if !state.isOnline(user) { changed.append(user) }
                state.boxes[box, default: Elsewhere()].users.insert(user)
                state.boxes[box]?.hash.toggle(user)
                state.elsewhere[user, default: 0] += 1
                state.listed += 1
            }
            return (changed, true)
        }
    }

    /// - Returns: users who are not online anywhere any more.
    package func departed(_ users: [UserID], from box: BoxID, now milliseconds: UInt64) -> [UserID] {
        self.state.withLock { state in users.filter { self.remove($0, from: box, milliseconds, &state) } }
    }

    /// The box is gone, and with it everybody who was only there.
    package func forget(_ box: BoxID, now milliseconds: UInt64) -> [UserID] {
        self.state.withLock { state in
            let users = state.boxes[box]?.users ?? []
            let gone = users.filter { self.remove($0, from: box, milliseconds, &state) }
            state.boxes[box] = nil
            return Array(gone)
        }
    }

    /// Everybody at `box` is among `users`, and nobody else.
    package func replace(at box: BoxID, with users: Set<UserID>, now milliseconds: UInt64, limits: Limits) -> (changed: [UserID], areAllNoted: Bool) {
        let stale = self.state.withLock { ($0.boxes[box]?.users ?? []).subtracting(users) }
        let gone = self.departed(Array(stale), from: box, now: milliseconds)
        let new = self.arrived(Array(users), at: box, limits: limits)
        return (gone + new.changed, new.areAllNoted)
    }

    /// Other boxes where at least one of `users` is.
    package func boxes(of users: [UserID]) -> [BoxID] {
        self.state.withLock { state in
            let away = users.filter { state.elsewhere[$0] != nil }
            if away.isEmpty { return [] }
            return state.boxes.filter { box in away.contains { box.value.users.contains($0) } }.map(\.key)
        }
    }

    /// True: the user is not online anywhere any more.
    private func remove(_ user: UserID, from box: BoxID, _ milliseconds: UInt64, _ state: inout State) -> Bool {
        guard state.boxes[box]?.users.remove(user) != nil else { return false }
        state.boxes[box]?.hash.toggle(user)
        state.listed -= 1
        let left = (state.elsewhere[user] ?? 1) - 1
        state.elsewhere[user] = left > 0 ? left : nil
        guard !state.isOnline(user) else { return false }
        self.noteSeen(user, milliseconds, &state)
        return true
    }
}
