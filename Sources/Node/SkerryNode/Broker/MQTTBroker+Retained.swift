import MQTTCodec
import MQTTSession
package import NIOCore
package import SkerryModel
import Store
import Synchronization

/// A retained message without its payload.
package struct RetainedSummary: Sendable {
    package var topic: String
    /// Bytes of the payload.
    package var size: Int
    package var qos: Int
    package var contentType: String?
    /// Seconds until it is forgotten; nil = never.
    package var expiresIn: Int?
}

/// A retained message as an administrator looks at it.
package struct RetainedMessage: Sendable {
    package var summary: RetainedSummary
    /// The whole payload, or its beginning when it is longer than was asked for.
    package var payload: ByteBuffer
    package var properties: [(name: String, value: String)]
}

/// Browsing and clearing what is retained. Read from the store in bounded steps: memory does not hold it, and a million of them is normal.
extension MQTTBroker {
    private static let readMax = 256
    private static let readBytesMax = 256 * 1024
    /// Rows that one transaction looks at and clears.
    private static let clearMax = 1_000
    /// Reads before a page that is not full is given out as it is.
    private static let readsMax = 32

    /// Retained messages whose topic `filter` wants, by topic, byte by byte. A page may hold less than was asked for and still have a next one.
    package func retained(_ filter: TopicFilter, after: String?, limit: Int) async throws -> ListPage<RetainedSummary> {
        let retention = self.retention
        var items: [RetainedSummary] = []
        var cursor = after ?? ""
        for _ in 0..<Self.readsMax {
            let start = cursor
            let records = try await self.node.store.read { try Self.retained(filter, after: start, $0) }
            for record in records {
                cursor = record.topic
                if let summary = Self.summary(record, filter, retention) { items.append(summary) }
                if items.count == limit { return ListPage(items: items, next: cursor) }
            }
            if records.isEmpty || !filter.hasWildcard { return ListPage(items: items) }
        }
        return ListPage(items: items, next: cursor)
    }

    /// - Parameter bytesMax: of the payload; the rest is left out.
    package func retained(topic: TopicName, bytesMax: Int) async throws -> RetainedMessage? {
        let retention = self.retention
        let record = try await self.node.store.read { try $0.retained(topic: topic.text) }
        guard let record, let message = retention.message(of: record) else { return nil }
        let payload = message.payload.getSlice(at: message.payload.readerIndex, length: min(bytesMax, message.payload.readableBytes))
        return RetainedMessage(
            summary: Self.summary(record.topic, message, retention.now), payload: payload ?? ByteBuffer(),
            properties: message.properties.userProperties.map { ($0.name, $0.value) })
    }

    /// Clears one; false: there was none. Clients that have it are not told: an administrator tidies up, nobody published anything.
    package func clearRetained(topic: TopicName) async throws(SkerryError) -> Bool {
        try await self.clear { context, retention, _ in (try retention.clear(topic, &context) ? 1 : 0, nil) } > 0
    }

    /// Clears all that `filter` wants, in steps that keep nobody waiting; says how many there were.
    package func clearRetained(_ filter: TopicFilter) async throws(SkerryError) -> Int {
        try await self.clear { context, retention, after in
            let records = try Self.retained(filter, after: after, context.store, limit: Self.clearMax)
            var count = 0
            for record in records {
                guard let topic = try? TopicName(record.topic), filter.matches(topic) else { continue }
                try retention.clear(topic, &context)
                count += 1
            }
            return (count, filter.hasWildcard ? records.last?.topic : nil)
        }
    }

    private typealias ClearStep = @Sendable (inout LogTransaction, Retention, String) throws -> (count: Int, next: String?)

    /// One transaction a step, until one says that there is no next.
    private func clear(_ step: @escaping ClearStep) async throws(SkerryError) -> Int {
        var (count, cursor) = (0, String?.some(""))
        while let start = cursor {
            let retention = self.retention
            let result: Result<(count: Int, next: String?), SkerryError> = await withCheckedContinuation { continuation in
                self.writes.submit(
                    LogJob(loop: nil) { context in
                        try step(&context, retention, start)
                    } completion: {
                        continuation.resume(returning: $0)
                    })
            }
            let (removed, next) = try result.get()
            count += removed
            cursor = next
        }
        return count
    }

    private static func retained(
        _ filter: TopicFilter, after: String, _ store: any StoreReading, limit: Int = MQTTBroker.readMax
    ) throws -> [RetainedRecord] {
        guard filter.hasWildcard else { return try store.retained(topic: filter.filter).map { [$0] } ?? [] }
        return try store.retained(prefix: filter.literalPrefix, after: after, limit: limit, bytes: Self.readBytesMax)
    }

    private static func summary(_ record: RetainedRecord, _ filter: TopicFilter, _ retention: Retention) -> RetainedSummary? {
        guard let topic = try? TopicName(record.topic), filter.matches(topic), let message = retention.message(of: record) else { return nil }
        return Self.summary(record.topic, message, retention.now)
    }

    private static func summary(_ topic: String, _ message: ApplicationMessage, _ now: UInt64) -> RetainedSummary {
        RetainedSummary(
            topic: topic, size: message.payload.readableBytes, qos: Int(message.qos.rawValue), contentType: message.properties.contentType,
            expiresIn: message.secondsLeft(at: now).map { Int($0) })
    }
}
