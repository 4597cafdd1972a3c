package import NIOCore

/// Packets to bytes, in the form of one protocol version.
package enum MQTTEncoder {
    /// Writes `packet` behind what is in `buffer`; false writes nothing.
    ///
    /// False means that the packet cannot be sent to this receiver: it is over `packetBytesMax` (what its Maximum Packet Size allows
    /// [MQTT-3.1.2-24]), a string or binary field is over 65,535 bytes, the version has no such packet, or a packet identifier is missing. Reason
    /// strings and user properties of anything but a PUBLISH are left out before it gives up over the size [MQTT-3.2.2-19], [MQTT-3.4.2-2].
    /// A PUBLISH that does not fit is dropped as if it had been sent [MQTT-3.1.2-25].
    @discardableResult
    package static func encode(
        _ packet: MQTTPacket, version: MQTTVersion, packetBytesMax: Int = MQTTCodecLimits.packetBytesProtocolMax, into buffer: inout ByteBuffer
    ) -> Bool {
        let start = buffer.writerIndex
        var writer = PacketWriter(version)
        swap(&writer.buffer, &buffer)
        defer { swap(&writer.buffer, &buffer) }
        writer.packet(packet)
        if writer.isSendable, writer.buffer.writerIndex - start <= packetBytesMax { return true }
        writer.buffer.moveWriterIndex(to: start)
        guard writer.isSendable, let shorter = packet.withoutProblemInformation else { return false }
        writer.packet(shorter)
        if writer.isSendable, writer.buffer.writerIndex - start <= packetBytesMax { return true }
        writer.buffer.moveWriterIndex(to: start)
        return false
    }
}

extension MQTTPacket {
    /// The packet without reason string and user properties, for a client that set Request Problem Information to 0 [MQTT-3.1.2-29] or whose
    /// Maximum Packet Size it does not fit; nil when there are none, or it is a message or a request and they belong to it.
    package var withoutProblemInformation: MQTTPacket? {
        switch self {
        case .connack(var packet): packet.properties.removeProblemInformation() ? .connack(packet) : nil
        case .puback(var packet): packet.properties.removeProblemInformation() ? .puback(packet) : nil
        case .pubrec(var packet): packet.properties.removeProblemInformation() ? .pubrec(packet) : nil
        case .pubrel(var packet): packet.properties.removeProblemInformation() ? .pubrel(packet) : nil
        case .pubcomp(var packet): packet.properties.removeProblemInformation() ? .pubcomp(packet) : nil
        case .suback(var packet): packet.properties.removeProblemInformation() ? .suback(packet) : nil
        case .unsuback(var packet): packet.properties.removeProblemInformation() ? .unsuback(packet) : nil
        case .disconnect(var packet): packet.properties.removeProblemInformation() ? .disconnect(packet) : nil
        case .auth(var packet): packet.properties.removeProblemInformation() ? .auth(packet) : nil
        case .connect, .publish, .subscribe, .unsubscribe, .pingreq, .pingresp: nil
        }
    }
}

extension MQTTProperties {
    /// Whether there was anything to remove.
    fileprivate mutating func removeProblemInformation() -> Bool {
        let before = self.items.count
        self.remove(.reasonString)
        self.remove(.userProperty)
        return self.items.count < before
    }
}
