import Account
import NIOCore
import Replication
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

/// Boxes whose logs are carried from one to the other by the test, without an engine or a network: in order within a log, and otherwise in
/// any order the test likes.
final class LinkedBoxes: Sendable {
    final class Member: ReplicationListener {
        let box: TestBox
        let replica: ReplicaStore
        let accounts: AccountService
        /// Its own entries, by log, from 1.
        private let written = Mutex<[LogEpoch: [[UInt8]]]>([:])
        let memberChanges = Mutex(0)

        init(_ box: TestBox) {
            self.box = box
            self.replica = ReplicaStore(node: box.node)
            self.accounts = AccountService(node: box.node, cost: .weakest)
            self.replica.listen(self)
        }

        func appended(_ runs: [CommittedRun]) {
            self.written.withLock { written in
                for run in runs {
                    #expect(written[run.log]?.count ?? 0 == Int(run.firstSeq) - 1, "a run does not follow the last one")
                    written[run.log, default: []] += run.entries
                }
            }
        }

        func membersChanged() { self.memberChanges.withLock { $0 += 1 } }

        var log: [LogEpoch: [[UInt8]]] { self.written.withLock { $0 } }

        func apply(_ batches: [IncomingBatch]) async throws -> [LogEpoch: UInt64] {
            let result: Result<[LogEpoch: UInt64], SkerryError> = await withCheckedContinuation { continuation in
                self.replica.apply(batches) { continuation.resume(returning: $0) }
            }
            return try result.get()
        }

        func range(_ log: LogEpoch, from seq: UInt64, bytesMax: Int = 64 * 1024) async -> RangeAnswer {
            await withCheckedContinuation { continuation in
                self.replica.range(of: log, from: seq, bytesMax: bytesMax) { continuation.resume(returning: $0) }
            }
        }

        /// Runs the box's loops while `body` waits for them.
        func running<Value: Sendable>(_ body: @escaping @Sendable (Member) async throws -> Value) async throws -> Value {
            let isOver = Mutex(false)
            let task = Task {
                defer { isOver.withLock { $0 = true } }
                return try await body(self)
            }
            while !isOver.withLock({ $0 }) {
                self.box.runLoops()
                await Task.yield()
            }
            return try await task.value
        }

        func heads() async throws -> [LogEpoch: UInt64] {
            let epochs = try await self.box.store.read { try $0.epochs() }
            return Dictionary(uniqueKeysWithValues: epochs.map { ($0.log, $0.head) })
        }
    }

    let members: [Member]
    let clock = ManualClock()

    init(_ stores: [any Store], limits: Limits = Limits()) {
        let clock = self.clock
        self.members = stores.enumerated().map { index, store in
            Member(TestBox(store: store, limits: limits, clock: clock, seed: UInt64(index + 1), box: Sample.box(UInt8(index + 1))))
        }
    }

    subscript(_ index: Int) -> Member { self.members[index] }

    /// What stands for a signature: the store does not look into it.
    static func signature(_ log: LogEpoch, _ first: UInt64) -> [UInt8] {
        [UInt8](repeating: UInt8(truncatingIfNeeded: log.epoch ^ first), count: 64)
    }

    static func batches(_ log: LogEpoch, _ entries: [[UInt8]], from first: UInt64, size: Int = Batch.entriesMax) -> [IncomingBatch] {
        stride(from: 0, to: entries.count, by: size).map { start in
            let seq = first + UInt64(start)
            let items = entries[start..<min(start + size, entries.count)].map { BatchItem.entry($0) }
            return IncomingBatch(
                batch: Batch(log: log, firstSeq: seq, items: items, signature: Self.signature(log, seq)), knownUpTo: seq - 1)
        }
    }

    /// Carries everything everywhere, and tells the writers that it was taken.
    func exchange() async throws {
        for source in self.members {
            for (log, entries) in source.log.sorted(by: { $0.key.stream.rawValue < $1.key.stream.rawValue }) {
                for target in self.members where target !== source {
                    let head = try await target.heads()[log] ?? 0
                    guard head < entries.count else { continue }
                    let taken = try await target.apply(Self.batches(log, Array(entries[Int(head)...]), from: head + 1))
                    #expect(taken[log] == UInt64(entries.count))
                    source.replica.replicated(log, upTo: UInt64(entries.count))
                }
            }
        }
    }

    /// Carries a few entries of one log to one box; false when everybody has everything.
    func step(_ random: inout SeededRandom) async throws -> Bool {
        var open: [(source: Member, target: Member, log: LogEpoch, head: UInt64)] = []
        for source in self.members {
            for target in self.members where target !== source {
                let heads = try await target.heads()
                for (log, entries) in source.log where heads[log] ?? 0 < entries.count { open.append((source, target, log, heads[log] ?? 0)) }
            }
        }
        open.sort { ($0.log.epoch, $0.log.stream.rawValue, $0.target.box.node.box) < ($1.log.epoch, $1.log.stream.rawValue, $1.target.box.node.box) }
        guard let next = random.pick(open), let entries = next.source.log[next.log] else { return false }
        let count = min(Int.random(in: 1...4, using: &random), entries.count - Int(next.head))
        // Sometimes with entries that are known already, as when two holders answer.
        let again = random.chance(30) ? min(next.head, 2) : 0
        let start = next.head - again
        let part = Array(entries[Int(start)..<(Int(next.head) + count)])
        _ = try await next.target.apply(Self.batches(next.log, part, from: start + 1, size: random.chance(50) ? 256 : 2))
        return true
    }

    func settle() async { for member in self.members { await member.box.settle() } }
}
