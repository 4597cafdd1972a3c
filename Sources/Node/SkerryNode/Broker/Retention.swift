import MQTTSession
import NIOCore
import Replication
import SkerryModel
import Store
import Synchronization

/// How retained messages come to the disk. In a federation one of a topic that crosses is an entry of the control log, in the same transaction:
/// the greater order wins on every box, so that all keep the same (FEDERATION.md §2.8). Elsewhere it is a row of this box alone.
///
/// Limits of how many there are decide at the publisher's box, before the entry is written. What is in a log is kept everywhere: a box that
/// refused it would differ from the others.
struct Retention: Sendable {
    /// Which topics cross; nil: the box is in no federation.
    var crossing: TopicCrossing?
    /// By the broker's clock, and physical time.
    var now: UInt64
    var physical: UInt64
    var metrics: NodeMetrics

    /// Milliseconds by which physical time is ahead of the broker's clock.
    var physicalAhead: Int64 { Int64(clamping: self.physical) - Int64(clamping: self.now) }
    /// What expires before is expired by whichever clock its row means.
    var sweepTime: UInt64 { self.crossing == nil ? self.now : min(self.now, self.physical) }

    /// - Parameter body: the message as a row of this box alone holds it.
    func keep(_ message: ApplicationMessage, body: ByteBuffer, _ context: inout LogTransaction) throws {
        let topic = message.topic
        var record = RetainedRecord(topic: topic.text, body: body, expiresMilliseconds: message.expires ?? 0)
        if self.crossing?.lets(topic) == true {
            if let entry = self.entry(message) {
                try context.append(.retained(entry))
                return
            }
            self.metrics.add(.federationRetainedTooLarge)
            // Others keep nothing rather than what was there before.
            if try context.store.retainedStamp(topic: topic.text) != nil { record.stamp = try Self.appendClearing(topic, &context) }
        }
        try context.store.putRetained(record)
    }

    /// Nothing is retained at the topic any more. What is not there leaves no trace: publishing nothing to many topics must not fill the log.
    ///
    /// - Returns: whether there was something.
    @discardableResult
    func clear(_ topic: TopicName, _ context: inout LogTransaction) throws -> Bool {
        guard try context.store.retained(topic: topic.text) != nil else { return false }
        if self.crossing?.lets(topic) == true {
            try Self.appendClearing(topic, &context)
        } else {
            try context.store.removeRetained(topic: topic.text)
        }
        return true
    }

    /// The message of a row; nil: nobody gets it. A row that came with a log may be of a box that has gone wrong: it is believed only what crosses.
    func message(of record: RetainedRecord) -> ApplicationMessage? {
        guard let message = MessageCodec.decode(record.body, physicalAhead: self.physicalAhead), !message.isExpired(at: self.now) else { return nil }
        if record.stamp == nil { return message }
        return TopicCrossing().lets(message.topic) && TopicBytes.areEqual(message.topic.text.utf8, record.topic.utf8) ? message : nil
    }

    /// What the log holds of a message; nil: it is too large for an entry, or expired.
    func entry(_ message: ApplicationMessage) -> RetainedEntry? {
        if message.isExpired(at: self.now) { return nil }
        let expires = message.expires.map { $0 - self.now + self.physical }
        let body = MessageCodec.encode(message, physicalExpiry: expires)
        guard body.readableBytes + message.topic.byteCount + Self.entryOverhead <= EntryCodec.entryBytesMax else { return nil }
        return RetainedEntry(topic: message.topic.text, body: Array(body.readableBytesView), expiresMilliseconds: expires ?? 0)
    }

    /// Bytes of an entry beside topic and body.
    private static let entryOverhead = 128

    @discardableResult
    private static func appendClearing(_ topic: TopicName, _ context: inout LogTransaction) throws -> Order {
        try context.append(.retained(RetainedEntry(topic: topic.text, body: [], expiresMilliseconds: 0)))
    }
}

extension MQTTBroker {
    /// How retained messages are kept at this moment.
    var retention: Retention {
        Retention(crossing: self.crossing.withLock { $0 }, now: self.clock.now(), physical: self.node.clock.wall(), metrics: self.node.metrics)
    }

    private static let offerRowsMax = 500
    private static let offerBytesMax = 256 * 1024

    /// Writes to the log what was retained before the box was in a federation, a page at a time and never more than one in half a second. The writer
    /// is asked only for pages that hold some.
    func offerRetained(after topic: String = "") {
        guard self.isOpen, let crossing = self.retention.crossing else { return }
        self.node.store.read { store in
            let page = try store.retained(prefix: "", after: topic, limit: Self.offerRowsMax, bytes: Self.offerBytesMax)
            return (last: page.last?.topic, isNew: page.contains { record in record.stamp == nil && Self.crosses(record, crossing) })
        } completion: { result in
            switch result {
            case .success((nil, _)): return
            case .success((let last?, false)): self.offerLater(after: last)
            case .success((_, true)): self.offerPage(after: topic)
            case .failure: self.offerLater(after: topic)
            }
        }
    }

    private func offerPage(after topic: String) {
        let retention = self.retention
        guard let crossing = retention.crossing else { return }
        let job = LogJob<String?>(loop: nil) { context in
            let page = try context.store.retained(prefix: "", after: topic, limit: Self.offerRowsMax, bytes: Self.offerBytesMax)
            for record in page where record.stamp == nil && Self.crosses(record, crossing) {
                guard let message = retention.message(of: record), let entry = retention.entry(message) else { continue }
                try context.append(.retained(entry))
            }
            return page.last?.topic
        } completion: { result in
            switch result {
            case .success(nil): return
            case .success(let last?): self.offerLater(after: last)
            // A full disk: the same page again.
            case .failure: self.offerLater(after: topic)
            }
        }
        self.writes.submit(job)
    }

    private func offerLater(after topic: String) {
        self.node.shards[0].loop.scheduleTask(in: .milliseconds(500)) { self.offerRetained(after: topic) }
    }

    private static func crosses(_ record: RetainedRecord, _ crossing: TopicCrossing) -> Bool {
        (try? TopicName(record.topic)).map { crossing.lets($0) } ?? false
    }
}
