import MQTTCodec
import NIOCore
import SkerryModel
import TestKit

/// Makes random packets that a version and direction can carry.
struct PacketMaker {
    var random: SeededRandom
    let version: MQTTVersion
    let role: MQTTDecoder.Role

    init(seed: UInt64, _ version: MQTTVersion, for role: MQTTDecoder.Role) {
        self.random = SeededRandom(seed: seed)
        self.version = version
        self.role = role
    }

    /// The types that this side may get, CONNECT apart: it comes once.
    var types: [MQTTPacketType] {
        let both: [MQTTPacketType] = [.publish, .puback, .pubrec, .pubrel, .pubcomp] + (self.version == .v5 ? [.auth] : [])
        switch self.role {
        case .server: return both + [.subscribe, .unsubscribe, .pingreq, .disconnect]
        case .client: return both + [.connack, .suback, .unsuback, .pingresp] + (self.version == .v5 ? [.disconnect] : [])
        }
    }

    mutating func packet(_ type: MQTTPacketType) throws -> MQTTPacket {
        switch type {
        case .connect: return .connect(try self.connect())
        case .connack: return .connack(self.connack())
        case .publish: return .publish(try self.publish())
        case .puback: return .puback(self.ack([.success, .noMatchingSubscribers, .notAuthorized, .quotaExceeded]))
        case .pubrec: return .pubrec(self.ack([.success, .packetIdentifierInUse, .unspecifiedError]))
        case .pubrel: return .pubrel(self.ack([.success, .packetIdentifierNotFound]))
        case .pubcomp: return .pubcomp(self.ack([.success, .packetIdentifierNotFound]))
        case .subscribe: return .subscribe(try self.subscribe())
        case .suback: return .suback(self.suback())
        case .unsubscribe: return .unsubscribe(try self.unsubscribe())
        case .unsuback: return .unsuback(self.unsuback())
        case .pingreq: return .pingreq
        case .pingresp: return .pingresp
        case .disconnect: return .disconnect(self.disconnect())
        case .auth: return .auth(self.auth())
        }
    }

    // MARK: - Packets

    private mutating func connect() throws -> MQTTConnect {
        let hasName = self.flip()
        var connect = MQTTConnect(
            version: self.version, clientID: self.text(), cleanStart: self.flip(), keepAliveSeconds: self.number(),
            userName: hasName ? self.text() : nil, password: (hasName || self.version == .v5) && self.flip() ? self.bytes() : nil)
        if self.flip() {
            connect.will = MQTTWill(topic: try self.topic(), payload: self.bytes(), qos: self.qos(), isRetained: self.flip())
            if self.version == .v5 { connect.will?.properties = try self.messageProperties(isWill: true) }
        }
        guard self.version == .v5 else {
            connect.isBridge = self.flip()
            return connect
        }
        if self.flip() { connect.properties.sessionExpiryInterval = self.number() }
        if self.flip() { connect.properties.receiveMaximum = UInt16.random(in: 1...UInt16.max, using: &self.random) }
        if self.flip() { connect.properties.maximumPacketSize = UInt32.random(in: 1...UInt32.max, using: &self.random) }
        if self.flip() { connect.properties.topicAliasMaximum = self.number() }
        if self.flip() { connect.properties.requestProblemInformation = self.flip() }
        if self.flip() { connect.properties.requestResponseInformation = self.flip() }
        self.addAuthentication(&connect.properties)
        self.addUserProperties(&connect.properties)
        return connect
    }

