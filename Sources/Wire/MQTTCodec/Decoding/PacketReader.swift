import NIOCore
import SkerryModel

/// Reads the fields of one packet from a slice that holds exactly this packet's body.
struct PacketReader {
    private var body: ByteBuffer
    private let bodyEnd: Int
    let type: MQTTPacketType
    private let packetBytes: Int
    let limits: MQTTCodecLimits

    init(_ body: ByteBuffer, type: MQTTPacketType, headerBytes: Int, limits: MQTTCodecLimits) {
        self.body = body
        self.bodyEnd = body.writerIndex
        self.type = type
        self.packetBytes = headerBytes + body.readableBytes
        self.limits = limits
    }

    /// Bytes from the start of the packet.
    var offset: Int { self.packetBytes - self.body.readableBytes }
    var isAtEnd: Bool { self.body.readableBytes == 0 }
    var remaining: Int { self.body.readableBytes }

    func error(_ reason: MQTTReason, _ cause: MQTTDecodeError.Cause) -> MQTTDecodeError {
        MQTTDecodeError(reason, cause, in: self.type, at: self.offset)
    }

    // MARK: - Numbers

    mutating func byte() throws(MQTTDecodeError) -> UInt8 {
        guard let value = self.body.readInteger(as: UInt8.self) else { throw self.error(.malformedPacket, .truncated) }
        return value
    }

    mutating func twoBytes() throws(MQTTDecodeError) -> UInt16 {
        guard let value = self.body.readInteger(as: UInt16.self) else { throw self.error(.malformedPacket, .truncated) }
        return value
    }

    mutating func fourBytes() throws(MQTTDecodeError) -> UInt32 {
        guard let value = self.body.readInteger(as: UInt32.self) else { throw self.error(.malformedPacket, .truncated) }
        return value
    }

    mutating func variableInteger() throws(MQTTDecodeError) -> Int {
        switch VariableInteger.peek(self.body, at: self.body.readerIndex) {
        case .value(let value, let byteCount):
            self.body.moveReaderIndex(forwardBy: byteCount)
            return value
        case .incomplete: throw self.error(.malformedPacket, .truncated)
        case .malformed: throw self.error(.malformedPacket, .remainingLength)
        }
    }

    /// Not 0 [MQTT-2.2.1-3].
    mutating func packetID() throws(MQTTDecodeError) -> UInt16 {
        let id = try self.twoBytes()
        guard id != 0 else { throw self.error(.malformedPacket, .packetID) }
        return id
    }

    // MARK: - Strings and bytes

    private mutating func length() throws(MQTTDecodeError) -> Int {
        let length = Int(try self.twoBytes())
        guard length <= self.body.readableBytes else { throw self.error(.malformedPacket, .truncated) }
        return length
    }

    /// A UTF-8 encoded string (MQTT 5 §1.5.4): nothing is repaired, U+0000 is refused, U+FEFF stays [MQTT-1.5.4-3].
    mutating func text() throws(MQTTDecodeError) -> String {
        let length = try self.length()
        if length == 0 { return "" }
        let text = self.body.withUnsafeReadableBytes { bytes -> String? in
            let field = UnsafeRawBufferPointer(rebasing: bytes.prefix(length))
            return field.contains(0) ? nil : String(validating: field, as: UTF8.self)
        }
        guard let text else { throw self.error(.malformedPacket, .string) }
        self.body.moveReaderIndex(forwardBy: length)
        return text
    }

    mutating func bytes() throws(MQTTDecodeError) -> ByteBuffer {
        let length = try self.length()
        guard length > 0, let slice = self.body.readSlice(length: length) else { return ByteBuffer() }
        return slice
    }

    /// nil for an empty one: version 5 allows that when there is a topic alias.
    mutating func topicNameOrEmpty() throws(MQTTDecodeError) -> TopicName? {
        let length = try self.length()
        if length == 0 { return nil }
        let topic: TopicName
        do {
            topic = try self.body.withUnsafeReadableBytes { bytes throws(TopicError) in
                try TopicName(utf8: UnsafeRawBufferPointer(rebasing: bytes.prefix(length)))
            }
        } catch {
            throw self.error(Self.reason(error, deep: .topicNameInvalid), .topic(error))
        }
        self.body.moveReaderIndex(forwardBy: length)
        return topic
    }

