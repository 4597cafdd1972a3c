import Account
import MQTTCodec
import MQTTSession
import SkerryModel
import TopicRouting

/// Shared subscriptions whose home this shard is (MQTT 5 §4.8.2).
///
/// Members of one group sit on several shards, and a message must go to exactly one of them [MQTT-4.8.2-4]; so every group has one home, found
/// by the hash of its whole filter `$share/{group}/{filter}`, that knows all members and alone chooses. Members are told to it and taken from
/// it by their own homes. It goes round, and prefers members that are connected; a durable member that is away is chosen when nobody else is
/// there, and its queue keeps the message.
final class SharedGroups {
    private let tree = SubscriptionTree<SharedMember, ClientSubscription>()
    private var turns: [TopicFilter: Int] = [:]
    private struct Seat: Hashable {
        var filter: TopicFilter
        var key: UInt64
    }
    private var online: Set<Seat> = []
    /// Of members that the access rules restrict, what they leave them: a message goes to somebody who may read it.
    private var rights: [Seat: TopicRights] = [:]

    var isEmpty: Bool { self.tree.isEmpty }

    func join(_ member: SharedMember, _ subscription: ClientSubscription, isOnline: Bool, _ rights: TopicRights?) {
        self.tree.insert(subscription.filter, member, subscription)
        self.note(member.key, subscription.filter, isOnline: isOnline, rights)
    }

    func leave(_ member: SharedMember, _ filter: TopicFilter) {
        self.tree.remove(filter, member)
        self.turns[filter] = nil
        self.note(member.key, filter, isOnline: false, nil)
    }

    func note(_ key: UInt64, _ filter: TopicFilter, isOnline: Bool, _ rights: TopicRights?) {
        let seat = Seat(filter: filter, key: key)
        if isOnline { self.online.insert(seat) } else { self.online.remove(seat) }
        self.rights[seat] = rights
    }

    typealias Choice = (filter: TopicFilter, member: SharedMember, subscription: ClientSubscription)

    /// One member of every group that wants the topic.
    func choose(_ topic: TopicName) -> [Choice] {
        if self.tree.isEmpty { return [] }
        var matches = SubscriptionMatches<SharedMember, ClientSubscription>()
        self.tree.match(topic, into: &matches)
        return matches.shared.compactMap { self.choose(topic, $0, without: []) }
    }

    /// Another member of a group, when those tried could not take the message.
    func choose(_ topic: TopicName, _ filter: TopicFilter, without tried: Set<UInt64>) -> Choice? {
        var matches = SubscriptionMatches<SharedMember, ClientSubscription>()
        self.tree.match(topic, into: &matches)
        return matches.shared.first { $0.filter == filter }.flatMap { self.choose(topic, $0, without: tried) }
    }

    private func choose(
        _ topic: TopicName, _ shared: SharedSubscription<SharedMember, ClientSubscription>, without tried: Set<UInt64>
    ) -> Choice? {
        let count = shared.members.count
        let turn = self.turns[shared.filter, default: 0]
        var fallback: Int?
        for step in 0..<count {
            let index = (turn + step) % count
            let member = shared.members[index]
            if tried.contains(member.subscriber.key) { continue }
            let seat = Seat(filter: shared.filter, key: member.subscriber.key)
            if let rights = self.rights[seat], !rights.mayRead(topic) { continue }
            guard self.online.contains(seat) else {
                if member.subscriber.number != 0 && member.options.options.qos != .atMostOnce && fallback == nil { fallback = index }
                continue
            }
            self.turns[shared.filter] = (index + 1) % count
            return (shared.filter, member.subscriber, member.options)
        }
        guard let fallback else { return nil }
        self.turns[shared.filter] = (fallback + 1) % count
        return (shared.filter, shared.members[fallback].subscriber, shared.members[fallback].options)
    }
}
