package import Account
package import SkerryModel

/// What kind of topic a name is, and so whose rules apply to it.
enum TopicKind: Sendable {
    /// Any topic that clients agree on among themselves.
    case ordinary
    /// `v1/…`: the chat. Nil when it is none that can be published to.
    case chat(ChatTopic?)
    /// `$SYS/broker/connection/{name}/state`: where a bridge of Mosquitto says whether it is there, and what its will is about.
    case bridge
    /// `$SYS/…` else and `$share/…`: never a client's to publish.
    case system
    /// `fed/…`: between boxes.
    case federation

    init(_ topic: TopicName) {
        let text = topic.text
        if text == "v1" || text.utf8.starts(with: "v1/".utf8) {
            self = .chat(ChatTopic(text))
        } else if text == "fed" || text.utf8.starts(with: "fed/".utf8) {
            self = .federation
        } else if Self.isSystem(text) {
            self = Self.isBridge(text) ? .bridge : .system
        } else {
            self = .ordinary
        }
    }

    private static func isBridge(_ text: String) -> Bool {
        let (head, tail) = ("$SYS/broker/connection/".utf8, "/state".utf8)
        let bytes = text.utf8
        guard bytes.starts(with: head), bytes.count >= head.count + tail.count else { return false }
        let name = bytes.dropFirst(head.count).dropLast(tail.count)
        return bytes.suffix(tail.count).elementsEqual(tail) && !name.contains(UInt8(ascii: "/"))
    }

    static func isSystem(_ text: String) -> Bool {
        text == "$SYS" || text.utf8.starts(with: "$SYS/".utf8) || text == "$share" || text.utf8.starts(with: "$share/".utf8)
    }
}

/// Who may publish and subscribe what: the topics that are nobody's or the administrators' by their name, then the access rules of
/// administrators (Access.md). Membership in conversations is looked at besides, by the chat.
package struct TopicAccess: Sendable {
    package let rules: AccessRules
    /// What clients without an account may use (`mqtt.anonymous`).
    package let opened: [TopicFilter]
    /// The rights of all clients without an account, when they are the same: there may be thousands of them.
    private let anonymous: TopicRights?

    package init(rules: AccessRules, opened: [TopicFilter]) {
        self.rules = rules
        self.opened = opened
        self.anonymous = rules.treatsAnonymousAlike ? rules.rights(of: AccessRules.Client(anonymous: ""), opened: opened) : nil
    }

    /// - Parameter opened: what the client's listener opens to clients without an account, when it is something else than elsewhere.
    func rights(of client: AccessRules.Client, opened: [TopicFilter]? = nil) -> TopicRights? {
        if client.user == nil, opened == nil, let anonymous = self.anonymous { return anonymous }
        return self.rules.rights(of: client, opened: opened ?? self.opened)
    }

    /// Why a client may not publish to a topic; nil when it may.
    static func refusalToPublish(_ topic: TopicName, isSignedIn: Bool, _ rights: TopicRights?) -> String? {
        switch TopicKind(topic) {
        case .ordinary, .bridge: break
        case .chat(let chat):
            if !isSignedIn { return Self.chatNeedsAccount }
            if chat == nil { return "This is no topic of the chat that can be published to." }
        case .system, .federation: return "This topic is the box's own."
        }
        guard let rights, !rights.mayPublish(topic) else { return nil }
        return isSignedIn
            ? "The access rules of this box do not let you publish to this topic."
            : "Clients without an account may publish to the topics that the administrator opened."
    }

    /// Why a client may not subscribe to a filter; nil when it may.
    static func refusalToSubscribe(_ filter: TopicFilter, isSignedIn: Bool, isAdmin: Bool, _ rights: TopicRights?) -> String? {
        switch Self.firstLevel(filter) {
        case "v1":
            if !isSignedIn { return Self.chatNeedsAccount }
            if ChatFilter(filter) == nil { return "This is no topic of the chat that can be subscribed to." }
        case "fed": return "Topics under fed/ are between boxes."
        case "$SYS": guard isAdmin else { return "Only administrators read $SYS." }
        default: break
        }
        guard let rights, !rights.maySubscribe(filter) else { return nil }
        return isSignedIn
            ? "The access rules of this box do not let you subscribe to this filter."
            : "Clients without an account may subscribe to the topics that the administrator opened."
    }

    private static let chatNeedsAccount = "The chat needs an account."

    /// What decides which kind of topics a filter is about, whatever its wildcards: these kinds are told by a first level that is written out.
    static func firstLevel(_ filter: TopicFilter) -> Substring { filter.firstLevel }
}
