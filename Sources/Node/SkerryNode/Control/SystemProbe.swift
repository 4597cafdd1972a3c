import CLinux

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What the operating system says about this process and its disk; passed in, so that a test can say something else.
package struct SystemProbe: Sendable {
    /// Bytes of memory the process holds; nil when the system does not say.
    package var residentBytes: @Sendable () -> Int?
    /// Bytes free for us, and in total, on the disk of the data directory.
    package var disk: @Sendable () -> (freeBytes: Int, totalBytes: Int)?
    /// Whether something keeps the clock right; nil when the system does not say.
    package var clockIsSynced: @Sendable () -> Bool?

    package init(
        residentBytes: @escaping @Sendable () -> Int?, disk: @escaping @Sendable () -> (freeBytes: Int, totalBytes: Int)?,
        clockIsSynced: @escaping @Sendable () -> Bool?
    ) {
        self.residentBytes = residentBytes
        self.disk = disk
        self.clockIsSynced = clockIsSynced
    }

    /// The machine this runs on.
    package static func system(dataDirectory: String) -> SystemProbe {
        SystemProbe(
            residentBytes: Self.resident,
            disk: { Self.disk(at: dataDirectory) },
            clockIsSynced: {
                switch skerry_clock_synced() {
                case 0: false
                case 1: true
                default: nil
                }
            })
    }

    /// The second number of `/proc/self/statm`, in pages.
    static func resident() -> Int? {
        guard let file = fopen("/proc/self/statm", "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, Int32(line.count), file) != nil else { return nil }
        let fields = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }.split(separator: UInt8(ascii: " "))
        guard fields.count > 1, let pages = Int(String(decoding: fields[1], as: UTF8.self)) else { return nil }
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    private static func disk(at path: String) -> (freeBytes: Int, totalBytes: Int)? {
        var state = statvfs()
        guard statvfs(path, &state) == 0 else { return nil }
        let block = UInt64(state.f_frsize)
        return (Self.bytes(UInt64(state.f_bavail), block), Self.bytes(UInt64(state.f_blocks), block))
    }

    private static func bytes(_ blocks: UInt64, _ size: UInt64) -> Int {
        let (product, overflow) = blocks.multipliedReportingOverflow(by: size)
        return overflow ? .max : Int(clamping: product)
    }
}
