import DequeModule
import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store
import Synchronization

/// Queues of durable sessions that are gone, one after the other: numbers alone, however much each holds.
struct LeavingQueues {
    private var waiting = Deque<Int32>()
    private var listed: Set<Int32> = []
    /// From the beginning: until the sessions and the members of groups are known, who was left nothing cannot be told from who is not there yet.
    private(set) var isRunning = true
    /// The disk had no room for a step: it is tried again once a second.
    var isStalled = false

    /// True: begin with `next`.
    mutating func add(_ session: Int32) -> Bool {
        if self.listed.insert(session).inserted { self.waiting.append(session) }
        if self.isRunning { return false }
        self.isRunning = true
        return true
    }

    /// From here on it may be listed anew: whoever does so has left something in it meanwhile.
    mutating func next() -> Int32? {
        guard let session = self.waiting.popFirst() else {
            self.isRunning = false
            return nil
        }
        self.listed.remove(session)
        return session
    }

    mutating func stall(_ session: Int32) {
        self.isStalled = true
        self.isRunning = false
        if self.listed.insert(session).inserted { self.waiting.prepend(session) }
    }

    mutating func goOn() -> Bool {
        guard self.isStalled, !self.isRunning else { return false }
        self.isStalled = false
        self.isRunning = !self.waiting.isEmpty
        return self.isRunning
    }
}

/// A message that a shared subscription had chosen a session for which is gone.
private struct ShareMove: Sendable {
    /// Its row.
    var seq: UInt64
    var byteCount: Int
    var message: ApplicationMessage
    var filter: TopicFilter
    /// Members that had no room.
    var tried: Set<UInt64>
}

/// Who gets such a message instead.
private enum ShareHeir: Sendable {
    /// A durable session, by its queue.
    case queue(QueueTarget)
    /// One that ends with its connection, by its home.
    case window(SharedMember)
    case nobody
}

/// The queue of a session that is gone is emptied in pages. What was its own is removed; what shared subscriptions had chosen it for goes to
/// another member: the homes of the groups choose, and one transaction writes the new rows and removes the old ones, so that no power cut leaves
/// a message in two queues or in none. At the start the queues without a session are emptied the same way.
extension MQTTBroker {
    func empty(session: Int32) {
        if self.leaving.withLock({ $0.add(session) }) { self.emptyNext() }
    }

    /// Once a second: the disk may have room again.
    func goOnEmptying() {
        if self.leaving.withLock({ $0.goOn() }) { self.emptyNext() }
    }

    private static let pageMax = 256
    private static let pageBytesMax = 256 * 1024

    func emptyNext() {
        guard let session = self.leaving.withLock({ $0.next() }) else { return }
        self.emptyPage(session, tried: [:])
    }

    private func emptyPage(_ session: Int32, tried: [UInt64: Set<UInt64>]) {
        let now = self.clock.now()
        self.node.store.read { store in
            try store.queueEntries(of: session, after: 0, limit: Self.pageMax, bytes: Self.pageBytesMax)
        } completion: { result in
            guard case .success(let rows) = result else { return self.leaving.withLock { $0.stall(session) } }
            if rows.isEmpty { return self.finishEmptying(session) }
            var moves: [ShareMove] = []
            var expired = 0
            for row in rows {
                guard let text = QueueFlags.share(row), let filter = try? TopicFilter(text), case .inline(let body) = row.body,
                    let message = MessageCodec.decode(body)
                else { continue }
                if message.isExpired(at: now) {
                    expired += 1
                    continue
                }
                moves.append(
                    ShareMove(seq: row.seq, byteCount: QueueWriter.byteCount(of: row), message: message, filter: filter, tried: tried[row.seq] ?? []))
            }
            let page = LeavingPage(session: session, rows: rows.map { ($0.seq, QueueWriter.byteCount(of: $0)) }, expired: expired)
            let found = moves
            self.chooseHeirs(found) { self.write(page, found, $0) }
        }
    }

    /// The homes of the groups choose; `done` hears of it once, on whichever loop was last.
    private func chooseHeirs(_ moves: [ShareMove], _ done: @escaping @Sendable ([ShareHeir]) -> Void) {
        var byHome: [Int: [Int]] = [:]
        for (index, move) in moves.enumerated() { byHome[self.node.home(of: move.filter.text).index, default: []].append(index) }
        if byHome.isEmpty { return done([]) }
        let gathered = HeirGathering(count: byHome.count, of: moves.count)
        for (home, indices) in byHome {
            self.node.shards[home].enter { shard in
                guard let mqtt = shard.mqtt else { return }
                let heirs = indices.map { ($0, mqtt.heir(of: moves[$0])) }
                if let all = gathered.take(heirs) { done(all) }
            }
        }
    }

