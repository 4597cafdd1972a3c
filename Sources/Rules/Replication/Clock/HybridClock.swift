package import SkerryModel

/// The hybrid logical clock of one box (FEDERATION.md §2.1): stamps rise always, and follow physical time where there is any.
///
/// The physical reading is given in (`ClockDiscipline`); it may stand still, jump or be absent. After a start it goes on from the last persisted
/// stamp.
package struct HybridClock: Sendable {
    /// A remote stamp this far ahead of physical time is kept but does not pull our clock along.
    package static let aheadMillisecondsMax: UInt64 = 10 * 60 * 1000

    package private(set) var last: HLC

    package init(last: HLC = HLC(rawValue: 0)) { self.last = last }

    /// A stamp greater than all before it.
    package mutating func stamp(physicalMilliseconds: UInt64) -> HLC {
        let physical = HLC(milliseconds: min(physicalMilliseconds, (1 << 48) - 1), counter: 0)
        self.last = physical > self.last ? physical : HLC(rawValue: self.last.rawValue &+ 1)
        return self.last
    }

    /// Takes note of an entry that arrived. False: it is too far ahead and was not followed; the caller raises the alarm.
    ///
    /// The stamp is compared with physical time alone, never with what was followed before: else a row of stamps, each ten minutes further, would
    /// pull every clock along as far as it liked, and no stamp ever goes back.
    ///
    /// On a box whose own time nobody vouches for, physical time may be behind everybody else's by as long as the box was off. It then follows
    /// nobody and stamps near the last time it knew, so that what is answered there may sort before what it answers, until a peer with a
    /// synchronised clock tells it the time, which its first greeting does. That misplaces some messages for a while; to follow would let one
    /// wrong clock misplace all of them for ever.
    package mutating func observe(_ remote: HLC, physicalMilliseconds: UInt64) -> Bool {
        guard remote.milliseconds <= physicalMilliseconds + Self.aheadMillisecondsMax else { return false }
        if remote > self.last { self.last = remote }
        return true
    }
}
