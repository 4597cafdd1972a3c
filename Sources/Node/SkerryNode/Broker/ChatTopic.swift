import ChatCodec
import SkerryModel
import NIOCore

/// A topic of the chat that a client publishes to (PRODUCT.md §5).
enum ChatTopic: Sendable, Hashable {
    /// `v1/c/{conv}/send`: the JSON of a message.
    case send(String)
    /// `v1/c/{conv}/text`: plain text.
    case text(String)
    /// `v1/c/{conv}/read`: a receipt.
    case read(String)
    /// `v1/c/{conv}/typing`.
    case typing(String)
    /// `v1/me/sync`: a request.
    case sync

    init?(_ topic: String) {
        let levels = topic.split(separator: "/", omittingEmptySubsequences: false)
        if levels == ["v1", "me", "sync"] {
            self = .sync
            return
        }
        guard levels.count == 4, levels[1] == "c" else { return nil }
        let conversation = String(levels[2])
        switch levels[3] {
        case "send": self = .send(conversation)
        case "text": self = .text(conversation)
        case "read": self = .read(conversation)
        case "typing": self = .typing(conversation)
        default: return nil
        }
    }
}

/// What a subscription to a topic of the chat asks for, before names are looked up.
enum ChatFilter: Sendable, Hashable {
    /// All of mine.
    case inbox
    /// Answers to what I publish.
    case answers
    case conversation(Part, ConversationReference?)
    case presence(UserReference?)

    /// What of a conversation.
    enum Part: Sendable, Hashable { case messages, receipts, typing }

    /// Nil: not understood, so refused.
    init?(_ filter: TopicFilter) {
        guard !filter.isShared else { return nil }
        let levels = filter.filter.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard levels.first == "v1", levels.count >= 3 else { return nil }
        switch (levels[1], levels.count) {
        case ("me", 3):
            switch levels[2] {
            case "in": self = .inbox
            case "ack": self = .answers
            default: return nil
            }
        case ("c", 4):
            let part: Part
            switch levels[3] {
            case "msg": part = .messages
            case "read": part = .receipts
            case "typing": part = .typing
            default: return nil
            }
            if levels[2] == "+" {
                self = .conversation(part, nil)
            } else {
                guard let reference = try? ConversationReference(levels[2]) else { return nil }
                self = .conversation(part, reference)
            }
        case ("u", 4):
            guard levels[3] == "presence" else { return nil }
            if levels[2] == "+" {
                self = .presence(nil)
            } else {
                guard let reference = try? UserReference(levels[2], field: "user") else { return nil }
                self = .presence(reference)
            }
        default: return nil
        }
    }
}

/// A subscription to the chat with its names looked up.
struct ChatInterest: Sendable, Hashable {
    enum Subject: Sendable, Hashable {
        case inbox
        case answers
        /// Nil: every conversation of the user.
        case conversation(ChatFilter.Part, ConversationID?)
        /// Nil: everybody the user shares a conversation with.
        case presence(UserID?)
    }

    var subject: Subject
    /// The topic its messages come on; nil when the filter has a wildcard and the topic names what the message is about.
    var topic: TopicName?

    init(_ subject: Subject, filter: TopicFilter) {
        self.subject = subject
        self.topic = filter.hasWildcard ? nil : try? TopicName(filter.filter)
    }

    /// Whether it wants the push, and on which topic.
    func topic(for push: ChatPush, _ kind: PushKind) -> TopicName? {
        switch (self.subject, kind) {
        case (.inbox, .message), (.inbox, .change): return self.topic
        case (.conversation(.messages, let wanted), .message), (.conversation(.messages, let wanted), .change):
            return self.topic(in: push.conversation, wanted, "msg")
        case (.conversation(.receipts, let wanted), .receipt): return self.topic(in: push.conversation, wanted, "read")
        case (.conversation(.typing, let wanted), .typing): return self.topic(in: push.conversation, wanted, "typing")
        case (.presence(let wanted), .presence):
            guard let about = push.presence?.user, wanted == nil || wanted == about else { return nil }
            return self.topic ?? (try? TopicName("v1/u/\(about)/presence"))
        case (.inbox, _), (.answers, _), (.conversation, _), (.presence, _): return nil
        }
    }

    private func topic(in conversation: ConversationID?, _ wanted: ConversationID?, _ part: String) -> TopicName? {
        guard let conversation, wanted == nil || wanted == conversation else { return nil }
        return self.topic ?? (try? TopicName("v1/c/\(conversation)/\(part)"))
    }

    /// Whether its messages are kept for a client that is away: what people said and what became of it.
    var isKept: Bool {
        switch self.subject {
        case .inbox, .conversation(.messages, _): true
        case .answers, .conversation, .presence: false
        }
    }
}

/// What a push is about, as its frame says.
enum PushKind: Sendable, Hashable {
    case message, change, receipt, typing, presence, other

    init(_ frame: ByteBuffer) {
        var bytes = frame.readableBytesView.prefix(24)[...]
        guard bytes.starts(with: Array("{\"t\":\"".utf8)) else {
            self = .other
            return
        }
        bytes = bytes.dropFirst(6)
        switch String(decoding: bytes.prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self) {
        case "msg": self = .message
        case "change": self = .change
        case "receipt": self = .receipt
        case "typing": self = .typing
        case "presence": self = .presence
        default: self = .other
        }
    }

    /// In the log, so that a client that is away is owed it.
    var isKept: Bool { self == .message || self == .change }
}
