package import NIOCore
package import SkerryModel
package import Store

/// The living node without sockets: its shards, its way to the disk, and who is connected.
package final class Node: Sendable {
    package let box: BoxID
    package let shards: [Shard]
    package let store: any Store
    package let commits: CommitQueue
    package let online: OnlineRegistry
    package let limits: Limits
    package let clock: NodeClock
    package let random: NodeRandom
    package let metrics = NodeMetrics()
    package let moving = Moving()
    package let replication = ReplicaFeed()

    /// - Parameter loops: at least one; a shard is made for each.
    package init(box: BoxID, loops: [any EventLoop], store: any Store, limits: Limits, clock: NodeClock, random: NodeRandom) {
        let shards = loops.enumerated().map { Shard(loop: $0.element, index: $0.offset) }
        self.box = box
        self.shards = shards
        self.store = store
        self.limits = limits
        self.clock = clock
        self.random = random
        let online = OnlineRegistry()
        self.online = online
        let log = LogWriter(box: box, clock: clock, random: random, online: online, feed: self.replication)
        self.commits = CommitQueue(store: store, log: log, limits: limits) { events in
            Self.publish(events, to: shards)
        }
    }

    /// The shard of `loop`; the first one when the loop is none of ours.
    package func shard(on loop: any EventLoop) -> Shard { self.shards.first { $0.loop === loop } ?? self.shards[0] }

    /// The home of a name: the same shard for the same name, always (ARCHITECTURE.md §1).
    package func home(of name: some StringProtocol) -> Shard {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return self.shards[Int(hash % UInt64(self.shards.count))]
    }

    /// Returns when every shard has heard the events of all commits that were answered before.
    func heard() async {
        // Answers go out before events; the writer takes the next job when both are on their way.
        await withCheckedContinuation { continuation in
            let isQueued = self.commits.submit(loop: nil, { _ in }, completion: { (_: Result<Void, SkerryError>) in continuation.resume() })
            if !isQueued { continuation.resume() }
        }
        for shard in self.shards { await shard.passed() }
    }

    /// Tells every shard, one hop each.
    package func publish(_ events: [NodeEvent]) { Self.publish(events, to: self.shards) }

    private static func publish(_ events: [NodeEvent], to shards: [Shard]) {
        for shard in shards { shard.enter { $0.deliver(events) } }
    }
}
