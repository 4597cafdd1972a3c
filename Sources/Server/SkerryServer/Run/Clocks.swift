import CLinux
import Replication
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

/// The time of a box that may have no clock of its own (FEDERATION.md §2.1): `ClockDiscipline`, fed with the system's clock and with what other boxes say.
///
/// So no stamp, token or link is ever made in a past from which the first synchronisation would let it expire.
package final class DisciplinedClock: Sendable {
    private let keeper = ClockKeeper()
    private let discipline: Mutex<ClockDiscipline>

    /// - Parameter last: the latest stamp this box has written.
    package init(after last: UInt64) {
        self.discipline = Mutex(
            ClockDiscipline(
                lastStampMilliseconds: last, earliestMilliseconds: SkerryVersion.earliestMilliseconds, wall: WallClock.milliseconds(),
                monotonic: WallClock.monotonic()))
    }

    /// Another box said what time it is.
    func heard(_ box: BoxID, physical: UInt64, isSynced: Bool) {
        let monotonic = WallClock.monotonic()
        self.discipline.withLock { $0.heard(box, physical: physical, isSynced: isSynced, monotonic: monotonic) }
    }

    private func milliseconds() -> UInt64 {
        let (wall, monotonic) = (WallClock.milliseconds(), WallClock.monotonic())
        let isSynced = self.keeper.isSynced(at: monotonic)
        let reading = self.discipline.withLock { $0.read(wall: wall, isKernelSynced: isSynced, monotonic: monotonic) }
        // Somebody may have set the clock by hand since the start; nobody vouches for it, but nobody knows better either.
        guard reading.source == .elapsed, wall <= ClockDiscipline.latestMilliseconds else { return reading.milliseconds }
        return max(wall, reading.milliseconds)
    }

    package var node: NodeClock {
        NodeClock(
            wall: { self.milliseconds() }, monotonic: { WallClock.monotonic() }, isSynced: { self.keeper.isSynced(at: WallClock.monotonic()) })
    }
}

extension NodeClock {
    /// The disciplined time of a box that hears of no other.
    package static func disciplined(after last: UInt64) -> NodeClock { DisciplinedClock(after: last).node }

    /// As `disciplined(after:)`, going on from what `store` holds.
    package static func disciplined(by store: any Store) async throws -> NodeClock { try await DisciplinedClock(by: store).node }
}

extension DisciplinedClock {
    convenience init(by store: any Store) async throws {
        self.init(after: try await store.read { store in try LogWriter.lastStamp(store).milliseconds })
    }
}
