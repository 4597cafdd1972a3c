import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Engine: what this box lacks")
struct PullTests {
    private let peer = Sample.box(2)
    private let third = Sample.box(3)
    private let log = Sample.log(box: Sample.box(2))
    private let control = Sample.log(.control, box: Sample.box(2))
    private let bytesMax = EngineLimits().rangeBytesMax

    private func rig(boxes: UInt8 = 3, limits: EngineLimits = EngineLimits(), heads: [LogEpoch: UInt64] = [:]) -> EngineRig {
        var rig = EngineRig(boxes: boxes, heads: heads, limits: limits)
        for number in 2...boxes { rig.makeLive(Sample.box(number)) }
        _ = rig.take()
        return rig
    }

    @Test("The next range is asked for while the store still commits the last one")
    func pipeline() {
        var rig = self.rig()
        rig.hearDigest(self.peer, [self.log: 1_000])
        for step: UInt64 in 0..<3 {
            #expect(rig.ranges(to: self.peer).last == .entries(self.log, from: step * 256 + 1, bytesMax: self.bytesMax))
            rig.answerRange(self.peer, .entries(self.log, head: 1_000, [.batch(EngineRig.batch(self.log, (step * 256 + 1)...(step * 256 + 256)))]))
        }
        #expect(rig.ranges(to: self.peer).count == 4)
        #expect(rig.applies.count == 3)
        #expect(rig.engine.heads[self.log] == nil)
    }

    @Test("Control comes before messages, and one request at a time")
    func controlFirst() {
        var rig = self.rig()
        rig.hearDigest(self.peer, [self.log: 10, self.control: 10])
        #expect(rig.ranges(to: self.peer) == [.entries(self.control, from: 1, bytesMax: self.bytesMax)])
        rig.answerRange(self.peer, .entries(self.control, head: 10, [.batch(EngineRig.batch(self.control, 1...10))]))
        #expect(rig.ranges(to: self.peer).last == .entries(self.log, from: 1, bytesMax: self.bytesMax))
        #expect(rig.ranges(to: self.peer).count == 2)
    }

    @Test("A control request that hangs holds messages up for a moment only")
    func controlHangs() {
        var rig = self.rig()
        rig.hearDigest(self.peer, [self.control: 10])
        rig.hearDigest(self.third, [Sample.log(box: self.third): 5])
        #expect(rig.ranges(to: self.third).isEmpty)
        rig.wait(rig.engine.limits.controlFirst)
        #expect(rig.ranges(to: self.third).count == 1)
    }

    @Test("The origin is asked for its own log while it can be; another holder where it is silent or away")
    func originFirst() {
        var rig = self.rig()
        rig.hearDigest(self.third, [self.log: 10])
        #expect(rig.ranges(to: self.third).count == 1, "nobody else is known to have it")
        rig.hearDigest(self.peer, [self.log: 10, Sample.log(epoch: 8, box: self.peer): 4])
        #expect(rig.ranges(to: self.peer) == [.entries(Sample.log(epoch: 8, box: self.peer), from: 1, bytesMax: self.bytesMax)])

        var silent = self.rig()
        silent.hearDigest(self.peer, [self.log: 10])
        silent.hearDigest(self.third, [self.log: 10])
        #expect(silent.ranges(to: self.third).isEmpty)
        silent.wait(silent.engine.limits.requestTimeout)
        #expect(silent.engine.takeCounters().rangesTimedOut == 1)
        #expect(silent.ranges(to: self.third) == [.entries(self.log, from: 1, bytesMax: self.bytesMax)])

        var away = self.rig()
        away.hearDigest(self.peer, [self.log: 10])
        away.hearDigest(self.third, [self.log: 10])
        away.step(.linkDown(self.peer))
        #expect(away.ranges(to: self.third).count == 1)
    }

    @Test("Whoever still has what the origin has dropped is asked before the origin, and the origin when nobody has")
    func lowWater() {
        var rig = self.rig()
        rig.hearDigest(self.third, [self.log: 10])
        rig.answerRange(self.third, .entries(self.log, head: 10, [.batch(EngineRig.batch(self.log, 1...2))]))
        rig.step(.linkDown(self.third))
        _ = rig.take()
        rig.makeLive(self.third, [self.log: 10])
        rig.step(.linkDown(self.third))
        rig.hearDigest(self.peer, [self.log: 20], lowWater: [self.log: 5])
        #expect(rig.ranges(to: self.peer).count == 1, "nobody else is there")
        rig.wait(rig.engine.limits.requestTimeout)
        _ = rig.take()
        rig.makeLive(self.third, [self.log: 10])
        #expect(rig.ranges(to: self.third) == [.entries(self.log, from: 3, bytesMax: self.bytesMax)])
        rig.wait(rig.engine.limits.askAgainMin)
        #expect(rig.ranges(to: self.peer).isEmpty, "not while the other one can be asked")
    }

