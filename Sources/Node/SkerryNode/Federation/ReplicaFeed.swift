package import NIOCore
package import SkerryModel
package import Store
import DequeModule
import Replication
import Synchronization

/// Where the node and its federation meet: who hears of commits, who judges member rows, how far others hold what this box wrote.
///
/// A box without a federation has one too, and nobody listens: nothing is gathered then.
package final class ReplicaFeed: Sendable {
    /// A message of this box whose sender may be waiting to hear that others hold it.
    package struct Recent: Sendable, Hashable {
        package var seq: UInt64
        package var message: MessageID
        package var conversation: ConversationID
        package var sender: UserID

        package init(seq: UInt64, message: MessageID, conversation: ConversationID, sender: UserID) {
            self.seq = seq
            self.message = message
            self.conversation = conversation
            self.sender = sender
        }
    }

    private struct State {
        var listener: (any ReplicationListener)?
        var memberCheck: (@Sendable (MemberEntry) -> Bool)?
        var endings: (@Sendable ([Ending]) -> Void)?
        /// Of one epoch, by rising sequence.
        var recents = Deque<Recent>()
        var recentLog: LogEpoch?
        /// Rises whenever entries of other boxes have come in.
        var progress: UInt64 = 0
        var waiters: [UInt64: @Sendable (Bool) -> Void] = [:]
        var nextWaiter: UInt64 = 0
        /// What was waited for in vain, and until when nobody waits for it again: a cursor may have seen what no box has any more.
        var missed: [LogEpoch: UInt64] = [:]
    }

    /// Messages that are remembered until others hold them. Beyond, the oldest are forgotten: their senders see it when they look again.
    package static let recentsMax = 8_192
    /// Syncs that wait for entries on their way; one more is answered with what is here.
    package static let waitersMax = 256
    static let waitMilliseconds: UInt64 = 2_000
    /// How long what did not come is not waited for again, and of how many epochs that is remembered.
    static let missedMilliseconds: UInt64 = 30_000
    static let missedMax = 1_024

    package let held = HeldElsewhere()
    private let state = Mutex(State())

    package init() {}

    func listen(_ listener: (any ReplicationListener)?) {
        self.state.withLock { state in
            state.listener = listener
            if listener == nil { state.recents.removeAll() }
        }
    }

    var listener: (any ReplicationListener)? { self.state.withLock { $0.listener } }

    func checkMembers(_ check: (@Sendable (MemberEntry) -> Bool)?) { self.state.withLock { $0.memberCheck = check } }

    /// Whether a member row of another box may be taken; without a federation none is.
    func isMember(_ entry: MemberEntry) -> Bool { self.state.withLock { $0.memberCheck }?(entry) ?? false }

    /// `body` hears what entries of other boxes ended, right after their commit and before any shard does.
    func whenEnded(_ body: @escaping @Sendable ([Ending]) -> Void) { self.state.withLock { $0.endings = body } }

    func ended(_ endings: [Ending]) {
        if endings.isEmpty { return }
        self.state.withLock { $0.endings }?(endings)
    }

    // MARK: - Waiting for what is on its way

    package var progress: UInt64 { self.state.withLock { $0.progress } }

    /// Entries of other boxes are on the disk.
    package func advance() {
        let waiters = self.state.withLock { state in
            state.progress += 1
            defer { state.waiters.removeAll() }
            return state.waiters.values
        }
        for waiter in waiters { waiter(false) }
    }

    func isWorthWaiting(for lag: SyncReader.Lag, now: UInt64) -> Bool {
        guard case .ahead(let ahead) = lag else { return lag == .unknown }
        return self.state.withLock { state in ahead.keys.contains { log in state.missed[log].map { $0 <= now } ?? true } }
    }

    func didNotCome(_ lag: SyncReader.Lag, now: UInt64) {
        guard case .ahead(let ahead) = lag else { return }
        self.state.withLock { state in
            if state.missed.count >= Self.missedMax { state.missed = state.missed.filter { $0.value > now } }
            if state.missed.count >= Self.missedMax { state.missed.removeAll() }
            for log in ahead.keys.prefix(Self.missedMax) { state.missed[log] = now + Self.missedMilliseconds }
        }
    }

    /// Calls `body` once: with false when entries came in after `progress`, with true when none did in time. False: too many wait.
    package func wait(since progress: UInt64, milliseconds: UInt64, on loop: any EventLoop, _ body: @escaping @Sendable (Bool) -> Void) -> Bool {
        enum Answer { case waiting(UInt64), now, full }
        let answer: Answer = self.state.withLock { state in
            if state.progress != progress { return .now }
            guard state.waiters.count < Self.waitersMax else { return .full }
            state.nextWaiter += 1
            state.waiters[state.nextWaiter] = body
            return .waiting(state.nextWaiter)
        }
        switch answer {
        case .full: return false
        case .now: body(false)
        case .waiting(let number):
            loop.scheduleTask(in: .milliseconds(Int64(milliseconds))) {
                self.state.withLock { $0.waiters.removeValue(forKey: number) }?(true)
            }
        }
        return true
    }

    // MARK: - Messages that others do not hold yet

    package func remember(_ log: LogEpoch, _ recents: [Recent]) {
        if recents.isEmpty { return }
        self.state.withLock { state in
            if state.recentLog != log {
                state.recentLog = log
                state.recents.removeAll()
            }
            state.recents.append(contentsOf: recents)
            if state.recents.count > Self.recentsMax { state.recents.removeFirst(state.recents.count - Self.recentsMax) }
        }
    }

    /// The remembered messages of `log` up to `seq`, which are forgotten.
    package func take(_ log: LogEpoch, upTo seq: UInt64) -> [Recent] {
        self.state.withLock { state in
            guard state.recentLog == log else { return [] }
            let taken = Array(state.recents.prefix { $0.seq <= seq })
            state.recents.removeFirst(taken.count)
            return taken
        }
    }
}

