package import MQTTCodec
package import SkerryModel

/// What a PUBACK, PUBREC or PUBCOMP says.
package struct AckAnswer: Sendable, Hashable {
    package var reason: MQTTReason
    /// For people, and the registry's code for programs; sent to a client of version 5 that asked for problem information.
    package var text: String?
    package var code: String?
    /// The message was not stored, so a client that cannot be told must not get an acknowledgement: its connection is closed instead.
    package var isLost: Bool

    package init(_ reason: MQTTReason, text: String? = nil, code: String? = nil, isLost: Bool = false) {
        self.reason = reason
        self.text = text
        self.code = code
        self.isLost = isLost
    }

    package init(_ error: SkerryError, isLost: Bool) {
        self.init(.ofPublish(error.code), text: error.detail, code: error.code.rawValue, isLost: isLost)
    }

    package static let success = AckAnswer(.success)
}

extension MQTTReason {
    /// The reason of a PUBACK or PUBREC. Clients end the connection over one that MQTT 5 §3.4.2.1 does not list there, so what has no place
    /// gets the nearest that has; the user property `code` says it exactly.
    package static func ofPublish(_ code: ErrorCode) -> MQTTReason {
        switch code.mqttReason {
        case 0x86: .notAuthorized
        case 0x95: .quotaExceeded
        case let reason where [0x83, 0x87, 0x90, 0x97, 0x99].contains(reason): MQTTReason(reason)
        default: .implementationSpecificError
        }
    }

    /// The same for a SUBACK (MQTT 5 §3.9.3).
    package static func ofSubscribe(_ code: ErrorCode) -> MQTTReason {
        switch code.mqttReason {
        case 0x86, 0x90: .notAuthorized
        case 0x99: .topicFilterInvalid
        case 0x95: .quotaExceeded
        case let reason where [0x83, 0x87, 0x97].contains(reason): MQTTReason(reason)
        default: .implementationSpecificError
        }
    }
}
