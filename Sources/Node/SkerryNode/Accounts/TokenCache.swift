import SkerryModel

/// A session, or all of a user's, that must not go on.
struct Ending: Sendable, Hashable {
    var user: UserID
    /// Nil: every device of the user.
    var device: DeviceID?
    /// Nil: only what is remembered is forgotten, live sessions go on.
    var reason: SessionEnd?
}

/// Callers of tokens seen lately, by the token's hash, so that not every request asks the store.
///
/// Never older than the last ending: whatever was read before one is not kept after it (`generation`).
/// At the bound an eighth of the entries is forgotten; they cost a read each when they come back.
struct TokenCache: Sendable {
    private struct Entry {
        var caller: Caller
        var expires: UInt64
    }

    /// Rises with every ending.
    private(set) var generation: UInt64 = 1
    private var entries: [[UInt8]: Entry] = [:]
    /// The last endings, each with the generation it began.
    private var endings: [(generation: UInt64, ending: Ending)] = []
    /// When each device was last seen in this run, for the list of devices.
    private var seen: [DeviceID: UInt64] = [:]
    private let entriesMax: Int
    private static let endingsMax = 256

    init(entriesMax: Int) { self.entriesMax = max(8, entriesMax) }

    var count: Int { self.entries.count }
    func lastSeen(_ device: DeviceID) -> UInt64? { self.seen[device] }

    mutating func caller(_ hash: [UInt8], now: UInt64) -> Caller? {
        guard let entry = self.entries[hash] else { return nil }
        guard now < entry.expires else {
            self.entries[hash] = nil
            return nil
        }
        self.seen[entry.caller.device] = now
        return entry.caller
    }

    mutating func keep(_ caller: Caller, hash: [UInt8], expires: UInt64, now: UInt64, generation: UInt64) {
        guard generation == self.generation else { return }
        if self.entries.count >= self.entriesMax {
            for key in Array(self.entries.keys.prefix(self.entriesMax / 8)) { self.entries[key] = nil }
        }
        if self.seen.count >= 4 * self.entriesMax { self.seen.removeAll() }
        self.entries[hash] = Entry(caller: caller, expires: expires)
        self.seen[caller.device] = now
    }

    /// Forgets everybody: what was found out so far may not be true any more.
    mutating func forgetAll() {
        self.generation += 1
        self.entries = [:]
    }

    mutating func end(_ ending: Ending) {
        self.generation += 1
        self.endings.append((self.generation, ending))
        if self.endings.count > Self.endingsMax { self.endings.removeFirst(Self.endingsMax / 2) }
        self.entries = self.entries.filter { !Self.concerns(ending, $0.value.caller) }
    }

    /// Whether what was found out in `generation` is still true of `caller`.
    func stands(_ caller: Caller, since generation: UInt64) -> Bool {
        if generation >= self.generation { return true }
        // More endings since than are remembered: the client is asked to come again rather than believed.
        guard let oldest = self.endings.first?.generation, oldest <= generation + 1 else { return false }
        return !self.endings.contains { $0.generation > generation && $0.ending.reason != nil && Self.concerns($0.ending, caller) }
    }

    private static func concerns(_ ending: Ending, _ caller: Caller) -> Bool {
        ending.user == caller.user && (ending.device == nil || ending.device == caller.device)
    }
}
