import SkerryModel

/// A node of the tree of filters with wildcards: reached over the levels of a filter from the root.
final class WildcardNode<Subscriber: Hashable, Options> {
    /// Over a level that must be the same.
    private var children: [TopicLevel: WildcardNode] = [:]
    /// Over `+`: any one level.
    private var anyLevel: WildcardNode?
    /// Of the filter that ends here.
    private var here = Subscribers<Subscriber, Options>()
    /// Of the filter that ends with `#` below here; it wants this level too (§4.7.1.2).
    private var below = Subscribers<Subscriber, Options>()

    var isEmpty: Bool { self.children.isEmpty && self.anyLevel == nil && self.here.isEmpty && self.below.isEmpty }

    var descendantCount: Int {
        self.children.values.reduce(self.anyLevel.map { 1 + $0.descendantCount } ?? 0) { $0 + 1 + $1.descendantCount }
    }

    // MARK: - Changing

    func insert(_ subscription: Subscription<Subscriber, Options>, _ filter: TopicFilter) -> Options? {
        var node = self
        for level in filter.levels {
            switch level.wildcard {
            case .rest: return node.below.insert(subscription, filter)
            case .one: node = node.anyLevelMade()
            case nil: node = node.childMade(level)
            }
        }
        return node.here.insert(subscription, filter)
    }

    /// Recursion is bounded: a filter has at most `TopicName.separatorsMax` + 1 levels.
    func remove(_ subscriber: Subscriber, _ filter: TopicFilter) -> Options? {
        self.remove(subscriber, filter, levels: filter.levels)
    }

    private func remove(_ subscriber: Subscriber, _ filter: TopicFilter, levels: TopicLevels) -> Options? {
        var levels = levels
        guard let level = levels.next() else { return self.here.remove(subscriber, filter) }
        switch level.wildcard {
        case .rest: return self.below.remove(subscriber, filter)
        case .one:
            guard let child = self.anyLevel else { return nil }
            let old = child.remove(subscriber, filter, levels: levels)
            if child.isEmpty { self.anyLevel = nil }
            return old
        case nil:
            guard let child = self.children[level] else { return nil }
            let old = child.remove(subscriber, filter, levels: levels)
            if child.isEmpty { self.children[level] = nil }
            return old
        }
    }

    private func anyLevelMade() -> WildcardNode {
        if let child = self.anyLevel { return child }
        let child = WildcardNode()
        self.anyLevel = child
        return child
    }

    private func childMade(_ level: TopicLevel) -> WildcardNode {
        if let child = self.children[level] { return child }
        let child = WildcardNode()
        self.children[level.detached] = child
        return child
    }

    // MARK: - Matching

    /// Recursion is bounded by the levels of the topic.
    ///
    /// - Parameter allowsWildcard: false at the first level of a topic that starts with `$` [MQTT-4.7.2-1].
    func match(_ levels: [TopicLevel], at depth: Int, allowsWildcard: Bool, into matches: inout SubscriptionMatches<Subscriber, Options>) {
        if allowsWildcard, !self.below.isEmpty { self.below.append(to: &matches) }
        guard depth < levels.count else {
            if !self.here.isEmpty { self.here.append(to: &matches) }
            return
        }
        if allowsWildcard, let child = self.anyLevel { child.match(levels, at: depth + 1, allowsWildcard: true, into: &matches) }
        if !self.children.isEmpty, let child = self.children[levels[depth]] {
            child.match(levels, at: depth + 1, allowsWildcard: true, into: &matches)
        }
    }
}

@available(*, unavailable)
extension WildcardNode: Sendable {}

extension TopicLevel {
    fileprivate enum Wildcard { case one, rest }

    /// Filters hold wildcards only as whole levels, so one byte tells.
    fileprivate var wildcard: Wildcard? {
        guard self.text.utf8.count == 1 else { return nil }
        switch self.text.utf8.first {
        case UInt8(ascii: "+"): return .one
        case UInt8(ascii: "#"): return .rest
        default: return nil
        }
    }
}
