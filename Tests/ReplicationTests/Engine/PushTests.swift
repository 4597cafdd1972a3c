import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Engine: what this box writes")
struct PushTests {
    private let peer = Sample.box(2)
    private let third = Sample.box(3)
    private let own = Sample.log(epoch: 4)

    @Test("What is appended goes to every live peer, signed, and to nobody else")
    func push() throws {
        var rig = EngineRig(boxes: 4)
        rig.makeLive(self.peer)
        rig.makeLive(self.third)
        rig.step(.linkUp(Sample.box(4)))
        _ = rig.take()
        rig.append(self.own, 1...3)
        let batch = try #require(rig.batches(to: self.peer).first)
        #expect(batch == EngineRig.batch(self.own, 1...3, wantsFlush: true))
        #expect(rig.batches(to: self.third) == [batch])
        #expect(rig.batches(to: Sample.box(4)).isEmpty)
        rig.append(Sample.log(.control, epoch: 4), 1...1, wantsFlush: false)
        #expect(rig.batches(to: self.peer, .control) == [EngineRig.batch(Sample.log(.control, epoch: 4), 1...1)])
        #expect(rig.engine.heads == [self.own: 3, Sample.log(.control, epoch: 4): 1])
    }

    @Test("A long run goes out in batches that keep the limits")
    func split() {
        var rig = EngineRig(limits: .with { $0.windowBytesMax = 10_000_000 })
        rig.makeLive(self.peer)
        rig.append(self.own, 1...700, size: 1_000)
        let batches = rig.batches(to: self.peer)
        #expect(batches.allSatisfy { $0.items.count <= Batch.entriesMax })
        #expect(rig.sent(to: self.peer, .message).allSatisfy { $0.count <= Batch.bytesMax })
        var next: UInt64 = 1
        for batch in batches {
            #expect(batch.firstSeq == next)
            next = batch.lastSeq + 1
        }
        #expect(next == 701)
    }

    @Test("Beyond the window nothing is pushed; the peer pulls, and is given live entries again when it is through")
    func window() throws {
        var rig = EngineRig(limits: .with { $0.windowBytesMax = 20_000 })
        rig.makeLive(self.peer)
        _ = rig.take()
        var pushed: UInt64 = 0
        for seq: UInt64 in 1...400 { rig.append(self.own, seq...seq) }
        pushed = try #require(rig.batches(to: self.peer).last?.lastSeq)
        let bytes = rig.sent(to: self.peer, .message).reduce(0) { $0 + $1.count }
        #expect(bytes <= 20_000 && bytes > 19_000)
        #expect(pushed < 250)
        #expect(rig.engine.takeCounters().windowsFull == 1)
        #expect(rig.sync(self.peer)?.phase == .lagging)
        _ = rig.take()
        // Room alone does not make it live: it would only find a gap.
        rig.step(.acknowledged(self.peer, bytes: .max))
        rig.append(self.own, 401...401)
        #expect(rig.batches(to: self.peer).isEmpty)
        // The digest tells it, it asks, and what it was given counts as given.
        rig.wait(1_000)
        #expect(rig.digests(to: self.peer).last?.groups.first?.listed.first?.head == 401)
        rig.hear(
            self.peer, .request,
            LinkRequest(.range, correlation: 1, body: RangeCodec.encode(.entries(self.own, from: pushed + 1, bytesMax: 65_536))).payload)
        let read = try #require(rig.reads.last)
        let held = (pushed + 1)...401
        rig.step(.rangeRead(read.token, .batches([Batch(log: self.own, firstSeq: pushed + 1, items: held.map { .entry(EngineRig.entry($0)) })])))
        #expect(rig.sync(self.peer)?.phase == .lagging)
        rig.step(.acknowledged(self.peer, bytes: .max))
        #expect(rig.sync(self.peer)?.phase == .live)
        rig.append(self.own, 402...402)
        #expect(rig.batches(to: self.peer).map(\.firstSeq) == [402])
    }

    @Test("A peer that lacks more than a little when it comes pulls first")
    func behind() {
        var rig = EngineRig()
        rig.append(self.own, 1...200)
        rig.makeLive(self.peer)
        #expect(rig.sync(self.peer)?.phase == .lagging)
        rig.hearDigest(self.peer, [self.own: 100], isPartial: true)
        #expect(rig.sync(self.peer)?.phase == .live)
    }

    @Test("A run without entries says where the log ends: the digest tells the peers, nothing is pushed")
    func headOnly() {
        var rig = EngineRig()
        rig.makeLive(self.peer)
        _ = rig.take()
        rig.step(.appended(CommittedRun(log: self.own, firstSeq: 6, entries: [])))
        #expect(rig.engine.heads == [self.own: 5])
        rig.wait(1_000)
        #expect(rig.batches(to: self.peer).isEmpty)
        #expect(rig.digests(to: self.peer).last?.groups.first?.listed == [HeldEpoch(epoch: 4, head: 5, isOpen: true)])
    }

    @Test("Entries of another box do not come in as appended")
    func notOwn() {
        var rig = EngineRig()
        rig.append(Sample.log(box: self.peer), 1...1)
        #expect(rig.engine.heads.isEmpty)
    }

    @Test("Replicated is what enough active others say they hold", arguments: [1, 2, 3])
    func replicated(_ copies: Int) {
        var rig = EngineRig(boxes: 5, limits: .with { $0.copiesWanted = copies })
        for number: UInt8 in 2...5 { rig.makeLive(Sample.box(number)) }
        rig.append(self.own, 1...10)
        _ = rig.take()
        rig.hearDigest(Sample.box(2), [self.own: 9], isPartial: true)
        #expect(rig.replicated == (copies == 1 ? [self.own: 9] : [:]))
        _ = rig.take()
        rig.hearDigest(Sample.box(3), [self.own: 7], isPartial: true)
        #expect(rig.replicated == (copies == 2 ? [self.own: 7] : [:]))
        _ = rig.take()
        rig.hearDigest(Sample.box(4), [self.own: 4], isPartial: true)
        #expect(rig.replicated == (copies == 3 ? [self.own: 4] : [:]))
        _ = rig.take()
        // The same again tells nothing new.
        rig.hearDigest(Sample.box(4), [self.own: 4], isPartial: true)
        #expect(rig.replicated.isEmpty)
    }

    @Test("What a removed member holds is no copy")
    func removedCopies() {
        var rig = EngineRig(limits: .with { $0.copiesWanted = 2 })
        rig.makeLive(self.peer)
        rig.makeLive(self.third)
        rig.append(self.own, 1...10)
        rig.hearDigest(self.peer, [self.own: 9], isPartial: true)
        rig.members[self.peer]?.standing = .removed
        rig.step(.members(rig.members))
        rig.hearDigest(self.third, [self.own: 9], isPartial: true)
        #expect(rig.replicated.isEmpty)
    }
}
