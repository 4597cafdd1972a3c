import ChatCodec
import Conversation
import NIOCore
import Replication
import SkerryModel
import Store

/// The chat's decisions that write, each run whole inside one transaction on the writer's thread: facts, rule, entry, rows, push.
///
/// The writer is the home of the box's log: what it decides, it decides in the order of the log, so no cache can be stale and a member
/// who was removed one entry ago gets nothing of the next.
struct ChatWriter {
    let caller: Caller
    let limits: Limits
    let clock: NodeClock

    // MARK: Messages

    func send(
        _ reference: ConversationReference, _ cid: CID, _ content: MessageContent, _ replyTo: MessageID?, _ log: inout LogTransaction
    ) throws -> ByteBuffer {
        let id = MessageID(sender: self.caller.user, cid: cid)
        let (conversation, other) = try self.conversation(reference, log.store)
        let entry = MessageEntry(id: id, conversation: conversation, sender: self.caller.user, cid: cid.text, content: content, replyTo: replyTo)
        let views = ViewBuilder(log.store)
        if let row = try log.store.message(id) {
            guard case .message(let old) = try views.entry(at: row.position)?.body else { throw MessageRules.unknown }
            try MessageRules.repeated(entry, of: old)
            return Self.receipt(id, cid, conversation, row.order, isDuplicate: true)
        }
        let isNew = try other != nil && log.store.conversation(conversation) == nil
        let facts = try self.facts(conversation, log.store)
        if !isNew { try MessageRules.send(facts) }
        if let replyTo {
            let since = facts.membership?.since
            guard let row = try log.store.message(replyTo), row.conversation == conversation, since.map({ row.order > $0 }) ?? true else {
                throw SkerryError(.payloadInvalid, "replyTo names no message of this conversation.", field: "replyTo")
            }
        }
        // Only a send that nothing else refuses makes the conversation: a job decides first and writes after.
        if let other, isNew { _ = try self.direct(with: other, &log) }
        let order = try log.append(.message(entry))
        let view = MessageView(
            id: id, conversation: conversation, order: order, sender: self.caller.user, cid: cid.text, content: content, replyTo: replyTo)
        try self.push(.message(view), in: conversation, own: true, &log)
        return Self.receipt(id, cid, conversation, order, isDuplicate: false)
    }

    private static func receipt(_ id: MessageID, _ cid: CID, _ conversation: ConversationID, _ order: Order, isDuplicate: Bool) -> ByteBuffer {
        JSONWriter.make {
            $0.field("cid", cid.text)
            $0.field("mid", id)
            $0.field("conv", conversation)
            $0.field("order", order)
            $0.field("ts", time: order.hlc.milliseconds)
            $0.field("dup", isDuplicate)
        }
    }

    func edit(_ id: MessageID, text: String, _ log: inout LogTransaction) throws -> ByteBuffer {
        let (message, facts, change) = try self.change(id, log.store)
        let (_, membership) = try facts.asMember()
        try MessageRules.edit(message, by: membership)
        try MessageRules.send(facts)
        let order = try log.append(.edit(change, text: text))
        try self.push(.edit(change, text: text, order), of: message, in: change.conversation, &log)
        return Self.changed(id, order)
    }

    func recall(_ id: MessageID, _ log: inout LogTransaction) throws -> ByteBuffer {
        let (message, facts, change) = try self.change(id, log.store)
        let (conversation, membership) = try facts.asMember()
        try MessageRules.recall(message, in: conversation, by: membership)
        if let recall = try log.store.recall(of: id) { return Self.changed(id, recall.stamp) }
        let order = try log.append(.recall(change))
        try self.push(.recall(change, order), of: message, in: change.conversation, &log)
        return Self.changed(id, order)
    }

