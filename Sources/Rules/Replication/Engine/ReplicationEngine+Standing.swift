import SkerryModel

/// Restored and cloned boxes (FEDERATION.md §2.1).
extension ReplicationEngine {
    private static let marksName = "marks"
    private static let ownName = "own"
    /// A counter beyond is nobody's: it would leave no room for the next start.
    private static let counterMax: UInt64 = 1 << 48

    // MARK: Other boxes

    /// A box greeted this one as this run. One that answers what was asked on this link runs now; a question may have been under way since an
    /// earlier run, and proves nothing about which of two came later.
    mutating func note(_ mark: StartMark, _ place: Int, isFresh: Bool) {
        let box = self.peers[place].box
        guard isFresh else {
            guard mark.counter > self.marks[box]?.counter ?? 0 else { return }
            // The run that is known to be there counts on from what it was told is remembered of it.
            if self.runs[box]?.nonce == mark.nonce { self.peers[place].looksRestored = false }
            return self.remember(mark, of: box)
        }
        var history = self.runs[box] ?? RunHistory(nonce: mark.nonce)
        if !history.follow(mark.nonce) { self.foundTwin(of: box) }
        self.runs[box] = history
        guard let known = self.marks[box], known.nonce != mark.nonce else { return self.remember(mark, of: box) }
        self.peers[place].looksRestored = mark.counter <= known.counter
        if mark.counter > known.counter { self.remember(mark, of: box) }
    }

    /// A box told what it remembers of a third, or of this one.
    mutating func hear(_ mark: StartMark, of box: BoxID) {
        if box == self.box { return self.compare(mark) }
        guard self.members[box] != nil, mark.counter > self.marks[box]?.counter ?? 0 else { return }
        self.remember(mark, of: box)
    }

    private mutating func remember(_ mark: StartMark, of box: BoxID) {
        guard mark.counter <= Self.counterMax, self.marks[box] != mark else { return }
        if let known = self.marks[box], known.counter > mark.counter { return }
        self.marks[box] = mark
        self.keepMarks()
    }

    /// Why a peer is held to be no full member.
    func quarantine(of peer: PeerState) -> QuarantineReason? {
        guard self.isActive(peer.box) else { return nil }
        if self.twins.contains(peer.box) { return .clone }
        if peer.isRefusedVersion { return .version }
        return peer.saysQuarantine ?? (peer.looksRestored ? .rollback : nil)
    }

    /// Two boxes run under this identity.
    mutating func foundTwin(of box: BoxID) {
        if box == self.box {
            guard !self.isCloned else { return }
            self.isCloned = true
        } else {
            guard self.twins.insert(box).inserted else { return }
        }
        self.alarm(.quarantined(box, .clone))
        self.keepOwn()
        self.standingChanged()
    }

    // MARK: This box

    /// What others remember of this box: a run with as high a counter and another nonce means that this box was restored.
    mutating func compare(_ remembered: StartMark) {
        guard remembered.nonce != self.mark.nonce, remembered.counter >= self.mark.counter, remembered.counter < Self.counterMax,
            !self.isCloned, !self.mutations.contains(.noRollbackCheck)
        else { return }
        // A run that follows whenever this one goes ahead is no memory: it is alive.
        if remembered.counter == self.mark.counter + 1, self.rival?.nonce == remembered.nonce {
            self.rival?.echoes += 1
            if let rival = self.rival, rival.echoes >= 2 { return self.foundTwin(of: self.box) }
        } else if self.rival?.nonce != remembered.nonce {
            self.rival = (remembered.nonce, 0)
        }
        self.mark.counter = remembered.counter + 1
        self.keepOwn()
        self.foundRestored()
        for place in self.peers.indices where self.peers[place].isLinked { self.greet(place) }
    }

    /// What a peer holds of this box's own logs.
    mutating func learnOwn(_ log: LogEpoch, _ head: UInt64) {
        guard let epoch = self.epoch(log) else { return self.foundRestored() }
        guard head > epoch.head else { return }
        // Nobody else writes to the epoch of this run.
        if epoch.isCurrent { self.foundTwin(of: self.box) } else { self.foundRestored() }
    }

    private mutating func foundRestored() {
        guard !self.isRestored, !self.mutations.contains(.noRollbackCheck) else { return }
        self.isRestored = true
        self.alarm(.quarantined(self.box, .rollback))
        self.standingChanged()
    }

    /// The quarantine of a restored box ends when nobody who can be heard has more of its logs than it has itself.
    mutating func healRollback() {
        guard self.isRestored, self.peers.contains(where: { $0.isLinked && $0.isDigested }) else { return }
        for peer in self.peers where peer.isLinked {
            guard peer.isDigested, peer.listWanted.keys.allSatisfy({ $0.origin != self.box }) else { return }
            for (log, head) in peer.heads where log.origin == self.box && head > self.epoch(log)?.head ?? 0 { return }
        }
        self.isRestored = false
        self.standingChanged()
    }

    private mutating func standingChanged() {
        let reason: QuarantineReason? = self.isCloned ? .clone : (self.isRestored ? .rollback : nil)
        guard reason != self.quarantine else { return }
        self.quarantine = reason
        self.out.append(.quarantined(reason))
        for place in self.peers.indices where self.peers[place].isLinked { self.peers[place].isFullDue = true }
    }

    // MARK: What is kept

    private mutating func keepMarks() {
        var writer = FieldWriter(reserving: 32 * self.marks.count)
        for (box, mark) in self.marks.sorted(by: { $0.key < $1.key }).prefix(DigestCodec.marksMax - 1) {
            writer.bytes(1, DigestCodec.encode(box, mark))
        }
        self.out.append(.persist(name: Self.marksName, writer.bytes))
    }

    private mutating func keepOwn() {
        var writer = FieldWriter(reserving: 64)
        writer.varint(1, self.mark.counter)
        writer.flag(2, self.isCloned)
        for box in self.twins.sorted() { writer.bytes(3, box.bytes) }
        self.out.append(.persist(name: Self.ownName, writer.bytes))
    }

    /// What cannot be read is left out: it is learned again.
    mutating func loadKept(_ kept: [String: [UInt8]]) {
        var reader = FieldReader((kept[Self.marksName] ?? [])[...])
        while let (field, value) = try? reader.next() {
            if field == 1, case .bytes(let slice) = value, let (box, mark) = try? DigestCodec.mark(slice) { self.marks[box] = mark }
        }
        reader = FieldReader((kept[Self.ownName] ?? [])[...])
        while let (field, value) = try? reader.next() {
            switch (field, value) {
            case (1, .number(let counter)) where counter < Self.counterMax: self.mark.counter = max(self.mark.counter, counter + 1)
            case (2, .number(1)): self.isCloned = true
            case (3, .bytes(let slice)): if let box = BoxID(slice) { self.twins.insert(box) }
            default: break
            }
        }
        if self.isCloned { self.quarantine = .clone }
    }
}
