import ArgumentParser

/// What every measurement can be told.
struct Options: ParsableArguments {
    @Option(help: ArgumentHelp("The program to measure.", valueName: "path")) var skerry = ".build/release/skerry"
    @Option(help: ArgumentHelp("Where data directories are made: the disk that is measured.", valueName: "path")) var directory = "/tmp"
    @Option(help: "Seconds of one run. (default: 3; of an MQTT run 1)") var seconds: Int?
    @Option(help: "Runs of which the median is told.") var runs = 5
    @Flag(help: "One short run of everything, to see that it works: no figure to quote.") var quick = false
    @Option(help: ArgumentHelp("A setting of the box that is not its default; the report names it. May be repeated.", valueName: "key=value")) var set:
        [String] = []
    @Flag(help: "Print JSON instead of a table.") var json = false

    func measure() throws -> Measure {
        guard ProcFile.isExecutable(self.skerry) else {
            throw ValidationError(
                "there is no program \(self.skerry); build it with `swift build -c release --product skerry --static-swift-stdlib`, or name one with --skerry")
        }
        guard (1...600).contains(self.seconds ?? 3), (1...99).contains(self.runs) else { throw ValidationError("--seconds is 1 to 600, --runs 1 to 99") }
        Machine.raiseOpenFiles()
        // Looked for here and not in PATH, as the check above did.
        return Measure(
            skerry: self.skerry.contains("/") ? self.skerry : "./" + self.skerry, directory: self.directory, seconds: self.quick ? 1 : self.seconds ?? 3,
            runs: self.quick ? 1 : self.runs, isQuick: self.quick,
            mqttSeconds: self.quick ? 1 : self.seconds ?? 1, settings: self.set)
    }
}

/// The checked options.
struct Measure: Sendable {
    let skerry: String
    let directory: String
    let seconds: Int
    let runs: Int
    let isQuick: Bool
    /// Of one run of an MQTT pattern: there are many of them.
    let mqttSeconds: Int
    /// `key=value` for the box, beyond what a benchmark needs.
    let settings: [String]
    /// Where what is measured may run; nil for everywhere.
    var pinning: Pinning?

    /// A number of something, a twentieth for a quick look.
    func scaled(_ count: Int) -> Int { self.isQuick ? max(1, count / 20) : count }
}

/// What goes wrong while measuring, in one line.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
