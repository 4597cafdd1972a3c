import Store
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The directory that belongs to one running box: its database, the snapshots of it, and the lock that keeps a second process out.
final class DataDirectory: Sendable {
    static let databaseName = "skerry.db"
    static let lockName = "skerry.lock"
    private static let snapshotPrefix = "skerry.db.before-"

    let path: String
    /// The descriptor that holds the lock; nil once released.
    private let lock: Mutex<Int32?>

    /// Makes the directory, for the owner's eyes only, if it is missing, and takes its lock.
    ///
    /// - Throws: `inUse` when another process has it; `failed` when it cannot be made or written.
    init(_ path: String) throws(StoreError) {
        self.path = path
        try Self.make(path)
        let descriptor = open("\(path)/\(Self.lockName)", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure("The data directory is not writable") }
        // The lock is the kernel's and ends with the process, however it ends; the file stays.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let isTaken = errno == EWOULDBLOCK
            let error = isTaken ? nil : Self.failure("The data directory could not be locked")
            close(descriptor)
            throw error ?? StoreError(.inUse, "Another Skerry is running on this data directory. Stop it first.")
        }
        self.lock = Mutex(descriptor)
    }

    deinit { self.release() }

    /// Lets another process have the directory.
    func release() {
        self.lock.withLock { lock in
            if let lock { close(lock) }
            lock = nil
        }
    }

    var databasePath: String { Self.databasePath(in: self.path) }
    static func databasePath(in directory: String) -> String { "\(directory)/\(Self.databaseName)" }

    /// Bytes of the database and what belongs to it.
    var sizeBytes: Int {
        ["", "-wal", "-shm"].reduce(0) { sum, suffix in
            var status = stat()
            return stat(self.databasePath + suffix, &status) == 0 ? sum + Int(status.st_size) : sum
        }
    }

    static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0
    }

    // MARK: - Snapshots

    func snapshotPath(before number: Int, isPartial: Bool) -> String {
        let digits = String(number)
        let padded = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        return "\(self.path)/\(Self.snapshotPrefix)\(padded)\(isPartial ? ".partial" : "")"
    }

    func remove(_ file: String) throws(StoreError) {
        guard unlink(file) == 0 || errno == ENOENT else { throw Self.failure("An old snapshot could not be removed") }
    }

    /// Gives a finished file its name; after this both survive a power cut.
    func publish(_ partial: String, as name: String) throws(StoreError) {
        try Self.sync(partial)
        guard rename(partial, name) == 0 else { throw Self.failure("A snapshot could not be named") }
        try Self.sync(self.path)
    }

    /// Removes all snapshots but the `keeping` newest.
    func removeSnapshots(keeping: Int) throws(StoreError) {
        let names = self.names().filter { $0.hasPrefix(Self.snapshotPrefix) && !$0.hasSuffix(".partial") }.sorted()
        for name in names.dropLast(keeping) { try self.remove("\(self.path)/\(name)") }
    }

    private func names() -> [String] {
        guard let stream = opendir(self.path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) { String(cString: $0) }
            }
            names.append(name)
        }
        return names
    }

    // MARK: - Plumbing

    private static func make(_ path: String) throws(StoreError) {
        if Self.exists(path) { return }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex { try Self.make(String(path[..<slash])) }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw Self.failure("The data directory could not be made") }
    }

    private static func sync(_ path: String) throws(StoreError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure("A snapshot could not be opened") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw Self.failure("A snapshot could not be brought to the disk") }
    }

    private static func failure(_ doing: String) -> StoreError {
        let number = errno
        let sentence = strerror(number).map { String(cString: $0) } ?? "error \(number)"
        return StoreError(number == ENOSPC ? .full : .failed, "\(doing): \(sentence). Look at the disk, its mount and its permissions.")
    }
}
