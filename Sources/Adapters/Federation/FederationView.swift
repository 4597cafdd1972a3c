package import Replication
package import SkerryModel
import Synchronization

/// What the service knows, for callers on any thread; written by the service alone. Each lock is a leaf.
package final class FederationView: Sendable {
    private struct State {
        var federation: FederationID?
        var peers: Set<BoxID> = []
        var members: [BoxID: MemberEntry] = [:]
        var sync: [BoxID: PeerSync] = [:]
        var quarantine: QuarantineReason?
        var start = StartMark(counter: 0, nonce: 0)
        /// Since when a peer lacks something, on the clock that never goes back.
        var behindSince: [BoxID: UInt64] = [:]
        /// Boxes by their key, those that are active.
        var keys: [[UInt8]: BoxID] = [:]
        /// Where boxes were heard of lately, beside what the member list says.
        var endpoints: [BoxID: [String]] = [:]
        /// When that was last written down, on the clock that never goes back.
        var kept: [BoxID: UInt64] = [:]
    }

    private let state = Mutex(State())
    let waiting = WaitingRuns()
    let alarms = AlarmHistory()

    package internal(set) var federation: FederationID? {
        get { self.state.withLock(\.federation) }
        set { self.state.withLock { $0.federation = newValue } }
    }
    package internal(set) var peers: Set<BoxID> {
        get { self.state.withLock(\.peers) }
        set { self.state.withLock { $0.peers = newValue } }
    }
    package internal(set) var members: [BoxID: MemberEntry] {
        get { self.state.withLock(\.members) }
        set {
            let active = newValue.values.filter { $0.standing == .active }
            self.state.withLock { state in
                state.members = newValue
                state.keys = Dictionary(active.map { ($0.publicKey, $0.box) }) { first, _ in first }
            }
        }
    }
    package var sync: [BoxID: PeerSync] { self.state.withLock(\.sync) }

    func note(_ sync: PeerSync, of box: BoxID, now monotonic: UInt64) {
        self.state.withLock { state in
            state.sync[box] = sync
            if sync.behind == 0 { state.behindSince[box] = nil } else if state.behindSince[box] == nil { state.behindSince[box] = monotonic }
        }
    }

    /// For how long the peer has lacked something that is held here.
    func backlogSeconds(of box: BoxID, now monotonic: UInt64) -> UInt64 {
        self.state.withLock { state in state.behindSince[box].map { (monotonic - min(monotonic, $0)) / 1_000 } ?? 0 }
    }

    /// Of this run of the box, as other boxes are told; zero until it has joined.
    package internal(set) var start: StartMark {
        get { self.state.withLock(\.start) }
        set { self.state.withLock { $0.start = newValue } }
    }
    package internal(set) var quarantine: QuarantineReason? {
        get { self.state.withLock(\.quarantine) }
        set { self.state.withLock { $0.quarantine = newValue } }
    }

    /// The active member that holds this key.
    package func member(publicKey: [UInt8]) -> BoxID? { self.state.withLock { $0.keys[publicKey] } }

    /// Where boxes were heard of lately.
    var hints: [BoxID: [String]] {
        get { self.state.withLock(\.endpoints) }
        set { self.state.withLock { $0.endpoints = newValue } }
    }

    /// Addresses that `box` was heard from, newest first; true when they are news.
    func hint(_ box: BoxID, _ endpoints: [String]) -> Bool {
        self.state.withLock { state in
            let kept = Array(endpoints.prefix(MemberEntry.endpointsMax))
            guard state.members[box] != nil, state.endpoints[box] != kept else { return false }
            state.endpoints[box] = kept
            return true
        }
    }

    static let keepMilliseconds: UInt64 = 600_000

    /// Whether where the box is may be written down again.
    func isKept(_ box: BoxID, now monotonic: UInt64) -> Bool {
        self.state.withLock { state in
            if let last = state.kept[box], monotonic < last + Self.keepMilliseconds { return false }
            state.kept[box] = monotonic
            return true
        }
    }

    /// Where to look for a member: where it was heard of, then what the list says.
    func endpoints(of member: MemberEntry) -> [String] {
        var endpoints = self.state.withLock { $0.endpoints[member.box] } ?? []
        for endpoint in member.endpoints where !endpoints.contains(endpoint) { endpoints.append(endpoint) }
        return endpoints
    }
}

/// Bytes of own entries on their way from the writer to the service. Beyond the bound only heads go on, and peers pull the rest.
final class WaitingRuns: Sendable {
    static let bytesMax = 4 * 1024 * 1024
    private let bytes = Atomic(0)

    /// False: there is no room.
    func take(_ runs: [CommittedRun]) -> Bool {
        let count = runs.reduce(0) { $0 + Self.byteCount($1) }
        if self.bytes.add(count, ordering: .relaxed).newValue <= Self.bytesMax { return true }
        self.bytes.subtract(count, ordering: .relaxed)
        return false
    }

    func give(back run: CommittedRun) { self.bytes.subtract(Self.byteCount(run), ordering: .relaxed) }

    private static func byteCount(_ run: CommittedRun) -> Int { run.entries.reduce(0) { $0 + $1.count + 32 } }
}

/// Remote batches on their way to the disk: one commit at a time.
struct ApplyQueue {
    private var tokens: [UInt64] = []
    private var batches: [IncomingBatch] = []
    private var due: UInt64?
    var isBusy = false

    /// Batches of one commit: its transaction must not keep people waiting.
    static let batchesMax = 16

    var isEmpty: Bool { self.tokens.isEmpty }
    var isLarge: Bool { self.batches.count >= 4 }

    mutating func add(_ token: UInt64, _ batches: [IncomingBatch]) {
        self.tokens.append(token)
        self.batches.append(contentsOf: batches)
    }

    /// False: a commit is due earlier already.
    mutating func schedule(_ time: UInt64) -> Bool {
        if let due = self.due, due <= time { return false }
        self.due = time
        return true
    }

    func isDue(_ time: UInt64) -> Bool { self.due == time && !self.isBusy && !self.isEmpty }

    /// All that waits; nil when there is nothing, or one is under way.
    mutating func take() -> (tokens: [UInt64], batches: [IncomingBatch])? {
        guard !self.isBusy, !self.isEmpty else { return nil }
        defer { (self.tokens, self.batches, self.due, self.isBusy) = ([], [], nil, true) }
        return (self.tokens, self.batches)
    }
}
