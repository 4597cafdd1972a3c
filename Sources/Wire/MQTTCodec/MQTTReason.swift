/// A reason code (MQTT 5 §2.4). The same code may have two names; the packet decides which is meant.
///
/// Versions 3.1 and 3.1.1 have few codes of their own: the encoder writes the nearest, the decoder gives back the one of version 5.
package struct MQTTReason: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package init(_ rawValue: UInt8) { self.rawValue = rawValue }

    package static let success = MQTTReason(0x00)
    package static let normalDisconnection = MQTTReason(0x00)
    package static let grantedQoS0 = MQTTReason(0x00)
    package static let grantedQoS1 = MQTTReason(0x01)
    package static let grantedQoS2 = MQTTReason(0x02)
    package static let disconnectWithWill = MQTTReason(0x04)
    package static let noMatchingSubscribers = MQTTReason(0x10)
    package static let noSubscriptionExisted = MQTTReason(0x11)
    package static let continueAuthentication = MQTTReason(0x18)
    package static let reAuthenticate = MQTTReason(0x19)
    package static let unspecifiedError = MQTTReason(0x80)
    package static let malformedPacket = MQTTReason(0x81)
    package static let protocolError = MQTTReason(0x82)
    package static let implementationSpecificError = MQTTReason(0x83)
    package static let unsupportedProtocolVersion = MQTTReason(0x84)
    package static let clientIdentifierNotValid = MQTTReason(0x85)
    package static let badUserNameOrPassword = MQTTReason(0x86)
    package static let notAuthorized = MQTTReason(0x87)
    package static let serverUnavailable = MQTTReason(0x88)
    package static let serverBusy = MQTTReason(0x89)
    package static let banned = MQTTReason(0x8A)
    package static let serverShuttingDown = MQTTReason(0x8B)
    package static let badAuthenticationMethod = MQTTReason(0x8C)
    package static let keepAliveTimeout = MQTTReason(0x8D)
    package static let sessionTakenOver = MQTTReason(0x8E)
    package static let topicFilterInvalid = MQTTReason(0x8F)
    package static let topicNameInvalid = MQTTReason(0x90)
    package static let packetIdentifierInUse = MQTTReason(0x91)
    package static let packetIdentifierNotFound = MQTTReason(0x92)
    package static let receiveMaximumExceeded = MQTTReason(0x93)
    package static let topicAliasInvalid = MQTTReason(0x94)
    package static let packetTooLarge = MQTTReason(0x95)
    package static let messageRateTooHigh = MQTTReason(0x96)
    package static let quotaExceeded = MQTTReason(0x97)
    package static let administrativeAction = MQTTReason(0x98)
    package static let payloadFormatInvalid = MQTTReason(0x99)
    package static let retainNotSupported = MQTTReason(0x9A)
    package static let qosNotSupported = MQTTReason(0x9B)
    package static let useAnotherServer = MQTTReason(0x9C)
    package static let serverMoved = MQTTReason(0x9D)
    package static let sharedSubscriptionsNotSupported = MQTTReason(0x9E)
    package static let connectionRateExceeded = MQTTReason(0x9F)
    package static let maximumConnectTime = MQTTReason(0xA0)
    package static let subscriptionIdentifiersNotSupported = MQTTReason(0xA1)
    package static let wildcardSubscriptionsNotSupported = MQTTReason(0xA2)

    /// 0x80 and above: what was asked did not happen.
    package var isFailure: Bool { self.rawValue >= 0x80 }

    /// The grant of a SUBACK.
    package static func granted(_ qos: MQTTQoS) -> MQTTReason { MQTTReason(qos.rawValue) }

    package var description: String {
        let digits = String(self.rawValue, radix: 16, uppercase: true)
        return digits.count == 1 ? "0x0\(digits)" : "0x\(digits)"
    }
}