    @Test("A holder that has less than it said, or answers badly, is left alone for a while; others are asked")
    func badHolder() {
        var rig = self.rig()
        rig.hearDigest(self.peer, [self.log: 10])
        rig.answerRange(self.peer, .entries(self.log, head: 0, []))
        #expect(rig.ranges(to: self.peer).count == 1)
        rig.hearDigest(self.third, [self.log: 10])
        #expect(rig.ranges(to: self.third).count == 1)
        // Signed by nobody who may.
        rig.answerRange(self.third, .entries(self.log, head: 10, [.batch(EngineRig.batch(self.log, 1...10, key: [1]))]))
        #expect(rig.alarms == [.badSignature(origin: self.peer, link: self.third)])
        #expect(rig.applies.isEmpty)
        rig.wait(rig.engine.limits.askAgainMin - 1)
        #expect(rig.ranges(to: self.third).count == 1)
        rig.wait(1)
        #expect(rig.ranges(to: self.third).count == 2)
        rig.answerRange(self.third, .entries(self.log, head: 10, [.batch(EngineRig.batch(self.log, 5...10))]))
        #expect(rig.applies.isEmpty)
        #expect(rig.alarms.last == .malformed(link: self.third, .response))
        rig.wait(rig.engine.limits.askAgainMin)
        #expect(rig.ranges(to: self.third).count == 2)
        rig.wait(rig.engine.limits.askAgainMin)
        #expect(rig.ranges(to: self.third).count == 3)
    }

    @Test("An answer about another epoch than was asked for, and one that nobody asked for, count nothing")
    func unasked() {
        var rig = self.rig()
        rig.hearDigest(self.peer, [self.log: 10])
        let other = Sample.log(epoch: 8, box: self.peer)
        rig.answerRange(self.peer, .entries(other, head: 10, [.batch(EngineRig.batch(other, 1...10))]))
        #expect(rig.applies.isEmpty)
        #expect(rig.alarms == [.malformed(link: self.peer, .response)])
        rig.answerRange(self.peer, .entries(self.log, head: 10, [.batch(EngineRig.batch(self.log, 1...10))]))
        #expect(rig.applies.isEmpty, "answered once already")
    }

    @Test("What is gone at the holder is jumped over, and what comes after it taken, in one transaction")
    func skipped() {
        var rig = self.rig()
        rig.hearDigest(self.peer, [self.log: 20])
        rig.answerRange(
            self.peer,
            .entries(
                self.log, head: 20,
                [.skipped(upTo: 7), .batch(EngineRig.batch(self.log, 6...10)), .skipped(upTo: 15), .batch(EngineRig.batch(self.log, 16...20))]))
        let batches = rig.applies.first?.batches ?? []
        #expect(rig.applies.count == 1)
        #expect(batches.map(\.knownUpTo) == [0, 7, 10, 15])
        #expect(batches.map(\.skippedUpTo) == [7, nil, 15, nil])
        rig.commit()
        #expect(rig.engine.heads[self.log] == 20)
    }

    @Test("Nobody may say more is gone than its origin has written")
    func skippedTooFar() {
        var rig = self.rig()
        rig.hearDigest(self.peer, [self.log: 20])
        rig.hearDigest(self.third, [self.log: 1 << 39])
        rig.answerRange(self.peer, .entries(self.log, head: 20, [.batch(EngineRig.batch(self.log, 1...20))]))
        #expect(rig.ranges(to: self.third).count == 1)
        rig.answerRange(self.third, .entries(self.log, head: 1 << 39, [.skipped(upTo: 1 << 39)]))
        #expect(rig.applies.count == 1)
        rig.wait(rig.engine.limits.askAgainMin - 1)
        #expect(rig.ranges(to: self.third).count == 1)
    }

