package import SkerryModel
package import Store
import NIOPosix
import Synchronization

/// The store on SQLite: one file, one thread that writes, a few that read beside it.
///
/// Write-ahead logging with `synchronous=FULL`: a transaction is on the disk when `StoreWriter.write` returns. Should the disk refuse the very
/// last step, the `fsync` of a commit, the transaction is reported as failed and is not seen by anybody, but may be there after the next start:
/// whoever sent it was told nothing and sends it again, and ids make that harmless.
package final class SQLiteStore: Store {
    private let directory: DataDirectory
    private let writer: SQLiteWriter
    private let writerThread: NIOThreadPool
    private let readers: ReaderPool
    private let isClosed = Mutex(false)

    /// Opens or makes `skerry.db` in `directory`, which is made if missing and belongs to this process until `close()`.
    ///
    /// - Throws: `inUse` when another process has the directory, `newer` when the file was made by a newer version, `corrupt` or `failed`.
    package convenience init(directory: String, limits: Limits, readers: Int = 2) throws(StoreError) {
        try self.init(directory: directory, limits: limits, readers: readers, migrations: Migration.all, vfs: nil)
    }

    /// - Parameter vfs: the name of a registered SQLite file system; tests put a failing disk there.
    package init(directory path: String, limits: Limits, readers: Int, migrations: [Migration], vfs: String?) throws(StoreError) {
        let directory = try DataDirectory(path)
        self.directory = directory
        let connection = try Connection(path: directory.databasePath, access: .readWrite, vfs: vfs)
        try Self.prepare(connection)
        try Migrator(connection: connection, directory: directory, migrations: migrations).migrate()
        self.writer = SQLiteWriter(connection)
        self.readers = try ReaderPool(path: directory.databasePath, count: max(1, readers), queueMax: limits.readQueueMax, vfs: vfs)
        self.writerThread = NIOThreadPool(numberOfThreads: 1)
        self.writerThread.start()
        self.readers.start()
    }

    deinit { self.close() }

    package func onWriter(_ work: @escaping @Sendable (any StoreWriter) -> Void) {
        let writer = self.writer
        self.writerThread.submit { state in
            switch state {
            case .active: work(writer)
            // Still called, so that whoever waits for the outcome hears of it.
            case .cancelled: work(ClosedWriter())
            }
        }
    }

    package func read<Value: Sendable>(
        _ work: @escaping @Sendable (any StoreReading) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) {
        self.readers.read(work, completion: completion)
    }

    package var sizeBytes: Int { self.directory.sizeBytes }

    /// Not to be called on a thread of the store.
    package func close() {
        let isFirst = self.isClosed.withLock { isClosed in
            defer { isClosed = true }
            return !isClosed
        }
        guard isFirst else { return }
        // Readers first: the last connection to leave folds the write-ahead log into the database, and only the writer may.
        self.readers.close()
        try? self.writerThread.syncShutdownGracefully()
        self.writer.close()
        self.directory.release()
    }

    /// The settings of the file and of the writing connection. `page_size` and `auto_vacuum` take effect only in an empty file.
    private static func prepare(_ connection: Connection) throws(StoreError) {
        try connection.execute("PRAGMA page_size = 4096")
        try connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        guard try connection.texts("PRAGMA journal_mode = WAL") == ["wal"] else {
            throw StoreError(.failed, "This file system cannot hold the database's write-ahead log (it needs shared memory). Choose another directory.")
        }
        try connection.execute(
            """
            PRAGMA synchronous = FULL;
            PRAGMA foreign_keys = OFF;
            PRAGMA mmap_size = 0;
            PRAGMA temp_store = MEMORY;
            PRAGMA cache_size = -\(Self.writerCacheKibibytes);
            PRAGMA wal_autocheckpoint = \(Self.checkpointPages);
            PRAGMA journal_size_limit = \(Self.walBytesKept);
            """)
    }

    private static let writerCacheKibibytes = 2_000
    /// Pages in the write-ahead log before they are folded into the database: rarer means fewer writes to a flash card for the same messages.
    private static let checkpointPages = 2_000
    /// The write-ahead log is cut back to this after a burst.
    private static let walBytesKept = 16 * 1024 * 1024
}

/// What `onWriter` gives once the store is closed.
private final class ClosedWriter: StoreWriter {
    func write(_ body: (any StoreTransaction) throws -> Void) throws { throw StoreError.closed }
}

extension StoreError {
    static var closed: StoreError { StoreError(.closed, "The store was closed.") }
}
