package import SkerryModel

/// The hybrid logical clock of one box (FEDERATION.md §2.1): stamps rise always, and follow physical time where there is any.
///
/// The physical reading is given in; it may stand still, jump or be absent. After a start it goes on from the last persisted stamp.
package struct HybridClock: Sendable {
    /// A remote stamp this far ahead of our time is kept but does not pull our clock along.
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
    package mutating func observe(_ remote: HLC, physicalMilliseconds: UInt64) -> Bool {
        let now = max(physicalMilliseconds, self.last.milliseconds)
        guard remote.milliseconds <= now + Self.aheadMillisecondsMax else { return false }
        if remote > self.last { self.last = remote }
        return true
    }
}
