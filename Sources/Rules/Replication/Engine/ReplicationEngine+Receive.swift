import SkerryModel

/// What other boxes wrote, on its way into the store.
extension ReplicationEngine {
    /// A live batch: from its origin, over the origin's own link.
    mutating func receivedBatch(_ message: LinkMessage, _ place: Int) {
        let box = self.peers[place].box
        guard let received = try? BatchCodec.decode(message.payload) else { return self.alarm(.malformed(link: box, message.channel)) }
        guard received.federation == self.federation else { return self.alarm(.wrongFederation(link: box)) }
        let batch = received.batch
        guard (batch.log.stream == .control) == (message.channel == .control) else { return self.alarm(.malformed(link: box, message.channel)) }
        guard batch.log.origin == box || self.mutations.contains(.anyOrigin), batch.log.origin != self.box else {
            return self.alarm(.forgedOrigin(link: box, claimed: batch.log.origin))
        }
        guard self.isActive(batch.log.origin) else { return self.alarm(.notAMember(batch.log.origin)) }
        guard self.hasRoom(for: batch.log) else { return self.alarm(.malformed(link: box, message.channel)) }
        if batch.lastSeq <= self.epoch(batch.log)?.pending ?? 0, !self.mutations.contains(.noDeduplication) {
            self.counters.duplicates += 1
            return
        }
        guard self.isSigned(batch, link: box) else { return }
        self.take(batch)
        self.learn(place, batch.log, batch.lastSeq)
    }

    func hasRoom(for log: LogEpoch) -> Bool {
        guard let group = self.groups[LogGroup(log)] else { return true }
        return group.epochs[log.epoch] != nil || group.epochs.count < self.limits.epochsMax
    }

    mutating func isSigned(_ batch: Batch, link: BoxID) -> Bool {
        if self.mutations.contains(.noSignatures) { return true }
        guard let member = self.members[batch.log.origin] else {
            self.alarm(.notAMember(batch.log.origin))
            return false
        }
        guard self.keys.verify(member.logKey, BatchCodec.signedBytes(batch, of: self.federation), batch.signature) else {
            self.alarm(.badSignature(origin: batch.log.origin, link: link))
            return false
        }
        return true
    }

    /// A good batch: into the store if it joins, aside if there is a gap before it. What finds no room is dropped, and pulled later.
    mutating func take(_ batch: Batch) {
        guard self.now.monotonic >= self.blockedUntil, let batch = self.cutShort(batch) else { return }
        let pending = self.epoch(batch.log)?.pending ?? 0
        if batch.lastSeq <= pending, !self.mutations.contains(.noDeduplication) { return }
        if batch.firstSeq > pending + 1 {
            guard self.mutations.contains(.ignoreGaps) else { return self.keepBeyondGap(batch) }
            self.submit(IncomingBatch(batch: batch, knownUpTo: pending, skippedUpTo: batch.lastSeq))
            return
        }
        guard self.pendingBytes + BatchCodec.size(of: batch) <= self.limits.pendingBytesMax else {
            self.counters.withoutRoom += 1
            return
        }
        let known = self.mutations.contains(.noDeduplication) ? batch.firstSeq - 1 : pending
        self.submit(IncomingBatch(batch: batch, knownUpTo: known))
        self.closeGap(batch.log)
    }

    /// A batch that goes beyond its removed origin's cut, without what is beyond.
    private func cutShort(_ batch: Batch) -> Batch? {
        let cut = self.cut(of: batch.log)
        guard batch.lastSeq > cut else { return batch }
        guard batch.firstSeq <= cut else { return nil }
        var batch = batch
        for index in batch.items.indices where batch.firstSeq + UInt64(index) > cut {
            if case .entry(let bytes) = batch.items[index] { batch.items[index] = .dropped(hash: BatchCodec.hash(bytes)) }
        }
        return batch
    }

    /// The holder says that there is nothing before `upTo` any more.
    mutating func skip(_ log: LogEpoch, upTo: UInt64) {
        let pending = self.epoch(log)?.pending ?? 0
        guard upTo > pending, self.now.monotonic >= self.blockedUntil else { return }
        self.submit(IncomingBatch(batch: Batch(log: log, firstSeq: upTo + 1, items: []), knownUpTo: pending, skippedUpTo: upTo))
        self.closeGap(log)
    }

    private mutating func submit(_ incoming: IncomingBatch) {
        let log = incoming.batch.log
        let reach = max(incoming.batch.lastSeq, incoming.skippedUpTo ?? 0)
        let size = BatchCodec.size(of: incoming.batch)
        self.lookAhead(incoming)
        self.incoming.append(incoming)
        self.incomingState.bytes += size
        self.incomingState.reach[log] = max(self.incomingState.reach[log] ?? 0, reach)
        self.pendingBytes += size
        if incoming.batch.wantsFlush {
            self.incomingIsUrgent = true
            self.incomingState.awaiting.insert(log.origin)
        }
        let isEarly = self.mutations.contains(.vectorBeforeCommit)
        self.update(log) { epoch in
            epoch.pending = max(epoch.pending, reach)
            if isEarly { epoch.head = epoch.pending }
        }
    }