    func react(_ id: MessageID, emoji: String, isOn: Bool, _ log: inout LogTransaction) throws -> ByteBuffer {
        let (message, facts, change) = try self.change(id, log.store)
        let (_, membership) = try facts.asMember()
        let reactions = try log.store.reactions(to: id)
        let mine = reactions.first { $0.user == self.caller.user && $0.emoji.utf8.elementsEqual(emoji.utf8) }
        try MessageRules.send(facts)
        try MessageRules.react(message, by: membership, present: mine == nil ? reactions.count : 0, limits: self.limits)
        if let mine, mine.isOn == isOn { return Self.changed(id, mine.stamp) }
        let order = try log.append(.reaction(change, emoji: emoji, isOn: isOn))
        try self.push(.reaction(change, emoji: emoji, isOn: isOn, order), of: message, in: change.conversation, &log)
        return Self.changed(id, order)
    }

    private static func changed(_ id: MessageID, _ order: Order) -> ByteBuffer {
        JSONWriter.make {
            $0.field("mid", id)
            $0.field("order", order)
            $0.field("ts", time: order.hlc.milliseconds)
        }
    }

    /// What is known of the message and its conversation. A message that does not exist and one that is not the caller's look alike.
    private func change(_ id: MessageID, _ store: any StoreTransaction) throws -> (MessageFacts, ConversationFacts, MessageChange) {
        guard let row = try store.message(id), case .message(let entry) = try ViewBuilder(store).entry(at: row.position)?.body else {
            throw MessageRules.unknown
        }
        let facts = try self.facts(row.conversation, store)
        guard facts.membership?.isMember == true else { throw MessageRules.unknown }
        let isRecalled = row.isChanged ? try store.recall(of: id) != nil : false
        return (
            MessageFacts(sender: row.sender, order: row.order, content: entry.content, isRecalled: isRecalled),
            facts,
            MessageChange(target: id, conversation: row.conversation, by: self.caller.user)
        )
    }

    func receipt(_ reference: ConversationReference, received: Order?, read: Order?, _ log: inout LogTransaction) throws -> ByteBuffer {
        let conversation = try self.conversation(reference, log.store).id
        _ = try self.facts(conversation, log.store).asMember()
        // A receipt beyond the newest message would hide what comes next from the unread count.
        guard let newest = try self.newest(conversation, log.store) else { return Self.empty }
        let row = try log.store.receipt(conversation, self.caller.user)
        let (received, read) = (Self.risen(received, row?.received, newest), Self.risen(read, row?.read, newest))
        if received == nil && read == nil { return Self.empty }
        try log.append(.receipt(conversation: conversation, user: self.caller.user, received: received, read: read))
        try self.push(.receipt(conversation, self.caller.user, received: received, read: read), in: conversation, &log)
        return Self.empty
    }

    private static func risen(_ new: Order?, _ old: Order?, _ newest: Order) -> Order? {
        guard let new = new.map({ min($0, newest) }) else { return nil }
        if let old, new <= old { return nil }
        return new
    }

    // MARK: Conversations

    func createDirect(_ reference: UserReference, _ log: inout LogTransaction) throws -> ByteBuffer {
        let other = try self.user(reference, log.store)
        let (id, isNew) = try self.direct(with: other, &log)
        return try self.answer(id, log.store, isDuplicate: !isNew)
    }

    func createGroup(title: String, members: [UserReference], cid: CID, _ log: inout LogTransaction) throws -> ByteBuffer {
        // The id follows from the creator and the cid, so that a repeated request finds the group it made.
        let id = ConversationID(MessageID(sender: self.caller.user, cid: cid).value)
        if let existing = try log.store.conversation(id) {
            guard existing.title == title else { throw SkerryError(.conflict, "This cid was used for another group.", field: "cid") }
            return try self.answer(id, log.store, isDuplicate: true)
        }
        var users: [UserID] = [self.caller.user]
        for member in members {
            let user = try self.user(member, log.store).id
            if !users.contains(user) { users.append(user) }
        }
        try self.checkSize(users.count)
        try self.checkQuota(users, log.store)
        try log.append(.conversation(ConversationEntry(id: id, form: .group, title: title, createdMilliseconds: self.clock.wall())))
        for user in users {
            let role: MemberRole = user == self.caller.user ? .owner : .member
            try log.append(.membership(MembershipEntry(conversation: id, user: user, state: .member, role: role, since: nil, by: self.caller.user)))
        }
        try log.pushConversation(id)
        return try self.answer(id, log.store, isDuplicate: false)
    }

