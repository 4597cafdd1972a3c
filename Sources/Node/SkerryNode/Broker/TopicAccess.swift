import SkerryModel

/// What kind of topic a name is, and so whose rules apply to it.
enum TopicKind: Sendable {
    /// Any topic that clients agree on among themselves.
    case ordinary
    /// `v1/…`: the chat. Nil when it is none that can be published to.
    case chat(ChatTopic?)
    /// `$SYS/…` and `$share/…`: never a client's to publish.
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
            self = .system
        } else {
            self = .ordinary
        }
    }

    static func isSystem(_ text: String) -> Bool {
        text == "$SYS" || text.utf8.starts(with: "$SYS/".utf8) || text == "$share" || text.utf8.starts(with: "$share/".utf8)
    }
}

/// Who may publish and subscribe what (PRODUCT.md §5). Users may use every ordinary topic; clients without an account those that the
/// administrator opened, and nothing of the chat.
struct TopicAccess: Sendable {
    let anonymous: [TopicFilter]

    init(anonymous: [TopicFilter]) { self.anonymous = anonymous }

    func mayPublish(_ topic: TopicName, owner: SessionOwner) -> Bool {
        switch owner {
        case .user: true
        case .anonymous: self.anonymous.contains { Self.covers($0, topic) }
        }
    }

    /// - Parameter filter: of ordinary topics.
    func maySubscribe(_ filter: TopicFilter, owner: SessionOwner) -> Bool {
        switch owner {
        case .user: true
        case .anonymous: self.anonymous.contains { Self.covers($0, filter) }
        }
    }

    /// Whether the filter is about topics that only some may read, whatever its wildcards: their first level is written out.
    static func firstLevel(_ filter: TopicFilter) -> Substring { filter.filter.prefix { $0 != "/" } }

    static func covers(_ allowed: TopicFilter, _ topic: TopicName) -> Bool { Self.covers(allowed.filter, topic.text) }
    static func covers(_ allowed: TopicFilter, _ wanted: TopicFilter) -> Bool { Self.covers(allowed.filter, wanted.filter) }

    /// Whether everything that `wanted` matches is matched by `allowed`; a topic is a filter that matches itself.
    private static func covers(_ allowed: String, _ wanted: String) -> Bool {
        var allowed = allowed.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)[...]
        var wanted = wanted.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)[...]
        // [MQTT-4.7.2-1]
        if let first = wanted.first, first.first == UInt8(ascii: "$"), let opened = allowed.first,
            opened.elementsEqual("#".utf8) || opened.elementsEqual("+".utf8)
        {
            return false
        }
        while let level = allowed.popFirst() {
            if level.elementsEqual("#".utf8) { return true }
            guard let asked = wanted.popFirst() else { return false }
            if asked.elementsEqual("#".utf8) { return false }
            if level.elementsEqual("+".utf8) { continue }
            guard level.elementsEqual(asked) else { return false }
        }
        return wanted.isEmpty
    }
}
