import Dispatch
import Glibc
import NIOCore
import Synchronization

/// An event loop without a thread: what it is given waits until a test runs it. So a test decides what happens when, and a simulation
/// happens the same way every time.
final class SimLoop: NIOSerialEventLoopExecutor {
    private struct State {
        var tasks: [@Sendable () -> Void] = []
        /// Set up with `scheduleTask`: they wait for `runTimers`, whatever their time.
        var timers: [@Sendable () -> Void] = []
        var owner: pthread_t?
    }

    private let state = Mutex(State())

    var inEventLoop: Bool { self.state.withLock { $0.owner == pthread_self() } }

    func execute(_ task: @escaping @Sendable () -> Void) { self.state.withLock { $0.tasks.append(task) } }

    var isIdle: Bool { self.state.withLock { $0.tasks.isEmpty } }

    /// Runs what waits, and what comes meanwhile.
    func runPending() {
        while true {
            let task = self.state.withLock { $0.tasks.isEmpty ? nil : $0.tasks.removeFirst() }
            guard let task else { return }
            self.run(task)
        }
    }

    /// Every timer that is set is due; says how many there were.
    @discardableResult
    func runTimers() -> Int {
        let count = self.state.withLock { state in
            state.tasks += state.timers
            defer { state.timers = [] }
            return state.timers.count
        }
        self.runPending()
        return count
    }

    /// Forgets what waits: the process died.
    func drop() { self.state.withLock { $0.tasks = [] } }

    /// Runs `body` as a task of the loop, at once.
    @discardableResult
    func run<Result>(_ body: () throws -> Result) rethrows -> Result {
        let before = self.state.withLock { state in
            defer { state.owner = pthread_self() }
            return state.owner
        }
        defer { self.state.withLock { $0.owner = before } }
        return try body()
    }

    /// Asked by `assumeIsolated`.
    func checkIsolated() { precondition(self.inEventLoop, "a shard was entered outside of its loop") }

    // MARK: - What shards do not use

    func submit<T>(_ task: @escaping () throws -> T) -> EventLoopFuture<T> { preconditionFailure("a SimLoop makes no futures") }
    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping () throws -> T) -> Scheduled<T> { preconditionFailure("a SimLoop has no clock") }
    func scheduleTask<T>(in: TimeAmount, _ task: @escaping () throws -> T) -> Scheduled<T> {
        let timer = Timer(task: task, promise: self.makePromise(of: T.self))
        self.state.withLock { $0.timers.append { timer.run() } }
        return Scheduled(promise: timer.promise, cancellationTask: {})
    }

    /// `@unchecked Sendable`: made and run on the loop.
    private final class Timer<T>: @unchecked Sendable {
        let task: () throws -> T
        let promise: EventLoopPromise<T>

        init(task: @escaping () throws -> T, promise: EventLoopPromise<T>) { (self.task, self.promise) = (task, promise) }

        func run() {
            do {
                let value = try self.task()
                self.promise.assumeIsolated().succeed(value)
            } catch { self.promise.fail(error) }
        }
    }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) { callback(nil) }
}
