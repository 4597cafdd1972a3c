import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store

/// Whose session it is: nobody else may take it over.
enum SessionOwner: Sendable, Hashable {
    case anonymous
    case user(UserID)

    var user: UserID? {
        switch self {
        case .anonymous: nil
        case .user(let user): user
        }
    }
}

/// What `BrokerSessionRecord.state` holds: the part of a durable session that is neither subscription nor queue.
struct SessionState: Sendable {
    private static let version: UInt8 = 1

    var owner: SessionOwner
    /// For refusals and lists only; rights are looked up when they are used.
    var name: String
    var role: Role
    var expirySeconds: UInt32
    /// When its connection ended, by the broker's clock; 0 = it was connected when this was written.
    var endedMilliseconds: UInt64
    /// Rows up to here were sent once.
    var sentSeq: UInt64
    var will: Will?

    func encode() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(Self.version)
        buffer.writeInteger(UInt8(self.owner.user == nil ? 0 : 1) | (self.will == nil ? 0 : 2))
        if let user = self.owner.user { buffer.writeBytes(user.bytes) }
        buffer.write(short: self.name)
        buffer.writeInteger(self.role.rawValue)
        buffer.writeInteger(self.expirySeconds)
        buffer.writeInteger(self.endedMilliseconds)
        buffer.writeInteger(self.sentSeq)
        if let will = self.will {
            buffer.writeInteger(will.delaySeconds)
            buffer.writeInteger(will.message.qos.rawValue | (will.message.isRetained ? 4 : 0))
            buffer.write(short: will.message.topic.text)
            MessageCodec.encode(will.message.properties, into: &buffer)
            buffer.write(long: will.message.payload)
        }
        return buffer
    }

    init(owner: SessionOwner, name: String, role: Role, expirySeconds: UInt32, endedMilliseconds: UInt64, sentSeq: UInt64, will: Will?) {
        self.owner = owner
        self.name = name
        self.role = role
        self.expirySeconds = expirySeconds
        self.endedMilliseconds = endedMilliseconds
        self.sentSeq = sentSeq
        self.will = will
    }

    init?(_ bytes: ByteBuffer) {
        var bytes = bytes
        guard bytes.readInteger(as: UInt8.self) == Self.version, let flags: UInt8 = bytes.readInteger() else { return nil }
        self.owner = .anonymous
        if flags & 1 != 0 {
            guard let id = bytes.readBytes(length: 16), let user = UserID(bytes: id) else { return nil }
            self.owner = .user(user)
        }
        guard let name = bytes.readShort(), let rawRole: UInt8 = bytes.readInteger(), let role = Role(rawValue: rawRole),
            let expirySeconds: UInt32 = bytes.readInteger(), let ended: UInt64 = bytes.readInteger(), let sent: UInt64 = bytes.readInteger()
        else { return nil }
        (self.name, self.role, self.expirySeconds, self.endedMilliseconds, self.sentSeq) = (name, role, expirySeconds, ended, sent)
        guard flags & 2 != 0 else { return }
        guard let delay: UInt32 = bytes.readInteger(), let options: UInt8 = bytes.readInteger(), let qos = MQTTQoS(rawValue: options & 3),
            let text = bytes.readShort(), let topic = try? TopicName(text), let properties = MessageCodec.properties(&bytes), let payload = bytes.readLong()
        else { return nil }
        var will = Will(MQTTWill(topic: topic, payload: payload, qos: qos, isRetained: options & 4 != 0, properties: properties))
        will.delaySeconds = delay
        self.will = will
    }
}

/// The bits of `QueueEntry.flags`, and what is in its `extra`: the shared subscription, if `isShared`, then the subscription identifiers.
enum QueueFlags {
    static func of(_ delivery: Delivery) -> UInt8 { delivery.qos.rawValue | (delivery.isRetained ? 4 : 0) | (delivery.share == nil ? 0 : Self.shared) }
    /// PUBREC came: PUBREL is owed, the message no more.
    static let released: UInt8 = 8
    /// `extra` starts with the shared subscription by which the message came: two bytes of length, then the filter as subscribed.
    static let shared: UInt8 = 16
    static func releasedFlags(isRetained: Bool) -> UInt8 { 2 | (isRetained ? 4 : 0) | Self.released }

    static func extra(_ delivery: Delivery) -> [UInt8] {
        var bytes: [UInt8] = []
        if let share = delivery.share {
            bytes.appendBigEndian(UInt16(clamping: share.utf8.count))
            bytes += share.utf8
        }
        for id in delivery.subscriptionIDs { bytes.appendBigEndian(id) }
        return bytes
    }

    static func ids(_ entry: QueueEntry) -> [UInt32] {
        // Of a released row nothing but the exchange goes on.
        if entry.flags & Self.released != 0 { return [] }
        let start = entry.flags & Self.shared == 0 ? 0 : 2 + (Self.shareLength(entry) ?? entry.extra.count)
        return stride(from: start, to: entry.extra.count, by: 4).compactMap { entry.extra.bigEndian(at: $0, count: 4).map { UInt32($0) } }
    }

    static func share(_ entry: QueueEntry) -> String? {
        guard entry.flags & Self.shared != 0, entry.flags & Self.released == 0, let length = Self.shareLength(entry) else { return nil }
        return String(validating: entry.extra.dropFirst(2).prefix(length), as: UTF8.self)
    }

    private static func shareLength(_ entry: QueueEntry) -> Int? {
        guard let length = entry.extra.bigEndian(at: 0, count: 2), entry.extra.count >= 2 + Int(length) else { return nil }
        return Int(length)
    }
}
