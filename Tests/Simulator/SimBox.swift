import Replication
import SkerryModel

/// In a place of its own, so that a look at it does not copy it.
private final class EngineHolder {
    var engine: ReplicationEngine
    init(_ engine: ReplicationEngine) { self.engine = engine }
}

/// One running or stopped box: the real engine, and models of its disk, its clock and its log writer.
final class SimBox {
    unowned let world: SimWorld
    /// Its place among all boxes, clones included.
    let instance: Int
    let id: BoxID
    let name: String
    let logKey: [UInt8]
    var clock: SimClock
    var disk: DiskImage
    /// With the mutation that skips the sync: what a crash leaves.
    var synced: DiskImage?
    private(set) var isRunning = false
    private(set) var isPaused = false
    /// Counts the starts, so that what was planned for an earlier run does not happen.
    private(set) var run = 0
    /// Stopped for good: a clone that was found out.
    var isGone = false
    var isDiskFull = false
    var isDiskSlow = false
    /// It alters what it sends of others' entries.
    var altersUntil: UInt64 = 0
    /// What the disk is at: see `SimBox+Disk`.
    var jobs: [DiskJob] = []
    var isCommitting = false
    var commitAt: UInt64?
    /// This run's epochs, drawn at its first write to each stream.
    var epochs: [Stream: TrueLog] = [:]
    var hybrid = HybridClock()
    var hasFailedApply = false
    /// Its stamps may be ahead because its clock was once wrong.
    var wasWrong = false
    private var engine: EngineHolder?
    private var deferred: [() -> Void] = []
    private var random: SimRandom
    private(set) var quarantine: QuarantineReason?
    /// In this run.
    private var knowsItWasRestored = false
    /// How far this run's own entries were reported to be held by others.
    var replicatedUpTo: [LogEpoch: UInt64] = [:]
    private var tickAt: UInt64 = 0
    private var plannedDeadline: UInt64?
    /// Removed boxes that the engine has been told of.
    private var toldMembers: [BoxID: EngineMember] = [:]
    private var toldCuts: [BoxID: [LogEpoch: UInt64]] = [:]

    init(_ world: SimWorld, instance: Int, id: BoxID, name: String, logKey: [UInt8], disk: DiskImage, clock: SimClock) {
        self.world = world
        self.instance = instance
        self.id = id
        self.name = name
        self.logKey = logKey
        self.disk = disk
        self.clock = clock
        self.random = world.random.fork()
    }

    var isUp: Bool { self.isRunning && !self.isPaused }
    var isRemoved: Bool { self.world.removed[self.id] != nil }
    /// The gate at a handshake: the peer is on the member list.
    func accepts(_ id: BoxID) -> Bool { self.disk.members[id]?.standing == .active }

    // MARK: - Life

    func start() {
        guard !self.isRunning, !self.isGone else { return }
        self.run += 1
        self.isRunning = true
        self.world.figures.restarts += 1
        self.jobs = []
        self.isCommitting = false
        self.commitAt = nil
        self.epochs = [:]
        self.quarantine = nil
        self.knowsItWasRestored = false
        self.hasFailedApply = false
        self.replicatedUpTo = [:]
        self.toldCuts = [:]
        self.plannedDeadline = nil
        self.disk.startCounter += 1
        self.hybrid = HybridClock(last: HLC(rawValue: self.disk.stamp))
        self.clock.start(at: self.world.now, last: self.hybrid.last, trueMilliseconds: self.world.trueMilliseconds)
        self.world.note(0x31, "\(self.name) starts, run \(self.run)")
        var stored = EngineStored(startCounter: self.disk.startCounter, startNonce: self.random.next(), kept: self.disk.kept)
        for (index, log) in self.disk.logs.enumerated() where log.head > 0 {
            let id = self.world.truth.logs[index].id
            stored.heads[id] = log.head
            if log.lowWater > 0, !self.world.options.mutations.contains(.lowWaterForgotten) { stored.lowWater[id] = log.lowWater }
        }
        let key = self.logKey
        let numbers = SharedRandom(self.random.fork())
        let engine = ReplicationEngine(
            box: self.id, federation: self.world.federation,
            keys: BatchKeys(sign: { SimSignature.make(key, $0) }, verify: { key, bytes, signature in SimSignature.make(key, bytes) == signature }),
            stored: stored, limits: self.limits, mutations: self.world.options.engineMutations, random: { numbers.next() })
        self.engine = EngineHolder(engine)
        self.tellMembers()
        self.planTick()
        self.world.network.poke()
    }

