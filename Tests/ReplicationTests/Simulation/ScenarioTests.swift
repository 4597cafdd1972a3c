import Replication
import Simulator
import Testing

/// What a cut costs, and what it costs when nothing happens (FEDERATION.md §2.5, §7 P6).
@Suite("Cuts and silence")
struct ScenarioTests {
    @Test("Who was away pulls what it lacks about once, with memory that does not grow with it")
    func catchUp() {
        let few = SimScenario(entries: 250).run(seed: 1)
        let many = SimScenario(entries: 1_000).run(seed: 1)
        for outcome in [few, many] {
            #expect(outcome.failure == nil)
            let (received, applied) = (outcome.figures.batchBytesReceived, outcome.figures.entryBytesApplied)
            // Nothing comes twice; what comes from another than its origin has its signature with every message.
            #expect(received <= applied * 2 + 4_096, "\(received) bytes came for \(applied)")
        }
        #expect(few.figures.entryBytesApplied > 20_000)
        // Four times as much to bring is no more than five times the work.
        #expect(many.engineSteps <= 5 * few.engineSteps)
        let limits = EngineLimits()
        for outcome in [few, many] {
            #expect(outcome.figures.heldBytesMax <= limits.pendingBytesMax)
            #expect(outcome.figures.linkBytesMax <= limits.windowBytesMax)
        }
    }

    @Test("A long absence with small windows stays within them, on both sides of the cut")
    func smallWindows() {
        var scenario = SimScenario(entries: 600)
        scenario.limits.windowBytesMax = 16_384
        scenario.limits.rangeBytesMax = 4_096
        scenario.limits.pendingBytesMax = 32_768
        scenario.limits.gapBytesTotalMax = 8_192
        let outcome = scenario.run(seed: 2)
        #expect(outcome.failure == nil)
        #expect(outcome.figures.heldBytesMax <= 32_768 + 8_192)
        #expect(outcome.figures.linkBytesMax <= 3 * 16_384)
    }

    @Test("When nothing happens nothing is written, and little is said")
    func idle() {
        let outcome = SimScenario(entries: 30).run(seed: 3)
        #expect(outcome.failure == nil)
        #expect(outcome.idleCommits == 0)
        // Three links, five minutes: digests alone are far below the 3 kB/s of a link that heartbeats share.
        #expect(outcome.idleBytes <= 3 * 300 * 50, "\(outcome.idleBytes) bytes")
        #expect(outcome.idleBytes > 0)
    }
}
