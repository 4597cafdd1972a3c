package import SkerryModel
package import Store
import NIOCore

/// Brings an entry into the tables, the same on every box and in any order of arrival: rows take the greater stamp, messages the smaller.
///
/// Nothing else writes chat or account rows: adding a second box changes who appends, not what is stored (FEDERATION.md §2).
package enum Applier {
    /// What an entry did to the rows, for whoever tells clients.
    package enum Outcome: Sendable, Hashable {
        /// Something later is there already, or it is about nothing that this version knows.
        case nothing
        case written
        /// The same message was here, shown at a greater order.
        case moved
    }

    /// - Parameter isMember: whether a member row is the federation's own; asked for what other boxes wrote.
    @discardableResult
    package static func apply(
        _ body: EntryBody, order: Order, position: LocalPosition, to store: any StoreTransaction, isMember: (MemberEntry) -> Bool = { _ in true }
    ) throws -> Outcome {
        switch body {
        case .user(let entry): return try Self.apply(entry, order, store)
        case .device(let entry): return try Self.apply(entry, order, store)
        case .invite(let entry): return try Self.apply(entry, order, store)
        case .conversation(let entry):
            if let row = try store.conversation(entry.id), row.stamp > order { return .nothing }
            try store.put(
                ConversationRecord(id: entry.id, form: entry.form, title: entry.title, createdMilliseconds: entry.createdMilliseconds, stamp: order))
            try store.index(.conversation(entry.id), at: position)
        case .membership(let entry): return try Self.apply(entry, order, position, store)
        case .block(let owner, let target, let isOn):
            if let row = try store.block(owner: owner, target: target), row.stamp > order { return .nothing }
            try store.put(BlockRecord(owner: owner, target: target, isOn: isOn, stamp: order))
        case .accessRule(let entry): return try Self.apply(entry, order, store)
        case .member(let entry): return try Self.apply(entry, order, store, isMember)
        case .retained(let entry): return try Self.apply(entry, order, store)
        case .message(let entry): return try Self.apply(entry, order, position, store)
        case .edit(let change, let text):
            if let row = try store.edit(of: change.target, by: change.by), row.stamp > order { return .nothing }
            try store.put(EditRecord(target: change.target, by: change.by, text: text, stamp: order))
            // Nobody but the sender edits: should the message come later, the row of its sender counts then.
            if let message = try store.message(change.target), message.sender != change.by { return .nothing }
            try Self.touch(change, position, store)
        case .recall(let change):
            if let row = try store.recall(of: change.target), row.stamp < order { return .nothing }
            try store.put(RecallRecord(target: change.target, by: change.by, stamp: order))
            try Self.touch(change, position, store)
        case .reaction(let change, let emoji, let isOn):
            let existing = try store.reactions(to: change.target).first { $0.user == change.by && $0.emoji.utf8.elementsEqual(emoji.utf8) }
            if let existing, existing.stamp > order { return .nothing }
            try store.put(ReactionRecord(target: change.target, user: change.by, emoji: emoji, isOn: isOn, stamp: order))
            try Self.touch(change, position, store)
        case .receipt(let conversation, let user, let received, let read):
            let isRisen = try Self.receipt(conversation, user, received, read, store)
            try store.index(.conversation(conversation), at: position)
            return isRisen ? .written : .nothing
        case .unknown: return .nothing
        }
        return .written
    }

    private static func apply(_ entry: UserEntry, _ order: Order, _ store: any StoreTransaction) throws -> Outcome {
        let row = try store.user(entry.id)
        if let row, row.stamp > order { return .nothing }
        try store.put(
            UserRecord(
                id: entry.id, name: entry.name, nameKey: UserName.key(of: entry.name), display: entry.display, role: entry.role, isLocked: entry.isLocked,
                passwordHash: entry.passwordHash, scramVerifier: entry.scramVerifier, createdMilliseconds: entry.createdMilliseconds, stamp: order))
        try Self.settleName(UserName.key(of: entry.name), store)
        if let before = row.map({ UserName.key(of: $0.wantedName ?? $0.name) }), before != UserName.key(of: entry.name) { try Self.settleName(before, store) }
        return .written
    }

    /// Two boxes that were apart may have given the same name away. Whoever was there first has it, which every box sees alike; the other
    /// is `name~` with the beginning of the id, and signs in with that.
    private static func settleName(_ key: String, _ store: any StoreTransaction) throws {
        for (index, user) in try store.namesakes(nameKey: key).enumerated() {
            let wanted = user.wantedName ?? user.name
            var settled = user
            settled.name = index == 0 ? wanted : "\(wanted)~\(user.id.description.prefix(4))"
            settled.nameKey = UserName.key(of: settled.name)
            settled.wantedName = index == 0 ? nil : wanted
            if settled != user { try store.put(settled) }
        }
    }

    private static func apply(_ entry: DeviceEntry, _ order: Order, _ store: any StoreTransaction) throws -> Outcome {
        if let row = try store.device(entry.id), row.stamp > order { return .nothing }
        try store.put(
            DeviceRecord(
                id: entry.id, user: entry.user, tokenHash: entry.tokenHash, name: entry.name, createdMilliseconds: entry.createdMilliseconds,
                expiresMilliseconds: entry.expiresMilliseconds, isRevoked: entry.isRevoked, stamp: order))
        return .written
    }

    private static func apply(_ entry: InviteEntry, _ order: Order, _ store: any StoreTransaction) throws -> Outcome {
        if let row = try store.invite(entry.id), row.stamp > order { return .nothing }
        try store.put(
            InviteRecord(
                id: entry.id, tokenHash: entry.tokenHash, purpose: entry.purpose, uses: entry.uses, used: entry.used, createdBy: entry.createdBy,
                createdMilliseconds: entry.createdMilliseconds, expiresMilliseconds: entry.expiresMilliseconds, isRevoked: entry.isRevoked,
                stamp: order))
        return .written
    }

    private static func apply(_ entry: AccessRuleEntry, _ order: Order, _ store: any StoreTransaction) throws -> Outcome {
        if let row = try store.accessRule(entry.id), row.stamp > order { return .nothing }
        try store.put(
            AccessRuleRecord(
                id: entry.id, subject: entry.subject, verb: entry.verb, filter: entry.filter, effect: entry.effect, createdBy: entry.createdBy,
                createdMilliseconds: entry.createdMilliseconds, isRemoved: entry.isRemoved, stamp: order))
        return .written
    }

    /// Removed is for ever; else the greater version counts. The order of arrival and the box that passed it on do not matter: only the CA's
    /// signature does.
    private static func apply(
        _ entry: MemberEntry, _ order: Order, _ store: any StoreTransaction, _ isMember: (MemberEntry) -> Bool
    ) throws -> Outcome {
        let row = try store.member(entry.box)
        if let row, row.entry == entry {
            // The same row in the logs of two boxes: its first order is its own.
            if order < row.stamp { try store.put(MemberRecord(entry: entry, stamp: order)) }
            return .nothing
        }
        if let row, !Self.replaces(entry, row.entry) { return .nothing }
        guard isMember(entry) else { return .nothing }
        try store.put(MemberRecord(entry: entry, stamp: order))
        return .written
    }

    private static func replaces(_ new: MemberEntry, _ old: MemberEntry) -> Bool {
        if new.standing != old.standing { return new.standing == .removed }
        if new.version != old.version { return new.version > old.version }
        return old.signature.lexicographicallyPrecedes(new.signature)
    }

    private static func apply(_ entry: RetainedEntry, _ order: Order, _ store: any StoreTransaction) throws -> Outcome {
        if let stamp = try store.retainedStamp(topic: entry.topic), stamp > order { return .nothing }
        if entry.body.isEmpty {
            try store.clearRetained(topic: entry.topic, stamp: order)
        } else {
            try store.putRetained(
                RetainedRecord(
                    topic: entry.topic, body: ByteBuffer(bytes: entry.body), expiresMilliseconds: entry.expiresMilliseconds, stamp: order))
        }
        return .written
    }

    private static func apply(_ entry: MembershipEntry, _ order: Order, _ position: LocalPosition, _ store: any StoreTransaction) throws -> Outcome {
        let row = try store.membership(entry.conversation, entry.user)
        if let row, row.stamp > order { return .nothing }
        // What was said after this and came here before it was not shown to the user, and syncs have gone past it.
        if entry.state == .member, row?.isMember != true,
            try !store.history(entry.conversation, since: Self.greater(entry.since, order), range: .newest, limit: 1).isEmpty
        {
            try store.index(.late(entry.user), at: position)
        }
        try store.put(
            MembershipRecord(
                conversation: entry.conversation, user: entry.user, state: entry.state, role: entry.role, since: entry.since, stamp: order))
        try store.index(.conversation(entry.conversation), at: position)
        // Whoever just came or went must hear of it although the conversation is not, or no longer, among theirs.
        try store.index(.user(entry.user), at: position)
        return .written
    }

    /// The same id from two boxes is one message, shown at the smaller order (FEDERATION.md §2.1).
    private static func apply(_ entry: MessageEntry, _ order: Order, _ position: LocalPosition, _ store: any StoreTransaction) throws -> Outcome {
        var row = MessageRow(
            id: entry.id, conversation: entry.conversation, order: order, sender: entry.sender, position: position, isChanged: false)
        var outcome = Outcome.written
        if let existing = try store.message(entry.id) {
            guard order < existing.order else { return .nothing }
            try store.remove(existing)
            outcome = .moved
        }
        // What was done to the message at another box may have come here before the message itself.
        row.isChanged = try store.recall(of: entry.id) != nil || store.edit(of: entry.id, by: entry.sender) != nil || !store.reactions(to: entry.id).isEmpty
        try store.insert(row)
        try store.index(.conversation(entry.conversation), at: position)
        return outcome
    }

    private static func touch(_ change: MessageChange, _ position: LocalPosition, _ store: any StoreTransaction) throws {
        try store.markChanged(change.target)
        try store.index(.conversation(change.conversation), at: position)
    }

    /// Whether it rose.
    private static func receipt(
        _ conversation: ConversationID, _ user: UserID, _ received: Order?, _ read: Order?, _ store: any StoreTransaction
    ) throws -> Bool {
        let before = try store.receipt(conversation, user)
        var row = before ?? ReceiptRecord(conversation: conversation, user: user, received: nil, read: nil)
        row.received = Self.greater(row.received, received)
        row.read = Self.greater(row.read, read)
        guard row != before else { return false }
        try store.put(row)
        return true
    }

    static func greater(_ one: Order?, _ other: Order?) -> Order? {
        guard let one else { return other }
        guard let other else { return one }
        return max(one, other)
    }
}
