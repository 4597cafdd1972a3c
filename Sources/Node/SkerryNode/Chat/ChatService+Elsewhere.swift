import ChatCodec
import NIOCore
package import SkerryModel
import Store
import Synchronization

/// Takes what is fleeting to other boxes.
package protocol FleetingRelay: AnyObject, Sendable {
    /// A member of the conversation who is here is typing; `boxes`: where others are who should see it.
    func typing(_ user: UserID, in conversation: ConversationID, at boxes: [BoxID])
}

/// What people do at other boxes, shown to those who are here; the sender's box has asked its own rules, this one asks its own again.
extension ChatService {
    package func attach(_ relay: (any FleetingRelay)?) { self.relay.withLock { $0 = relay } }

    // MARK: Typing

    func show(typing user: UserID, in conversation: ConversationID, to members: [UserID]) {
        let audience = members.filter { self.node.online.isHere($0) }
        if audience.isEmpty { return }
        let frame = ChatFrame.push("typing") { ChangeView.typing(conversation, user).write(to: &$0, viewer: nil) }
        self.node.publish([.push(ChatPush(audience: audience, conversation: conversation, frame: frame, isEphemeral: true))])
    }

    func tell(typing user: UserID, in conversation: ConversationID, to members: [UserID]) {
        guard let relay = self.relay.withLock({ $0 }) else { return }
        let boxes = self.node.online.boxes(of: members)
        if !boxes.isEmpty { relay.typing(user, in: conversation, at: boxes) }
    }

    /// Somebody is typing at another box. Nothing comes of it unless they are a member as far as this box knows.
    package func heard(typing user: UserID, in conversation: ConversationID) {
        let node = self.node
        guard self.typing.withLock({ $0.isDue(user, conversation, now: node.clock.monotonic()) }) else { return }
        node.store.read { store -> [UserID] in
            let reader = ChatReader(store, online: node.online)
            _ = try reader.membership(.id(conversation), user)
            return try reader.audience(of: user, in: conversation)
        } completion: { result in
            guard case .success(let members) = result else { return }
            self.show(typing: user, in: conversation, to: members)
        }
    }

    // MARK: Presence

    /// These users came or went at other boxes, and are online now where they were not, or the other way round: people here hear of it, a few
    /// users at a time, and by what is true then.
    package func announce(changed users: [UserID]) {
        if users.isEmpty { return }
        let (starts, dropped) = self.announcing.withLock { $0.add(users, max: self.node.limits.announcementsMax) }
        if dropped > 0 { self.node.metrics.add(.presenceDropped, dropped) }
        if starts { self.announceNext() }
    }

    private func announceNext() {
        guard let users = self.announcing.withLock({ $0.next() }) else { return }
        let node = self.node
        // With nobody here there is nobody to tell.
        if node.online.userCount == 0 { return self.announcing.withLock { $0.clear() } }
        node.store.read { store in
            let reader = ChatReader(store, online: node.online)
            return try users.map { ($0, try reader.contacts(of: $0)) }
        } completion: { result in
            if case .success(let contacts) = result {
                let pushes = contacts.compactMap { user, contacts in
                    Self.presence(user, isOnline: node.online.isOnline(user), contacts, node.online)
                }
                if !pushes.isEmpty { node.publish(pushes.map { .push($0) }) }
            }
            self.announceNext()
        }
    }
}

/// Users whose contacts are to hear of them, each once however often they come and go.
struct AnnounceQueue {
    /// Users of one read of the store.
    private static let groupMax = 32

    private var waiting: Set<UserID> = []
    private var isRunning = false

    /// Whether to begin with `next`, and for how many there was no room.
    mutating func add(_ users: [UserID], max: Int) -> (starts: Bool, dropped: Int) {
        var dropped = 0
        for user in users where !self.waiting.contains(user) {
            if self.waiting.count < max { self.waiting.insert(user) } else { dropped += 1 }
        }
        if self.isRunning || self.waiting.isEmpty { return (false, dropped) }
        self.isRunning = true
        return (true, dropped)
    }

    mutating func next() -> [UserID]? {
        let group = Array(self.waiting.prefix(Self.groupMax))
        guard !group.isEmpty else {
            self.isRunning = false
            return nil
        }
        self.waiting.subtract(group)
        return group
    }

    mutating func clear() { self = AnnounceQueue() }
}
