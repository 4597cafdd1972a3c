package import NIOCore
package import SkerryModel

/// PUBLISH (MQTT 5 §3.3).
package struct MQTTPublish: Sendable, Hashable, CustomStringConvertible {
    /// nil is the empty topic of version 5: the topic alias says which is meant.
    package var topic: TopicName?
    /// A slice of what was read: copy it to keep it for long.
    package var payload: ByteBuffer
    /// 0 exactly when the QoS is 0 [MQTT-2.2.1-2], [MQTT-2.2.1-3].
    package var packetID: UInt16
    package var qos: MQTTQoS
    package var isRetained: Bool
    package var isDuplicate: Bool
    package var properties: MQTTProperties

    package init(
        topic: TopicName?, payload: ByteBuffer, qos: MQTTQoS = .atMostOnce, packetID: UInt16 = 0, isRetained: Bool = false,
        isDuplicate: Bool = false, properties: MQTTProperties = .none
    ) {
        self.topic = topic
        self.payload = payload
        self.packetID = packetID
        self.qos = qos
        self.isRetained = isRetained
        self.isDuplicate = isDuplicate
        self.properties = properties
    }

    /// Whether the payload is what the Payload Format Indicator promises; if not, the answer is 0x99 (MQTT 5 §3.3.2.3.2).
    package var payloadMatchesFormat: Bool {
        guard self.properties.payloadFormatIndicator == 1 else { return true }
        return self.payload.withUnsafeReadableBytes { String(validating: $0, as: UTF8.self) != nil }
    }

    /// Names neither topic nor content: it may reach a log.
    package var description: String {
        "PUBLISH(QoS \(self.qos.rawValue), id \(self.packetID), \(self.payload.readableBytes) bytes)"
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP (MQTT 5 §3.4 … §3.7): the packet's case says which.
package struct MQTTAck: Sendable, Hashable {
    /// Not 0.
    package var packetID: UInt16
    /// Before version 5 always success.
    package var reason: MQTTReason
    package var properties: MQTTProperties

    package init(_ packetID: UInt16, _ reason: MQTTReason = .success, properties: MQTTProperties = .none) {
        self.packetID = packetID
        self.reason = reason
        self.properties = properties
    }
}
