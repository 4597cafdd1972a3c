import NIOCore
import SkerryModel
import Store

/// One transaction of a memory store, on its own copy of the state.
final class MemoryTransaction: MemoryReader, StoreTransaction {
    /// The first failure: it fails the commit even if somebody swallowed it.
    private(set) var failure: StoreError?
    private let countWrite: () -> StoreError?

    init(_ state: MemoryState, countWrite: @escaping () -> StoreError?) {
        self.countWrite = countWrite
        super.init(state)
    }

    /// One write: fails when it is its turn, or when its promise does not hold.
    private func write(_ isAllowed: Bool = true, _ promise: String = "", _ change: (inout MemoryState) -> Void) throws(StoreError) {
        let error = self.countWrite() ?? (isAllowed ? nil : StoreError(.constraint, promise))
        if let error {
            self.failure = self.failure ?? error
            throw error
        }
        change(&self.state)
    }

    // MARK: - LogWriting

    func registerEpoch(_ log: LogEpoch) throws -> EpochRecord {
        if let known = self.state.epochs.first(where: { $0.log == log }) { return known }
        let record = EpochRecord(number: Int32(self.state.epochs.count) + 1, log: log, head: 0)
        try self.write { $0.epochs.append(record) }
        return record
    }

    func append(_ bytes: [UInt8], at position: LocalPosition) throws {
        let index = self.state.epochs.firstIndex { $0.number == position.epoch && $0.head + 1 == position.seq }
        try self.write(index != nil, "An entry does not follow the last one of its epoch.") { state in
            guard let index else { return }
            state.entries[position.packed] = bytes
            state.epochs[index].head = position.seq
        }
    }

    func index(_ scope: SyncScope, at position: LocalPosition) throws {
        try self.write { state in
            let index = state.sync[scope, default: []].partition { $0 >= position.packed }
            if state.sync[scope]?.dropFirst(index).first == position.packed { return }
            state.sync[scope]?.insert(position.packed, at: index)
        }
    }

    func setMeta(_ name: String, _ value: [UInt8]) throws { try self.write { $0.meta[name.bytes] = value } }

    // MARK: - FederationWriting

    private func change(_ epoch: Int32, _ change: (inout EpochRecord) -> Void) throws(StoreError) {
        try self.write { state in
            guard let index = state.epochs.firstIndex(where: { $0.number == epoch }) else { return }
            change(&state.epochs[index])
        }
    }

    func setBirth(_ hlc: HLC, of epoch: Int32) throws { try self.change(epoch) { $0.birth = hlc } }
    func setFinal(_ epoch: Int32) throws { try self.change(epoch) { $0.isFinal = true } }
    func setReplicated(_ seq: UInt64, of epoch: Int32) throws { try self.change(epoch) { $0.replicated = max($0.replicated, seq) } }

    func append(dropped hash: [UInt8], at position: LocalPosition) throws {
        let index = self.state.epochs.firstIndex { $0.number == position.epoch && $0.head + 1 == position.seq }
        try self.write(index != nil, "An entry does not follow the last one of its epoch.") { state in
            guard let index else { return }
            state.dropped[position.packed] = hash
            state.epochs[index].head = position.seq
        }
    }

    func skip(_ epoch: Int32, upTo seq: UInt64) throws {
        let isKnown = self.state.epochs.contains { $0.number == epoch }
        try self.write(isKnown && seq <= 0xFF_FFFF_FFFF, "An epoch is not there, or a sequence out of range.") { state in
            func isGone(_ packed: Int64) -> Bool {
                let position = LocalPosition(packed: packed)
                return position.epoch == epoch && position.seq <= seq
            }
            state.entries = state.entries.filter { !isGone($0.key) }
            state.dropped = state.dropped.filter { !isGone($0.key) }
            state.batches = state.batches.filter { $0.value.epoch != epoch || $0.value.lastSeq > seq }
            guard let index = state.epochs.firstIndex(where: { $0.number == epoch }) else { return }
            state.epochs[index].lowWater = max(state.epochs[index].lowWater, seq)
            state.epochs[index].head = max(state.epochs[index].head, seq)
        }
    }

