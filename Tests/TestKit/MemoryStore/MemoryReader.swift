import NIOCore
import SkerryModel
import Store

/// Reading of a memory store's state, spelled out as plainly as possible: this is what the contract means.
class MemoryReader: StoreReading {
    var state: MemoryState

    init(_ state: MemoryState) { self.state = state }

    // MARK: - LogReading

    func epochs() throws -> [EpochRecord] { self.state.epochs }
    func entry(at position: LocalPosition) throws -> [UInt8]? { self.state.entries[position.packed] }

    func indexed(_ scope: SyncScope, epoch: Int32, after seq: UInt64, limit: Int) throws -> [UInt64] {
        let positions = self.state.sync[scope] ?? []
        let start = positions.partition {
            LocalPosition(packed: $0).epoch > epoch || (LocalPosition(packed: $0).epoch == epoch && LocalPosition(packed: $0).seq > seq)
        }
        return positions[start...].lazy.map(LocalPosition.init(packed:)).prefix { $0.epoch == epoch }.prefix(max(0, limit)).map(\.seq)
    }

    func meta(_ name: String) throws -> [UInt8]? { self.state.meta[name.bytes] }

    // MARK: - FederationReading

    func epoch(_ log: LogEpoch) throws -> EpochRecord? { self.state.epochs.first { $0.log == log } }

    func items(of epoch: Int32, from seq: UInt64, through last: UInt64, limit: Int, bytes: Int) throws -> [LogItem] {
        guard limit > 0, let head = self.state.epochs.first(where: { $0.number == epoch })?.head, seq <= min(last, head) else { return [] }
        var items: [LogItem] = []
        var sum = 0
        for seq in seq...min(last, head) {
            let position = LocalPosition(epoch: epoch, seq: seq).packed
            let content: LogItem.Content
            if let bytes = self.state.entries[position] {
                content = .entry(bytes)
            } else if let hash = self.state.dropped[position] {
                content = .dropped(hash: hash)
            } else {
                continue
            }
            let item = LogItem(seq: seq, content: content)
            sum += item.byteCount
            guard items.isEmpty || sum <= bytes else { break }
            items.append(item)
            if items.count == limit { break }
        }
        return items
    }

    func batches(of epoch: Int32, covering seq: UInt64, limit: Int) throws -> [BatchRecord] {
        let all = self.state.batches.values.filter { $0.epoch == epoch }.sorted { $0.firstSeq < $1.firstSeq }
        guard limit > 0, let first = all.first(where: { $0.firstSeq <= seq && $0.lastSeq >= seq }) else { return [] }
        var batches = [first]
        for batch in all where batch.firstSeq > first.firstSeq {
            guard batches.count < limit, let before = batches.last, batch.firstSeq <= before.lastSeq + 1 else { break }
            if batch.lastSeq > before.lastSeq { batches.append(batch) }
        }
        return batches
    }

    func metas(prefix: String) throws -> [(name: String, value: [UInt8])] {
        self.state.meta.filter { $0.key.starts(with: prefix.utf8) }.sorted { $0.key < $1.key }.map { (String(decoding: $0.key, as: UTF8.self), $0.value) }
    }

    func member(_ box: BoxID) throws -> MemberRecord? { self.state.members[box] }
    func members() throws -> [MemberRecord] { self.state.members.values.sorted { $0.entry.box < $1.entry.box } }

    // MARK: - AccountReading

    func user(_ id: UserID) throws -> UserRecord? { self.state.users[id] }

    func user(nameKey: String) throws -> UserRecord? {
        self.state.users.values.filter { $0.nameKey.bytes == nameKey.bytes }.min { ($0.createdMilliseconds, $0.id) < ($1.createdMilliseconds, $1.id) }
    }

    func users(prefix: String, after: String, limit: Int) throws -> [UserRecord] {
        let users = self.state.users.values.filter { $0.nameKey.utf8.starts(with: prefix.utf8) && after.bytes < $0.nameKey.bytes }
        return Array(users.sorted { $0.nameKey.bytes == $1.nameKey.bytes ? $0.id < $1.id : $0.nameKey.bytes < $1.nameKey.bytes }.prefix(max(0, limit)))
    }

