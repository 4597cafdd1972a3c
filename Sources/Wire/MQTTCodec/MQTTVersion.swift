/// The protocol level of a CONNECT (MQTT 5 §3.1.2.2): it decides how every later packet of the connection is written.
package enum MQTTVersion: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// MQTT 3.1, protocol name "MQIsdp".
    case v31 = 3
    case v311 = 4
    case v5 = 5

    package var hasProperties: Bool { self == .v5 }

    /// What CONNECT carries as protocol name [MQTT-3.1.2-1].
    package var protocolName: String {
        switch self {
        case .v31: "MQIsdp"
        case .v311, .v5: "MQTT"
        }
    }

    package var description: String {
        switch self {
        case .v31: "MQTT 3.1"
        case .v311: "MQTT 3.1.1"
        case .v5: "MQTT 5.0"
        }
    }
}

/// The packet types of MQTT 5 §2.1.2. 0 is reserved; 15 is AUTH and reserved before version 5.
package enum MQTTPacketType: UInt8, Sendable, Hashable, CaseIterable {
    case connect = 1
    case connack, publish, puback, pubrec, pubrel, pubcomp, subscribe, suback, unsubscribe, unsuback, pingreq, pingresp, disconnect, auth

    /// The four low bits of the first byte [MQTT-2.1.3-1]; those of PUBLISH carry DUP, QoS and RETAIN instead.
    package var flags: UInt8 {
        switch self {
        case .pubrel, .subscribe, .unsubscribe: 0b0010
        case .connect, .connack, .publish, .puback, .pubrec, .pubcomp, .suback, .unsuback, .pingreq, .pingresp, .disconnect, .auth: 0
        }
    }
}

/// How hard a message is tried (MQTT 5 §4.3). Ordered: the lower of two is what a subscriber gets.
package enum MQTTQoS: UInt8, Sendable, Hashable, CaseIterable, Comparable {
    case atMostOnce = 0
    case atLeastOnce = 1
    case exactlyOnce = 2

    package static func < (left: MQTTQoS, right: MQTTQoS) -> Bool { left.rawValue < right.rawValue }
}