    func stop() {
        guard self.isRunning else { return }
        self.world.note(0x32, "\(self.name) dies")
        self.isRunning = false
        self.isPaused = false
        self.deferred = []
        // What the commit under way has brought to the disk is there, or not; its answers never come.
        if self.isCommitting, !self.isDiskFull, self.random.chance(500) { self.commit(isAnswered: false) }
        self.engine = nil
        self.run += 1
        if let synced = self.synced { self.disk = synced }
        self.world.network.stopped(self)
    }

    func pause() {
        guard self.isUp else { return }
        self.world.note(0x33, "\(self.name) stands still")
        self.isPaused = true
    }

    func resume() {
        guard self.isPaused else { return }
        self.world.note(0x34, "\(self.name) goes on")
        self.isPaused = false
        let deferred = self.deferred
        self.deferred = []
        for action in deferred { action() }
    }

    func whenResumed(_ action: @escaping () -> Void) { self.deferred.append(action) }

    /// After a delay, unless the process has ended by then; later, when it stands still.
    func after(_ delay: UInt64, _ action: @escaping () -> Void) {
        let run = self.run
        self.world.after(delay) {
            guard self.run == run, self.isRunning else { return }
            if self.isPaused { self.deferred.append { if self.run == run { action() } } } else { action() }
        }
    }

    /// The version after this one speaks a version of the protocol that this one does not.
    private var limits: EngineLimits {
        var limits = self.world.profile.limits
        if self.world.profile.has(.mixedVersions), self.disk.isNewVersion { limits.versions = 1...2 }
        return limits
    }

    private func planTick() {
        self.tickAt = self.world.now + 1_000
        self.after(1_000) {
            self.step(.tick)
            self.planTick()
        }
    }

    /// The engine may want to be called before the next second is over.
    private func planDeadline() {
        guard let deadline = self.engine?.engine.deadline, deadline != self.plannedDeadline else { return }
        let now = self.clock.monotonic(self.world.now)
        let wait = deadline > now ? deadline - now : 1
        guard self.world.now + wait < self.tickAt else { return }
        self.plannedDeadline = deadline
        self.after(wait + 1) { if self.plannedDeadline == deadline { self.step(.tick) } }
    }

    // MARK: - The engine

    var instant: EngineInstant {
        EngineInstant(monotonic: self.clock.monotonic(self.world.now), physical: self.physical, isSynced: self.clock.isSynced)
    }

    var physical: UInt64 {
        self.clock.physical(
            self.world.now, trueMilliseconds: self.world.trueMilliseconds, believesWall: self.world.options.mutations.contains(.wallClockBelieved))
    }

    func step(_ event: EngineEvent) {
        guard self.isRunning, self.engine != nil else { return }
        if self.isPaused {
            let run = self.run
            self.deferred.append { if self.run == run { self.step(event) } }
            return
        }
        self.world.figures.engineSteps += 1
        guard let effects = self.engine?.engine.step(event, now: self.instant) else { return }
        self.checkMemory()
        for effect in effects { self.perform(effect) }
        self.planDeadline()
    }

    /// A message that must change nothing: whose it is or what it says is not so.
    func stepForged(_ message: LinkMessage, from box: BoxID, _ text: String) {
        guard self.isUp, let effects = self.engine?.engine.step(.received(message, from: box), now: self.instant) else { return }
        for effect in effects {
            switch effect {
            case .apply, .replicated: self.world.fail("P7", "\(self.name) believes \(text)")
            default: self.perform(effect)
            }
        }
    }

