import Replication
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Cursors of boxes that were started often")
struct CursorFoldingTests {
    /// The epochs of `runs` starts: each writes messages, every third also a control entry, before or after them.
    static func epochs(_ runs: Int) -> [EpochRecord] {
        var epochs: [EpochRecord] = []
        for run in 0..<runs {
            let streams: [Stream] = run.isMultiple(of: 6) ? [.control, .message] : run.isMultiple(of: 3) ? [.message, .control] : [.message]
            for stream in streams {
                let number = epochs.count + 1
                epochs.append(
                    EpochRecord(
                        number: Int32(number), log: Sample.log(stream, epoch: UInt64(run)), head: UInt64(run % 5 + 1), birth: HLC(rawValue: UInt64(number))))
            }
        }
        return epochs
    }

    private static func seen(_ cursor: SyncCursor, _ epochs: [EpochRecord]) -> [Int32: UInt64]? {
        guard case .known(let seen, let ahead) = CursorFolding.read(cursor, epochs), ahead.isEmpty else { return nil }
        return seen
    }

    private static func read(_ token: String) throws -> SyncCursor { try #require(SyncCursor(token: token)) }

    @Test("A cursor stays short after any number of starts", arguments: [0, 1, 2, 7, 64, 65, 500, 2_000])
    func short(_ runs: Int) throws {
        let epochs = Self.epochs(runs)
        let cursor = CursorFolding.cursor(of: epochs)
        #expect(cursor.token.utf8.count < 140, "\(cursor.token.utf8.count) characters after \(runs) starts")
        let read = try #require(SyncCursor(token: cursor.token))
        let seen = try #require(Self.seen(read, epochs))
        #expect(epochs.allSatisfy { seen[$0.number] == $0.head })
    }

    @Test("An old cursor is understood later: it has seen what it had seen, and nothing of what came", arguments: [1, 5, 63, 64, 65, 200])
    func old(_ runs: Int) throws {
        let cursor = CursorFolding.cursor(of: Self.epochs(runs))
        for later in [runs, runs + 1, runs + 70, runs + 300] {
            let epochs = Self.epochs(later)
            let seen = try #require(Self.seen(cursor, epochs), "\(runs) starts, then \(later)")
            let before = Self.epochs(runs).count
            for (index, epoch) in epochs.enumerated() { #expect(seen[epoch.number] ?? 0 == (index < before ? epoch.head : 0)) }
        }
    }

    @Test("Paging from any place leads to the end, never back and never over something unread")
    func paging() throws {
        let epochs = Self.epochs(100)
        var seen = try #require(Self.seen(CursorFolding.cursor(of: Self.epochs(40)), epochs))
        for epoch in epochs.filter({ $0.log.stream == .control }) + epochs.filter({ $0.log.stream == .message }) where (seen[epoch.number] ?? 0) < epoch.head {
            seen[epoch.number] = epoch.head
            let cursor = try #require(CursorFolding.cursor(of: epochs, seen: seen))
            let read = try #require(SyncCursor(token: cursor.token))
            #expect(Self.seen(read, epochs) == seen)
        }
        #expect(CursorFolding.cursor(of: epochs, seen: seen) == CursorFolding.cursor(of: epochs))
    }

    @Test("A cursor of another log, or of what a power cut took, is not taken for ours")
    func foreign() throws {
        let epochs = Self.epochs(80)
        var ahead = CursorFolding.cursor(of: epochs)
        for log in ahead.seen.keys { ahead.seen[log, default: 0] += 1 }
        let all = try #require(Self.seen(CursorFolding.cursor(of: epochs), epochs))
        #expect(CursorFolding.read(ahead, epochs) == .known(seen: all, ahead: ahead.seen))
        var other = CursorFolding.cursor(of: epochs)
        for log in other.folds.keys { other.folds[log]?.hash ^= 1 }
        #expect(CursorFolding.read(other, epochs) == .unknown)
        let log = SyncCursor.Log(Sample.log())
        #expect(CursorFolding.read(SyncCursor(folds: [log: SyncCursor.Fold(count: .max, hash: 1)]), epochs) == .unknown)
        #expect(CursorFolding.read(SyncCursor(folds: [SyncCursor.Log(Sample.log(box: Sample.box(9))): SyncCursor.Fold(count: 1, hash: 1)]), epochs) == .unknown)
        let stranger = Sample.log(epoch: 99_999)
        #expect(CursorFolding.read(SyncCursor(seen: [stranger: 1]), epochs) == .known(seen: [:], ahead: [stranger: 1]))
        // A restored backup lacks the last starts.
        #expect(CursorFolding.read(CursorFolding.cursor(of: epochs), Self.epochs(70)) == .unknown)
    }

    @Test("Who has read nothing has the empty cursor, however much there is")
    func nothing() {
        let epochs = Self.epochs(1_000)
        #expect(CursorFolding.cursor(of: epochs, seen: [:]) == SyncCursor())
        #expect(CursorFolding.read(SyncCursor(), epochs) == .known(seen: [:], ahead: [:]))
    }

    // MARK: - Several boxes

    /// The logs of three boxes, as a box sees them that has them all: number and order of arrival are its own.
    private struct Logs {
        var epochs: [EpochRecord] = []

        init(_ random: inout SeededRandom, restarts: ClosedRange<Int>) {
            for box in UInt8(1)...3 {
                for stream in Stream.allCases {
                    let count = Int.random(in: restarts, using: &random)
                    var birth = UInt64.random(in: 1...50, using: &random)
                    for run in 0..<count {
                        birth += UInt64.random(in: 1...40, using: &random)
                        self.epochs.append(
                            EpochRecord(
                                number: 0, log: Sample.log(stream, epoch: random.next(), box: Sample.box(box)), head: UInt64.random(in: 1...9, using: &random),
                                birth: HLC(rawValue: birth), isFinal: run < count - 1 && random.chance(90)))
                    }
                }
            }
        }

        /// At a box that met them in its own order and may lack the ends of some, and some wholly. What is final it has.
        func arrived(_ random: inout SeededRandom, lacking percent: Int = 0) -> [EpochRecord] {
            var held: [EpochRecord] = []
            for var epoch in self.epochs.shuffled(using: &random) {
                if !epoch.isFinal, random.chance(percent) { epoch.head = UInt64.random(in: 0...epoch.head, using: &random) }
                if epoch.head == 0, random.chance(50) { continue }
                epoch.number = Int32(held.count + 1)
                held.append(epoch)
            }
            return held
        }
    }

    @Test("Boxes that met the same logs in any order give the same cursor, and understand each other's", arguments: 1...60)
    func sameEverywhere(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let logs = Logs(&random, restarts: 0...30)
        let boxes = (0..<3).map { _ in logs.arrived(&random) }
        let tokens = Set(boxes.map { CursorFolding.cursor(of: $0).token })
        #expect(tokens.count == 1, "seed \(seed)")
        for epochs in boxes {
            for token in tokens {
                let cursor = try Self.read(token)
                let seen = try #require(Self.seen(cursor, epochs), "seed \(seed)")
                #expect(epochs.allSatisfy { seen[$0.number] == $0.head }, "seed \(seed)")
            }
        }
    }

    @Test("A box that has more or less takes from another's cursor exactly what it saw, or says that it does not know", arguments: 1...200)
    func between(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let logs = Logs(&random, restarts: 0...12)
        let (here, there) = (logs.arrived(&random, lacking: 40), logs.arrived(&random, lacking: 40))
        // A box that knows no other folds by itself, which another may not understand.
        guard Set(here.filter { $0.head > 0 }.map(\.log.origin)).count > 1 else { return }
        // Somebody who has paged some way at the one box.
        var seen: [Int32: UInt64] = [:]
        for epoch in here where random.chance(70) { seen[epoch.number] = random.chance(80) ? epoch.head : UInt64.random(in: 0...epoch.head, using: &random) }
        let cursor = try #require(CursorFolding.cursor(of: here, seen: seen))
        let read = try #require(SyncCursor(token: cursor.token))
        var truth: [LogEpoch: UInt64] = [:]
        for epoch in here { truth[epoch.log] = seen[epoch.number] ?? 0 }
        guard case .known(let found, let ahead) = CursorFolding.read(read, there) else {
            // Only final epochs are folded, and every box has those: it must always know.
            Issue.record("seed \(seed): not understood")
            return
        }
        for epoch in there { #expect(found[epoch.number] ?? 0 == min(truth[epoch.log] ?? 0, epoch.head), "seed \(seed)") }
        for (log, seq) in truth where seq > there.first(where: { $0.log == log })?.head ?? 0 { #expect(ahead[log] == seq, "seed \(seed)") }
        // And back: what was ahead is not forgotten on the way.
        let back = try #require(CursorFolding.cursor(of: there, seen: found, ahead: ahead))
        guard case .known(let again, _) = CursorFolding.read(try Self.read(back.token), here) else {
            Issue.record("seed \(seed): not understood on the way back")
            return
        }
        for epoch in here { #expect(again[epoch.number] ?? 0 == truth[epoch.log], "seed \(seed)") }
    }

    @Test("The plan is kept while only open epochs grow, and no longer")
    func plan() {
        var random = SeededRandom(seed: 7)
        var epochs = Logs(&random, restarts: 5...9).arrived(&random)
        var plan = CursorFolding.plan(epochs)
        for _ in 0..<300 {
            let place = Int.random(in: epochs.indices, using: &random)
            let old = epochs[place]
            epochs[place].head += random.chance(50) ? 1 : 0
            if random.chance(5) { epochs[place].isFinal = true }
            if !plan.survives((old, epochs[place])) { plan = CursorFolding.plan(epochs) }
            #expect(CursorFolding.cursor(of: epochs, plan) == CursorFolding.cursor(of: epochs))
        }
    }

    @Test("More open epochs than a cursor can spell are folded all the same: it can be sent, and is understood where nothing has changed")
    func crowded() throws {
        let epochs = (0..<200).map { number in
            let id = BoxID([1, 2, 3, 4, 5, 6, 7, 8, UInt8(number), 1]) ?? Sample.box
            return EpochRecord(number: Int32(number + 1), log: Sample.log(.message, epoch: 1, box: id), head: 3, birth: HLC(rawValue: 1))
        }
        let cursor = CursorFolding.cursor(of: Array(epochs.prefix(100)))
        #expect(Self.seen(cursor, Array(epochs.prefix(100))) != nil)
        #expect(CursorFolding.cursor(of: epochs).seen.isEmpty)
    }
}
