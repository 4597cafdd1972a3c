package import MQTTCodec
package import SkerryModel

/// One subscription of one session.
package struct ClientSubscription: Sendable, Hashable {
    package var filter: TopicFilter
    package var options: MQTTSubscriptionOptions
    /// 0 = none.
    package var id: UInt32

    package init(_ filter: TopicFilter, _ options: MQTTSubscriptionOptions, id: UInt32 = 0) {
        self.filter = filter
        self.options = options
        self.id = id
    }
}

/// How a message goes to one client: what its matching subscriptions come to.
package struct Delivery: Sendable, Hashable {
    package var qos: MQTTQoS
    package var isRetained: Bool
    package var subscriptionIDs: [UInt32]
    /// The shared subscription that chose this client, as subscribed; nil: a subscription of its own.
    package var share: String?

    package init(qos: MQTTQoS, isRetained: Bool, subscriptionIDs: [UInt32] = [], share: String? = nil) {
        self.qos = qos
        self.isRetained = isRetained
        self.subscriptionIDs = subscriptionIDs
        self.share = share
    }

    /// What a message that goes this way counts for under a limit of bytes.
    package func byteCount(of message: ApplicationMessage) -> Int { message.byteCount + (self.share?.utf8.count ?? 0) }

    /// A message that is published now, for one subscription; nil when it is the client's own and the subscription says No Local [MQTT-3.8.3-3].
    package init?(_ message: ApplicationMessage, for subscription: ClientSubscription, isOwn: Bool) {
        if isOwn && subscription.options.noLocal { return nil }
        self.qos = min(message.qos, subscription.options.qos)
        // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
        self.isRetained = message.isRetained && subscription.options.retainAsPublished
        self.subscriptionIDs = subscription.id == 0 ? [] : [subscription.id]
    }

    /// Overlapping subscriptions make one message, at the highest QoS, with every identifier [MQTT-3.3.4-2] to [MQTT-3.3.4-4].
    package mutating func merge(_ other: Delivery) {
        self.qos = max(self.qos, other.qos)
        self.isRetained = self.isRetained || other.isRetained
        for id in other.subscriptionIDs where !self.subscriptionIDs.contains(id) { self.subscriptionIDs.append(id) }
    }
}
