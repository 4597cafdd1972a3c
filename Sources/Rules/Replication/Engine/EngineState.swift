import SkerryModel

/// One epoch as this box has it.
struct EpochState: Sendable {
    /// On the disk, without a gap from 1.
    var head: UInt64 = 0
    /// Given to the store, perhaps not yet on the disk; what comes next joins here.
    var pending: UInt64 = 0
    var lowWater: UInt64 = 0
    /// Of a removed member: what is beyond does not count.
    var cut: UInt64 = .max
    /// When it changed last, in the order of changes.
    var changed: UInt64 = 0
    /// Over, and all members hold the same of it.
    var isFinal = false
    /// Of this box, written in this run.
    var isCurrent = false
    /// Batches beyond a gap, by their first sequence.
    var gap: [Batch] = []
    var gapEntries = 0
    var gapBytes = 0
    /// Of this box: held by as many others as wanted, and awaited by somebody, up to here.
    var replicated: UInt64 = 0
    var awaited: UInt64 = 0

    /// What is shown to others.
    var shown: UInt64 { min(self.head, self.cut) }
}

/// All epochs of one log, with the sum over what is shown of them.
struct GroupState: Sendable {
    var epochs: [UInt64: EpochState] = [:]
    var sum = EpochSum()
}

/// A request under way.
struct PullState: Sendable {
    enum Aim: Sendable, Hashable {
        case entries(LogEpoch)
        case epochs(LogGroup)
    }
    var aim: Aim
    var from: UInt64
    var correlation: UInt64
    var sent: UInt64
}

/// Until when a holder is not asked for an epoch, and how long it will be the next time.
struct Avoidance: Sendable {
    var until: UInt64
    var pause: UInt64
}

/// Another member as this box sees it.
struct PeerState: Sendable {
    let box: BoxID
    var isLinked = false
    /// A greeting of the peer with a common version has come on this link, asked or answered; one that asks; it has answered ours; its whole
    /// digest has come.
    var isHeard = false
    var isGreeted = false
    var isAnswered = false
    var isDigested = false
    var isLagging = false
    var helloCorrelation: UInt64 = 0
    var helloSent: UInt64 = 0
    var roundTrip: UInt64 = 1_000
    var unacknowledged = 0

    /// What the peer holds, as it said on this link, and what is gone there.
    var heads: [LogEpoch: UInt64] = [:]
    var lowWater: [LogEpoch: UInt64] = [:]
    /// Epochs of its own that it said it does not write to any more. That is for ever; that nothing was said proves nothing, since what opens
    /// an epoch may be late or lost.
    var closed: Set<LogEpoch> = []
    /// Sums of the peer that are accounted for in `heads`.
    var settled: [LogGroup: EpochSum] = [:]
    /// Sums of the peer whose epochs it has listed.
    var listed: [LogGroup: EpochSum] = [:]
    var listWanted: [LogGroup: EpochSum] = [:]
    var listFrom: [LogGroup: UInt64] = [:]
    /// Epochs of which it has more than this box.
    var ahead: Set<LogEpoch> = []
    var avoided: [LogEpoch: Avoidance] = [:]
    var pulls: [Stream: PullState] = [:]
    var reads = 0
    /// Own epochs: how far was served or pushed on this link.
    var given: [LogEpoch: UInt64] = [:]

    var dirty: Set<LogGroup> = []
    var isFullDue = false
    var isUrgent = false
    var digestSent: UInt64?
    var fullSent: UInt64 = 0

    var saysQuarantine: QuarantineReason?
    var looksRestored = false
    var isRefusedVersion = false
    var report = PeerSync()
    var reported: UInt64 = 0
    var isReportStale = true

    init(_ box: BoxID) { self.box = box }

    /// Forgets everything of an earlier link.
    mutating func linked() {
        let old = self
        self = PeerState(old.box)
        self.isLinked = true
        self.looksRestored = old.looksRestored
        self.report = old.report
    }

    /// Whether requests go to it.
    var isAsked: Bool { self.isLinked && self.isHeard && self.isAnswered }

    var phase: PeerSync.Phase {
        guard self.isLinked else { return .absent }
        guard self.isHeard, self.isAnswered, self.isDigested else { return .greeting }
        return self.isLagging ? .lagging : .live
    }
}

/// What an `apply` under way will bring.
struct ApplyState: Sendable {
    var bytes: Int
    var reach: [LogEpoch: UInt64]
    var awaiting: Set<BoxID>
}

/// A range that is being read for a peer.
struct ReadState: Sendable {
    var peer: BoxID
    var correlation: UInt64
    var log: LogEpoch
    var from: UInt64
}

/// Runs of a box in the order in which they greeted this box directly.
struct RunHistory: Sendable {
    /// Earlier runs that are remembered.
    static let pastMax = 8
    var nonce: UInt64
    var past: [UInt64] = []

    /// False: a run is back that was already over, so two are running.
    mutating func follow(_ nonce: UInt64) -> Bool {
        if nonce == self.nonce { return true }
        if self.past.contains(nonce) { return false }
        self.past.append(self.nonce)
        if self.past.count > Self.pastMax { self.past.removeFirst() }
        self.nonce = nonce
        return true
    }
}
