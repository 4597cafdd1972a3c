package import SkerryModel

/// When a new subscription gets the retained messages (MQTT 5 §3.8.3.1).
package enum MQTTRetainHandling: UInt8, Sendable, Hashable, CaseIterable {
    case send = 0
    case sendIfNew = 1
    case doNotSend = 2
}

/// The options byte of a subscription (MQTT 5 §3.8.3.1). Before version 5 only the QoS.
package struct MQTTSubscriptionOptions: Sendable, Hashable {
    package var qos: MQTTQoS
    package var noLocal: Bool
    package var retainAsPublished: Bool
    package var retainHandling: MQTTRetainHandling

    package init(qos: MQTTQoS, noLocal: Bool = false, retainAsPublished: Bool = false, retainHandling: MQTTRetainHandling = .send) {
        self.qos = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.retainHandling = retainHandling
    }

    /// nil for QoS 3, retain handling 3 and the reserved bits.
    package init?(rawValue: UInt8) {
        guard rawValue & 0b1100_0000 == 0, let qos = MQTTQoS(rawValue: rawValue & 0b11),
            let retainHandling = MQTTRetainHandling(rawValue: (rawValue >> 4) & 0b11)
        else { return nil }
        self.init(qos: qos, noLocal: rawValue & 0b100 != 0, retainAsPublished: rawValue & 0b1000 != 0, retainHandling: retainHandling)
    }

    package var rawValue: UInt8 {
        self.qos.rawValue | (self.noLocal ? 0b100 : 0) | (self.retainAsPublished ? 0b1000 : 0) | self.retainHandling.rawValue << 4
    }
}

package struct MQTTSubscription: Sendable, Hashable {
    package var filter: TopicFilter
    package var options: MQTTSubscriptionOptions

    package init(_ filter: TopicFilter, _ options: MQTTSubscriptionOptions) {
        self.filter = filter
        self.options = options
    }
}

/// SUBSCRIBE (MQTT 5 §3.8): at least one subscription.
package struct MQTTSubscribe: Sendable, Hashable {
    package var packetID: UInt16
    package var subscriptions: [MQTTSubscription]
    package var properties: MQTTProperties

    package init(_ packetID: UInt16, _ subscriptions: [MQTTSubscription], properties: MQTTProperties = .none) {
        self.packetID = packetID
        self.subscriptions = subscriptions
        self.properties = properties
    }
}

/// SUBACK (MQTT 5 §3.9): one reason for each subscription, in their order [MQTT-3.9.3-1].
package struct MQTTSuback: Sendable, Hashable {
    package var packetID: UInt16
    package var reasons: [MQTTReason]
    package var properties: MQTTProperties

    package init(_ packetID: UInt16, _ reasons: [MQTTReason], properties: MQTTProperties = .none) {
        self.packetID = packetID
        self.reasons = reasons
        self.properties = properties
    }
}

/// UNSUBSCRIBE (MQTT 5 §3.10): at least one filter.
package struct MQTTUnsubscribe: Sendable, Hashable {
    package var packetID: UInt16
    package var filters: [TopicFilter]
    package var properties: MQTTProperties

    package init(_ packetID: UInt16, _ filters: [TopicFilter], properties: MQTTProperties = .none) {
        self.packetID = packetID
        self.filters = filters
        self.properties = properties
    }
}

/// UNSUBACK (MQTT 5 §3.11): one reason for each filter; before version 5 none.
package struct MQTTUnsuback: Sendable, Hashable {
    package var packetID: UInt16
    package var reasons: [MQTTReason]
    package var properties: MQTTProperties

    package init(_ packetID: UInt16, _ reasons: [MQTTReason], properties: MQTTProperties = .none) {
        self.packetID = packetID
        self.reasons = reasons
        self.properties = properties
    }
}