    @Test("Batches with hashes of dead entries are good, and are passed on as they are")
    func dropped() {
        var rig = self.rig()
        rig.hearDigest(self.third, [self.log: 6])
        let batch = EngineRig.batch(self.log, 1...6, dropped: [2, 3])
        #expect(batch.signature == EngineRig.batch(self.log, 1...6).signature)
        rig.answerRange(self.third, .entries(self.log, head: 6, [.batch(batch)]))
        #expect(rig.applies.first?.batches.first?.batch == batch)
    }

    @Test("Sums that differ are settled by a list, once; the pages follow one another")
    func list() {
        var rig = self.rig()
        let group = LogGroup(self.peer, .message)
        var sum = EpochSum()
        for epoch: UInt64 in 1...3 { sum.add(epoch, 5) }
        rig.hearDigest(self.peer, rest: [group: sum])
        #expect(rig.ranges(to: self.peer) == [.epochs(group, from: 0)])
        rig.answerRange(self.peer, .epochs(group, [HeldEpoch(epoch: 1, head: 5), HeldEpoch(epoch: 2, head: 5)], hasMore: true))
        #expect(rig.ranges(to: self.peer).last == .epochs(group, from: 3))
        rig.answerRange(self.peer, .epochs(group, [HeldEpoch(epoch: 3, head: 5)], hasMore: false))
        #expect(rig.ranges(to: self.peer).last == .entries(Sample.log(epoch: 1, box: self.peer), from: 1, bytesMax: self.bytesMax))
        let count = rig.ranges(to: self.peer).count
        rig.hearDigest(self.peer, rest: [group: sum])
        #expect(rig.ranges(to: self.peer).count == count)
    }

    @Test("Sums that agree tell what the peer holds without a word more")
    func agreed() {
        let logs = (1...3).map { Sample.log(epoch: UInt64($0), box: Sample.box(3)) }
        var rig = self.rig(heads: Dictionary(uniqueKeysWithValues: logs.map { ($0, 5) }))
        var sum = EpochSum()
        for epoch: UInt64 in 1...3 { sum.add(epoch, 5) }
        rig.hearDigest(self.peer, rest: [LogGroup(self.third, .message): sum])
        #expect(rig.ranges(to: self.peer).isEmpty)
        rig.wait(1_000)
        #expect(rig.sync(self.peer)?.behind == 0)
    }

    @Test("A list whose pages do not advance ends")
    func endlessList() {
        var rig = self.rig()
        let group = LogGroup(self.peer, .message)
        rig.hearDigest(self.peer, rest: [group: EpochSum(count: 3, hash: 1)])
        rig.answerRange(self.peer, .epochs(group, [HeldEpoch(epoch: 9, head: 5)], hasMore: true))
        rig.answerRange(self.peer, .epochs(group, [HeldEpoch(epoch: 9, head: 5)], hasMore: true))
        rig.answerRange(self.peer, .epochs(group, [], hasMore: true))
        let lists = rig.ranges(to: self.peer).filter { if case .epochs = $0 { true } else { false } }
        #expect(lists.count == 2)
    }

    @Test("Of an origin that is no member yet nothing is asked, until it is one")
    func unknownOrigin() {
        var rig = self.rig()
        let new = Sample.box(7)
        rig.hearDigest(self.peer, [Sample.log(box: new): 3])
        #expect(rig.ranges(to: self.peer).isEmpty)
        rig.members[new] = EngineMember(standing: .active, logKey: CheapKeys.logKey(new))
        rig.step(.members(rig.members))
        #expect(rig.ranges(to: self.peer) == [.entries(Sample.log(box: new), from: 1, bytesMax: self.bytesMax)])
    }

    @Test("What one peer may make this box remember is bounded")
    func remembered() {
        var rig = self.rig(limits: .with { $0.peerEpochsMax = 100 })
        for part: UInt64 in 0..<5 {
            rig.hearDigest(
                self.peer, Dictionary(uniqueKeysWithValues: (0..<50).map { (Sample.log(epoch: part * 50 + $0, box: Sample.box(50)), 1) }), isPartial: true)
        }
        #expect(rig.alarms == [.malformed(link: self.peer, .digest)])
        #expect(rig.engine.reach(of: Sample.box(50)).count == 100)
    }

    @Test("How far anybody holds a box's log is known: where a removal cuts")
    func reach() {
        var rig = self.rig(heads: [self.log: 4])
        rig.hearDigest(self.third, [self.log: 9])
        #expect(rig.engine.reach(of: self.peer) == [self.log: 9])
    }
}
