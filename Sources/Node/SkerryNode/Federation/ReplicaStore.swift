package import Replication
package import SkerryModel
import ChatCodec
import NIOCore
import Store

/// Hears of what this box has just written to its log, on the writer's thread, right after the commit and in its order.
package protocol ReplicationListener: AnyObject, Sendable {
    func appended(_ runs: [CommittedRun])
    /// The member list changed, by an entry of this box or of another.
    func membersChanged()
}

/// The box's log as its federation sees it: what is committed here, what others wrote, and what may be read for them.
///
/// Everything that other boxes wrote comes in by `apply`, through the commit queue and the `Applier`: the same rows, the same pushes to
/// live clients as for what is written here.
package final class ReplicaStore: Sendable {
    package let node: Node
    private var feed: ReplicaFeed { self.node.replication }

    package init(node: Node) { self.node = node }

    /// From now on `listener` hears what is appended. With nobody listening nothing is gathered.
    ///
    /// To be called before `load`: what is appended between the two is then in both, and nothing in neither.
    package func listen(_ listener: (any ReplicationListener)?) { self.feed.listen(listener) }

    /// `check`: whether the CA's signature on a member row holds. A row of another box for which it does not is kept and not applied.
    package func checkMembers(_ check: (@Sendable (MemberEntry) -> Bool)?) { self.feed.checkMembers(check) }

    // MARK: - Starting

    private static let startCounterName = "start"
    /// Before the names of what `persist` keeps.
    private static let keptPrefix = "fed."

    /// Heads and low-water marks of every epoch, the start counter raised by one durably, and what `persist` kept.
    package func load() async throws(SkerryError) -> EngineStored {
        let (box, held) = (self.node.box, self.feed.held)
        let nonce = self.node.random.next()
        return try await self.node.commits.commit { log in
            let counter = (try log.store.meta(Self.startCounterName)?.bigEndian(at: 0) ?? 0) &+ 1
            var bytes: [UInt8] = []
            bytes.appendBigEndian(counter)
            try log.store.setMeta(Self.startCounterName, bytes)
            var stored = EngineStored(startCounter: counter, startNonce: nonce)
            for epoch in try log.store.epochs() {
                stored.heads[epoch.log] = epoch.head
                if log.isWriting(epoch.log) { stored.current.insert(epoch.log) }
                if epoch.lowWater > 0 { stored.lowWater[epoch.log] = epoch.lowWater }
                if epoch.log.origin == box { held.add(epoch.log, number: epoch.number, upTo: epoch.replicated) }
            }
            held.activate()
            for (name, value) in try log.store.metas(prefix: Self.keptPrefix) { stored.kept[String(name.dropFirst(Self.keptPrefix.count))] = value }
            return stored
        }
    }

    // MARK: - Writing

    /// Applies in one transaction and in order; the heads of the epochs it touched. `storageLow` and `unavailable` are worth another try later.
    package func apply(
        _ batches: [IncomingBatch], completion: @escaping @Sendable (Result<[LogEpoch: UInt64], SkerryError>) -> Void
    ) {
        if batches.isEmpty { return completion(.success([:])) }
        let job = ApplyJob(batches, feed: self.feed, metrics: self.node.metrics, completion: completion)
        if !self.node.commits.enqueue(job) { completion(.failure(CommitQueue.busy)) }
    }

    /// Kept durably, soon; the last of the same name counts.
    package func persist(name: String, _ value: [UInt8]) {
        self.node.commits.submit(
            loop: nil, { store in try store.setMeta(Self.keptPrefix + name, value) }, completion: { (_: Result<Void, SkerryError>) in })
    }

    /// These epochs are over and the same everywhere: cursors may fold them.
    package func final(_ logs: [LogEpoch]) { _ = self.node.commits.enqueue(FinalJob(logs)) }

    // MARK: - Reading

    package func range(
        of log: LogEpoch, from seq: UInt64, bytesMax: Int, completion: @escaping @Sendable (RangeAnswer) -> Void
    ) {
        let isOwn = log.origin == self.node.box
        self.node.store.read { store in
            try RangeReader(store).answer(log, from: max(1, seq), bytesMax: bytesMax, isOwn: isOwn)
        } completion: { result in
            completion((try? result.get()) ?? .absent)
        }
    }

    package func members() async throws(SkerryError) -> [MemberEntry] {
        do {
            return try await self.node.store.read { store in try store.members().map(\.entry) }
        } catch {
            throw ChatService.refusal(error)
        }
    }

    // MARK: - Telling senders

    /// Message ids in one push.
    private static let idsMax = 256

    /// Other boxes hold this box's entries up to here: tells their senders.
    package func replicated(_ log: LogEpoch, upTo seq: UInt64) {
        guard log.origin == self.node.box, self.feed.held.raise(log, upTo: seq) else { return }
        struct Key: Hashable {
            var sender: UserID
            var conversation: ConversationID
        }
        var ids: [Key: [MessageID]] = [:]
        for recent in self.feed.take(log, upTo: seq) where self.node.online.isHere(recent.sender) {
            ids[Key(sender: recent.sender, conversation: recent.conversation), default: []].append(recent.message)
        }
        var events: [NodeEvent] = []
        for (key, messages) in ids {
            for start in stride(from: 0, to: messages.count, by: Self.idsMax) {
                let frame = ChatFrame.push("replicated") {
                    $0.field("conv", key.conversation)
                    $0.array("mids", messages[start..<min(start + Self.idsMax, messages.count)]) { $0.string($1.description) }
                }
                events.append(.push(ChatPush(audience: [key.sender], conversation: key.conversation, frame: frame, isEphemeral: true)))
            }
        }
        if !events.isEmpty { self.node.publish(events) }
    }
}

