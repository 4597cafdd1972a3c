import Replication
import SkerryModel

/// What a client wants written.
struct ClientWrite {
    enum Content {
        case message(id: Int)
        case row(key: Int)
        case newRow(key: Int)
        case receipt(client: Int, value: UInt64)
        case member(BoxID, EngineMember)
    }

    var content: Content
    /// Answered after the commit with the entry that stands for it, or with nil when it was refused. Never when the box dies.
    var answer: (TrueEntry?) -> Void
}

enum DiskJob {
    case write(ClientWrite)
    case apply(UInt64, [IncomingBatch])
    case persist(name: String, [UInt8])
    /// Drop what is dead at that time.
    case retain(now: UInt64, age: UInt64)
}

extension SimBox {
    static let jobsMax = 256

    /// Queues a job; with `within` it may wait that long for company.
    func enqueue(_ job: DiskJob, within: UInt64) {
        self.jobs.append(job)
        guard !self.isCommitting else { return }
        self.planCommit(self.world.now + within)
    }

    private func planCommit(_ due: UInt64) {
        if let planned = self.commitAt, planned <= due { return }
        self.commitAt = due
        self.after(due - self.world.now) {
            guard self.commitAt == due, !self.isCommitting else { return }
            self.beginCommit()
        }
    }

    private func beginCommit() {
        self.commitAt = nil
        guard !self.jobs.isEmpty else { return }
        self.isCommitting = true
        let delay = self.isDiskSlow ? self.world.random.time(100, 1_500) : self.world.random.time(1, 12)
        self.after(delay) {
            self.isCommitting = false
            self.commit(isAnswered: true)
            if !self.jobs.isEmpty { self.planCommit(self.world.now) }
        }
    }

    /// One transaction with everything that waits, and the answers.
    func commit(isAnswered: Bool) {
        let group = self.jobs
        self.jobs = []
        guard !self.isDiskFull else { return self.refuse(group) }
        self.world.figures.commits += 1
        var answers: [() -> Void] = []
        var runs: [CommittedRun] = []
        let members = self.disk.members
        for job in group {
            switch job {
            case .write(let write):
                let entry = self.write(write, &runs)
                answers.append { write.answer(entry) }
            case .apply(let token, let batches):
                guard let heads = self.apply(batches) else {
                    self.hasFailedApply = true
                    answers.append { self.step(.applyFailed(token)) }
                    continue
                }
                answers.append { self.step(.applied(token, heads: heads)) }
            case .persist(let name, let value): self.disk.kept[name] = value
            case .retain(let now, let age):
                let id = self.id
                let moved = self.disk.retain(at: now, age: age, self.world.truth) { $0.id.origin != id }
                if !moved.isEmpty { answers.append { self.step(.lowWater(moved)) } }
            }
        }
        self.disk.stamp = self.hybrid.last.rawValue
        if self.world.options.mutations.contains(.skippedSync), self.synced == nil || self.world.random.chance(100) { self.synced = self.disk }
        guard isAnswered else { return }
        // The log's listener hears right after the commit; then the answers go out in the order of the jobs.
        for run in runs { self.step(.appended(run)) }
        for answer in answers { answer() }
        if self.isRunning, members != self.disk.members { self.tellMembers() }
    }

    private func refuse(_ group: [DiskJob]) {
        self.world.note(0x41, "\(self.name) disk full")
        self.hasFailedApply = true
        for job in group {
            switch job {
            case .write(let write): write.answer(nil)
            case .apply(let token, _): self.step(.applyFailed(token))
            case .persist, .retain: break
            }
        }
    }

    // MARK: - Own entries

    private func write(_ write: ClientWrite, _ runs: inout [CommittedRun]) -> TrueEntry? {
        // The same id again is the same message.
        if case .message(let id) = write.content, let known = self.disk.message(id) { return known }
        let stream: Stream
        let kind: TrueEntry.Kind
        switch write.content {
        case .message(let id): (stream, kind) = (.message, .message(id: id))
        case .receipt(let client, let value): (stream, kind) = (.message, .receipt(client: client, value: max(value, self.disk.receipt(client))))
        case .row(let key): (stream, kind) = (.control, .row(key: key))
        case .newRow(let key): (stream, kind) = (.control, .newRow(key: key))
        case .member(let box, let member): (stream, kind) = (.control, .member(box, member))
        }
        let log = self.log(of: stream)
        let seq = self.disk.log(log.index).head + 1
        let hlc = self.hybrid.stamp(physicalMilliseconds: self.physical)
        self.world.entryCount += 1
        let padding = self.world.random.below(self.world.profile.paddingMax + 1)
        let bytes = SimEntryCodec.encode(kind, hlc: hlc, number: self.world.entryCount, padding: padding)
        let entry = TrueEntry(log: log, seq: seq, bytes: bytes, order: Order(hlc: hlc, origin: self.id, epoch: log.id.epoch, seq: seq), kind: kind)
        guard seq == UInt64(log.entries.count) + 1 else {
            self.world.fail("P3", "\(self.name) writes \(log.text)#\(seq) a second time, with another body")
            return nil
        }
        // What a removed box writes counts nowhere.
        if log.isFinal, !self.isRemoved { self.world.fail("P5", "\(self.name) writes to \(log.text), which was said to be over") }
        self.checkStamp(entry)
        log.entries.append(entry)
        entry.held(by: self.instance)
        self.disk.append(entry, self.world.options.mutations)
        self.world.figures.entries += 1
        if case .member(let box, let member) = kind, member.standing == .removed { self.world.removed[box] = member.cut }
        self.world.note(0x42, "\(self.name) writes \(entry.text)")
        if let last = runs.indices.last, runs[last].log == log.id, runs[last].firstSeq + UInt64(runs[last].entries.count) == seq {
            runs[last].entries.append(bytes)
        } else {
            runs.append(CommittedRun(log: log.id, firstSeq: seq, entries: [bytes]))
        }
        return entry
    }

