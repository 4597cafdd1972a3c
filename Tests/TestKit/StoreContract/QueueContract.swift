import NIOCore
import SkerryModel
import Store

extension StoreContract {
    static let queueClaims: [StoreClaim] = [
        StoreClaim("A queue gives its rows by rising sequence, from a place, within a count and a size") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                var extra = Self.queued(1, 2)
                extra.extra = [9, 8]
                for entry in [Self.queued(1, 1), extra, Self.queued(1, 7), Self.queued(2, 3)] { try transaction.appendQueue(entry) }
            }
            func rows(after: UInt64, limit: Int = 9, bytes: Int = 999) async throws -> [UInt64] {
                try await store.read { try $0.queueEntries(of: 1, after: after, limit: limit, bytes: bytes).map(\.seq) }
            }
            try expect(try await rows(after: 0), [1, 2, 7])
            try expect(try await rows(after: 1), [2, 7])
            try expect(try await rows(after: 7), [])
            try expect(try await rows(after: .max), [])
            try expect(try await rows(after: 0, limit: 2), [1, 2])
            try expect(try await rows(after: 0, limit: 0), [])
            try expect(try await rows(after: 0, bytes: 8), [1, 2])
            try expect(try await rows(after: 0, bytes: 0), [1])
            let second = try await store.read { try $0.queueEntries(of: 1, after: 1, limit: 1, bytes: 99).first }
            var wanted = Self.queued(1, 2)
            wanted.extra = [9, 8]
            try expect(second, wanted)
            try expect(
                try await store.read { try $0.queueBounds(of: 1) }, QueueBounds(first: 1, last: 7, firstByteSum: 4, lastByteSum: 28))
            try expect(try await store.read { try $0.queueBounds(of: 3) }, nil)
        },
        StoreClaim("A queue row's place must be free and in range") { place in
            let store = try place.open()
            defer { store.close() }
            let last: UInt64 = (1 << 36) - 1
            try await store.commit { transaction in
                try transaction.appendQueue(Self.queued(1, 1))
                try transaction.appendQueue(Self.queued((1 << 27) - 1, last, byteSum: .max))
            }
            for (session, seq): (Int32, UInt64) in [(1, 1), (0, 1), (-1, 1), (1 << 27, 1), (1, last + 1)] {
                try await expectFailure(.constraint) { try await store.commit { try $0.appendQueue(Self.queued(session, seq, byteSum: 0)) } }
            }
            try expect(try await store.read { try $0.queueBounds(of: (1 << 27) - 1)?.last }, last)
        },
        StoreClaim("A shared body is read through every row that names it and goes with the last of them") { place in
            let store = try place.open()
            defer { store.close() }
            let body = ByteBuffer(string: "for three")
            try await store.commit { transaction in
                try transaction.putMessage(7, body: body, references: 3)
                for session: Int32 in 1...3 { try transaction.appendQueue(Self.queued(session, 1, .shared(7))) }
                try transaction.putMessage(8, body: body, references: 0)
            }
            func bodies() async throws -> [QueuedBody] {
                try await store.read { reader in
                    try (Int32(1)...3).flatMap { try reader.queueEntries(of: $0, after: 0, limit: 1, bytes: 9).map(\.body) }
                }
            }
            try expect(try await bodies(), [.inline(body), .inline(body), .inline(body)])
            try expect(try await store.read { try $0.greatestMessageID() }, 7)
            try await store.commit { try $0.removeQueue(session: 1, seqs: [1, 99]) }
            try await store.commit { try $0.releaseQueue(session: 2, seq: 1, flags: 0x40) }
            try expect(try await bodies(), [.none, .inline(body)])
            try expect(try await store.read { try $0.greatestMessageID() }, 7)
            try await store.commit { transaction in
                try expect(try transaction.trimQueue(session: 3, through: 9, limit: 9), 1)
                try expect(try transaction.greatestMessageID(), 0)
            }
            try expect(try await store.read { try $0.greatestMessageID() }, 0)
            try await store.commit { try $0.putMessage(7, body: body, references: 1) }
            try await expectFailure(.constraint) { try await store.commit { try $0.putMessage(7, body: body, references: 1) } }
        },
        StoreClaim("A released row keeps its place without its body, and lets go of it only once") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                try transaction.putMessage(1, body: ByteBuffer(string: "shared"), references: 2)
                try transaction.appendQueue(Self.queued(1, 1, .shared(1)))
                try transaction.appendQueue(Self.queued(1, 2))
                try transaction.appendQueue(Self.queued(2, 1, .shared(1)))
            }
            for _ in 0..<2 {
                try await store.commit { transaction in
                    try transaction.releaseQueue(session: 1, seq: 1, flags: 0x80)
                    try transaction.releaseQueue(session: 1, seq: 2, flags: 0x81)
                    try transaction.releaseQueue(session: 1, seq: 3, flags: 0x82)
                }
            }
            let rows = try await store.read { try $0.queueEntries(of: 1, after: 0, limit: 9, bytes: 99) }
            try expect(rows.map(\.flags), [0x80, 0x81])
            try expect(rows.map(\.body), [.none, .none])
            try expect(try await store.read { try $0.greatestMessageID() }, 1)
            try expect(
                try await store.read { try $0.queueEntries(of: 2, after: 0, limit: 9, bytes: 99).map(\.body) }, [.inline(ByteBuffer(string: "shared"))])
        },
        StoreClaim("Trimming removes from the front, up to a sequence and at most so many, of one session only") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                for seq in UInt64(1)...6 { for session: Int32 in 1...2 { try transaction.appendQueue(Self.queued(session, seq)) } }
            }
            try expect(try await store.commit { try $0.trimQueue(session: 1, through: 4, limit: 3) }, 3)
            try expect(try await store.commit { try $0.trimQueue(session: 1, through: 4, limit: 3) }, 1)
            try expect(try await store.commit { try $0.trimQueue(session: 1, through: 4, limit: 3) }, 0)
            try expect(try await store.commit { try $0.trimQueue(session: 1, through: 99, limit: 0) }, 0)
            try expect(try await store.read { try $0.queueBounds(of: 1)?.first }, 5)
            try expect(try await store.commit { try $0.trimQueue(session: 1, through: .max, limit: 99) }, 2)
            try expect(try await store.read { try $0.queueBounds(of: 1) }, nil)
            try expect(try await store.read { try $0.queueBounds(of: 2)?.first }, 1)
        },
        StoreClaim("Removing rows from the middle leaves the others in order") { place in
            let store = try place.open()
            defer { store.close() }
            try await store.commit { transaction in
                for seq in UInt64(1)...6 { try transaction.appendQueue(Self.queued(1, seq)) }
                try transaction.removeQueue(session: 1, seqs: [5, 2, .max])
                try transaction.removeQueue(session: 9, seqs: [1])
            }
            try expect(try await store.read { try $0.queueEntries(of: 1, after: 0, limit: 9, bytes: 999).map(\.seq) }, [1, 3, 4, 6])
        },
    ]
}