    private mutating func connack() -> MQTTConnack {
        let reasons: [MQTTReason] =
            self.version == .v5
            ? [.success, .badUserNameOrPassword, .serverBusy, .banned]
            : [.success, .unsupportedProtocolVersion, .clientIdentifierNotValid, .serverUnavailable, .badUserNameOrPassword, .notAuthorized]
        let reason = self.pick(reasons)
        var connack = MQTTConnack(reason, isSessionPresent: !reason.isFailure && self.version != .v31 && self.flip())
        guard self.version == .v5 else { return connack }
        if self.flip() { connack.properties.assignedClientIdentifier = self.text() }
        if self.flip() { connack.properties.serverKeepAlive = self.number() }
        if self.flip() { connack.properties.maximumQoS = UInt8.random(in: 0...1, using: &self.random) }
        if self.flip() { connack.properties.retainAvailable = self.flip() }
        if self.flip() { connack.properties.wildcardSubscriptionAvailable = self.flip() }
        if self.flip() { connack.properties.subscriptionIdentifierAvailable = self.flip() }
        if self.flip() { connack.properties.sharedSubscriptionAvailable = self.flip() }
        if self.flip() { connack.properties.responseInformation = self.text() }
        if self.flip() { connack.properties.serverReference = self.text() }
        self.addProblemInformation(&connack.properties)
        return connack
    }

    mutating func publish() throws -> MQTTPublish {
        let qos = self.qos()
        var publish = MQTTPublish(
            topic: try self.topic(), payload: self.bytes(), qos: qos, packetID: qos == .atMostOnce ? 0 : self.packetID(), isRetained: self.flip(),
            isDuplicate: qos != .atMostOnce && self.flip())
        guard self.version == .v5 else { return publish }
        publish.properties = try self.messageProperties(isWill: false)
        if self.flip() {
            publish.properties.topicAlias = UInt16.random(in: 1...UInt16.max, using: &self.random)
            if self.flip() { publish.topic = nil }
        }
        if self.role == .client {
            publish.properties.subscriptionIdentifiers = (0..<Int.random(in: 0...3, using: &self.random)).map { _ in self.identifier() }
        }
        return publish
    }

    private mutating func ack(_ reasons: [MQTTReason]) -> MQTTAck {
        var ack = MQTTAck(self.packetID())
        guard self.version == .v5 else { return ack }
        ack.reason = self.pick(reasons)
        self.addProblemInformation(&ack.properties)
        return ack
    }

    private mutating func subscribe() throws -> MQTTSubscribe {
        var subscribe = MQTTSubscribe(self.packetID(), [])
        for _ in 0..<Int.random(in: 1...4, using: &self.random) {
            let filter = try self.filter()
            var options = MQTTSubscriptionOptions(qos: self.qos())
            if self.version == .v5 {
                options.noLocal = !filter.isShared && self.flip()
                options.retainAsPublished = self.flip()
                options.retainHandling = self.pick(MQTTRetainHandling.allCases)
            }
            subscribe.subscriptions.append(MQTTSubscription(filter, options))
        }
        guard self.version == .v5 else { return subscribe }
        if self.flip() { subscribe.properties.subscriptionIdentifiers = [self.identifier()] }
        self.addUserProperties(&subscribe.properties)
        return subscribe
    }

    private mutating func suback() -> MQTTSuback {
        let reasons: [MQTTReason] =
            self.version == .v5
            ? [.grantedQoS0, .grantedQoS1, .grantedQoS2, .notAuthorized, .topicFilterInvalid]
            : [.grantedQoS0, .grantedQoS1, .grantedQoS2, .unspecifiedError]
        var suback = MQTTSuback(self.packetID(), (0..<Int.random(in: 1...5, using: &self.random)).map { _ in self.pick(reasons) })
        if self.version == .v5 { self.addProblemInformation(&suback.properties) }
        return suback
    }

    private mutating func unsubscribe() throws -> MQTTUnsubscribe {
        var unsubscribe = MQTTUnsubscribe(self.packetID(), [])
        for _ in 0..<Int.random(in: 1...4, using: &self.random) { unsubscribe.filters.append(try self.filter()) }
        if self.version == .v5 { self.addUserProperties(&unsubscribe.properties) }
        return unsubscribe
    }

    private mutating func unsuback() -> MQTTUnsuback {
        var unsuback = MQTTUnsuback(self.packetID(), [])
        guard self.version == .v5 else { return unsuback }
        unsuback.reasons = (0..<Int.random(in: 1...4, using: &self.random)).map { _ in self.pick([.success, .noSubscriptionExisted]) }
        self.addProblemInformation(&unsuback.properties)
        return unsuback
    }

