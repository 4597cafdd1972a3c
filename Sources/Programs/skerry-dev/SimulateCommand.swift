import ArgumentParser
import Simulator
import Synchronization

/// `skerry-dev simulate`: many simulated federations under random faults; what the tests run a few of.
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run simulated boxes under random faults, and check that nothing is lost, doubled or different.",
        discussion: """
            Each seed is one world: boxes with the real replication engine on a simulated clock, network and disk. The same seed is the same run. \
            A seed that fails is printed with its last events. The last line says how many passed and failed.
            """)

    @Option(help: "How many seeds to run.")
    var seeds: UInt64 = 1_000

    @Option(help: "The first seed.")
    var seed: UInt64 = 1

    @Option(help: "Boxes in every world, 2 to 32; by default each seed draws its own.")
    var boxes: Int?

    @Option(help: "Failed seeds that are printed with their last events.")
    var failures = 5

    @Flag(help: "Print a line for every seed, and with one seed every event.")
    var verbose = false

    func validate() throws {
        guard self.seeds >= 1, self.seeds <= 1_000_000_000 else { throw ValidationError("--seeds is 1 to 1000000000.") }
        guard self.seed <= UInt64.max - self.seeds else { throw ValidationError("--seed is too large for so many seeds.") }
        if let boxes = self.boxes, !(2...32).contains(boxes) { throw ValidationError("--boxes is 2 to 32.") }
    }

    func run() async throws {
        let (boxes, verbose) = (self.boxes, self.verbose)
        if verbose, self.seeds == 1 { return try self.runOne() }
        let total = Mutex(SimTotal())
        let failed = await BoxSimulation.runAll(self.seed..<(self.seed + self.seeds), options: { SimOptions(seed: $0, boxes: boxes) }) { result in
            total.withLock { $0.add(result) }
            if verbose { print(Self.line(result)) }
        }
        for result in failed.prefix(max(0, self.failures)) {
            print(BoxSimulation.explain(SimOptions(seed: result.seed, boxes: boxes)).report)
        }
        for result in failed.dropFirst(max(0, self.failures)) { print("seed \(result.seed): \(result.failure ?? "")") }
        print(total.withLock { $0.text })
        try Self.end(passed: self.seeds - UInt64(failed.count), failed: failed.count)
    }

    private func runOne() throws {
        var options = SimOptions(seed: self.seed, boxes: self.boxes)
        options.traceMax = 1_000_000
        let result = BoxSimulation.explain(options)
        for line in result.trace { print(line) }
        print(Self.line(result))
        try Self.end(passed: result.failure == nil ? 1 : 0, failed: result.failure == nil ? 0 : 1)
    }

    private static func line(_ result: SimResult) -> String {
        let figures = result.figures
        let verdict = result.failure ?? "passed"
        return "seed \(result.seed): \(result.boxes) boxes, \(figures.entries) entries, \(figures.faults) faults, \(figures.engineSteps) steps: \(verdict)"
    }

    private static func end(passed: UInt64, failed: Int) throws {
        print("\(passed) passed, \(failed) failed")
        if failed > 0 { throw ExitCode.failure }
    }
}

/// What all worlds together went through.
private struct SimTotal {
    private var figures = SimFigures()

    mutating func add(_ result: SimResult) {
        self.figures.entries += result.figures.entries
        self.figures.engineSteps += result.figures.engineSteps
        self.figures.faults += result.figures.faults
        self.figures.restarts += result.figures.restarts
        self.figures.replicated += result.figures.replicated
        self.figures.shown += result.figures.shown
        self.figures.quarantines += result.figures.quarantines
        self.figures.rejected += result.figures.rejected
    }

    var text: String {
        let figures = self.figures
        let one = "\(figures.entries) entries, \(figures.replicated) of them reported as replicated, \(figures.shown) messages shown"
        let other = "\(figures.faults) faults, \(figures.restarts) starts, \(figures.quarantines) quarantines, \(figures.rejected) alarms"
        return "\(one); \(other); \(figures.engineSteps) steps of an engine"
    }
}
