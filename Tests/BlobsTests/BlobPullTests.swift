import Replication
import SkerryModel
import TestKit
import Testing

/// What a fetch does about what happens, line by line.
@Suite("Fetching a blob")
struct BlobPullTests {
    private static let piece = BlobMessage.pieceBytes
    private let a = Sample.box(1)
    private let b = Sample.box(2)
    private let c = Sample.box(3)

    private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 7, count: count) }

    private func name(_ box: BoxID) -> String { box == self.a ? "a" : box == self.b ? "b" : "c" }

    private func text(_ effects: [BlobPull.Effect]) -> [String] {
        effects.map { effect in
            switch effect {
            case .ask(let box): "ask \(self.name(box))"
            case .want(let box, let offset, let pieces): "want \(self.name(box)) \(offset / UInt64(Self.piece))+\(pieces)"
            case .write(let bytes, let offset, let total): "write \(offset / Self.piece) \(bytes.count) of \(total)"
            case .verify: "verify"
            case .discard: "discard"
            case .distrust(let box): "distrust \(self.name(box))"
            case .done: "done"
            case .failed(let error): "failed \(error.code.rawValue)"
            }
        }
    }

    private struct Run {
        var pull: BlobPull
        var now: UInt64 = 1_000
    }

    private func expect(
        _ run: inout Run, _ event: BlobPull.Event, _ lines: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(self.text(run.pull.handle(event, now: run.now)) == lines, sourceLocation: sourceLocation)
    }

    private func begin(partial: Int = 0, limits: BlobLimits = BlobLimits(), _ boxes: BoxID..., lines: String...) -> Run {
        var run = Run(pull: BlobPull(partial: partial, limits: limits))
        #expect(self.text(run.pull.start(boxes, now: run.now)) == lines)
        return run
    }

    @Test("pieces come four at a time from whoever answered first, go to the disk one after the other, and are verified at the end")
    func whole() {
        var run = self.begin(self.a, self.b, lines: "ask a", "ask b")
        let total = 5 * Self.piece + 10
        self.expect(&run, .answered(self.b, byteCount: total), "want b 0+4")
        self.expect(&run, .answered(self.a, byteCount: total))
        self.expect(&run, .piece(self.b, offset: 0, self.bytes(Self.piece)), "write 0 65536 of \(total)")
        self.expect(&run, .piece(self.b, offset: UInt64(Self.piece), self.bytes(Self.piece)))
        self.expect(&run, .written, "write 1 65536 of \(total)", "want b 4+1")
        self.expect(&run, .written, "want b 5+1")
        for index in 2..<5 {
            self.expect(&run, .piece(self.b, offset: UInt64(index * Self.piece), self.bytes(Self.piece)), "write \(index) 65536 of \(total)")
            self.expect(&run, .written)
        }
        self.expect(&run, .piece(self.b, offset: UInt64(5 * Self.piece), self.bytes(10)), "write 5 10 of \(total)")
        self.expect(&run, .written, "verify")
        self.expect(&run, .verified(true), "done")
        self.expect(&run, .piece(self.b, offset: 0, self.bytes(1)))
        self.expect(&run, .tick)
    }

    @Test("nobody to ask, or nobody who has it: that is the end at once")
    func nowhere() {
        _ = self.begin(lines: "failed not_found")
        var run = self.begin(self.a, self.b, lines: "ask a", "ask b")
        self.expect(&run, .answered(self.a, byteCount: nil))
        self.expect(&run, .answered(self.b, byteCount: nil), "failed not_found")
    }

    @Test("a file that is too large, and none: said as such")
    func sizes() {
        var limits = BlobLimits()
        limits.bytesMax = 100
        var run = self.begin(limits: limits, self.a, self.b, lines: "ask a", "ask b")
        self.expect(&run, .answered(self.a, byteCount: 101))
        self.expect(&run, .answered(self.b, byteCount: 0), "failed too_large")
        var negative = self.begin(self.a, lines: "ask a")
        self.expect(&negative, .answered(self.a, byteCount: -5), "failed not_found")
    }

    @Test("a cut: another holder goes on where the disk and the pieces at hand have got to")
    func cut() {
        var run = self.begin(self.a, self.b, lines: "ask a", "ask b")
        let total = 3 * Self.piece
        self.expect(&run, .answered(self.a, byteCount: total), "want a 0+3")
        self.expect(&run, .answered(self.b, byteCount: total))
        self.expect(&run, .piece(self.a, offset: 0, self.bytes(Self.piece)), "write 0 65536 of \(total)")
        self.expect(&run, .piece(self.a, offset: UInt64(Self.piece), self.bytes(Self.piece)))
        self.expect(&run, .linkDown(self.a), "want b 2+1")
        self.expect(&run, .piece(self.a, offset: UInt64(2 * Self.piece), self.bytes(Self.piece)))
        self.expect(&run, .written, "write 1 65536 of \(total)")
        self.expect(&run, .piece(self.b, offset: UInt64(2 * Self.piece), self.bytes(Self.piece)))
        self.expect(&run, .written, "write 2 65536 of \(total)")
        self.expect(&run, .written, "verify")
    }

    @Test("the only holder goes: it is waited for, asked when it is back, and given up after a while, what there is kept")
    func alone() {
        var run = self.begin(self.a, lines: "ask a")
        let total = 2 * Self.piece
        self.expect(&run, .answered(self.a, byteCount: total), "want a 0+2")
        self.expect(&run, .piece(self.a, offset: 0, self.bytes(Self.piece)), "write 0 65536 of \(total)")
        self.expect(&run, .written)
        self.expect(&run, .linkDown(self.a))
        run.now += 5_000
        self.expect(&run, .tick)
        self.expect(&run, .linkUp(self.a), "ask a")
        self.expect(&run, .answered(self.a, byteCount: total), "want a 1+1")
        self.expect(&run, .linkDown(self.a))
        run.now += 15_001
        self.expect(&run, .tick, "failed unavailable")
    }

    @Test("silence: another holder is asked; the silent one again when there is no other, and not for ever")
    func silence() {
        var limits = BlobLimits()
        limits.stallsMax = 2
        var run = self.begin(limits: limits, self.a, self.b, lines: "ask a", "ask b")
        self.expect(&run, .answered(self.a, byteCount: 10), "want a 0+1")
        self.expect(&run, .answered(self.b, byteCount: 10))
        run.now += 10_000
        self.expect(&run, .tick, "want b 0+1")
        run.now += 9_999
        self.expect(&run, .tick)
        run.now += 1
        self.expect(&run, .tick, "want a 0+1")
        run.now += 10_000
        self.expect(&run, .tick, "want b 0+1")
        run.now += 10_000
        self.expect(&run, .tick)
        run.now += 20_000
        self.expect(&run, .tick, "failed unavailable")
    }

    @Test("an earlier run's beginning is gone on with; whole, it is only verified")
    func resumed() {
        var run = self.begin(partial: Self.piece, self.a, lines: "ask a")
        self.expect(&run, .answered(self.a, byteCount: 2 * Self.piece), "want a 1+1")
        var whole = self.begin(partial: 30, self.a, lines: "ask a")
        self.expect(&whole, .answered(self.a, byteCount: 30), "verify")
        self.expect(&whole, .verified(true), "done")
        var longer = self.begin(partial: 31, self.a, lines: "ask a")
        self.expect(&longer, .answered(self.a, byteCount: 30), "discard", "want a 0+1")
    }

    @Test("wrong content of one box: it is not believed any more, and another gives all of it")
    func liar() {
        var run = self.begin(self.a, self.b, lines: "ask a", "ask b")
        self.expect(&run, .answered(self.a, byteCount: 10), "want a 0+1")
        self.expect(&run, .answered(self.b, byteCount: 10))
        self.expect(&run, .piece(self.a, offset: 0, self.bytes(10)), "write 0 10 of 10")
        self.expect(&run, .written, "verify")
        self.expect(&run, .verified(false), "distrust a", "want b 0+1")
        self.expect(&run, .linkUp(self.a))
        self.expect(&run, .piece(self.a, offset: 0, self.bytes(10)))
        self.expect(&run, .piece(self.b, offset: 0, self.bytes(10)), "write 0 10 of 10")
        self.expect(&run, .written, "verify")
        self.expect(&run, .verified(false), "distrust b", "failed unavailable")
    }

    @Test("wrong content of two boxes together: neither is blamed, the next try is with one alone, from the beginning at every change")
    func mixed() {
        var run = self.begin(self.a, self.b, self.c, lines: "ask a", "ask b", "ask c")
        let total = 2 * Self.piece
        self.expect(&run, .answered(self.a, byteCount: total), "want a 0+2")
        self.expect(&run, .answered(self.b, byteCount: total))
        self.expect(&run, .piece(self.a, offset: 0, self.bytes(Self.piece)), "write 0 65536 of \(total)")
        self.expect(&run, .linkDown(self.a), "want b 1+1")
        self.expect(&run, .written)
        self.expect(&run, .piece(self.b, offset: UInt64(Self.piece), self.bytes(Self.piece)), "write 1 65536 of \(total)")
        self.expect(&run, .written, "verify")
        self.expect(&run, .verified(false), "want b 0+2")
        self.expect(&run, .answered(self.c, byteCount: total))
        self.expect(&run, .piece(self.b, offset: 0, self.bytes(Self.piece)), "write 0 65536 of \(total)")
        self.expect(&run, .written)
        self.expect(&run, .linkDown(self.b), "discard", "want c 0+2")
    }

    @Test("two boxes that name different lengths are not mixed")
    func lengths() {
        var run = self.begin(self.a, self.b, lines: "ask a", "ask b")
        self.expect(&run, .answered(self.a, byteCount: 3 * Self.piece), "want a 0+3")
        self.expect(&run, .answered(self.b, byteCount: 2 * Self.piece))
        self.expect(&run, .piece(self.a, offset: 0, self.bytes(Self.piece)), "write 0 65536 of \(3 * Self.piece)")
        self.expect(&run, .absent(self.a))
        self.expect(&run, .written, "discard", "want b 0+2")
    }

    @Test("a piece of the wrong length is a reason not to believe; one that was not asked for, or comes out of turn, is nothing")
    func pieces() {
        var run = self.begin(self.a, self.b, lines: "ask a", "ask b")
        self.expect(&run, .piece(self.a, offset: 0, self.bytes(10)))
        self.expect(&run, .answered(self.a, byteCount: 100), "want a 0+1")
        self.expect(&run, .piece(self.b, offset: 0, self.bytes(100)))
        self.expect(&run, .piece(self.a, offset: 50, self.bytes(50)))
        self.expect(&run, .answered(self.b, byteCount: 100))
        self.expect(&run, .piece(self.a, offset: 0, self.bytes(99)), "distrust a", "want b 0+1")
    }

    @Test("the disk refuses: the reason is given, and nothing half stays")
    func disk() {
        var run = self.begin(self.a, lines: "ask a")
        self.expect(&run, .answered(self.a, byteCount: 10), "want a 0+1")
        self.expect(&run, .piece(self.a, offset: 0, self.bytes(10)), "write 0 10 of 10")
        self.expect(&run, .writeFailed(SkerryError(.storageLow, "full")), "discard", "failed storage_low")
        self.expect(&run, .written)
    }

    @Test("whatever happens in whatever order: memory holds four pieces at most, writes follow one another, and it ends one way")
    func random() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<400 {
            let boxes = [self.a, self.b, self.c]
            let total = Int.random(in: 1...6 * Self.piece, using: &random)
            var (now, pull) = (UInt64(1_000), BlobPull(partial: 0, limits: BlobLimits()))
            var (effects, written, isWriting, ends, unwritten) = (pull.start(boxes, now: now), 0, false, 0, 0)
            for _ in 0..<200 {
                for effect in effects {
                    switch effect {
                    case .write(let bytes, let offset, let of):
                        #expect(!isWriting && offset == written && offset + bytes.count <= of, "seed \(seed)")
                        isWriting = true
                        written += bytes.count
                    case .discard: written = 0
                    case .done, .failed: ends += 1
                    default: break
                    }
                }
                let box = random.pick(boxes) ?? self.a
                let event: BlobPull.Event
                switch Int.random(in: 0..<10, using: &random) {
                case 0: event = .answered(box, byteCount: random.chance(80) ? total : Int.random(in: 0...total, using: &random))
                case 1: event = .linkDown(box)
                case 2: event = .linkUp(box)
                case 3: event = .absent(box)
                case 4:
                    event = .verified(random.chance(50))
                    // Bad content is thrown away by whoever found out; only asked for when all is written.
                    if case .verified(false) = event, effects.contains(.verify) { written = 0 }
                    if !effects.contains(.verify) {
                        effects = []
                        continue
                    }
                case 5:
                    event = .tick
                    now += UInt64.random(in: 0...12_000, using: &random)
                default:
                    if isWriting && random.chance(40) {
                        isWriting = false
                        event = .written
                    } else {
                        let offset = written / Self.piece * Self.piece + (random.chance(70) ? 0 : Self.piece)
                        event = .piece(box, offset: UInt64(offset), self.bytes(max(1, min(Self.piece, total - offset))))
                    }
                }
                effects = pull.handle(event, now: now)
                unwritten = max(unwritten, effects.count)
            }
            #expect(ends <= 1, "seed \(seed)")
            #expect(unwritten < 12, "seed \(seed)")
        }
    }
}
