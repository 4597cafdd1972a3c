package import SkerryModel

/// Time as the engine is told it, with every event: monotonic for deadlines, physical for stamps.
package struct EngineInstant: Sendable, Hashable {
    /// Milliseconds that never go back while the box runs.
    package var monotonic: UInt64
    /// Milliseconds since 1970 as far as this box can tell (`ClockDiscipline`).
    package var physical: UInt64
    /// Whether the kernel says that its clock is set by NTP: peers without such a clock follow those that have one.
    package var isSynced: Bool

    package init(monotonic: UInt64, physical: UInt64, isSynced: Bool = false) {
        self.monotonic = monotonic
        self.physical = physical
        self.isSynced = isSynced
    }
}

/// How entries of boxes are signed and checked: given in, so that the engine holds no key and a simulation can use a cheap one.
package struct BatchKeys: Sendable {
    /// This box's signature over these bytes.
    package var sign: @Sendable ([UInt8]) -> [UInt8]
    /// Whether `signature` over the bytes is that box's; `logKey` is what the member list says of it.
    package var verify: @Sendable (_ logKey: [UInt8], _ bytes: [UInt8], _ signature: [UInt8]) -> Bool

    package init(
        sign: @escaping @Sendable ([UInt8]) -> [UInt8], verify: @escaping @Sendable (_ logKey: [UInt8], _ bytes: [UInt8], _ signature: [UInt8]) -> Bool
    ) {
        self.sign = sign
        self.verify = verify
    }
}

/// What the engine needs to know of a member.
package struct EngineMember: Sendable, Hashable {
    package var standing: BoxStanding
    package var logKey: [UInt8]
    /// Of a removed box: how far its logs count.
    package var cut: [LogEpoch: UInt64]

    package init(standing: BoxStanding, logKey: [UInt8], cut: [LogEpoch: UInt64] = [:]) {
        self.standing = standing
        self.logKey = logKey
        self.cut = cut
    }
}

/// Entries of this box that a commit has just brought to the disk: consecutive, of one epoch. Without entries and with `firstSeq` one beyond
/// the end it only says where the log ends; nothing is pushed then.
package struct CommittedRun: Sendable, Hashable {
    package var log: LogEpoch
    package var firstSeq: UInt64
    package var entries: [[UInt8]]
    /// Somebody waits to hear that others hold them: they commit soon and say so.
    package var wantsFlush: Bool

    package init(log: LogEpoch, firstSeq: UInt64, entries: [[UInt8]], wantsFlush: Bool = true) {
        self.log = log
        self.firstSeq = firstSeq
        self.entries = entries
        self.wantsFlush = wantsFlush
    }

    package var lastSeq: UInt64 { self.firstSeq &+ UInt64(self.entries.count) &- 1 }
}

/// One place of a batch: the entry, or the SHA-256 of one that a relay has dropped because it is dead (FEDERATION.md §2.3).
package enum BatchItem: Sendable, Hashable {
    case entry([UInt8])
    case dropped(hash: [UInt8])
}

/// Consecutive entries of one epoch under one signature of their origin (FEDERATION.md §2.3). Stored with the signature, so that any holder
/// can serve them to a box that does not trust it.
package struct Batch: Sendable, Hashable {
    /// Entries of one batch; a longer one is refused.
    package static let entriesMax = 256
    /// Bytes of an encoded batch; a longer one is refused.
    package static let bytesMax = 64 * 1024

    package var log: LogEpoch
    package var firstSeq: UInt64
    package var items: [BatchItem]
    package var signature: [UInt8]
    /// The origin has somebody waiting to hear that others hold this: commit it soon (FEDERATION.md §2.5.3). Not signed.
    package var wantsFlush: Bool

    package init(log: LogEpoch, firstSeq: UInt64, items: [BatchItem], signature: [UInt8] = [], wantsFlush: Bool = false) {
        self.log = log
        self.firstSeq = firstSeq
        self.items = items
        self.signature = signature
        self.wantsFlush = wantsFlush
    }

    /// The sequence of its last entry; `firstSeq - 1` when it is empty.
    package var lastSeq: UInt64 { self.firstSeq &+ UInt64(self.items.count) &- 1 }
}

