import NIOCore

/// Where a property may stand (the "Used in" column of MQTT 5 §2.2.2.2); a direction where the text of the packet restricts it.
struct PropertyPlaces: OptionSet, Sendable, Hashable {
    let rawValue: UInt32

    static let connect = PropertyPlaces(rawValue: 1 << 0)
    static let will = PropertyPlaces(rawValue: 1 << 1)
    static let connack = PropertyPlaces(rawValue: 1 << 2)
    static let publishToServer = PropertyPlaces(rawValue: 1 << 3)
    static let publishToClient = PropertyPlaces(rawValue: 1 << 4)
    static let puback = PropertyPlaces(rawValue: 1 << 5)
    static let pubrec = PropertyPlaces(rawValue: 1 << 6)
    static let pubrel = PropertyPlaces(rawValue: 1 << 7)
    static let pubcomp = PropertyPlaces(rawValue: 1 << 8)
    static let subscribe = PropertyPlaces(rawValue: 1 << 9)
    static let suback = PropertyPlaces(rawValue: 1 << 10)
    static let unsubscribe = PropertyPlaces(rawValue: 1 << 11)
    static let unsuback = PropertyPlaces(rawValue: 1 << 12)
    static let disconnectToServer = PropertyPlaces(rawValue: 1 << 13)
    static let disconnectToClient = PropertyPlaces(rawValue: 1 << 14)
    static let auth = PropertyPlaces(rawValue: 1 << 15)

    static let publish: PropertyPlaces = [.publishToServer, .publishToClient]
    static let disconnect: PropertyPlaces = [.disconnectToServer, .disconnectToClient]
    static let message: PropertyPlaces = [.publish, .will]
    static let acknowledgements: PropertyPlaces = [.connack, .puback, .pubrec, .pubrel, .pubcomp, .suback, .unsuback, .disconnect, .auth]
    static let all: PropertyPlaces = [.acknowledgements, .message, .connect, .subscribe, .unsubscribe]

    /// The same packets in either direction: out of these a property is malformed, in the wrong direction it is a protocol error.
    var inEitherDirection: PropertyPlaces {
        var places = self
        if !self.isDisjoint(with: .publish) { places.formUnion(.publish) }
        if !self.isDisjoint(with: .disconnect) { places.formUnion(.disconnect) }
        return places
    }
}

/// Everything the codec knows about one property. Reading, writing, "not allowed here" and "twice" come from this row.
struct PropertyRow: Sendable {
    /// How the value is written (MQTT 5 §1.5).
    enum Form: Sendable, Hashable {
        case byte, twoBytes, fourBytes, variableInteger, text, topic, bytes, pair
    }

    let id: MQTTPropertyID
    let form: Form
    let places: PropertyPlaces
    /// Where it may come more than once.
    let repeatable: PropertyPlaces
    let range: ClosedRange<UInt32>
    /// What a value outside the range is.
    let rangeReason: MQTTReason

    init(
        _ id: MQTTPropertyID, _ form: Form, _ places: PropertyPlaces, repeatable: PropertyPlaces = [], range: ClosedRange<UInt32> = 0...UInt32.max,
        rangeReason: MQTTReason = .protocolError
    ) {
        self.id = id
        self.form = form
        self.places = places
        self.repeatable = repeatable
        self.range = range
        self.rangeReason = rangeReason
    }
}

enum PropertyTable {
    /// MQTT 5 §2.2.2.2, with the ranges that the text of each property gives.
    static let rows: [PropertyRow] = [
        PropertyRow(.payloadFormatIndicator, .byte, .message, range: 0...1),
        PropertyRow(.messageExpiryInterval, .fourBytes, .message),
        PropertyRow(.contentType, .text, .message),
        PropertyRow(.responseTopic, .topic, .message),
        PropertyRow(.correlationData, .bytes, .message),
        PropertyRow(
            .subscriptionIdentifier, .variableInteger, [.publishToClient, .subscribe], repeatable: .publishToClient,
            range: 1...UInt32(VariableInteger.max)),
        PropertyRow(.sessionExpiryInterval, .fourBytes, [.connect, .connack, .disconnectToServer]),
        PropertyRow(.assignedClientIdentifier, .text, .connack),
        PropertyRow(.serverKeepAlive, .twoBytes, .connack),
        PropertyRow(.authenticationMethod, .text, [.connect, .connack, .auth]),
        PropertyRow(.authenticationData, .bytes, [.connect, .connack, .auth]),
        PropertyRow(.requestProblemInformation, .byte, .connect, range: 0...1),
        PropertyRow(.willDelayInterval, .fourBytes, .will),
        PropertyRow(.requestResponseInformation, .byte, .connect, range: 0...1),
        PropertyRow(.responseInformation, .text, .connack),
        PropertyRow(.serverReference, .text, [.connack, .disconnectToClient]),
        PropertyRow(.reasonString, .text, .acknowledgements),
        PropertyRow(.receiveMaximum, .twoBytes, [.connect, .connack], range: 1...0xFFFF),
        PropertyRow(.topicAliasMaximum, .twoBytes, [.connect, .connack]),
        PropertyRow(.topicAlias, .twoBytes, .publish, range: 1...0xFFFF, rangeReason: .topicAliasInvalid),
        PropertyRow(.maximumQoS, .byte, .connack, range: 0...1),
        PropertyRow(.retainAvailable, .byte, .connack, range: 0...1),
        PropertyRow(.userProperty, .pair, .all, repeatable: .all),
        PropertyRow(.maximumPacketSize, .fourBytes, [.connect, .connack], range: 1...UInt32.max),
        PropertyRow(.wildcardSubscriptionAvailable, .byte, .connack, range: 0...1),
        PropertyRow(.subscriptionIdentifierAvailable, .byte, .connack, range: 0...1),
        PropertyRow(.sharedSubscriptionAvailable, .byte, .connack, range: 0...1),
    ]

    /// By identifier; nil where there is none. Identifiers are variable byte integers that all fit one byte today.
    private static let byIdentifier: [PropertyRow?] = {
        var table: [PropertyRow?] = Array(repeating: nil, count: Int(MQTTPropertyID.allCases.map(\.rawValue).max() ?? 0) + 1)
        for row in rows { table[Int(row.id.rawValue)] = row }
        return table
    }()

    static func row(_ identifier: UInt32) -> PropertyRow? {
        identifier < UInt32(self.byIdentifier.count) ? self.byIdentifier[Int(identifier)] : nil
    }

    static func row(_ id: MQTTPropertyID) -> PropertyRow? { self.row(UInt32(id.rawValue)) }
}
