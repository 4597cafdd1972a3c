import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Sync cursors as tokens")
struct SyncCursorTests {
    @Test("A cursor comes back from its token, and equal cursors have one token", arguments: 1...30)
    func roundTrip(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        func log() -> LogEpoch {
            Sample.log(
                random.chance(50) ? .control : .message, epoch: random.next(), box: Sample.box(UInt8.random(in: 0...3, using: &random)))
        }
        let entries = (0..<Int.random(in: 0...SyncCursor.epochsSpelledMax, using: &random)).map { _ in
            (log(), random.next() >> UInt64.random(in: 0...63, using: &random))
        }
        let folds = (0..<Int.random(in: 0...5, using: &random)).map { _ in
            (SyncCursor.Log(log()), SyncCursor.Fold(count: UInt32.random(in: 1...(.max), using: &random), hash: random.next()))
        }
        let cursor = SyncCursor(seen: Dictionary(entries) { $1 }, folds: Dictionary(folds) { $1 })
        var shuffled = SyncCursor(folds: cursor.folds)
        for (log, seq) in cursor.seen.shuffled(using: &random) { shuffled.seen[log] = seq }
        #expect(SyncCursor(token: cursor.token) == cursor, "seed \(seed)")
        #expect(shuffled.token == cursor.token, "seed \(seed)")
    }

    private func isCursor(_ bytes: [UInt8]) -> Bool { SyncCursor(token: Base32.encode(bytes)) != nil }

    @Test("Nothing else is a cursor")
    func refused() {
        let log = SyncCursor.Log(Sample.log(.control))
        let one = SyncCursor(seen: [Sample.log(): 5], folds: [log: SyncCursor.Fold(count: 3, hash: 9)])
        let bytes = Base32.decode(one.token) ?? []
        // The fold's log, then the spelled one's.
        #expect(bytes.count == 1 + (11 + 1 + 1 + 8) + (11 + 1 + 8 + 1))
        #expect(self.isCursor(bytes))
        for length in 2..<bytes.count where length != 22 { #expect(!self.isCursor(Array(bytes.prefix(length))), "\(length)") }
        for (place, value): (Int, UInt8) in [(0, 3), (0, 0), (11, 1), (11, 9), (12, 9), (13, 0), (32, 1), (33, 0), (33, 2)] {
            var bad = bytes
            bad[place] = value
            #expect(!self.isCursor(bad), "\(place)")
        }
        // The same log twice, logs in another order, a number with a needless byte.
        #expect(!self.isCursor([2] + bytes[22...] + bytes[22...]))
        #expect(!self.isCursor([2] + bytes[22...] + bytes[1..<22]))
        #expect(!self.isCursor(Array(bytes.dropLast()) + [0x85, 0x00]))
        for text in ["", "x", "nonsense!", one.token.uppercased() + "!", "\u{0}", String(repeating: "0", count: 100_000)] {
            #expect(SyncCursor(token: text) == nil)
        }
    }

    @Test("Bytes that are no cursor are refused, whatever they are", arguments: 1...20)
    func noise(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let good = Base32.decode(SyncCursor(seen: [Sample.log(epoch: 1): 7, Sample.log(epoch: 2): 1 << 40]).token) ?? []
        for _ in 0..<200 {
            var bytes = random.chance(50) ? good : (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            if let place = bytes.indices.randomElement(using: &random) { bytes[place] = UInt8.random(in: 0...255, using: &random) }
            let token = Base32.encode(bytes)
            if let cursor = SyncCursor(token: token), bytes.first == 2 { #expect(cursor.token == token, "seed \(seed)") }
        }
    }

    @Test("A token of too many epochs is refused before it is read")
    func tooMany() {
        func cursor(_ count: Int) -> SyncCursor { SyncCursor(seen: Dictionary(uniqueKeysWithValues: (0..<count).map { (Sample.log(epoch: UInt64($0)), 1) })) }
        #expect(SyncCursor(token: cursor(SyncCursor.epochsSpelledMax).token) != nil)
        #expect(SyncCursor(token: cursor(SyncCursor.epochsSpelledMax + 1).token) == nil)
    }

    @Test("A token of the first version is read; one that folded is known for what it is")
    func firstVersion() throws {
        var bytes: [UInt8] = [1] + [UInt8](repeating: 0, count: 12)
        for epoch in UInt64(5)...6 {
            Sample.box.append(to: &bytes)
            bytes.append(Stream.message.rawValue)
            bytes.appendBigEndian(epoch)
            bytes.appendBigEndian(epoch * 10)
        }
        let cursor = try #require(SyncCursor(token: Base32.encode(bytes)))
        #expect(cursor == SyncCursor(seen: [Sample.log(epoch: 5): 50, Sample.log(epoch: 6): 60]))
        bytes[4] = 2
        #expect(try #require(SyncCursor(token: Base32.encode(bytes))).isOutdated)
        #expect(!self.isCursor(Array(bytes.dropLast())))
        #expect(!self.isCursor([1] + [UInt8](repeating: 0, count: 12) + [UInt8](repeating: 1, count: 27 * (SyncCursor.epochsSpelledMax + 1))))
    }
}
