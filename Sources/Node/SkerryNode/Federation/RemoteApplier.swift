import Account
import ChatCodec
import NIOCore
import Replication
import SkerryModel
import Store
import Synchronization

/// Brings batches of other boxes to the disk: their bytes as they came, the rows they mean, and what live sessions are to hear.
final class ApplyJob: CommitJob {
    let loop: (any EventLoop)? = nil
    private let batches: [IncomingBatch]
    private let feed: ReplicaFeed
    private let metrics: NodeMetrics
    private let completion: @Sendable (Result<[LogEpoch: UInt64], SkerryError>) -> Void
    /// Written on the writer's thread, read where the job is completed; the hand-over orders the two.
    private let outcome = Mutex<(heads: [LogEpoch: UInt64], endings: [Ending], counts: RemoteApplier.Counts)>(([:], [], .init()))

    init(
        _ batches: [IncomingBatch], feed: ReplicaFeed, metrics: NodeMetrics,
        completion: @escaping @Sendable (Result<[LogEpoch: UInt64], SkerryError>) -> Void
    ) {
        self.batches = batches
        self.feed = feed
        self.metrics = metrics
        self.completion = completion
    }

    func run(_ transaction: any StoreTransaction, _ log: LogWriter, _ effects: inout CommitEffects) throws {
        var applier = RemoteApplier(transaction, log)
        for batch in self.batches { try applier.take(batch) }
        try applier.finish()
        effects.events += applier.context.events
        let outcome = (applier.heads, applier.endings, applier.counts)
        self.outcome.withLock { $0 = outcome }
    }

    func complete(_ outcome: Result<Void, SkerryError>) {
        let result = self.outcome.withLock { $0 }
        if case .success = outcome {
            // Before the queue publishes the events of this commit, as for what is decided here.
            self.feed.ended(result.endings)
            result.counts.add(to: self.metrics)
            self.feed.advance()
        }
        self.completion(outcome.map { result.heads })
    }
}

/// One transaction's worth of other boxes' entries.
struct RemoteApplier {
    struct Counts: Sendable {
        var applied = 0
        var unknown = 0
        var unreadable = 0
        var aheadOfTime = 0
        var refused = 0

        func add(to metrics: NodeMetrics) {
            metrics.add(.replicaApplied, self.applied)
            metrics.add(.replicaUnknown, self.unknown)
            metrics.add(.replicaUnreadable, self.unreadable)
            metrics.add(.replicaAheadOfTime, self.aheadOfTime)
            metrics.add(.replicaRefused, self.refused)
        }
    }

    /// Epochs of all boxes together; a batch of one more is left out.
    static let epochsMax = 100_000
    private static let seqMax: UInt64 = 0xFF_FFFF_FFFF

    private let store: any StoreTransaction
    private let log: LogWriter
    private let views: ViewBuilder
    var context: LogTransaction
    private(set) var heads: [LogEpoch: UInt64] = [:]
    private(set) var endings: [Ending] = []
    private(set) var counts = Counts()
    private var areRulesTouched = false
    /// Conversations whose members have not been shown the change yet, and who is no longer in them.
    private var touched: [ConversationID] = []
    private var left: [(ConversationID, UserID)] = []

    init(_ store: any StoreTransaction, _ log: LogWriter) {
        self.store = store
        self.log = log
        self.views = ViewBuilder(store)
        self.context = LogTransaction(store: store, log: log)
    }