    /// The epoch of this run: random, drawn at the first write.
    private func log(of stream: Stream) -> TrueLog {
        if let log = self.epochs[stream] { return log }
        let drawn = self.world.random.next()
        let epoch: UInt64
        if self.world.options.mutations.contains(.reusedEpoch) {
            epoch = self.disk.fixedEpoch ?? drawn
            self.disk.fixedEpoch = epoch
        } else if self.world.options.mutations.contains(.bootCounterAsEpoch) {
            epoch = self.disk.startCounter
        } else {
            epoch = drawn
        }
        let text = "\(self.name).\(stream == .control ? "c" : "m")\(self.run)"
        let log = self.world.truth.open(LogEpoch(origin: self.id, stream: stream, epoch: epoch), writer: self.instance, text: text)
        self.epochs[stream] = log
        return log
    }

    /// Stamps rise, and no box stamps the future however wrong its wall clock is.
    private func checkStamp(_ entry: TrueEntry) {
        if let before = entry.log.entries.last, before.order.hlc >= entry.order.hlc {
            self.world.fail("C", "\(entry.text) is stamped no later than the entry before it")
        }
        let (now, stamp) = (self.world.trueMilliseconds, entry.order.hlc.milliseconds)
        if stamp < SimClock.earliestMilliseconds { self.world.fail("C", "\(entry.text) is stamped \(stamp), long before there was such a program") }
        // A clock that says that it is right and is not takes along those that have none; nobody else.
        if stamp > now + 60_000, self.clock.isSynced, !self.clock.isWrong, !self.wasWrong {
            self.world.fail("C", "\(entry.text) is stamped \(stamp - now) ms into the future")
        }
    }

    // MARK: - Others' entries

    /// Nil: something does not join on what is there, and nothing was applied.
    private func apply(_ batches: [IncomingBatch]) -> [LogEpoch: UInt64]? {
        var heads: [LogEpoch: UInt64] = [:]
        // All or nothing: one batch is looked at before anything is touched, several are undone.
        let before = batches.count > 1 ? self.disk : nil
        let stampBefore = self.hybrid
        for incoming in batches {
            guard let log = self.world.truth.log(incoming.batch.log) else {
                self.world.fail("P7", "\(self.name) takes a log of \(self.world.boxText(incoming.batch.log.origin)) that it never wrote")
                return nil
            }
            guard self.apply(incoming, to: log) else {
                if let before { self.disk = before }
                self.hybrid = stampBefore
                return nil
            }
            heads[log.id] = self.disk.log(log.index).head
        }
        return heads
    }

    private func apply(_ incoming: IncomingBatch, to log: TrueLog) -> Bool {
        let batch = incoming.batch
        var head = self.disk.log(log.index).head
        if let skipped = incoming.skippedUpTo, skipped > head {
            for seq in (head + 1)...skipped where log.entry(seq)?.isDropped == false {
                self.world.fail("P2", "\(self.name) passes over \(log.text)#\(seq), which nobody has dropped")
                return false
            }
            self.disk.skip(log, upTo: skipped)
            head = skipped
        }
        guard !batch.items.isEmpty else { return true }
        guard batch.firstSeq <= head + 1 else {
            if !self.hasFailedApply { self.world.fail("P1", "\(self.name) is to apply \(log.text)#\(batch.firstSeq) on \(head): a gap") }
            return false
        }
        if incoming.knownUpTo < min(head, batch.lastSeq), batch.firstSeq <= head {
            self.world.fail("P4", "\(self.name) is to apply \(log.text)#\(max(batch.firstSeq, incoming.knownUpTo + 1)) again; it has \(head)")
            return false
        }
        var seq = batch.firstSeq
        var isNew = false
        for item in batch.items {
            defer { seq += 1 }
            guard seq > max(head, incoming.knownUpTo) else { continue }
            guard self.append(item, log, seq) else { return false }
            isNew = true
        }
        if isNew { self.disk.sign(log, LogImage.Signed(first: batch.firstSeq, last: batch.lastSeq, signature: batch.signature)) }
        return true
    }

    private func append(_ item: BatchItem, _ log: TrueLog, _ seq: UInt64) -> Bool {
        guard let entry = log.entry(seq) else {
            self.world.fail("P7", "\(self.name) takes \(log.text)#\(seq), which its origin never wrote")
            return false
        }
        switch item {
        case .entry(let bytes):
            guard bytes == entry.bytes else {
                self.world.fail("P3", "\(self.name) takes \(entry.text) with another body than its origin wrote")
                return false
            }
            if !self.hybrid.observe(entry.order.hlc, physicalMilliseconds: self.physical) {
                self.world.note(0x43, "\(self.name) does not follow \(entry.text)")
            }
            self.disk.append(entry, self.world.options.mutations)
            entry.held(by: self.instance)
            self.world.figures.entryBytesApplied += bytes.count
            self.world.note(0x44 ^ seq << 8, "\(self.name) has \(entry.text)")
        case .dropped(let hash):
            guard entry.isDropped || self.isBeyondCut(entry), hash == entry.hash else {
                self.world.fail("P2", "\(self.name) is told that \(entry.text) was dropped; it was not")
                return false
            }
            self.disk.appendDropped(log)
        }
        return true
    }

    /// Of a removed box, and written after it: only its hash counts.
    private func isBeyondCut(_ entry: TrueEntry) -> Bool {
        guard let member = self.disk.members[entry.log.id.origin], member.standing == .removed else { return false }
        return entry.seq > member.cut[entry.log.id] ?? 0
    }
}
