import NIOCore
import SkerryModel

/// PUBLISH and its acknowledgements.
extension PacketReader {
    /// MQTT 5 §3.3. The flags were checked with the envelope.
    mutating func publish(_ version: MQTTVersion, flags: UInt8, _ role: MQTTDecoder.Role) throws(MQTTDecodeError) -> MQTTPublish {
        guard let qos = MQTTQoS(rawValue: (flags >> 1) & 0b11) else { throw self.error(.malformedPacket, .qos) }
        let topic = version == .v5 ? try self.topicNameOrEmpty() : try self.topicName()
        let packetID = qos == .atMostOnce ? 0 : try self.packetID()
        let properties = version == .v5 ? try self.properties(role == .server ? .publishToServer : .publishToClient) : .none
        // An empty topic needs an alias (MQTT 5 §3.3.2.1).
        guard topic != nil || properties.contains(.topicAlias) else { throw self.error(.protocolError, .missing) }
        return MQTTPublish(
            topic: topic, payload: self.rest(), qos: qos, packetID: packetID, isRetained: flags & 0b0001 != 0,
            isDuplicate: flags & 0b1000 != 0 && qos != .atMostOnce, properties: properties)
    }

    /// MQTT 5 §3.4 … §3.7. Reason and properties may be left out from the end.
    mutating func acknowledgement(_ version: MQTTVersion, _ place: PropertyPlaces) throws(MQTTDecodeError) -> MQTTAck {
        let packetID = try self.packetID()
        guard version == .v5, !self.isAtEnd else { return MQTTAck(packetID) }
        guard let reason = MQTTReason.known(try self.byte(), in: place) else { throw self.error(.protocolError, .reasonCode) }
        return MQTTAck(packetID, reason, properties: self.isAtEnd ? .none : try self.properties(place))
    }
}
