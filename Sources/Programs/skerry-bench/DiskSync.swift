#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// How long the disk takes to say that something is on it: durable figures of two machines differ by this first of all.
enum DiskSync {
    static let tries = 101

    static func milliseconds(under directory: String) throws -> Double {
        let place = try ProcFile.makeDirectory(under: directory)
        defer { ProcFile.remove(place) }
        let descriptor = open(place + "/sync", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BenchError("\(place)/sync cannot be written") }
        defer { _ = close(descriptor) }
        let block = [UInt8](repeating: 0x61, count: 4_096)
        var times: [Double] = []
        for _ in 0..<Self.tries {
            let began = Clock.nanoseconds()
            guard write(descriptor, block, block.count) == block.count, fdatasync(descriptor) == 0 else {
                throw BenchError("\(place)/sync cannot be written")
            }
            times.append(Double(Clock.nanoseconds() - began) / 1e6)
        }
        return Statistics.median(times)
    }
}