    /// Stamps far ahead of time are kept and not followed; somebody should look at that box's clock.
    private mutating func lookAhead(_ incoming: IncomingBatch) {
        let limit = self.now.physical + self.limits.aheadMillisecondsMax
        var seq = incoming.batch.firstSeq
        for item in incoming.batch.items {
            defer { seq += 1 }
            guard seq > incoming.knownUpTo, case .entry(let bytes) = item, let stamp = EntryCodec.stamp(of: bytes) else { continue }
            if stamp.milliseconds > limit { return self.alarm(.aheadOfTime(origin: incoming.batch.log.origin)) }
        }
    }

    mutating func flushIncoming() {
        guard !self.incoming.isEmpty else { return }
        let token = self.token()
        self.applies[token] = self.incomingState
        let within = self.incomingIsUrgent ? self.limits.applyWithinWhenWanted : self.limits.applyWithin
        self.out.append(.apply(token, self.incoming, withinMilliseconds: within))
        self.incoming = []
        self.incomingState = ApplyState(bytes: 0, reach: [:], awaiting: [])
        self.incomingIsUrgent = false
    }

    // MARK: Gaps

    private mutating func keepBeyondGap(_ batch: Batch) {
        let size = BatchCodec.size(of: batch)
        guard self.gapBytes + size <= self.limits.gapBytesTotalMax else {
            self.counters.gapsDropped += 1
            return
        }
        var isKept = false
        var hasRoom = true
        let entriesMax = self.limits.gapEntriesMax
        let bytesMax = self.limits.gapBytesMax
        self.update(batch.log) { epoch in
            hasRoom = epoch.gapEntries + batch.items.count <= entriesMax && epoch.gapBytes + size <= bytesMax
            guard hasRoom else { return }
            let place = epoch.gap.firstIndex { $0.firstSeq >= batch.firstSeq } ?? epoch.gap.count
            if place < epoch.gap.count, epoch.gap[place].firstSeq == batch.firstSeq, epoch.gap[place].lastSeq >= batch.lastSeq { return }
            epoch.gap.insert(batch, at: place)
            epoch.gapEntries += batch.items.count
            epoch.gapBytes += size
            isKept = true
        }
        if isKept { self.gapBytes += size }
        if !hasRoom { self.counters.gapsDropped += 1 }
    }

    /// Hands on what was kept beyond a gap and joins now.
    private mutating func closeGap(_ log: LogEpoch) {
        while let epoch = self.epoch(log), let first = epoch.gap.first, first.firstSeq <= epoch.pending + 1 {
            let size = BatchCodec.size(of: first)
            self.update(log) { epoch in
                epoch.gap.removeFirst()
                epoch.gapEntries -= first.items.count
                epoch.gapBytes -= size
            }
            self.gapBytes -= size
            // Its origin may have been removed since it was put aside.
            guard first.lastSeq > epoch.pending, self.pendingBytes + size <= self.limits.pendingBytesMax, let batch = self.cutShort(first) else { continue }
            self.submit(IncomingBatch(batch: batch, knownUpTo: epoch.pending))
        }
    }

    // MARK: The store's answers

    mutating func applied(_ token: UInt64, _ heads: [LogEpoch: UInt64]) {
        guard let state = self.applies.removeValue(forKey: token) else { return }
        self.pendingBytes -= state.bytes
        self.blockedPause = 0
        for (log, head) in heads.sorted(by: { Self.isBefore($0.key, $1.key) }) {
            self.update(log) { epoch in
                epoch.head = max(epoch.head, head)
                epoch.pending = max(epoch.pending, epoch.head)
            }
        }
        // What the store has left out hangs nowhere: it is asked for again, but not at once, or one log that cannot be taken would keep both
        // boxes busy for ever.
        for (log, reach) in state.reach where reach > heads[log] ?? 0 {
            self.fallBack(log)
            for place in self.peers.indices where self.target(place, log) != nil { self.avoid(place, log) }
        }
        for box in state.awaiting {
            if let place = self.places[box] { self.peers[place].isUrgent = true }
        }
        self.needsPull = true
    }

    /// Nothing has advanced: what was on its way is pulled again, after a pause.
    mutating func applyFailed(_ token: UInt64) {
        guard let state = self.applies.removeValue(forKey: token) else { return }
        if self.mutations.contains(.ignoreApplyFailure) {
            self.applies[token] = state
            return self.applied(token, state.reach)
        }
        self.pendingBytes -= state.bytes
        for log in state.reach.keys { self.fallBack(log) }
        self.alarm(.cannotWrite)
        guard self.now.monotonic >= self.blockedUntil else { return }
        self.blockedPause = self.blockedPause == 0 ? self.limits.applyRetryMin : min(self.blockedPause * 2, self.limits.applyRetryMax)
        self.blockedUntil = self.now.monotonic + self.blockedPause
        self.needsPull = true
    }

    /// The log is where the disk has it.
    private mutating func fallBack(_ log: LogEpoch) {
        self.update(log) { $0.pending = $0.head }
        for place in self.peers.indices {
            // What was asked from where the log seemed to be joins no more.
            if self.peers[place].pulls[log.stream]?.aim == .entries(log) { self.peers[place].pulls[log.stream] = nil }
            if self.target(place, log) != nil { self.peers[place].ahead.insert(log) }
        }
    }

    mutating func setLowWater(_ marks: [LogEpoch: UInt64]) {
        for (log, mark) in marks where self.epoch(log) != nil {
            self.update(log) { $0.lowWater = max($0.lowWater, min(mark, $0.head)) }
        }
    }
}