    func update(_ reference: ConversationReference, title: String, _ log: inout LogTransaction) throws -> ByteBuffer {
        let id = try self.conversation(reference, log.store).id
        let (record, _) = try self.facts(id, log.store).asManager()
        if record.title != title {
            try log.append(
                .conversation(ConversationEntry(id: id, form: record.form, title: title, createdMilliseconds: record.createdMilliseconds)))
            try log.pushConversation(id)
        }
        return try self.answer(id, log.store)
    }

    func invite(_ reference: ConversationReference, _ users: [UserReference], _ log: inout LogTransaction) throws -> ByteBuffer {
        let id = try self.conversation(reference, log.store).id
        let (_, inviter) = try self.facts(id, log.store).asManager()
        let present = try log.store.memberships(in: id).filter(\.isMember).count
        let since = try self.newest(id, log.store)
        var entries: [MembershipEntry] = []
        for reference in users {
            let user = try self.user(reference, log.store).id
            let existing = try log.store.membership(id, user)
            if let entry = try GroupRules.invite(user, existing: existing, by: inviter, since: since), !entries.contains(where: { $0.user == user }) {
                entries.append(entry)
            }
        }
        try self.checkSize(present + entries.count)
        try self.checkQuota(entries.map(\.user), log.store)
        return try self.write(entries, id, &log)
    }

    func remove(_ reference: ConversationReference, _ user: UserReference, _ log: inout LogTransaction) throws -> ByteBuffer {
        let id = try self.conversation(reference, log.store).id
        let (_, manager) = try self.facts(id, log.store).asManager()
        let target = try log.store.membership(id, try self.user(user, log.store).id)
        return try self.write([try GroupRules.remove(target, by: manager)], id, &log)
    }

    func assign(_ reference: ConversationReference, _ user: UserReference, _ role: MemberRole, _ log: inout LogTransaction) throws -> ByteBuffer {
        let id = try self.conversation(reference, log.store).id
        let (_, owner) = try self.facts(id, log.store).inGroup()
        let target = try log.store.membership(id, try self.user(user, log.store).id)
        return try self.write(try GroupRules.assign(role, to: target, by: owner), id, &log)
    }

    func leave(_ reference: ConversationReference, _ log: inout LogTransaction) throws -> ByteBuffer {
        let id = try self.conversation(reference, log.store).id
        let (_, member) = try self.facts(id, log.store).inGroup()
        let rows = GroupRules.leave(member, others: try log.store.memberships(in: id))
        _ = try self.write(rows, id, &log)
        return Self.empty
    }

    func block(_ reference: UserReference, isOn: Bool, _ log: inout LogTransaction) throws -> ByteBuffer {
        let target = try self.user(reference, log.store).id
        guard target != self.caller.user else { throw SkerryError(.payloadInvalid, "You cannot block yourself.", field: "user") }
        if try log.store.isBlocked(target, by: self.caller.user) == isOn { return Self.empty }
        if isOn, try log.store.blocks(of: self.caller.user).count >= self.limits.blocksPerUserMax {
            throw SkerryError(.quotaExceeded, "You can block at most \(self.limits.blocksPerUserMax) people.")
        }
        try log.append(.block(owner: self.caller.user, target: target, isOn: isOn))
        return Self.empty
    }

    // MARK: Helpers

    /// The newest message that is not stamped in the future. A box whose clock is ahead stamps messages that stay the newest for as long as it was
    /// wrong by: what comes meanwhile must be neither hidden from who joins, nor taken for read.
    private func newest(_ id: ConversationID, _ store: any StoreTransaction) throws -> Order? {
        guard let newest = try store.newestOrder(id) else { return nil }
        let latest = self.clock.wall() + HybridClock.aheadMillisecondsMax
        guard newest.hlc.milliseconds > latest else { return newest }
        let limit = Order(hlc: HLC(milliseconds: latest + 1, counter: 0), origin: newest.origin, epoch: 0, seq: 0)
        return try store.history(id, since: nil, range: .before(limit), limit: 1).last?.order
    }

    static var empty: ByteBuffer { ByteBuffer(string: "{}") }

