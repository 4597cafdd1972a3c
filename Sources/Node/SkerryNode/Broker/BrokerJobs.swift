import DequeModule
import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store
import Synchronization

/// Writes what a message leaves on the disk, in one transaction: a row for each durable receiver, the retained message, and the end of the
/// publisher's own half of a QoS 2 exchange.
final class PublicationJob: CommitJob {
    struct Outcome: Sendable {
        /// Receivers whose queue was full.
        var refused = 0
        /// Sessions that were gone, with a message in their queue that another member of a shared subscription is to get.
        var stranded: [Int32] = []
        /// There was no room to retain it.
        var isRetainedFull = false
    }

    let loop: (any EventLoop)? = nil
    private let publication: Publication
    private let targets: [QueueTarget]
    private let queue: QueueWriter
    private let settings: BrokerSettings
    private let metrics: NodeMetrics
    private let retention: Retention
    private let completion: @Sendable (Result<Outcome, SkerryError>) -> Void
    private let outcome = Mutex(Outcome())

    init(
        _ publication: Publication, targets: [QueueTarget], queue: QueueWriter, settings: BrokerSettings, metrics: NodeMetrics, retention: Retention,
        completion: @escaping @Sendable (Result<Outcome, SkerryError>) -> Void
    ) {
        self.publication = publication
        self.targets = targets
        self.queue = queue
        self.settings = settings
        self.metrics = metrics
        self.retention = retention
        self.completion = completion
    }

    func run(_ transaction: any StoreTransaction, _ log: LogWriter, _ effects: inout CommitEffects) throws {
        // Before anything is written, so that it refuses itself alone.
        guard !self.publication.isOurs || self.queue.stalled.admits(self.publication) else {
            throw SkerryError(.storageLow, "Other messages wait for room on the disk.")
        }
        var outcome = Outcome()
        let message = self.publication.message
        if self.publication.retains {
            var context = LogTransaction(store: transaction, log: log)
            outcome.isRetainedFull = try !self.retain(message, &context)
            effects.events += context.events
        }
        let appended = try self.queue.append(message, to: self.targets, self.publication.overflow, transaction)
        outcome.refused = appended.refused.count
        outcome.stranded = appended.stranded
        if self.publication.offer == nil { self.metrics.add(.mqttDropped, appended.refused.count) }
        if let held = self.publication.held { try transaction.removeInbound(session: held.session, packetID: held.packetID) }
        effects.events += appended.events(message)
        self.outcome.withLock { $0 = outcome }
    }

    /// False when the limit is reached. An empty payload clears what is there [MQTT-3.3.1-6].
    private func retain(_ message: ApplicationMessage, _ context: inout LogTransaction) throws -> Bool {
        let store = context.store
        if message.payload.readableBytes == 0 {
            try self.retention.clear(message.topic, &context)
            return true
        }
        let body = MessageCodec.encode(message)
        let byteCount = body.readableBytes + message.topic.byteCount
        if try !self.hasRetainedRoom(for: byteCount, at: message.topic, store) {
            // What has expired is as good as gone.
            let expired = try store.removeRetained(expiredAt: self.retention.sweepTime, limit: Self.expiredMax)
            self.metrics.add(.mqttRetainedExpired, expired)
            guard expired > 0, try self.hasRetainedRoom(for: byteCount, at: message.topic, store) else {
                self.metrics.add(.mqttRetainedFull)
                return false
            }
        }
        try self.retention.keep(message, body: body, &context)
        return true
    }

    /// So many expired retained messages one new one may sweep out.
    private static let expiredMax = 100

    private func hasRetainedRoom(for byteCount: Int, at topic: TopicName, _ store: any StoreTransaction) throws -> Bool {
        var totals = try store.retainedTotals()
        if totals.count < self.settings.retainedMessagesMax && totals.bytes + byteCount <= self.settings.retainedBytesMax { return true }
        guard let old = try store.retained(topic: topic.text) else { return false }
        let oldByteCount = old.body.readableBytes + topic.byteCount
        // Whoever lowered the limits did not mean that what is there cannot be brought up to date.
        if byteCount <= oldByteCount { return true }
        totals.count -= 1
        totals.bytes -= oldByteCount
        return totals.count < self.settings.retainedMessagesMax && totals.bytes + byteCount <= self.settings.retainedBytesMax
    }

    func complete(_ outcome: Result<Void, SkerryError>) { self.completion(outcome.map { self.outcome.withLock { $0 } }) }
}

/// The broker's way into the commit queue. What does not fit waits here, in order, and is offered again; there is never much of it, because
/// connections whose messages wait are not read.
final class BrokerWrites: Sendable {
    private struct State {
        var waiting = Deque<any CommitJob>()
        var isRetrying = false
    }

    private let commits: CommitQueue
    private let loop: any EventLoop
    private let state = Mutex(State())

    init(commits: CommitQueue, loop: any EventLoop) {
        self.commits = commits
        self.loop = loop
    }

    func submit(_ job: any CommitJob) {
        if self.state.withLock(\.waiting.isEmpty), self.commits.enqueue(job) { return }
        let starts = self.state.withLock { state in
            state.waiting.append(job)
            defer { state.isRetrying = true }
            return !state.isRetrying
        }
        if starts { self.retryLater() }
    }

    /// Rows that need no decision.
    func rows(
        loop: (any EventLoop)?, _ work: @escaping @Sendable (any StoreTransaction) throws -> Void,
        completion: @escaping @Sendable (Result<Void, SkerryError>) -> Void = { _ in }
    ) {
        self.submit(RowJob(loop: loop, work: work, completion: completion))
    }

    private func retryLater() { self.loop.scheduleTask(in: .milliseconds(5)) { self.retry() } }

    private func retry() {
        while let job = self.state.withLock({ $0.waiting.first }) {
            guard self.commits.enqueue(job) else { return self.retryLater() }
            self.state.withLock { _ = $0.waiting.removeFirst() }
        }
        let isDone = self.state.withLock { state in
            if state.waiting.isEmpty { state.isRetrying = false }
            return state.waiting.isEmpty
        }
        if !isDone { self.retryLater() }
    }
}
