/// Why the store could not do it. Never holds values of rows.
package struct StoreError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Reason: Sendable, Hashable {
        /// The disk is full or its reserve is reached.
        case full
        /// The file is damaged; `skerry check` says more.
        case corrupt
        /// Made by a newer version of Skerry.
        case newer
        /// Another process has it open.
        case inUse
        /// The disk or the system refused.
        case failed
        /// The store was closed.
        case closed
        /// A row contradicts one that is there: a promise inside Skerry was broken.
        case constraint
    }

    package let reason: Reason
    package let detail: String

    package init(_ reason: Reason, _ detail: String) {
        self.reason = reason
        self.detail = detail
    }

    package var description: String { self.detail }
}

/// What must survive a power cut.
///
/// One writer, in order; several readers beside it, each seeing a state between two transactions. What a `write` did is on the disk
/// (`synchronous=FULL`) when it returns, or none of it is.
package protocol Store: Sendable {
    /// Runs `work` on the writer's thread, after everything given before. `work` makes its transactions by `StoreWriter.write`.
    func onWriter(_ work: @escaping @Sendable (any StoreWriter) -> Void)

    /// Runs `work` on a reader's thread, on one consistent state that holds all that was committed before the call.
    ///
    /// `completion` is called on that thread. With too many waiting it is called at once with the error `busy`.
    func read<Value: Sendable>(
        _ work: @escaping @Sendable (any StoreReading) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void)

    /// Bytes the store takes on disk.
    var sizeBytes: Int { get }

    /// Waits for the running transaction and closes. Later calls fail with `closed`.
    func close()
}

extension Store {
    /// As `read(_:completion:)`, for async callers.
    package func read<Value: Sendable>(_ work: @escaping @Sendable (any StoreReading) throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            self.read(work) { continuation.resume(with: $0) }
        }
    }
}

/// The writer's side, only to be used on the thread that `onWriter` gives it on.
package protocol StoreWriter: AnyObject {
    /// One transaction: all of `body`'s writes are on the disk when this returns; none of them if it throws.
    func write(_ body: (any StoreTransaction) throws -> Void) throws
}

/// What may be read, in a transaction or beside it.
package protocol StoreReading: AnyObject, LogReading, FederationReading, AccountReading, ChatReading, BrokerReading {}

/// What may be written, in one transaction.
package protocol StoreTransaction: StoreReading, LogWriting, FederationWriting, AccountWriting, ChatWriting, BrokerWriting {
    /// Whether a row was changed so far: what is written now and then only goes along with something else, or an idle box would wear out its disk.
    var hasChanges: Bool { get }
}

extension StoreTransaction {
    package var hasChanges: Bool { true }
}
