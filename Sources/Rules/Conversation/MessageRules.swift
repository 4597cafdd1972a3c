package import SkerryModel

/// What is known of a message that somebody wants to change.
package struct MessageFacts: Sendable {
    package var sender: UserID
    package var order: Order
    package var content: MessageContent
    package var isRecalled: Bool

    package init(sender: UserID, order: Order, content: MessageContent, isRecalled: Bool) {
        self.sender = sender
        self.order = order
        self.content = content
        self.isRecalled = isRecalled
    }
}

/// What may be said and changed in a conversation.
package enum MessageRules {
    /// Refuses a send that its conversation does not allow.
    package static func send(_ facts: ConversationFacts) throws(SkerryError) {
        _ = try facts.asMember()
        if facts.isBlocked { throw SkerryError(.blocked, "This person does not accept messages from you.") }
    }

    /// The second send with the same `(sender, cid)`: the same content is a duplicate, other content a conflict (PRODUCT.md §3).
    package static func repeated(_ new: MessageEntry, of old: MessageEntry) throws(SkerryError) {
        guard new.conversation == old.conversation, new.content == old.content, new.replyTo == old.replyTo else {
            throw SkerryError(.conflict, "This cid was used for another message; give every message a new cid.", field: "cid")
        }
    }

    package static func edit(_ message: MessageFacts?, by membership: MembershipRecord) throws(SkerryError) {
        let message = try Self.visible(message, to: membership)
        guard message.sender == membership.user else { throw SkerryError(.forbidden, "Only the sender can edit a message.", field: "mid") }
        guard case .text = message.content else { throw SkerryError(.payloadInvalid, "Only text can be edited.", field: "mid") }
        if message.isRecalled { throw SkerryError(.gone, "The message was recalled.", field: "mid") }
    }

    package static func recall(_ message: MessageFacts?, in conversation: ConversationRecord, by membership: MembershipRecord) throws(SkerryError) {
        let message = try Self.visible(message, to: membership)
        let isManager = conversation.form == .group && membership.role >= .admin
        guard message.sender == membership.user || isManager else {
            throw SkerryError(.forbidden, "Only the sender, or an admin of the group, can recall a message.", field: "mid")
        }
    }

    package static func react(_ message: MessageFacts?, by membership: MembershipRecord, present: Int, limits: Limits) throws(SkerryError) {
        let message = try Self.visible(message, to: membership)
        if message.isRecalled { throw SkerryError(.gone, "The message was recalled.", field: "mid") }
        guard present < limits.reactionsPerMessageMax else { throw SkerryError(.quotaExceeded, "This message has enough reactions.", field: "mid") }
    }

    /// A member sees what was said since joining; anything older does not exist for them.
    private static func visible(_ message: MessageFacts?, to membership: MembershipRecord) throws(SkerryError) -> MessageFacts {
        guard let message, membership.since.map({ message.order > $0 }) ?? true else { throw Self.unknown }
        return message
    }

    package static var unknown: SkerryError { SkerryError(.notFound, "No such message, or it is not yours to see.", field: "mid") }
}
