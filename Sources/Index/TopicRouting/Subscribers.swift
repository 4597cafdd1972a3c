import SkerryModel

/// The subscribers of one filter: its own and those of its groups.
///
/// A class, because code that does not know the types moves a reference with less ado than a struct.
final class Subscribers<Subscriber: Hashable, Options> {
    private struct Group {
        let filter: TopicFilter
        let name: String
        var members: SubscriberList<Subscriber, Options>
    }

    private var own = SubscriberList<Subscriber, Options>()
    /// Few: groups of one filter are counted on one hand.
    private var groups: [Group] = []

    init() {}
    var isEmpty: Bool { self.own.isEmpty && self.groups.isEmpty }

    func insert(_ subscription: Subscription<Subscriber, Options>, _ filter: TopicFilter) -> Options? {
        guard let name = filter.shareGroup else { return self.own.insert(subscription) }
        if let index = self.groups.firstIndex(where: { $0.filter == filter }) { return self.groups[index].members.insert(subscription) }
        var group = Group(filter: filter, name: name, members: SubscriberList())
        _ = group.members.insert(subscription)
        self.groups.append(group)
        return nil
    }

    func remove(_ subscriber: Subscriber, _ filter: TopicFilter) -> Options? {
        guard filter.isShared else { return self.own.remove(subscriber) }
        guard let index = self.groups.firstIndex(where: { $0.filter == filter }) else { return nil }
        let old = self.groups[index].members.remove(subscriber)
        if self.groups[index].members.isEmpty { self.groups.remove(at: index) }
        return old
    }

    func append(to matches: inout SubscriptionMatches<Subscriber, Options>) {
        if !self.own.isEmpty { matches.lists.append(self.own.entries) }
        for group in self.groups {
            matches.shared.append(SharedSubscription(group: group.name, filter: group.filter, members: group.members.entries))
        }
    }
}

@available(*, unavailable)
extension Subscribers: Sendable {}

/// Subscriptions side by side, so that a fan-out walks an array; a look-up by subscriber joins once there are many.
struct SubscriberList<Subscriber: Hashable, Options> {
    /// Up to here a search is as quick as a look-up and needs no memory.
    private static var searchedMax: Int { 8 }

    private(set) var entries: [Subscription<Subscriber, Options>] = []
    /// Where each subscriber is in `entries`; empty while there are few.
    private var places: [Subscriber: Int] = [:]

    var isEmpty: Bool { self.entries.isEmpty }

    private func place(of subscriber: Subscriber) -> Int? {
        self.places.isEmpty ? self.entries.firstIndex { $0.subscriber == subscriber } : self.places[subscriber]
    }

    mutating func insert(_ subscription: Subscription<Subscriber, Options>) -> Options? {
        if let place = self.place(of: subscription.subscriber) {
            let old = self.entries[place].options
            self.entries[place] = subscription
            return old
        }
        self.entries.append(subscription)
        if !self.places.isEmpty {
            self.places[subscription.subscriber] = self.entries.count - 1
        } else if self.entries.count > Self.searchedMax {
            for (place, entry) in self.entries.enumerated() { self.places[entry.subscriber] = place }
        }
        return nil
    }

    /// The last entry takes the place of the removed one.
    mutating func remove(_ subscriber: Subscriber) -> Options? {
        guard let place = self.place(of: subscriber) else { return nil }
        let old = self.entries[place].options
        let last = self.entries.removeLast()
        if place < self.entries.count {
            self.entries[place] = last
            if !self.places.isEmpty { self.places[last.subscriber] = place }
        }
        if self.entries.count <= Self.searchedMax { self.places = [:] } else { self.places[subscriber] = nil }
        return old
    }
}
