import Replication
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Cursors of a box that was started often")
struct CursorFoldingTests {
    /// The epochs of `runs` starts: each writes messages, every third also a control entry, before or after them.
    static func epochs(_ runs: Int) -> [EpochRecord] {
        var epochs: [EpochRecord] = []
        for run in 0..<runs {
            let streams: [Stream] = run.isMultiple(of: 6) ? [.control, .message] : run.isMultiple(of: 3) ? [.message, .control] : [.message]
            for stream in streams {
                epochs.append(EpochRecord(number: Int32(epochs.count + 1), log: Sample.log(stream, epoch: UInt64(run)), head: UInt64(run % 5 + 1)))
            }
        }
        return epochs
    }

    @Test("A cursor stays short after any number of starts", arguments: [0, 1, 2, 7, 64, 65, 500, 2_000])
    func short(_ runs: Int) throws {
        let epochs = Self.epochs(runs)
        let cursor = CursorFolding.cursor(of: epochs)
        #expect(cursor.token.utf8.count < 400, "\(cursor.token.utf8.count) characters after \(runs) starts")
        #expect(CursorFolding.cursor(of: epochs, CursorFolding.fold(epochs)) == cursor)
        let read = try #require(SyncCursor(token: cursor.token))
        let seen = try #require(CursorFolding.seen(read, epochs))
        #expect(epochs.allSatisfy { seen[$0.number] == $0.head })
    }

    @Test("An old cursor is understood later: it has seen what it had seen, and nothing of what came", arguments: [1, 5, 63, 64, 65, 200])
    func old(_ runs: Int) throws {
        let cursor = CursorFolding.cursor(of: Self.epochs(runs))
        for later in [runs, runs + 1, runs + 70, runs + 300] {
            let epochs = Self.epochs(later)
            let seen = try #require(CursorFolding.seen(cursor, epochs), "\(runs) starts, then \(later)")
            let before = Self.epochs(runs).count
            for (index, epoch) in epochs.enumerated() { #expect(seen[epoch.number] == (index < before ? epoch.head : 0)) }
        }
    }

    @Test("Paging from any place leads to the end, never back and never over something unread")
    func paging() throws {
        let epochs = Self.epochs(100)
        var seen = try #require(CursorFolding.seen(CursorFolding.cursor(of: Self.epochs(40)), epochs))
        for epoch in epochs.filter({ $0.log.stream == .control }) + epochs.filter({ $0.log.stream == .message }) where (seen[epoch.number] ?? 0) < epoch.head {
            seen[epoch.number] = epoch.head
            let cursor = try #require(CursorFolding.cursor(of: epochs, seen: seen))
            let read = try #require(SyncCursor(token: cursor.token))
            #expect(CursorFolding.seen(read, epochs) == seen)
        }
        #expect(CursorFolding.cursor(of: epochs, seen: seen) == CursorFolding.cursor(of: epochs))
    }

    @Test("A cursor of another log, or of what a power cut took, is not taken for ours")
    func foreign() throws {
        let epochs = Self.epochs(80)
        var ahead = CursorFolding.cursor(of: epochs)
        for log in ahead.seen.keys { ahead.seen[log, default: 0] += 1 }
        #expect(CursorFolding.seen(ahead, epochs) == nil)
        var other = CursorFolding.cursor(of: epochs)
        other.foldedHash ^= 1
        #expect(CursorFolding.seen(other, epochs) == nil)
        #expect(CursorFolding.seen(SyncCursor(foldedCount: .max, foldedHash: 1), epochs) == nil)
        #expect(CursorFolding.seen(SyncCursor(seen: [Sample.log(epoch: 99_999): 1]), epochs) == nil)
        // A restored backup lacks the last starts.
        #expect(CursorFolding.seen(CursorFolding.cursor(of: epochs), Self.epochs(70)) == nil)
    }

    @Test("Who has more unread epochs than a cursor can name must reload")
    func tooMany() {
        let epochs = Self.epochs(1_000)
        #expect(CursorFolding.cursor(of: epochs, seen: [:]) == nil)
    }
}
