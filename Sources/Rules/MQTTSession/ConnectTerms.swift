package import MQTTCodec
package import NIOCore

/// Why a CONNECT is refused; the encoder turns the reason into a return code of 3.1.1.
package struct ConnectRefusal: Error, Sendable, Hashable {
    package var reason: MQTTReason
    package var text: String

    package init(_ reason: MQTTReason, _ text: String) {
        self.reason = reason
        self.text = text
    }
}

/// What a client asked for in CONNECT, cut to what the box allows.
package struct ConnectTerms: Sendable {
    package let version: MQTTVersion
    /// Another broker: its subscriptions are No Local and Retain As Published.
    package let isBridge: Bool
    package let clientID: String
    /// The box chose the client id [MQTT-3.1.3-6].
    package let isAssigned: Bool
    package let isCleanStart: Bool
    package let keepAliveSeconds: UInt16
    private let requestedKeepAliveSeconds: UInt16
    /// 0 = the session ends with its connection.
    package let expirySeconds: UInt32
    private let requestedExpirySeconds: UInt32
    /// QoS 1 and 2 messages that may be under way to the client.
    package let receiveMaximum: Int
    /// Bytes of the largest packet the client takes.
    package let packetBytesMax: Int
    package let topicAliasMaximum: UInt16
    package let wantsProblemInformation: Bool
    package let will: Will?
    /// How the client proves who it is, by AUTH packets (§4.12); nil: by user name and password.
    package let authenticationMethod: String?
    /// The last word of the method, for CONNACK.
    package var authenticationData: ByteBuffer?

    /// - Parameters:
    ///   - methods: the authentication methods that the box speaks.
    ///   - assigned: makes a client id when the client leaves it to the box.
    package init(_ connect: MQTTConnect, limits: SessionLimits, methods: [String] = [], assigned: () -> String) throws(ConnectRefusal) {
        let properties = connect.properties
        if let method = properties.authenticationMethod, !methods.contains(method) {
            let known = methods.isEmpty ? "user name and password only" : "\(methods.joined(separator: ", ")), and user name and password"
            throw ConnectRefusal(.badAuthenticationMethod, "This box knows \(known).")
        }
        self.authenticationMethod = properties.authenticationMethod
        self.version = connect.version
        self.isBridge = connect.isBridge
        self.isCleanStart = connect.cleanStart
        self.isAssigned = connect.clientID.isEmpty
        if connect.clientID.isEmpty {
            // [MQTT-3.1.3-8] of 3.1.1; 3.1 knows no empty client id at all.
            guard connect.version == .v5 || (connect.version == .v311 && connect.cleanStart) else {
                throw ConnectRefusal(.clientIdentifierNotValid, "An empty client id needs a clean session.")
            }
            self.clientID = assigned()
        } else {
            self.clientID = connect.clientID
        }
        self.requestedKeepAliveSeconds = connect.keepAliveSeconds
        let longest = UInt16(clamping: limits.keepAliveSecondsMax)
        if connect.version == .v5 {
            // A client without keep-alive is told the longest one; 65,535 stands for "no opinion" and leaves it off.
            let asked = connect.keepAliveSeconds == 0 ? (longest == .max ? 0 : longest) : min(connect.keepAliveSeconds, longest)
            self.keepAliveSeconds = asked
        } else {
            self.keepAliveSeconds = connect.keepAliveSeconds
        }
        let asked: UInt32 = connect.version == .v5 ? properties.sessionExpiryInterval ?? 0 : connect.cleanStart ? 0 : .max
        self.requestedExpirySeconds = asked
        self.expirySeconds = min(asked, UInt32(clamping: limits.sessionSecondsMax))
        self.receiveMaximum = min(Int(properties.receiveMaximum ?? .max), limits.inFlightMax)
        self.packetBytesMax = min(properties.maximumPacketSize.map { Int(clamping: $0) } ?? .max, MQTTCodecLimits.packetBytesProtocolMax)
        self.topicAliasMaximum = min(properties.topicAliasMaximum ?? 0, UInt16(clamping: limits.topicAliasMax))
        self.wantsProblemInformation = connect.version == .v5 && properties.requestProblemInformation != false
        self.will = connect.will.map { Will($0) }
        // A client that takes no packet as large as its CONNACK could never learn the limits it has to keep [MQTT-3.1.2-24].
        if self.packetBytesMax < 256 {
            var scratch = ByteBuffer()
            let connack = MQTTPacket.connack(self.connack(isSessionPresent: true, limits: limits))
            guard MQTTEncoder.encode(connack, version: self.version, packetBytesMax: self.packetBytesMax, into: &scratch) else {
                throw ConnectRefusal(.packetTooLarge, "Your Maximum Packet Size leaves no room for the answer.")
            }
        }
    }

    /// Whether CONNACK tells the client of a shorter time than it asked for.
    package var isKeepAliveShortened: Bool { self.version == .v5 && self.keepAliveSeconds != self.requestedKeepAliveSeconds }
    package var isExpiryShortened: Bool { self.version == .v5 && self.expirySeconds != self.requestedExpirySeconds }

    /// The CONNACK of an accepted connection (MQTT 5 §3.2.2.3).
    package func connack(isSessionPresent: Bool, limits: SessionLimits) -> MQTTConnack {
        var connack = MQTTConnack(.success, isSessionPresent: isSessionPresent)
        guard self.version == .v5 else { return connack }
        if self.expirySeconds != self.requestedExpirySeconds { connack.properties.sessionExpiryInterval = self.expirySeconds }
        if limits.receiveMax < 65_535 { connack.properties.receiveMaximum = UInt16(clamping: max(1, limits.receiveMax)) }
        connack.properties.maximumPacketSize = UInt32(clamping: limits.packetBytesMax)
        if limits.topicAliasMax > 0 { connack.properties.topicAliasMaximum = UInt16(clamping: limits.topicAliasMax) }
        if self.isAssigned { connack.properties.assignedClientIdentifier = self.clientID }
        if self.keepAliveSeconds != self.requestedKeepAliveSeconds { connack.properties.serverKeepAlive = self.keepAliveSeconds }
        // Both or neither, and the method as the client wrote it [MQTT-4.12.0-5], [MQTT-4.12.0-6].
        if let method = self.authenticationMethod {
            connack.properties.authenticationMethod = method
            connack.properties.authenticationData = self.authenticationData
        }
        return connack
    }

    /// An AUTH packet for the client, which has named a method.
    package func auth(_ reason: MQTTReason, _ data: ByteBuffer?) -> MQTTAuth {
        var auth = MQTTAuth(reason)
        auth.properties.authenticationMethod = self.authenticationMethod
        auth.properties.authenticationData = data
        return auth
    }
}

/// The message a client leaves behind for the case that it is lost (MQTT 5 §3.1.2.5).
package struct Will: Sendable, Hashable {
    package var message: MQTTWill
    package var delaySeconds: UInt32

    package init(_ will: MQTTWill) {
        self.message = will
        self.delaySeconds = will.properties.willDelayInterval ?? 0
        self.message.properties.willDelayInterval = nil
    }
}
