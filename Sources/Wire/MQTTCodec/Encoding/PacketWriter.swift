import NIOCore
import SkerryModel

/// Writes the fields of packets. A field that the wire cannot hold makes the packet unsendable; the caller takes back what was written.
struct PacketWriter {
    var buffer = ByteBuffer()
    let version: MQTTVersion
    private(set) var isSendable = true

    init(_ version: MQTTVersion) { self.version = version }

    // MARK: - Fields

    mutating func byte(_ value: UInt8) { self.buffer.writeInteger(value) }
    mutating func twoBytes(_ value: UInt16) { self.buffer.writeInteger(value) }

    mutating func packetID(_ value: UInt16) {
        if value == 0 { self.isSendable = false }
        self.buffer.writeInteger(value)
    }

    mutating func text(_ text: String) {
        guard let count = UInt16(exactly: text.utf8.count) else { return self.isSendable = false }
        self.buffer.writeInteger(count)
        self.buffer.writeString(text)
    }

    mutating func bytes(_ bytes: ByteBuffer) {
        guard let count = UInt16(exactly: bytes.readableBytes) else { return self.isSendable = false }
        self.buffer.writeInteger(count)
        self.buffer.writeImmutableBuffer(bytes)
    }

    /// Writes what `write` does behind its length, which is one byte far more often than not: longer ones are moved.
    mutating func lengthPrefixed(_ write: (inout PacketWriter) -> Void) {
        let lengthIndex = self.buffer.writerIndex
        self.buffer.writeInteger(UInt8(0))
        let start = self.buffer.writerIndex
        write(&self)
        let count = self.buffer.writerIndex - start
        guard count <= VariableInteger.max else { return self.isSendable = false }
        let shift = VariableInteger.byteCount(count) - 1
        if shift > 0 {
            self.buffer.writeRepeatingByte(0, count: shift)
            let isMoved = (try? self.buffer.copyBytes(at: start, to: start + shift, length: count)) == count
            if !isMoved { self.isSendable = false }
        }
        let end = self.buffer.writerIndex
        self.buffer.moveWriterIndex(to: lengthIndex)
        self.buffer.writeVariableInteger(count)
        self.buffer.moveWriterIndex(to: end)
    }

    // MARK: - Properties

    /// Property length and properties; nothing before version 5.
    mutating func properties(_ properties: MQTTProperties) {
        guard self.version.hasProperties else { return }
        if properties.isEmpty { return self.byte(0) }
        self.lengthPrefixed { $0.items(properties) }
    }

    mutating func items(_ properties: MQTTProperties) {
        for item in properties.items {
            self.byte(item.id.rawValue)
            self.value(item)
        }
    }

    private mutating func value(_ item: MQTTProperties.Item) {
        switch item.value {
        case .text(let text): self.text(text)
        case .bytes(let bytes): self.bytes(bytes)
        case .pair(let pair):
            self.text(pair.name)
            self.text(pair.value)
        case .number(let number):
            switch PropertyTable.row(item.id)?.form {
            case .byte: self.byte(UInt8(truncatingIfNeeded: number))
            case .twoBytes: self.twoBytes(UInt16(truncatingIfNeeded: number))
            case .fourBytes: self.buffer.writeInteger(number)
            case .variableInteger where number <= VariableInteger.max: self.buffer.writeVariableInteger(Int(number))
            case .variableInteger, .text, .topic, .bytes, .pair, nil: self.isSendable = false
            }
        }
    }

    // MARK: - Packets

