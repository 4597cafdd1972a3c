import Replication
import Simulator
import Testing

/// Boxes under random faults (FEDERATION.md §7). A seed that fails is printed with its last events and is the same run again:
/// `swift run -c release skerry-dev simulate --seed SEED --seeds 1 --verbose`.
@Suite("Simulated federations")
struct SimulationTests {
    static let seeds: Range<UInt64> = 1..<2_001

    @Test("Two thousand federations under faults come together: nothing lost, doubled, forged or out of order")
    func manySeeds() async {
        let failed = await BoxSimulation.runAll(Self.seeds)
        for result in failed.prefix(3) { Issue.record("\(BoxSimulation.explain(SimOptions(seed: result.seed)).report)") }
        #expect(failed.map(\.seed) == [])
    }

    @Test("Thirty-two boxes come together")
    func large() {
        var options = SimOptions(seed: 32, boxes: 32)
        options.span = 4_000
        let result = BoxSimulation.run(options)
        #expect(result.failure == nil, "\(BoxSimulation.explain(options).report)")
        #expect(result.boxes == 32)
    }

    @Test("Seeds that once found a defect of the engine pass", arguments: FoundSeeds.all)
    func found(_ seed: FoundSeeds.Seed) {
        let result = BoxSimulation.run(seed.options)
        #expect(result.failure == nil, "\(seed.found): \(BoxSimulation.explain(seed.options).report)")
    }

    @Test("A seed is the same run every time, traced or not")
    func replay() {
        for seed in UInt64(1)...40 {
            let first = BoxSimulation.run(SimOptions(seed: seed))
            let again = BoxSimulation.run(SimOptions(seed: seed))
            let traced = BoxSimulation.explain(SimOptions(seed: seed))
            #expect(first.fingerprint == again.fingerprint && first.figures == again.figures, "seed \(seed)")
            #expect(first.fingerprint == traced.fingerprint, "seed \(seed), traced")
        }
    }

    @Test("A failing seed says what does not hold and what happened before it")
    func report() throws {
        var options = SimOptions(seed: 1)
        options.mutations = .lastArrivalWins
        let failed = try #require((UInt64(1)..<200).lazy.map { self.run(options, $0) }.first { $0.failure != nil })
        options.seed = failed.seed
        let report = BoxSimulation.explain(options).report
        #expect(report.contains("seed \(failed.seed)") && report.contains("P1"))
        let lines = report.split(separator: "\n")
        #expect(lines.count > 10 && lines.count <= 1 + options.traceMax)
    }

    private func run(_ options: SimOptions, _ seed: UInt64) -> SimResult {
        var options = options
        options.seed = seed
        return BoxSimulation.run(options)
    }
}
