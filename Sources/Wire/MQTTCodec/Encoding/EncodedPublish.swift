package import NIOCore
import SkerryModel

/// A PUBLISH written once for every receiver with the same layout; what differs between them, the packet identifier and DUP, is patched
/// into the copy that each receiver's outbox gets anyway.
///
/// Small payloads are kept together with the header, so that a receiver costs one copy; large ones stay apart and are shared.
package struct EncodedPublish: Sendable {
    /// Up to this size copying a payload is cheaper than a second piece to write.
    package static let joinedPayloadBytesMax = 2_048

    /// From the first byte to the end of the properties, and the payload if it is small. Packet identifier and DUP are 0.
    private let head: ByteBuffer
    /// Empty when the payload is in `head`.
    private let tail: ByteBuffer
    /// Where the packet identifier goes; 0 at QoS 0.
    private let packetIDOffset: Int
    package let qos: MQTTQoS

    /// nil when the packet would be over the protocol's size, a property is too long for its field, or topic and alias are both missing.
    /// The packet identifier and DUP of `publish` do not matter here.
    package init?(_ publish: MQTTPublish, version: MQTTVersion) {
        var writer = PacketWriter(version)
        let payload = publish.payload
        let isJoined = payload.readableBytes <= Self.joinedPayloadBytesMax
        writer.buffer.reserveCapacity(1 + VariableInteger.bytesMax + 6 + (publish.topic?.byteCount ?? 0) + (isJoined ? payload.readableBytes : 0))
        let place = writer.publishHead(publish, packetID: 0, isDuplicate: false)
        guard writer.isSendable else { return nil }
        if isJoined { writer.buffer.writeImmutableBuffer(payload) }
        self.head = writer.buffer
        self.tail = isJoined ? ByteBuffer() : payload
        self.packetIDOffset = place ?? 0
        self.qos = publish.qos
    }

    /// Bytes of the whole packet: compare with the receiver's Maximum Packet Size before writing [MQTT-3.1.2-24].
    package var byteCount: Int { self.head.readableBytes + self.tail.readableBytes }

    /// The payload that is not part of `head(packetID:isDuplicate:)`: shared by all receivers, empty when it is small.
    package var separatePayload: ByteBuffer { self.tail }

    /// Copies the packet behind what is in `buffer`: one copy, for outboxes that gather many packets for one write.
    package func write(packetID: UInt16 = 0, isDuplicate: Bool = false, into buffer: inout ByteBuffer) {
        let start = buffer.writerIndex
        buffer.writeImmutableBuffer(self.head)
        self.patch(&buffer, at: start, packetID: packetID, isDuplicate: isDuplicate)
        if self.tail.readableBytes > 0 { buffer.writeImmutableBuffer(self.tail) }
    }

    /// Everything but `separatePayload`, for outboxes that pass large payloads on without a copy. At QoS 0 all receivers share it.
    package func head(packetID: UInt16 = 0, isDuplicate: Bool = false) -> ByteBuffer {
        guard self.packetIDOffset > 0 else { return self.head }
        var copy = self.head
        self.patch(&copy, at: copy.readerIndex, packetID: packetID, isDuplicate: isDuplicate)
        return copy
    }

    private func patch(_ buffer: inout ByteBuffer, at start: Int, packetID: UInt16, isDuplicate: Bool) {
        guard self.packetIDOffset > 0 else { return }
        assert(packetID != 0, "a PUBLISH with QoS 1 or 2 needs a packet identifier [MQTT-2.2.1-3]")
        buffer.setInteger(packetID, at: start + self.packetIDOffset)
        if isDuplicate, let first = self.head.getInteger(at: self.head.readerIndex, as: UInt8.self) {
            buffer.setInteger(first | 0b1000, at: start)
        }
    }
}

/// One message in all the layouts that its receivers need, each written when the first of them asks for it.
///
/// What is particular to a receiver and not a patch (subscription identifiers, a topic alias) is encoded apart by `EncodedPublish`.
package struct PublishLayouts: Sendable {
    private let message: MQTTPublish
    /// Version 5 or before (two), QoS (three), RETAIN (two).
    private var written: [EncodedPublish?] = Array(repeating: nil, count: 12)

    /// The QoS, RETAIN, DUP and packet identifier of `message` do not matter.
    package init(_ message: MQTTPublish) { self.message = message }

    /// nil when it cannot be written (`EncodedPublish.init`).
    package mutating func layout(_ version: MQTTVersion, qos: MQTTQoS, isRetained: Bool) -> EncodedPublish? {
        let index = (version.hasProperties ? 6 : 0) + Int(qos.rawValue) * 2 + (isRetained ? 1 : 0)
        if let known = self.written[index] { return known }
        var message = self.message
        message.qos = qos
        message.isRetained = isRetained
        if !version.hasProperties { message.properties = .none }
        let encoded = EncodedPublish(message, version: version)
        self.written[index] = encoded
        return encoded
    }
}