    func drop(_ position: LocalPosition, hash: [UInt8]) throws {
        guard self.state.entries[position.packed] != nil else { return }
        try self.write { state in
            state.entries[position.packed] = nil
            state.dropped[position.packed] = hash
        }
    }

    func unindex(_ scope: SyncScope, at position: LocalPosition) throws {
        try self.write { $0.sync[scope]?.removeAll { $0 == position.packed } }
    }

    func put(_ batch: BatchRecord) throws {
        let key = LocalPosition(epoch: batch.epoch, seq: batch.firstSeq).packed
        try self.write { state in if batch.count > state.batches[key]?.count ?? 0 { state.batches[key] = batch } }
    }

    func put(_ member: MemberRecord) throws { try self.write { $0.members[member.entry.box] = member } }
    func removeMeta(_ name: String) throws { try self.write { $0.meta[name.bytes] = nil } }

    // MARK: - AccountWriting

    func put(_ user: UserRecord) throws { try self.write { $0.users[user.id] = user } }
    func put(_ device: DeviceRecord) throws { try self.write { $0.devices[device.id] = device } }
    func put(_ invite: InviteRecord) throws { try self.write { $0.invites[invite.id] = invite } }
    func put(_ block: BlockRecord) throws { try self.write { $0.blocks[.init(owner: block.owner, target: block.target)] = block } }

    func put(_ rule: AccessRuleRecord) throws { try self.write { $0.accessRules[rule.id] = rule } }

    // MARK: - ChatWriting

    func put(_ conversation: ConversationRecord) throws { try self.write { $0.conversations[conversation.id] = conversation } }

    func put(_ membership: MembershipRecord) throws {
        try self.write { $0.memberships[membership.conversation, default: [:]][membership.user] = membership }
    }

    func insert(_ message: MessageRow) throws {
        let rows = self.state.messages[message.conversation] ?? []
        let index = rows.partition { $0.order >= message.order }
        let isFree = self.state.messageByID[message.id] == nil && rows.dropFirst(index).first?.order != message.order
        try self.write(isFree, "A message with this id or place is there.") { state in
            state.messages[message.conversation, default: []].insert(message, at: index)
            state.messageByID[message.id] = message
        }
    }

    func remove(_ message: MessageRow) throws {
        try self.write { state in
            guard let row = state.messages[message.conversation]?.first(where: { $0.order == message.order }) else { return }
            state.messages[message.conversation]?.removeAll { $0.order == message.order }
            state.messageByID[row.id] = nil
        }
    }

    func markChanged(_ id: MessageID) throws {
        try self.write { state in
            guard let row = state.messageByID[id], let index = state.messages[row.conversation]?.firstIndex(where: { $0.id == id }) else { return }
            state.messageByID[id]?.isChanged = true
            state.messages[row.conversation]?[index].isChanged = true
        }
    }

    func put(_ edit: EditRecord) throws { try self.write { $0.edits[edit.target, default: [:]][edit.by] = edit } }
    func removeChanges(of target: MessageID) throws {
        try self.write { state in
            state.edits[target] = nil
            state.recalls[target] = nil
            state.reactions[target] = nil
        }
    }

    func put(_ recall: RecallRecord) throws { try self.write { $0.recalls[recall.target] = recall } }

    func put(_ reaction: ReactionRecord) throws {
        try self.write { $0.reactions[reaction.target, default: [:]][.init(user: reaction.user, emoji: reaction.emoji.bytes)] = reaction }
    }

    func put(_ receipt: ReceiptRecord) throws { try self.write { $0.receipts[receipt.conversation, default: [:]][receipt.user] = receipt } }

    // MARK: - BrokerWriting

    func putBrokerSession(_ session: BrokerSessionRecord) throws {
        try self.write((1..<(1 << 27)).contains(session.number), "A session's number is out of range.") { $0.brokerSessions[session.number] = session }
    }

    func removeBrokerSession(_ number: Int32) throws {
        try self.write { state in
            state.brokerSessions[number] = nil
            state.brokerSubscriptions[number] = nil
            state.inbound[number] = nil
        }
    }

    func putBrokerSubscription(_ subscription: BrokerSubscriptionRecord) throws {
        try self.write { $0.brokerSubscriptions[subscription.session, default: [:]][subscription.filter.bytes] = subscription }
    }

