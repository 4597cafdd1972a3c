package import Replication
package import SkerryModel
import Crypto
import Store
import Synchronization

/// What a step of tidying did.
package struct TidyOutcome: Sendable, Hashable {
    /// Where the next step goes on; nil: the pass is over.
    package var next: LocalPlace?
    /// Epochs whose beginning went for good: the engine must know, so that it says so when asked.
    package var lowWater: [LogEpoch: UInt64] = [:]
    package var dropped = 0
}

/// A place in the logs as this box numbers them: means nothing elsewhere.
package struct LocalPlace: Sendable, Hashable {
    fileprivate var epoch: Int32 = 0
    fileprivate var seq: UInt64 = 1
    package init() {}
}

extension ReplicaStore {
    /// Entries that one step looks at: a few milliseconds of the writer's time.
    package static let tidyMax = 256

    /// Lets go of a few entries that are dead by the rules of all boxes (FEDERATION.md §2.6), in one transaction: of what was superseded or
    /// expired the hash stays, because others sign for it; what expired from an epoch's beginning on goes wholly.
    ///
    /// To be called from time to time, from `LocalPlace()` on until a step has no next. Messages go only when `policy` says so.
    package func tidy(from place: LocalPlace, policy: RetentionPolicy) async throws(SkerryError) -> TidyOutcome {
        let (box, now, held) = (self.node.box, self.node.clock.wall(), self.node.replication.held)
        return try await self.node.commits.commit { log in
            var tidier = Tidier(store: log.store, box: box, held: held, now: now, policy: policy)
            let outcome = try tidier.step(place) { log.isWriting($0) }
            for record in tidier.changed { log.moved(record) }
            return outcome
        }
    }
}

/// One step of tidying.
private struct Tidier {
    let store: any StoreTransaction
    let box: BoxID
    let held: HeldElsewhere
    let now: UInt64
    let policy: RetentionPolicy
    private(set) var changed: [EpochRecord] = []

    init(store: any StoreTransaction, box: BoxID, held: HeldElsewhere, now: UInt64, policy: RetentionPolicy) {
        self.store = store
        self.box = box
        self.held = held
        self.now = now
        self.policy = policy
    }

    mutating func step(_ place: LocalPlace, isOpen: (LogEpoch) -> Bool) throws -> TidyOutcome {
        if place == LocalPlace() {
            let tomb = self.now - min(self.now, self.policy.tombstoneMilliseconds)
            _ = try self.store.forgetClearedRetained(before: tomb, limit: ReplicaStore.tidyMax)
        }
        let epochs = try self.store.epochs().filter { $0.number >= place.epoch }
        guard let epoch = epochs.first(where: { $0.number > place.epoch || place.seq <= $0.head }) else { return TidyOutcome() }
        let first = max(epoch.number == place.epoch ? place.seq : 1, epoch.lowWater + 1)
        let items = try self.store.items(of: epoch.number, from: first, through: epoch.head, limit: ReplicaStore.tidyMax, bytes: 512 * 1024)
        var outcome = TidyOutcome(next: LocalPlace())
        outcome.next?.epoch = epoch.number
        outcome.next?.seq = (items.last?.seq ?? epoch.head) + 1

        var entries: [UInt64: (entry: Entry, bytes: [UInt8])] = [:]
        var (subjects, winners): ([RetentionSubject], [RetentionKey: Order]) = ([], [:])
        for item in items {
            // What cannot be read, or is not known yet, may mean something to a later version.
            guard case .entry(let bytes) = item.content, let entry = try? EntryCodec.decode(bytes) else { continue }
            if case .unknown = entry.body { continue }
            // Which member row counts is not a matter of order.
            if case .member = entry.body { continue }
            let subject = RetentionSubject(entry, at: LogPosition(log: epoch.log, seq: item.seq))
            entries[item.seq] = (entry, bytes)
            subjects.append(subject)
            // Rows are looked up, so that two entries of this page do not replace each other before the later one is safe.
            if let key = subject.key, let stamp = try self.stamp(of: entry.body), self.held.coversControl(stamp, box: self.box) { winners[key] = stamp }
        }
        let dead = RetentionRules.dead(among: subjects, winners: winners, nowMilliseconds: self.now, policy: self.policy)[epoch.log] ?? []
        for seq in dead.joined() {
            guard let (entry, bytes) = entries[seq] else { continue }
            let position = LocalPosition(epoch: epoch.number, seq: seq)
            try self.forget(entry.body, at: position)
            try self.store.drop(position, hash: Array(SHA256.hash(data: bytes)))
            outcome.dropped += 1
        }
        if let low = try self.newLow(epoch, isOpen(epoch.log)) {
            try self.store.skip(epoch.number, upTo: low)
            var record = epoch
            record.lowWater = low
            self.changed.append(record)
            outcome.lowWater[epoch.log] = low
        }
        return outcome
    }

    /// The order of the row that an entry of this kind wrote last: whatever is older has no effect any more.
    private func stamp(of body: EntryBody) throws -> Order? {
        switch body {
        case .user(let entry): try self.store.user(entry.id)?.stamp
        case .device(let entry): try self.store.device(entry.id)?.stamp
        case .invite(let entry): try self.store.invite(entry.id)?.stamp
        case .conversation(let entry): try self.store.conversation(entry.id)?.stamp
        case .membership(let entry): try self.store.membership(entry.conversation, entry.user)?.stamp
        case .block(let owner, let target, _): try self.store.block(owner: owner, target: target)?.stamp
        case .accessRule(let entry): try self.store.accessRule(entry.id)?.stamp
        case .retained(let entry): try self.store.retainedStamp(topic: entry.topic)
        case .member, .message, .edit, .recall, .reaction, .receipt, .unknown: nil
        }
    }

    /// Takes an entry out of everything that is made from it.
    private func forget(_ body: EntryBody, at position: LocalPosition) throws {
        switch body {
        case .message(let entry):
            if let row = try self.store.message(entry.id), row.position == position {
                try self.store.remove(row)
                try self.store.removeChanges(of: entry.id)
            }
            try self.store.unindex(.conversation(entry.conversation), at: position)
        case .edit(let change, _), .recall(let change), .reaction(let change, _, _):
            try self.store.unindex(.conversation(change.conversation), at: position)
        case .receipt(let conversation, _, _, _): try self.store.unindex(.conversation(conversation), at: position)
        case .conversation(let entry): try self.store.unindex(.conversation(entry.id), at: position)
        case .membership(let entry):
            try self.store.unindex(.conversation(entry.conversation), at: position)
            try self.store.unindex(.user(entry.user), at: position)
        case .user, .device, .invite, .block, .accessRule, .member, .retained, .unknown: break
        }
    }

    /// How far an epoch that is over holds nothing but hashes from its beginning on; nil: no further than before. A batch that is not gone
    /// wholly stays, hashes and all: without them nobody could check its signature.
    private func newLow(_ epoch: EpochRecord, _ isOpen: Bool) throws -> UInt64? {
        guard !isOpen, epoch.log.stream == .message, epoch.lowWater < epoch.head else { return nil }
        var low = epoch.lowWater
        let items = try self.store.items(of: epoch.number, from: low + 1, through: epoch.head, limit: 4 * ReplicaStore.tidyMax, bytes: 512 * 1024)
        for item in items {
            guard case .dropped = item.content else { break }
            low = item.seq
        }
        if epoch.log.origin != self.box, low < epoch.head, let batch = try self.store.batches(of: epoch.number, covering: low + 1, limit: 1).first {
            low = min(low, batch.firstSeq - 1)
        }
        return low > epoch.lowWater ? low : nil
    }
}
