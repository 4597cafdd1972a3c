package import SkerryModel

/// Which topics an administrator lets cross between boxes (`federation.topics`). What is not ordinary never does: `$…`, `fed/…`, and the chat
/// under `v1/…`, which has its log.
package struct TopicCrossing: Sendable, Hashable {
    /// Only these; nil: all, and with an empty list nothing crosses.
    package var allowed: [TopicFilter]?
    /// Not these, whatever `allowed` says.
    package var denied: [TopicFilter]

    package init(allowed: [TopicFilter]? = nil, denied: [TopicFilter] = []) {
        self.allowed = allowed
        self.denied = denied
    }

    package func lets(_ topic: TopicName) -> Bool {
        guard !topic.startsWithDollar, case .ordinary = TopicKind(topic) else { return false }
        if self.denied.contains(where: { $0.matches(topic) }) { return false }
        return self.allowed?.contains { $0.matches(topic) } ?? true
    }

    /// Whether a subscription may want anything that crosses.
    package static func isOrdinary(_ filter: TopicFilter) -> Bool {
        let first = filter.firstLevel
        return !filter.startsWithDollar && first != "v1" && first != "fed"
    }
}
