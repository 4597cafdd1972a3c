import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store

/// A durable session that is to get a message.
struct QueueTarget: Sendable {
    /// The session's number in the tables.
    var session: Int32
    /// Its home.
    var shard: Int
    /// The session itself: its number may have gone to another when the news arrives.
    var key: UInt64
    var delivery: Delivery
}

/// A row of a queue that was written.
struct QueuedRow: Sendable {
    var target: QueueTarget
    var seq: UInt64
}

/// What the broker's shards hear of a commit.
package struct BrokerEvent: Sendable {
    enum Kind: Sendable {
        /// Rows with this message are on the disk.
        case queued(ApplicationMessage, [QueuedRow])
        /// The retained message of this topic is, or could not be put, on the disk.
        case retained(TopicName, publication: UInt64)
        /// An answer for every session of a user that listens to `v1/me/ack`.
        case answer(UserID, ByteBuffer)
        /// A message for one session, by its home: a shared subscription chose it.
        case shared(ApplicationMessage, SharedMember, TopicFilter, tried: Set<UInt64>)
    }
    let kind: Kind
}

/// A durable session's subscription to the chat, as the writer keeps it.
struct DurableInterest: Sendable {
    var session: Int32
    var shard: Int
    var key: UInt64
    /// As subscribed.
    var filter: String
    var interest: ChatInterest
    var options: MQTTSubscriptionOptions
    var subscriptionID: UInt32
}

/// The home of the durable queues' numbers, on the writer's thread: gives every row its sequence, counts what waits, keeps the limits.
///
/// A queue has many publishers on many shards and one order, that of the commits; so rows are numbered here, inside the transaction, and a
/// session takes a message when its row is on the disk. Nothing can be delivered, counted or acknowledged that a power cut would undo.
///
/// It also turns the chat's log into queue rows, in the transaction of the log entry itself: a message is in the log and in the queues of the
/// durable MQTT sessions of its audience, or in neither. There is no moment between the two to replay after a crash.
///
/// `@unchecked Sendable`: used only by jobs and the tap of the commit queue, which run one at a time on the writer's thread.
final class QueueWriter: CommitTap, @unchecked Sendable {
    private struct Depth {
        var lastSeq: UInt64 = 0
        var byteSum: Int64 = 0
        var count = 0
        var byteCount = 0
        var isCounted = false

        /// What the two ends of the queue say.
        mutating func take(_ bounds: QueueBounds?) {
            guard let bounds else { return }
            self.lastSeq = max(self.lastSeq, bounds.last)
            self.byteSum = max(self.byteSum, bounds.lastByteSum)
            self.count = Int(clamping: bounds.last - bounds.first + 1)
            self.byteCount = Int(clamping: bounds.lastByteSum - bounds.firstByteSum)
        }
    }

    private let limits: SessionLimits
    private let metrics: NodeMetrics
    private let statistics: BrokerStatistics
    private var depths: [Int32: Depth] = [:]
    /// What the running group has changed in `depths`, as it was before. Nobody hears of a failed group's numbers, so they are used again: a gap
    /// would count as messages that wait, and after a while with a full disk a nearly empty queue would seem full for good.
    private var before: [Int32: Depth] = [:]
    /// Sessions that are there: a message that was routed before a session ended must leave no row behind it.
    private var sessions: Set<Int32> = []
    private var lastMessage: Int64?
    private var interests: [UserID: [DurableInterest]] = [:]
    private let clock: BrokerClock
    private var clockWritten: UInt64 = 0

    init(limits: SessionLimits, metrics: NodeMetrics, statistics: BrokerStatistics, clock: BrokerClock) {
        self.limits = limits
        self.metrics = metrics
        self.statistics = statistics
        self.clock = clock
    }

    /// Writes a row for every target whose queue has room. Returns those rows, and for how many targets there was none.
    func append(
        _ message: ApplicationMessage, to targets: [QueueTarget], _ store: any StoreTransaction
    ) throws -> (rows: [QueuedRow], dropped: Int) {
        let byteCount = message.byteCount
        var dropped = 0
        var rows: [QueuedRow] = []
        rows.reserveCapacity(targets.count)
        for target in targets where self.sessions.contains(target.session) {
            var depth = try self.depth(target.session, store)
            if self.isFull(depth, byteCount) {
                // What was counted from the two ends of a queue includes its holes: before anything is dropped it is counted again.
                depth = try self.count(target.session, store)
                if !self.isFull(depth, byteCount), let first = try store.queueEntries(of: target.session, after: 0, limit: 1, bytes: 0).first,
                    case .inline(let body) = first.body
                {
                    // The difference of two sums leaves out the first row's own bytes.
                    depth.byteCount += body.readableBytes
                }
            }
            if self.isFull(depth, byteCount) {
                self.metrics.add(.mqttQueueFull)
                self.metrics.add(.mqttDropped)
                dropped += 1
                continue
            }
            depth.lastSeq += 1
            depth.count += 1
            depth.byteCount += byteCount
            depth.byteSum += Int64(byteCount)
            self.set(depth, of: target.session)
            rows.append(QueuedRow(target: target, seq: depth.lastSeq))
        }
        guard let first = rows.first else { return (rows, dropped) }
        let body = MessageCodec.encode(message)
        if rows.count == 1 {
            try self.write(first, .inline(body), store)
        } else {
            let id = try self.nextMessage(store)
            try store.putMessage(id, body: body, references: rows.count)
            for row in rows { try self.write(row, .shared(id), store) }
        }
        return (rows, dropped)
    }