    private func user(_ reference: UserReference, _ store: any StoreTransaction) throws -> UserRecord {
        let user: UserRecord?
        switch reference {
        case .id(let id): user = try store.user(id)
        case .name(let key): user = try store.user(nameKey: key)
        }
        guard let user else { throw SkerryError(.notFound, "There is no such person on this box.", field: "user") }
        return user
    }

    /// The id of the conversation, and its other member when it was named by that: a direct conversation need not be there yet.
    private func conversation(_ reference: ConversationReference, _ store: any StoreTransaction) throws -> (id: ConversationID, other: UserRecord?) {
        switch reference {
        case .id(let id): return (id, nil)
        case .direct(let user):
            let other = try self.user(user, store)
            return (.direct(self.caller.user, other.id), other)
        }
    }

    private func direct(with other: UserRecord, _ log: inout LogTransaction) throws -> (ConversationID, isNew: Bool) {
        guard other.id != self.caller.user else { throw SkerryError(.payloadInvalid, "That is you; name somebody else.", field: "user") }
        let id = ConversationID.direct(self.caller.user, other.id)
        if try log.store.conversation(id) != nil { return (id, false) }
        if try log.store.isBlocked(self.caller.user, by: other.id) {
            throw SkerryError(.blocked, "This person does not accept messages from you.")
        }
        try self.checkQuota([self.caller.user, other.id], log.store)
        try log.append(.conversation(ConversationEntry(id: id, form: .direct, title: "", createdMilliseconds: self.clock.wall())))
        for user in [self.caller.user, other.id] {
            try log.append(.membership(MembershipEntry(conversation: id, user: user, state: .member, role: .member, since: nil, by: self.caller.user)))
        }
        try log.pushConversation(id)
        return (id, true)
    }

    private func checkSize(_ members: Int) throws(SkerryError) {
        guard members <= self.limits.groupMembersMax else {
            throw SkerryError(.quotaExceeded, "A group has at most \(self.limits.groupMembersMax) members.", field: "users")
        }
    }

    private func checkQuota(_ users: [UserID], _ store: any StoreTransaction) throws {
        for user in users where try store.memberships(of: user).count >= self.limits.conversationsPerUserMax {
            throw SkerryError(.quotaExceeded, "One person can be in at most \(self.limits.conversationsPerUserMax) conversations.")
        }
    }

    private func facts(_ id: ConversationID, _ store: any StoreTransaction) throws -> ConversationFacts {
        var facts = ConversationFacts(conversation: try store.conversation(id), membership: try store.membership(id, self.caller.user))
        if facts.conversation?.form == .direct, facts.membership?.isMember == true {
            for other in try store.memberships(in: id) where other.user != self.caller.user {
                facts.isBlocked = try store.isBlocked(self.caller.user, by: other.user)
            }
        }
        return facts
    }

    private func write(_ entries: [MembershipEntry], _ id: ConversationID, _ log: inout LogTransaction) throws -> ByteBuffer {
        for entry in entries { try log.append(.membership(entry)) }
        if !entries.isEmpty { try log.pushConversation(id) }
        for entry in entries where entry.state != .member { try log.pushLeft(id, to: entry.user) }
        guard try log.store.membership(id, self.caller.user)?.isMember == true else { return Self.empty }
        return try self.answer(id, log.store)
    }

    private func answer(_ id: ConversationID, _ store: any StoreTransaction, isDuplicate: Bool? = nil) throws -> ByteBuffer {
        // Whoever repeats the request that made a group may have left it since, and sees no more of it than any outsider.
        guard let membership = try store.membership(id, self.caller.user), membership.isMember, let view = try ViewBuilder(store).conversation(membership)
        else {
            throw ConversationFacts.unknown
        }
        return JSONWriter.make {
            $0.object("conversation") { view.write(to: &$0) }
            if let isDuplicate { $0.field("dup", isDuplicate) }
        }
    }

    /// Pushes a change to every member; what happens to a message only to those who may see the message.
    private func push(
        _ change: ChangeView, of message: MessageFacts? = nil, in conversation: ConversationID, own: Bool = false, _ log: inout LogTransaction
    ) throws {
        try log.push(change, seeing: message?.order, in: conversation, own: own ? self.caller.user : nil)
    }
}
