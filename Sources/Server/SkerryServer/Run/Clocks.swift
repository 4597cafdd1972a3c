import CLinux
import SkerryModel
package import SkerryNode
package import Store
import Synchronization

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

/// What the kernel says of the clock, asked at most once a second.
private final class ClockKeeper: Sendable {
    private let isSynced = Atomic(false)
    private let askAgain = Atomic<UInt64>(0)

    func isSynced(at monotonic: UInt64) -> Bool {
        if monotonic >= self.askAgain.load(ordering: .relaxed) {
            self.askAgain.store(monotonic + 1_000, ordering: .relaxed)
            self.isSynced.store(skerry_clock_synced() == 1, ordering: .relaxed)
        }
        return self.isSynced.load(ordering: .relaxed)
    }
}

extension NodeClock {
    /// The time of a box that may have no clock of its own (FEDERATION.md §2.1).
    ///
    /// Where the kernel says that its clock is kept right, that is the time. Else a clock that was never set may say 1970: then time goes on from
    /// `last`, the latest stamp this box has written, or from the making of this version, by as much as has passed since the start. So no
    /// stamp, token or link is ever made in a past from which the first synchronisation would let it expire.
    package static func disciplined(after last: UInt64) -> NodeClock {
        let (floor, start) = (max(last, SkerryVersion.earliestMilliseconds), WallClock.monotonic())
        let keeper = ClockKeeper()
        return NodeClock(
            wall: {
                let (now, passed) = (WallClock.milliseconds(), WallClock.monotonic())
                return keeper.isSynced(at: passed) ? now : max(now, floor + (passed - start))
            }, monotonic: { WallClock.monotonic() }, isSynced: { keeper.isSynced(at: WallClock.monotonic()) })
    }

    /// As `disciplined(after:)`, going on from what `store` holds.
    package static func disciplined(by store: any Store) async throws -> NodeClock {
        .disciplined(after: try await store.read { store in try LogWriter.lastStamp(store).milliseconds })
    }
}
