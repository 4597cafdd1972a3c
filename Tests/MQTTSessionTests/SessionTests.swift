import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Testing

/// One session, spoken to in packets.
private struct Talk {
    var session: Session
    var decoder: MQTTDecoder
    var effects: [SessionEffect] = []
    let version: MQTTVersion

    init(_ version: MQTTVersion = .v5, expiry: UInt32 = 0, limits: SessionLimits = SessionLimits(), _ change: (inout MQTTConnect) -> Void = { _ in }) throws {
        var connect = MQTTConnect(version: version, clientID: "c", cleanStart: expiry == 0, keepAliveSeconds: 10)
        if version == .v5 && expiry > 0 { connect.properties.sessionExpiryInterval = expiry }
        change(&connect)
        let terms = try ConnectTerms(connect, limits: limits) { "made" }
        self.version = version
        self.session = Session(terms, limits: limits)
        self.decoder = MQTTDecoder(clientOf: version)
        self.session.connect(terms, isPresent: false, now: 1_000, effects: &self.effects)
        _ = try self.sent()
    }

    mutating func sent() throws -> [MQTTPacket] {
        self.decoder.append(self.session.takeOutput())
        var packets: [MQTTPacket] = []
        while let packet = try self.decoder.next() { packets.append(packet) }
        return packets
    }

    mutating func say(_ packet: MQTTPacket, now: UInt64 = 1_000) -> [SessionEffect] {
        var effects: [SessionEffect] = []
        self.session.receive(packet, now: now, effects: &effects)
        return effects
    }

    mutating func pump(now: UInt64 = 1_000, room: Int = 1 << 20) -> [SessionEffect] {
        var effects: [SessionEffect] = []
        self.session.pump(now: now, room: room, effects: &effects)
        return effects
    }
}

private func message(_ topic: String = "t", _ text: String = "x", expires: UInt64? = nil) throws -> ApplicationMessage {
    ApplicationMessage(topic: try TopicName(topic), payload: ByteBuffer(string: text), qos: .exactlyOnce, expires: expires)
}

extension [SessionEffect] {
    fileprivate var closing: MQTTReason? {
        for case .close(let reason) in self { return reason }
        return nil
    }
}

@Suite("Session machine")
struct SessionMachineTests {
    @Test("a packet that only servers send, a second CONNECT and an AUTH without method are protocol errors [MQTT-3.1.0-2]")
    func wrongSide() throws {
        for packet: MQTTPacket in [
            .connect(MQTTConnect(version: .v5, clientID: "c")), .connack(MQTTConnack(.success)), .pingresp, .suback(MQTTSuback(1, [.success])),
            .unsuback(MQTTUnsuback(1, [.success])), .auth(MQTTAuth(.reAuthenticate)),
        ] {
            var talk = try Talk()
            #expect(talk.say(packet).closing == .protocolError)
            guard case .disconnect(let disconnect)? = try talk.sent().last else {
                Issue.record("\(packet.type) was not answered with DISCONNECT")
                continue
            }
            #expect(disconnect.reason == .protocolError)
            #expect(talk.say(.pingreq).isEmpty, "nothing is heard any more")
            #expect(try talk.sent().isEmpty)
        }
    }

    @Test("an earlier client is closed without a word")
    func closedSilently() throws {
        var talk = try Talk(.v311)
        #expect(talk.say(.pingresp).closing == .protocolError)
        #expect(try talk.sent().isEmpty)
    }

    @Test("[MQTT-3.6.2-1] [MQTT-3.7.2-1] acknowledgements of unknown exchanges: PUBREL 0x92 after a stray PUBREC, PUBCOMP 0x92 after a stray PUBREL")
    func strays() throws {
        var talk = try Talk()
        #expect(talk.say(.puback(MQTTAck(9))).isEmpty && talk.say(.pubcomp(MQTTAck(9))).isEmpty)
        #expect(try talk.sent().isEmpty)
        _ = talk.say(.pubrec(MQTTAck(9)))
        #expect(try talk.sent() == [.pubrel(MQTTAck(9, .packetIdentifierNotFound))])
        _ = talk.say(.pubrel(MQTTAck(9)))
        #expect(try talk.sent() == [.pubcomp(MQTTAck(9, .packetIdentifierNotFound))])
    }

