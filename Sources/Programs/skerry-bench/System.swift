#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A word to whoever waits, on standard error: standard output is the report's.
enum Progress {
    static func say(_ text: String) {
        let line = Array((text + "\n").utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }
}

/// The machine a figure belongs to.
enum Machine {
    static func description() -> String {
        let model = ProcFile.text("/proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("model name") || $0.hasPrefix("Model") }
            .flatMap { $0.split(separator: ":").last }.map { $0.split(separator: " ").joined(separator: " ") }
        let kernel = ProcFile.text("/proc/sys/kernel/osrelease").split(separator: "\n").first.map(String.init)
        return "\(model ?? "unknown processor"), \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) cores, Linux \(kernel ?? "?")"
    }

    /// Thousands of connections need as many descriptors, here and in what is started from here.
    static func raiseOpenFiles() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

enum Clock {
    /// Nanoseconds that only grow.
    static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Nanoseconds of processor time of this thread: what others do to the machine is not in it.
    static func threadNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    static func sleep(milliseconds: Int) { usleep(UInt32(milliseconds) * 1_000) }
}

/// Small files, read whole.
enum ProcFile {
    static func bytes(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count <= 0 { return count == 0 ? result : nil }
            result += chunk[..<count]
        }
    }

    static func text(_ path: String) -> String { String(decoding: Self.bytes(path) ?? [], as: UTF8.self) }

    static var ownPID: Int32 { getpid() }
    static var isAdministrator: Bool { geteuid() == 0 }
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }

    static func put(_ text: String, at path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BenchError("\(path) cannot be written") }
        defer { _ = close(descriptor) }
        let bytes = Array(text.utf8)
        guard write(descriptor, bytes, bytes.count) == bytes.count else { throw BenchError("\(path) cannot be written") }
    }

    /// A new directory under `parent`.
    static func makeDirectory(under parent: String) throws -> String {
        var template = Array("\(parent)/skerry-bench-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { throw BenchError("no directory can be made under \(parent)") }
        return String(cString: path)
    }

    /// Removes a directory with all that is in it.
    static func remove(_ path: String) {
        guard let directory = opendir(path) else {
            unlink(path)
            return
        }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
            if name == "." || name == ".." { continue }
            if entry.pointee.d_type == UInt8(DT_DIR) { Self.remove("\(path)/\(name)") } else { unlink("\(path)/\(name)") }
        }
        closedir(directory)
        rmdir(path)
    }
}
