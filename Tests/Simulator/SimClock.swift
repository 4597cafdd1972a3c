import Replication
import SkerryModel

/// What a box can read of time: a monotonic clock with a drift, and a wall clock that may be anywhere until something sets it.
struct SimClock {
    /// Parts per million that the box's crystal is off.
    var drift: Int64
    /// What the wall clock is off, milliseconds.
    var wallOffset: Int64
    /// The kernel says that the wall clock is set by somebody who knows.
    var isSynced: Bool
    private var bootedAt: UInt64
    private var bootBase: UInt64
    private var lastStamp: UInt64 = 0
    private var startedAt: UInt64 = 0
    private var heardOffset: Int64?

    init(drift: Int64, wallOffset: Int64, isSynced: Bool, bootedAt: UInt64, bootBase: UInt64) {
        self.drift = drift
        self.wallOffset = wallOffset
        self.isSynced = isSynced
        self.bootedAt = bootedAt
        self.bootBase = bootBase
    }

    mutating func boot(at now: UInt64, base: UInt64) {
        self.bootedAt = now
        self.bootBase = base
    }

    mutating func start(at now: UInt64, last: HLC) {
        self.startedAt = self.monotonic(now)
        self.lastStamp = last.milliseconds
        self.heardOffset = nil
    }

    func monotonic(_ now: UInt64) -> UInt64 {
        let elapsed = Int64(now - self.bootedAt)
        return self.bootBase + UInt64(max(0, elapsed + elapsed * self.drift / 1_000_000))
    }

    func wall(_ trueMilliseconds: UInt64) -> UInt64 { UInt64(max(0, Int64(trueMilliseconds) + self.wallOffset)) }

    mutating func heard(_ box: BoxID, physical: UInt64, isSynced: Bool, now: UInt64) {
        guard isSynced else { return }
        self.heardOffset = Int64(physical) - Int64(self.monotonic(now))
    }

    /// Wall time if it is set, else what a peer that knows said, else the last stamp and what has passed since (FEDERATION.md §2.1).
    func physical(_ now: UInt64, trueMilliseconds: UInt64, believesWall: Bool) -> UInt64 {
        if self.isSynced || believesWall { return self.wall(trueMilliseconds) }
        let monotonic = self.monotonic(now)
        if let offset = self.heardOffset { return UInt64(max(0, Int64(monotonic) + offset)) }
        return self.lastStamp + (monotonic - self.startedAt)
    }
}