/// What a holder has of a stretch of an epoch.
package enum RangeAnswer: Sendable, Hashable {
    /// Whole batches as they were signed, in the order of their sequences, at least one; they may begin before the sequence asked for.
    /// What lies between two of them, or before the first, is gone: compacted or expired. A batch of this box's own log has no signature
    /// yet, and may be of any length.
    case batches([Batch])
    /// Nothing is left from the sequence asked for up to this one: compacted or expired (FEDERATION.md §2.5.5).
    case skipped(upTo: UInt64)
    /// Not held here.
    case absent
}

/// What the store is to do with batches that were found good, in one transaction.
///
/// The store takes it only if its head of the log is `knownUpTo` or beyond, and otherwise leaves it out, or fails the whole `apply`: something
/// before it was lost. The heads it answers with say which.
/// Entries up to `knownUpTo`, and up to its own head, are left out. Afterwards its head is the greatest of its own, `batch.lastSeq` and
/// `skippedUpTo`. Where only something is skipped the batch is empty.
package struct IncomingBatch: Sendable, Hashable {
    package var batch: Batch
    /// Sequences that are known already and left out when it is applied: everything up to and including this one.
    package var knownUpTo: UInt64
    /// What the holder said is gone: the head moves over it without entries. Nil: nothing.
    package var skippedUpTo: UInt64?

    package init(batch: Batch, knownUpTo: UInt64, skippedUpTo: UInt64? = nil) {
        self.batch = batch
        self.knownUpTo = knownUpTo
        self.skippedUpTo = skippedUpTo
    }
}

/// Why a box keeps itself, or is kept, from full membership (FEDERATION.md §3).
package enum QuarantineReason: String, Sendable, Hashable, CaseIterable {
    /// Restored from a backup: others remember more of it than it does itself. Heals by pulling its own entries back.
    case rollback
    /// Two running boxes have this identity. One of them must be paired anew.
    case clone
    /// Its clock is far from everybody else's.
    case clock
    /// It speaks no version that others speak.
    case version
}

/// What is wrong, for the log and the administrator's page.
package enum EngineAlarm: Sendable, Hashable {
    case forgedOrigin(link: BoxID, claimed: BoxID)
    case badSignature(origin: BoxID, link: BoxID)
    case notAMember(BoxID)
    case malformed(link: BoxID, LinkChannel)
    /// Entries stamped more than ten minutes ahead: kept, not followed.
    case aheadOfTime(origin: BoxID)
    case wrongFederation(link: BoxID)
    case versionMismatch(BoxID)
    case quarantined(BoxID, QuarantineReason)
    /// What is to be written cannot be: the disk is full or failed.
    case cannotWrite
}

/// How one peer stands to this box, for the administrator's page.
package struct PeerSync: Sendable, Hashable {
    package enum Phase: String, Sendable, Hashable { case absent, greeting, live, lagging }
    package var phase: Phase
    /// Entries that this box has and the peer has not said it holds, and the other way round.
    package var behind: UInt64
    package var ahead: UInt64
    /// Bytes given to the link and not acknowledged.
    package var unacknowledgedBytes: Int
    package var quarantine: QuarantineReason?

    package init(phase: Phase = .absent, behind: UInt64 = 0, ahead: UInt64 = 0, unacknowledgedBytes: Int = 0, quarantine: QuarantineReason? = nil) {
        self.phase = phase
        self.behind = behind
        self.ahead = ahead
        self.unacknowledgedBytes = unacknowledgedBytes
        self.quarantine = quarantine
    }
}

