import Replication
import SkerryModel
import Synchronization

/// What goes over between the callers' threads and the bridge's for one dialled link: messages to send, and what was received and not taken.
final class BridgePort: Sendable {
    private struct State {
        /// Nil while there is no link: then nothing is kept.
        var outbox: LinkOutbox?
        /// Bytes that were dropped for want of room and not told of.
        var droppedBytes = 0
        var dropped = 0
        var untakenMessages = 0
        var untakenBytes = 0
        /// Which link; what is taken of an earlier one counts for nothing.
        var generation: UInt64 = 0
    }

    /// What the bridge's thread finds.
    struct Work {
        var messages: [LinkMessage] = []
        var bytes = 0
        var droppedBytes = 0
        var dropped = 0
    }

    private let limits: LinkLimits
    private let wake: @Sendable () -> Void
    private let state = Mutex(State())

    init(limits: LinkLimits, wake: @escaping @Sendable () -> Void) {
        self.limits = limits
        self.wake = wake
    }

    func open() {
        self.state.withLock { state in
            state = State(outbox: LinkOutbox(limits: self.limits), generation: state.generation + 1)
        }
    }

    func close() { self.state.withLock { $0 = State(generation: $0.generation + 1) } }

    // MARK: - Out

    func send(_ message: LinkMessage) {
        let isNews = self.state.withLock { state in
            switch state.outbox?.add(message) {
            case nil: return false
            case .kept: break
            case .dropped:
                state.dropped += 1
                state.droppedBytes += message.payload.count
            }
            return true
        }
        if isNews { self.wake() }
    }

    /// What may go now, at most so many bytes so that others have their turn.
    func work(bytesMax: Int) -> Work {
        self.state.withLock { state in
            var work = Work(droppedBytes: state.droppedBytes, dropped: state.dropped)
            state.droppedBytes = 0
            state.dropped = 0
            while work.bytes < bytesMax, let message = state.outbox?.next() {
                work.bytes += message.payload.count
                work.messages.append(message)
            }
            return work
        }
    }

    func done(_ bytes: Int, qos: UInt8) { self.state.withLock { $0.outbox?.done(bytes, qos: qos) } }

    // MARK: - In

    /// A message was received; gives what is to be called when it was taken.
    func received(_ bytes: Int) -> @Sendable () -> Void {
        let generation = self.state.withLock { state in
            state.untakenMessages += 1
            state.untakenBytes += bytes
            return state.generation
        }
        let isTaken = Once()
        return { [weak self] in if isTaken.isFirst { self?.taken(bytes, generation) } }
    }

    private func taken(_ bytes: Int, _ generation: UInt64) {
        let isRoomNew = self.state.withLock { state in
            guard state.generation == generation else { return false }
            let wasFull = self.isFull(state)
            state.untakenMessages -= 1
            state.untakenBytes -= bytes
            return wasFull && !self.isFull(state)
        }
        if isRoomNew { self.wake() }
    }

    private func isFull(_ state: borrowing State) -> Bool {
        state.untakenMessages >= self.limits.untakenMessagesMax || state.untakenBytes >= self.limits.untakenBytesMax
    }

    /// Whether so much waits to be taken that nothing more is to be read.
    var isFull: Bool { self.state.withLock { self.isFull($0) } }
}

/// True once.
final class Once: Sendable {
    private let isDone = Atomic<Bool>(false)
    var isFirst: Bool { !self.isDone.exchange(true, ordering: .relaxed) }
}
