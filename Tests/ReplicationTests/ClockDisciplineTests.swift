import Replication
import SkerryModel
import TestKit
import Testing

@Suite("What time it is on a box without a clock")
struct ClockDisciplineTests {
    private static let made: UInt64 = 1_700_000_000_000
    private static let stamp: UInt64 = 1_710_000_000_000

    private func clock(last: UInt64 = stamp, wall: UInt64 = 0, monotonic: UInt64 = 5_000) -> ClockDiscipline {
        ClockDiscipline(lastStampMilliseconds: last, earliestMilliseconds: Self.made, wall: wall, monotonic: monotonic)
    }

    @Test("A clock that NTP keeps right is the time, even before the last stamp")
    func kernel() {
        let clock = self.clock()
        #expect(clock.read(wall: Self.made + 7, isKernelSynced: true, monotonic: 6_000) == .init(milliseconds: Self.made + 7, source: .kernel))
        // Right before this version was made is not right.
        #expect(clock.read(wall: 7, isKernelSynced: true, monotonic: 6_000) == .init(milliseconds: Self.stamp + 1_000, source: .elapsed))
    }

    @Test("Else it is the median of the peers whose clocks are kept right, and the time since")
    func peers() {
        var clock = self.clock()
        let base = Self.stamp + 90_000_000
        clock.heard(Sample.box(2), physical: base, isSynced: true, monotonic: 6_000)
        #expect(clock.read(wall: 0, isKernelSynced: false, monotonic: 7_000) == .init(milliseconds: base + 1_000, source: .peers))
        clock.heard(Sample.box(3), physical: base + 50, isSynced: true, monotonic: 6_000)
        clock.heard(Sample.box(4), physical: base + 999_000_000_000, isSynced: true, monotonic: 6_000)
        #expect(clock.read(wall: 0, isKernelSynced: false, monotonic: 6_000).milliseconds == base + 50)
        // Unsynchronised ones do not count, nor does what one said before its clock was lost.
        clock.heard(Sample.box(5), physical: 1, isSynced: false, monotonic: 6_000)
        clock.heard(Sample.box(3), physical: base + 50, isSynced: false, monotonic: 6_000)
        #expect(clock.read(wall: 0, isKernelSynced: false, monotonic: 6_000).milliseconds == base)
        clock.forget(Sample.box(2))
        clock.forget(Sample.box(4))
        #expect(clock.read(wall: 0, isKernelSynced: false, monotonic: 6_000).source == .elapsed)
    }

    @Test("What was heard a day ago does not count any more")
    func old() {
        var clock = self.clock()
        clock.heard(Sample.box(2), physical: Self.stamp * 2, isSynced: true, monotonic: 6_000)
        let day = ClockDiscipline.heardMillisecondsMax
        #expect(clock.read(wall: 0, isKernelSynced: false, monotonic: 6_000 + day).source == .peers)
        #expect(clock.read(wall: 0, isKernelSynced: false, monotonic: 6_001 + day).source == .elapsed)
    }

    @Test("Else time goes on from the last stamp, or from a plausible clock that is later, and never from 1970 or from the far future")
    func elapsed() {
        func read(_ wall: UInt64) -> UInt64 { self.clock(wall: wall).read(wall: 0, isKernelSynced: false, monotonic: 5_007).milliseconds }
        #expect(read(0) == Self.stamp + 7)
        #expect(read(Self.stamp + 1_000) == Self.stamp + 1_007)
        #expect(read(Self.made + 1_000) == Self.stamp + 7)
        #expect(read(.max) == Self.stamp + 7)
        #expect(self.clock(last: 0).read(wall: 0, isKernelSynced: false, monotonic: 5_007).milliseconds == Self.made + 7)
        #expect(self.clock().read(wall: 0, isKernelSynced: false, monotonic: 1).milliseconds == Self.stamp)
    }

    @Test("A bounded number of peers is remembered; the longest unheard is forgotten")
    func bound() {
        var clock = self.clock()
        for number in 0..<UInt8(ClockDiscipline.peersMax + 1) {
            clock.heard(
                Sample.box(number), physical: Self.stamp * (number == 0 ? 1 : 2), isSynced: true, monotonic: 6_000 + UInt64(number))
        }
        for number in 1..<UInt8(ClockDiscipline.peersMax + 1) { clock.forget(Sample.box(number)) }
        #expect(clock.peersTime(monotonic: 7_000) == nil)
    }

    @Test("A clock that the kernel trusts is compared with the peers' clocks")
    func disagreement() {
        var clock = self.clock()
        #expect(clock.disagreement(wall: Self.stamp, isKernelSynced: true, monotonic: 6_000) == nil)
        clock.heard(Sample.box(2), physical: Self.stamp + 60_000, isSynced: true, monotonic: 6_000)
        #expect(clock.disagreement(wall: Self.stamp, isKernelSynced: true, monotonic: 6_000) == -60_000)
        #expect(clock.disagreement(wall: Self.stamp, isKernelSynced: false, monotonic: 6_000) == nil)
    }

    @Test("Absurd readings never stop the process", arguments: 1...20)
    func absurd(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let numbers: [UInt64] = [0, 1, Self.made, Self.stamp, ClockDiscipline.latestMilliseconds, UInt64(Int64.max), .max]
        func any() -> UInt64 { random.pick(numbers) ?? 0 }
        for _ in 0..<200 {
            var clock = self.clock(last: min(any(), 1 << 48), wall: any(), monotonic: min(any(), 1 << 60))
            for number: UInt8 in 2...4 { clock.heard(Sample.box(number), physical: any(), isSynced: true, monotonic: any()) }
            _ = clock.read(wall: any(), isKernelSynced: random.chance(50), monotonic: min(any(), 1 << 62))
            _ = clock.disagreement(wall: any(), isKernelSynced: true, monotonic: any())
        }
    }
}