/// What the engine is told.
package enum EngineEvent: Sendable {
    /// The member list, whole, whenever it changes; this box is in it.
    case members([BoxID: EngineMember])
    /// A link to the peer carries messages both ways from now on, and nothing of an earlier one.
    case linkUp(BoxID)
    case linkDown(BoxID)
    /// The carrier has taken so many bytes of payload of what this engine sent (flow control, never durability). Whatever is sent is either
    /// acknowledged or the link goes down.
    case acknowledged(BoxID, bytes: Int)
    /// A message of a channel that is the engine's: `c`, `m`, `vv`, and `q`/`r` of the kinds `hello` and `range`.
    case received(LinkMessage, from: BoxID)
    /// Own entries are on the disk.
    case appended(CommittedRun)
    /// What `apply` with this token asked for is on the disk; heads of the epochs it touched, as the store has them now.
    case applied(UInt64, heads: [LogEpoch: UInt64])
    /// It is not, and nothing of it. Those that were asked for later and join on it fail too.
    case applyFailed(UInt64)
    case rangeRead(UInt64, RangeAnswer)
    /// What the store has dropped for good: heads stay, the entries before are gone.
    case lowWater([LogEpoch: UInt64])
    /// Somebody else connects with this box's identity: the transport was told so.
    case identityTaken
    /// Time has passed; at least once a second, and when `ReplicationEngine.deadline` is due.
    case tick
}

/// What the engine wants done, in order.
package enum EngineEffect: Sendable, Hashable {
    /// Nothing is sent to a box without a link; the caller drops it.
    case send(BoxID, LinkChannel, [UInt8])
    /// Apply in one transaction, in order; answered by `applied` or `applyFailed`. Several may be under way: the store takes them in their
    /// order. `withinMilliseconds`: how long it may be gathered with others; whatever commits earlier takes it along.
    case apply(UInt64, [IncomingBatch], withinMilliseconds: UInt64)
    /// Answered by `rangeRead`.
    case readRange(UInt64, LogEpoch, from: UInt64, bytesMax: Int)
    /// Keep under this name, durably, soon; given back in `EngineStored.kept`.
    case persist(name: String, [UInt8])
    /// At least as many other boxes as wanted hold this box's entries up to here.
    case replicated(LogEpoch, upTo: UInt64)
    /// These epochs are over, and all members hold the same of them.
    case final([LogEpoch])
    case peer(BoxID, PeerSync)
    /// This box's own quarantine; nil: it is over.
    case quarantined(QuarantineReason?)
    case alarm(EngineAlarm)
    /// What a peer said of its clock, for `ClockDiscipline`.
    case clockHeard(BoxID, physical: UInt64, isSynced: Bool)
    /// The link is of no use: wrong federation, not a member, no common version.
    case closeLink(BoxID, reason: String)
}

/// What the engine finds at the start of a run.
package struct EngineStored: Sendable {
    package var heads: [LogEpoch: UInt64]
    package var lowWater: [LogEpoch: UInt64]
    /// Epochs that this run writes to already: an engine may begin long after its box.
    package var current: Set<LogEpoch>
    /// How often this box has started, this time included: durable before the engine is made.
    package var startCounter: UInt64
    /// Drawn at random for this run.
    package var startNonce: UInt64
    /// What `persist` kept, by name.
    package var kept: [String: [UInt8]]

    package init(
        heads: [LogEpoch: UInt64] = [:], lowWater: [LogEpoch: UInt64] = [:], current: Set<LogEpoch> = [], startCounter: UInt64, startNonce: UInt64,
        kept: [String: [UInt8]] = [:]
    ) {
        self.current = current
        self.heads = heads
        self.lowWater = lowWater
        self.startCounter = startCounter
        self.startNonce = startNonce
        self.kept = kept
    }
}