    func removeBrokerSubscription(session: Int32, filter: String) throws {
        try self.write { $0.brokerSubscriptions[session]?[filter.bytes] = nil }
    }

    func putMessage(_ id: Int64, body: ByteBuffer, references: Int) throws {
        guard references > 0 else { return }
        try self.write(self.state.sharedMessages[id] == nil, "A message with this id is there.") {
            $0.sharedMessages[id] = .init(references: references, body: body)
        }
    }

    func appendQueue(_ entry: QueueEntry) throws {
        let queue = self.state.queues[entry.session] ?? []
        let index = queue.partition { $0.seq >= entry.seq }
        let isFree = queue.dropFirst(index).first?.seq != entry.seq
        let isInRange = (1..<(1 << 27)).contains(entry.session) && entry.seq < 1 << 36
        try self.write(isFree && isInRange, "A queue row's place is taken or out of range.") {
            $0.queues[entry.session, default: []].insert(entry, at: index)
        }
    }

    func releaseQueue(session: Int32, seq: UInt64, flags: UInt8) throws {
        try self.write { state in
            guard let index = state.queues[session]?.firstIndex(where: { $0.seq == seq }), let row = state.queues[session]?[index] else { return }
            Self.release(row.body, &state)
            state.queues[session]?[index].flags = flags
            state.queues[session]?[index].body = .none
        }
    }

    func removeQueue(session: Int32, seqs: [UInt64]) throws {
        try self.write { state in
            let seqs = Set(seqs)
            for row in state.queues[session] ?? [] where seqs.contains(row.seq) { Self.release(row.body, &state) }
            state.queues[session]?.removeAll { seqs.contains($0.seq) }
        }
    }

    func trimQueue(session: Int32, through seq: UInt64, limit: Int) throws -> Int {
        let rows = (self.state.queues[session] ?? []).prefix { $0.seq <= seq }.prefix(max(0, limit))
        guard !rows.isEmpty else { return 0 }
        try self.write { state in
            for row in rows { Self.release(row.body, &state) }
            state.queues[session]?.removeFirst(rows.count)
        }
        return rows.count
    }

    private static func release(_ body: QueuedBody, _ state: inout MemoryState) {
        guard case .shared(let id) = body, var message = state.sharedMessages[id] else { return }
        message.references -= 1
        state.sharedMessages[id] = message.references > 0 ? message : nil
    }

    func putInbound(_ record: InboundRecord) throws { try self.write { $0.inbound[record.session, default: [:]][record.packetID] = record } }
    func removeInbound(session: Int32, packetID: UInt16) throws { try self.write { $0.inbound[session]?[packetID] = nil } }
    func putRetained(_ record: RetainedRecord) throws {
        try self.write { state in
            state.retained[record.topic.bytes] = record
            state.retainedCleared[record.topic.bytes] = nil
        }
    }

    func removeRetained(topic: String) throws {
        try self.write { state in
            state.retained[topic.bytes] = nil
            state.retainedCleared[topic.bytes] = nil
        }
    }

    func clearRetained(topic: String, stamp: Order) throws {
        try self.write { state in
            state.retained[topic.bytes] = nil
            state.retainedCleared[topic.bytes] = stamp
        }
    }

    func forgetClearedRetained(before milliseconds: UInt64, limit: Int) throws -> Int {
        let old = self.state.retainedCleared.filter { $0.value.hlc.milliseconds <= milliseconds }.keys.sorted { $0 < $1 }.prefix(max(0, limit))
        try self.write { state in for topic in old { state.retainedCleared[topic] = nil } }
        return old.count
    }

    func removeRetained(expiredAt now: UInt64, limit: Int) throws -> Int {
        let expired = self.state.retained.filter { (1...max(1, now)).contains($0.value.expiresMilliseconds) && $0.value.expiresMilliseconds <= now }
            .sorted {
                $0.value.expiresMilliseconds == $1.value.expiresMilliseconds ? $0.key < $1.key : $0.value.expiresMilliseconds < $1.value.expiresMilliseconds
            }
            .prefix(max(0, limit))
        try self.write { state in
            for (topic, record) in expired {
                state.retained[topic] = nil
                state.retainedCleared[topic] = record.stamp
            }
        }
        return expired.count
    }
}
