import Testing

@Suite("A simulated broker")
struct BrokerSimulationTests {
    @Test(
        "Nothing acknowledged is lost or taken twice, members that leave lose nothing, order is kept, and at the end nothing is left", .timeLimit(.minutes(20)))
    func seeds() async throws {
        let (acks, moves) = await withTaskGroup(of: (Int, Int).self) { group in
            for seed in Simulation.seeds {
                group.addTask {
                    do {
                        let outcome = try await BrokerSimulation.run(seed: seed)
                        #expect(outcome.problems.isEmpty, "SKERRY_SIM_SEED=\(seed): \(outcome.problems.prefix(5).joined(separator: "; "))")
                        return (outcome.acks, outcome.moves)
                    } catch {
                        Issue.record("SKERRY_SIM_SEED=\(seed): \(error)")
                        return (0, 0)
                    }
                }
            }
            return await group.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
        }
        // A simulation in which nothing happens proves nothing.
        #expect(acks > 20 * Simulation.seeds.count)
        #expect(Simulation.seeds.count < 10 || moves > 2 * Simulation.seeds.count)
    }
}
