import NIOCore
import SkerryModel
import Store
import Synchronization

/// One unit of work for the writer: run once inside a group's transaction, completed once after it.
protocol CommitJob: AnyObject, Sendable {
    var loop: (any EventLoop)? { get }
    func run(_ transaction: any StoreTransaction, _ log: LogWriter, _ effects: inout CommitEffects) throws
    func complete(_ outcome: Result<Void, SkerryError>)
}

/// Takes part in every group, on the writer's thread.
protocol CommitTap: AnyObject, Sendable {
    /// The group's jobs have run and leave these events; what is written here is in their transaction. Returns further events.
    func finish(_ events: [NodeEvent], _ store: any StoreTransaction) throws -> [NodeEvent]
    /// The group is on the disk.
    func committed()
    /// The group failed, and nothing of it is there.
    func failed()
    /// Whether what happens to the user is to be told although nobody of theirs is connected: somebody keeps it for them.
    func awaits(_ user: UserID) -> Bool
}

/// A job that writes rows and appends nothing to the log.
final class RowJob: CommitJob {
    let loop: (any EventLoop)?
    private let work: @Sendable (any StoreTransaction) throws -> Void
    private let completion: @Sendable (Result<Void, SkerryError>) -> Void

    init(
        loop: (any EventLoop)?, work: @escaping @Sendable (any StoreTransaction) throws -> Void,
        completion: @escaping @Sendable (Result<Void, SkerryError>) -> Void
    ) {
        self.loop = loop
        self.work = work
        self.completion = completion
    }

    func run(_ transaction: any StoreTransaction, _ log: LogWriter, _ effects: inout CommitEffects) throws { try self.work(transaction) }
    func complete(_ outcome: Result<Void, SkerryError>) { self.completion(outcome) }
}

/// A job that appends to the log and has an answer.
final class LogJob<Value: Sendable>: CommitJob {
    let loop: (any EventLoop)?
    private let work: @Sendable (inout LogTransaction) throws -> Value
    private let completion: @Sendable (Result<Value, SkerryError>) -> Void
    /// Written on the writer's thread, read where the job is completed; the hand-over orders the two.
    private let value = Mutex<Value?>(nil)

    init(
        loop: (any EventLoop)?, work: @escaping @Sendable (inout LogTransaction) throws -> Value,
        completion: @escaping @Sendable (Result<Value, SkerryError>) -> Void
    ) {
        self.loop = loop
        self.work = work
        self.completion = completion
    }

    func run(_ transaction: any StoreTransaction, _ log: LogWriter, _ effects: inout CommitEffects) throws {
        var context = LogTransaction(store: transaction, log: log)
        let value = try self.work(&context)
        effects.events.append(contentsOf: context.events)
        self.value.withLock { $0 = value }
    }

    func complete(_ outcome: Result<Void, SkerryError>) {
        switch outcome {
        case .failure(let error): self.completion(.failure(error))
        case .success:
            guard let value = self.value.withLock({ $0 }) else {
                self.completion(.failure(SkerryError(.unavailable, "The box lost the answer to this request.")))
                return
            }
            self.completion(.success(value))
        }
    }
}
