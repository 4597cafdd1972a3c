import Replication
import SkerryModel
import TestKit
import Testing

@Suite("The hybrid clock")
struct HybridClockTests {
    @Test("Stamps follow physical time, and count on where it stands still or goes back")
    func stamps() {
        var clock = HybridClock()
        #expect(clock.stamp(physicalMilliseconds: 100) == HLC(milliseconds: 100, counter: 0))
        #expect(clock.stamp(physicalMilliseconds: 100) == HLC(milliseconds: 100, counter: 1))
        #expect(clock.stamp(physicalMilliseconds: 3) == HLC(milliseconds: 100, counter: 2))
        #expect(clock.stamp(physicalMilliseconds: 0) == HLC(milliseconds: 100, counter: 3))
        #expect(clock.stamp(physicalMilliseconds: 101) == HLC(milliseconds: 101, counter: 0))
    }

    @Test("A counter that is used up goes over into the milliseconds")
    func overflow() {
        var clock = HybridClock(last: HLC(milliseconds: 5, counter: .max))
        #expect(clock.stamp(physicalMilliseconds: 5) == HLC(milliseconds: 6, counter: 0))
    }

    @Test("After a start stamps go on from the last kept one, whatever the clock says")
    func restart() {
        var clock = HybridClock(last: HLC(milliseconds: 1_000, counter: 7))
        #expect(clock.stamp(physicalMilliseconds: 0) > HLC(milliseconds: 1_000, counter: 7))
    }

    @Test("A remote stamp is followed up to ten minutes ahead, and no further")
    func observing() {
        let limit = HybridClock.aheadMillisecondsMax
        var clock = HybridClock(last: HLC(milliseconds: 50, counter: 0))
        #expect(clock.observe(HLC(milliseconds: 1_000 + limit, counter: 3), physicalMilliseconds: 1_000) == true)
        #expect(clock.last == HLC(milliseconds: 1_000 + limit, counter: 3))
        #expect(clock.stamp(physicalMilliseconds: 1_001) == HLC(milliseconds: 1_000 + limit, counter: 4))

        var other = HybridClock()
        #expect(other.observe(HLC(milliseconds: 1_001 + limit, counter: 0), physicalMilliseconds: 1_000) == false)
        #expect(other.last == HLC(rawValue: 0))
        #expect(other.observe(HLC(milliseconds: 3, counter: 0), physicalMilliseconds: 1_000) == true)
        #expect(other.last == HLC(milliseconds: 3, counter: 0))
        #expect(other.observe(HLC(milliseconds: 2, counter: 0), physicalMilliseconds: 1_000) == true)
        #expect(other.last == HLC(milliseconds: 3, counter: 0))
    }

    @Test("A row of stamps, each a little further ahead, pulls the clock no further than one of them could")
    func creeping() {
        let limit = HybridClock.aheadMillisecondsMax
        var clock = HybridClock()
        var refused = 0
        for step in 1...100 where !clock.observe(HLC(milliseconds: UInt64(step) * limit, counter: 0), physicalMilliseconds: 1_000) { refused += 1 }
        #expect(refused == 99)
        #expect(clock.last.milliseconds <= 1_000 + limit)
    }

    @Test("Every stamp is greater than all before it, under any clock", arguments: 1...20)
    func rising(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var clock = HybridClock()
        var last = clock.last
        for _ in 0..<1_000 {
            let physical = UInt64.random(in: 0...2_000, using: &random) * (random.chance(2) ? 1 << 40 : 1)
            if random.chance(20) {
                _ = clock.observe(HLC(milliseconds: UInt64.random(in: 0...4_000, using: &random), counter: 9), physicalMilliseconds: physical)
            } else {
                let stamp = clock.stamp(physicalMilliseconds: physical)
                #expect(stamp > last, "seed \(seed)")
                last = stamp
            }
            #expect(clock.last >= last)
        }
    }
}