    mutating func topicName() throws(MQTTDecodeError) -> TopicName {
        guard let topic = try self.topicNameOrEmpty() else { throw self.error(.malformedPacket, .topic(.empty)) }
        return topic
    }

    mutating func topicFilter() throws(MQTTDecodeError) -> TopicFilter {
        let length = try self.length()
        let filter: TopicFilter
        do {
            filter = try self.body.withUnsafeReadableBytes { bytes throws(TopicError) in
                try TopicFilter(utf8: UnsafeRawBufferPointer(rebasing: bytes.prefix(length)))
            }
        } catch {
            throw self.error(Self.reason(error, deep: .topicFilterInvalid), .topic(error))
        }
        self.body.moveReaderIndex(forwardBy: length)
        return filter
    }

    /// "Correctly formed, but not accepted" (MQTT 5 §2.4) is only the depth; the rest is malformed.
    private static func reason(_ error: TopicError, deep: MQTTReason) -> MQTTReason { error == .tooDeep ? deep : .malformedPacket }

    /// Everything that is left.
    mutating func rest() -> ByteBuffer {
        guard self.body.readableBytes > 0 else { return ByteBuffer() }
        return self.body.readSlice(length: self.body.readableBytes) ?? ByteBuffer()
    }

    /// A packet is consumed exactly.
    func finish() throws(MQTTDecodeError) {
        guard self.isAtEnd else { throw self.error(.malformedPacket, .leftover) }
    }

    // MARK: - Properties

    /// Property length and properties (MQTT 5 §2.2.2).
    mutating func properties(_ place: PropertyPlaces) throws(MQTTDecodeError) -> MQTTProperties {
        let length = try self.variableInteger()
        guard length <= self.body.readableBytes else { throw self.error(.malformedPacket, .truncated) }
        var properties = MQTTProperties()
        guard length > 0 else { return properties }
        let end = self.body.readableBytes - length
        var seen: UInt64 = 0
        var repeated = 0
        while self.body.readableBytes > end {
            let row = try self.propertyRow(place)
            let bit = UInt64(1) << UInt64(row.id.rawValue)
            if row.repeatable.isDisjoint(with: place) {
                guard seen & bit == 0 else { throw self.error(.protocolError, .repeatedProperty(row.id.rawValue)) }
            } else {
                repeated += 1
                guard repeated <= self.limits.repeatedPropertiesMax else {
                    throw self.error(.quotaExceeded, .tooMany(limit: self.limits.repeatedPropertiesMax))
                }
            }
            seen |= bit
            properties.append(row.id, try self.propertyValue(row))
        }
        // The last value reached over the end of the properties into what follows.
        guard self.body.readableBytes == end else { throw self.error(.malformedPacket, .truncated) }
        return properties
    }

    private mutating func propertyRow(_ place: PropertyPlaces) throws(MQTTDecodeError) -> PropertyRow {
        let identifier = UInt32(try self.variableInteger())
        let name = UInt8(truncatingIfNeeded: identifier)
        guard let row = PropertyTable.row(identifier) else { throw self.error(.malformedPacket, .property(name)) }
        guard row.places.isDisjoint(with: place) else { return row }
        let isWrongWay = !row.places.inEitherDirection.isDisjoint(with: place)
        throw self.error(isWrongWay ? .protocolError : .malformedPacket, .property(name))
    }

    private mutating func propertyValue(_ row: PropertyRow) throws(MQTTDecodeError) -> MQTTProperties.Value {
        let number: UInt32
        switch row.form {
        case .byte: number = UInt32(try self.byte())
        case .twoBytes: number = UInt32(try self.twoBytes())
        case .fourBytes: number = try self.fourBytes()
        case .variableInteger: number = UInt32(try self.variableInteger())
        case .text: return .text(try self.text())
        case .topic: return .text(try self.topicName().text)
        case .bytes: return .bytes(try self.bytes())
        case .pair:
            let name = try self.text()
            return .pair(MQTTUserProperty(name, try self.text()))
        }
        guard row.range.contains(number) else { throw self.error(row.rangeReason, .propertyValue(row.id.rawValue)) }
        return .number(number)
    }
}
