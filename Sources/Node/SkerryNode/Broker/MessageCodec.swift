import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel

/// A message as the broker's tables hold it. Read back with suspicion: a row that cannot be read is left out, never guessed.
enum MessageCodec {
    private static let version: UInt8 = 1
    /// The expiry is physical time, which boxes have in common, and not the broker's clock.
    private static let isPhysical: UInt8 = 16

    /// - Parameter physicalExpiry: for other boxes too: when it expires in milliseconds since 1970.
    static func encode(_ message: ApplicationMessage, physicalExpiry: UInt64? = nil) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: message.byteCount + 24)
        Self.encode(message, into: &buffer, physicalExpiry: physicalExpiry)
        return buffer
    }

    static func encode(_ message: ApplicationMessage, into buffer: inout ByteBuffer, physicalExpiry: UInt64? = nil) {
        buffer.writeInteger(Self.version)
        let expires = physicalExpiry ?? message.expires
        buffer.writeInteger(
            message.qos.rawValue | (message.isRetained ? 4 : 0) | (expires == nil ? 0 : 8) | (physicalExpiry == nil ? 0 : Self.isPhysical))
        if let expires { buffer.writeInteger(expires) }
        buffer.write(short: message.topic.text)
        Self.encode(message.properties, into: &buffer)
        buffer.writeImmutableBuffer(message.payload)
    }

    /// - Parameter ahead: milliseconds by which physical time is ahead of the broker's clock.
    static func decode(_ bytes: ByteBuffer, physicalAhead ahead: Int64 = 0) -> ApplicationMessage? {
        var bytes = bytes
        guard bytes.readInteger(as: UInt8.self) == Self.version, let flags: UInt8 = bytes.readInteger(), let qos = MQTTQoS(rawValue: flags & 3) else {
            return nil
        }
        var expires: UInt64?
        if flags & 8 != 0 {
            guard let value: UInt64 = bytes.readInteger() else { return nil }
            expires = flags & Self.isPhysical == 0 ? value : UInt64(clamping: Int64(clamping: value).subtractingReportingOverflow(ahead).partialValue)
        }
        guard let text = bytes.readShort(), let topic = try? TopicName(text), let properties = Self.properties(&bytes) else { return nil }
        return ApplicationMessage(topic: topic, payload: bytes, qos: qos, isRetained: flags & 4 != 0, expires: expires, properties: properties)
    }

    // MARK: - Properties

    static func encode(_ properties: MQTTProperties, into buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt16(clamping: properties.items.count))
        for item in properties.items.prefix(Int(UInt16.max)) {
            buffer.writeInteger(item.id.rawValue)
            switch item.value {
            case .number(let number):
                buffer.writeInteger(UInt8(0))
                buffer.writeInteger(number)
            case .text(let text):
                buffer.writeInteger(UInt8(1))
                buffer.write(short: text)
            case .bytes(let bytes):
                buffer.writeInteger(UInt8(2))
                buffer.write(long: bytes)
            case .pair(let pair):
                buffer.writeInteger(UInt8(3))
                buffer.write(short: pair.name)
                buffer.write(short: pair.value)
            }
        }
    }

    static func properties(_ bytes: inout ByteBuffer) -> MQTTProperties? {
        guard let count: UInt16 = bytes.readInteger() else { return nil }
        var properties = MQTTProperties.none
        for _ in 0..<count {
            guard let raw: UInt8 = bytes.readInteger(), let id = MQTTPropertyID(rawValue: raw), let form: UInt8 = bytes.readInteger() else { return nil }
            switch form {
            case 0:
                guard let number: UInt32 = bytes.readInteger() else { return nil }
                properties.append(id, .number(number))
            case 1:
                guard let text = bytes.readShort() else { return nil }
                properties.append(id, .text(text))
            case 2:
                guard let slice = bytes.readLong() else { return nil }
                properties.append(id, .bytes(slice))
            case 3:
                guard let name = bytes.readShort(), let value = bytes.readShort() else { return nil }
                properties.append(id, .pair(MQTTUserProperty(name, value)))
            default: return nil
            }
        }
        return properties
    }
}

extension ByteBuffer {
    /// A text of at most 65,535 bytes, its length first; every text of MQTT is one.
    mutating func write(short text: String) {
        self.writeInteger(UInt16(clamping: text.utf8.count))
        if text.utf8.count <= Int(UInt16.max) { self.writeString(text) } else { self.writeBytes(text.utf8.prefix(Int(UInt16.max))) }
    }

    mutating func readShort() -> String? {
        guard let count: UInt16 = self.readInteger(), let slice = self.readSlice(length: Int(count)) else { return nil }
        return slice.withUnsafeReadableBytes { String(validating: $0, as: UTF8.self) }
    }

    mutating func write(long bytes: ByteBuffer) {
        self.writeInteger(UInt32(clamping: bytes.readableBytes))
        self.writeImmutableBuffer(bytes)
    }

    mutating func readLong() -> ByteBuffer? {
        guard let count: UInt32 = self.readInteger() else { return nil }
        return self.readSlice(length: Int(count))
    }
}
