import NIOCore
import SkerryModel

/// SUBSCRIBE, UNSUBSCRIBE and their answers.
extension PacketReader {
    /// MQTT 5 §3.8.
    mutating func subscribe(_ version: MQTTVersion) throws(MQTTDecodeError) -> MQTTSubscribe {
        let packetID = try self.packetID()
        let properties = version == .v5 ? try self.properties(.subscribe) : .none
        var subscriptions: [MQTTSubscription] = []
        while !self.isAtEnd {
            try self.countItem(subscriptions.count)
            let filter = try self.topicFilter()
            subscriptions.append(MQTTSubscription(filter, try self.subscriptionOptions(version, isShared: filter.isShared)))
        }
        // [MQTT-3.8.3-2].
        guard !subscriptions.isEmpty else { throw self.error(.protocolError, .empty) }
        return MQTTSubscribe(packetID, subscriptions, properties: properties)
    }

    private mutating func subscriptionOptions(_ version: MQTTVersion, isShared: Bool) throws(MQTTDecodeError) -> MQTTSubscriptionOptions {
        let byte = try self.byte()
        // [MQTT-3.8.3-5]; before version 5 everything but the QoS is reserved [MQTT-3.8.3-4 there].
        guard byte & (version == .v5 ? 0b1100_0000 : 0b1111_1100) == 0 else { throw self.error(.malformedPacket, .subscriptionOptions) }
        guard byte & 0b11 != 3 else { throw self.error(version == .v5 ? .protocolError : .malformedPacket, .qos) }
        guard let options = MQTTSubscriptionOptions(rawValue: byte) else { throw self.error(.protocolError, .subscriptionOptions) }
        // [MQTT-3.8.3-4].
        guard !(isShared && options.noLocal) else { throw self.error(.protocolError, .subscriptionOptions) }
        return options
    }

    /// MQTT 5 §3.9.
    mutating func suback(_ version: MQTTVersion) throws(MQTTDecodeError) -> MQTTSuback {
        let packetID = try self.packetID()
        let properties = version == .v5 ? try self.properties(.suback) : .none
        return MQTTSuback(packetID, try self.reasons(version == .v5 ? MQTTReason.ofSuback : MQTTReason.ofSubackBefore5), properties: properties)
    }

    /// MQTT 5 §3.10.
    mutating func unsubscribe(_ version: MQTTVersion) throws(MQTTDecodeError) -> MQTTUnsubscribe {
        let packetID = try self.packetID()
        let properties = version == .v5 ? try self.properties(.unsubscribe) : .none
        var filters: [TopicFilter] = []
        while !self.isAtEnd {
            try self.countItem(filters.count)
            filters.append(try self.topicFilter())
        }
        // [MQTT-3.10.3-2].
        guard !filters.isEmpty else { throw self.error(.protocolError, .empty) }
        return MQTTUnsubscribe(packetID, filters, properties: properties)
    }

    /// MQTT 5 §3.11; before version 5 there are no reasons.
    mutating func unsuback(_ version: MQTTVersion) throws(MQTTDecodeError) -> MQTTUnsuback {
        let packetID = try self.packetID()
        guard version == .v5 else { return MQTTUnsuback(packetID, []) }
        let properties = try self.properties(.unsuback)
        return MQTTUnsuback(packetID, try self.reasons(MQTTReason.ofUnsuback), properties: properties)
    }

    private mutating func reasons(_ known: Set<UInt8>) throws(MQTTDecodeError) -> [MQTTReason] {
        guard !self.isAtEnd else { throw self.error(.protocolError, .empty) }
        guard self.remaining <= self.limits.subscriptionsPerPacketMax else { throw self.tooManyItems() }
        var reasons: [MQTTReason] = []
        while !self.isAtEnd {
            let code = try self.byte()
            guard known.contains(code) else { throw self.error(.protocolError, .reasonCode) }
            reasons.append(MQTTReason(code))
        }
        return reasons
    }

    private func countItem(_ before: Int) throws(MQTTDecodeError) {
        guard before < self.limits.subscriptionsPerPacketMax else { throw self.tooManyItems() }
    }

    private func tooManyItems() -> MQTTDecodeError {
        self.error(.quotaExceeded, .tooMany(limit: self.limits.subscriptionsPerPacketMax))
    }
}