    @Test("§3.14.2.2.2: a session that ends with its connection cannot be kept by DISCONNECT, any other may change its expiry")
    func expiryInDisconnect() throws {
        var disconnect = MQTTDisconnect()
        disconnect.properties.sessionExpiryInterval = 10
        var short = try Talk()
        #expect(short.say(.disconnect(disconnect)).closing == .protocolError)
        var long = try Talk(expiry: 100)
        #expect(long.say(.disconnect(disconnect)).closing == .normalDisconnection)
        #expect(long.session.expirySeconds == 10)
    }

    @Test("a will waits no longer than the session lives; a normal DISCONNECT takes it back, a broken connection does not [MQTT-3.1.2-8]")
    func wills() throws {
        var will = MQTTWill(topic: try TopicName("w"), payload: ByteBuffer(string: "x"))
        will.properties.willDelayInterval = 50
        var lost = try Talk(expiry: 20) { $0.will = will }
        guard case .later(_, 20) = lost.session.disconnected() else { return #expect(Bool(false), "not the session's 20 seconds") }
        var ending = try Talk { $0.will = will }
        guard case .now = ending.session.disconnected() else { return #expect(Bool(false), "the session has ended") }
        var polite = try Talk(expiry: 20) { $0.will = will }
        _ = polite.say(.disconnect(MQTTDisconnect()))
        guard case .none = polite.session.disconnected() else { return #expect(Bool(false), "it said good-bye") }
    }

    @Test("keep-alive counts from the last packet, and 0x8D says why the connection ends [MQTT-3.1.2-22]")
    func keepAlive() throws {
        var talk = try Talk()
        var effects: [SessionEffect] = []
        _ = talk.say(.pingreq, now: 10_000)
        talk.session.tick(now: 24_999, effects: &effects)
        #expect(effects.isEmpty)
        talk.session.tick(now: 25_000, effects: &effects)
        #expect(effects.closing == .keepAliveTimeout)
    }

    @Test("a payload that is not the UTF-8 it is said to be: 0x99 with QoS 1 and 2, nothing with QoS 0")
    func payloadFormat() throws {
        var publish = MQTTPublish(topic: try TopicName("t"), payload: ByteBuffer(bytes: [0xFF]), qos: .atLeastOnce, packetID: 1)
        publish.properties.payloadFormatIndicator = 1
        var talk = try Talk()
        #expect(talk.say(.publish(publish)).isEmpty)
        guard case .puback(let ack)? = try talk.sent().first else { return #expect(Bool(false), "no PUBACK") }
        #expect(ack.reason == .payloadFormatInvalid)
        publish.qos = .exactlyOnce
        _ = talk.say(.publish(publish))
        guard case .pubrec(let rec)? = try talk.sent().first else { return #expect(Bool(false), "no PUBREC") }
        #expect(rec.reason == .payloadFormatInvalid)
        publish.qos = .atMostOnce
        publish.packetID = 0
        guard case .dropped(1)? = talk.say(.publish(publish)).first else { return #expect(Bool(false), "not dropped") }
    }

    @Test("reason string and code only for those who want problem information [MQTT-3.1.2-29]")
    func problemInformation() throws {
        for wants in [true, false] {
            var talk = try Talk { $0.properties.requestProblemInformation = wants ? nil : false }
            guard
                case .publish(_, let exchange?)? = talk.say(
                    .publish(MQTTPublish(topic: try TopicName("t"), payload: ByteBuffer(), qos: .atLeastOnce, packetID: 1))
                ).first
            else { return #expect(Bool(false), "no publish") }
            var effects: [SessionEffect] = []
            talk.session.resolve(exchange.ticket, AckAnswer(.notAuthorized, text: "no", code: "forbidden"), effects: &effects)
            guard case .puback(let ack)? = try talk.sent().first else { return #expect(Bool(false), "no PUBACK") }
            #expect(ack.reason == .notAuthorized)
            #expect(ack.properties.reasonString == (wants ? "no" : nil))
            #expect(ack.properties.userProperties.count == (wants ? 1 : 0))
        }
    }

    @Test("what was not stored is not acknowledged to a client that cannot be told: its connection ends instead")
    func lost() throws {
        var talk = try Talk(.v311)
        guard
            case .publish(_, let exchange?)? = talk.say(
                .publish(MQTTPublish(topic: try TopicName("t"), payload: ByteBuffer(), qos: .atLeastOnce, packetID: 1))
            ).first
        else { return #expect(Bool(false), "no publish") }
        var effects: [SessionEffect] = []
        talk.session.resolve(exchange.ticket, AckAnswer(.serverUnavailable, isLost: true), effects: &effects)
        #expect(effects.closing == .serverUnavailable)
        #expect(try talk.sent().isEmpty)
    }

    @Test("expired messages are skipped when their turn comes, and their rows go [MQTT-3.3.2-5]")
    func expired() throws {
        var talk = try Talk(expiry: 100)
        for (seq, expires) in [(1, 5_000), (2, nil), (3, 9_000)] as [(UInt64, UInt64?)] {
            talk.session.take(OutboundEntry(seq: seq, message: try message("t", "\(seq)", expires: expires), qos: 1, isRetained: false, byteCount: 10))
        }
        let effects = talk.pump(now: 6_000)
        var finished: [UInt64] = []
        for case .finished(let seq, byteCount: 10) in effects { finished.append(seq) }
        #expect(finished == [1])
        let sent = try talk.sent().compactMap { if case .publish(let publish) = $0 { publish } else { nil } }
        #expect(sent.map(\.packetID) == [2, 3])
        #expect(sent.map(\.properties.messageExpiryInterval) == [nil, 3])
    }

    @Test("a window of a durable session forgets on disconnect what the disk holds, and asks for it again")
    func windowOverConnections() throws {
        var talk = try Talk(expiry: 100)
        for seq in 1...3 as ClosedRange<UInt64> {
            talk.session.take(OutboundEntry(seq: seq, message: try message(), qos: 1, isRetained: false, byteCount: 10))
        }
        _ = talk.pump()
        _ = talk.say(.puback(MQTTAck(1)))
        _ = talk.session.disconnected()
        #expect(talk.session.outbound.entries.isEmpty && talk.session.outbound.isBehind && talk.session.outbound.windowEnd == 1)
        // Rows that come while nobody is connected stay on the disk.
        talk.session.take(OutboundEntry(seq: 4, message: try message(), qos: 1, isRetained: false))
        #expect(talk.session.outbound.entries.isEmpty && !talk.session.wantsPage())
        var connect = MQTTConnect(version: .v5, clientID: "c", cleanStart: false)
        connect.properties.sessionExpiryInterval = 100
        talk.session.connect(try ConnectTerms(connect, limits: SessionLimits()) { "" }, isPresent: true, now: 1_000, effects: &talk.effects)
        talk.decoder = MQTTDecoder(clientOf: .v5)
        #expect(talk.session.wantsPage() && !talk.session.wantsPage())
        let page = try (2...4).map { OutboundEntry(seq: $0, message: try message(), qos: 1, isRetained: false) }
        talk.session.load(page, through: 4)
        _ = talk.pump()
        let sent = try talk.sent().compactMap { if case .publish(let publish) = $0 { publish } else { nil } }
        #expect(sent.map(\.packetID) == [2, 3, 4])
        #expect(sent.map(\.isDuplicate) == [true, true, false])
        #expect(!talk.session.outbound.isBehind)
    }

    @Test("a page cannot bring what the session has not heard of yet: it comes once, as news")
    func pageAhead() throws {
        var window = OutboundWindow<String>(entriesMax: 8, isDurable: true, after: 2)
        #expect(window.isBehind && window.wantsPage())
        window.load((1...3).map { OutboundEntry(seq: $0, message: "\($0)", qos: 1, isRetained: false) }, through: 2)
        #expect(window.entries.map(\.seq) == [1, 2])
        window.take(OutboundEntry(seq: 3, message: "3", qos: 1, isRetained: false), keeps: true)
        window.take(OutboundEntry(seq: 3, message: "3", qos: 1, isRetained: false), keeps: true)
        #expect(window.entries.map(\.seq) == [1, 2, 3])
    }

    @Test("a session without expiry drops what does not fit, by count and by bytes")
    func bounds() throws {
        var limits = SessionLimits()
        limits.queuedMessagesMax = 2
        var talk = try Talk(limits: limits)
        let delivery = Delivery(qos: .atLeastOnce, isRetained: false)
        func give(_ talk: inout Talk, _ text: String) throws -> Session.Outcome {
            let message = try message("t", text)
            var layouts = message.layouts
            return talk.session.deliver(message, delivery, now: 1_000, room: 1_000, layouts: &layouts)
        }
        #expect(try give(&talk, "1") == .taken && give(&talk, "2") == .taken && give(&talk, "3") == .full)
        _ = talk.pump()
        _ = talk.say(.puback(MQTTAck(1)))
        #expect(try give(&talk, "4") == .taken)
        limits.queuedMessagesMax = 100
        limits.queuedBytesMax = 20
        var small = try Talk(limits: limits)
        #expect(try give(&small, "0123456789") == .taken && give(&small, "0123456789") == .full)
    }
}
