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
    /// It says so, and is wrong: somebody's source of time lies.
    var isWrong = false
    private var bootedAt: UInt64
    private var bootBase: UInt64
    private var discipline: ClockDiscipline

    /// No time before is believed.
    static let earliestMilliseconds = SimWorld.epochMilliseconds - 30 * 86_400_000

    init(drift: Int64, wallOffset: Int64, isSynced: Bool, bootedAt: UInt64, bootBase: UInt64) {
        self.drift = drift
        self.wallOffset = wallOffset
        self.isSynced = isSynced
        self.bootedAt = bootedAt
        self.bootBase = bootBase
        self.discipline = ClockDiscipline(lastStampMilliseconds: 0, earliestMilliseconds: Self.earliestMilliseconds, wall: 0, monotonic: bootBase)
    }

    mutating func boot(at now: UInt64, base: UInt64) {
        self.bootedAt = now
        self.bootBase = base
    }

    mutating func start(at now: UInt64, last: HLC, trueMilliseconds: UInt64) {
        self.discipline = ClockDiscipline(
            lastStampMilliseconds: last.milliseconds, earliestMilliseconds: Self.earliestMilliseconds, wall: self.wall(trueMilliseconds),
            monotonic: self.monotonic(now))
    }

    func monotonic(_ now: UInt64) -> UInt64 {
        let elapsed = Int64(now - self.bootedAt)
        return self.bootBase + UInt64(max(0, elapsed + elapsed * self.drift / 1_000_000))
    }

    private func wall(_ trueMilliseconds: UInt64) -> UInt64 { UInt64(max(0, Int64(trueMilliseconds) + self.wallOffset)) }

    mutating func heard(_ box: BoxID, physical: UInt64, isSynced: Bool, now: UInt64) {
        self.discipline.heard(box, physical: physical, isSynced: isSynced, monotonic: self.monotonic(now))
    }

    /// The box's own rule (`ClockDiscipline`), or the bare wall clock.
    func physical(_ now: UInt64, trueMilliseconds: UInt64, believesWall: Bool) -> UInt64 {
        let wall = self.wall(trueMilliseconds)
        if believesWall { return wall }
        return self.discipline.read(wall: wall, isKernelSynced: self.isSynced, monotonic: self.monotonic(now)).milliseconds
    }
}
