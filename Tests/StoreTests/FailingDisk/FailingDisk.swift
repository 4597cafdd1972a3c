import CSQLite
import Glibc
import Synchronization

/// A file system for SQLite that passes everything on to the system's, until the n-th write, truncation or sync fails.
///
/// There is one for the process, because SQLite's callbacks know nothing of us: tests that make it fail run one after the other.
enum FailingDisk {
    static let name = "skerry-failing"

    enum Operation: Sendable { case write, sync, any }

    /// What shall go wrong, counted from when it is armed.
    struct Plan: Sendable {
        var operation: Operation
        var number: Int
        var code: Int32
        /// A disk that failed goes on failing, as real ones do; else it fails once.
        var isLasting: Bool
    }

    private struct State {
        var plan: Plan?
        var seen = 0
        var hasFailed = false
    }

    private static let state = Mutex(State())
    /// The system's methods, by the address of our copy of them.
    private static let originals = Mutex<[UInt: UInt]>([:])

    static func arm(_ plan: Plan) { Self.state.withLock { $0 = State(plan: plan) } }

    /// Ends it, and says whether the failure came about.
    @discardableResult
    static func disarm() -> Bool {
        Self.state.withLock { state in
            defer { state = State() }
            return state.hasFailed
        }
    }

    static func register() { _ = Self.registration }

    private static let registration: Int32 = {
        guard let system = sqlite3_vfs_find(nil) else { return SQLITE_ERROR }
        let ours = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        ours.initialize(to: system.pointee)
        ours.pointee.pNext = nil
        // Both live as long as the process: SQLite keeps the pointers.
        ours.pointee.zName = UnsafePointer(strdup(Self.name))
        ours.pointee.xOpen = { _, path, file, flags, outFlags in
            guard let system = sqlite3_vfs_find(nil), let open = system.pointee.xOpen else { return SQLITE_ERROR }
            let code = open(system, path, file, flags, outFlags)
            if code == SQLITE_OK, let file { FailingDisk.wrap(file) }
            return code
        }
        return sqlite3_vfs_register(ours, 0)
    }()

    /// Puts our methods in the place of the system's.
    private static func wrap(_ file: UnsafeMutablePointer<sqlite3_file>) {
        guard let methods = file.pointee.pMethods else { return }
        let real = UInt(bitPattern: methods)
        let ours: UInt = Self.originals.withLock { originals in
            if let known = originals.first(where: { $0.value == real }) { return known.key }
            let copy = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
            copy.initialize(to: methods.pointee)
            copy.pointee.xWrite = { file, buffer, count, offset in
                if let code = FailingDisk.failure(.write) { return code }
                return FailingDisk.system(file)?.xWrite?(file, buffer, count, offset) ?? SQLITE_IOERR
            }
            copy.pointee.xTruncate = { file, size in
                if let code = FailingDisk.failure(.write) { return code }
                return FailingDisk.system(file)?.xTruncate?(file, size) ?? SQLITE_IOERR
            }
            copy.pointee.xSync = { file, flags in
                if let code = FailingDisk.failure(.sync) { return code }
                return FailingDisk.system(file)?.xSync?(file, flags) ?? SQLITE_IOERR
            }
            let key = UInt(bitPattern: copy)
            originals[key] = real
            return key
        }
        file.pointee.pMethods = UnsafePointer(bitPattern: ours)
    }

    private static func system(_ file: UnsafeMutablePointer<sqlite3_file>?) -> sqlite3_io_methods? {
        guard let methods = file?.pointee.pMethods else { return nil }
        let real = Self.originals.withLock { $0[UInt(bitPattern: methods)] }
        return real.flatMap { UnsafePointer<sqlite3_io_methods>(bitPattern: $0)?.pointee }
    }

    /// Counts an operation; the code it shall fail with, if it is its turn.
    private static func failure(_ operation: Operation) -> Int32? {
        Self.state.withLock { state in
            guard let plan = state.plan, plan.operation == .any || plan.operation == operation else { return nil }
            state.seen += 1
            guard state.seen == plan.number || (plan.isLasting && state.seen > plan.number) else { return nil }
            state.hasFailed = true
            // Only a write can find the disk full.
            return operation == .sync && plan.code & 0xFF == SQLITE_FULL ? SQLITE_IOERR : plan.code
        }
    }
}
