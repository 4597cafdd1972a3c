import MQTTCodec
import NIOCore
import SkerryModel
import Testing

@Suite("Encoder")
struct EncoderTests {
    private func bytes(_ packet: MQTTPacket, _ version: MQTTVersion, max: Int = .max) -> [UInt8]? {
        var buffer = ByteBuffer(bytes: [0xEE])
        let isWritten = MQTTEncoder.encode(packet, version: version, packetBytesMax: max, into: &buffer)
        #expect(buffer.readInteger(as: UInt8.self) == 0xEE, "what was there stays")
        #expect(isWritten || buffer.readableBytes == 0, "nothing is left of a packet that cannot be sent")
        return isWritten ? Array(buffer.readableBytesView) : nil
    }

    // MARK: - PUBLISH for many

    @Test("a PUBLISH written once and patched is the PUBLISH written for each", arguments: MQTTVersion.allCases, [0, 1, 2_048, 2_049, 70_000])
    func encodedPublish(_ version: MQTTVersion, _ payloadBytes: Int) throws {
        var message = MQTTPublish(topic: try TopicName("a/b"), payload: ByteBuffer(repeating: 9, count: payloadBytes))
        if version == .v5 { message.properties.userProperties = [MQTTUserProperty("k", "v")] }
        var layouts = PublishLayouts(message)
        for qos in MQTTQoS.allCases {
            for isRetained in [false, true] {
                let layout = layouts.layout(version, qos: qos, isRetained: isRetained)
                let encoded = try #require(layout)
                for (packetID, isDuplicate) in [(UInt16(1), false), (0xABCD, true)] {
                    (message.qos, message.isRetained) = (qos, isRetained)
                    (message.packetID, message.isDuplicate) = qos == .atMostOnce ? (0, false) : (packetID, isDuplicate)
                    let expected = try #require(self.bytes(.publish(message), version))
                    #expect(encoded.byteCount == expected.count)
                    var copied = ByteBuffer(bytes: [0xEE])
                    encoded.write(packetID: packetID, isDuplicate: isDuplicate, into: &copied)
                    #expect(Array(copied.readableBytesView.dropFirst()) == expected)
                    let pieces =
                        Array(encoded.head(packetID: packetID, isDuplicate: isDuplicate).readableBytesView) + Array(encoded.separatePayload.readableBytesView)
                    #expect(pieces == expected)
                    #expect((encoded.separatePayload.readableBytes > 0) == (payloadBytes > EncodedPublish.joinedPayloadBytesMax))
                }
            }
        }
    }

    @Test("a patched copy leaves the shared bytes as they were")
    func sharedBytesStay() throws {
        let encoded = try #require(EncodedPublish(MQTTPublish(topic: try TopicName("a"), payload: ByteBuffer(), qos: .atLeastOnce), version: .v311))
        let first = encoded.head(packetID: 1)
        let second = encoded.head(packetID: 2, isDuplicate: true)
        #expect(Array(first.readableBytesView) == [0x32, 5, 0, 1, 0x61, 0, 1])
        #expect(Array(second.readableBytesView) == [0x3A, 5, 0, 1, 0x61, 0, 2])
    }

    @Test("before version 5 properties are left out, and an alias does not stand for a topic")
    func propertiesBefore5() throws {
        var message = MQTTPublish(topic: try TopicName("a"), payload: ByteBuffer(string: "x"))
        message.properties.topicAlias = 1
        #expect(self.bytes(.publish(message), .v311) == [0x30, 4, 0, 1, 0x61, 0x78])
        message.topic = nil
        #expect(self.bytes(.publish(message), .v311) == nil)
        #expect(self.bytes(.publish(message), .v5) == [0x30, 7, 0, 0, 3, 0x23, 0, 1, 0x78])
        message.properties = .none
        #expect(self.bytes(.publish(message), .v5) == nil)
    }

    // MARK: - What cannot be sent

    @Test("[MQTT-3.1.2-25] a PUBLISH over the receiver's maximum is not written")
    func maximumPacketSize() throws {
        var message = MQTTPublish(topic: try TopicName("a"), payload: ByteBuffer(repeating: 1, count: 10))
        message.properties.userProperties = [MQTTUserProperty("k", "v")]
        let size = try #require(self.bytes(.publish(message), .v5)).count
        #expect(self.bytes(.publish(message), .v5, max: size) != nil)
        #expect(self.bytes(.publish(message), .v5, max: size - 1) == nil)
    }