/// Which entries other boxes hold too: all that they wrote, and of what this box wrote as much as they have said.
package final class HeldElsewhere: Sendable {
    private struct State {
        var isActive = false
        /// This box's own epochs, by their local numbers.
        var own: [Int32: UInt64] = [:]
        var numbers: [LogEpoch: Int32] = [:]
        var unwritten = Set<Int32>()
    }

    private let state = Mutex(State())

    /// Nothing is called replicated before: a lone box does not know of others.
    func activate() { self.state.withLock { $0.isActive = true } }

    /// An epoch of this box's own, held elsewhere up to `seq`.
    func add(_ log: LogEpoch, number: Int32, upTo seq: UInt64) {
        self.state.withLock { state in
            state.numbers[log] = number
            state.own[number] = max(state.own[number] ?? 0, seq)
        }
    }

    /// The epoch is not there after all; its number may be given to another one.
    func remove(_ log: LogEpoch) {
        self.state.withLock { state in
            guard let number = state.numbers.removeValue(forKey: log) else { return }
            state.own[number] = nil
            state.unwritten.remove(number)
        }
    }

    /// False: that is nothing new.
    func raise(_ log: LogEpoch, upTo seq: UInt64) -> Bool {
        self.state.withLock { state in
            guard let number = state.numbers[log], let before = state.own[number], seq > before else { return false }
            state.own[number] = seq
            state.unwritten.insert(number)
            return true
        }
    }

    package func contains(_ position: LocalPosition) -> Bool {
        self.state.withLock { state in
            guard state.isActive else { return false }
            guard let seq = state.own[position.epoch] else { return true }
            return position.seq <= seq
        }
    }

    /// Whether what a control entry of this order replaced may go: as long as nobody else has the entry, its loss must not take both.
    func coversControl(_ order: Order, box: BoxID) -> Bool {
        self.state.withLock { state in
            guard state.isActive, order.origin == box else { return true }
            let number = state.numbers[LogEpoch(origin: box, stream: .control, epoch: order.epoch)]
            return number.flatMap { state.own[$0] }.map { order.seq <= $0 } ?? false
        }
    }

    /// What is to be written down, once.
    func takeUnwritten() -> [(number: Int32, seq: UInt64)] {
        self.state.withLock { state in
            defer { state.unwritten.removeAll() }
            return state.unwritten.compactMap { number in state.own[number].map { (number, $0) } }
        }
    }
}
