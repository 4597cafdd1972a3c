import CLinux
import DequeModule
import Dispatch
import Synchronization

/// The threads that hash passwords: few, because each takes 16 MiB while it works, and none while there is nothing to do.
///
/// At most `queueMax` wait; then `run` says no and the login is refused with `busy`.
final class PasswordPool: Sendable {
    private struct State {
        var waiting = Deque<@Sendable () -> Void>()
        var running = 0
    }

    private let state = Mutex(State())
    private let threads: Int
    private let queueMax: Int
    private let queue = DispatchQueue(label: "skerry.passwords", attributes: .concurrent)

    init(threads: Int, queueMax: Int) {
        self.threads = max(1, threads)
        self.queueMax = max(1, queueMax)
    }

    var waiting: Int { self.state.withLock { $0.waiting.count } }

    /// Runs `work` on a thread of the pool. False when too many wait already: it will not run.
    func run(_ work: @escaping @Sendable () -> Void) -> Bool {
        enum Answer { case start, queued, full }
        let answer: Answer = self.state.withLock { state in
            if state.running < self.threads {
                state.running += 1
                return .start
            }
            guard state.waiting.count < self.queueMax else { return .full }
            state.waiting.append(work)
            return .queued
        }
        switch answer {
        case .start: self.queue.async { self.drain(from: work) }
        case .queued: break
        case .full: return false
        }
        return true
    }

    private func drain(from first: @escaping @Sendable () -> Void) {
        var next: (@Sendable () -> Void)? = first
        while let work = next {
            work()
            next = self.state.withLock { state in
                if let work = state.waiting.popFirst() { return work }
                state.running -= 1
                return nil
            }
        }
        skerry_trim_memory()
    }
}
