import MQTTCodec
import NIOCore
import SkerryModel
import Testing

@Suite("Limits")
struct LimitTests {
    private func limits(_ change: (inout MQTTCodecLimits) -> Void) -> MQTTCodecLimits {
        var limits = MQTTCodecLimits()
        change(&limits)
        return limits
    }

    private func publish(bytes: Int) throws -> ByteBuffer {
        var buffer = ByteBuffer()
        MQTTEncoder.encode(.publish(MQTTPublish(topic: try TopicName("t"), payload: ByteBuffer(repeating: 1, count: bytes))), version: .v311, into: &buffer)
        return buffer
    }

    /// MQTT 5 §2.1.4, table 2-4: the ends of what each number of length bytes can say.
    @Test(
        "the remaining length is as short as it can be, and read back",
        arguments: [
            (0, [0x00]), (127, [0x7F]), (128, [0x80, 0x01]), (16_383, [0xFF, 0x7F]), (16_384, [0x80, 0x80, 0x01]), (2_097_151, [0xFF, 0xFF, 0x7F]),
            (2_097_152, [0x80, 0x80, 0x80, 0x01]),
        ] as [(Int, [UInt8])])
    func remainingLength(_ value: Int, _ length: [UInt8]) throws {
        var decoder = try Reader.server(.v311).decoder(self.limits { $0.packetBytesMax = MQTTCodecLimits.packetBytesProtocolMax })
        guard value > 0 else {
            decoder.append(ByteBuffer(bytes: [0xC0] + length))
            #expect(try decoder.next() == .pingreq)
            return
        }
        let packet = try self.publish(bytes: value - 3)
        #expect(packet.getBytes(at: 1, length: length.count) == length)
        #expect(packet.readableBytes == 1 + length.count + value)
        decoder.append(packet)
        guard case .publish(let publish) = try decoder.next() else {
            Issue.record("no PUBLISH")
            return
        }
        #expect(publish.payload.readableBytes == value - 3)
    }

    @Test("the longest remaining length of four bytes is understood before its body")
    func longest() throws {
        var decoder = try Reader.server(.v5).decoder(self.limits { $0.packetBytesMax = MQTTCodecLimits.packetBytesProtocolMax - 1 })
        decoder.append(ByteBuffer(bytes: [0x30, 0xFF, 0xFF, 0xFF, 0x7F]))
        let error = #expect(throws: MQTTDecodeError.self) { try decoder.next() }
        #expect(error?.cause == .tooLarge(bytes: 268_435_460, limit: 268_435_459))
    }

    @Test("a packet of exactly packetBytesMax is taken; one byte more is 0x95 before its body")
    func packetBytesMax() throws {
        let packet = try self.publish(bytes: 500)
        var exact = try Reader.server(.v311).decoder(self.limits { $0.packetBytesMax = packet.readableBytes })
        exact.append(packet)
        #expect(try exact.next() != nil)
        var over = try Reader.server(.v311).decoder(self.limits { $0.packetBytesMax = packet.readableBytes - 1 })
        over.append(packet.getSlice(at: 0, length: 3) ?? packet)
        let error = #expect(throws: MQTTDecodeError.self) { try over.next() }
        #expect(error?.reason == .packetTooLarge)
        #expect(error?.description.contains("mqtt.packet_bytes_max") == true)
    }

    @Test("a CONNECT with a large will obeys packetBytesMax and nothing smaller")
    func largeConnect() throws {
        let will = MQTTWill(topic: try TopicName("w"), payload: ByteBuffer(repeating: 7, count: 60_000))
        var connect = ByteBuffer()
        MQTTEncoder.encode(.connect(MQTTConnect(version: .v311, clientID: "c", will: will)), version: .v311, into: &connect)
        var decoder = MQTTDecoder(limits: self.limits { $0.packetBytesMax = connect.readableBytes })
        decoder.append(connect)
        guard case .connect(let decoded) = try decoder.next() else {
            Issue.record("no CONNECT")
            return
        }
        #expect(decoded.will?.payload.readableBytes == 60_000)
        var small = MQTTDecoder(limits: self.limits { $0.packetBytesMax = connect.readableBytes - 1 })
        small.append(connect)
        #expect(throws: MQTTDecodeError.self) { try small.next() }
    }

    @Test(
        "what is no CONNECT is refused within the first bytes, and nothing of it is kept",
        arguments: [[0x30], [0x00], [0xFF], [0x10, 0xFF, 0xFF, 0x03, 0x00, 0x05]] as [[UInt8]])
    func garbageBeforeConnect(_ start: [UInt8]) throws {
        var decoder = MQTTDecoder()
        var sent = 0
        for byte in start + Array(repeating: 0x41, count: 100) {
            decoder.append(ByteBuffer(bytes: [byte]))
            sent += 1
            do {
                let packet = try decoder.next()
                #expect(packet == nil)
            } catch { break }
        }
        #expect(decoder.failure != nil && sent <= MQTTCodecLimits.firstPacketBytesMax)
        for _ in 0..<100 { decoder.append(ByteBuffer(repeating: 0x41, count: 1_000_000)) }
        #expect(decoder.bufferedBytes == 0)
    }

