package import SkerryModel

/// Which subscriptions want a topic: the routing table of one shard.
///
/// Filters without a wildcard are found with one look-up of the whole topic, however many there are. Filters with wildcards form a tree with a
/// step for each level; a walk follows at most the literal and the `+` step at each level, so its cost grows with what matches and not with
/// what is stored. Nothing here is `Sendable`: a tree belongs to its owner.
///
/// A `Subscriber` holds at most one subscription to a filter [MQTT-3.8.4-3]; `Options` is what it asked for with it.
package final class SubscriptionTree<Subscriber: Hashable, Options> {
    package typealias Subscription = TopicRouting.Subscription<Subscriber, Options>
    package typealias Matches = SubscriptionMatches<Subscriber, Options>

    /// By the text of the topic: the filters without a wildcard.
    private var literals: [TopicLevel: Subscribers<Subscriber, Options>] = [:]
    private let root = WildcardNode<Subscriber, Options>()
    /// The levels of the topic being matched, kept for the next: no allocation per match.
    private var levels: [TopicLevel] = []

    /// Subscriptions, shared ones included.
    package private(set) var count = 0
    package var isEmpty: Bool { self.count == 0 }

    package init() {}

    /// Adds a subscription, or replaces the options of one that is there and gives back the old ones.
    @discardableResult
    package func insert(_ filter: TopicFilter, _ subscriber: Subscriber, _ options: Options) -> Options? {
        let subscription = Subscription(subscriber: subscriber, options: options)
        let old: Options?
        if filter.hasWildcard {
            old = self.root.insert(subscription, filter)
        } else {
            let key = TopicLevel(Substring(filter.filter))
            old = self.literals[key, default: Subscribers()].insert(subscription, filter)
        }
        if old == nil { self.count += 1 }
        return old
    }

    /// Removes a subscription and every part of the tree that only it needed; gives back its options, nil if there was none.
    @discardableResult
    package func remove(_ filter: TopicFilter, _ subscriber: Subscriber) -> Options? {
        let old: Options?
        if filter.hasWildcard {
            old = self.root.remove(subscriber, filter)
        } else {
            let key = TopicLevel(Substring(filter.filter))
            guard let index = self.literals.index(forKey: key) else { return nil }
            old = self.literals.values[index].remove(subscriber, filter)
            if self.literals.values[index].isEmpty { self.literals.remove(at: index) }
        }
        if old != nil { self.count -= 1 }
        return old
    }

    /// Appends the subscriptions that want `topic`: one entry for each matching filter, so a subscriber with overlapping filters comes more
    /// than once [MQTT-3.3.4-2]; of a shared subscription the whole group, from which the caller chooses one (§4.8.2).
    package func match(_ topic: TopicName, into matches: inout Matches) {
        if !self.literals.isEmpty, let subscribers = self.literals[TopicLevel(Substring(topic.text))] { subscribers.append(to: &matches) }
        guard !self.root.isEmpty else { return }
        self.levels.removeAll(keepingCapacity: true)
        for level in topic.levels { self.levels.append(level) }
        self.root.match(self.levels, at: 0, allowsWildcard: !topic.startsWithDollar, into: &matches)
        // Levels are slices of the topic's text; do not keep it alive.
        self.levels.removeAll(keepingCapacity: true)
    }

    /// Whether any subscription wants `topic`; shared ones count.
    package func hasMatch(_ topic: TopicName) -> Bool {
        var matches = Matches()
        self.match(topic, into: &matches)
        return !matches.isEmpty
    }

    /// Nodes of the wildcard tree and literal filters: what a test looks at to see that nothing is left behind.
    package var nodeCount: Int { self.literals.count + self.root.descendantCount }
}

@available(*, unavailable)
extension SubscriptionTree: Sendable {}

/// One subscription: who, and what it asked for.
package struct Subscription<Subscriber: Hashable, Options> {
    package let subscriber: Subscriber
    package let options: Options

    package init(subscriber: Subscriber, options: Options) {
        self.subscriber = subscriber
        self.options = options
    }
}

/// A shared subscription that wants a topic: exactly one of its members gets the message.
package struct SharedSubscription<Subscriber: Hashable, Options> {
    package let group: String
    /// The filter as subscribed, `$share/{group}/` included: together with the group it names the shared subscription.
    package let filter: TopicFilter
    /// Never empty; the order is stable until a member leaves.
    package let members: [Subscription<Subscriber, Options>]
}

/// What a match found. Keep one and empty it between messages: its storage stays.
package struct SubscriptionMatches<Subscriber: Hashable, Options> {
    package var subscriptions: [Subscription<Subscriber, Options>] = []
    package var shared: [SharedSubscription<Subscriber, Options>] = []

    package init() {}
    package var isEmpty: Bool { self.subscriptions.isEmpty && self.shared.isEmpty }

    package mutating func removeAll() {
        self.subscriptions.removeAll(keepingCapacity: true)
        self.shared.removeAll(keepingCapacity: true)
    }
}
