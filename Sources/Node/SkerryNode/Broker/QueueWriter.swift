import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store
import Synchronization

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

/// Rows of a queue that were dropped to make room for newer ones.
struct QueueDrop: Sendable {
    /// The home and key of the session.
    var shard: Int
    var key: UInt64
    /// Rows up to here that were never sent.
    var through: UInt64
}

/// What the broker's shards hear of a commit.
package struct BrokerEvent: Sendable {
    enum Kind: Sendable {
        /// Rows with this message are on the disk.
        case queued(ApplicationMessage, [QueuedRow])
        /// Older messages are gone for newer ones. Comes before the news of those.
        case dropped([QueueDrop])
        /// They are not: the transaction failed, and they may be sent.
        case kept([QueueDrop])
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
        var home: QueueHome?
    }

    private var settings: BrokerSettings
    private var limits: SessionLimits
    private let metrics: NodeMetrics
    private let statistics: BrokerStatistics
    /// Tells the shards of what the running group dropped, when it fails.
    private let publish: @Sendable ([QueueDrop]) -> Void
    private var depths: [Int32: Depth] = [:]
    /// What the running group has changed in `depths`, as it was before. Nobody hears of a failed group's numbers, so they are used again: a gap
    /// would count as messages that wait, and after a while with a full disk a nearly empty queue would seem full for good.
    private var before: [Int32: Depth] = [:]
    /// Rows that the running group has taken from sessions to drop them: from the first up to before the second.
    private var taken: [Int32: (start: UInt64, end: UInt64)] = [:]
    /// Sessions that are there: a row for one that is not is for others, or for nobody.
    private var sessions: Set<Int32> = []
    private var lastMessage: Int64?
    /// Messages that found the disk full and are ours all the same.
    let stalled = StalledPublications()
    private var interests: [UserID: [DurableInterest]] = [:]
    private let clock: BrokerClock
    private var clockWritten: UInt64 = 0

    init(
        settings: BrokerSettings, metrics: NodeMetrics, statistics: BrokerStatistics, clock: BrokerClock, publish: @escaping @Sendable ([QueueDrop]) -> Void
    ) {
        self.settings = settings
        self.limits = settings.session
        self.metrics = metrics
        self.statistics = statistics
        self.clock = clock
        self.publish = publish
    }

    /// Other limits from now on, on the writer's thread. What is queued stays.
    func change(_ settings: BrokerSettings) {
        self.settings = settings
        self.limits = settings.session
    }

    /// What became of a message for several queues.
    struct Appended {
        /// On the disk, when the transaction is.
        var rows: [QueuedRow] = []
        /// Their queue is full.
        var refused: [QueueTarget] = []
        /// Sessions that are gone and whose shared messages another member is to get.
        var stranded: [Int32] = []
        var drops: [QueueDrop] = []

        /// What the shards hear of it, in order.
        func events(_ message: ApplicationMessage) -> [NodeEvent] {
            var events: [NodeEvent] = []
            if !self.drops.isEmpty { events.append(.mqtt(BrokerEvent(kind: .dropped(self.drops)))) }
            if !self.rows.isEmpty { events.append(.mqtt(BrokerEvent(kind: .queued(message, self.rows)))) }
            return events
        }
    }

    /// Writes a row for every target whose queue has room.
    func append(
        _ message: ApplicationMessage, to targets: [QueueTarget], _ overflow: BrokerSettings.Overflow, _ store: any StoreTransaction
    ) throws -> Appended {
        var appended = Appended()
        appended.rows.reserveCapacity(targets.count)
        for target in targets {
            let isThere = self.sessions.contains(target.session)
            // The session ended while the message was on its way. Of a shared subscription it is for another member, who is found as for
            // everything else that was left in this queue (`MQTTBroker.empty`); so it joins the queue, and no power cut comes in between.
            guard isThere || target.delivery.share != nil else { continue }
            if !isThere { appended.stranded.append(target.session) }
            let byteCount = target.delivery.byteCount(of: message)
            var depth = try self.depth(target.session, store)
            if isThere, self.isFull(depth, byteCount) {
                if overflow == .dropOldest, self.isFull(depth, byteCount), let drop = try self.dropOldest(target.session, for: byteCount, store) {
                    appended.drops.append(drop)
                    depth = try self.depth(target.session, store)
                }
                if self.isFull(depth, byteCount) {
                    if !self.isFull(depth, byteCount, isBoxCounted: false) { self.metrics.add(.mqttQueuedBytesFull) }
                    self.metrics.add(.mqttQueueFull)
                    appended.refused.append(target)
                    continue
                }
            }
            depth.lastSeq += 1
            depth.count += 1
            depth.byteCount += byteCount
            depth.byteSum += Int64(byteCount)
            self.set(depth, of: target.session)
            appended.rows.append(QueuedRow(target: target, seq: depth.lastSeq))
        }
        let rows = appended.rows
        guard let first = rows.first else { return appended }
        let body = MessageCodec.encode(message)
        if rows.count == 1 {
            try self.write(first, .inline(body), store)
        } else {
            let id = try self.nextMessage(store)
            try store.putMessage(id, body: body, references: rows.count)
            for row in rows { try self.write(row, .shared(id), store) }
        }
        return appended
    }

    private func write(_ row: QueuedRow, _ body: QueuedBody, _ store: any StoreTransaction) throws {
        let delivery = row.target.delivery
        try store.appendQueue(
            QueueEntry(
                session: row.target.session, seq: row.seq, flags: QueueFlags.of(delivery), extra: QueueFlags.extra(delivery),
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

    // MARK: - Limits

    /// An empty queue takes a message whatever it weighs.
    private func isFull(_ depth: Depth, _ byteCount: Int, isBoxCounted: Bool = true) -> Bool {
        if depth.count == 0 { return false }
        if depth.count >= self.limits.queuedMessagesMax || depth.byteCount + byteCount > self.limits.queuedBytesMax { return true }
        return isBoxCounted && byteCount > self.statistics.allowance(self.settings)
    }

    /// So many old messages may go for a new one; a new one that is larger than that many goes itself.
    private static let dropMax = 1_000

    /// Drops the oldest messages that are not in flight until there is room for so many bytes. Nil: all there are, are in flight.
    private func dropOldest(_ session: Int32, for byteCount: Int, _ store: any StoreTransaction) throws -> QueueDrop? {
        guard var depth = self.depths[session], let home = depth.home else { return nil }
        var last: UInt64?
        var steps = 0
        while self.isFull(depth, byteCount), steps < Self.dropMax {
            steps += 1
            let start = home.cursor.value
            guard let row = try store.queueEntries(of: session, after: start - 1, limit: 1, bytes: 0).first else { break }
            // It may have been sent this moment; then it is the next one's turn.
            guard home.cursor.take(row.seq, from: start) else { continue }
            self.taken[session] = (self.taken[session]?.start ?? start, row.seq + 1)
            try store.removeQueue(session: session, seqs: [row.seq])
            depth.count -= 1
            depth.byteCount = depth.count == 0 ? 0 : max(0, depth.byteCount - Self.byteCount(of: row))
            self.set(depth, of: session)
            self.metrics.add(.mqttQueueFull)
            self.metrics.add(.mqttDropped)
            last = row.seq
        }
        return last.map { QueueDrop(shard: home.shard, key: home.key, through: $0) }
    }

    /// What a row counts for.
    static func byteCount(of row: QueueEntry) -> Int {
        guard case .inline(let body) = row.body else { return 0 }
        return (MessageCodec.decode(body)?.byteCount ?? body.readableBytes) + (QueueFlags.share(row)?.utf8.count ?? 0)
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

    // MARK: - Sessions

    /// A session is there, new or as it was found at the start; its next number follows the last row, as its window at home expects.
    func open(session: Int32, _ home: QueueHome, _ found: QueueFound? = nil) {
        guard self.sessions.insert(session).inserted else { return }
        var depth = found.map { Self.depth($0) } ?? Depth()
        depth.home = home
        self.replace(session, depth)
    }

    /// The queue of a session that is gone was found at the start.
    func adopt(session: Int32, _ store: any StoreTransaction) throws { _ = try self.depth(session, store) }

    /// The session is gone; its queue is emptied by `MQTTBroker.empty`, and counts until then.
    func forget(session: Int32) {
        self.sessions.remove(session)
        self.depths[session]?.home = nil
    }

    /// The queue of a session that is gone was emptied; unless a row has come since, nothing is known of it any more.
    func emptied(session: Int32, _ store: any StoreTransaction) throws {
        guard !self.sessions.contains(session), try store.queueBounds(of: session) == nil else { return }
        self.before[session] = nil
        self.replace(session, nil)
    }

    /// Queues whose depth is known, for a test of what is kept in memory.
    var depthCount: Int { self.depths.count }

    private func depth(_ session: Int32, _ store: any StoreTransaction) throws -> Depth {
        if let depth = self.depths[session], depth.isCounted { return depth }
        return try self.count(session, store)
    }

    private func count(_ session: Int32, _ store: any StoreTransaction) throws -> Depth {
        let known = self.depths[session]
        var depth = try QueueFound(session, begunMax: self.settings.begunMax, store).map { Self.depth($0) } ?? Depth()
        depth.lastSeq = max(depth.lastSeq, known?.lastSeq ?? 0)
        depth.byteSum = max(depth.byteSum, known?.byteSum ?? 0)
        depth.home = known?.home
        depth.isCounted = true
        self.set(depth, of: session)
        return depth
    }

    private static func depth(_ found: QueueFound) -> Depth {
        var depth = Depth()
        depth.lastSeq = found.bounds.last
        depth.byteSum = found.bounds.lastByteSum
        depth.count = found.count
        depth.byteCount = found.byteCount
        depth.isCounted = true
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
                let appended = try self.append(message, to: targets, self.settings.overflow, store)
                self.metrics.add(.mqttDropped, appended.refused.count)
                written += appended.events(message)
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
        guard store.hasChanges, now >= self.clockWritten + 60_000 || self.clockWritten == 0 else { return }
        var bytes: [UInt8] = []
        bytes.appendBigEndian(now)
        try store.setMeta(BrokerClock.metaName, bytes)
        self.clockWritten = now
    }

    func committed() {
        self.before.removeAll(keepingCapacity: true)
        self.taken.removeAll(keepingCapacity: true)
    }

    /// After a failed group: what was counted is not there, and what was to be dropped still is.
    func failed() {
        self.stalled.groupFailed()
        for (session, depth) in self.before where self.depths[session] != nil { self.replace(session, depth) }
        self.before.removeAll(keepingCapacity: true)
        var kept: [QueueDrop] = []
        for (session, rows) in self.taken {
            guard let home = self.depths[session]?.home else { continue }
            home.cursor.giveBack(rows.start, from: rows.end)
            kept.append(QueueDrop(shard: home.shard, key: home.key, through: rows.end - 1))
        }
        self.taken.removeAll(keepingCapacity: true)
        if !kept.isEmpty { self.publish(kept) }
        self.lastMessage = nil
        self.clockWritten = 0
    }
}