    func namesakes(nameKey: String) throws -> [UserRecord] {
        self.state.users.values.filter { ($0.wantedName.map { UserName.key(of: $0) } ?? $0.nameKey).bytes == nameKey.bytes }
            .sorted { ($0.createdMilliseconds, $0.id) < ($1.createdMilliseconds, $1.id) }
    }

    func userCount() throws -> Int { self.state.users.count }
    func device(_ id: DeviceID) throws -> DeviceRecord? { self.state.devices[id] }

    func device(tokenHash: [UInt8]) throws -> DeviceRecord? {
        self.state.devices.values.filter { $0.tokenHash == tokenHash }.min { $0.id < $1.id }
    }

    func devices(of user: UserID, now milliseconds: UInt64) throws -> [DeviceRecord] {
        self.state.devices.values.filter { $0.user == user && !$0.isRevoked && $0.expiresMilliseconds > milliseconds }
            .sorted { ($0.createdMilliseconds, $0.id) < ($1.createdMilliseconds, $1.id) }
    }

    func invite(_ id: InviteID) throws -> InviteRecord? { self.state.invites[id] }

    func invite(tokenHash: [UInt8]) throws -> InviteRecord? {
        self.state.invites.values.filter { $0.tokenHash == tokenHash }.min { $0.id < $1.id }
    }

    func openInvites(now milliseconds: UInt64) throws -> [InviteRecord] {
        self.state.invites.values.filter { !$0.isRevoked && $0.used < $0.uses && $0.expiresMilliseconds > milliseconds }
            .sorted { ($0.createdMilliseconds, $0.id) > ($1.createdMilliseconds, $1.id) }
    }

    func isBlocked(_ target: UserID, by owner: UserID) throws -> Bool { try self.block(owner: owner, target: target)?.isOn ?? false }
    func block(owner: UserID, target: UserID) throws -> BlockRecord? { self.state.blocks[.init(owner: owner, target: target)] }
    func blocks(of owner: UserID) throws -> [UserID] {
        self.state.blocks.values.filter { $0.owner == owner && $0.isOn }.map(\.target).sorted()
    }

    func accessRule(_ id: AccessRuleID) throws -> AccessRuleRecord? { self.state.accessRules[id] }
    func accessRules() throws -> [AccessRuleRecord] {
        self.state.accessRules.values.filter { !$0.isRemoved }.sorted { ($0.createdMilliseconds, $0.id) < ($1.createdMilliseconds, $1.id) }
    }

    // MARK: - ChatReading

    func conversation(_ id: ConversationID) throws -> ConversationRecord? { self.state.conversations[id] }

    func membership(_ conversation: ConversationID, _ user: UserID) throws -> MembershipRecord? {
        self.state.memberships[conversation]?[user]
    }

    func memberships(in conversation: ConversationID) throws -> [MembershipRecord] {
        (self.state.memberships[conversation] ?? [:]).values.sorted { $0.user < $1.user }
    }

    func memberships(of user: UserID) throws -> [MembershipRecord] {
        self.state.memberships.values.compactMap { $0[user] }.filter(\.isMember).sorted { $0.conversation < $1.conversation }
    }

    func message(_ id: MessageID) throws -> MessageRow? { self.state.messageByID[id] }

    func history(_ conversation: ConversationID, since: Order?, range: HistoryRange, limit: Int) throws -> [MessageRow] {
        let visible = (self.state.messages[conversation] ?? []).drop { row in since.map { row.order <= $0 } ?? false }
        let limit = max(0, limit)
        switch range {
        case .newest: return Array(visible.suffix(limit))
        case .before(let order): return Array(visible.prefix { $0.order < order }.suffix(limit))
        case .after(let order): return Array(visible.drop { $0.order <= order }.prefix(limit))
        }
    }

    func newestOrder(_ conversation: ConversationID) throws -> Order? { self.state.messages[conversation]?.last?.order }

    func unreadCount(_ conversation: ConversationID, for user: UserID, after order: Order?, limit: Int) throws -> Int {
        let unread = (self.state.messages[conversation] ?? []).lazy.filter { row in row.sender != user && (order.map { row.order > $0 } ?? true) }
        return unread.prefix(max(0, limit)).reduce(0) { count, _ in count + 1 }
    }

