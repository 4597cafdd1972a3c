import NIOCore
import Replication
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

@Suite("What the node keeps for its federation, and how much of it")
struct ReplicaFeedTests {
    private static func recent(_ seq: Int) -> ReplicaFeed.Recent {
        ReplicaFeed.Recent(seq: UInt64(seq), message: Sample.message(seq), conversation: Sample.conversation(1), sender: Sample.user(1))
    }

    @Test("Messages wait to be replicated up to a bound; the oldest are forgotten, those of another run too")
    func recents() {
        let feed = ReplicaFeed()
        let log = Sample.log()
        let last = ReplicaFeed.recentsMax + 100
        for seq in 1...last { feed.remember(log, [Self.recent(seq)]) }
        let taken = feed.take(log, upTo: .max)
        #expect(taken.count == ReplicaFeed.recentsMax)
        #expect(taken.last == Self.recent(last))
        #expect(feed.take(log, upTo: .max).isEmpty)
        feed.remember(log, [Self.recent(1), Self.recent(2), Self.recent(3)])
        #expect(feed.take(Sample.log(epoch: 9), upTo: 3).isEmpty)
        #expect(feed.take(log, upTo: 2).map(\.seq) == [1, 2])
        feed.remember(Sample.log(epoch: 9), [Self.recent(1)])
        #expect(feed.take(log, upTo: 3).isEmpty)
    }

    @Test("So many syncs wait and no more; each is called once, by what comes in or by time")
    func waiters() {
        let feed = ReplicaFeed()
        let loop = SimLoop()
        let calls = Mutex<[Bool]>([])
        func wait(since progress: UInt64) -> Bool {
            feed.wait(since: progress, milliseconds: 10, on: loop) { isOver in calls.withLock { $0.append(isOver) } }
        }
        for _ in 0..<ReplicaFeed.waitersMax { #expect(wait(since: feed.progress)) }
        #expect(!wait(since: feed.progress))
        let before = feed.progress
        feed.advance()
        #expect(calls.withLock { $0 } == Array(repeating: false, count: ReplicaFeed.waitersMax))
        // What came in between the look and the wait is not missed.
        #expect(wait(since: before))
        #expect(calls.withLock { $0.count } == ReplicaFeed.waitersMax + 1)
        #expect(wait(since: feed.progress))
        loop.runTimers()
        #expect(calls.withLock { $0.count(where: { $0 }) } == 1)
        #expect(calls.withLock { $0.count } == ReplicaFeed.waitersMax + 2)
    }
}