    private func checkMemory() {
        guard let held = self.engine?.engine.heldBytes else { return }
        self.world.figures.heldBytesMax = max(self.world.figures.heldBytesMax, held.beyondGaps + held.pending)
        let limits = self.world.profile.limits
        // A range that was asked for is taken whole.
        if held.beyondGaps > limits.gapBytesTotalMax || held.pending > limits.pendingBytesMax + LinkChannel.payloadBytesMax || held.pending < 0 {
            self.world.fail("P6", "\(self.name) holds \(held.beyondGaps) bytes beyond gaps and \(held.pending) on their way to the disk")
        }
    }

    /// Where a removal of that box would cut (FEDERATION.md §2.6).
    func reach(of box: BoxID) -> [LogEpoch: UInt64] { self.engine?.engine.reach(of: box) ?? [:] }

    private func perform(_ effect: EngineEffect) {
        switch effect {
        case .send(let box, let channel, let payload):
            if payload.count > LinkChannel.payloadBytesMax { self.world.fail("P6", "\(self.name) makes a payload of \(payload.count) bytes") }
            self.world.network.send(self, to: box, channel, payload)
        case .apply(let token, let batches, let milliseconds): self.take(token, batches, milliseconds)
        case .readRange(let token, let log, let seq, let bytesMax): self.read(token, log, seq, bytesMax)
        case .persist(let name, let value): self.enqueue(.persist(name: name, value), within: 200)
        case .replicated(let log, let seq): self.checkReplicated(log, seq)
        case .final(let logs): for log in logs { self.checkFinal(log) }
        case .peer(_, let sync):
            let bound = self.world.profile.limits.windowBytesMax + 2 * LinkChannel.payloadBytesMax
            if sync.unacknowledgedBytes > bound { self.world.fail("P6", "\(self.name) has \(sync.unacknowledgedBytes) bytes under way on one link") }
        case .quarantined(let reason):
            self.quarantine = reason
            if reason != nil { self.knowsItWasRestored = true }
            self.world.note(0x35, "\(self.name) quarantine \(reason?.rawValue ?? "over")")
            if reason != nil { self.world.figures.quarantines += 1 }
            self.checkQuarantine(reason)
        case .alarm(let alarm): self.checkAlarm(alarm)
        case .clockHeard(let box, let physical, let isSynced): self.clock.heard(box, physical: physical, isSynced: isSynced, now: self.world.now)
        case .closeLink(let box, let reason):
            self.world.note(0x36, "\(self.name) closes its link to \(self.world.boxText(box)): \(reason)")
            self.world.network.close(self, box)
        }
    }

    func tellMembers() {
        var members = self.disk.members
        if self.world.options.mutations.contains(.removalNotTold) {
            for (id, member) in members where member.standing == .removed { members[id] = EngineMember(standing: .active, logKey: member.logKey) }
        }
        for (id, member) in self.disk.members where member.standing == .removed { self.toldCuts[id] = member.cut }
        self.toldMembers = members
        self.step(.members(members))
        self.world.network.poke()
    }

    private func read(_ token: UInt64, _ log: LogEpoch, _ seq: UInt64, _ bytesMax: Int) {
        self.after(self.isDiskSlow ? self.random.time(50, 400) : self.random.time(0, 3)) {
            guard let true_ = self.world.truth.log(log) else { return self.step(.rangeRead(token, .absent)) }
            let answer = self.disk.range(true_, from: seq, bytesMax: bytesMax, isOwn: log.origin == self.id, self.world.options.mutations)
            self.step(.rangeRead(token, answer))
        }
    }

