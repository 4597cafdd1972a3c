extension MQTTDecoder {
    /// What to say before the connection is closed over `failure`; nil where the version says nothing.
    ///
    /// Before a CONNECT was accepted version 5 gets a CONNACK with the reason (MQTT 5 §4.13), and the versions before it only the return code
    /// for a level that we do not speak [MQTT-3.1.2-2]; a level we do not know gets that one too, in the oldest form. Whoever did not start
    /// like a client of MQTT gets nothing.
    package var farewell: (packet: MQTTPacket, version: MQTTVersion)? {
        guard self.role == .server, let failure = self.failure else { return nil }
        guard self.hasConnect else {
            if self.version == .v5 { return (.connack(MQTTConnack(failure.reason)), .v5) }
            return failure.cause == .protocolLevel ? (.connack(MQTTConnack(failure.reason)), .v311) : nil
        }
        return self.version == .v5 ? (.disconnect(MQTTDisconnect(failure.reason)), .v5) : nil
    }
}
