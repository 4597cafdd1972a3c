package import SkerryModel

/// What the access rules leave one client, made once and asked for every message. A client that no rule restricts has none at all (nil).
///
/// Never changed, so that shards can hand it to each other; a change of the rules makes another.
package final class TopicRights: Sendable {
    /// One of the two things a client does with topics.
    struct Side: Sendable, Hashable {
        var denied: [TopicFilter] = []
        /// Nil: everything that is not denied.
        var allowed: [TopicFilter]?

        var isOpen: Bool { self.denied.isEmpty && self.allowed == nil }

        func permits(_ topic: TopicName) -> Bool {
            for filter in self.denied where filter.matches(topic) { return false }
            guard let allowed = self.allowed else { return true }
            for filter in allowed where filter.matches(topic) { return true }
            return false
        }
    }

    private let publish: Side
    private let subscribe: Side
    /// `#` is allowed and nothing denied: all that is left to look at is the first byte.
    private let readsOrdinary: Bool
    /// Whether the box opens to the client what there is to publish under `$SYS`.
    private let statesBridges: Bool

    /// - Parameter statesBridges: see `opensBridges`.
    init(publish: Side, subscribe: Side, statesBridges: Bool) {
        self.publish = publish
        self.subscribe = subscribe
        self.statesBridges = statesBridges
        self.readsOrdinary = subscribe.denied.isEmpty && subscribe.allowed?.contains { $0.filter == "#" } ?? true
    }

    /// The same, but reading whatever is not denied: for a client that is away, when what is opened to it is known only once it comes again. What
    /// is kept for it is judged then.
    package var keepingAll: TopicRights {
        TopicRights(
            publish: self.publish, subscribe: Side(denied: self.subscribe.denied, allowed: nil), statesBridges: self.statesBridges)
    }

    /// Whether the client may publish to the topic. What there is for clients under `$SYS` is opened by the box, not by rules; they can only deny it.
    package func mayPublish(_ topic: TopicName) -> Bool {
        if Self.isSystem(topic.text) { return self.statesBridges && !self.publish.denied.contains { $0.matches(topic) } }
        return self.publish.permits(topic)
    }

    /// Whether a message of this topic may go to the client. `$SYS` is opened by the role, not by rules; they can only deny it.
    package func mayRead(_ topic: TopicName) -> Bool {
        if self.readsOrdinary && !topic.startsWithDollar { return true }
        if Self.isSystem(topic.text) { return !self.subscribe.denied.contains { $0.matches(topic) } }
        return self.subscribe.permits(topic)
    }

    /// Whether the client may subscribe to the filter (a shared one: to what it shares). What is denied in part is accepted; the denied messages
    /// are held back when they come.
    package func maySubscribe(_ filter: TopicFilter) -> Bool {
        if !self.subscribe.denied.isEmpty, FilterCoverage.covers(self.subscribe.denied, filter) { return false }
        if Self.isSystem(filter.filter) { return true }
        return self.subscribe.allowed.map { FilterCoverage.covers($0, filter) } ?? true
    }

    /// Whether clients without an account may say under `$SYS` that they bridge: no filter of theirs can name `$SYS`, so where everything is open.
    static func opensBridges(_ opened: [TopicFilter]) -> Bool { opened.contains { $0.filter == "#" } }

    static func isSystem(_ text: String) -> Bool {
        text.utf8.first == UInt8(ascii: "$") && (text == "$SYS" || text.utf8.starts(with: "$SYS/".utf8))
    }
}
