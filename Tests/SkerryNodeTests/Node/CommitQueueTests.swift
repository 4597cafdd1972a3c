import NIOCore
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

@Suite("The commit queue")
struct CommitQueueTests {
    /// Collects outcomes by the name of the job.
    private final class Outcomes: Sendable {
        private let codes = Mutex<[String: ErrorCode?]>([:])
        func note(_ name: String) -> @Sendable (Result<Void, SkerryError>) -> Void {
            { result in
                switch result {
                case .success: self.codes.withLock { $0[name] = .some(nil) }
                case .failure(let error): self.codes.withLock { $0[name] = error.code }
                }
            }
        }
        /// "ok", a code, or "waiting".
        subscript(_ name: String) -> String {
            self.codes.withLock { codes in
                guard let code = codes[name] else { return "waiting" }
                return code?.rawValue ?? "ok"
            }
        }
    }

    private let store = MemoryStore(.manual)
    private let outcomes = Outcomes()
    private func box(_ limits: Limits = Limits()) -> TestBox { TestBox(store: self.store, limits: limits) }
    private func put(_ number: Int, _ box: TestBox) {
        box.node.commits.submit(loop: nil, log: { try $0.append(.user(Sample.userEntry(Sample.user(number), name: "u\(number)"))) }) { [outcomes] result in
            outcomes.note("\(number)")(result.map { _ in })
        }
    }
    private func users() -> Int { (try? self.inspect { try $0.userCount() }) ?? -1 }
    private func inspect<Value: Sendable>(_ work: @escaping @Sendable (any StoreReading) throws -> Value) throws -> Value {
        let found = Mutex<Result<Value, any Error>?>(nil)
        self.store.read(work) { result in found.withLock { $0 = result } }
        while found.withLock({ $0 == nil }) { self.store.step(reads: true) }
        let result = try #require(found.withLock { $0 })
        return try result.get()
    }

    @Test("Nobody is answered before the commit; a crowd shares one, in groups of bounded size")
    func groups() {
        var limits = Limits()
        limits.commitGroupMax = 4
        let box = self.box(limits)
        for number in 1...10 { self.put(number, box) }
        #expect((1...10).allSatisfy { self.outcomes["\($0)"] == "waiting" })
        #expect(box.node.commits.status.waiting == 10)
        self.store.step()
        #expect((1...10).allSatisfy { self.outcomes["\($0)"] == "ok" })
        #expect(box.node.commits.status.groups == 3)
        #expect(box.node.commits.status.committed == 10)
        #expect(self.users() == 10)
    }

    @Test("A full queue refuses at once, and takes again when there is room")
    func full() {
        var limits = Limits()
        limits.commitQueueMax = 3
        let box = self.box(limits)
        for number in 1...3 { self.put(number, box) }
        let isQueued = box.node.commits.submit(loop: nil, { _ in }, completion: self.outcomes.note("fourth"))
        #expect(!isQueued)
        #expect(self.outcomes["fourth"] == "waiting")
        self.store.step()
        self.put(4, box)
        self.store.step()
        #expect(self.outcomes["4"] == "ok")
    }

    @Test("A refusal is its own: neither its rows' neighbours nor its events' go with it")
    func refusal() {
        let box = self.box()
        self.put(1, box)
        box.node.commits.submit(loop: nil, { _ in throw SkerryError(.forbidden, "no") }, completion: self.outcomes.note("refused"))
        self.put(2, box)
        self.store.step()
        #expect(self.outcomes["1"] == "ok")
        #expect(self.outcomes["refused"] == "forbidden")
        #expect(self.outcomes["2"] == "ok")
        #expect(box.node.commits.status.groups == 1)
        #expect(box.node.commits.status.committed == 2)
    }

    @Test("A job that breaks a constraint is refused alone; its group is written without it")
    func constraint() throws {
        let box = self.box()
        self.put(1, box)
        box.node.commits.submit(loop: nil, { try $0.append([1], at: LocalPosition(epoch: 99, seq: 9)) }, completion: self.outcomes.note("bad"))
        self.put(2, box)
        self.store.step()
        #expect(self.outcomes["1"] == "ok")
        #expect(self.outcomes["bad"] == "unavailable")
        #expect(self.outcomes["2"] == "ok")
        self.put(3, box)
        self.store.step()
        #expect(self.outcomes["3"] == "ok")
        #expect(try self.inspect { try $0.epochs().map(\.head) } == [3])
        #expect(box.node.commits.status.failure == nil)
    }

