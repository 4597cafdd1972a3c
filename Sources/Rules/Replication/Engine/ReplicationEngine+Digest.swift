import SkerryModel

/// What this box tells of what it holds, and hears of the others.
extension ReplicationEngine {
    // MARK: Sending

    func digestDue(_ place: Int) -> UInt64? {
        // Asked after every event: without an optimiser each look at a place of the array copies the whole peer.
        let peer = self.peers[place]
        guard peer.isHeard else { return nil }
        guard let last = peer.digestSent else { return self.now.monotonic }
        var due = peer.fullSent + self.limits.digestEvery
        if !peer.dirty.isEmpty || peer.isFullDue {
            due = min(due, last + (peer.isUrgent ? self.limits.digestPauseWhenWanted : self.limits.digestPause))
        }
        return due
    }

    mutating func sendDigestIfDue(_ place: Int) {
        guard let due = self.digestDue(place), self.now.monotonic >= due else { return }
        let isFull =
            self.peers[place].digestSent == nil || self.peers[place].isFullDue
            || self.now.monotonic >= self.peers[place].fullSent + self.limits.digestEvery
        let groups = isFull ? Array(self.groups.keys) : Array(self.peers[place].dirty)
        self.peers[place].dirty = []
        self.peers[place].isUrgent = false
        self.peers[place].digestSent = self.now.monotonic
        if isFull {
            self.peers[place].fullSent = self.now.monotonic
            self.peers[place].isFullDue = false
        }
        self.counters.digestsSent += 1
        self.send(place, .digest, DigestCodec.encode(self.digest(groups, isFull: isFull)))
    }

    private func digest(_ groups: [LogGroup], isFull: Bool) -> Digest {
        var digest = Digest(federation: self.federation, isPartial: !isFull, groups: [], quarantine: self.quarantine)
        var left = self.limits.digestEpochsTotalMax
        // Own logs first: that which is still written to is always spelled out.
        for group in groups.sorted(by: { ($0.origin == self.box) == ($1.origin == self.box) ? $0 < $1 : $0.origin == self.box }) {
            guard digest.groups.count < DigestCodec.groupsMax, let state = self.groups[group], state.sum.count > 0 else { continue }
            let part = self.digest(group, state, listedMax: min(left, self.limits.digestEpochsMax))
            left -= part.listed.count
            digest.groups.append(part)
        }
        if isFull {
            digest.marks = self.marks
            digest.marks[self.box] = self.mark
        }
        return digest
    }

    private func digest(_ group: LogGroup, _ state: GroupState, listedMax: Int) -> DigestGroup {
        var moving: [(UInt64, EpochState)] = state.epochs.filter { $0.value.shown > 0 && (!$0.value.isFinal || $0.value.isCurrent) }.map { ($0.key, $0.value) }
        moving.sort { left, right in
            if left.1.isCurrent != right.1.isCurrent { return left.1.isCurrent }
            return left.1.changed > right.1.changed
        }
        var rest = state.sum
        var listed: [HeldEpoch] = []
        for (number, epoch) in moving.prefix(listedMax) {
            rest.remove(number, epoch.shown)
            listed.append(
                HeldEpoch(epoch: number, head: epoch.shown, lowWater: min(epoch.lowWater, epoch.shown), isOpen: epoch.isCurrent))
        }
        listed.sort { $0.epoch < $1.epoch }
        return DigestGroup(group, listed: listed, rest: rest)
    }

    // MARK: Receiving

    mutating func receivedDigest(_ payload: [UInt8], _ place: Int) {
        let box = self.peers[place].box
        guard let digest = try? DigestCodec.decode(payload) else { return self.alarm(.malformed(link: box, .digest)) }
        guard digest.federation == self.federation else {
            self.alarm(.wrongFederation(link: box))
            return self.close(place, "of another federation")
        }
        // Refused whole: an epoch more than there may be is a defect or an attack, and half a digest would hide it.
        for part in digest.groups {
            let known = self.groups[part.group]?.epochs
            let new = part.listed.count { known?[$0.epoch] == nil }
            guard (known?.count ?? 0) + new <= self.limits.epochsMax else { return self.alarm(.malformed(link: box, .digest)) }
        }
        self.peers[place].saysQuarantine = digest.quarantine
        for (other, mark) in digest.marks.sorted(by: { $0.key < $1.key }) { self.hear(mark, of: other) }
        for part in digest.groups { self.take(part, place) }
        guard !digest.isPartial else { return }
        self.peers[place].isDigested = true
        self.needsFinal = true
        self.greeted(place)
    }

