import MQTTSession
package import SkerryModel
import Synchronization
import TopicRouting

/// A shard's own copy of what other boxes' clients want, so that a publication is matched without a lock and without a hop.
final class ShardCrossing {
    let tap: any PublicationTap
    var policy: TopicCrossing
    private let tree = SubscriptionTree<BoxID, Bool>()
    private var filters: [BoxID: Set<TopicFilter>] = [:]
    private var matches = SubscriptionMatches<BoxID, Bool>()

    init(tap: any PublicationTap, policy: TopicCrossing) {
        self.tap = tap
        self.policy = policy
    }

    /// What clients of `box` want from now on.
    func replace(_ filters: Set<TopicFilter>, of box: BoxID) {
        let old = self.filters[box] ?? []
        for filter in old.subtracting(filters) { self.tree.remove(filter, box) }
        for filter in filters.subtracting(old) { self.tree.insert(filter, box, true) }
        self.filters[box] = filters.isEmpty ? nil : filters
    }

    /// The boxes that want `topic`, each once.
    func boxes(for topic: TopicName) -> [BoxID] {
        if self.tree.isEmpty { return [] }
        self.matches.removeAll()
        self.tree.match(topic, into: &self.matches)
        var boxes: [BoxID] = []
        for match in self.matches.subscriptions where !boxes.contains(match.subscriber) { boxes.append(match.subscriber) }
        return boxes
    }

    func subscribed(_ filter: TopicFilter, _ change: Int) {
        guard TopicCrossing.isOrdinary(filter) else { return }
        // A share is served by each box for itself; others are told of the filter alone.
        guard filter.isShared else { return self.tap.subscribed(filter, change) }
        if let bare = try? TopicFilter(filter.filter) { self.tap.subscribed(bare, change) }
    }
}

extension BrokerShard {
    /// Tells the federation of a message that other boxes' clients want.
    func cross(_ message: ApplicationMessage, _ source: PublicationSource?, _ crossing: ShardCrossing) {
        let boxes = crossing.boxes(for: message.topic)
        if boxes.isEmpty || !crossing.policy.lets(message.topic) { return }
        let now = self.now
        if message.isExpired(at: now) { return }
        let user = source.flatMap { self.byKey[$0.session]?.owner.user }
        crossing.tap.published(
            CrossingMessage(
                topic: message.topic, payload: message.payload, qos: message.qos, isRetained: message.isRetained,
                millisecondsLeft: message.expires.map { $0 - now }, properties: message.properties, user: user), for: boxes)
    }

    /// From another box, to this box's clients and nobody else's.
    fileprivate func arrive(_ crossing: CrossingMessage, _ arrival: PublicationSource.Arrival) {
        let now = self.now
        let message = ApplicationMessage(
            topic: crossing.topic, payload: crossing.payload, qos: crossing.qos, isRetained: crossing.isRetained,
            expires: crossing.millisecondsLeft.map { now.addingReportingOverflow($0).overflow ? .max : now + $0 }, properties: crossing.properties)
        self.route(message, PublicationSource(shard: self.shard.index, session: 0, arrival: arrival))
    }

    func attach(_ tap: any PublicationTap, _ policy: TopicCrossing) {
        let crossing = ShardCrossing(tap: tap, policy: policy)
        self.otherBoxes = crossing
        for session in self.sessions.values {
            for filter in session.machine.subscriptions.keys { crossing.subscribed(filter, 1) }
        }
    }
}

extension MQTTBroker {
    /// From now on `tap` hears what other boxes want to hear: publications, and what this box's clients subscribe to, beginning with what they
    /// are subscribed to already.
    package func attach(_ tap: any PublicationTap, _ policy: TopicCrossing) {
        self.crossing.withLock { $0 = policy }
        for shard in self.node.shards { shard.enter { $0.mqtt?.attach(tap, policy) } }
        self.offerRetained()
    }

    /// The box is in no federation any more, or goes down.
    package func detachTap() {
        self.crossing.withLock { $0 = nil }
        for shard in self.node.shards { shard.enter { $0.mqtt?.otherBoxes = nil } }
    }

    /// Other topics cross from now on.
    package func change(_ policy: TopicCrossing) {
        self.crossing.withLock { $0 = $0 == nil ? nil : policy }
        for shard in self.node.shards { shard.enter { $0.mqtt?.otherBoxes?.policy = policy } }
    }

    /// What clients of another box want from now on; nothing of it is kept over a restart.
    package func wants(_ box: BoxID, _ filters: Set<TopicFilter>) {
        for shard in self.node.shards { shard.enter { $0.mqtt?.otherBoxes?.replace(filters, of: box) } }
    }

    /// Gives a message of another box to this box's clients, through the same routing, limits and access rules as one of their own. It never
    /// leaves the box again. Messages of one box are given in the order of the calls, if those come from one thread.
    ///
    /// - Parameter taken: nil: it is where it should be, on the disk for durable receivers. An error: it is not, and may be given again.
    package func deliver(_ message: CrossingMessage, from box: BoxID, taken: @escaping @Sendable (SkerryError?) -> Void) {
        guard !message.topic.startsWithDollar, case .ordinary = TopicKind(message.topic) else { return taken(nil) }
        let arrival = PublicationSource.Arrival(box: box) { answer in
            taken(answer.isLost ? SkerryError(.unavailable, answer.text ?? "The box could not write this.") : nil)
        }
        self.node.home(of: box.description).enter { shard in
            guard let mqtt = shard.mqtt else { return taken(SkerryError(.unavailable, "The box is going down.")) }
            mqtt.perform { mqtt.arrive(message, arrival) }
        }
    }
}