    mutating func take(_ incoming: IncomingBatch) throws {
        let batch = incoming.batch
        // What this run writes itself nobody else knows better.
        guard !self.log.isWriting(batch.log), try self.log.hasRoom(for: batch.log, max: Self.epochsMax, self.store) else {
            self.counts.refused += 1
            return
        }
        var record = try self.log.epoch(batch.log, self.store)
        defer { self.heads[batch.log] = record.head }
        // A batch is kept whole, or it could not be given on: what it has is not skipped.
        let reach = batch.items.isEmpty ? UInt64.max : max(1, batch.firstSeq) - 1
        if let skipped = incoming.skippedUpTo.map({ min($0, reach) }), skipped > record.head, skipped <= Self.seqMax {
            try self.store.skip(record.number, upTo: skipped)
            record.head = skipped
            record.lowWater = skipped
            self.log.moved(record)
        }
        guard !batch.items.isEmpty, batch.lastSeq > record.head else { return }
        guard batch.firstSeq <= record.head + 1, batch.lastSeq <= Self.seqMax, batch.items.count <= Batch.entriesMax else {
            // Not what the engine promises: it asks again.
            self.counts.refused += 1
            return
        }
        for item in batch.items.dropFirst(Int(record.head + 1 - batch.firstSeq)) {
            let position = LocalPosition(epoch: record.number, seq: record.head + 1)
            record.head = position.seq
            switch item {
            case .dropped(let hash):
                try self.store.append(dropped: hash, at: position)
                self.log.moved(record)
            case .entry(let bytes):
                try self.store.append(bytes, at: position)
                try self.apply(bytes, &record, position)
            }
        }
        if !batch.signature.isEmpty {
            try self.store.put(
                BatchRecord(epoch: record.number, firstSeq: batch.firstSeq, count: batch.items.count, signature: batch.signature))
        }
    }

    private mutating func apply(_ bytes: [UInt8], _ record: inout EpochRecord, _ position: LocalPosition) throws {
        let entry: Entry
        do {
            entry = try EntryCodec.decode(bytes)
        } catch {
            self.counts.unreadable += 1
            self.log.moved(record)
            return
        }
        if record.birth.rawValue == 0 {
            record.birth = entry.hlc
            try self.store.setBirth(entry.hlc, of: record.number)
        }
        self.log.moved(record)
        if try !self.log.observe(entry.hlc, self.store) { self.counts.aheadOfTime += 1 }
        if case .unknown = entry.body {
            self.counts.unknown += 1
            return
        }
        guard entry.body.stream == record.log.stream else {
            self.counts.unreadable += 1
            return
        }
        let order = Order(hlc: entry.hlc, origin: record.log.origin, epoch: record.log.epoch, seq: position.seq)
        let before = try Before(entry.body, self.store)
        let outcome = try Applier.apply(entry.body, order: order, position: position, to: self.store, isMember: self.log.isMember)
        self.counts.applied += 1
        if outcome == .written { try self.tell(entry.body, order, before) }
    }

    /// What stood in a row that decides about live sessions.
    private enum Before {
        case none
        case user(UserRecord?)
        case device(DeviceRecord?)

        init(_ body: EntryBody, _ store: any StoreReading) throws {
            switch body {
            case .user(let entry): self = .user(try store.user(entry.id))
            case .device(let entry): self = .device(try store.device(entry.id))
            default: self = .none
            }
        }
    }

    // MARK: - What sessions hear

    private mutating func tell(_ body: EntryBody, _ order: Order, _ before: Before) throws {
        switch body {
        case .user(let entry): if case .user(let row) = before { try self.tell(entry, row) }
        case .device(let entry): if case .device(let row) = before { self.tell(entry, row) }
        case .accessRule: self.areRulesTouched = true
        case .member: self.log.memberTouched()
        case .conversation(let entry): try self.touch(entry.id)
        case .membership(let entry):
            self.log.membersChanged(entry.conversation)
            try self.touch(entry.conversation)
            if entry.state == .member {
                self.context.joined.append((entry.conversation, entry.user, order))
            } else {
                self.left.append((entry.conversation, entry.user))
            }
        case .message(let entry):
            try self.showTouched()
            guard try self.context.isHeard(entry.conversation), let row = try self.store.message(entry.id) else { return }
            let change: ChangeView
            if row.isChanged {
                guard var view = try self.views.message(row) else { return }
                view.isReplicated = true
                change = .message(view)
            } else {
                change = .message(
                    MessageView(
                        id: entry.id, conversation: entry.conversation, order: order, sender: entry.sender, cid: entry.cid, content: entry.content,
                        replyTo: entry.replyTo, isReplicated: true))
            }
            try self.context.push(change, seeing: order, in: entry.conversation, own: entry.sender, from: entry.sender)
        case .edit(let change, let text):
            guard let row = try self.changed(change), try self.store.recall(of: row.id) == nil else { return }
            try self.showTouched()
            try self.context.push(.edit(change, text: text, order), seeing: row.order, in: row.conversation, from: row.sender)
        case .recall(let change):
            guard let row = try self.changed(change) else { return }
            try self.showTouched()
            try self.context.push(.recall(change, order), seeing: row.order, in: row.conversation, from: row.sender)
        case .reaction(let change, let emoji, let isOn):
            guard let row = try self.changed(change), try self.store.recall(of: row.id) == nil else { return }
            try self.showTouched()
            try self.context.push(.reaction(change, emoji: emoji, isOn: isOn, order), seeing: row.order, in: row.conversation, from: row.sender)
        case .receipt(let conversation, let user, let received, let read):
            guard try self.context.isHeard(conversation) else { return }
            try self.showTouched()
            try self.context.push(.receipt(conversation, user, received: received, read: read), in: conversation)
        case .block, .invite, .retained, .unknown: return
        }
    }

