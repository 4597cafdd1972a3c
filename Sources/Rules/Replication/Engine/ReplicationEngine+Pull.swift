import SkerryModel

/// What this box lacks, asked of whoever has it (FEDERATION.md §2.5.4).
extension ReplicationEngine {
    /// Takes note of what a peer holds.
    mutating func learn(_ place: Int, _ log: LogEpoch, _ head: UInt64, lowWater: UInt64 = 0) {
        let known = self.peers[place].heads[log]
        if head > known ?? 0 {
            guard known != nil || self.peers[place].heads.count < self.limits.peerEpochsMax else {
                return self.alarm(.malformed(link: self.peers[place].box, .digest))
            }
            self.peers[place].heads[log] = head
            self.peers[place].isReportStale = true
            self.needsFinal = true
        }
        if lowWater > self.peers[place].lowWater[log] ?? 0 { self.peers[place].lowWater[log] = lowWater }
        if log.origin == self.box {
            self.learnOwn(log, head)
            self.countCopies(log)
            self.catchUpEnds(place)
        }
        if self.target(place, log) != nil, self.peers[place].ahead.insert(log).inserted { self.needsPull = true }
    }

    /// How far the peer can bring this box in the epoch; nil: no further than it is, or nobody could check it.
    func target(_ place: Int, _ log: LogEpoch) -> UInt64? {
        guard let head = self.peers[place].heads[log], self.members[log.origin] != nil else { return nil }
        let epoch = self.epoch(log)
        guard epoch?.isCurrent != true else { return nil }
        let reach = min(head, self.cut(of: log))
        return reach > epoch?.pending ?? 0 ? reach : nil
    }

    /// Goes through all that the peer holds: who is a member has changed.
    mutating func findAhead(_ place: Int) {
        for log in self.peers[place].heads.keys where self.target(place, log) != nil { self.peers[place].ahead.insert(log) }
    }

    /// One request for each peer and log, control first; the next one goes out while the store still commits what the last one brought.
    mutating func pull() {
        self.needsPull = false
        guard self.now.monotonic >= self.blockedUntil else { return }
        // Whoever has not answered may not hear us.
        let order = self.peers.indices.filter { self.peers[$0].isAsked }
            .sorted { (self.peers[$0].roundTrip, $0) < (self.peers[$1].roundTrip, $1) }
        for stream in Stream.allCases {
            for place in order where self.peers[place].pulls[stream] == nil { self.pull(stream, place, among: order) }
            // Messages wait until there is nothing more to have of who may write them.
            let recent = self.now.monotonic
            if stream == .control,
                order.contains(where: { self.peers[$0].pulls[.control].map { $0.sent + self.limits.controlFirst > recent } ?? false })
            {
                return
            }
        }
    }

    private mutating func pull(_ stream: Stream, _ place: Int, among order: [Int]) {
        if let group = self.peers[place].listWanted.keys.filter({ $0.stream == stream }).min() {
            let from = self.peers[place].listFrom[group] ?? 0
            return self.ask(.epochs(group, from: from), PullState.Aim.epochs(group), from, stream, place)
        }
        guard !self.peers[place].ahead.isEmpty else { return }
        let underWay = self.peers.reduce(0) { $0 + $1.pulls.count }
        guard self.pendingBytes + (underWay + 1) * self.limits.rangeBytesMax <= self.limits.pendingBytesMax else { return }
        guard let log = self.choose(stream, place, among: order) else { return }
        let from = (self.epoch(log)?.pending ?? 0) + 1
        self.ask(.entries(log, from: from, bytesMax: self.limits.rangeBytesMax), PullState.Aim.entries(log), from, stream, place)
    }

    private mutating func ask(_ request: RangeRequest, _ aim: PullState.Aim, _ from: UInt64, _ stream: Stream, _ place: Int) {
        let correlation = self.random()
        self.counters.rangesAsked += 1
        self.peers[place].pulls[stream] = PullState(aim: aim, from: from, correlation: correlation, sent: self.now.monotonic)
        self.send(place, .request, LinkRequest(.range, correlation: correlation, body: RangeCodec.encode(request)).payload)
    }

