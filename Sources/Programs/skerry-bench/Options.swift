import ArgumentParser

/// What every measurement can be told.
struct Options: ParsableArguments {
    @Option(help: ArgumentHelp("The program to measure.", valueName: "path")) var skerry = ".build/release/skerry"
    @Option(help: ArgumentHelp("Where data directories are made: the disk that is measured.", valueName: "path")) var directory = "/tmp"
    @Option(help: "Seconds of one run.") var seconds = 3
    @Option(help: "Runs of which the median is told.") var runs = 5
    @Flag(help: "One short run of everything, to see that it works: no figure to quote.") var quick = false
    @Flag(help: "Print JSON instead of a table.") var json = false

    func measure() throws -> Measure {
        guard ProcFile.isExecutable(self.skerry) else {
            throw ValidationError(
                "there is no program \(self.skerry); build it with `swift build -c release --product skerry --static-swift-stdlib`, or name one with --skerry")
        }
        guard (1...600).contains(self.seconds), (1...99).contains(self.runs) else { throw ValidationError("--seconds is 1 to 600, --runs 1 to 99") }
        Machine.raiseOpenFiles()
        return Measure(
            skerry: self.skerry, directory: self.directory, seconds: self.quick ? 1 : self.seconds, runs: self.quick ? 1 : self.runs, isQuick: self.quick)
    }
}

/// The checked options.
struct Measure: Sendable {
    let skerry: String
    let directory: String
    let seconds: Int
    let runs: Int
    let isQuick: Bool
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