    mutating func packet(_ packet: MQTTPacket) {
        switch packet {
        case .connect(let connect): self.framed(.connect) { $0.connect(connect) }
        case .connack(let connack): self.framed(.connack) { $0.connack(connack) }
        case .publish(let publish): self.publish(publish)
        case .puback(let ack): self.framed(.puback) { $0.acknowledgement(ack) }
        case .pubrec(let ack): self.framed(.pubrec) { $0.acknowledgement(ack) }
        case .pubrel(let ack): self.framed(.pubrel) { $0.acknowledgement(ack) }
        case .pubcomp(let ack): self.framed(.pubcomp) { $0.acknowledgement(ack) }
        case .subscribe(let subscribe): self.framed(.subscribe) { $0.subscribe(subscribe) }
        case .suback(let suback): self.framed(.suback) { $0.suback(suback) }
        case .unsubscribe(let unsubscribe): self.framed(.unsubscribe) { $0.unsubscribe(unsubscribe) }
        case .unsuback(let unsuback): self.framed(.unsuback) { $0.unsuback(unsuback) }
        case .pingreq: self.framed(.pingreq) { _ in }
        case .pingresp: self.framed(.pingresp) { _ in }
        case .disconnect(let disconnect):
            self.framed(.disconnect) { if $0.version.hasProperties { $0.reason(disconnect.reason, disconnect.properties) } }
        case .auth(let auth):
            guard self.version.hasProperties else { return self.isSendable = false }
            self.framed(.auth) { $0.reason(auth.reason, auth.properties) }
        }
    }

    private mutating func framed(_ type: MQTTPacketType, _ body: (inout PacketWriter) -> Void) {
        self.byte(type.rawValue << 4 | type.flags)
        self.lengthPrefixed(body)
    }

    /// A reason and properties that are left out from the end when they say nothing (MQTT 5 §3.4.2.1, §3.14.2.1).
    private mutating func reason(_ reason: MQTTReason, _ properties: MQTTProperties) {
        guard reason != .success || !properties.isEmpty else { return }
        self.byte(reason.rawValue)
        if !properties.isEmpty { self.properties(properties) }
    }

    private mutating func connect(_ connect: MQTTConnect) {
        // The packet says its version; a caller that mixes them up would send what its own decoder cannot read.
        guard connect.version == self.version else { return self.isSendable = false }
        self.text(self.version.protocolName)
        if self.version == .v5, connect.isBridge { self.isSendable = false }
        self.byte(self.version.rawValue | (connect.isBridge ? 0x80 : 0))
        var flags: UInt8 = connect.cleanStart ? 0x02 : 0
        if let will = connect.will { flags |= 0x04 | will.qos.rawValue << 3 | (will.isRetained ? 0x20 : 0) }
        if connect.password != nil { flags |= 0x40 }
        if connect.userName != nil { flags |= 0x80 }
        if self.version != .v5, connect.password != nil, connect.userName == nil { self.isSendable = false }
        self.byte(flags)
        self.twoBytes(connect.keepAliveSeconds)
        self.properties(connect.properties)
        self.text(connect.clientID)
        if let will = connect.will {
            self.properties(will.properties)
            self.text(will.topic.text)
            self.bytes(will.payload)
        }
        if let userName = connect.userName { self.text(userName) }
        if let password = connect.password { self.bytes(password) }
    }

    private mutating func connack(_ connack: MQTTConnack) {
        self.byte(connack.isSessionPresent && !connack.reason.isFailure && self.version != .v31 ? 1 : 0)
        self.byte(self.version == .v5 ? connack.reason.rawValue : connack.reason.connectReturnCode)
        self.properties(connack.properties)
    }

    private mutating func acknowledgement(_ ack: MQTTAck) {
        self.packetID(ack.packetID)
        if self.version.hasProperties { self.reason(ack.reason, ack.properties) }
    }

    private mutating func subscribe(_ subscribe: MQTTSubscribe) {
        if subscribe.subscriptions.isEmpty { self.isSendable = false }
        self.packetID(subscribe.packetID)
        self.properties(subscribe.properties)
        for subscription in subscribe.subscriptions {
            self.text(subscription.filter.text)
            self.byte(self.version == .v5 ? subscription.options.rawValue : subscription.options.qos.rawValue)
        }
    }

