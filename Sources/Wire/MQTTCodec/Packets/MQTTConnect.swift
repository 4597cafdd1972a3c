package import NIOCore
package import SkerryModel

/// The message that the server publishes when the client is lost (MQTT 5 §3.1.2.5).
package struct MQTTWill: Sendable, Hashable {
    package var topic: TopicName
    package var payload: ByteBuffer
    package var qos: MQTTQoS
    package var isRetained: Bool
    package var properties: MQTTProperties

    package init(
        topic: TopicName, payload: ByteBuffer, qos: MQTTQoS = .atMostOnce, isRetained: Bool = false, properties: MQTTProperties = .none
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.isRetained = isRetained
        self.properties = properties
    }
}

/// CONNECT (MQTT 5 §3.1).
package struct MQTTConnect: Sendable, Hashable, CustomStringConvertible {
    package var version: MQTTVersion
    /// The client is another broker, which says so with the high bit of the level: a habit of Mosquitto's bridges before version 5. Its
    /// subscriptions are meant as No Local and Retain As Published, which SUBSCRIBE cannot say there.
    package var isBridge = false
    /// May be empty; whether that is allowed is the session's to say [MQTT-3.1.3-8].
    package var clientID: String
    /// Clean Start of version 5, Clean Session before.
    package var cleanStart: Bool
    /// Seconds; 0 = off.
    package var keepAliveSeconds: UInt16
    package var userName: String?
    package var password: ByteBuffer?
    package var will: MQTTWill?
    package var properties: MQTTProperties

    package init(
        version: MQTTVersion, clientID: String, cleanStart: Bool = true, keepAliveSeconds: UInt16 = 0, userName: String? = nil,
        password: ByteBuffer? = nil, will: MQTTWill? = nil, properties: MQTTProperties = .none
    ) {
        self.version = version
        self.clientID = clientID
        self.cleanStart = cleanStart
        self.keepAliveSeconds = keepAliveSeconds
        self.userName = userName
        self.password = password
        self.will = will
        self.properties = properties
    }

    /// Names no credential and no content: it may reach a log.
    package var description: String { "CONNECT(\(self.version), clean \(self.cleanStart), keep-alive \(self.keepAliveSeconds) s)" }
}

/// CONNACK (MQTT 5 §3.2).
package struct MQTTConnack: Sendable, Hashable {
    /// Never together with a failure [MQTT-3.2.2-6].
    package var isSessionPresent: Bool
    /// The encoder turns it into the return code of 3.1 and 3.1.1.
    package var reason: MQTTReason
    package var properties: MQTTProperties

    package init(_ reason: MQTTReason, isSessionPresent: Bool = false, properties: MQTTProperties = .none) {
        self.isSessionPresent = isSessionPresent
        self.reason = reason
        self.properties = properties
    }
}

/// DISCONNECT (MQTT 5 §3.14). Before version 5 it has no reason and only clients send it.
package struct MQTTDisconnect: Sendable, Hashable {
    package var reason: MQTTReason
    package var properties: MQTTProperties

    package init(_ reason: MQTTReason = .normalDisconnection, properties: MQTTProperties = .none) {
        self.reason = reason
        self.properties = properties
    }
}

/// AUTH (MQTT 5 §3.15), a packet of version 5 alone.
package struct MQTTAuth: Sendable, Hashable {
    package var reason: MQTTReason
    package var properties: MQTTProperties

    package init(_ reason: MQTTReason, properties: MQTTProperties = .none) {
        self.reason = reason
        self.properties = properties
    }
}
