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
        self.init(MQTTReason(error.code.mqttReason), text: error.detail, code: error.code.rawValue, isLost: isLost)
    }

    package static let success = AckAnswer(.success)
}