    private func write(_ page: LeavingPage, _ moves: [ShareMove], _ heirs: [ShareHeir]) {
        let job = LeavingJob(page, zip(moves, heirs).map { ($0, $1) }, self.queue) { result in
            switch result {
            case .failure(let error):
                // Every row is where it was.
                if error.isOfFullDisk { self.leaving.withLock { $0.stall(page.session) } }
            case .success(let outcome):
                self.node.metrics.add(.mqttShareMoved, outcome.moved)
                self.node.metrics.add(.mqttDropped, outcome.dropped)
                for (member, move) in outcome.windows {
                    self.node.shards[member.shard].enter {
                        $0.mqtt?.hear(BrokerEvent(kind: .shared(move.message, member, move.filter, tried: move.tried)))
                    }
                }
                for stranded in outcome.stranded { self.empty(session: stranded) }
                self.emptyPage(page.session, tried: outcome.tried)
            }
        }
        self.writes.submit(job)
    }

    private func finishEmptying(_ session: Int32) {
        let queue = self.queue
        self.writes.rows(loop: nil) { store in
            try queue.emptied(session: session, store)
        } completion: { result in
            // Whoever has written a row meanwhile lists the queue anew.
            if case .failure(let error) = result, error.isOfFullDisk { return self.leaving.withLock { $0.stall(session) } }
            self.emptyNext()
        }
    }
}

extension BrokerShard {
    /// Another member of the group for a message whose own is gone.
    fileprivate func heir(of move: ShareMove) -> ShareHeir {
        guard let choice = self.groups.choose(move.message.topic, move.filter, without: move.tried),
            var delivery = Delivery(move.message, for: choice.subscription, isOwn: false)
        else { return .nobody }
        guard delivery.qos != .atMostOnce && choice.member.number != 0 else { return .window(choice.member) }
        delivery.share = choice.filter.text
        return .queue(QueueTarget(session: choice.member.number, shard: choice.member.shard, key: choice.member.key, delivery: delivery))
    }
}

/// Answers of several homes, put together.
private final class HeirGathering: Sendable {
    private let choices: Mutex<(waiting: Int, heirs: [ShareHeir])>

    init(count: Int, of moves: Int) { self.choices = Mutex((count, Array(repeating: .nobody, count: moves))) }

    /// Not nil: this was the last one.
    func take(_ heirs: [(Int, ShareHeir)]) -> [ShareHeir]? {
        self.choices.withLock { choices in
            for (index, heir) in heirs where choices.heirs.indices.contains(index) { choices.heirs[index] = heir }
            choices.waiting -= 1
            return choices.waiting == 0 ? choices.heirs : nil
        }
    }
}

/// One page of a queue that is being emptied.
private struct LeavingPage: Sendable {
    var session: Int32
    var rows: [(seq: UInt64, byteCount: Int)]
    var expired: Int
}

/// Takes a page out of a queue, and puts what others are to have into theirs.
private final class LeavingJob: CommitJob {
    struct Outcome: Sendable {
        var moved = 0
        var dropped = 0
        var windows: [(SharedMember, ShareMove)] = []
        var stranded: [Int32] = []
        /// Rows that stay because the member that was chosen had no room, and whom not to choose again.
        var tried: [UInt64: Set<UInt64>] = [:]
    }

    let loop: (any EventLoop)? = nil
    private let page: LeavingPage
    private let moves: [(move: ShareMove, heir: ShareHeir)]
    private let queue: QueueWriter
    private let completion: @Sendable (Result<Outcome, SkerryError>) -> Void
    private let outcome = Mutex(Outcome())

    init(
        _ page: LeavingPage, _ moves: [(move: ShareMove, heir: ShareHeir)], _ queue: QueueWriter,
        completion: @escaping @Sendable (Result<Outcome, SkerryError>) -> Void
    ) {
        self.page = page
        self.moves = moves
        self.queue = queue
        self.completion = completion
    }

    func run(_ transaction: any StoreTransaction, _ log: LogWriter, _ effects: inout CommitEffects) throws {
        var outcome = Outcome()
        outcome.dropped = self.page.expired
        for (move, heir) in self.moves {
            switch heir {
            case .nobody: outcome.dropped += 1
            case .window(let member):
                outcome.windows.append((member, move))
                outcome.moved += 1
            case .queue(let target):
                // Nobody's older message makes room for one that was another's.
                let appended = try self.queue.append(move.message, to: [target], .refuse, transaction)
                outcome.stranded += appended.stranded
                if appended.refused.isEmpty { outcome.moved += 1 } else { outcome.tried[move.seq] = move.tried.union([target.key]) }
                effects.events += appended.events(move.message)
            }
        }
        let gone = self.page.rows.filter { outcome.tried[$0.seq] == nil }
        try self.queue.remove(session: self.page.session, seqs: gone.map(\.seq), byteCount: gone.reduce(0) { $0 + $1.byteCount }, transaction)
        self.outcome.withLock { $0 = outcome }
    }

    func complete(_ outcome: Result<Void, SkerryError>) { self.completion(outcome.map { self.outcome.withLock { $0 } }) }
}

extension SkerryError {
    /// Whether a write failed for want of room, or because another program kept the database busy: the same write may succeed later. A disk that
    /// is broken says `unavailable` without a time.
    var isOfFullDisk: Bool { self.code == .storageLow || (self.code == .unavailable && self.retryAfterSeconds != nil) }
}
