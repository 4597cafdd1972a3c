package import MQTTCodec
package import NIOCore
package import SkerryModel

/// A message on its way from a publisher to its receivers: checked, immutable, shared by all of them.
package final class ApplicationMessage: Sendable {
    package let topic: TopicName
    package let payload: ByteBuffer
    /// As published; a receiver gets the smaller of this and what its subscription allows [MQTT-3.8.4-8].
    package let qos: MQTTQoS
    /// The publisher's RETAIN flag.
    package let isRetained: Bool
    /// When it stops being of interest, by the broker's clock in milliseconds; nil = never (MQTT 5 §3.3.2.3.3).
    package let expires: UInt64?
    /// Those that travel with the message unaltered [MQTT-3.3.2-4], [MQTT-3.3.2-15] to [MQTT-3.3.2-20], in their order.
    package let properties: MQTTProperties

    package init(
        topic: TopicName, payload: ByteBuffer, qos: MQTTQoS, isRetained: Bool = false, expires: UInt64? = nil, properties: MQTTProperties = .none
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.isRetained = isRetained
        self.expires = expires
        self.properties = properties
    }

    /// The message of a PUBLISH whose topic is known. What may be kept for long is copied out of the read buffer.
    package convenience init(_ publish: MQTTPublish, topic: TopicName, now: UInt64) {
        self.init(
            topic: topic, payload: publish.qos == .atMostOnce && !publish.isRetained ? publish.payload : Self.copy(publish.payload), qos: publish.qos,
            isRetained: publish.isRetained, expires: Self.expiry(publish.properties, now), properties: Self.travelling(publish.properties))
    }

    /// The message of a will, as it is published at `now`.
    package convenience init(_ will: MQTTWill, now: UInt64) {
        self.init(
            topic: will.topic, payload: will.payload, qos: will.qos, isRetained: will.isRetained, expires: Self.expiry(will.properties, now),
            properties: Self.travelling(will.properties))
    }

    /// For encoding once what goes to many.
    package var layouts: PublishLayouts {
        PublishLayouts(MQTTPublish(topic: self.topic, payload: self.payload, properties: self.properties))
    }

    package func isExpired(at now: UInt64) -> Bool { self.expires.map { $0 <= now } ?? false }

    /// Seconds left, rounded up so that a message that is still sent is never sent with 0 [MQTT-3.3.2-6].
    package func secondsLeft(at now: UInt64) -> UInt32? {
        guard let expires = self.expires else { return nil }
        if self.properties.messageExpiryInterval == 0 { return 0 }
        return expires <= now ? 0 : UInt32(clamping: (expires - now + 999) / 1000)
    }

    /// What it counts for under a limit of bytes: topic, payload, and properties roughly.
    package var byteCount: Int { self.topic.byteCount + self.payload.readableBytes + Self.byteCount(self.properties) }

    /// 0 is for who is there now: it lasts as long as the way to them takes, over the disk too, and not a whole second.
    private static func expiry(_ properties: MQTTProperties, _ now: UInt64) -> UInt64? {
        properties.messageExpiryInterval.map { now + max(UInt64($0) * 1000, 999) }
    }

    private static func copy(_ bytes: ByteBuffer) -> ByteBuffer {
        var copy = ByteBufferAllocator().buffer(capacity: bytes.readableBytes)
        copy.writeImmutableBuffer(bytes)
        return copy
    }

    private static func travelling(_ properties: MQTTProperties) -> MQTTProperties {
        if properties.isEmpty { return properties }
        var kept = properties
        for item in properties.items {
            switch item.id {
            case .payloadFormatIndicator, .contentType, .responseTopic, .correlationData, .userProperty: continue
            // Kept only where `expires` does not say it: it is sent as it came [MQTT-3.3.2-6].
            case .messageExpiryInterval where properties.messageExpiryInterval == 0: continue
            default: kept.remove(item.id)
            }
        }
        return kept
    }

    private static func byteCount(_ properties: MQTTProperties) -> Int {
        properties.items.reduce(0) { sum, item in
            switch item.value {
            case .number: sum + 4
            case .text(let text): sum + text.utf8.count
            case .bytes(let bytes): sum + bytes.readableBytes
            case .pair(let pair): sum + pair.name.utf8.count + pair.value.utf8.count
            }
        }
    }
}
