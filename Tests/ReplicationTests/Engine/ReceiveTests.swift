import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Engine: what other boxes wrote")
struct ReceiveTests {
    private let peer = Sample.box(2)
    private let third = Sample.box(3)
    private let log = Sample.log(box: Sample.box(2))

    private func rig(limits: EngineLimits = EngineLimits(), mutations: EngineMutations = [], heads: [LogEpoch: UInt64] = [:]) -> EngineRig {
        var rig = EngineRig(heads: heads, limits: limits, mutations: mutations)
        rig.makeLive(self.peer)
        rig.makeLive(self.third)
        _ = rig.take()
        return rig
    }

    @Test("A batch that joins goes into the store, and counts only when the store has it on the disk")
    func joins() {
        var rig = self.rig()
        rig.hearBatch(EngineRig.batch(self.log, 1...3))
        #expect(rig.applied == [1...3])
        #expect(rig.applies.first?.within == rig.engine.limits.applyWithin)
        #expect(rig.engine.heads[self.log] == nil)
        rig.wait(2_000)
        #expect(rig.digests(to: self.peer).isEmpty)
        rig.commit()
        #expect(rig.engine.heads[self.log] == 3)
    }

    @Test("A batch whose origin waits is committed soon, and the origin hears of it at once")
    func flush() throws {
        var rig = self.rig()
        rig.monotonic += 25
        rig.hearBatch(EngineRig.batch(self.log, 1...1, wantsFlush: true))
        #expect(rig.applies.first?.within == rig.engine.limits.applyWithinWhenWanted)
        rig.commit()
        let digest = try #require(rig.digests(to: self.peer).first)
        #expect(digest.isPartial)
        #expect(digest.groups == [DigestGroup(LogGroup(self.log), listed: [HeldEpoch(epoch: self.log.epoch, head: 1)])])
        #expect(rig.digests(to: self.third).isEmpty)
    }

    @Test("A batch under another box's topic, or of another box's log, is refused", arguments: [false, true])
    func forgedOrigin(_ isTopicForged: Bool) {
        var rig = self.rig()
        let other = Sample.log(box: self.third)
        if isTopicForged {
            rig.hearBatch(EngineRig.batch(other, 1...1), from: self.peer, topicOrigin: self.third)
        } else {
            rig.hearBatch(EngineRig.batch(other, 1...1), from: self.peer)
        }
        #expect(rig.applies.isEmpty)
        #expect(rig.alarms == [.forgedOrigin(link: self.peer, claimed: self.third)])
        #expect(rig.engine.heads.isEmpty)
    }

    @Test("This box's own log never comes in as a live batch")
    func ownLog() {
        var rig = self.rig()
        rig.hearBatch(EngineRig.batch(Sample.log(epoch: 3), 1...1), from: self.peer)
        #expect(rig.applies.isEmpty)
        #expect(rig.alarms.contains(.forgedOrigin(link: self.peer, claimed: rig.me)))
    }

    @Test("A wrong signature, a changed entry and a changed head are found", arguments: ["signature", "key", "entry", "seq", "epoch", "federation"])
    func badSignature(_ what: String) {
        var rig = self.rig()
        var batch = EngineRig.batch(self.log, 1...2)
        switch what {
        case "signature": batch.signature[0] ^= 1
        case "key": batch = EngineRig.batch(self.log, 1...2, key: CheapKeys.logKey(self.third))
        case "entry": batch.items[1] = .entry(EngineRig.entry(9))
        case "seq":
            batch = EngineRig.batch(self.log, 2...3)
            batch.firstSeq = 1
        case "epoch": batch = Batch(log: Sample.log(epoch: 8, box: self.peer), firstSeq: 1, items: batch.items, signature: batch.signature)
        default: batch = EngineRig.batch(self.log, 1...2, federation: EngineRig.federation(2))
        }
        rig.hearBatch(batch)
        #expect(rig.applies.isEmpty)
        #expect(rig.alarms == [.badSignature(origin: self.peer, link: self.peer)])
    }

