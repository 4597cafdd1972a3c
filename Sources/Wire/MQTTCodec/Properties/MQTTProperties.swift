package import NIOCore

/// A user property (MQTT 5 §3.1.2.11.8): a name that may occur more than once, and a value.
package struct MQTTUserProperty: Sendable, Hashable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// The properties of one packet (MQTT 5 §2.2.2). Empty costs nothing; before version 5 they are always empty.
///
/// Kept in the order of their identifiers, repeated ones in the order they came [MQTT-3.3.2-18], so equal properties are equal values.
package struct MQTTProperties: Sendable, Hashable {
    /// A value in one of the forms of the wire.
    package enum Value: Sendable, Hashable {
        /// One, two or four bytes, or a variable byte integer: the table knows which.
        case number(UInt32)
        case text(String)
        case bytes(ByteBuffer)
        case pair(MQTTUserProperty)
    }

    package struct Item: Sendable, Hashable {
        package let id: MQTTPropertyID
        package var value: Value

        package init(_ id: MQTTPropertyID, _ value: Value) {
            self.id = id
            self.value = value
        }
    }

    /// By rising identifier.
    package private(set) var items: [Item] = []

    package init() {}
    package static let none = MQTTProperties()
    package var isEmpty: Bool { self.items.isEmpty }

    // MARK: - Access by identifier

    package func first(_ id: MQTTPropertyID) -> Value? {
        for item in self.items where item.id == id { return item.value }
        return nil
    }

    package func contains(_ id: MQTTPropertyID) -> Bool { self.first(id) != nil }

    /// Adds a value behind those of the same identifier.
    package mutating func append(_ id: MQTTPropertyID, _ value: Value) {
        var index = self.items.count
        while index > 0, self.items[index - 1].id > id { index -= 1 }
        self.items.insert(Item(id, value), at: index)
    }

    package mutating func remove(_ id: MQTTPropertyID) { self.items.removeAll { $0.id == id } }

    /// Puts `value` in the place of all with this identifier; nil removes them.
    package mutating func set(_ id: MQTTPropertyID, _ value: Value?) {
        self.remove(id)
        if let value { self.append(id, value) }
    }

    // MARK: - Messages (PUBLISH, will)

    /// 1 says that the payload is UTF-8.
    package var payloadFormatIndicator: UInt8? {
        get { self.number(.payloadFormatIndicator) }
        set { self.setNumber(.payloadFormatIndicator, newValue) }
    }
    /// Seconds.
    package var messageExpiryInterval: UInt32? {
        get { self.number(.messageExpiryInterval) }
        set { self.setNumber(.messageExpiryInterval, newValue) }
    }
    package var contentType: String? {
        get { self.text(.contentType) }
        set { self.setText(.contentType, newValue) }
    }
    /// A valid topic name: the decoder has checked it [MQTT-3.3.2-14].
    package var responseTopic: String? {
        get { self.text(.responseTopic) }
        set { self.setText(.responseTopic, newValue) }
    }
    package var correlationData: ByteBuffer? {
        get { self.bytes(.correlationData) }
        set { self.setBytes(.correlationData, newValue) }
    }
    /// In a PUBLISH those of all matching subscriptions; in a SUBSCRIBE at most one. 1 … 268,435,455.
    package var subscriptionIdentifiers: [UInt32] {
        get {
            self.items.compactMap { item in
                if item.id == .subscriptionIdentifier, case .number(let number) = item.value { number } else { nil }
            }
        }
        set {
            self.remove(.subscriptionIdentifier)
            for identifier in newValue { self.append(.subscriptionIdentifier, .number(identifier)) }
        }
    }
    package var topicAlias: UInt16? {
        get { self.number(.topicAlias) }
        set { self.setNumber(.topicAlias, newValue) }
    }
    /// Seconds between the end of the connection and the will.
    package var willDelayInterval: UInt32? {
        get { self.number(.willDelayInterval) }
        set { self.setNumber(.willDelayInterval, newValue) }
    }

    // MARK: - Connection

    /// Seconds; 0xFFFFFFFF = never.
    package var sessionExpiryInterval: UInt32? {
        get { self.number(.sessionExpiryInterval) }
        set { self.setNumber(.sessionExpiryInterval, newValue) }
    }
    package var assignedClientIdentifier: String? {
        get { self.text(.assignedClientIdentifier) }
        set { self.setText(.assignedClientIdentifier, newValue) }
    }
    /// Seconds.
    package var serverKeepAlive: UInt16? {
        get { self.number(.serverKeepAlive) }
        set { self.setNumber(.serverKeepAlive, newValue) }
    }
    package var authenticationMethod: String? {
        get { self.text(.authenticationMethod) }
        set { self.setText(.authenticationMethod, newValue) }
    }
    package var authenticationData: ByteBuffer? {
        get { self.bytes(.authenticationData) }
        set { self.setBytes(.authenticationData, newValue) }
    }
    /// Absent means true.
    package var requestProblemInformation: Bool? {
        get { self.flag(.requestProblemInformation) }
        set { self.setFlag(.requestProblemInformation, newValue) }
    }
    /// Absent means false.
    package var requestResponseInformation: Bool? {
        get { self.flag(.requestResponseInformation) }
        set { self.setFlag(.requestResponseInformation, newValue) }
    }
    package var responseInformation: String? {
        get { self.text(.responseInformation) }
        set { self.setText(.responseInformation, newValue) }
    }
    package var serverReference: String? {
        get { self.text(.serverReference) }
        set { self.setText(.serverReference, newValue) }
    }
    /// 1 … 65,535; absent means 65,535.
    package var receiveMaximum: UInt16? {
        get { self.number(.receiveMaximum) }
        set { self.setNumber(.receiveMaximum, newValue) }
    }
    /// Absent means 0: no aliases.
    package var topicAliasMaximum: UInt16? {
        get { self.number(.topicAliasMaximum) }
        set { self.setNumber(.topicAliasMaximum, newValue) }
    }
    /// 0 or 1; absent means 2.
    package var maximumQoS: UInt8? {
        get { self.number(.maximumQoS) }
        set { self.setNumber(.maximumQoS, newValue) }
    }
    /// 1 …; absent means no limit but the protocol's.
    package var maximumPacketSize: UInt32? {
        get { self.number(.maximumPacketSize) }
        set { self.setNumber(.maximumPacketSize, newValue) }
    }
    package var retainAvailable: Bool? {
        get { self.flag(.retainAvailable) }
        set { self.setFlag(.retainAvailable, newValue) }
    }
    package var wildcardSubscriptionAvailable: Bool? {
        get { self.flag(.wildcardSubscriptionAvailable) }
        set { self.setFlag(.wildcardSubscriptionAvailable, newValue) }
    }
    package var subscriptionIdentifierAvailable: Bool? {
        get { self.flag(.subscriptionIdentifierAvailable) }
        set { self.setFlag(.subscriptionIdentifierAvailable, newValue) }
    }
    package var sharedSubscriptionAvailable: Bool? {
        get { self.flag(.sharedSubscriptionAvailable) }
        set { self.setFlag(.sharedSubscriptionAvailable, newValue) }
    }

    // MARK: - Anywhere

    package var reasonString: String? {
        get { self.text(.reasonString) }
        set { self.setText(.reasonString, newValue) }
    }
    /// In the order they were sent [MQTT-3.3.2-18].
    package var userProperties: [MQTTUserProperty] {
        get {
            self.items.compactMap { item in
                if case .pair(let property) = item.value { property } else { nil }
            }
        }
        set {
            self.remove(.userProperty)
            for property in newValue { self.append(.userProperty, .pair(property)) }
        }
    }

    // MARK: - Forms

    private func number<Number: FixedWidthInteger>(_ id: MQTTPropertyID) -> Number? {
        guard case .number(let number) = self.first(id) else { return nil }
        return Number(exactly: number)
    }

    private mutating func setNumber(_ id: MQTTPropertyID, _ number: (some FixedWidthInteger & UnsignedInteger)?) {
        self.set(id, number.map { .number(UInt32($0)) })
    }

    private func flag(_ id: MQTTPropertyID) -> Bool? {
        guard case .number(let number) = self.first(id) else { return nil }
        return number != 0
    }

    private mutating func setFlag(_ id: MQTTPropertyID, _ flag: Bool?) { self.set(id, flag.map { .number($0 ? 1 : 0) }) }

    private func text(_ id: MQTTPropertyID) -> String? {
        guard case .text(let text) = self.first(id) else { return nil }
        return text
    }

    private mutating func setText(_ id: MQTTPropertyID, _ text: String?) { self.set(id, text.map { .text($0) }) }

    private func bytes(_ id: MQTTPropertyID) -> ByteBuffer? {
        guard case .bytes(let bytes) = self.first(id) else { return nil }
        return bytes
    }

    private mutating func setBytes(_ id: MQTTPropertyID, _ bytes: ByteBuffer?) { self.set(id, bytes.map { .bytes($0) }) }
}