    @Test("[MQTT-3.4.2-2] [MQTT-3.4.2-3] reason string and user properties go before an answer is not written")
    func problemInformationGoes() throws {
        var ack = MQTTAck(1, .notAuthorized)
        ack.properties.reasonString = "because"
        ack.properties.userProperties = [MQTTUserProperty("code", "forbidden")]
        let full = try #require(self.bytes(.puback(ack), .v5))
        #expect(self.bytes(.puback(ack), .v5, max: full.count) == full)
        #expect(self.bytes(.puback(ack), .v5, max: full.count - 1) == [0x40, 3, 0, 1, 0x87])
        #expect(self.bytes(.puback(ack), .v5, max: 4) == nil)
        var connack = MQTTConnack(.success)
        connack.properties.reasonString = "hello"
        connack.properties.serverKeepAlive = 30
        #expect(self.bytes(.connack(connack), .v5, max: 10) == [0x20, 6, 0, 0, 3, 0x13, 0, 30])
    }

    /// The specification says the same of each packet.
    @Test(
        """
        [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] \
        [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-3.15.2-2] [MQTT-3.15.2-3] \
        what does not fit goes, in every answer
        """,
        arguments: [true, false])
    func problemInformationGoesEverywhere(_ isReasonString: Bool) throws {
        var properties = MQTTProperties()
        if isReasonString { properties.reasonString = "because" } else { properties.userProperties = [MQTTUserProperty("code", "forbidden")] }
        var method = MQTTProperties()
        method.authenticationMethod = "m"
        var asked = properties
        asked.authenticationMethod = "m"
        let answers: [(MQTTPacket, MQTTPacket)] = [
            (.connack(MQTTConnack(.notAuthorized, properties: properties)), .connack(MQTTConnack(.notAuthorized))),
            (.pubrec(MQTTAck(1, .notAuthorized, properties: properties)), .pubrec(MQTTAck(1, .notAuthorized))),
            (.pubrel(MQTTAck(1, .packetIdentifierNotFound, properties: properties)), .pubrel(MQTTAck(1, .packetIdentifierNotFound))),
            (.pubcomp(MQTTAck(1, .packetIdentifierNotFound, properties: properties)), .pubcomp(MQTTAck(1, .packetIdentifierNotFound))),
            (.suback(MQTTSuback(1, [.notAuthorized], properties: properties)), .suback(MQTTSuback(1, [.notAuthorized]))),
            (.unsuback(MQTTUnsuback(1, [.notAuthorized], properties: properties)), .unsuback(MQTTUnsuback(1, [.notAuthorized]))),
            (.disconnect(MQTTDisconnect(.serverBusy, properties: properties)), .disconnect(MQTTDisconnect(.serverBusy))),
            (.auth(MQTTAuth(.continueAuthentication, properties: asked)), .auth(MQTTAuth(.continueAuthentication, properties: method))),
        ]
        for (answer, shorter) in answers {
            let (full, short) = (try #require(self.bytes(answer, .v5)), try #require(self.bytes(shorter, .v5)))
            #expect(full.count > short.count)
            #expect(self.bytes(answer, .v5, max: full.count) == full, "\(answer.type)")
            #expect(self.bytes(answer, .v5, max: full.count - 1) == short, "\(answer.type)")
            #expect(self.bytes(answer, .v5, max: short.count) == short, "\(answer.type)")
            #expect(self.bytes(answer, .v5, max: short.count - 1) == nil, "\(answer.type)")
        }
    }

    @Test("[MQTT-3.1.2-29] only answers can go without problem information")
    func withoutProblemInformation() throws {
        var properties = MQTTProperties()
        properties.userProperties = [MQTTUserProperty("k", "v")]
        let answers: [(MQTTPacket, MQTTPacket)] = [
            (.puback(MQTTAck(1, properties: properties)), .puback(MQTTAck(1))), (.pubrec(MQTTAck(1, properties: properties)), .pubrec(MQTTAck(1))),
            (.pubrel(MQTTAck(1, properties: properties)), .pubrel(MQTTAck(1))), (.pubcomp(MQTTAck(1, properties: properties)), .pubcomp(MQTTAck(1))),
            (.suback(MQTTSuback(1, [.success], properties: properties)), .suback(MQTTSuback(1, [.success]))),
            (.unsuback(MQTTUnsuback(1, [.success], properties: properties)), .unsuback(MQTTUnsuback(1, [.success]))),
            (.connack(MQTTConnack(.success, properties: properties)), .connack(MQTTConnack(.success))),
            (.disconnect(MQTTDisconnect(.serverBusy, properties: properties)), .disconnect(MQTTDisconnect(.serverBusy))),
            (.auth(MQTTAuth(.success, properties: properties)), .auth(MQTTAuth(.success))),
        ]
        for (answer, shorter) in answers {
            #expect(answer.withoutProblemInformation == shorter)
            #expect(shorter.withoutProblemInformation == nil)
        }
        #expect(MQTTPacket.publish(MQTTPublish(topic: try TopicName("a"), payload: ByteBuffer(), properties: properties)).withoutProblemInformation == nil)
    }

    @Test("a field that the wire cannot hold, a missing identifier or an unknown packet is not written")
    func unsendable() throws {
        let long = String(repeating: "x", count: 65_536)
        let topic = try TopicName("a")
        var properties = MQTTProperties()
        properties.contentType = long
        let packets: [MQTTPacket] = [
            .connect(MQTTConnect(version: .v5, clientID: long)), .publish(MQTTPublish(topic: topic, payload: ByteBuffer(), properties: properties)),
            .connect(MQTTConnect(version: .v5, clientID: "c", userName: "u", password: ByteBuffer(repeating: 0, count: 65_536))),
            .connect(MQTTConnect(version: .v311, clientID: "c")), .publish(MQTTPublish(topic: topic, payload: ByteBuffer(), qos: .atLeastOnce)),
            .puback(MQTTAck(0)), .subscribe(MQTTSubscribe(1, [])), .unsubscribe(MQTTUnsubscribe(1, [])),
            .publish(MQTTPublish(topic: nil, payload: ByteBuffer())),
        ]
        for packet in packets { #expect(self.bytes(packet, .v5) == nil, "\(packet.type)") }
        #expect(self.bytes(.auth(MQTTAuth(.success)), .v311) == nil)
        #expect(self.bytes(.connect(MQTTConnect(version: .v311, clientID: "c", password: ByteBuffer(string: "p"))), .v311) == nil)
    }

    // MARK: - Before version 5

    @Test(
        "a refusal has the nearest return code of 3.1.1, and success only for success",
        arguments: [
            (MQTTReason.success, 0), (.unsupportedProtocolVersion, 1), (.clientIdentifierNotValid, 2), (.serverUnavailable, 3), (.serverBusy, 3),
            (.badUserNameOrPassword, 4), (.badAuthenticationMethod, 4), (.notAuthorized, 5), (.banned, 5), (.quotaExceeded, 3), (.malformedPacket, 3),
        ] as [(MQTTReason, UInt8)])
    func connackBefore5(_ reason: MQTTReason, _ code: UInt8) {
        #expect(self.bytes(.connack(MQTTConnack(reason)), .v311) == [0x20, 2, 0, code])
    }

    @Test("[MQTT311-3.9.3-2] a refused subscription is 0x80, a granted one its QoS")
    func subackBefore5() {
        let suback = MQTTSuback(1, [.grantedQoS0, .grantedQoS1, .grantedQoS2, .notAuthorized, .quotaExceeded])
        #expect(self.bytes(.suback(suback), .v311) == [0x90, 7, 0, 1, 0, 1, 2, 0x80, 0x80])
    }

    @Test("reasons and properties of answers are left out before version 5")
    func answersBefore5() {
        var properties = MQTTProperties()
        properties.reasonString = "x"
        #expect(self.bytes(.puback(MQTTAck(1, .notAuthorized, properties: properties)), .v311) == [0x40, 2, 0, 1])
        #expect(self.bytes(.unsuback(MQTTUnsuback(1, [.success], properties: properties)), .v31) == [0xB0, 2, 0, 1])
        #expect(self.bytes(.disconnect(MQTTDisconnect(.serverBusy, properties: properties)), .v311) == [0xE0, 0])
        #expect(self.bytes(.connack(MQTTConnack(.success, isSessionPresent: true)), .v31) == [0x20, 2, 0, 0])
    }

    // MARK: - Properties

    @Test("setting a property replaces it, nil removes it, and their order is that of the identifiers")
    func properties() {
        var properties = MQTTProperties()
        properties.topicAlias = 5
        properties.contentType = "a"
        properties.contentType = "b"
        properties.userProperties = [MQTTUserProperty("x", "1"), MQTTUserProperty("a", "2")]
        properties.subscriptionIdentifiers = [7, 3]
        #expect(properties.items.map(\.id) == [.contentType, .subscriptionIdentifier, .subscriptionIdentifier, .topicAlias, .userProperty, .userProperty])
        #expect(properties.contentType == "b" && properties.topicAlias == 5 && properties.subscriptionIdentifiers == [7, 3])
        #expect(properties.userProperties.map(\.name) == ["x", "a"])
        properties.contentType = nil
        properties.topicAlias = nil
        properties.userProperties = []
        properties.subscriptionIdentifiers = []
        #expect(properties.isEmpty && properties == .none)
    }

    @Test("§3.3.2.3.2: a payload that is promised to be UTF-8 is looked at, any other is not")
    func payloadFormat() throws {
        var message = MQTTPublish(topic: try TopicName("a"), payload: ByteBuffer(bytes: [0xFF]))
        #expect(message.payloadMatchesFormat)
        message.properties.payloadFormatIndicator = 0
        #expect(message.payloadMatchesFormat)
        message.properties.payloadFormatIndicator = 1
        #expect(!message.payloadMatchesFormat)
        message.payload = ByteBuffer(string: "在吗")
        #expect(message.payloadMatchesFormat)
    }
}
