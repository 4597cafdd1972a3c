import Replication
import SkerryModel
import Store
import TestKit

/// What the log says, worked out again from its entries alone by the plainest possible rules: the judge of everything else.
struct LogReplay {
    struct Message: Equatable {
        var id: MessageID
        var order: Order
        var sender: UserID
        var text: String
        var isRecalled = false
        var reactions: [String: Set<UserID>] = [:]
    }
    struct Member: Equatable {
        var role: MemberRole
        var since: Order?
    }
    struct Conversation {
        var title = ""
        var members: [UserID: Member] = [:]
        /// From when to when somebody was in it, and from where on that let them see.
        var stays: [UserID: [(from: Order, until: Order?, since: Order?)]] = [:]
        var messages: [Message] = []
        var read: [UserID: Order] = [:]
    }

    private(set) var conversations: [ConversationID: Conversation] = [:]
    private(set) var orders: [Order] = []

    init(_ store: any StoreReading) throws {
        var entries: [(Order, EntryBody)] = []
        for epoch in try store.epochs() {
            for seq in 1...max(1, epoch.head) where epoch.head > 0 {
                guard let bytes = try store.entry(at: LocalPosition(epoch: epoch.number, seq: seq)) else {
                    throw ContractFailure("the log has a gap at \(epoch.number)/\(seq)")
                }
                let entry = try EntryCodec.decode(bytes)
                entries.append((Order(hlc: entry.hlc, position: LogPosition(log: epoch.log, seq: seq)), entry.body))
            }
        }
        entries.sort { $0.0 < $1.0 }
        self.orders = entries.map(\.0)
        for (order, body) in entries { self.apply(body, order) }
    }

    private mutating func apply(_ body: EntryBody, _ order: Order) {
        switch body {
        case .conversation(let entry): self.conversations[entry.id, default: Conversation()].title = entry.title
        case .membership(let entry):
            var conversation = self.conversations[entry.conversation, default: Conversation()]
            if entry.state == .member {
                if conversation.members[entry.user] == nil { conversation.stays[entry.user, default: []].append((order, nil, entry.since)) }
                conversation.members[entry.user] = Member(role: entry.role, since: entry.since)
            } else {
                conversation.members[entry.user] = nil
                if let last = conversation.stays[entry.user]?.indices.last { conversation.stays[entry.user]?[last].until = order }
            }
            self.conversations[entry.conversation] = conversation
        case .message(let entry):
            guard case .text(let text) = entry.content else { return }
            self.conversations[entry.conversation]?.messages.append(Message(id: entry.id, order: order, sender: entry.sender, text: text))
        case .edit(let change, let text): self.change(change) { $0.text = text }
        case .recall(let change): self.change(change) { $0.isRecalled = true }
        case .reaction(let change, let emoji, let isOn):
            self.change(change) { message in
                if isOn { message.reactions[emoji, default: []].insert(change.by) } else { message.reactions[emoji]?.remove(change.by) }
                if message.reactions[emoji]?.isEmpty == true { message.reactions[emoji] = nil }
            }
        case .receipt(let conversation, let user, _, let read):
            guard let read else { return }
            let before = self.conversations[conversation]?.read[user]
            self.conversations[conversation]?.read[user] = before.map { max($0, read) } ?? read
        case .user, .device, .invite, .block, .accessRule, .member, .retained, .unknown: return
        }
    }

    private mutating func change(_ change: MessageChange, _ body: (inout Message) -> Void) {
        guard let index = self.conversations[change.conversation]?.messages.firstIndex(where: { $0.id == change.target }),
            var message = self.conversations[change.conversation]?.messages[index]
        else { return }
        body(&message)
        self.conversations[change.conversation]?.messages[index] = message
    }

    /// What a member may see of a conversation, in order.
    func visible(_ conversation: ConversationID, to user: UserID) -> [Message] {
        guard let found = self.conversations[conversation], let member = found.members[user] else { return [] }
        return found.messages.filter { message in member.since.map { message.order > $0 } ?? true }
    }

    /// Whether somebody could be shown a message when it was said.
    func couldSee(_ order: Order, in conversation: ConversationID, _ user: UserID) -> Bool {
        (self.conversations[conversation]?.stays[user] ?? []).contains { stay in
            stay.from < order && (stay.until.map { order < $0 } ?? true) && (stay.since.map { order > $0 } ?? true)
        }
    }
}