    private func write(_ row: QueuedRow, _ body: QueuedBody, _ store: any StoreTransaction) throws {
        let delivery = row.target.delivery
        try store.appendQueue(
            QueueEntry(
                session: row.target.session, seq: row.seq, flags: QueueFlags.of(delivery), extra: QueueFlags.extra(delivery.subscriptionIDs),
                byteSum: self.depths[row.target.session]?.byteSum ?? 0, body: body))
    }

    /// Rows were acknowledged and are removed.
    func remove(session: Int32, seqs: [UInt64], byteCount: Int, _ store: any StoreTransaction) throws {
        try store.removeQueue(session: session, seqs: seqs)
        guard var depth = self.depths[session], depth.isCounted else { return }
        depth.count = max(0, depth.count - seqs.count)
        depth.byteCount = depth.count == 0 ? 0 : max(0, depth.byteCount - byteCount)
        self.set(depth, of: session)
    }

    private func isFull(_ depth: Depth, _ byteCount: Int) -> Bool {
        depth.count >= self.limits.queuedMessagesMax || (depth.count > 0 && depth.byteCount + byteCount > self.limits.queuedBytesMax)
    }

    private func set(_ depth: Depth, of session: Int32) {
        if self.before[session] == nil { self.before[session] = self.depths[session] }
        self.replace(session, depth)
    }

    /// The one place where depths change, so that their sum is right.
    private func replace(_ session: Int32, _ depth: Depth?) {
        let old = self.depths[session]
        self.depths[session] = depth
        let (count, byteCount) = ((depth?.count ?? 0) - (old?.count ?? 0), (depth?.byteCount ?? 0) - (old?.byteCount ?? 0))
        if count != 0 { self.statistics.add(.queued, count) }
        if byteCount != 0 { self.statistics.add(.queuedBytes, byteCount) }
    }

    /// A session is there, new or as it was found at the start; its next number follows its last row's, as its window at home expects.
    func open(session: Int32, bounds: QueueBounds? = nil) {
        guard self.sessions.insert(session).inserted else { return }
        var depth = Depth()
        depth.take(bounds)
        self.replace(session, depth)
    }

    func forget(session: Int32) {
        self.sessions.remove(session)
        self.replace(session, nil)
    }

    private func depth(_ session: Int32, _ store: any StoreTransaction) throws -> Depth {
        if let depth = self.depths[session], depth.isCounted { return depth }
        return try self.count(session, store)
    }

    private func count(_ session: Int32, _ store: any StoreTransaction) throws -> Depth {
        var depth = self.depths[session] ?? Depth()
        depth.isCounted = true
        depth.count = 0
        depth.byteCount = 0
        depth.take(try store.queueBounds(of: session))
        self.set(depth, of: session)
        return depth
    }

    private func nextMessage(_ store: any StoreTransaction) throws -> Int64 {
        let id = try self.lastMessage ?? store.greatestMessageID()
        self.lastMessage = id + 1
        return id + 1
    }

    // MARK: - The chat

    func add(_ interest: DurableInterest, user: UserID) {
        self.interests[user, default: []].append(interest)
    }

    func removeInterests(key: UInt64, user: UserID, where isGone: (DurableInterest) -> Bool = { _ in true }) {
        self.interests[user]?.removeAll { $0.key == key && isGone($0) }
        if self.interests[user]?.isEmpty == true { self.interests[user] = nil }
    }

    func awaits(_ user: UserID) -> Bool { self.interests[user]?.contains { $0.interest.subject == .inbox } ?? false }

    func finish(_ events: [NodeEvent], _ store: any StoreTransaction) throws -> [NodeEvent] {
        try self.keepClock(store)
        if self.interests.isEmpty { return [] }
        var written: [NodeEvent] = []
        for case .push(let push) in events where !push.isEphemeral {
            let kind = PushKind(push.frame)
            guard kind.isKept else { continue }
            for (message, targets) in self.receivers(of: push, kind) {
                let rows = try self.append(message, to: targets, store).rows
                if !rows.isEmpty { written.append(.mqtt(BrokerEvent(kind: .queued(message, rows)))) }
            }
        }
        return written
    }

    private struct Wording: Hashable {
        var topic: TopicName
        var isOwn: Bool
    }

    private func receivers(of push: ChatPush, _ kind: PushKind) -> [(ApplicationMessage, [QueueTarget])] {
        var targets: [Wording: [QueueTarget]] = [:]
        for user in push.audience {
            guard let interests = self.interests[user] else { continue }
            for interest in interests {
                guard let topic = interest.interest.topic(for: push, kind) else { continue }
                let delivery = Delivery(
                    qos: interest.options.qos, isRetained: false, subscriptionIDs: interest.subscriptionID == 0 ? [] : [interest.subscriptionID])
                targets[Wording(topic: topic, isOwn: push.own?.user == user), default: []].append(
                    QueueTarget(session: interest.session, shard: interest.shard, key: interest.key, delivery: delivery))
            }
        }
        return targets.map { wording, targets in
            let frame = wording.isOwn ? push.own?.frame ?? push.frame : push.frame
            return (ApplicationMessage(topic: wording.topic, payload: frame, qos: .exactlyOnce), targets)
        }
    }

    /// Once in a while, with whatever else is written.
    private func keepClock(_ store: any StoreTransaction) throws {
        let now = self.clock.now()
        guard now >= self.clockWritten + 60_000 || self.clockWritten == 0 else { return }
        var bytes: [UInt8] = []
        bytes.appendBigEndian(now)
        try store.setMeta(BrokerClock.metaName, bytes)
        self.clockWritten = now
    }

    func committed() { self.before.removeAll(keepingCapacity: true) }

    /// After a failed group: what was counted is not there.
    func failed() {
        for (session, depth) in self.before where self.depths[session] != nil { self.replace(session, depth) }
        self.before.removeAll(keepingCapacity: true)
        self.lastMessage = nil
        self.clockWritten = 0
    }
}