    @Test("more subscriptions than the limit are 0x97, as many are taken")
    func subscriptions() throws {
        let filters = try (0..<11).map { try TopicFilter("f/\($0)") }
        for (count, isTaken) in [(10, true), (11, false)] {
            var buffer = ByteBuffer()
            let subscriptions = filters.prefix(count).map { MQTTSubscription($0, MQTTSubscriptionOptions(qos: .atMostOnce)) }
            MQTTEncoder.encode(.subscribe(MQTTSubscribe(1, subscriptions)), version: .v5, into: &buffer)
            try self.expect(buffer, isTaken: isTaken, .server(.v5), self.limits { $0.subscriptionsPerPacketMax = 10 })
            var other = ByteBuffer()
            MQTTEncoder.encode(.unsubscribe(MQTTUnsubscribe(1, Array(filters.prefix(count)))), version: .v5, into: &other)
            try self.expect(other, isTaken: isTaken, .server(.v5), self.limits { $0.subscriptionsPerPacketMax = 10 })
            var answer = ByteBuffer()
            MQTTEncoder.encode(.suback(MQTTSuback(1, Array(repeating: .success, count: count))), version: .v5, into: &answer)
            try self.expect(answer, isTaken: isTaken, .client(.v5), self.limits { $0.subscriptionsPerPacketMax = 10 })
        }
    }

    @Test("more user properties or subscription identifiers than the limit are 0x97, as many are taken")
    func repeatedProperties() throws {
        for (count, isTaken) in [(10, true), (11, false)] {
            var message = MQTTPublish(topic: try TopicName("t"), payload: ByteBuffer())
            message.properties.userProperties = (0..<count).map { MQTTUserProperty("k", "\($0)") }
            var buffer = ByteBuffer()
            MQTTEncoder.encode(.publish(message), version: .v5, into: &buffer)
            try self.expect(buffer, isTaken: isTaken, .server(.v5), self.limits { $0.repeatedPropertiesMax = 10 })
            message.properties.userProperties = []
            message.properties.subscriptionIdentifiers = (0..<count).map { UInt32($0 + 1) }
            var other = ByteBuffer()
            MQTTEncoder.encode(.publish(message), version: .v5, into: &other)
            try self.expect(other, isTaken: isTaken, .client(.v5), self.limits { $0.repeatedPropertiesMax = 10 })
        }
    }

    private func expect(_ bytes: ByteBuffer, isTaken: Bool, _ reader: Reader, _ limits: MQTTCodecLimits) throws {
        var decoder = try reader.decoder(limits)
        decoder.append(bytes)
        do {
            let packet = try decoder.next()
            #expect(packet != nil && isTaken)
        } catch {
            #expect(!isTaken && error.reason == .quotaExceeded && error.cause == .tooMany(limit: 10))
        }
    }

    @Test("a large packet that arrives in small reads is kept once, and gone when it is out")
    func largeInSmallReads() throws {
        var decoder = try Reader.server(.v311).decoder()
        var packet = try self.publish(bytes: 200_000)
        while packet.readableBytes > 1 {
            decoder.append(packet.readSlice(length: min(1_000, packet.readableBytes - 1)) ?? ByteBuffer())
            #expect(try decoder.next() == nil)
            #expect(decoder.bufferedBytes <= 200_010)
        }
        decoder.append(packet)
        #expect(try decoder.next() != nil)
        #expect(decoder.bufferedBytes == 0)
    }

    @Test("an error names type, place and reason, and nothing of what was sent")
    func noContents() throws {
        let connect = MQTTConnect(version: .v311, clientID: "secret-id", userName: "secret-name", password: ByteBuffer(string: "secret-word"))
        var buffer = ByteBuffer()
        MQTTEncoder.encode(.connect(connect), version: .v311, into: &buffer)
        // One byte more than the fields need.
        buffer.setInteger((buffer.getInteger(at: 1, as: UInt8.self) ?? 0) + 1, at: 1)
        buffer.writeInteger(UInt8(ascii: "s"))
        var decoder = MQTTDecoder()
        decoder.append(buffer)
        let error = try #require(throws: MQTTDecodeError.self) { try decoder.next() }
        #expect(error.packetType == .connect && error.cause == .leftover)
        #expect(error.description == "CONNECT refused at byte 49 with 0x81: bytes after the last field")
        #expect(!"\(connect)".contains("secret") && !"\(MQTTPacket.connect(connect))".contains("secret"))
        let publish = MQTTPublish(topic: try TopicName("secret"), payload: ByteBuffer(string: "secret"))
        #expect(!"\(publish)".contains("secret") && !"\(MQTTPacket.publish(publish))".contains("secret"))
    }
}