    @Test("A full disk refuses its group with storage_low and goes on when there is room")
    func diskFull() throws {
        let box = self.box()
        self.put(1, box)
        self.put(2, box)
        self.store.fail(.commit(1, StoreError(.full, "full"), isApplied: false))
        self.store.step()
        #expect(self.outcomes["1"] == "storage_low")
        #expect(self.outcomes["2"] == "storage_low")
        self.put(3, box)
        self.store.step()
        #expect(self.outcomes["3"] == "ok")
        // The positions of what failed are used by what follows: no gap.
        #expect(try self.inspect { try $0.epochs().map(\.head) } == [1])
    }

    @Test("A database that another program keeps busy refuses its group with unavailable and a time to try again, and goes on")
    func inUse() throws {
        let box = self.box()
        let failure = Mutex<SkerryError?>(nil)
        box.node.commits.submit(loop: nil, { _ in }, completion: { result in if case .failure(let error) = result { failure.withLock { $0 = error } } })
        self.put(1, box)
        self.store.fail(.commit(1, StoreError(.inUse, "busy"), isApplied: false))
        self.store.step()
        #expect(self.outcomes["1"] == "unavailable")
        #expect(failure.withLock { $0 }?.retryAfterSeconds == 1)
        #expect(box.node.commits.status.failure == nil)
        self.put(2, box)
        self.store.step()
        #expect(self.outcomes["2"] == "ok")
        #expect(try self.inspect { try $0.epochs().map(\.head) } == [1])
    }

    @Test(
        "A failed commit is final: what waited and what comes is refused, and nothing more is written",
        arguments: [StoreError.Reason.failed, .corrupt, .closed])
    func final(_ reason: StoreError.Reason) throws {
        var limits = Limits()
        limits.commitGroupMax = 2
        let box = self.box(limits)
        for number in 1...5 { self.put(number, box) }
        self.store.fail(.commit(2, StoreError(reason, "broken"), isApplied: false))
        self.store.step()
        #expect((1...5).map { self.outcomes["\($0)"] } == ["ok", "ok", "unavailable", "unavailable", "unavailable"])
        self.put(6, box)
        #expect(self.outcomes["6"] == "unavailable")
        #expect(self.store.waiting == 0)
        #expect(self.users() == 2)
        #expect(box.node.commits.status.failure?.code == .unavailable)
    }

    @Test("A single write that fails inside a group fails all of it")
    func write() {
        let box = self.box()
        self.put(1, box)
        self.put(2, box)
        self.store.fail(.write(4, StoreError(.failed, "broken")))
        self.store.step()
        #expect(self.outcomes["1"] == "unavailable")
        #expect(self.outcomes["2"] == "unavailable")
        #expect(self.users() == 0)
    }

    @Test("Stamps rise over failures, restarts and clocks that go back")
    func stamps() throws {
        var last: Order?
        var store = MemoryStore()
        let clock = ManualClock()
        for run in 0..<20 {
            let box = TestBox(store: store, clock: clock, seed: UInt64(run))
            for number in 0..<5 {
                let order = Mutex<Order?>(nil)
                if number == 3 { store.fail(.commit(1, StoreError(.full, "full"), isApplied: false)) }
                box.node.commits.submit(loop: nil, log: { try $0.append(.user(Sample.userEntry(Sample.user(run), name: "u"))) }) { result in
                    order.withLock { $0 = try? result.get() }
                }
                guard let order = order.withLock({ $0 }) else { continue }
                if let last { #expect(order > last, "run \(run)") }
                last = order
            }
            clock.setWall(run.isMultiple(of: 3) ? 0 : clock.wall + 1_000)
            store = MemoryStore(reopening: store)
        }
        #expect(last != nil)
    }
}
