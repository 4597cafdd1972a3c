package import SkerryModel

/// What time it is on a box that may have no clock of its own (FEDERATION.md §2.1): the first that applies of
///
/// 1. the system's clock, where the kernel says that NTP keeps it right,
/// 2. the median of what boxes with such a clock have said, and the time that has passed since,
/// 3. the greater of the last stamp and the system's clock, as it was at the start if it was plausible then, and the time that has passed since.
///
/// So a box without a clock stamps neither 1970 nor the future; once it learns the time it jumps, and `HybridClock` sees to it that stamps rise
/// nevertheless. Elapsed time counts while the machine sleeps too (`CLOCK_BOOTTIME`).
package struct ClockDiscipline: Sendable {
    package enum Source: String, Sendable, Hashable, CaseIterable {
        case kernel, peers, elapsed
    }

    package struct Reading: Sendable, Hashable {
        package var milliseconds: UInt64
        package var source: Source

        package init(milliseconds: UInt64, source: Source) {
            self.milliseconds = milliseconds
            self.source = source
        }
    }

    /// Peers whose clocks are remembered; at the bound the longest unheard is forgotten.
    package static let peersMax = 64
    /// What was heard longer ago than this does not count: two crystals may be half a minute apart by then.
    package static let heardMillisecondsMax: UInt64 = 24 * 60 * 60 * 1000
    /// A system clock beyond this year (2200) was never set, whatever it says.
    package static let latestMilliseconds: UInt64 = 7_258_118_400_000

    private struct Heard: Sendable {
        /// Physical less monotonic time: what the peer's clock would have shown when this machine started.
        var offset: Int64
        var monotonic: UInt64
    }

    private let earliest: UInt64
    private var heard: [BoxID: Heard] = [:]
    /// Where time went on from, and when that was.
    private var base: UInt64
    private var baseMonotonic: UInt64

    /// `earliest`: no time before it is believed, such as when this version was made.
    package init(lastStampMilliseconds: UInt64, earliestMilliseconds: UInt64, wall: UInt64, monotonic: UInt64) {
        self.earliest = earliestMilliseconds
        self.base = max(lastStampMilliseconds, earliestMilliseconds)
        self.baseMonotonic = monotonic
        if self.isPlausible(wall) { self.base = max(self.base, wall) }
    }

    private func isPlausible(_ wall: UInt64) -> Bool { wall >= self.earliest && wall <= Self.latestMilliseconds }

    /// A peer said what time it is, in a greeting or a heartbeat. Only synchronised clocks count.
    package mutating func heard(_ box: BoxID, physical: UInt64, isSynced: Bool, monotonic: UInt64) {
        guard isSynced, self.isPlausible(physical), monotonic <= UInt64(Int64.max) else {
            self.heard[box] = nil
            return
        }
        if self.heard[box] == nil, self.heard.count >= Self.peersMax, let oldest = self.heard.min(by: { Self.isOlder($0, $1) }) {
            self.heard[oldest.key] = nil
        }
        self.heard[box] = Heard(offset: Int64(physical) - Int64(monotonic), monotonic: monotonic)
    }

    private static func isOlder(_ left: (key: BoxID, value: Heard), _ right: (key: BoxID, value: Heard)) -> Bool {
        (left.value.monotonic, left.key.description) < (right.value.monotonic, right.key.description)
    }

    /// The box is no member any more.
    package mutating func forget(_ box: BoxID) { self.heard[box] = nil }

    package func read(wall: UInt64, isKernelSynced: Bool, monotonic: UInt64) -> Reading {
        if isKernelSynced, self.isPlausible(wall) { return Reading(milliseconds: wall, source: .kernel) }
        if let peers = self.peersTime(monotonic: monotonic) { return Reading(milliseconds: peers, source: .peers) }
        let elapsed = monotonic > self.baseMonotonic ? monotonic - self.baseMonotonic : 0
        return Reading(milliseconds: self.base + elapsed, source: .elapsed)
    }

    /// The median of the synchronised peers' clocks as they would show now, of two the lower; nil: nobody has said.
    package func peersTime(monotonic: UInt64) -> UInt64? {
        let fresh = self.heard.values.filter { monotonic <= $0.monotonic + Self.heardMillisecondsMax }
        guard !fresh.isEmpty, monotonic <= UInt64(Int64.max) else { return nil }
        let offsets = fresh.map(\.offset).sorted()
        return UInt64(max(0, offsets[(offsets.count - 1) / 2] + Int64(monotonic)))
    }

    /// How far a system clock that the kernel trusts is from the peers' clocks, which are trusted too: more than a little means that somebody's
    /// source of time is wrong. Nil: there is nothing to compare.
    package func disagreement(wall: UInt64, isKernelSynced: Bool, monotonic: UInt64) -> Int64? {
        guard isKernelSynced, self.isPlausible(wall), let peers = self.peersTime(monotonic: monotonic) else { return nil }
        return Int64(wall) - Int64(peers)
    }
}
