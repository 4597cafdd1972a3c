import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Sync cursors as tokens")
struct SyncCursorTests {
    @Test("A cursor comes back from its token, and equal cursors have one token", arguments: 1...30)
    func roundTrip(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let entries = (0..<Int.random(in: 0...SyncCursor.epochsSpelledMax, using: &random)).map { _ in
            (
                Sample.log(
                    [.control, .message].randomElement(using: &random) ?? .message, epoch: random.next(),
                    box: Sample.box(UInt8.random(in: 0...3, using: &random))), random.next()
            )
        }
        var cursor = SyncCursor(foldedCount: UInt32.random(in: 0...9, using: &random), foldedHash: random.next())
        for (log, seq) in entries { cursor.seen[log] = seq }
        var shuffled = SyncCursor(foldedCount: cursor.foldedCount, foldedHash: cursor.foldedHash)
        for (log, seq) in entries.shuffled(using: &random) { shuffled.seen[log] = seq }
        #expect(SyncCursor(token: cursor.token) == cursor, "seed \(seed)")
        #expect(shuffled.token == cursor.token, "seed \(seed)")
    }

    @Test("Nothing else is a cursor")
    func refused() {
        let one = SyncCursor(seen: [Sample.log(): 5])
        let bytes = Base32.decode(one.token) ?? []
        #expect(bytes.count == 13 + 27)
        func isCursor(_ bytes: [UInt8]) -> Bool { SyncCursor(token: Base32.encode(bytes)) != nil }
        #expect(isCursor(bytes))
        #expect(!isCursor([2] + bytes.dropFirst()))
        #expect(!isCursor(Array(bytes.dropLast())))
        #expect(!isCursor(bytes + [0]))
        #expect(!isCursor([]))
        #expect(!isCursor(Array(bytes.prefix(12))))
        var badStream = bytes
        badStream[13 + 10] = 9
        #expect(!isCursor(badStream))
        for text in ["", "x", "nonsense!", one.token.uppercased() + "!", "\u{0}", String(repeating: "0", count: 100_000)] {
            #expect(SyncCursor(token: text) == nil)
        }
    }

    @Test("A token of too many epochs is refused before it is read")
    func tooMany() {
        func cursor(_ count: Int) -> SyncCursor { SyncCursor(seen: Dictionary(uniqueKeysWithValues: (0..<count).map { (Sample.log(epoch: UInt64($0)), 1) })) }
        #expect(SyncCursor(token: cursor(SyncCursor.epochsSpelledMax).token) != nil)
        #expect(SyncCursor(token: cursor(SyncCursor.epochsSpelledMax + 1).token) == nil)
    }
}
