package import SkerryModel
package import Store
import Synchronization

/// The store contract in memory: the reference that SQLite is compared with, and the disk of simulations.
///
/// A transaction works on a copy of the state and replaces it at the commit, so a failed one leaves nothing behind.
package final class MemoryStore: Store {
    package enum Mode: Sendable {
        /// Work runs at once: a read on the caller's thread, writing work on the thread of whoever finds the writer idle.
        case inline
        /// Work waits until `step()`.
        case manual
    }

    /// What shall go wrong, counted from when it is set; then it is forgotten.
    package enum Failure: Sendable {
        /// The `number`-th single write (from 1).
        case write(Int, StoreError)
        /// The `number`-th commit (from 1). With `isApplied` it is on the disk although it is reported as failed.
        case commit(Int, StoreError, isApplied: Bool)
    }

    fileprivate enum Job {
        case write(@Sendable (any StoreWriter) -> Void)
        case read(@Sendable (MemoryState?) -> Void)
    }

    private enum ReadAnswer { case now(MemoryState?), queued, busy }

    private struct Queue {
        var jobs: [Job] = []
        var isRunning = false
        var isClosed = false
        var generation = 0
        var failure: Failure?
    }

    private let mode: Mode
    private let limits: Limits
    private let committed = Mutex(MemoryState())
    private let queue = Mutex(Queue())

    package init(_ mode: Mode = .inline, limits: Limits = Limits()) {
        self.mode = mode
        self.limits = limits
    }

    /// What `store` has committed, opened anew: a restart.
    package convenience init(reopening store: MemoryStore) {
        self.init(store.mode, limits: store.limits)
        let state = store.state
        self.committed.withLock { $0 = state }
    }

    // MARK: - Store

    package func onWriter(_ work: @escaping @Sendable (any StoreWriter) -> Void) {
        let isClosed = self.queue.withLock { queue in
            if !queue.isClosed { queue.jobs.append(.write(work)) }
            return queue.isClosed
        }
        if isClosed { return work(MemoryWriter(store: self, generation: -1)) }
        if self.mode == .inline { self.drain() }
    }

    package func read<Value: Sendable>(
        _ work: @escaping @Sendable (any StoreReading) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) {
        let run: @Sendable (MemoryState?) -> Void = { state in
            guard let state else { return completion(.failure(Self.closed)) }
            completion(Result { try work(MemoryReader(state)) })
        }
        let answer: ReadAnswer = self.queue.withLock { queue in
            if queue.isClosed { return .now(nil) }
            if self.mode == .inline { return .now(self.state) }
            guard queue.jobs.count(where: \.isRead) < self.limits.readQueueMax else { return .busy }
            queue.jobs.append(.read(run))
            return .queued
        }
        switch answer {
        case .now(let state): run(state)
        case .queued: break
        case .busy: completion(.failure(SkerryError(.busy, "Too many reads are waiting.")))
        }
    }

    package var sizeBytes: Int { self.state.sizeBytes }

    package func close() {
        let jobs = self.queue.withLock { queue in
            queue.isClosed = true
            queue.generation += 1
            defer { queue.jobs.removeAll() }
            return queue.jobs
        }
        for job in jobs {
            switch job {
            case .write(let work): work(MemoryWriter(store: self, generation: -1))
            case .read(let run): run(nil)
            }
        }
    }

    // MARK: - What tests do to it

    /// Runs the oldest job that waits; false when none does.
    @discardableResult
    package func step() -> Bool { self.step { _ in true } }

    /// Runs the oldest waiting read, or write: reads and writes do not wait for each other in a real store.
    @discardableResult
    package func step(reads: Bool) -> Bool { self.step { $0.isRead == reads } }

    /// Jobs waiting.
    package var waiting: Int { self.queue.withLock { $0.jobs.count } }

    /// The power goes: what waits is forgotten without an answer, a transaction under way will not commit; what was committed stays.
    package func crash() {
        self.queue.withLock {
            $0.jobs.removeAll()
            $0.generation += 1
        }
    }

    package func fail(_ failure: Failure?) { self.queue.withLock { $0.failure = failure } }

    // MARK: - Plumbing

    static let closed = StoreError(.closed, "The store was closed.")

    fileprivate var state: MemoryState { self.committed.withLock { $0 } }

    private func drain() {
        // Whoever comes while a job runs leaves it here and goes: work started inside work runs after it, in order.
        while true {
            let job: Job? = self.queue.withLock { queue in
                guard !queue.isRunning, !queue.jobs.isEmpty else { return nil }
                queue.isRunning = true
                return queue.jobs.removeFirst()
            }
            guard let job else { return }
            self.run(job)
            self.queue.withLock { $0.isRunning = false }
        }
    }

    private func step(_ isWanted: (Job) -> Bool) -> Bool {
        let job: Job? = self.queue.withLock { queue in
            guard let index = queue.jobs.firstIndex(where: isWanted) else { return nil }
            return queue.jobs.remove(at: index)
        }
        guard let job else { return false }
        self.run(job)
        return true
    }

    private func run(_ job: Job) {
        switch job {
        case .write(let work): work(MemoryWriter(store: self, generation: self.queue.withLock { $0.generation }))
        case .read(let run): run(self.state)
        }
    }

    /// Counts one write of a transaction; the error it shall fail with, if it is its turn.
    fileprivate func countWrite() -> StoreError? {
        self.queue.withLock { queue in
            guard case .write(let number, let error) = queue.failure else { return nil }
            queue.failure = number > 1 ? .write(number - 1, error) : nil
            return number > 1 ? nil : error
        }
    }

    fileprivate func commit(_ state: MemoryState, generation: Int) throws(StoreError) {
        let failure: (error: StoreError, isApplied: Bool)? = self.queue.withLock { queue in
            guard queue.generation == generation else { return (Self.closed, false) }
            guard case .commit(let number, let error, let isApplied) = queue.failure else { return nil }
            queue.failure = number > 1 ? .commit(number - 1, error, isApplied: isApplied) : nil
            return number > 1 ? nil : (error, isApplied)
        }
        if failure?.isApplied ?? true { self.committed.withLock { $0 = state } }
        if let failure { throw failure.error }
    }

    /// The state a transaction starts from; nil after a crash or a close.
    fileprivate func begin(generation: Int) -> MemoryState? {
        self.queue.withLock { $0.generation } == generation ? self.state : nil
    }
}

extension MemoryStore.Job {
    fileprivate var isRead: Bool {
        switch self {
        case .read: true
        case .write: false
        }
    }
}

private final class MemoryWriter: StoreWriter {
    private let store: MemoryStore
    private let generation: Int

    init(store: MemoryStore, generation: Int) {
        self.store = store
        self.generation = generation
    }

    func write(_ body: (any StoreTransaction) throws -> Void) throws {
        guard let state = self.store.begin(generation: self.generation) else { throw MemoryStore.closed }
        let transaction = MemoryTransaction(state, countWrite: self.store.countWrite)
        try body(transaction)
        if let failure = transaction.failure { throw failure }
        try self.store.commit(transaction.state, generation: self.generation)
    }
}