/// Defects that a test may switch on to see that the simulation finds them (FEDERATION.md §2.1, §7). Never set in a box.
package struct EngineMutations: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The digest says what is pending, not what is committed.
    package static let vectorBeforeCommit = Self(rawValue: 1)
    /// What is known already is applied again.
    package static let noDeduplication = Self(rawValue: 2)
    /// A batch is taken whatever its signature says.
    package static let noSignatures = Self(rawValue: 4)
    /// A gap is jumped over instead of pulled.
    package static let ignoreGaps = Self(rawValue: 8)
    /// The topic's origin is not compared with the link's identity.
    package static let anyOrigin = Self(rawValue: 16)
    /// What others remember of this box's earlier runs is not compared: a restored backup goes unnoticed.
    package static let noRollbackCheck = Self(rawValue: 32)
    /// What a removed member wrote beyond its cut is taken.
    package static let noCut = Self(rawValue: 64)
    /// After a failed `apply` the engine goes on as if it had succeeded.
    package static let ignoreApplyFailure = Self(rawValue: 128)
    /// The sum over the epochs that are not spelled out is never compared.
    package static let ignoreRest = Self(rawValue: 256)
}

/// Bounds of the engine (FEDERATION.md §2.5); what happens at each is with it.
package struct EngineLimits: Sendable, Hashable {
    /// Bytes given to one link and not acknowledged; beyond, the link lags and the peer pulls.
    package var windowBytesMax = 256 * 1024
    /// Entries and bytes beyond a gap that are kept for one epoch; more are dropped and pulled later.
    package var gapEntriesMax = 256
    package var gapBytesMax = 1024 * 1024
    /// Bytes of all that waits for a commit; beyond, live batches are dropped and nothing is pulled.
    package var pendingBytesMax = 4 * 1024 * 1024
    /// Bytes asked for in one range request.
    package var rangeBytesMax = 64 * 1024
    /// Bytes beyond gaps of all epochs together; more are dropped and pulled later.
    package var gapBytesTotalMax = 4 * 1024 * 1024
    /// Range requests of one peer that are being read; more are dropped, the peer asks again.
    package var rangeReadsMax = 2
    /// Epochs spelled out of one log in a digest, and of all logs together: the others are in the sum.
    package var digestEpochsMax = 64
    package var digestEpochsTotalMax = 1_024
    /// Versions of the protocol that are spoken.
    package var versions: ClosedRange<UInt64> = 1...1
    /// How many other boxes make an entry replicated.
    package var copiesWanted = 1
    /// Milliseconds.
    package var digestEvery: UInt64 = 60_000
    package var digestPause: UInt64 = 1_000
    /// The pause of a digest that tells an origin what it waits to hear.
    package var digestPauseWhenWanted: UInt64 = 20
    package var helloEvery: UInt64 = 2_000
    package var requestTimeout: UInt64 = 10_000
    /// How long remote entries may be gathered before they are committed; the second when their origin wants to know soon.
    package var applyWithin: UInt64 = 1_000
    package var applyWithinWhenWanted: UInt64 = 50
    /// Pauses after a failed `apply`, doubling.
    package var applyRetryMin: UInt64 = 1_000
    package var applyRetryMax: UInt64 = 60_000
    /// Pauses until a holder that did not answer, or not rightly, is asked for the same epoch again, doubling.
    package var askAgainMin: UInt64 = 1_000
    package var askAgainMax: UInt64 = 60_000
    /// The same alarm is raised once in this time, and so many different ones; more are not.
    package var alarmEvery: UInt64 = 60_000
    package var alarmsMax = 256
    /// Entries that the peer may lack and still be given live ones: it pulls the gap.
    package var liveGapMax: UInt64 = 128
    /// Stamps so far ahead of physical time raise an alarm.
    package var aheadMillisecondsMax: UInt64 = HybridClock.aheadMillisecondsMax
    /// Epochs known of one origin and stream; the digest of a peer with more is refused.
    package var epochsMax = 4_096
    /// Epochs that one peer is remembered to hold; more are not taken note of, and an alarm is raised.
    package var peerEpochsMax = 65_536
    /// Messages wait for a control request under way no longer than this.
    package var controlFirst: UInt64 = 2_000
    package var reportEvery: UInt64 = 1_000
    package var finalEvery: UInt64 = 1_000

    package init() {}
}
