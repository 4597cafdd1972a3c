import Crypto
import Replication
import SkerryModel

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Why a file operation failed.
struct FileTrouble: Error, Sendable {
    let code: Int32

    init() { self.code = errno }
    init(code: Int32) { self.code = code }

    var isFull: Bool { self.code == ENOSPC || self.code == EDQUOT }
    var isAbsent: Bool { self.code == ENOENT }

    /// What a reader of the file is told.
    var refusal: SkerryError {
        if self.isFull { return SkerryError(.storageLow, "The box is out of disk space; free some and try again.") }
        return SkerryError(
            .unavailable, "The box's disk: \(String(cString: strerror(self.code))). Look at the disk and at the permissions of the data directory.")
    }
}

/// An open file. Closed with the value.
struct BlobFile: ~Copyable {
    private let descriptor: Int32

    static let blockBytes = 64 * 1024

    init(reading path: String) throws(FileTrouble) { self.descriptor = try Self.opened(path, O_RDONLY) }
    /// For its owner alone; made if it is not there.
    init(writing path: String) throws(FileTrouble) { self.descriptor = try Self.opened(path, O_WRONLY | O_CREAT) }
    init(making path: String) throws(FileTrouble) { self.descriptor = try Self.opened(path, O_WRONLY | O_CREAT | O_TRUNC) }

    deinit { close(self.descriptor) }

    private static func opened(_ path: String, _ flags: Int32) throws(FileTrouble) -> Int32 {
        let descriptor = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileTrouble() }
        return descriptor
    }

    func byteCount() throws(FileTrouble) -> Int {
        let end = lseek(self.descriptor, 0, SEEK_END)
        guard end >= 0 else { throw FileTrouble() }
        return Int(end)
    }

    /// Seconds since 1970 at which it was written or used last.
    func usedSeconds() -> Int {
        var status = stat()
        guard fstat(self.descriptor, &status) == 0 else { return 0 }
        #if canImport(Darwin)
        return status.st_mtimespec.tv_sec
        #else
        return status.st_mtim.tv_sec
        #endif
    }

    /// It is used now.
    func touch() { futimens(self.descriptor, nil) }

    func read(from offset: Int, byteCount: Int) throws(FileTrouble) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: max(0, byteCount))
        var filled = 0
        while filled < bytes.count {
            let count = bytes[filled...].withUnsafeMutableBytes { pread(self.descriptor, $0.baseAddress, $0.count, off_t(offset + filled)) }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileTrouble()
            }
            if count == 0 { break }
            filled += count
        }
        bytes.removeLast(bytes.count - filled)
        return bytes
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(FileTrouble) {
        var rest = bytes[...]
        var place = offset
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { pwrite(self.descriptor, $0.baseAddress, $0.count, off_t(place)) }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileTrouble()
            }
            guard count > 0 else { throw FileTrouble(code: ENOSPC) }
            rest = rest.dropFirst(count)
            place += count
        }
    }

    func sync() throws(FileTrouble) {
        guard fsync(self.descriptor) == 0 else { throw FileTrouble() }
    }

    /// Of all of it, block by block.
    func hash() throws(FileTrouble) -> BlobHash {
        var hash = SHA256()
        var offset = 0
        while true {
            let block = try self.read(from: offset, byteCount: Self.blockBytes)
            if block.isEmpty { return BlobHash(hash.finalize()) }
            hash.update(data: block)
            offset += block.count
        }
    }
}

/// Directories and names.
enum BlobFolder {
    /// Makes it for its owner alone, if it is not there.
    static func make(_ path: String) throws(FileTrouble) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw FileTrouble() }
    }

    static func names(in path: String) -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    static func remove(_ path: String) { unlink(path) }

    static func move(_ old: String, to new: String) throws(FileTrouble) {
        guard rename(old, new) == 0 else { throw FileTrouble() }
    }

    /// Makes new names survive a power cut. Some file systems refuse it; then there is nothing better to do.
    static func sync(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    static var nowSeconds: Int { time(nil) }
}
