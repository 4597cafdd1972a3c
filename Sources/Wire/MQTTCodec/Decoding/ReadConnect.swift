import NIOCore
import SkerryModel

/// CONNECT, CONNACK, DISCONNECT and AUTH.
extension PacketReader {
    /// MQTT 5 §3.1. `learned` is set as soon as the level is known, so that even a refusal is written in the client's version.
    mutating func connect(learned: inout MQTTVersion?) throws(MQTTDecodeError) -> MQTTConnect {
        let (version, isBridge) = try self.protocolVersion()
        learned = version
        let flags = try self.byte()
        try self.checkConnectFlags(flags, version)
        let keepAlive = try self.twoBytes()
        var connect = MQTTConnect(version: version, clientID: "", cleanStart: flags & 0x02 != 0, keepAliveSeconds: keepAlive)
        connect.isBridge = isBridge
        if version == .v5 {
            connect.properties = try self.properties(.connect)
            try self.requireMethodForData(connect.properties)
        }
        connect.clientID = try self.text()
        if flags & 0x04 != 0 { connect.will = try self.will(flags, version) }
        // COMPAT MQTT 3.1 §3.1: the remaining length takes precedence over the flags; a name or password may be announced and missing.
        if flags & 0x80 != 0, !(version == .v31 && self.isAtEnd) { connect.userName = try self.text() }
        if flags & 0x40 != 0, !(version == .v31 && self.isAtEnd) { connect.password = try self.bytes() }
        try self.finish()
        return connect
    }

    private mutating func protocolVersion() throws(MQTTDecodeError) -> (MQTTVersion, isBridge: Bool) {
        let name = try self.text()
        let place = self.offset
        let level = try self.byte()
        // COMPAT Mosquitto: 0x83 and 0x84 are bridges of 3.1 and 3.1.1; in version 5 a bridge has subscription options for that.
        let isBridge = level & 0x80 != 0
        guard let version = MQTTVersion(rawValue: level & 0x7F), !isBridge || version != .v5 else {
            throw MQTTDecodeError(.unsupportedProtocolVersion, .protocolLevel, in: .connect, at: place)
        }
        // "MQIsdp" goes with level 3 and "MQTT" with the others [MQTT-3.1.2-1], [MQTT-3.1.2-2].
        guard version.protocolName == name else { throw MQTTDecodeError(.unsupportedProtocolVersion, .protocolName, in: .connect, at: place) }
        return (version, isBridge)
    }

    private func checkConnectFlags(_ flags: UInt8, _ version: MQTTVersion) throws(MQTTDecodeError) {
        let hasWill = flags & 0x04 != 0
        let isValid =
            switch version {
            // COMPAT MQTT 3.1 §3.1 says of these bits only that they are not used.
            case .v31: true
            case .v311, .v5:
                // Reserved bit [MQTT-3.1.2-3]; will QoS and will retain without a will [MQTT-3.1.2-11], [MQTT-3.1.2-13].
                flags & 0x01 == 0 && (hasWill || flags & 0x38 == 0)
            }
        guard isValid else { throw self.error(.malformedPacket, .connectFlags) }
        // Will QoS 3 [MQTT-3.1.2-12].
        guard !hasWill || flags & 0x18 != 0x18 else { throw self.error(.malformedPacket, .qos) }
        // A password needs a user name [MQTT-3.1.2-22 in 3.1.1]; version 5 lifted that.
        guard version == .v5 || flags & 0xC0 != 0x40 else { throw self.error(.malformedPacket, .connectFlags) }
    }

    private mutating func will(_ flags: UInt8, _ version: MQTTVersion) throws(MQTTDecodeError) -> MQTTWill {
        let properties = version == .v5 ? try self.properties(.will) : .none
        let topic = try self.topicName()
        let payload = try self.bytes()
        guard let qos = MQTTQoS(rawValue: (flags >> 3) & 0b11) else { throw self.error(.malformedPacket, .qos) }
        return MQTTWill(topic: topic, payload: payload, qos: qos, isRetained: flags & 0x20 != 0, properties: properties)
    }

    /// Authentication Data without a Method is a protocol error (MQTT 5 §3.1.2.11.10).
    private func requireMethodForData(_ properties: MQTTProperties) throws(MQTTDecodeError) {
        guard !properties.contains(.authenticationData) || properties.contains(.authenticationMethod) else {
            throw self.error(.protocolError, .missing)
        }
    }

    /// MQTT 5 §3.2.
    mutating func connack(_ version: MQTTVersion) throws(MQTTDecodeError) -> MQTTConnack {
        let flags = try self.byte()
        // COMPAT MQTT 3.1 §3.2 has no session present flag and says only that the byte is not used.
        guard flags & 0xFE == 0 || version == .v31 else { throw self.error(.malformedPacket, .flags) }
        let code = try self.byte()
        guard let reason = version == .v5 ? MQTTReason.known(code, in: .connack) : MQTTReason(connectReturnCode: code) else {
            throw self.error(.protocolError, .reasonCode)
        }
        let isSessionPresent = flags & 0x01 != 0 && version != .v31
        // [MQTT-3.2.2-6].
        guard !isSessionPresent || !reason.isFailure else { throw self.error(.protocolError, .flags) }
        return MQTTConnack(reason, isSessionPresent: isSessionPresent, properties: version == .v5 ? try self.properties(.connack) : .none)
    }

    /// MQTT 5 §3.14. Reason and properties may be left out from the end.
    mutating func disconnect(_ version: MQTTVersion, _ role: MQTTDecoder.Role) throws(MQTTDecodeError) -> MQTTDisconnect {
        guard version == .v5, !self.isAtEnd else { return MQTTDisconnect() }
        let place: PropertyPlaces = role == .server ? .disconnectToServer : .disconnectToClient
        guard let reason = MQTTReason.known(try self.byte(), in: place) else { throw self.error(.protocolError, .reasonCode) }
        return MQTTDisconnect(reason, properties: self.isAtEnd ? .none : try self.properties(place))
    }

    /// MQTT 5 §3.15. Only success may go without its method, and then without anything.
    mutating func auth() throws(MQTTDecodeError) -> MQTTAuth {
        guard !self.isAtEnd else { return MQTTAuth(.success) }
        guard let reason = MQTTReason.known(try self.byte(), in: .auth) else { throw self.error(.protocolError, .reasonCode) }
        let properties = self.isAtEnd ? .none : try self.properties(.auth)
        guard reason == .success || properties.contains(.authenticationMethod) else { throw self.error(.protocolError, .missing) }
        try self.requireMethodForData(properties)
        return MQTTAuth(reason, properties: properties)
    }
}
