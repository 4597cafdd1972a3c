package import NIOCore

/// Bytes of one connection to packets: fed with what was read, gives one packet at a time.
///
/// The envelope comes first: type, flags and length are judged before a byte of the body is awaited, then the packet is parsed from a slice
/// that it must fill exactly. The first error is final: the decoder keeps giving it and buffers nothing more.
///
///     decoder.append(buffer)
///     while let packet = try decoder.next() { … }
package struct MQTTDecoder: Sendable {
    /// Which side of the connection reads.
    package enum Role: Sendable, Hashable {
        /// Gets what clients send, a CONNECT first [MQTT-3.1.0-1].
        case server
        /// Gets what servers send.
        case client
    }

    package let role: Role
    package var limits: MQTTCodecLimits
    /// Learned from CONNECT, as soon as its level could be read; a client knows it from the start.
    package private(set) var version: MQTTVersion?
    /// A CONNECT was accepted by the codec. Before that an error is answered with CONNACK, afterwards with DISCONNECT.
    package private(set) var hasConnect = false
    /// What ended the decoding.
    package private(set) var failure: MQTTDecodeError?

    private var pending = ByteBuffer()

    /// A decoder for the server's side.
    package init(limits: MQTTCodecLimits = MQTTCodecLimits()) {
        self.role = .server
        self.limits = limits
    }

    /// A decoder for the client's side, which said `version` in its CONNECT.
    package init(clientOf version: MQTTVersion, limits: MQTTCodecLimits = MQTTCodecLimits()) {
        self.role = .client
        self.limits = limits
        self.version = version
        self.hasConnect = true
    }

    /// Bytes that wait for the rest of their packet: never more than `packetBytesMax` and one read.
    package var bufferedBytes: Int { self.pending.readableBytes }

    /// Takes what was read. Payloads become slices of it, without a copy.
    package mutating func append(_ read: ByteBuffer) {
        guard self.failure == nil, read.readableBytes > 0 else { return }
        if self.pending.readableBytes == 0 {
            self.pending = read
        } else if self.pending.readerIndex == 0 {
            // Ours alone since the last append: grows in place while a large packet arrives.
            self.pending.writeImmutableBuffer(read)
        } else {
            // The tail of a read whose packets are out: leave that storage to them, and start our own.
            var joined = ByteBuffer()
            joined.reserveCapacity(self.pending.readableBytes + read.readableBytes)
            joined.writeImmutableBuffer(self.pending)
            joined.writeImmutableBuffer(read)
            self.pending = joined
        }
    }

    /// The next whole packet; nil when more bytes are needed.
    package mutating func next() throws(MQTTDecodeError) -> MQTTPacket? {
        if let failure { throw failure }
        do {
            guard let envelope = try self.envelope() else { return nil }
            self.pending.moveReaderIndex(forwardBy: envelope.headerBytes)
            guard let body = self.pending.readSlice(length: envelope.bodyBytes) else { return nil }
            // An idle connection holds no storage.
            if self.pending.readableBytes == 0 { self.pending = ByteBuffer() }
            var reader = PacketReader(body, type: envelope.type, headerBytes: envelope.headerBytes, limits: self.limits)
            return try self.parse(envelope, &reader)
        } catch {
            self.failure = error
            self.pending = ByteBuffer()
            throw error
        }
    }

    // MARK: - Envelope

    private struct Envelope {
        var type: MQTTPacketType
        var flags: UInt8
        var headerBytes: Int
        var bodyBytes: Int
    }

    /// The fixed header (MQTT 5 §2.1) of a packet that is there in full.
    private func envelope() throws(MQTTDecodeError) -> Envelope? {
        let start = self.pending.readerIndex
        guard let first = self.pending.getInteger(at: start, as: UInt8.self) else { return nil }
        let (type, flags) = try self.firstByte(first)
        let bodyBytes: Int
        let headerBytes: Int
        switch VariableInteger.peek(self.pending, at: start + 1) {
        case .value(let value, let byteCount): (bodyBytes, headerBytes) = (value, 1 + byteCount)
        case .incomplete: return nil
        case .malformed: throw MQTTDecodeError(.malformedPacket, .remainingLength, in: type, at: 1)
        }
        guard headerBytes + bodyBytes <= self.limits.packetBytesMax else {
            throw MQTTDecodeError(
                .packetTooLarge, .tooLarge(bytes: headerBytes + bodyBytes, limit: self.limits.packetBytesMax), in: type, at: 1)
        }
        if type == .connect { try self.checkProtocolName(at: start + headerBytes, bodyBytes: bodyBytes, headerBytes: headerBytes) }
        guard self.pending.readableBytes >= headerBytes + bodyBytes else { return nil }
        return Envelope(type: type, flags: flags, headerBytes: headerBytes, bodyBytes: bodyBytes)
    }

    private func firstByte(_ byte: UInt8) throws(MQTTDecodeError) -> (MQTTPacketType, flags: UInt8) {
        guard let type = MQTTPacketType(rawValue: byte >> 4) else { throw MQTTDecodeError(.malformedPacket, .packetType, in: nil, at: 0) }
        guard self.hasConnect || type == .connect else { throw MQTTDecodeError(.protocolError, .unexpected, in: type, at: 0) }
        if type == .auth, self.version != .v5 { throw MQTTDecodeError(.malformedPacket, .packetType, in: nil, at: 0) }
        let flags = byte & 0x0F
        try self.checkFlags(type, flags)
        let isExpected =
            switch type {
            // A second CONNECT is how session theft starts [MQTT-3.1.0-2].
            case .connect: self.role == .server && !self.hasConnect
            case .subscribe, .unsubscribe, .pingreq: self.role == .server
            case .connack, .suback, .unsuback, .pingresp: self.role == .client
            // Before version 5 only clients say good-bye.
            case .disconnect: self.role == .server || self.version == .v5
            case .publish, .puback, .pubrec, .pubrel, .pubcomp, .auth: true
            }
        guard isExpected else { throw MQTTDecodeError(.protocolError, .unexpected, in: type, at: 0) }
        return (type, flags)
    }

    private func checkFlags(_ type: MQTTPacketType, _ flags: UInt8) throws(MQTTDecodeError) {
        if type == .publish {
            let qos = (flags >> 1) & 0b11
            let isBadDuplicate = qos == 0 && flags & 0b1000 != 0 && self.version != .v31
            guard qos != 3, !isBadDuplicate else { throw MQTTDecodeError(.malformedPacket, .qos, in: type, at: 0) }
            return
        }
        // COMPAT MQTT 3.1 §2.1 lets a repeated PUBREL, SUBSCRIBE or UNSUBSCRIBE set DUP.
        let judged = self.version == .v31 && type.flags == 0b0010 ? flags & 0b0111 : flags
        guard judged == type.flags else { throw MQTTDecodeError(.malformedPacket, .flags, in: type, at: 0) }
    }

    /// Refuses what only begins like a CONNECT before its length is believed and its body awaited.
    private func checkProtocolName(at start: Int, bodyBytes: Int, headerBytes: Int) throws(MQTTDecodeError) {
        guard let length = self.pending.getInteger(at: start, as: UInt16.self) else { return }
        let isKnown = MQTTVersion.allCases.contains { version in
            let name = version.protocolName.utf8
            guard Int(length) == name.count else { return false }
            for (position, byte) in name.enumerated() {
                guard let there = self.pending.getInteger(at: start + 2 + position, as: UInt8.self) else { return true }
                guard there == byte else { return false }
            }
            return true
        }
        guard isKnown, Int(length) + 2 < bodyBytes else {
            throw MQTTDecodeError(isKnown ? .malformedPacket : .unsupportedProtocolVersion, isKnown ? .truncated : .protocolName, in: .connect, at: headerBytes)
        }
    }

    // MARK: - Packets

    private mutating func parse(_ envelope: Envelope, _ reader: inout PacketReader) throws(MQTTDecodeError) -> MQTTPacket {
        if envelope.type == .connect {
            let connect = try reader.connect(learned: &self.version)
            self.hasConnect = true
            return .connect(connect)
        }
        guard let version = self.version else { throw reader.error(.protocolError, .unexpected) }
        let packet: MQTTPacket
        switch envelope.type {
        case .connect: throw reader.error(.protocolError, .unexpected)
        case .publish: return .publish(try reader.publish(version, flags: envelope.flags, self.role))
        case .connack: packet = .connack(try reader.connack(version))
        case .puback: packet = .puback(try reader.acknowledgement(version, .puback))
        case .pubrec: packet = .pubrec(try reader.acknowledgement(version, .pubrec))
        case .pubrel: packet = .pubrel(try reader.acknowledgement(version, .pubrel))
        case .pubcomp: packet = .pubcomp(try reader.acknowledgement(version, .pubcomp))
        case .subscribe: packet = .subscribe(try reader.subscribe(version))
        case .suback: packet = .suback(try reader.suback(version))
        case .unsubscribe: packet = .unsubscribe(try reader.unsubscribe(version))
        case .unsuback: packet = .unsuback(try reader.unsuback(version))
        case .pingreq: packet = .pingreq
        case .pingresp: packet = .pingresp
        case .disconnect: packet = .disconnect(try reader.disconnect(version, self.role))
        case .auth: packet = .auth(try reader.auth())
        }
        try reader.finish()
        return packet
    }
}
