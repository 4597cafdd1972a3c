import MQTTCodec
import NIOCore
import SkerryModel

/// A pattern of publishers and subscribers, and how it is kept busy without ever piling up.
struct MQTTPattern: Sendable {
    let name: String
    let publishers: Int
    /// Of each publisher.
    let subscribers: Int
    let qos: MQTTQoS
    let payloadBytes: Int
    /// Messages of one publisher that are under way at once.
    let window: Int
}

/// One pattern on one broker. Lives on the clients' loop.
///
/// A publisher sends the next message when one of its window has reached all its subscribers (and, with QoS 1, was acknowledged): so the
/// rate is what broker and clients can do together, and nothing waits in queues that grow.
final class MQTTLoad {
    private final class Group {
        let publisher: MQTTBenchClient
        let subscribers: [MQTTBenchClient]
        let packet: ByteBuffer
        var published = 0

        init(publisher: MQTTBenchClient, subscribers: [MQTTBenchClient], packet: ByteBuffer) {
            self.publisher = publisher
            self.subscribers = subscribers
            self.packet = packet
        }
    }

    private let pattern: MQTTPattern
    private var groups: [Group] = []
    private var isRunning = false

    init(_ pattern: MQTTPattern) { self.pattern = pattern }

    func add(topic: String, publisher: MQTTBenchClient, subscribers: [MQTTBenchClient]) throws {
        // Version 3.1.1: two bytes of topic length, topic, with QoS 1 a packet identifier; the same one is free again when its turn comes.
        var body = ByteBuffer()
        body.writeInteger(UInt16(topic.utf8.count))
        body.writeString(topic)
        if self.pattern.qos != .atMostOnce { body.writeInteger(UInt16(1)) }
        body.writeRepeatingByte(0x61, count: self.pattern.payloadBytes)
        guard body.readableBytes < 16_384 else { throw BenchError("the payload is too large for this benchmark") }
        var packet = ByteBuffer()
        packet.writeInteger(UInt8(0x30 | self.pattern.qos.rawValue << 1))
        var length = body.readableBytes
        if length >= 128 {
            packet.writeInteger(UInt8(length & 0x7F | 0x80))
            length >>= 7
        }
        packet.writeInteger(UInt8(length))
        packet.writeBuffer(&body)
        let group = Group(publisher: publisher, subscribers: subscribers, packet: packet)
        self.groups.append(group)
        let idOffset = packet.writerIndex - self.pattern.payloadBytes - 2
        let proceed: () -> Void = { [self] in self.proceed(group, idOffset) }
        publisher.onProgress = proceed
        for subscriber in subscribers { subscriber.onProgress = proceed }
    }

    func start() {
        self.isRunning = true
        for group in self.groups { self.proceed(group, group.packet.writerIndex - self.pattern.payloadBytes - 2) }
    }

    func stop() { self.isRunning = false }

    func close() {
        for group in self.groups {
            group.publisher.close()
            for subscriber in group.subscribers { subscriber.close() }
        }
    }

    var deliveredCount: Int { self.groups.reduce(0) { $0 + $1.subscribers.reduce(0) { $0 + $1.deliveredCount } } }
    var publishedCount: Int { self.groups.reduce(0) { $0 + $1.published } }
    var isQuiet: Bool { self.groups.allSatisfy { Self.completed($0, self.pattern) == $0.published } }
    var failure: String? {
        for group in self.groups {
            if let failure = group.publisher.failure ?? group.subscribers.lazy.compactMap({ $0.failure }).first { return failure }
        }
        return nil
    }

    /// Messages that have reached every subscriber: all get all, so the slowest one's count.
    private static func completed(_ group: Group, _ pattern: MQTTPattern) -> Int {
        let delivered = group.subscribers.reduce(Int.max) { min($0, $1.deliveredCount) }
        return pattern.qos == .atMostOnce ? delivered : min(delivered, group.publisher.acknowledgedCount)
    }

    private func proceed(_ group: Group, _ idOffset: Int) {
        guard self.isRunning else { return }
        let free = self.pattern.window - (group.published - Self.completed(group, self.pattern))
        // In halves, so that the publisher is neither one packet a write nor ever dry.
        guard free >= max(1, self.pattern.window / 2) else { return }
        var packets = ByteBuffer()
        packets.reserveCapacity(free * group.packet.readableBytes)
        for _ in 0..<free {
            var packet = group.packet
            if self.pattern.qos != .atMostOnce { packet.setInteger(UInt16(truncatingIfNeeded: group.published % 60_000 + 1), at: idOffset) }
            packets.writeBuffer(&packet)
            group.published += 1
        }
        group.publisher.send(packets)
    }
}

@available(*, unavailable)
extension MQTTLoad: Sendable {}