    /// The epoch to ask this peer for: its own first, and others' only where their origin is not asked itself.
    private mutating func choose(_ stream: Stream, _ place: Int, among order: [Int]) -> LogEpoch? {
        var best: LogEpoch?
        for log in self.peers[place].ahead where log.stream == stream {
            guard self.target(place, log) != nil else {
                self.peers[place].ahead.remove(log)
                continue
            }
            guard self.isUsable(place, log), !self.isAsked(log, order) else { continue }
            if self.isThin(place, log), order.contains(where: { self.hasAll($0, log) }) { continue }
            if log.origin != self.peers[place].box, let origin = self.places[log.origin], self.peers[origin].isAsked,
                self.target(origin, log) != nil, self.isUsable(origin, log), !self.isThin(origin, log)
            {
                continue
            }
            if let known = best, !self.isBetter(log, known, place) { continue }
            best = log
        }
        return best
    }

    private func isBetter(_ log: LogEpoch, _ other: LogEpoch, _ place: Int) -> Bool {
        let box = self.peers[place].box
        if (log.origin == box) != (other.origin == box) { return log.origin == box }
        return Self.isBefore(log, other)
    }

    /// Whether the peer has dropped entries that this box lacks; whoever has not is asked first.
    private func isThin(_ place: Int, _ log: LogEpoch) -> Bool { self.peers[place].lowWater[log] ?? 0 > self.epoch(log)?.pending ?? 0 }

    private func hasAll(_ place: Int, _ log: LogEpoch) -> Bool {
        self.target(place, log) != nil && self.isUsable(place, log) && !self.isThin(place, log)
    }

    private func isUsable(_ place: Int, _ log: LogEpoch) -> Bool {
        guard let avoided = self.peers[place].avoided[log] else { return true }
        return self.now.monotonic >= avoided.until
    }

    private func isAsked(_ log: LogEpoch, _ order: [Int]) -> Bool {
        order.contains { self.peers[$0].pulls[log.stream]?.aim == .entries(log) }
    }

    /// The peer was of no help with this epoch: others are asked, and it again after a pause.
    mutating func avoid(_ place: Int, _ log: LogEpoch) {
        let last = self.peers[place].avoided[log]?.pause ?? 0
        let pause = last == 0 ? self.limits.askAgainMin : min(last * 2, self.limits.askAgainMax)
        self.peers[place].avoided[log] = Avoidance(until: self.now.monotonic + pause, pause: pause)
        self.needsPull = true
    }

    mutating func timeOutPulls() {
        for place in self.peers.indices {
            for stream in Stream.allCases {
                guard let pull = self.peers[place].pulls[stream], self.now.monotonic >= pull.sent + self.limits.requestTimeout else { continue }
                self.peers[place].pulls[stream] = nil
                self.counters.rangesTimedOut += 1
                if case .entries(let log) = pull.aim { self.avoid(place, log) }
            }
        }
    }

    // MARK: Answers

    mutating func receivedRange(_ response: LinkRequest, _ place: Int) {
        guard let stream = Stream.allCases.first(where: { self.peers[place].pulls[$0]?.correlation == response.correlation }),
            let pull = self.peers[place].pulls[stream]
        else { return }
        self.peers[place].pulls[stream] = nil
        self.peers[place].roundTrip = (self.peers[place].roundTrip * 7 + self.now.monotonic - min(pull.sent, self.now.monotonic)) / 8
        self.needsPull = true
        let answer = try? RangeCodec.response(response.body, of: self.federation)
        switch (pull.aim, answer) {
        case (.entries(let log), .entries(let answered, let head, let pieces)) where answered == log:
            self.take(pieces, of: log, from: pull.from, head: head, place)
        case (.epochs(let group), .epochs(let answered, let held, let hasMore)) where answered == group:
            self.take(held, of: group, hasMore: hasMore, place)
        case (.entries(let log), _):
            self.alarm(.malformed(link: self.peers[place].box, .response))
            self.avoid(place, log)
        case (.epochs(let group), _):
            self.alarm(.malformed(link: self.peers[place].box, .response))
            self.endList(group, place)
        }
    }

