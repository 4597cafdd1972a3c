package import SkerryModel

/// Why bytes are no acceptable packet: the reason code to close with, and where it went wrong. Never holds what was read.
package struct MQTTDecodeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A closed set, so that each can be counted and tested.
    package enum Cause: Sendable, Hashable {
        /// The first byte has a reserved type, or flags that its type does not allow [MQTT-2.1.3-1].
        case packetType, flags
        /// The remaining length has more than four bytes, or more than its value needs [MQTT-1.5.5-1].
        case remainingLength
        /// Longer than `packetBytesMax` [MQTT-3.1.2-24 for our side].
        case tooLarge(bytes: Int, limit: Int)
        /// A field reaches over the end of its packet, or bytes follow the last field.
        case truncated, leftover
        /// A string that is not UTF-8, holds a surrogate or U+0000 [MQTT-1.5.4-1], [MQTT-1.5.4-2].
        case string
        case topic(TopicError)
        /// Neither "MQTT" nor "MQIsdp", or a level that we do not speak [MQTT-3.1.2-2].
        case protocolName, protocolLevel
        /// Connect flags that contradict each other or use the reserved bit [MQTT-3.1.2-3].
        case connectFlags
        /// The packet identifier is 0 [MQTT-2.2.1-3].
        case packetID
        /// QoS 3, or DUP with QoS 0 [MQTT-3.3.1-2], [MQTT-3.3.1-4].
        case qos
        /// An unknown property, or one that this packet or direction does not allow (MQTT 5 §2.2.2.2).
        case property(UInt8)
        /// A single property that is there twice.
        case repeatedProperty(UInt8)
        /// A property whose value is outside its range.
        case propertyValue(UInt8)
        /// A packet needs a property, or a topic, that it does not have.
        case missing
        /// Subscription options with reserved bits, or No Local on a shared subscription [MQTT-3.8.3-4], [MQTT-3.8.3-5].
        case subscriptionOptions
        /// A SUBSCRIBE, UNSUBSCRIBE or SUBACK about nothing [MQTT-3.8.3-2], [MQTT-3.10.3-2].
        case empty
        /// More subscriptions or user properties in one packet than the limit allows.
        case tooMany(limit: Int)
        /// A reason code that this packet does not know.
        case reasonCode
        /// A packet that this side never gets, or not now: anything before CONNECT, a second CONNECT [MQTT-3.1.0-1], [MQTT-3.1.0-2].
        case unexpected
    }

    /// What a DISCONNECT or CONNACK of version 5 says before the connection is closed.
    package let reason: MQTTReason
    package let cause: Cause
    /// nil when not even the type could be read.
    package let packetType: MQTTPacketType?
    /// Bytes from the start of the packet.
    package let offset: Int

    package init(_ reason: MQTTReason, _ cause: Cause, in packetType: MQTTPacketType?, at offset: Int) {
        self.reason = reason
        self.cause = cause
        self.packetType = packetType
        self.offset = offset
    }

    package var description: String {
        let name = self.packetType.map { "\($0)".uppercased() } ?? "packet"
        return "\(name) refused at byte \(self.offset) with \(self.reason): \(self.explanation)"
    }

    private var explanation: String {
        switch self.cause {
        case .packetType: "reserved packet type"
        case .flags: "reserved flags in the first byte"
        case .remainingLength: "remaining length is not a minimal number of at most four bytes"
        case .tooLarge(let bytes, let limit): "\(bytes) bytes are over the limit of \(limit); raise `mqtt.packet_bytes_max` if this client is trusted"
        case .truncated: "a field reaches over the end of the packet"
        case .leftover: "bytes after the last field"
        case .string: "a string is not UTF-8 without U+0000"
        case .topic(let error): error.description
        case .protocolName: "unknown protocol name"
        case .protocolLevel: "unsupported protocol level"
        case .connectFlags: "connect flags contradict each other"
        case .packetID: "packet identifier 0"
        case .qos: "QoS is not allowed here"
        case .property(let id): "property \(id) is not allowed here"
        case .repeatedProperty(let id): "property \(id) is there twice"
        case .propertyValue(let id): "property \(id) has a value outside its range"
        case .missing: "a required field is missing"
        case .subscriptionOptions: "subscription options are not allowed"
        case .empty: "no topic filter or reason code"
        case .tooMany(let limit): "more than \(limit) items in one packet"
        case .reasonCode: "reason code is not allowed in this packet"
        case .unexpected: "not allowed at this point"
        }
    }
}
