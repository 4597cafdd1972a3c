import NIOCore
package import SkerryModel
import Store

/// Questions of administrators to all shards.
///
/// Lists are by client id, byte by byte. Every shard gives its part from the cursor on; what lies behind the first shard that has not got to
/// the end is left for the next page, so that nothing is left out and nothing comes twice. A page may hold less than was asked for, even
/// nothing, and still have a next one: it tells how far the search has got.
extension MQTTBroker {
    /// Rounds over the shards before a page that is not full is given out as it is.
    private static let roundsMax = 64

    package func clients(_ query: ClientQuery, after: String?, limit: Int) async throws -> ListPage<ClientSummary> {
        var page = await self.page(after: after, limit: limit) { shard, after, limit in shard.clients(query, after: after, limit: limit) }
        try await self.addQueues(&page.items)
        return page
    }

    package func subscribers(_ topic: TopicName, after: String?, limit: Int) async -> ListPage<ClientSubscriptionSummary> {
        await self.page(after: after, limit: limit) { shard, after, limit in shard.subscribers(topic, after: after, limit: limit) }
    }

    package func client(_ id: String) async throws -> ClientSummary? {
        guard let found = await self.node.home(of: id).broker({ $0.client(id) }).flatMap({ $0 }) else { return nil }
        var items = [found]
        try await self.addQueues(&items)
        return items.first
    }

    package func subscriptions(of id: String, after: String?, limit: Int) async -> ListPage<ClientSubscriptionSummary>? {
        await self.node.home(of: id).broker { $0.subscriptions(of: id, after: after, limit: limit) }.flatMap { $0 }
    }

    /// - Parameter removes: the session and everything it is owed goes with the connection.
    package func kick(_ id: String, removes: Bool) async -> Bool {
        await self.node.home(of: id).broker { $0.kick(id, removes: removes) } ?? false
    }

    private func page<Item: Sendable>(
        after: String?, limit: Int, _ ask: @escaping @Sendable (BrokerShard, String?, Int) -> ShardPage<Item>
    ) async -> ListPage<Item> {
        var items: [(key: String, item: Item)] = []
        var cursor = after
        for _ in 0..<Self.roundsMax {
            var found: [(key: String, item: Item)] = []
            var through: String?
            let (start, wanted) = (cursor, limit - items.count)
            for shard in self.node.shards {
                guard let part = await shard.broker({ ask($0, start, wanted) }) else { continue }
                found += part.items
                if let end = part.through, through.map({ SessionIndex.isLess(end, $0) }) ?? true { through = end }
            }
            found.sort { SessionIndex.isLess($0.key, $1.key) }
            if let through { found.removeAll { SessionIndex.isLess(through, $0.key) } }
            if found.count > wanted, let last = found[..<wanted].last?.key {
                // All items of one client stand on one page, so that the next one can begin behind it.
                let end = found[wanted...].firstIndex { $0.key != last } ?? found.count
                items += found[..<end]
                cursor = end < found.count || through != nil ? last : nil
            } else {
                items += found
                cursor = through
            }
            if cursor == nil || items.count >= limit { break }
        }
        return ListPage(items: items.map(\.item), next: cursor)
    }

    /// What waits on the disk for durable sessions: from the two ends of each queue, so holes count as messages.
    private func addQueues(_ clients: inout [ClientSummary]) async throws {
        let numbers = clients.map(\.number)
        guard numbers.contains(where: { $0 != 0 }) else { return }
        let depths = try await self.node.store.read { store in
            try numbers.map { number -> (count: Int, bytes: Int)? in
                guard number != 0, let bounds = try store.queueBounds(of: number) else { return nil }
                // The difference of two sums leaves out the first row's own bytes.
                let first = try store.queueEntries(of: number, after: bounds.first - 1, limit: 1, bytes: 0).first?.body
                let own = if case .inline(let body)? = first { body.readableBytes } else { 0 }
                return (Int(clamping: bounds.last - bounds.first + 1), Int(clamping: bounds.lastByteSum - bounds.firstByteSum) + own)
            }
        }
        for (index, depth) in depths.enumerated() {
            guard let depth else { continue }
            clients[index].queuedMessages = depth.count
            clients[index].queuedBytes = depth.bytes
        }
    }

    /// A moment of the broker's clock as a wall clock shows it now.
    func wall(_ moment: UInt64) -> UInt64 {
        let age = self.clock.now() - min(moment, self.clock.now())
        let now = self.node.clock.wall()
        return now - min(age, now)
    }
}

extension Shard {
    /// Asks the broker's part of the shard; nil when it runs no more.
    nonisolated func broker<Value: Sendable>(_ ask: @escaping @Sendable (BrokerShard) -> Value) async -> Value? {
        await withCheckedContinuation { continuation in
            self.enter { shard in
                guard let mqtt = shard.mqtt else { return continuation.resume(returning: nil) }
                mqtt.perform { continuation.resume(returning: ask(mqtt)) }
            }
        }
    }
}