/// Marks epochs as final, on the writer's thread because the cursors made there change with it.
private final class FinalJob: CommitJob {
    let loop: (any EventLoop)? = nil
    private let logs: [LogEpoch]

    init(_ logs: [LogEpoch]) { self.logs = logs }

    func run(_ transaction: any StoreTransaction, _ log: LogWriter, _ effects: inout CommitEffects) throws {
        for epoch in self.logs where !log.isWriting(epoch) {
            guard var record = try transaction.epoch(epoch), !record.isFinal else { continue }
            try transaction.setFinal(record.number)
            record.isFinal = true
            log.moved(record)
        }
    }

    func complete(_ outcome: Result<Void, SkerryError>) {}
}

/// What another box may be given of a log.
struct RangeReader {
    private let store: any StoreReading
    /// What a batch takes beside its entries, roughly.
    private static let batchBytes = 128

    init(_ store: any StoreReading) { self.store = store }

    func answer(_ log: LogEpoch, from seq: UInt64, bytesMax: Int, isOwn: Bool) throws -> RangeAnswer {
        guard let epoch = try self.store.epoch(log), seq <= epoch.head else { return .absent }
        if seq <= epoch.lowWater { return .skipped(upTo: epoch.lowWater) }
        if isOwn {
            let items = try self.items(epoch, from: seq, through: epoch.head, bytesMax)
            return items.isEmpty ? .absent : .batches([Batch(log: log, firstSeq: seq, items: items)])
        }
        var batches: [Batch] = []
        var (count, bytes) = (0, 0)
        for record in try self.store.batches(of: epoch.number, covering: seq, limit: Batch.entriesMax) {
            guard count == 0 || count + record.count <= Batch.entriesMax else { break }
            let items = try self.items(epoch, from: record.firstSeq, through: record.lastSeq, .max)
            guard items.count == record.count else { break }
            bytes += items.reduce(Self.batchBytes) { $0 + $1.byteCount + 4 }
            guard batches.isEmpty || bytes <= bytesMax else { break }
            batches.append(Batch(log: log, firstSeq: record.firstSeq, items: items, signature: record.signature))
            count += record.count
        }
        return batches.isEmpty ? .absent : .batches(batches)
    }

    private func items(_ epoch: EpochRecord, from seq: UInt64, through last: UInt64, _ bytesMax: Int) throws -> [BatchItem] {
        let items = try self.store.items(of: epoch.number, from: seq, through: last, limit: Batch.entriesMax, bytes: bytesMax)
        // A gap would move everything behind it.
        return items.enumerated().prefix { $0.element.seq == seq + UInt64($0.offset) }.map { item in
            switch item.element.content {
            case .entry(let bytes): .entry(bytes)
            case .dropped(let hash): .dropped(hash: hash)
            }
        }
    }
}

extension BatchItem {
    fileprivate var byteCount: Int {
        switch self {
        case .entry(let bytes), .dropped(let bytes): bytes.count
        }
    }
}