    func edit(of target: MessageID, by user: UserID) throws -> EditRecord? { self.state.edits[target]?[user] }
    func recall(of target: MessageID) throws -> RecallRecord? { self.state.recalls[target] }

    func reactions(to target: MessageID) throws -> [ReactionRecord] {
        (self.state.reactions[target] ?? [:]).values.sorted { one, other in
            if one.stamp != other.stamp { return one.stamp < other.stamp }
            return one.user != other.user ? one.user < other.user : one.emoji.bytes < other.emoji.bytes
        }
    }

    func receipts(in conversation: ConversationID) throws -> [ReceiptRecord] {
        (self.state.receipts[conversation] ?? [:]).values.sorted { $0.user < $1.user }
    }

    func receipt(_ conversation: ConversationID, _ user: UserID) throws -> ReceiptRecord? { self.state.receipts[conversation]?[user] }
    func messageCount() throws -> Int { self.state.messageByID.count }

    // MARK: - BrokerReading

    func brokerSessions(after number: Int32, limit: Int) throws -> [BrokerSessionRecord] {
        Array(self.state.brokerSessions.values.filter { $0.number > number }.sorted { $0.number < $1.number }.prefix(max(0, limit)))
    }

    func brokerSubscriptions(of session: Int32) throws -> [BrokerSubscriptionRecord] {
        (self.state.brokerSubscriptions[session] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
    }

    func queueBounds(of session: Int32) throws -> QueueBounds? {
        guard let queue = self.state.queues[session], let first = queue.first, let last = queue.last else { return nil }
        return QueueBounds(first: first.seq, last: last.seq, firstByteSum: first.byteSum, lastByteSum: last.byteSum)
    }

    func queueEntries(of session: Int32, after seq: UInt64, limit: Int, bytes: Int) throws -> [QueueEntry] {
        var entries: [QueueEntry] = []
        var sum = 0
        for var entry in (self.state.queues[session] ?? []).drop(while: { $0.seq <= seq }).prefix(max(0, limit)) {
            if case .shared(let id) = entry.body { entry.body = (self.state.sharedMessages[id]?.body).map { .inline($0) } ?? .none }
            if case .inline(let body) = entry.body { sum += body.readableBytes }
            guard entries.isEmpty || sum <= bytes else { break }
            entries.append(entry)
        }
        return entries
    }

    func orphanedQueues(after number: Int32, limit: Int) throws -> [Int32] {
        let orphans = self.state.queues.filter { $0.key > number && !$0.value.isEmpty && self.state.brokerSessions[$0.key] == nil }
        return Array(orphans.keys.sorted().prefix(max(0, limit)))
    }

    func inboundPublications(of session: Int32) throws -> [InboundRecord] {
        (self.state.inbound[session] ?? [:]).values.sorted { $0.packetID < $1.packetID }
    }

    func greatestMessageID() throws -> Int64 { self.state.sharedMessages.keys.max() ?? 0 }
    func retained(topic: String) throws -> RetainedRecord? { self.state.retained[topic.bytes] }

    func retained(prefix: String, after topic: String, limit: Int, bytes: Int) throws -> [RetainedRecord] {
        var records: [RetainedRecord] = []
        var sum = 0
        let inside = self.state.retained.filter { $0.key.starts(with: prefix.utf8) && topic.bytes < $0.key }
        for record in inside.sorted(by: { $0.key < $1.key }).prefix(max(0, limit)).map(\.value) {
            sum += record.body.readableBytes
            guard records.isEmpty || sum <= bytes else { break }
            records.append(record)
        }
        return records
    }

    func retainedStamp(topic: String) throws -> Order? {
        if let row = self.state.retained[topic.bytes] { return row.stamp }
        return self.state.retainedCleared[topic.bytes]
    }

    func retainedTotals() throws -> RetainedTotals {
        let retained = self.state.retained
        return RetainedTotals(count: retained.count, bytes: retained.reduce(0) { $0 + $1.key.count + $1.value.body.readableBytes })
    }
}
