import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Engine: what others lack")
struct ServeTests {
    private let peer = Sample.box(2)
    private let third = Sample.box(3)
    private let own = Sample.log(epoch: 4)
    private let log = Sample.log(box: Sample.box(3))

    private func rig() -> EngineRig {
        var rig = EngineRig(heads: [self.own: 600, self.log: 10])
        rig.makeLive(self.peer)
        _ = rig.take()
        return rig
    }

    private func ask(_ rig: inout EngineRig, _ request: RangeRequest) {
        rig.hear(self.peer, .request, LinkRequest(.range, correlation: 3, body: RangeCodec.encode(request)).payload)
    }

    private func items(_ sequences: ClosedRange<UInt64>, size: Int = 40) -> [BatchItem] { sequences.map { .entry(EngineRig.entry($0, size: size)) } }

    @Test("Batches of others go out as they are stored, with their origin's signature")
    func others() throws {
        var rig = self.rig()
        self.ask(&rig, .entries(self.log, from: 3, bytesMax: 1 << 30))
        let read = try #require(rig.reads.first)
        #expect(rig.effects.contains(.readRange(read.token, self.log, from: 3, bytesMax: rig.engine.limits.rangeBytesMax)))
        let stored = [EngineRig.batch(self.log, 1...4), EngineRig.batch(self.log, 5...10, dropped: [6])]
        rig.step(.rangeRead(read.token, .batches(stored)))
        #expect(rig.answers(to: self.peer) == [.entries(self.log, head: 10, stored.map { .batch($0) })])
    }

    @Test("Own entries are signed when they are served, in batches that keep the limits, no further than is known to be on the disk")
    func ownEntries() throws {
        var rig = self.rig()
        self.ask(&rig, .entries(self.own, from: 11, bytesMax: 65_536))
        let read = try #require(rig.reads.first)
        rig.step(.rangeRead(read.token, .batches([Batch(log: self.own, firstSeq: 1, items: self.items(1...700))])))
        guard case .entries(_, let head, let pieces)? = rig.answers(to: self.peer).first else {
            Issue.record("no answer")
            return
        }
        #expect(head == 600)
        let batches = pieces.compactMap { if case .batch(let batch) = $0 { batch } else { nil } }
        #expect(batches.count == pieces.count)
        #expect(batches.map { $0.firstSeq...$0.lastSeq } == [11...266, 267...522, 523...600])
        for batch in batches { #expect(batch == EngineRig.batch(self.own, batch.firstSeq...batch.lastSeq)) }
    }

    @Test("An answer fits one message, however much there is")
    func size() throws {
        var rig = self.rig()
        self.ask(&rig, .entries(self.own, from: 1, bytesMax: 65_536))
        rig.step(.rangeRead(try #require(rig.reads.first).token, .batches([Batch(log: self.own, firstSeq: 1, items: self.items(1...600, size: 1_000))])))
        let payload = try #require(rig.sent(to: self.peer, .response).first)
        #expect(payload.count <= LinkChannel.payloadBytesMax)
        #expect(payload.count > Batch.bytesMax / 2)
    }

    @Test("What lies between two batches is said to be gone")
    func holes() throws {
        var rig = self.rig()
        self.ask(&rig, .entries(self.log, from: 1, bytesMax: 65_536))
        let stored = [EngineRig.batch(self.log, 3...4), EngineRig.batch(self.log, 8...10)]
        rig.step(.rangeRead(try #require(rig.reads.first).token, .batches(stored)))
        #expect(
            rig.answers(to: self.peer) == [
                .entries(self.log, head: 10, [.skipped(upTo: 2), .batch(stored[0]), .skipped(upTo: 7), .batch(stored[1])])
            ])
        _ = rig.take()
        self.ask(&rig, .entries(self.log, from: 1, bytesMax: 65_536))
        rig.step(.rangeRead(try #require(rig.reads.first).token, .skipped(upTo: 50)))
        #expect(rig.answers(to: self.peer) == [.entries(self.log, head: 10, [.skipped(upTo: 10)])])
    }

    @Test("What this box has not is answered without asking the store")
    func unknown() {
        var rig = self.rig()
        self.ask(&rig, .entries(Sample.log(epoch: 99), from: 1, bytesMax: 65_536))
        self.ask(&rig, .entries(self.log, from: 11, bytesMax: 65_536))
        #expect(rig.reads.isEmpty)
        #expect(rig.answers(to: self.peer) == [.entries(Sample.log(epoch: 99), head: 0, []), .entries(self.log, head: 10, [])])
    }

    @Test("A peer has two reads under way, and none while its link is stuffed")
    func readsMax() {
        var rig = self.rig()
        for _ in 0..<5 { self.ask(&rig, .entries(self.log, from: 1, bytesMax: 65_536)) }
        #expect(rig.reads.count == 2)
        #expect(rig.engine.takeCounters().rangesRefused == 3)
        for read in rig.reads { rig.step(.rangeRead(read.token, .absent)) }
        self.ask(&rig, .entries(self.log, from: 1, bytesMax: 65_536))
        #expect(rig.reads.count == 3)

        var stuffed = EngineRig(heads: [self.log: 10], limits: .with { $0.windowBytesMax = 100 })
        stuffed.makeLive(self.peer)
        stuffed.append(Sample.log(epoch: 5), 1...10)
        stuffed.hear(self.peer, .request, LinkRequest(.range, correlation: 3, body: RangeCodec.encode(.entries(self.log, from: 1, bytesMax: 1))).payload)
        #expect(stuffed.reads.isEmpty)
        stuffed.step(.acknowledged(self.peer, bytes: .max))
        stuffed.hear(self.peer, .request, LinkRequest(.range, correlation: 3, body: RangeCodec.encode(.entries(self.log, from: 1, bytesMax: 1))).payload)
        #expect(stuffed.reads.count == 1)
    }

    @Test("What was read for a link that is gone is not sent on the next one")
    func oldRead() throws {
        var rig = self.rig()
        self.ask(&rig, .entries(self.log, from: 1, bytesMax: 65_536))
        let read = try #require(rig.reads.first)
        rig.step(.linkDown(self.peer))
        rig.makeLive(self.peer)
        rig.step(.rangeRead(read.token, .batches([EngineRig.batch(self.log, 1...10)])))
        #expect(rig.answers(to: self.peer).isEmpty)
        for _ in 0..<3 { self.ask(&rig, .entries(self.log, from: 1, bytesMax: 65_536)) }
        #expect(rig.reads.count == 3)
    }

    @Test("The list of epochs comes in pages, in order")
    func list() {
        let count = UInt64(RangeCodec.epochsMax) + 10
        let heads = Dictionary(uniqueKeysWithValues: (1...count).map { (Sample.log(epoch: $0, box: self.third), $0) })
        var rig = EngineRig(heads: heads)
        rig.makeLive(self.peer)
        let group = LogGroup(self.third, .message)
        self.ask(&rig, .epochs(group, from: 0))
        guard case .epochs(_, let first, let hasMore)? = rig.answers(to: self.peer).last else {
            Issue.record("no list")
            return
        }
        #expect(hasMore)
        #expect(first.map(\.epoch) == Array(1...UInt64(RangeCodec.epochsMax)))
        #expect(rig.sent(to: self.peer, .response).allSatisfy { $0.count <= LinkChannel.payloadBytesMax })
        self.ask(&rig, .epochs(group, from: UInt64(RangeCodec.epochsMax) + 1))
        #expect(
            rig.answers(to: self.peer).last
                == .epochs(group, (count - 9...count).map { HeldEpoch(epoch: $0, head: $0) }, hasMore: false))
    }
}