    /// The message that is changed, if it is here and somebody hears of it.
    private func changed(_ change: MessageChange) throws -> MessageRow? {
        guard let row = try self.store.message(change.target), try self.context.isHeard(row.conversation) else { return nil }
        return row
    }

    private mutating func tell(_ entry: UserEntry, _ before: UserRecord?) throws {
        // Who has the name may be another one now.
        let namesakes = try self.store.namesakes(nameKey: UserName.key(of: entry.name))
        if namesakes.count > 1 { for user in namesakes { self.end(user.id, nil, nil) } }
        guard let before else { return }
        if entry.role != before.role {
            self.context.events.append(.roleChanged(entry.id, entry.role))
            self.end(entry.id, nil, entry.role == .user ? .shutdown : nil)
        }
        if entry.isLocked != before.isLocked { self.end(entry.id, nil, entry.isLocked ? .locked : nil) }
        if entry.passwordHash != before.passwordHash { self.end(entry.id, AccountService.mqttDevice(of: entry.id), .revoked) }
        if entry.name != before.name { self.end(entry.id, nil, nil) }
    }

    private mutating func tell(_ entry: DeviceEntry, _ before: DeviceRecord?) {
        guard let before, entry.isRevoked && !before.isRevoked || entry.user != before.user || entry.tokenHash != before.tokenHash else { return }
        self.end(before.user, before.id, .revoked)
    }

    private mutating func end(_ user: UserID, _ device: DeviceID?, _ reason: SessionEnd?) {
        self.endings.append(Ending(user: user, device: device, reason: reason))
        if let reason { self.context.events.append(.endSessions(user, device, reason)) }
    }

    private mutating func touch(_ conversation: ConversationID) throws {
        if !self.touched.contains(conversation) { self.touched.append(conversation) }
        // Each is shown as it is at the end of a run of entries about it; of very many, in between too.
        if self.touched.count >= Self.touchedMax { try self.showAll() }
    }

    private static let touchedMax = 256

    /// Before anything is pushed that moves cursors on, what waits must have been told: a cursor would pass over it.
    private mutating func showTouched() throws {
        if !self.touched.isEmpty { try self.showAll() }
    }

    /// None of these moves a cursor: they tell of many entries, and a client may go away after any of them. It hears of them again then.
    private mutating func showAll() throws {
        let (touched, left) = (self.touched, self.left)
        (self.touched, self.left) = ([], [])
        for conversation in touched { try self.context.pushConversation(conversation, moves: false) }
        for (conversation, user) in left where self.context.isHeard(user) {
            if try self.store.membership(conversation, user)?.isMember != true { try self.context.pushLeft(conversation, to: user, moves: false) }
        }
    }

    mutating func finish() throws {
        try self.showAll()
        if self.areRulesTouched { self.context.events.append(.rulesChanged(AccessRules(try self.store.accessRules()))) }
    }
}
