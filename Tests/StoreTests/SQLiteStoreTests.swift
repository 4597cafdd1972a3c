import Dispatch
import SkerryModel
import Store
import StoreSQLite
import Synchronization
import TestKit
import Testing

@Suite("SQLite's own promises")
struct SQLiteStoreTests {
    @Test("A second store on the same directory is refused with inUse, until the first is gone")
    func inUse() throws {
        let directory = TemporaryDirectory()
        var first: SQLiteStore? = try SQLiteStore(directory: directory.path, limits: Limits())
        let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path, limits: Limits()) }
        #expect(error?.reason == .inUse)
        first?.close()
        first = nil
        try SQLiteStore(directory: directory.path, limits: Limits()).close()
    }

    @Test("A lock of another program that is held for longer than it is waited for fails one transaction whole, and not the next", .timeLimit(.minutes(1)))
    func locked() async throws {
        let directory = TemporaryDirectory()
        let store = try SQLiteStore(directory: directory.path, limits: Limits())
        defer { store.close() }
        let other = try RawDatabase("\(directory.path)/skerry.db")
        try other.execute("BEGIN IMMEDIATE")
        var failure: (any Error)?
        do { try await store.commit { try $0.setMeta("name", [1]) } } catch { failure = error }
        #expect((failure as? StoreError)?.reason == .inUse)
        try other.execute("ROLLBACK")
        #expect(try await store.read { try $0.meta("name") } == nil)
        try await store.commit { try $0.setMeta("name", [2]) }
        #expect(try await store.read { try $0.meta("name") } == [2])
    }

    @Test("Reads beyond the limit are refused with busy, at once; those before are answered")
    func busy() async throws {
        var limits = Limits()
        limits.readQueueMax = 3
        let store = try SQLitePlace(directory: TemporaryDirectory(), limits: limits, readers: 1).open()
        defer { store.close() }
        let gate = DispatchSemaphore(value: 0)
        let isHeld = DispatchSemaphore(value: 0)
        let answers = Mutex<[Bool]>([])
        let isDone = DispatchSemaphore(value: 0)
        store.read { _ in
            isHeld.signal()
            gate.wait()
        } completion: { _ in
            isDone.signal()
        }
        Self.wait(isHeld)
        for _ in 0..<2 {
            store.read {
                try $0.userCount()
            } completion: { result in
                answers.withLock { $0.append((try? result.get()) == 0) }
                isDone.signal()
            }
        }
        var refusal: (any Error)?
        do { _ = try await store.read { try $0.userCount() } } catch { refusal = error }
        #expect((refusal as? SkerryError)?.code == .busy)
        gate.signal()
        for _ in 0..<3 { Self.wait(isDone) }
        #expect(answers.withLock { $0 } == [true, true])
        #expect(try await store.read { try $0.userCount() } == 0)
    }

    private static func wait(_ semaphore: DispatchSemaphore) { semaphore.wait() }

    @Test("Closing waits for the transaction that runs, and answers what waits with closed")
    func closing() async throws {
        let directory = TemporaryDirectory()
        let store = try SQLitePlace(directory: directory).open()
        let outcomes = Mutex<[StoreError.Reason?]>([])
        let isRunning = DispatchSemaphore(value: 0)
        let gate = DispatchSemaphore(value: 0)
        for number in UInt8(0)..<2 {
            store.onWriter { writer in
                do {
                    try writer.write { transaction in
                        if number == 0 {
                            isRunning.signal()
                            gate.wait()
                        }
                        try transaction.setMeta("n", [number])
                    }
                    outcomes.withLock { $0.append(nil) }
                } catch {
                    outcomes.withLock { $0.append((error as? StoreError)?.reason) }
                }
            }
        }
        Self.wait(isRunning)
        let isClosed = DispatchSemaphore(value: 0)
        DispatchQueue.global().async {
            store.close()
            isClosed.signal()
        }
        gate.signal()
        Self.wait(isClosed)
        let again = try SQLitePlace(directory: directory).open()
        defer { again.close() }
        // The second may have come before the close or after it; never in between.
        let found = try await again.read { try $0.meta("n") }
        #expect(outcomes.withLock { $0 } == (found == [1] ? [nil, nil] : [nil, .closed]))
        #expect(found == [0] || found == [1])
    }

    @Test("The check names what is wrong: a gap in the log, a message without its entry, wrong sums")
    func check() async throws {
        let directory = TemporaryDirectory()
        let store = try SQLitePlace(directory: directory).open()
        try await store.commit { transaction in
            let epoch = try transaction.registerEpoch(Sample.log())
            for seq in UInt64(1)...3 {
                let position = LocalPosition(epoch: epoch.number, seq: seq)
                try transaction.append([1], at: position)
                try transaction.index(.user(Sample.user(1)), at: position)
            }
            try transaction.insert(
                MessageRow(
                    id: Sample.message(1), conversation: Sample.conversation(1), order: Sample.order(1), sender: Sample.user(1),
                    position: LocalPosition(epoch: 1, seq: 2), isChanged: false))
        }
        store.close()
        #expect(try StoreCheck.problems(directory: directory.path) == [])
        try RawDatabase("\(directory.path)/skerry.db").execute(
            "DELETE FROM entry WHERE pos & 0xFFFFFFFFFF = 2; UPDATE total SET value = 9 WHERE name = 'messages'")
        let problems = try StoreCheck.problems(directory: directory.path)
        #expect(problems.count == 4, "\(problems)")
        for part in ["gap", "a message has no entry", "sync has no entry", "count of messages"] { #expect(problems.contains { $0.contains(part) }, "\(part)") }
    }

    @Test("What a write did is on the disk when it returns: a copy of the files at that moment opens with it")
    func durable() async throws {
        let directory = TemporaryDirectory()
        let store = try SQLitePlace(directory: directory).open()
        defer { store.close() }
        try await store.commit { try $0.setMeta("n", [7]) }
        // As after a power cut: no close, no checkpoint, the log of this moment.
        let copy = TemporaryDirectory()
        for name in ["skerry.db", "skerry.db-wal"] {
            let bytes = try #require(TestFile.bytes("\(directory.path)/\(name)"))
            #expect(TestFile.write(bytes, to: "\(copy.path)/\(name)"))
        }
        let again = try SQLitePlace(directory: copy).open()
        defer { again.close() }
        #expect(try await again.read { try $0.meta("n") } == [7])
    }
}
