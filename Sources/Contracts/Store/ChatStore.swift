package import SkerryModel

/// A message's place: in its conversation by order, in the log by position.
package struct MessageRow: Sendable, Hashable {
    package var id: MessageID
    package var conversation: ConversationID
    package var order: Order
    package var sender: UserID
    package var position: LocalPosition
    /// Whether an edit, recall or reaction may exist: saves three look-ups for most messages.
    package var isChanged: Bool

    package init(id: MessageID, conversation: ConversationID, order: Order, sender: UserID, position: LocalPosition, isChanged: Bool) {
        self.id = id
        self.conversation = conversation
        self.order = order
        self.sender = sender
        self.position = position
        self.isChanged = isChanged
    }
}

package struct EditRecord: Sendable, Hashable {
    package var target: MessageID
    package var by: UserID
    package var text: String
    package var stamp: Order

    package init(target: MessageID, by: UserID, text: String, stamp: Order) {
        self.target = target
        self.by = by
        self.text = text
        self.stamp = stamp
    }
}

package struct RecallRecord: Sendable, Hashable {
    package var target: MessageID
    package var by: UserID
    package var stamp: Order

    package init(target: MessageID, by: UserID, stamp: Order) {
        self.target = target
        self.by = by
        self.stamp = stamp
    }
}

package struct ReactionRecord: Sendable, Hashable {
    package var target: MessageID
    package var user: UserID
    package var emoji: String
    package var isOn: Bool
    package var stamp: Order

    package init(target: MessageID, user: UserID, emoji: String, isOn: Bool, stamp: Order) {
        self.target = target
        self.user = user
        self.emoji = emoji
        self.isOn = isOn
        self.stamp = stamp
    }
}

/// Which part of a conversation's history is wanted, inside what the member may see.
package enum HistoryRange: Sendable, Hashable {
    case newest
    case before(Order)
    case after(Order)
}

package protocol ChatReading {
    func conversation(_ id: ConversationID) throws -> ConversationRecord?
    func membership(_ conversation: ConversationID, _ user: UserID) throws -> MembershipRecord?
    /// Every membership row of a conversation, by rising user id, whatever its state.
    func memberships(in conversation: ConversationID) throws -> [MembershipRecord]
    /// Memberships of a user in the state `member`.
    func memberships(of user: UserID) throws -> [MembershipRecord]
    func message(_ id: MessageID) throws -> MessageRow?
    /// Messages after `since`, ascending by order: the `limit` that are newest, last before, or first after.
    func history(_ conversation: ConversationID, since: Order?, range: HistoryRange, limit: Int) throws -> [MessageRow]
    /// The order of the newest message; nil when there is none.
    func newestOrder(_ conversation: ConversationID) throws -> Order?
    /// Messages of others after `order`, counted up to `limit`.
    func unreadCount(_ conversation: ConversationID, for user: UserID, after order: Order?, limit: Int) throws -> Int
    /// The last edit of a message by that user: only the sender's own counts, and which of them it was may not be known yet.
    func edit(of target: MessageID, by user: UserID) throws -> EditRecord?
    func recall(of target: MessageID) throws -> RecallRecord?
    /// Reactions to a message, also those taken back, by rising stamp.
    func reactions(to target: MessageID) throws -> [ReactionRecord]
    func receipts(in conversation: ConversationID) throws -> [ReceiptRecord]
    func receipt(_ conversation: ConversationID, _ user: UserID) throws -> ReceiptRecord?
    /// Messages held, roughly: for the overview.
    func messageCount() throws -> Int
}

/// Rows replace the one with the same key. Comparing stamps is the caller's business.
package protocol ChatWriting {
    func put(_ conversation: ConversationRecord) throws
    func put(_ membership: MembershipRecord) throws
    /// Adds a message; its id and its (conversation, order) must be free.
    func insert(_ message: MessageRow) throws
    /// Moves a message to the smaller order of a second entry with the same id (FEDERATION.md §2.1).
    func remove(_ message: MessageRow) throws
    func markChanged(_ id: MessageID) throws
    /// Removes edits, recall and reactions of a message that is gone.
    func removeChanges(of target: MessageID) throws
    func put(_ edit: EditRecord) throws
    func put(_ recall: RecallRecord) throws
    func put(_ reaction: ReactionRecord) throws
    func put(_ receipt: ReceiptRecord) throws
}
