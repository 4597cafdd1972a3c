import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Engine: digests, and what is over")
struct DigestTests {
    private let peer = Sample.box(2)
    private let third = Sample.box(3)
    private let own = Sample.log(epoch: 4)
    private let log = Sample.log(box: Sample.box(2))

    @Test("A peer that has greeted gets a whole digest: what is open spelled out, everybody's start, in any case within a minute again")
    func whole() throws {
        var rig = EngineRig(heads: [self.own: 3, self.log: 5], current: [self.own])
        rig.makeLive(self.peer)
        let digest = try #require(rig.digests(to: self.peer).first)
        #expect(!digest.isPartial)
        #expect(digest.federation == EngineRig.federation)
        #expect(
            digest.groups == [
                DigestGroup(LogGroup(self.own), listed: [HeldEpoch(epoch: 4, head: 3, isOpen: true)]),
                DigestGroup(LogGroup(self.log), listed: [HeldEpoch(epoch: 7, head: 5)]),
            ])
        #expect(digest.marks == [rig.me: StartMark(counter: 5, nonce: 55), self.peer: StartMark(counter: 3, nonce: 2_000)])
        rig.wait(2_000)
        _ = rig.take()
        rig.wait(57_000)
        #expect(rig.digests(to: self.peer).isEmpty)
        rig.wait(3_000)
        #expect(rig.digests(to: self.peer).map(\.isPartial) == [false])
    }

    @Test("Changes are told once a second at most, all of them together, and never when there are none")
    func pace() {
        var rig = EngineRig()
        rig.makeLive(self.peer)
        rig.wait(1_000)
        _ = rig.take()
        for step: UInt64 in 1...100 {
            rig.monotonic += 50
            rig.append(self.own, step...step)
        }
        let digests = rig.digests(to: self.peer)
        #expect(digests.count == 5)
        #expect(digests.allSatisfy { $0.isPartial })
        rig.wait(1_000)
        #expect(rig.digests(to: self.peer).last?.groups.first?.listed.first?.head == 100)
        _ = rig.take()
        for _ in 0..<50 { rig.wait(1_000) }
        #expect(rig.effects.allSatisfy { if case .send = $0 { false } else { true } })
    }

    @Test("An origin that waits hears every 20 ms at most, and the deadline says when")
    func urgent() {
        var rig = EngineRig()
        rig.makeLive(self.peer)
        rig.wait(1_000)
        _ = rig.take()
        var told = 0
        for seq: UInt64 in 1...40 {
            rig.monotonic += 5
            rig.hearBatch(EngineRig.batch(self.log, seq...seq, wantsFlush: true))
            rig.commit()
            if rig.digests(to: self.peer).isEmpty {
                #expect(rig.engine.deadline.map { $0 <= rig.monotonic + 20 } == true)
            } else {
                told += 1
            }
            _ = rig.take()
        }
        #expect((9...11).contains(told))
    }

    @Test("An idle link carries nothing but a digest a minute")
    func idle() {
        var rig = EngineRig(heads: [self.own: 3, self.log: 5], current: [self.own])
        rig.makeLive(self.peer, [self.own: 3, self.log: 5], open: [self.log])
        rig.makeLive(self.third, [self.own: 3, self.log: 5])
        rig.wait(2_000)
        _ = rig.take()
        for _ in 0..<600 { rig.wait(1_000) }
        let bytes = rig.effects.reduce(0) { if case .send(self.peer, _, let payload) = $1 { $0 + payload.count } else { $0 } }
        #expect(rig.digests(to: self.peer).count == 10)
        #expect(bytes < 600 * 30)
        #expect(rig.kept().isEmpty, "nothing is written when nothing changes")
    }

    @Test("Epochs beyond the number that is spelled out are in the sum")
    func sums() throws {
        let logs = (1...80).map { Sample.log(epoch: UInt64($0), box: Sample.box(3)) }
        var rig = EngineRig(heads: Dictionary(uniqueKeysWithValues: logs.map { ($0, 2) }), limits: .with { $0.digestEpochsMax = 10 })
        rig.makeLive(self.peer)
        let group = try #require(rig.digests(to: self.peer).first?.groups.first)
        #expect(group.listed.count == 10)
        #expect(group.rest.count == 70)
        var sum = group.rest
        for epoch in group.listed { sum.add(epoch.epoch, epoch.head) }
        var whole = EpochSum()
        for log in logs.reversed() { whole.add(log.epoch, 2) }
        #expect(sum == whole)
        // What is still written to is spelled out, however little room there is.
        var own = EngineRig(
            heads: Dictionary(uniqueKeysWithValues: (1...80).map { (Sample.log(epoch: UInt64($0)), 2) }), current: [Sample.log(epoch: 40)],
            limits: .with { $0.digestEpochsMax = 1 })
        own.makeLive(self.peer)
        #expect(own.digests(to: self.peer).first?.groups.first?.listed == [HeldEpoch(epoch: 40, head: 2, isOpen: true)])
    }

    @Test("The digest of a big federation fits one message")
    func size() {
        var heads: [LogEpoch: UInt64] = [:]
        for number in 0..<250 {
            for epoch: UInt64 in 1...20 { heads[Sample.log(epoch: epoch << 50, box: Sample.box(UInt8(number)))] = 1 << 39 }
        }
        var rig = EngineRig(boxes: 250, heads: heads)
        let last = Sample.box(250)
        rig.makeLive(last)
        rig.hearDigest(
            last, marks: Dictionary(uniqueKeysWithValues: (2...249).map { (Sample.box($0), StartMark(counter: 1 << 39, nonce: .max)) }))
        _ = rig.take()
        rig.wait(61_000)
        let payloads = rig.sent(to: last, .digest)
        #expect(payloads.count == 1)
        #expect(payloads.allSatisfy { $0.count <= LinkChannel.payloadBytesMax })
        #expect(rig.digests(to: last).first?.groups.count == 250)
        #expect(rig.digests(to: last).first?.marks.count == 250)
    }

    @Test("Low-water marks are told, and rise only")
    func lowWater() {
        var rig = EngineRig(heads: [self.log: 9])
        rig.step(.lowWater([self.log: 4, Sample.log(epoch: 999): 4]))
        rig.step(.lowWater([self.log: 3]))
        rig.makeLive(self.peer)
        #expect(rig.digests(to: self.peer).first?.groups.first?.listed == [HeldEpoch(epoch: 7, head: 9, lowWater: 4)])
    }

    // MARK: What is over

    @Test("An epoch is over when its origin no longer writes to it and all members hold the same")
    func final() {
        let old = Sample.log(epoch: 1, box: self.peer)
        let new = Sample.log(epoch: 2, box: self.peer)
        var rig = EngineRig(heads: [old: 5, new: 1])
        rig.makeLive(self.peer, [old: 5, new: 1], open: [new])
        rig.wait(2_000)
        #expect(rig.finals.isEmpty, "a member has not been heard")
        rig.makeLive(self.third, [old: 4, new: 1])
        rig.wait(2_000)
        #expect(rig.finals.isEmpty, "a member has less")
        rig.hearDigest(self.third, [old: 5], isPartial: true)
        rig.wait(2_000)
        #expect(rig.finals == [old])
        _ = rig.take()
        rig.wait(60_000)
        #expect(rig.finals.isEmpty, "said once")
        // From now on it is in the sum.
        #expect(rig.digests(to: self.third).last?.groups.first?.listed == [HeldEpoch(epoch: 2, head: 1)])
        #expect(rig.digests(to: self.third).last?.groups.first?.rest.count == 1)
    }

    @Test("Own epochs of earlier runs are over when all hold them; this run's are not")
    func ownFinal() {
        let old = Sample.log(epoch: 1)
        var rig = EngineRig(heads: [old: 5, self.own: 2], current: [self.own])
        rig.makeLive(self.peer, [old: 5, self.own: 2])
        rig.makeLive(self.third, [old: 5, self.own: 2])
        rig.wait(2_000)
        #expect(rig.finals == [old])
    }

    @Test("An epoch that a live batch came from is open, whatever the last digest said")
    func reopened() {
        let old = Sample.log(epoch: 1, box: self.peer)
        var rig = EngineRig(heads: [old: 5])
        rig.makeLive(self.peer)
        rig.makeLive(self.third)
        rig.hearBatch(EngineRig.batch(old, 6...6))
        rig.commit()
        rig.hearDigest(self.third, [old: 6])
        rig.wait(2_000)
        #expect(rig.finals.isEmpty)
    }

    @Test("What a removed member wrote is over when the others hold it up to the cut")
    func removedFinal() {
        var rig = EngineRig(heads: [self.log: 9])
        rig.makeLive(self.third, [self.log: 6])
        rig.members[self.peer] = EngineMember(standing: .removed, logKey: CheapKeys.logKey(self.peer), cut: [self.log: 6])
        rig.step(.members(rig.members))
        rig.wait(2_000)
        #expect(rig.finals == [self.log])
    }

    @Test("How far both are apart is reported once a second, and only when it changes")
    func report() {
        var rig = EngineRig(heads: [self.own: 10, self.log: 5])
        rig.makeLive(self.peer, [self.own: 4, self.log: 7])
        rig.wait(1_000)
        #expect(rig.sync(self.peer).map { [$0.behind, $0.ahead] } == [6, 2])
        rig.step(.acknowledged(self.peer, bytes: .max))
        _ = rig.take()
        for _ in 0..<10 { rig.wait(1_000) }
        #expect(rig.effects.count { if case .peer = $0 { true } else { false } } <= 1)
    }
}
