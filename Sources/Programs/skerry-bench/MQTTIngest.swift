import NIOCore

/// Publishers that send a known number of different messages with QoS 1, and know which of them were acknowledged. Lives on the clients' loop.
///
/// A payload starts with the message's number, eight bytes; the numbers of a publisher are a range of their own.
final class MQTTIngest {
    private final class Publisher {
        let client: MQTTBenchClient
        let first: Int
        let count: Int
        var sent = 0
        var acknowledged = 0

        init(client: MQTTBenchClient, first: Int, count: Int) {
            self.client = client
            self.first = first
            self.count = count
        }
    }

    /// Packet identifiers in use; a window is far smaller.
    private static var identifiers: Int { 60_000 }

    private let payloadBytes: Int
    private let window: Int
    private let isRetained: Bool
    private let topic: (Int) -> String
    private var publishers: [Publisher] = []
    private(set) var acknowledgedCount = 0
    /// By number of the message.
    private(set) var isAcknowledged: [Bool]
    private var isRunning = false

    /// - Parameters:
    ///   - count: of messages, of all publishers.
    ///   - window: messages of one publisher without their PUBACK.
    init(count: Int, payloadBytes: Int = 64, window: Int, isRetained: Bool = false, topic: @escaping (Int) -> String) {
        self.isAcknowledged = [Bool](repeating: false, count: count)
        self.payloadBytes = payloadBytes
        self.window = window
        self.isRetained = isRetained
        self.topic = topic
    }

    var count: Int { self.isAcknowledged.count }
    var failure: String? { self.publishers.lazy.compactMap { $0.client.failure }.first }

    func start(_ clients: [MQTTBenchClient]) {
        self.isRunning = true
        for (index, client) in clients.enumerated() {
            let (first, end) = (self.count * index / clients.count, self.count * (index + 1) / clients.count)
            let publisher = Publisher(client: client, first: first, count: end - first)
            self.publishers.append(publisher)
            client.onAcknowledge = { [self] id in self.acknowledge(id, publisher) }
            client.onProgress = { [self] in self.proceed(publisher) }
        }
        for publisher in self.publishers { self.proceed(publisher) }
    }

    /// No more messages; acknowledgements still count.
    func stop() { self.isRunning = false }

    func close() {
        self.isRunning = false
        for publisher in self.publishers {
            publisher.client.onAcknowledge = nil
            publisher.client.onProgress = {}
            publisher.client.leave()
        }
        self.publishers = []
    }

    private func acknowledge(_ id: UInt16, _ publisher: Publisher) {
        // The last message sent that had this identifier.
        let last = publisher.sent - 1
        let number = last - ((last - (Int(id) - 1)) % Self.identifiers + Self.identifiers) % Self.identifiers
        guard number >= 0, !self.isAcknowledged[publisher.first + number] else { return }
        self.isAcknowledged[publisher.first + number] = true
        publisher.acknowledged += 1
        self.acknowledgedCount += 1
    }

    private func proceed(_ publisher: Publisher) {
        guard self.isRunning else { return }
        let free = min(self.window - (publisher.sent - publisher.acknowledged), publisher.count - publisher.sent)
        guard free > 0 else { return }
        var packets = ByteBuffer()
        for _ in 0..<free {
            let id = UInt16(publisher.sent % Self.identifiers + 1)
            MQTTPublishBytes.append(
                to: &packets, topic: self.topic(publisher.first + publisher.sent), id: id, isRetained: self.isRetained,
                stamp: UInt64(publisher.first + publisher.sent), payloadBytes: self.payloadBytes)
            publisher.sent += 1
        }
        publisher.client.send(packets)
    }
}

@available(*, unavailable)
extension MQTTIngest: Sendable {}

/// PUBLISH packets of version 3.1.1, made and read by hand.
enum MQTTPublishBytes {
    /// - Parameters:
    ///   - id: nil is QoS 0, any other QoS 1.
    ///   - stamp: the first eight bytes of the payload.
    static func append(to packets: inout ByteBuffer, topic: String, id: UInt16?, isRetained: Bool = false, stamp: UInt64, payloadBytes: Int) {
        packets.writeInteger(UInt8(0x30 | (id == nil ? 0 : 2) | (isRetained ? 1 : 0)))
        var length = 2 + topic.utf8.count + (id == nil ? 0 : 2) + payloadBytes
        while length >= 128 {
            packets.writeInteger(UInt8(length & 0x7F | 0x80))
            length >>= 7
        }
        packets.writeInteger(UInt8(length))
        packets.writeInteger(UInt16(topic.utf8.count))
        packets.writeString(topic)
        if let id { packets.writeInteger(id) }
        packets.writeInteger(stamp)
        packets.writeRepeatingByte(0x61, count: payloadBytes - 8)
    }

    /// The first eight bytes of the payload.
    static func stamp(_ first: UInt8, _ body: ByteBuffer) -> UInt64? {
        guard let topic = body.getInteger(at: body.readerIndex, as: UInt16.self) else { return nil }
        return body.getInteger(at: body.readerIndex + 2 + Int(topic) + (first & 0b0110 == 0 ? 0 : 2))
    }
}

/// What one subscriber gets of numbered messages. Lives on its loop.
final class MQTTCollector {
    private(set) var hasArrived: [Bool]
    /// Different messages.
    private(set) var count = 0
    /// Messages that came once more.
    private(set) var repeats = 0
    private(set) var lastArrival: UInt64 = 0
    /// A message with the number `hasArrived.count` ends the collection: nothing that was queued before can come after it.
    private(set) var hasEnded = false
    private let retainedOnly: Bool

    init(count: Int, retainedOnly: Bool = false) {
        self.hasArrived = [Bool](repeating: false, count: count)
        self.retainedOnly = retainedOnly
    }

    func attach(to client: MQTTBenchClient) {
        client.onPublish = { [self] first, body in
            guard !self.retainedOnly || first & 1 == 1, let stamp = MQTTPublishBytes.stamp(first, body), stamp <= UInt64(self.hasArrived.count) else { return }
            let number = Int(stamp)
            if number == self.hasArrived.count { return self.hasEnded = true }
            if self.hasArrived[number] { self.repeats += 1 } else { self.count += 1 }
            self.hasArrived[number] = true
            self.lastArrival = Clock.nanoseconds()
        }
    }
}

@available(*, unavailable)
extension MQTTCollector: Sendable {}