    private func take(_ token: UInt64, _ batches: [IncomingBatch], _ milliseconds: UInt64) {
        for incoming in batches {
            // Only a box that was restored, or doubled, lacks something of its own.
            if incoming.batch.log.origin == self.id, !self.knowsItWasRestored {
                self.world.fail("Q", "\(self.name) takes back what it wrote itself and does not know that it was restored")
            }
            guard let cut = self.toldCuts[incoming.batch.log.origin], incoming.batch.log.origin != self.id else { continue }
            let end = cut[incoming.batch.log] ?? 0
            let held = self.disk.log(self.world.truth.log(incoming.batch.log)?.index ?? .max).head
            var seq = incoming.batch.firstSeq
            for item in incoming.batch.items {
                defer { seq += 1 }
                guard case .entry = item, seq > end, seq > max(incoming.knownUpTo, held) else { continue }
                self.world.fail("P7", "\(self.name) takes entry \(seq) of the removed box \(self.world.boxText(incoming.batch.log.origin)), cut at \(end)")
            }
        }
        self.enqueue(.apply(token, batches), within: milliseconds)
    }

    // MARK: - What must hold at once

    /// ✓✓ is said only of what other boxes have really committed.
    private func checkReplicated(_ id: LogEpoch, _ seq: UInt64) {
        guard id.origin == self.id, let log = self.world.truth.log(id), seq <= UInt64(log.entries.count) else {
            return self.world.fail("P2", "\(self.name) says that others hold \(self.world.boxText(id.origin))'s log up to \(seq), which was never written")
        }
        let before = self.replicatedUpTo[id] ?? 0
        guard seq > before else { return }
        self.replicatedUpTo[id] = seq
        for number in (before + 1)...seq {
            guard let entry = log.entry(number) else { continue }
            var others = Set<BoxID>()
            for box in self.world.boxes where box.id != self.id && entry.everHeld >> UInt64(box.instance) & 1 == 1 { others.insert(box.id) }
            // What retention has dropped before it got there counts as there.
            if others.count < self.world.profile.limits.copiesWanted, !entry.isDropped {
                return self.world.fail("P2", "\(self.name) says that \(entry.text) is held by others; \(others.count) ever committed it")
            }
            if !entry.isReplicated {
                entry.isReplicated = true
                self.world.figures.replicated += 1
            }
        }
    }

    private func checkFinal(_ id: LogEpoch) {
        guard let log = self.world.truth.log(id) else { return self.world.fail("P5", "\(self.name) closes a log that was never written") }
        self.world.note(0x38, "\(self.name) says that \(log.text) is over")
        // Two boxes with one identity each think the other's log is over.
        guard !self.world.hadClone else { return }
        log.isFinal = true
        let end = min(self.disk.log(log.index).head, self.toldCuts[id.origin].map { $0[id] ?? 0 } ?? .max)
        guard let last = log.entry(end), !last.isDropped, !self.isRemoved else { return }
        for (id, member) in self.toldMembers where member.standing == .active && id != self.id {
            let holds = self.world.boxes.contains { $0.id == id && last.everHeld >> UInt64($0.instance) & 1 == 1 }
            if !holds { self.world.fail("P5", "\(self.name) says that all hold \(log.text); \(self.world.boxText(id)) never had \(last.text)") }
        }
    }

    private func checkQuarantine(_ reason: QuarantineReason?) {
        switch reason {
        case .rollback: if !self.world.hadRestore, !self.world.hadClone { self.world.fail("Q", "\(self.name) thinks it was restored; nothing was") }
        case .clone: if !self.world.hadClone, !self.world.hadRestore { self.world.fail("Q", "\(self.name) thinks it has a double; nobody has") }
        case .clock, .version, nil: break
        }
    }

    private func checkAlarm(_ alarm: EngineAlarm) {
        self.world.note(0x37, "\(self.name) alarm \(alarm)")
        self.world.figures.rejected += 1
        let isHostile = self.world.profile.has(.hostile)
        switch alarm {
        case .forgedOrigin, .badSignature, .malformed: if !isHostile { self.world.fail("Q", "\(self.name) alarms without a cause: \(alarm)") }
        case .notAMember:
            if self.world.removed.isEmpty, !self.world.profile.has(.join), !isHostile { self.world.fail("Q", "\(self.name) alarms without a cause: \(alarm)") }
        case .wrongFederation, .versionMismatch: if !isHostile { self.world.fail("Q", "\(self.name) alarms without a cause: \(alarm)") }
        case .aheadOfTime, .quarantined, .cannotWrite: break
        }
    }
}
