package import SkerryNode

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

enum WallClock {
    /// Milliseconds since 1970 by the system's clock; 0 before that.
    static func milliseconds() -> UInt64 { Self.read(CLOCK_REALTIME) }

    /// Milliseconds since the machine started, also while it slept: what deadlines and leases count in.
    static func monotonic() -> UInt64 {
        #if os(Linux)
        Self.read(CLOCK_BOOTTIME)
        #else
        Self.read(CLOCK_MONOTONIC)
        #endif
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        guard clock_gettime(clock, &time) == 0, time.tv_sec >= 0 else { return 0 }
        return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec / 1_000_000)
    }
}

extension NodeClock {
    package static var system: NodeClock { NodeClock(wall: { WallClock.milliseconds() }, monotonic: { WallClock.monotonic() }) }
}