    @Test("A batch of another federation is refused")
    func wrongFederation() {
        var rig = self.rig()
        rig.hearBatch(EngineRig.batch(self.log, 1...2, federation: EngineRig.federation(2)), federation: EngineRig.federation(2))
        #expect(rig.applies.isEmpty)
        #expect(rig.alarms == [.wrongFederation(link: self.peer)])
    }

    @Test("A batch cut anywhere is refused, and never applied in part")
    func truncated() {
        var rig = self.rig()
        let payload = BatchCodec.encode(EngineRig.batch(self.log, 1...2), of: EngineRig.federation)
        for count in 0..<payload.count { rig.hear(self.peer, .message, Array(payload.prefix(count))) }
        #expect(rig.applies.isEmpty)
        #expect(rig.alarms.allSatisfy { $0 == .malformed(link: self.peer, .message) || $0 == .badSignature(origin: self.peer, link: self.peer) })
        #expect(!rig.alarms.isEmpty)
    }

    @Test("Too many bytes, too many entries, and an entry that is too long are refused")
    func oversized() {
        var rig = self.rig()
        rig.hearBatch(EngineRig.batch(self.log, 1...257, size: 10))
        rig.hearBatch(EngineRig.batch(self.log, 1...100, size: 1_000))
        rig.hearBatch(EngineRig.batch(self.log, 1...1, size: EntryCodec.entryBytesMax))
        rig.hear(self.peer, .message, [UInt8](repeating: 0, count: LinkChannel.payloadBytesMax + 1))
        #expect(rig.applies.isEmpty)
        #expect(rig.alarms == [.malformed(link: self.peer, .message)])
        rig.hearBatch(EngineRig.batch(self.log, 1...256, size: 10))
        #expect(rig.applied == [1...256])
    }

    @Test("A batch on the other stream's channel is refused")
    func wrongChannel() {
        var rig = self.rig()
        let payload = BatchCodec.encode(EngineRig.batch(self.log, 1...1), of: EngineRig.federation)
        rig.hear(self.peer, .control, payload)
        #expect(rig.applies.isEmpty)
        #expect(rig.alarms == [.malformed(link: self.peer, .control)])
    }

    @Test("Entries of a type that nobody knows, and bytes that are no entry, are stored as they came")
    func unknownType() {
        var rig = self.rig()
        rig.hearBatch(EngineRig.batch(self.log, 1...2, type: 9_999))
        #expect(rig.applies.first?.batches.first?.batch == EngineRig.batch(self.log, 1...2, type: 9_999))
        var odd = Batch(log: self.log, firstSeq: 3, items: [.entry([0xFF, 0xFF, 0x00])])
        odd.signature = CheapKeys.signature(CheapKeys.logKey(self.peer), BatchCodec.signedBytes(odd, of: EngineRig.federation))
        rig.hearBatch(odd)
        #expect(rig.applied == [1...2, 3...3])
    }

    @Test("What is known is dropped: replayed, pending or overlapping batches bring only what is new")
    func duplicates() {
        var rig = self.rig()
        let batch = EngineRig.batch(self.log, 1...3)
        rig.hearBatch(batch)
        rig.hearBatch(batch)
        #expect(rig.applies.count == 1)
        rig.commit()
        rig.hearBatch(batch)
        #expect(rig.applies.count == 1)
        rig.hearBatch(EngineRig.batch(self.log, 2...5))
        #expect(rig.applies.last?.batches.first?.knownUpTo == 3)
        #expect(rig.applied == [1...3, 2...5])
    }

    @Test("A batch beyond a gap waits, the gap is pulled, and both follow in order")
    func gap() {
        var rig = self.rig()
        rig.hearBatch(EngineRig.batch(self.log, 3...4))
        #expect(rig.applies.isEmpty)
        #expect(rig.ranges(to: self.peer) == [.entries(self.log, from: 1, bytesMax: rig.engine.limits.rangeBytesMax)])
        rig.answerRange(self.peer, .entries(self.log, head: 4, [.batch(EngineRig.batch(self.log, 1...2))]))
        #expect(rig.applied == [1...2, 3...4])
        #expect(rig.applies.count == 1)
        rig.commit()
        #expect(rig.engine.heads[self.log] == 4)
    }

