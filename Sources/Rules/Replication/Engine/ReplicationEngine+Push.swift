import SkerryModel

/// What this box writes, on its way to the others.
extension ReplicationEngine {
    mutating func appended(_ run: CommittedRun) {
        guard run.log.origin == self.box, run.lastSeq > 0 else { return }
        self.update(run.log) { epoch in
            epoch.isCurrent = true
            epoch.head = max(epoch.head, run.lastSeq)
            epoch.pending = max(epoch.pending, epoch.head)
            if run.wantsFlush { epoch.awaited = max(epoch.awaited, run.lastSeq) }
        }
        guard !run.entries.isEmpty else {
            // Only where the log ends: whoever wants the entries pulls them.
            for place in self.peers.indices where self.ownGap(place) > self.limits.liveGapMax { self.peers[place].isLagging = true }
            return
        }
        guard self.peers.contains(where: { $0.phase == .live }) else { return }
        let channel: LinkChannel = run.log.stream == .control ? .control : .message
        for var batch in BatchCodec.split(run.log, firstSeq: run.firstSeq, run.entries.map { .entry($0) }, wantsFlush: run.wantsFlush) {
            batch.signature = self.keys.sign(BatchCodec.signedBytes(batch, of: self.federation))
            let payload = BatchCodec.encode(batch, of: self.federation)
            for place in self.peers.indices where self.peers[place].phase == .live {
                guard self.peers[place].unacknowledged + payload.count <= self.limits.windowBytesMax else {
                    // No queue: it hears by the digest that there is more, and pulls.
                    self.peers[place].isLagging = true
                    self.counters.windowsFull += 1
                    continue
                }
                self.peers[place].given[run.log] = batch.lastSeq
                self.send(place, channel, payload)
            }
        }
    }

    mutating func acknowledged(_ box: BoxID, _ bytes: Int) {
        guard let place = self.places[box], self.peers[place].isLinked else { return }
        self.peers[place].unacknowledged = max(0, self.peers[place].unacknowledged - max(0, bytes))
        self.catchUpEnds(place)
    }

    /// A lagging peer is given live entries again once its link has room and it lacks next to nothing.
    mutating func catchUpEnds(_ place: Int) {
        guard self.peers[place].isLagging, self.peers[place].unacknowledged <= self.limits.windowBytesMax / 2,
            self.ownGap(place) <= self.limits.liveGapMax
        else { return }
        self.peers[place].isLagging = false
    }

    /// How many entries of this run of this box the peer neither has nor is being given.
    func ownGap(_ place: Int) -> UInt64 {
        var gap: UInt64 = 0
        for stream in Stream.allCases {
            for (number, epoch) in self.groups[LogGroup(self.box, stream)]?.epochs ?? [:] where epoch.isCurrent {
                let log = LogEpoch(origin: self.box, stream: stream, epoch: number)
                let reached = max(self.peers[place].heads[log] ?? 0, self.peers[place].given[log] ?? 0)
                if epoch.head > reached { gap += epoch.head - reached }
            }
        }
        return gap
    }

    /// Whether enough others hold what this box wrote (FEDERATION.md §2.5.3).
    mutating func countCopies(_ log: LogEpoch) {
        guard let epoch = self.epoch(log), epoch.replicated < epoch.head, self.limits.copiesWanted > 0 else { return }
        var reached: [UInt64] = []
        for peer in self.peers where self.isActive(peer.box) {
            if let head = peer.heads[log] { reached.append(min(head, epoch.head)) }
        }
        guard reached.count >= self.limits.copiesWanted else { return }
        reached.sort(by: >)
        let covered = reached[self.limits.copiesWanted - 1]
        guard covered > epoch.replicated else { return }
        self.update(log) { $0.replicated = covered }
        self.out.append(.replicated(log, upTo: covered))
    }
}
