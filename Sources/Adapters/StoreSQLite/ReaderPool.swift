import NIOPosix
import SkerryModel
import Store
import Synchronization

/// A few threads with a read-only connection each, and a bounded queue before them.
final class ReaderPool: Sendable {
    private struct State {
        var idle: [ReadSlot]
        var waiting = 0
    }

    private let threads: NIOThreadPool
    private let state: Mutex<State>
    private let queueMax: Int

    /// - Parameter queueMax: reads waiting or running; at the bound a read is refused with `busy`.
    init(path: String, count: Int, queueMax: Int, vfs: String?) throws(StoreError) {
        var slots: [ReadSlot] = []
        for _ in 0..<count { slots.append(ReadSlot(try Self.connect(path, vfs))) }
        self.state = Mutex(State(idle: slots))
        self.threads = NIOThreadPool(numberOfThreads: count)
        self.queueMax = queueMax
    }

    func start() { self.threads.start() }

    func read<Value: Sendable>(
        _ work: @escaping @Sendable (any StoreReading) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) {
        let isAccepted = self.state.withLock { state in
            guard state.waiting < self.queueMax else { return false }
            state.waiting += 1
            return true
        }
        guard isAccepted else {
            completion(.failure(SkerryError(.busy, "The box has more to look up than it can keep up with; try again shortly.", retryAfterSeconds: 1)))
            return
        }
        self.threads.submit { state in
            let result: Result<Value, any Error>
            switch state {
            case .active: result = self.run(work)
            case .cancelled: result = .failure(StoreError.closed)
            }
            self.state.withLock { $0.waiting -= 1 }
            completion(result)
        }
    }

    /// Waits for the running reads; the waiting ones fail with `closed`.
    func close() {
        try? self.threads.syncShutdownGracefully()
        self.state.withLock { $0.idle.removeAll() }
    }

    private func run<Value>(_ work: (any StoreReading) throws -> Value) -> Result<Value, any Error> {
        // There are as many slots as threads, so one is always idle until the pool is closed.
        guard let slot = self.state.withLock({ $0.idle.popLast() }) else { return .failure(StoreError.closed) }
        defer { self.state.withLock { $0.idle.append(slot) } }
        return Result { try slot.read(work) }
    }

    private static func connect(_ path: String, _ vfs: String?) throws(StoreError) -> Connection {
        let connection = try Connection(path: path, access: .readOnly, vfs: vfs)
        try connection.execute(
            """
            PRAGMA query_only = ON;
            PRAGMA mmap_size = 0;
            PRAGMA temp_store = MEMORY;
            PRAGMA cache_size = -\(Self.cacheKibibytes);
            """)
        return connection
    }

    private static let cacheKibibytes = 500
}

/// A reading connection.
///
/// `@unchecked Sendable`: it is either in the pool's idle list or taken out by exactly one thread.
private final class ReadSlot: @unchecked Sendable {
    private let connection: Connection
    private let reader: SQLiteReader

    init(_ connection: Connection) {
        self.connection = connection
        self.reader = SQLiteReader(connection)
    }

    /// Runs `work` in a transaction: all it sees is one state, which holds everything committed before its first look.
    func read<Value>(_ work: (any StoreReading) throws -> Value) throws -> Value {
        if !self.connection.isOutsideTransaction { try self.connection.run("ROLLBACK") }
        try self.connection.run("BEGIN DEFERRED")
        defer { try? self.connection.run("ROLLBACK") }
        return try work(self.reader)
    }
}