    @Test("Beyond a gap a bounded number of entries and bytes is kept; the rest is pulled")
    func gapBound() {
        var rig = self.rig(limits: .with { $0.gapEntriesMax = 4 })
        for seq: UInt64 in 3...20 { rig.hearBatch(EngineRig.batch(self.log, seq...seq)) }
        rig.answerRange(self.peer, .entries(self.log, head: 20, [.batch(EngineRig.batch(self.log, 1...2))]))
        #expect(rig.applied == [1...2, 3...3, 4...4, 5...5, 6...6])
        #expect(rig.ranges(to: self.peer).last == .entries(self.log, from: 7, bytesMax: rig.engine.limits.rangeBytesMax))

        var bytes = self.rig(limits: .with { $0.gapBytesMax = 5_000 })
        for seq: UInt64 in 3...20 { bytes.hearBatch(EngineRig.batch(self.log, seq...seq, size: 1_000)) }
        bytes.answerRange(self.peer, .entries(self.log, head: 20, [.batch(EngineRig.batch(self.log, 1...2))]))
        #expect(bytes.applied.count == 5)

        var total = self.rig(limits: .with { $0.gapBytesTotalMax = 5_000 })
        for epoch: UInt64 in 1...20 { total.hearBatch(EngineRig.batch(Sample.log(epoch: epoch, box: self.peer), 3...3, size: 1_000)) }
        var joined = 0
        for epoch: UInt64 in 1...20 {
            _ = total.take()
            total.hearBatch(EngineRig.batch(Sample.log(epoch: epoch, box: self.peer), 1...2))
            joined += total.applied.count - 1
        }
        #expect(joined == 4)
    }

    @Test("What waits for the store is bounded: beyond, live batches are dropped, nothing is asked for, and both are made good later")
    func pendingBound() {
        var rig = self.rig(limits: .with { $0.pendingBytesMax = 10_000 })
        for seq: UInt64 in 1...20 { rig.hearBatch(EngineRig.batch(self.log, seq...seq, size: 1_000)) }
        #expect(rig.applied.count == 8)
        #expect(rig.ranges(to: self.peer).isEmpty)
        var roomy = self.rig(limits: .with { $0.pendingBytesMax = 80_000 })
        for seq: UInt64 in 1...80 { roomy.hearBatch(EngineRig.batch(self.log, seq...seq, size: 1_000)) }
        let reached = UInt64(roomy.applied.count)
        #expect(reached < 80)
        #expect(roomy.ranges(to: self.peer).isEmpty)
        roomy.commit()
        #expect(roomy.ranges(to: self.peer) == [.entries(self.log, from: reached + 1, bytesMax: roomy.engine.limits.rangeBytesMax)])
    }

