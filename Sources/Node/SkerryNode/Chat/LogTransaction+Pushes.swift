import ChatCodec
import SkerryModel
import Store

/// What live sessions are shown of what was just written, the same for what is written here and for what came from another box.
extension LogTransaction {
    /// Whether anybody in the conversation listens here.
    func isHeard(_ conversation: ConversationID) throws -> Bool { try self.isAnyHeard(self.members(of: conversation)) }

    /// Pushes a change to every member, in the frame all of them share.
    ///
    /// - Parameters:
    ///   - order: of the message it is about: it is not for members who came after it.
    ///   - own: who said it, and also sees its `cid`.
    ///   - sender: of the message, when another box took it: whoever has blocked them is not shown it.
    mutating func push(
        _ change: ChangeView, seeing order: Order? = nil, in conversation: ConversationID, own: UserID? = nil, from sender: UserID? = nil
    ) throws {
        let cursor = try self.cursorToken()
        let frame = ChatFrame.push(change.t, cursor: cursor) { change.write(to: &$0, viewer: nil) }
        var audience = try order.map { try self.members(of: conversation, seeing: $0) } ?? self.members(of: conversation)
        if let sender, let order, audience.count <= 2 {
            let views = ViewBuilder(self.store)
            audience = try audience.filter { viewer in try views.hiddenAfter(sender, from: viewer, in: conversation).map { order <= $0 } ?? true }
        }
        var push = ChatPush(audience: audience, conversation: conversation, frame: frame)
        if let own { push.own = (own, ChatFrame.push(change.t, cursor: cursor) { change.write(to: &$0, viewer: own) }) }
        self.events.append(.push(push))
    }

    /// Pushes the conversation to every member who listens, each as that member sees it.
    ///
    /// - Parameter moves: whether a client has seen everything up to here with it. Not so when more of the same entries is still to be told:
    ///   a client that went away in between would never hear of the rest.
    mutating func pushConversation(_ id: ConversationID, moves: Bool = true) throws {
        let views = ViewBuilder(self.store)
        let cursor = moves ? try self.cursorToken() : nil
        for membership in try self.store.memberships(in: id) where membership.isMember && self.isHeard(membership.user) {
            guard let view = try views.conversation(membership) else { continue }
            let change = ChangeView.conversation(view)
            let frame = ChatFrame.push(change.t, cursor: cursor) { change.write(to: &$0, viewer: membership.user) }
            self.events.append(.push(ChatPush(audience: [membership.user], conversation: nil, frame: frame)))
        }
        let joined = self.joined.filter { $0.conversation == id }
        self.joined.removeAll { $0.conversation == id }
        for (conversation, user, order) in joined where self.isHeard(user) { try self.pushLate(conversation, after: order, to: user) }
    }

    /// What was said in a conversation before it was known here that the user belongs to it, the newest of it: the live stream has passed it by.
    private mutating func pushLate(_ id: ConversationID, after order: Order, to user: UserID) throws {
        guard let membership = try self.store.membership(id, user), membership.isMember else { return }
        let views = ViewBuilder(self.store)
        for row in try self.store.history(id, since: Applier.greater(membership.since, order), range: .newest, limit: SyncReader.lateMax) {
            guard try !views.isHidden(row, from: user), let view = try views.message(row) else { continue }
            let change = ChangeView.message(view)
            // One of many: only what comes after the last of them may move the client on.
            let frame = ChatFrame.push(change.t) { change.write(to: &$0, viewer: user) }
            self.events.append(.push(ChatPush(audience: [user], conversation: id, frame: frame)))
        }
    }

    /// Tells one user that the conversation is no longer theirs.
    mutating func pushLeft(_ id: ConversationID, to user: UserID, moves: Bool = true) throws {
        let frame = ChatFrame.push("change", cursor: moves ? try self.cursorToken() : nil) { ChangeView.left(id).write(to: &$0, viewer: user) }
        self.events.append(.push(ChatPush(audience: [user], conversation: nil, frame: frame)))
    }
}