    private mutating func take(_ pieces: [RangePiece], of log: LogEpoch, from: UInt64, head: UInt64, _ place: Int) {
        guard self.hasRoom(for: log) else { return self.avoid(place, log) }
        self.learn(place, log, head)
        let before = self.epoch(log)?.pending ?? 0
        // Asked before an apply failed: what it joins on is not there any more.
        guard from <= before + 1 else { return }
        for piece in pieces {
            switch self.take(piece, of: log, head: head, place) {
            case .taken: continue
            case .noRoom: return
            case .bad: return self.avoid(place, log)
            }
        }
        if self.epoch(log)?.pending ?? 0 > before {
            self.peers[place].avoided[log] = nil
        } else if self.target(place, log) != nil {
            // It has less than it said: asked again later.
            self.peers[place].heads[log] = head
            self.avoid(place, log)
        }
    }

    private enum Outcome { case taken, noRoom, bad }

    private mutating func take(_ piece: RangePiece, of log: LogEpoch, head: UInt64, _ place: Int) -> Outcome {
        let box = self.peers[place].box
        let pending = self.epoch(log)?.pending ?? 0
        guard self.now.monotonic >= self.blockedUntil else { return .noRoom }
        switch piece {
        case .skipped(let upTo):
            guard upTo <= head else {
                self.alarm(.malformed(link: box, .response))
                return .bad
            }
            // The holder may have heard more of the origin than this box: as far as both say for now.
            let reach = min(upTo, self.skipMax(log, head: head))
            guard reach > pending else { return .bad }
            self.skip(log, upTo: min(reach, self.cut(of: log)))
            if reach < upTo { return .noRoom }
        case .batch(let batch):
            // Its origin was removed meanwhile: nothing from here on counts.
            guard batch.firstSeq <= self.cut(of: log) else { return .noRoom }
            guard batch.log == log, batch.firstSeq <= pending + 1 else {
                self.alarm(.malformed(link: box, .response))
                return .bad
            }
            if batch.lastSeq <= pending, !self.mutations.contains(.noDeduplication) { return .taken }
            guard self.pendingBytes + BatchCodec.size(of: batch) <= self.limits.pendingBytesMax else { return .noRoom }
            guard self.isSigned(batch, link: box) else { return .bad }
            self.take(batch)
        }
        return .taken
    }

    /// How far a holder may say that nothing is left: to its own head, and no further than the origin goes where that can be heard. Nobody
    /// signs such a word; one that was too great would hide what the origin is still going to write.
    private func skipMax(_ log: LogEpoch, head: UInt64) -> UInt64 {
        guard let origin = self.places[log.origin], self.peers[origin].isLinked, self.peers[origin].isDigested, self.peers[origin].saysQuarantine == nil,
            let end = self.peers[origin].heads[log]
        else { return head }
        return min(head, end)
    }

    private mutating func take(_ held: [HeldEpoch], of group: LogGroup, hasMore: Bool, _ place: Int) {
        for epoch in held {
            let log = LogEpoch(origin: group.origin, stream: group.stream, epoch: epoch.epoch)
            guard self.hasRoom(for: log) else { continue }
            self.learn(place, log, epoch.head, lowWater: epoch.lowWater)
        }
        guard hasMore, let last = held.map(\.epoch).max(), last < .max, last >= self.peers[place].listFrom[group] ?? 0 else {
            return self.endList(group, place)
        }
        self.peers[place].listFrom[group] = last + 1
    }

    private mutating func endList(_ group: LogGroup, _ place: Int) {
        self.peers[place].listed[group] = self.peers[place].listWanted.removeValue(forKey: group)
        self.peers[place].listFrom[group] = nil
    }
}
