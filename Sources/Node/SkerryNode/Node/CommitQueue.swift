package import NIOCore
package import SkerryModel
package import Store
import DequeModule
import Synchronization

/// What one transaction did that the shards must hear of once it is on the disk.
package struct CommitEffects: Sendable {
    package var events: [NodeEvent] = []
    package init() {}
}

/// The one way to the disk: jobs in, in order; one transaction a group; answers out after the commit.
///
/// There is no artificial wait: while one group is being written the next one gathers, so a lone send is answered after one `fsync` and a
/// crowd shares one. A `SkerryError` that a job throws refuses that job alone, best before it has written anything (after, its group is
/// rolled back and run again one by one); anything else fails the group.
///
/// A failed commit is final (ARCHITECTURE.md §3.9): afterwards every job is refused with `unavailable`. A full disk is not: its group is
/// refused with `storage_low` and the next one is tried; nor is a database that another program keeps busy (`unavailable`, with a time to try again).
package final class CommitQueue: Sendable {
    private struct State {
        var jobs = Deque<any CommitJob>()
        var isRunning = false
        var failure: SkerryError?
        var committed: UInt64 = 0
        var groups: UInt64 = 0
    }

    private let store: any Store
    private let limits: Limits
    private let state = Mutex(State())
    private let tap = Mutex<(any CommitTap)?>(nil)
    private let log: LogWriter
    private let publish: @Sendable ([NodeEvent]) -> Void

    package init(store: any Store, log: LogWriter, limits: Limits, publish: @escaping @Sendable ([NodeEvent]) -> Void) {
        self.store = store
        self.limits = limits
        self.log = log
        self.publish = publish
    }

    /// Queues a job that writes rows. False when the queue is full: the caller stops reading from its client, or refuses with `busy`.
    @discardableResult
    package func submit(
        loop: (any EventLoop)?, _ run: @escaping @Sendable (any StoreTransaction) throws -> Void,
        completion: @escaping @Sendable (Result<Void, SkerryError>) -> Void
    ) -> Bool {
        self.enqueue(RowJob(loop: loop, work: run, completion: completion))
    }

    /// Queues a job that appends to the log; what it returns is given to `completion` after the commit.
    @discardableResult
    package func submit<Value: Sendable>(
        loop: (any EventLoop)?, log run: @escaping @Sendable (inout LogTransaction) throws -> Value,
        completion: @escaping @Sendable (Result<Value, SkerryError>) -> Void
    ) -> Bool {
        self.enqueue(LogJob(loop: loop, work: run, completion: completion))
    }

    /// As `submit(loop:log:completion:)`, for async callers.
    package func commit<Value: Sendable>(_ run: @escaping @Sendable (inout LogTransaction) throws -> Value) async throws(SkerryError) -> Value {
        let result: Result<Value, SkerryError> = await withCheckedContinuation { continuation in
            let isQueued = self.submit(loop: nil, log: run) { continuation.resume(returning: $0) }
            if !isQueued { continuation.resume(returning: .failure(Self.busy)) }
        }
        return try result.get()
    }

    package static var busy: SkerryError { SkerryError(.busy, "The box has more to write than it can keep up with; try again shortly.", retryAfterSeconds: 1) }

    /// Jobs waiting, jobs and groups committed so far, and why writing stopped, if it did.
    package var status: (waiting: Int, committed: UInt64, groups: UInt64, failure: SkerryError?) {
        self.state.withLock { ($0.jobs.count, $0.committed, $0.groups, $0.failure) }
    }

    /// Lets `tap` take part in every group from now on.
    func attach(_ tap: any CommitTap) { self.tap.withLock { $0 = tap } }

    /// False when the queue is full.
    func enqueue(_ job: any CommitJob) -> Bool {
        enum Answer { case queued, start, full, failed(SkerryError) }
        let answer: Answer = self.state.withLock { state in
            if let failure = state.failure { return .failed(failure) }
            guard state.jobs.count < self.limits.commitQueueMax else { return .full }
            state.jobs.append(job)
            if state.isRunning { return .queued }
            state.isRunning = true
            return .start
        }
        switch answer {
        case .queued: return true
        case .full: return false
        case .start:
            self.store.onWriter { self.drain($0) }
            return true
        case .failed(let failure):
            Self.complete([(job, .failure(failure))])
            return true
        }
    }

    private func drain(_ storeWriter: any StoreWriter) {
        while true {
            let group: [any CommitJob] = self.state.withLock { state in
                let count = min(state.jobs.count, self.limits.commitGroupMax)
                let group = Array(state.jobs.prefix(count))
                state.jobs.removeFirst(count)
                if group.isEmpty { state.isRunning = false }
                return group
            }
            if group.isEmpty { return }
            self.run(group, storeWriter)
        }
    }

    private func run(_ group: [any CommitJob], _ storeWriter: any StoreWriter) {
        // What was waiting when the disk failed is refused too: a write that seems to work afterwards proves nothing.
        if let failure = self.state.withLock({ $0.failure }) {
            Self.complete(group.map { ($0, .failure(failure)) })
            return
        }
        var outcomes: [(any CommitJob, Result<Void, SkerryError>)] = []
        var effects = CommitEffects()
        let tap = self.tap.withLock { $0 }
        self.log.begin(tap)
        do {
            try storeWriter.write { transaction in
                outcomes.removeAll(keepingCapacity: true)
                effects = CommitEffects()
                for job in group {
                    let (mark, appended) = (effects.events.count, self.log.appended)
                    do {
                        try job.run(transaction, self.log, &effects)
                        outcomes.append((job, .success(())))
                    } catch let refusal as SkerryError {
                        guard self.log.appended == appended else { throw HalfWritten(refusal: refusal) }
                        effects.events.removeSubrange(mark...)
                        outcomes.append((job, .failure(refusal)))
                    }
                }
                if let tap { effects.events.append(contentsOf: try tap.finish(effects.events, transaction)) }
                try self.log.finish(transaction)
            }
        } catch {
            self.log.forget()
            tap?.failed()
            self.fail(group, error, storeWriter)
            return
        }
        tap?.committed()
        self.state.withLock {
            $0.committed += UInt64(outcomes.count { (try? $0.1.get()) != nil })
            $0.groups += 1
        }
        Self.complete(outcomes)
        if !effects.events.isEmpty { self.publish(effects.events) }
        self.log.committed()
    }

    /// A job refused itself after it had appended: nothing of it may stay, so its transaction is rolled back.
    private struct HalfWritten: Error {
        let refusal: SkerryError
    }

    private func fail(_ group: [any CommitJob], _ error: any Error, _ storeWriter: any StoreWriter) {
        let halfWritten = error as? HalfWritten
        let reason = (error as? StoreError)?.reason
        if reason == .constraint || halfWritten != nil, group.count > 1 {
            // One of them is to blame: each gets a transaction of its own.
            for job in group { self.run([job], storeWriter) }
            return
        }
        if let halfWritten {
            Self.complete(group.map { ($0, .failure(halfWritten.refusal)) })
            return
        }
        let refusal: SkerryError
        switch reason {
        case .full: refusal = SkerryError(.storageLow, "The box is out of disk space; free some and try again.")
        // Another program held the lock for longer than is waited for. The transaction was rolled back, so nothing of it is there.
        case .inUse:
            refusal = SkerryError(
                .unavailable, "Another program keeps the box's database busy; close it, then try again.", retryAfterSeconds: 1)
        case .constraint: refusal = SkerryError(.unavailable, "The box could not write this.")
        default:
            refusal = SkerryError(.unavailable, "The box's disk refuses writes; nothing new is accepted until it is repaired and Skerry restarted.")
            self.state.withLock { $0.failure = refusal }
        }
        Self.complete(group.map { ($0, .failure(refusal)) })
    }

    /// Answers every job on its own loop, one hop a loop.
    private static func complete(_ outcomes: [(any CommitJob, Result<Void, SkerryError>)]) {
        var byLoop: [ObjectIdentifier: (any EventLoop, [(any CommitJob, Result<Void, SkerryError>)])] = [:]
        for (job, outcome) in outcomes {
            guard let loop = job.loop else {
                job.complete(outcome)
                continue
            }
            byLoop[ObjectIdentifier(loop), default: (loop, [])].1.append((job, outcome))
        }
        for (loop, outcomes) in byLoop.values {
            loop.execute { for (job, outcome) in outcomes { job.complete(outcome) } }
        }
    }
}
