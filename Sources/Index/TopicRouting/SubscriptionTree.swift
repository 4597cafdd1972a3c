package import SkerryModel

/// Which subscriptions want a topic: the routing table of one shard. Nothing here is `Sendable`: a tree belongs to its owner.
///
/// A `Subscriber` holds at most one subscription to a filter [MQTT-3.8.4-3]; `Options` is what it asked for with it.
package final class SubscriptionTree<Subscriber: Hashable, Options> {
    package typealias Subscription = TopicRouting.Subscription<Subscriber, Options>
    package typealias Matches = SubscriptionMatches<Subscriber, Options>

    private let filters = FilterTree()
    /// By the number of the filter; empty where a number is free.
    private var subscribers: [Subscribers<Subscriber, Options>] = []
    /// What the last match found; kept for its storage.
    private var numbers: [Int] = []

    /// Subscriptions, shared ones included.
    package private(set) var count = 0
    package var isEmpty: Bool { self.count == 0 }
    /// What a test looks at to see that nothing is left behind.
    package var nodeCount: Int { self.filters.nodeCount }

    package init() {}

    /// Adds a subscription, or replaces the options of one that is there and gives back the old ones.
    @discardableResult
    package func insert(_ filter: TopicFilter, _ subscriber: Subscriber, _ options: Options) -> Options? {
        let number = self.filters.enter(filter)
        while self.subscribers.count < self.filters.numberEnd { self.subscribers.append(Subscribers()) }
        let old = self.subscribers[number].insert(Subscription(subscriber: subscriber, options: options), filter)
        if old == nil { self.count += 1 }
        return old
    }

    /// Removes a subscription and every part of the tree that only it needed; gives back its options, nil if there was none.
    @discardableResult
    package func remove(_ filter: TopicFilter, _ subscriber: Subscriber) -> Options? {
        guard let number = self.filters.find(filter), let old = self.subscribers[number].remove(subscriber, filter) else { return nil }
        if self.subscribers[number].isEmpty { self.filters.remove(filter) }
        self.count -= 1
        return old
    }

    /// Appends the subscriptions that want `topic`: one entry for each matching filter, so a subscriber with overlapping filters comes more
    /// than once [MQTT-3.3.4-2]; of a shared subscription the whole group, from which the caller chooses one (§4.8.2).
    package func match(_ topic: TopicName, into matches: inout Matches) {
        self.numbers.removeAll(keepingCapacity: true)
        self.filters.match(topic, into: &self.numbers)
        for number in self.numbers { self.subscribers[number].append(to: &matches) }
    }

    /// Whether any subscription wants `topic`; shared ones count.
    package func hasMatch(_ topic: TopicName) -> Bool {
        self.numbers.removeAll(keepingCapacity: true)
        self.filters.match(topic, into: &self.numbers)
        return !self.numbers.isEmpty
    }
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
    /// The filter as subscribed, `$share/{group}/` included: it names the shared subscription.
    package let filter: TopicFilter
    /// Never empty; the order is stable until a member leaves.
    package let members: [Subscription<Subscriber, Options>]
}

/// What a match found. Keep one and empty it between messages: its storage stays.
///
/// Lists and not one flat array: handing on a list is one reference, and the reader, who knows the types, walks it at 1 ns an entry; copying
/// entries here, where they are unknown, was measured at 16.
package struct SubscriptionMatches<Subscriber: Hashable, Options> {
    /// One list for each matching filter, shared with the tree and not copied.
    package internal(set) var lists: [[Subscription<Subscriber, Options>]] = []
    package var shared: [SharedSubscription<Subscriber, Options>] = []

    package init() {}
    package var isEmpty: Bool { self.lists.isEmpty && self.shared.isEmpty }
    /// All subscriptions of all lists.
    package var subscriptions: FlattenSequence<[[Subscription<Subscriber, Options>]]> { self.lists.joined() }

    package mutating func removeAll() {
        if !self.lists.isEmpty { self.lists.removeAll(keepingCapacity: true) }
        if !self.shared.isEmpty { self.shared.removeAll(keepingCapacity: true) }
    }
}
