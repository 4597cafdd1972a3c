package import SkerryModel

/// How the logs of several boxes become one (FEDERATION.md §2.5): a pure state machine, events and time in, effects out.
///
/// What this box writes is pushed to every peer whose link has room; whoever lacks something is told so by digests, and pulls it from any holder.
/// What is taken over counts only once the store has it on the disk. Effects come in the same order for the same events: nothing here depends on
/// the order in which a hash table is walked.
package struct ReplicationEngine: Sendable {
    package let box: BoxID
    package let federation: FederationID
    package let limits: EngineLimits
    let keys: BatchKeys
    let mutations: EngineMutations
    let random: @Sendable () -> UInt64

    var now = EngineInstant(monotonic: 0, physical: 0)
    var out: [EngineEffect] = []

    var members: [BoxID: EngineMember] = [:]
    var groups: [LogGroup: GroupState] = [:]
    var changes: UInt64 = 0
    /// Sorted by box.
    var peers: [PeerState] = []
    var places: [BoxID: Int] = [:]

    /// This run, and the last known one of every other member.
    package internal(set) var mark: StartMark
    var marks: [BoxID: StartMark] = [:]
    var runs: [BoxID: RunHistory] = [:]
    /// Members of which two are running; until they are removed.
    var twins: Set<BoxID> = []
    var isRestored = false
    var isCloned = false
    package internal(set) var quarantine: QuarantineReason?
    var isAnnounced = false
    /// Another run under this identity that was heard of, and how often its counter has followed ours.
    var rival: (nonce: UInt64, echoes: Int)?

    var tokens: UInt64 = 0
    var applies: [UInt64: ApplyState] = [:]
    var reads: [UInt64: ReadState] = [:]
    /// What this step hands to the store.
    var incoming: [IncomingBatch] = []
    var incomingState = ApplyState(bytes: 0, reach: [:], awaiting: [])
    var incomingIsUrgent = false
    var pendingBytes = 0
    var gapBytes = 0
    var blockedUntil: UInt64 = 0
    var blockedPause: UInt64 = 0

    var needsPull = false
    var needsFinal = false
    var finalChecked: UInt64 = 0
    var alarms: [EngineAlarm: UInt64] = [:]
    var counters = EngineCounters()

    /// When `tick` is wanted next, in monotonic milliseconds; nil: within a second as always.
    package private(set) var deadline: UInt64?

    package init(
        box: BoxID, federation: FederationID, keys: BatchKeys, stored: EngineStored, limits: EngineLimits = EngineLimits(),
        mutations: EngineMutations = [], random: @escaping @Sendable () -> UInt64
    ) {
        self.box = box
        self.federation = federation
        self.keys = keys
        self.limits = limits
        self.mutations = mutations
        self.random = random
        self.mark = StartMark(counter: stored.startCounter, nonce: stored.startNonce)
        self.loadKept(stored.kept)
        for (log, head) in stored.heads.sorted(by: { Self.isBefore($0.key, $1.key) }) where head > 0 {
            self.update(log) { epoch in
                epoch.head = head
                epoch.pending = head
                epoch.lowWater = min(stored.lowWater[log] ?? 0, head)
                epoch.isCurrent = log.origin == box && stored.current.contains(log)
            }
        }
    }

    package mutating func step(_ event: EngineEvent, now: EngineInstant) -> [EngineEffect] {
        self.now = now
        if !self.isAnnounced, let quarantine = self.quarantine { self.out.append(.quarantined(quarantine)) }
        self.isAnnounced = true
        switch event {
        case .members(let members): self.setMembers(members)
        case .linkUp(let box): self.linkUp(box)
        case .linkDown(let box): self.linkDown(box)
        case .acknowledged(let box, let bytes): self.acknowledged(box, bytes)
        case .received(let message, let box): self.received(message, from: box)
        case .appended(let run): self.appended(run)
        case .applied(let token, let heads): self.applied(token, heads)
        case .applyFailed(let token): self.applyFailed(token)
        case .rangeRead(let token, let answer): self.rangeRead(token, answer)
        case .lowWater(let marks): self.setLowWater(marks)
        case .identityTaken: self.foundTwin(of: self.box)
        case .tick: self.tick()
        }
        self.flushIncoming()
        self.settle()
        self.flushIncoming()
        let effects = self.out
        self.out.removeAll(keepingCapacity: true)
        return effects
    }

    /// Bytes of others' entries in memory: beyond gaps, and on their way to the disk.
    package var heldBytes: (beyondGaps: Int, pending: Int) { (self.gapBytes, self.pendingBytes) }

    /// How far this box has each epoch: its version vector.
    package var heads: [LogEpoch: UInt64] {
        var result: [LogEpoch: UInt64] = [:]
        for (group, state) in self.groups {
            for (epoch, value) in state.epochs where value.shown > 0 {
                result[LogEpoch(origin: group.origin, stream: group.stream, epoch: epoch)] = value.shown
            }
        }
        return result
    }

    /// How far any member is known to hold each epoch of `origin`, this box included: where a removal cuts (FEDERATION.md §2.6).
    package func reach(of origin: BoxID) -> [LogEpoch: UInt64] {
        var result: [LogEpoch: UInt64] = [:]
        for (log, head) in self.heads where log.origin == origin { result[log] = head }
        for peer in self.peers where self.isActive(peer.box) && peer.box != origin {
            for (log, head) in peer.heads where log.origin == origin { result[log] = max(result[log] ?? 0, head) }
        }
        return result
    }

    private mutating func tick() {
        self.timeOutPulls()
        self.needsPull = true
        for place in self.peers.indices where self.peers[place].isLinked { self.greetAgain(place) }
    }

    /// What follows from any event: pulls, digests, what is over, reports, the next deadline.
    private mutating func settle() {
        if self.needsFinal, self.now.monotonic >= self.finalChecked + self.limits.finalEvery { self.findFinal() }
        self.healRollback()
        if self.needsPull { self.pull() }
        for place in self.peers.indices where self.peers[place].isLinked { self.sendDigestIfDue(place) }
        for place in self.peers.indices { self.reportIfDue(place) }
        self.deadline = self.nextDeadline()
    }

    private func nextDeadline() -> UInt64? {
        var earliest = UInt64.max
        if self.blockedUntil > self.now.monotonic { earliest = self.blockedUntil }
        for place in self.peers.indices where self.peers[place].isLinked {
            if let due = self.digestDue(place) { earliest = min(earliest, due) }
        }
        return earliest == .max ? nil : earliest
    }

    // MARK: Tables

    static func isBefore(_ left: LogEpoch, _ right: LogEpoch) -> Bool {
        let one = LogGroup(left)
        let other = LogGroup(right)
        return one == other ? left.epoch < right.epoch : one < other
    }

    func epoch(_ log: LogEpoch) -> EpochState? { self.groups[LogGroup(log)]?.epochs[log.epoch] }

    func isActive(_ box: BoxID) -> Bool { self.members[box]?.standing == .active }

    /// Changes an epoch, and the sum and the digests with it where what is shown changes.
    mutating func update(_ log: LogEpoch, _ change: (inout EpochState) -> Void) {
        let group = LogGroup(log)
        var isChanged = false
        self.changes += 1
        let order = self.changes
        let cut = self.cut(of: log)
        Self.change(&self.groups[group, default: GroupState()]) { state in
            var epoch = state.epochs.removeValue(forKey: log.epoch) ?? EpochState(cut: cut)
            let before = epoch.shown
            change(&epoch)
            if epoch.shown != before {
                if before > 0 { state.sum.remove(log.epoch, before) }
                if epoch.shown > 0 { state.sum.add(log.epoch, epoch.shown) }
                epoch.changed = order
                epoch.isFinal = false
                isChanged = true
            }
            state.epochs[log.epoch] = epoch
        }
        guard isChanged else { return }
        self.needsFinal = true
        for place in self.peers.indices {
            self.peers[place].isReportStale = true
            if self.peers[place].isLinked { self.peers[place].dirty.insert(group) }
        }
    }

    private static func change(_ state: inout GroupState, _ body: (inout GroupState) -> Void) { body(&state) }

    /// How far the log of a member counts.
    func cut(of log: LogEpoch) -> UInt64 {
        guard let member = self.members[log.origin], member.standing == .removed, !self.mutations.contains(.noCut) else { return .max }
        return member.cut[log] ?? 0
    }

    mutating func alarm(_ alarm: EngineAlarm) {
        switch alarm {
        case .forgedOrigin, .badSignature, .notAMember, .malformed, .wrongFederation, .versionMismatch: self.counters.refused += 1
        case .aheadOfTime, .quarantined, .cannotWrite: break
        }
        let now = self.now.monotonic
        let every = self.limits.alarmEvery
        if let last = self.alarms[alarm], now < last + every { return }
        if self.alarms.count >= self.limits.alarmsMax {
            self.alarms = self.alarms.filter { now < $0.value + every }
            guard self.alarms.count < self.limits.alarmsMax else { return }
        }
        self.alarms[alarm] = self.now.monotonic
        self.out.append(.alarm(alarm))
    }

    mutating func token() -> UInt64 {
        self.tokens += 1
        return self.tokens
    }

    mutating func send(_ place: Int, _ channel: LinkChannel, _ payload: [UInt8]) {
        self.peers[place].unacknowledged += payload.count
        self.out.append(.send(self.peers[place].box, channel, payload))
    }
}