    private mutating func suback(_ suback: MQTTSuback) {
        self.packetID(suback.packetID)
        self.properties(suback.properties)
        for reason in suback.reasons { self.byte(self.version == .v5 ? reason.rawValue : reason.subackCodeBefore5) }
    }

    private mutating func unsubscribe(_ unsubscribe: MQTTUnsubscribe) {
        if unsubscribe.filters.isEmpty { self.isSendable = false }
        self.packetID(unsubscribe.packetID)
        self.properties(unsubscribe.properties)
        for filter in unsubscribe.filters { self.text(filter.text) }
    }

    private mutating func unsuback(_ unsuback: MQTTUnsuback) {
        self.packetID(unsuback.packetID)
        guard self.version.hasProperties else { return }
        self.properties(unsuback.properties)
        for reason in unsuback.reasons { self.byte(reason.rawValue) }
    }

    private mutating func publish(_ publish: MQTTPublish) {
        guard publish.qos == .atMostOnce || publish.packetID != 0 else { return self.isSendable = false }
        self.publishHead(publish, packetID: publish.packetID, isDuplicate: publish.isDuplicate)
        if self.isSendable { self.buffer.writeImmutableBuffer(publish.payload) }
    }

    /// From the first byte to the end of the properties; gives the place of the packet identifier, nil at QoS 0.
    ///
    /// Sizes first, because a payload is not moved to make room for its length.
    @discardableResult
    mutating func publishHead(_ publish: MQTTPublish, packetID: UInt16, isDuplicate: Bool) -> Int? {
        guard let remaining = self.remainingBytes(publish) else {
            self.isSendable = false
            return nil
        }
        let qos = publish.qos.rawValue
        let duplicate: UInt8 = isDuplicate && qos > 0 ? 0b1000 : 0
        self.byte(MQTTPacketType.publish.rawValue << 4 | duplicate | qos << 1 | (publish.isRetained ? 1 : 0))
        self.buffer.writeVariableInteger(remaining)
        self.text(publish.topic?.text ?? "")
        let place = qos == 0 ? nil : self.buffer.writerIndex
        if qos > 0 { self.twoBytes(packetID) }
        guard self.version.hasProperties else { return place }
        if publish.properties.isEmpty {
            self.byte(0)
        } else {
            self.buffer.writeVariableInteger(publish.properties.byteCount)
            self.items(publish.properties)
        }
        return place
    }

    /// The remaining length; nil when the packet would be over the protocol's size, or has neither topic nor alias.
    private func remainingBytes(_ publish: MQTTPublish) -> Int? {
        guard publish.topic != nil || self.version.hasProperties && publish.properties.contains(.topicAlias) else { return nil }
        var count = 2 + (publish.topic?.byteCount ?? 0) + (publish.qos == .atMostOnce ? 0 : 2) + publish.payload.readableBytes
        if self.version.hasProperties {
            let properties = publish.properties.byteCount
            guard properties <= VariableInteger.max else { return nil }
            count += VariableInteger.byteCount(properties) + properties
        }
        return count <= VariableInteger.max ? count : nil
    }
}

extension MQTTProperties {
    /// Bytes of the properties on the wire, without the property length.
    var byteCount: Int { self.items.reduce(0) { $0 + $1.byteCount } }
}

extension MQTTProperties.Item {
    fileprivate var byteCount: Int {
        switch self.value {
        case .text(let text): 3 + text.utf8.count
        case .bytes(let bytes): 3 + bytes.readableBytes
        case .pair(let pair): 5 + pair.name.utf8.count + pair.value.utf8.count
        case .number(let number):
            switch PropertyTable.row(self.id)?.form {
            case .byte: 2
            case .twoBytes: 3
            case .fourBytes: 5
            case .variableInteger: 1 + VariableInteger.byteCount(Int(number))
            case .text, .topic, .bytes, .pair, nil: 1
            }
        }
    }
}