    private mutating func take(_ part: DigestGroup, _ place: Int) {
        let group = part.group
        let isOwn = group.origin == self.peers[place].box
        for epoch in part.listed {
            let log = LogEpoch(origin: group.origin, stream: group.stream, epoch: epoch.epoch)
            self.learn(place, log, epoch.head, lowWater: epoch.lowWater)
            // Of no more epochs than it is remembered to hold.
            if isOwn, !epoch.isOpen, self.peers[place].heads[log] != nil { self.peers[place].closed.insert(log) }
        }
        guard part.rest.count > 0, self.members[group.origin] != nil, self.peers[place].settled[group] != part.rest,
            !self.mutations.contains(.ignoreRest)
        else { return }
        let spelled = Set(part.listed.map(\.epoch))
        let state = self.groups[group] ?? GroupState()
        var mine = state.sum
        for number in spelled {
            if let epoch = state.epochs[number], epoch.shown > 0 { mine.remove(number, epoch.shown) }
        }
        guard mine == part.rest else {
            guard self.peers[place].listed[group] != part.rest else { return }
            self.peers[place].listWanted[group] = part.rest
            self.peers[place].listFrom[group] = 0
            self.needsPull = true
            return
        }
        self.peers[place].settled[group] = part.rest
        self.peers[place].listWanted[group] = nil
        for number in state.epochs.keys.filter({ !spelled.contains($0) }).sorted() {
            guard let epoch = state.epochs[number], epoch.shown > 0 else { continue }
            let log = LogEpoch(origin: group.origin, stream: group.stream, epoch: number)
            // What it still writes to is always spelled out.
            if isOwn { self.peers[place].closed.insert(log) }
            self.learn(place, log, epoch.shown)
        }
    }

    // MARK: What is over

    /// Epochs that nobody writes to any more and that all members hold alike.
    mutating func findFinal() {
        self.needsFinal = false
        self.finalChecked = self.now.monotonic
        let others = self.members.filter { $0.value.standing == .active && $0.key != self.box }.map(\.key)
        guard self.members[self.box] != nil else { return }
        var places: [Int] = []
        for box in others {
            guard let place = self.places[box], self.peers[place].isDigested else { return }
            places.append(place)
        }
        var over: [LogEpoch] = []
        for (group, state) in self.groups {
            for (number, epoch) in state.epochs where !epoch.isFinal && !epoch.isCurrent && epoch.shown > 0 && epoch.pending == epoch.head {
                let log = LogEpoch(origin: group.origin, stream: group.stream, epoch: number)
                guard self.isClosed(log) else { continue }
                if places.allSatisfy({ self.peers[$0].heads[log] == epoch.shown }) { over.append(log) }
            }
        }
        guard !over.isEmpty else { return }
        over.sort(by: Self.isBefore)
        for log in over { self.update(log) { $0.isFinal = true } }
        self.out.append(.final(over))
    }

    /// Whether its origin writes to the epoch no more: an earlier run of this box, a removed member, or said so.
    private func isClosed(_ log: LogEpoch) -> Bool {
        if log.origin == self.box { return true }
        guard let member = self.members[log.origin] else { return false }
        if member.standing == .removed { return true }
        guard let place = self.places[log.origin] else { return false }
        return self.peers[place].closed.contains(log)
    }

    // MARK: Reports

    mutating func reportIfDue(_ place: Int) {
        let peer = self.peers[place]
        let (phase, old) = (peer.phase, peer.report)
        let quarantine = self.quarantine(of: peer)
        let isTurn = phase != old.phase || quarantine != old.quarantine
        let isDue = peer.isReportStale && self.now.monotonic >= peer.reported + self.limits.reportEvery
        guard isTurn || isDue else { return }
        self.peers[place].reported = self.now.monotonic
        self.peers[place].isReportStale = false
        var report = PeerSync(phase: phase, unacknowledgedBytes: self.peers[place].unacknowledged, quarantine: quarantine)
        for (group, state) in self.groups {
            for (number, epoch) in state.epochs where epoch.shown > 0 {
                let head = self.peers[place].heads[LogEpoch(origin: group.origin, stream: group.stream, epoch: number)] ?? 0
                if epoch.shown > head { report.behind += epoch.shown - head }
            }
        }
        for (log, head) in self.peers[place].heads {
            let mine = self.epoch(log)?.shown ?? 0
            let reach = min(head, self.cut(of: log))
            if reach > mine { report.ahead += reach - mine }
        }
        guard report != old else { return }
        self.peers[place].report = report
        self.out.append(.peer(self.peers[place].box, report))
    }
}
