package import ChatCodec
import Replication
package import SkerryModel
package import Store

/// Makes what clients see from rows and entries, as it stands now: edits applied, recalled content gone.
package struct ViewBuilder {
    package let store: any StoreReading
    private let held: HeldElsewhere?

    /// - Parameter held: to say of messages whether other boxes have them; nil: not to say.
    package init(_ store: any StoreReading, held: HeldElsewhere? = nil) {
        self.store = store
        self.held = held
    }

    /// Nil when the entry is not held (yet): such a row is left out, never shown empty.
    package func message(_ row: MessageRow) throws -> MessageView? {
        guard let entry = try self.entry(at: row.position), case .message(let message) = entry.body else { return nil }
        var view = MessageView(
            id: row.id, conversation: row.conversation, order: row.order, sender: row.sender, cid: message.cid, content: message.content,
            replyTo: message.replyTo, isReplicated: self.held?.contains(row.position) ?? false)
        guard row.isChanged else { return view }
        if try self.store.recall(of: row.id) != nil {
            view.isRecalled = true
            return view
        }
        if let edit = try self.store.edit(of: row.id, by: row.sender) {
            view.content = .text(edit.text)
            view.edited = edit.stamp
        }
        for reaction in try self.store.reactions(to: row.id) where reaction.isOn {
            if let index = view.reactions.firstIndex(where: { $0.emoji == reaction.emoji }) {
                view.reactions[index].users.append(reaction.user)
            } else {
                view.reactions.append((reaction.emoji, [reaction.user]))
            }
        }
        return view
    }

    package func entry(at position: LocalPosition) throws -> Entry? {
        guard let bytes = try self.store.entry(at: position) else { return nil }
        do {
            return try EntryCodec.decode(bytes)
        } catch {
            throw StoreError(.corrupt, "An entry of the log cannot be read; run `skerry check`.")
        }
    }

    /// From which order on the viewer is not shown what the sender says to them directly: they have blocked the sender. A box that has not heard of it
    /// yet takes such a message in good faith (FEDERATION.md §2.2); the block holds where it is read, too. Nil: nothing is hidden.
    func hiddenAfter(_ sender: UserID, from viewer: UserID, in conversation: ConversationID) throws -> Order? {
        guard sender != viewer, let block = try self.store.block(owner: viewer, target: sender), block.isOn,
            try self.store.conversation(conversation)?.form == .direct
        else { return nil }
        return block.stamp
    }

    func isHidden(_ row: MessageRow, from viewer: UserID) throws -> Bool {
        guard let after = try self.hiddenAfter(row.sender, from: viewer, in: row.conversation) else { return false }
        return row.order > after
    }

    /// The conversation as the member sees it; nil when there is none.
    package func conversation(_ membership: MembershipRecord) throws -> ConversationView? {
        guard let record = try self.store.conversation(membership.conversation) else { return nil }
        let receipts = Dictionary(try self.store.receipts(in: record.id).map { ($0.user, $0) }) { first, _ in first }
        var members: [MemberView] = []
        for row in try self.store.memberships(in: record.id) where row.isMember {
            guard let user = try self.store.user(row.user) else { continue }
            members.append(
                MemberView(
                    user: user.id, name: user.name, display: user.display, role: row.role, received: receipts[user.id]?.received,
                    read: receipts[user.id]?.read))
        }
        let last = try self.store.history(record.id, since: membership.since, range: .newest, limit: 1).first { try !self.isHidden($0, from: membership.user) }
        let after = Applier.greater(membership.since, receipts[membership.user]?.read)
        return ConversationView(
            record: record, members: members, role: membership.role, since: membership.since, last: try last.flatMap { try self.message($0) },
            unread: try self.store.unreadCount(record.id, for: membership.user, after: after, limit: 999),
            order: Self.activity(record, membership, last?.order), viewer: membership.user)
    }

    /// When something last happened in it, for sorting.
    static func activity(_ record: ConversationRecord, _ membership: MembershipRecord, _ newest: Order?) -> Order {
        max(record.stamp, membership.stamp, newest ?? record.stamp)
    }
}
