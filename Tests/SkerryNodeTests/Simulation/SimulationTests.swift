import Testing

@Suite("A simulated box")
struct SimulationTests {
    @Test("Nothing acknowledged is lost, nothing is shown twice or to the wrong people, and everybody ends with the same picture", .timeLimit(.minutes(10)))
    func seeds() async throws {
        let (acks, crashes) = await withTaskGroup(of: (Int, Int).self) { group in
            for seed in Simulation.seeds {
                group.addTask {
                    var simulation = Simulation(seed: seed)
                    do {
                        let problems = try simulation.run()
                        #expect(problems.isEmpty, "SKERRY_SIM_SEED=\(seed): \(problems.prefix(5).joined(separator: "; "))")
                    } catch {
                        Issue.record("SKERRY_SIM_SEED=\(seed): \(error)")
                    }
                    return (simulation.acks, simulation.crashes)
                }
            }
            return await group.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
        }
        // A simulation in which nothing happens proves nothing.
        #expect(acks > 20 * Simulation.seeds.count)
        #expect(crashes > 2 * Simulation.seeds.count)
    }
}
