import Replication
import Simulator
import Testing

/// Each simpler design, and each defect, is found (FEDERATION.md §2.1, §7): what these runs would not see they could not promise either.
@Suite("Mutants of the federation")
struct MutantTests {
    struct Mutant: Sendable, CustomTestStringConvertible {
        var name: String
        var box: SimMutations = []
        var engine: EngineMutations = []
        /// Faults without which the defect does no harm.
        var faults: Set<FaultKind> = []
        /// The properties by which it may be found.
        var properties: Set<String>
        /// In how many seeds it must be found.
        var seeds: UInt64 = 60

        var testDescription: String { self.name }
    }

    static let all: [Mutant] = [
        Mutant(name: "one epoch for ever", box: .reusedEpoch, faults: [.restore], properties: ["P3", "P5"]),
        Mutant(name: "the start counter as epoch", box: .bootCounterAsEpoch, faults: [.restore], properties: ["P3", "P5"]),
        Mutant(name: "answers before the disk has it", box: .skippedSync, faults: [.crash], properties: ["P1", "P2", "P3", "P5", "Q"]),
        Mutant(name: "what is known is applied again", engine: .noDeduplication, faults: [.lossy], properties: ["P4"]),
        Mutant(name: "the version vector before the commit", engine: .vectorBeforeCommit, properties: ["P1", "P2"]),
        Mutant(name: "gaps are jumped over", engine: .ignoreGaps, properties: ["P1", "P2"]),
        Mutant(name: "signatures are not checked", engine: .noSignatures, faults: [.hostile], properties: ["P3", "P7"]),
        Mutant(name: "any origin on any link", engine: .anyOrigin, faults: [.hostile], properties: ["P2", "P7"]),
        Mutant(name: "a message with one id is shown twice", box: .sameIDBothShown, properties: ["P4"]),
        Mutant(name: "the low-water mark is forgotten", box: .lowWaterForgotten, faults: [.retention, .wipe], properties: ["P1"]),
        Mutant(name: "the last to arrive wins a row", box: .lastArrivalWins, properties: ["P1"]),
        Mutant(name: "a clock that nobody has set is believed", box: .wallClockBelieved, faults: [.clock], properties: ["C"]),
        Mutant(name: "the engine is not told of a removal", box: .removalNotTold, faults: [.removal, .partition], properties: ["P7"], seeds: 300),
        Mutant(name: "what a removed box wrote later counts", engine: .noCut, faults: [.removal, .partition], properties: ["P7"], seeds: 300),
        Mutant(name: "a lagging box sends cursors back", box: .cursorGoesBack, properties: ["P4", "P5"]),
        Mutant(name: "a restored box does not notice", engine: .noRollbackCheck, faults: [.restore], properties: ["Q"]),
        Mutant(name: "a full disk is ignored", engine: .ignoreApplyFailure, faults: [.diskFull], properties: ["P1", "P2"]),
        Mutant(name: "old epochs are never compared", engine: .ignoreRest, faults: [.crash, .wipe], properties: ["P1"], seeds: 300),
    ]

    @Test("is found", arguments: Self.all)
    func isFound(_ mutant: Mutant) {
        for seed in 1...mutant.seeds {
            var options = SimOptions(seed: seed)
            options.mutations = mutant.box
            options.engineMutations = mutant.engine
            options.faults = mutant.faults
            guard let failure = BoxSimulation.run(options).failure else { continue }
            let property = String(failure.prefix { $0 != ":" })
            #expect(mutant.properties.contains(property), "seed \(seed): \(failure)")
            // Without the defect the same world holds: it is the defect that was found.
            options.mutations = []
            options.engineMutations = []
            #expect(BoxSimulation.run(options).failure == nil, "seed \(seed)")
            return
        }
        Issue.record("\(mutant.seeds) seeds did not find it")
    }
}