    private mutating func disconnect() -> MQTTDisconnect {
        var disconnect = MQTTDisconnect()
        guard self.version == .v5 else { return disconnect }
        switch self.role {
        case .server:
            disconnect.reason = self.pick([.normalDisconnection, .disconnectWithWill, .protocolError])
            if self.flip() { disconnect.properties.sessionExpiryInterval = self.number() }
        case .client:
            disconnect.reason = self.pick([.sessionTakenOver, .serverShuttingDown, .keepAliveTimeout, .topicAliasInvalid])
            if self.flip() { disconnect.properties.serverReference = self.text() }
        }
        self.addProblemInformation(&disconnect.properties)
        return disconnect
    }

    private mutating func auth() -> MQTTAuth {
        var auth = MQTTAuth(self.pick([.success, .continueAuthentication, .reAuthenticate]))
        auth.properties.authenticationMethod = self.text()
        if self.flip() { auth.properties.authenticationData = self.bytes() }
        self.addProblemInformation(&auth.properties)
        return auth
    }

    // MARK: - Properties

    private mutating func messageProperties(isWill: Bool) throws -> MQTTProperties {
        var properties = MQTTProperties()
        if self.flip() { properties.payloadFormatIndicator = UInt8.random(in: 0...1, using: &self.random) }
        if self.flip() { properties.messageExpiryInterval = self.number() }
        if self.flip() { properties.contentType = self.text() }
        if self.flip() { properties.responseTopic = try self.topic().text }
        if self.flip() { properties.correlationData = self.bytes() }
        if isWill, self.flip() { properties.willDelayInterval = self.number() }
        self.addUserProperties(&properties)
        return properties
    }

    private mutating func addAuthentication(_ properties: inout MQTTProperties) {
        guard self.flip() else { return }
        properties.authenticationMethod = self.text()
        if self.flip() { properties.authenticationData = self.bytes() }
    }

    private mutating func addProblemInformation(_ properties: inout MQTTProperties) {
        if self.flip() { properties.reasonString = self.text() }
        self.addUserProperties(&properties)
    }

    private mutating func addUserProperties(_ properties: inout MQTTProperties) {
        guard self.flip() else { return }
        properties.userProperties = (0..<Int.random(in: 1...3, using: &self.random)).map { _ in MQTTUserProperty(self.text(), self.text()) }
    }

    // MARK: - Fields

    private mutating func flip() -> Bool { Bool.random(using: &self.random) }
    private mutating func pick<Element>(_ from: [Element]) -> Element { from[Int.random(in: 0..<from.count, using: &self.random)] }
    private mutating func qos() -> MQTTQoS { self.pick(MQTTQoS.allCases) }
    private mutating func number<Number: FixedWidthInteger & UnsignedInteger>() -> Number {
        self.pick([0, 1, Number.max, Number.random(in: 0...Number.max, using: &self.random)])
    }
    private mutating func packetID() -> UInt16 { UInt16.random(in: 1...UInt16.max, using: &self.random) }
    private mutating func identifier() -> UInt32 { self.pick([1, 127, 128, 16_384, 2_097_152, 268_435_455]) }

    private mutating func text() -> String {
        let words = ["", "a", "état", "e\u{301}", "在吗", "🙂", "\u{FEFF}x", "plain text", String(repeating: "long ", count: 60)]
        return self.pick(words) + self.pick(words)
    }

    private mutating func bytes() -> ByteBuffer {
        let count = self.pick([0, 1, 5, 127, 128, 300])
        return ByteBuffer(bytes: (0..<count).map { _ in UInt8.random(in: 0...255, using: &self.random) })
    }

    private mutating func topic() throws -> TopicName { try TopicName(self.pick(["a", "/", "a/b/c", "$SYS/x", "在/吗", "a//b", "e\u{301}/é"])) }
    private mutating func filter() throws -> TopicFilter {
        try TopicFilter(self.pick(["a", "+", "#", "a/+/c", "a/#", "$SYS/#", "在/+", "$share/g/a/#", "$share/g/+", "/", "+/+"]))
    }
}