    @Test("After a failed commit nothing has advanced; it is pulled again after a pause that doubles")
    func applyFailed() throws {
        var rig = self.rig()
        rig.hearBatch(EngineRig.batch(self.log, 1...3))
        let first = try #require(rig.applies.first)
        _ = rig.take()
        rig.step(.applyFailed(first.token))
        #expect(rig.alarms == [.cannotWrite])
        #expect(rig.engine.heads[self.log] == nil)
        #expect(rig.engine.deadline == rig.monotonic + rig.engine.limits.applyRetryMin)
        rig.hearBatch(EngineRig.batch(self.log, 1...3))
        rig.wait(rig.engine.limits.applyRetryMin - 1)
        #expect(rig.applies.isEmpty && rig.ranges(to: self.peer).isEmpty)
        rig.wait(1)
        #expect(rig.ranges(to: self.peer) == [.entries(self.log, from: 1, bytesMax: rig.engine.limits.rangeBytesMax)])
        rig.answerRange(self.peer, .entries(self.log, head: 3, [.batch(EngineRig.batch(self.log, 1...3))]))
        rig.step(.applyFailed(try #require(rig.applies.last).token))
        _ = rig.take()
        rig.wait(rig.engine.limits.applyRetryMin * 2 - 1)
        #expect(rig.ranges(to: self.peer).isEmpty)
        rig.wait(1)
        #expect(rig.ranges(to: self.peer).count == 1)
        rig.answerRange(self.peer, .entries(self.log, head: 3, [.batch(EngineRig.batch(self.log, 1...3))]))
        rig.commit()
        #expect(rig.engine.heads[self.log] == 3)
    }

    @Test("What the store has left out does not hang: it is asked for again, not at once, and nothing else waits for it")
    func appliedLess() throws {
        var rig = self.rig()
        rig.hearBatch(EngineRig.batch(self.log, 1...3))
        rig.step(.applied(try #require(rig.applies.first).token, heads: [self.log: 2]))
        #expect(rig.engine.heads == [self.log: 2])
        _ = rig.take()
        let other = Sample.log(epoch: 8, box: self.peer)
        rig.hearBatch(EngineRig.batch(other, 1...1))
        #expect(rig.applied == [1...1])
        #expect(rig.ranges(to: self.peer).isEmpty)
        rig.wait(rig.engine.limits.askAgainMin)
        #expect(rig.ranges(to: self.peer) == [.entries(self.log, from: 3, bytesMax: rig.engine.limits.rangeBytesMax)])
    }

    @Test("An apply that joins on one that failed fails too, and both are asked for once more from the start")
    func applyFailedInARow() throws {
        var rig = self.rig()
        rig.hearBatch(EngineRig.batch(self.log, 1...3))
        rig.hearBatch(EngineRig.batch(self.log, 4...6))
        let tokens = rig.applies.map(\.token)
        #expect(tokens.count == 2)
        for token in tokens { rig.step(.applyFailed(token)) }
        _ = rig.take()
        rig.wait(rig.engine.limits.applyRetryMin)
        #expect(rig.ranges(to: self.peer) == [.entries(self.log, from: 1, bytesMax: rig.engine.limits.rangeBytesMax)])
    }

    @Test("Stamps more than ten minutes ahead are kept, and somebody is told")
    func aheadOfTime() {
        var rig = self.rig()
        let ahead = EngineRig.epochMilliseconds + rig.monotonic + HybridClock.aheadMillisecondsMax
        rig.hearBatch(EngineRig.batch(self.log, 1...1, hlc: ahead))
        #expect(rig.alarms.isEmpty)
        rig.hearBatch(EngineRig.batch(self.log, 2...2, hlc: ahead + 1))
        #expect(rig.alarms == [.aheadOfTime(origin: self.peer)])
        #expect(rig.applied == [1...1, 2...2])
    }

    @Test("A removed member has no link, sends no live batch, and its log counts up to the cut")
    func removedMember() {
        var rig = self.rig(heads: [Sample.log(epoch: 9, box: Sample.box(2)): 5])
        rig.members[self.peer]?.standing = .removed
        rig.members[self.peer]?.cut = [self.log: 4]
        rig.step(.members(rig.members))
        #expect(rig.closed == [self.peer])
        rig.hearBatch(EngineRig.batch(self.log, 1...2))
        #expect(rig.applies.isEmpty)
        // Nothing of an epoch that the cut does not name, whoever has it and however it came.
        #expect(rig.engine.heads.isEmpty)

        rig.hearDigest(self.third, [self.log: 10])
        #expect(rig.ranges(to: self.third) == [.entries(self.log, from: 1, bytesMax: rig.engine.limits.rangeBytesMax)])
        rig.answerRange(self.third, .entries(self.log, head: 10, [.batch(EngineRig.batch(self.log, 1...6))]))
        let items = rig.applies.first?.batches.first?.batch.items ?? []
        #expect(items.count == 6)
        for (index, item) in items.enumerated() {
            let entry = EngineRig.entry(UInt64(index + 1))
            #expect(item == (index < 4 ? .entry(entry) : .dropped(hash: BatchCodec.hash(entry))))
        }
        rig.commit()
        #expect(rig.engine.heads == [self.log: 4])
        rig.wait(1_000)
        #expect(rig.ranges(to: self.third).count == 1)

        _ = rig.take()
        rig.step(.linkUp(self.peer))
        #expect(rig.closed == [self.peer])
        #expect(rig.alarms == [.notAMember(self.peer)])
    }

    @Test("Batches of a box that is no member, or of one without a link, are not even read")
    func stranger() {
        var rig = self.rig()
        let stranger = Sample.box(9)
        rig.step(.linkUp(stranger))
        #expect(rig.closed == [stranger])
        rig.hearBatch(EngineRig.batch(Sample.log(box: stranger), 1...1))
        rig.step(.linkDown(self.peer))
        rig.hearBatch(EngineRig.batch(self.log, 1...1))
        #expect(rig.applies.isEmpty)
    }

    @Test("What is left out is counted, each time, and asked for once")
    func counted() {
        var rig = self.rig(
            limits: .with {
                $0.gapEntriesMax = 1
                $0.pendingBytesMax = 1_000
            })
        _ = rig.engine.takeCounters()
        rig.hearBatch(EngineRig.batch(self.log, 1...1))
        rig.hearBatch(EngineRig.batch(self.log, 1...1))
        for seq: UInt64 in 4...6 { rig.hearBatch(EngineRig.batch(self.log, seq...seq)) }
        rig.hearBatch(EngineRig.batch(self.log, 2...2, size: 900))
        for _ in 0..<3 { rig.hear(self.peer, .message, [1]) }
        let counters = rig.engine.takeCounters()
        #expect(counters.duplicates == 1)
        #expect(counters.gapsDropped == 2)
        #expect(counters.withoutRoom == 1)
        #expect(counters.refused == 3)
        #expect(rig.engine.takeCounters() == EngineCounters())
    }

    @Test("A box makes no more epochs here than the limit")
    func epochs() {
        var rig = self.rig(limits: .with { $0.epochsMax = 3 })
        for epoch: UInt64 in 1...5 { rig.hearBatch(EngineRig.batch(Sample.log(epoch: epoch, box: self.peer), 1...1)) }
        #expect(rig.applies.count == 3)
        #expect(rig.alarms == [.malformed(link: self.peer, .message)])
        _ = rig.take()
        rig.monotonic += 60_000
        rig.hearDigest(self.peer, [Sample.log(epoch: 90, box: self.peer): 1])
        #expect(rig.alarms == [.malformed(link: self.peer, .digest)])
        #expect(rig.ranges(to: self.peer).isEmpty)
    }

    @Test("Every defect that a test can switch on shows")
    func mutations() {
        var early = self.rig(mutations: .vectorBeforeCommit)
        early.hearBatch(EngineRig.batch(self.log, 1...1))
        #expect(early.engine.heads[self.log] == 1)

        var twice = self.rig(mutations: .noDeduplication)
        twice.hearBatch(EngineRig.batch(self.log, 1...1))
        twice.hearBatch(EngineRig.batch(self.log, 1...1))
        #expect(twice.applies.map { $0.batches.first?.knownUpTo } == [0, 0])

        var unsigned = self.rig(mutations: .noSignatures)
        unsigned.hearBatch(EngineRig.batch(self.log, 1...1, key: []))
        #expect(unsigned.applies.count == 1)

        var gaps = self.rig(mutations: .ignoreGaps)
        gaps.hearBatch(EngineRig.batch(self.log, 3...3))
        #expect(gaps.applies.count == 1)

        var anyone = self.rig(mutations: .anyOrigin)
        anyone.hearBatch(EngineRig.batch(Sample.log(box: self.third), 1...1), from: self.peer, topicOrigin: self.third)
        #expect(anyone.applies.count == 1)

        var failing = self.rig(mutations: .ignoreApplyFailure)
        failing.hearBatch(EngineRig.batch(self.log, 1...1))
        failing.step(.applyFailed(failing.applies[0].token))
        #expect(failing.engine.heads[self.log] == 1)

        var uncut = self.rig(mutations: .noCut)
        uncut.members[self.peer]?.standing = .removed
        uncut.step(.members(uncut.members))
        uncut.hearDigest(self.third, [self.log: 10])
        #expect(uncut.ranges(to: self.third).count == 1)
    }
}
