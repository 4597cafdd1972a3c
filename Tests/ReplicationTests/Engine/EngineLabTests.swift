import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Engines together")
struct EngineLabTests {
    @Test("Three boxes that write at once hold the same a moment later, nothing twice, and their senders know")
    func mesh() {
        let lab = EngineLab(3)
        lab.link(1, 2)
        lab.link(2, 3)
        lab.link(1, 3)
        for _ in 0..<20 {
            for number: UInt8 in 1...3 {
                lab.append(number, 3)
                lab.append(number, 1, stream: .control)
            }
            lab.settle()
        }
        #expect(lab.entries(1).count == 3 * 80)
        #expect(lab.entries(1) == lab.entries(2) && lab.entries(2) == lab.entries(3))
        #expect(lab.repeats == 0)
        lab.run(2_000)
        let told = lab.nodes[Sample.box(1)]?.effects.compactMap { if case .replicated(let log, let seq) = $0, log.stream == .message { seq } else { nil } }
        #expect(told?.last == 60)
    }

    @Test("A – B – C: what A writes comes to C through B, live traffic is not relayed, and A's signature is checked at C")
    func relay() {
        let lab = EngineLab(3)
        lab.link(1, 2)
        lab.link(2, 3)
        lab.append(1, 500)
        lab.run(5_000)
        #expect(lab.entries(3) == lab.entries(1))
        #expect(lab.repeats == 0)
        // B tampers with what it passes on.
        let log = Sample.log(epoch: 10, box: Sample.box(1))
        lab.cut(2, 3)
        lab.append(1, 5)
        lab.run(3_000)
        #expect(lab.entries(2).count == 505)
        let forged = lab.nodes[Sample.box(2)]?.batches[log]?.map { batch in
            var batch = batch
            if batch.lastSeq > 500 { batch.items = batch.items.map { _ in .entry(EngineRig.entry(9, size: 3)) } }
            return batch
        }
        lab.nodes[Sample.box(2)]?.batches[log] = forged
        lab.link(2, 3)
        lab.run(5_000)
        #expect(lab.entries(3).count == 500)
        #expect(lab.nodes[Sample.box(3)]?.effects.contains(.alarm(.badSignature(origin: Sample.box(1), link: Sample.box(2)))) == true)
        // Whoever has the truth brings it.
        lab.link(1, 3)
        lab.run(5_000)
        #expect(lab.entries(3) == lab.entries(1))
    }

    @Test("What a box wrote before it was lost comes from whoever has it")
    func deadOrigin() {
        let lab = EngineLab(3)
        lab.link(1, 2)
        lab.append(1, 300)
        lab.run(2_000)
        lab.cut(1, 2)
        lab.link(2, 3)
        lab.run(3_000)
        #expect(lab.entries(3) == lab.entries(1))
    }

    @Test("A long cut is caught up range by range while the store commits, within the bounds of memory, and ends in live traffic")
    func catchUp() {
        let lab = EngineLab(2, commitMilliseconds: 2)
        for _ in 0..<100 { lab.append(1, 200, size: 200) }
        lab.link(1, 2)
        let start = lab.now
        while lab.entries(2).count < 20_000, lab.now < start + 10_000 { lab.run(1, step: 1) }
        #expect(lab.entries(2).count == 20_000)
        // With instant links, all that counts is that no range waits for the commit of the one before.
        #expect(lab.now - start < 500, "\(lab.now - start) ms")
        #expect(lab.repeats == 0)
        #expect((lab.nodes[Sample.box(2)]?.pendingMost ?? 0) <= EngineLimits().pendingBytesMax)
        lab.run(2_000)
        lab.append(1, 1)
        lab.run(10, step: 1)
        #expect(lab.entries(2).count == 20_001)
    }

    @Test("A link that has become one-way loses nothing: what comes back makes up for it")
    func oneWay() {
        let lab = EngineLab(3)
        lab.link(1, 2)
        lab.link(2, 3)
        lab.link(1, 3)
        lab.run(2_000)
        lab.block(1, 3)
        lab.append(1, 50)
        lab.append(3, 50)
        lab.run(30_000)
        #expect(lab.entries(1).count == 100)
        #expect(lab.entries(3) == lab.entries(1), "by way of the second box")
        lab.cut(1, 3)
        lab.link(1, 3)
        lab.run(5_000)
        #expect(lab.entries(2) == lab.entries(1))
    }

    @Test("Live entries reach the peer in the same moment, and an idle federation is nearly silent")
    func idle() {
        let lab = EngineLab(3)
        lab.link(1, 2)
        lab.link(2, 3)
        lab.link(1, 3)
        lab.append(1, 1)
        lab.settle()
        #expect(lab.entries(3).count == 1)
        lab.run(5_000)
        for box in lab.nodes.keys { lab.nodes[box]?.sentBytes = 0 }
        lab.run(600_000, step: 1_000)
        for node in lab.nodes.values { #expect(node.sentBytes < 600 * 2 * 20, "\(node.sentBytes) bytes in ten minutes") }
    }

    @Test("Closed epochs of a box that came back are over on all boxes, and the digests of all agree")
    func final() {
        let lab = EngineLab(3)
        lab.link(1, 2)
        lab.link(2, 3)
        lab.link(1, 3)
        lab.append(1, 10)
        lab.append(2, 10)
        lab.run(3_000)
        for node in lab.nodes.values { #expect(!node.effects.contains { if case .final = $0 { true } else { false } }) }
        // Box 1 starts anew with what is on its disk.
        let held = lab.heads(1)
        lab.cut(1, 2)
        lab.cut(1, 3)
        let box = Sample.box(1)
        let members = Dictionary(
            uniqueKeysWithValues: (1...3).map { (Sample.box($0), EngineMember(standing: .active, logKey: CheapKeys.logKey(Sample.box($0)))) })
        lab.nodes[box]?.engine = ReplicationEngine(
            box: box, federation: EngineRig.federation, keys: CheapKeys.keys(box),
            stored: EngineStored(heads: held, startCounter: 2, startNonce: 101), random: { 77 })
        lab.step(box, .members(members))
        lab.link(1, 2)
        lab.link(1, 3)
        lab.run(5_000)
        let old = Sample.log(epoch: 10, box: box)
        for node in lab.nodes.values { #expect(node.effects.contains(.final([old]))) }
    }
}
