/// Which reason codes which packet may carry (MQTT 5 §2.4 and the tables of each packet), and what they are before version 5.
extension MQTTReason {
    /// The reason of `code` if a packet in this place may carry it.
    static func known(_ code: UInt8, in place: PropertyPlaces) -> MQTTReason? {
        let codes: Set<UInt8> =
            switch place {
            case .connack: Self.ofConnack
            case .puback, .pubrec: Self.ofPuback
            case .pubrel, .pubcomp: Self.ofPubrel
            case .disconnectToServer: Self.ofClientDisconnect
            case .disconnectToClient: Self.ofServerDisconnect
            case .auth: Self.ofAuth
            default: []
            }
        // Success is by far the most frequent; spare it the look-up.
        return code == 0 && !codes.isEmpty || codes.contains(code) ? MQTTReason(code) : nil
    }

    /// §3.2.2.2.
    private static let ofConnack: Set<UInt8> = [
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
    ]
    /// §3.4.2.1, §3.5.2.1.
    private static let ofPuback: Set<UInt8> = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
    /// §3.6.2.1, §3.7.2.1.
    private static let ofPubrel: Set<UInt8> = [0x00, 0x92]
    /// §3.9.3.
    static let ofSuback: Set<UInt8> = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]
    /// MQTT 3.1.1 §3.9.3.
    static let ofSubackBefore5: Set<UInt8> = [0x00, 0x01, 0x02, 0x80]
    /// §3.11.3.
    static let ofUnsuback: Set<UInt8> = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]
    /// §3.14.2.1, column "Client".
    private static let ofClientDisconnect: Set<UInt8> = [
        0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    ]
    /// §3.14.2.1, column "Server".
    private static let ofServerDisconnect: Set<UInt8> = [
        0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D,
        0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
    ]
    /// §3.15.2.1.
    private static let ofAuth: Set<UInt8> = [0x00, 0x18, 0x19]

    // MARK: - Before version 5

    /// A CONNACK's return code (MQTT 3.1.1 §3.2.2.3) as the reason it means.
    init?(connectReturnCode code: UInt8) {
        switch code {
        case 0: self = .success
        case 1: self = .unsupportedProtocolVersion
        case 2: self = .clientIdentifierNotValid
        case 3: self = .serverUnavailable
        case 4: self = .badUserNameOrPassword
        case 5: self = .notAuthorized
        default: return nil
        }
    }

    /// The nearest return code (MQTT 3.1.1 §3.2.2.3).
    var connectReturnCode: UInt8 {
        switch self {
        case .success: 0
        case .unsupportedProtocolVersion: 1
        case .clientIdentifierNotValid: 2
        case .badUserNameOrPassword, .badAuthenticationMethod: 4
        case .notAuthorized, .banned: 5
        default: self.isFailure ? 3 : 0
        }
    }

    /// A SUBACK's code (MQTT 3.1.1 §3.9.3): the granted QoS or failure.
    var subackCodeBefore5: UInt8 { self.isFailure ? 0x80 : min(self.rawValue, 2) }
}
