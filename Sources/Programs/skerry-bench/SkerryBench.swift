import ArgumentParser

/// Measures a box and says the figures: a table for people, or JSON.
///
/// Every command starts its own processes on directories of its own and ends them. It is not a test: it passes no judgement, because figures of
/// two machines, or of one on two days, differ. Run it alone, with a release program:
///
///     swift build -c release --product skerry --static-swift-stdlib
///     swift run -c release skerry-bench all --skerry .build/release/skerry
@main
struct SkerryBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skerry-bench",
        abstract: "Measure memory, latency and throughput of a box.",
        subcommands: [Footprint.self, Idle.self, Send.self, MQTT.self, Federation.self, All.self])
}

/// Everything, in the order of the README.
struct All: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run every measurement.")

    @OptionGroup var options: Options
    @Option(help: "Connections of each kind for `idle`.") var connections = 2_000

    func run() throws {
        let measure = try self.options.measure()
        var report = Report(machine: Machine.description(), program: measure.skerry)
        try Footprint.measure(measure, into: &report)
        try Idle.measure(measure, connections: self.connections, into: &report)
        try Send.measure(measure, senders: [1, 100], into: &report)
        try MQTT.measure(measure, into: &report)
        try Federation.measure(measure, entries: 1_000_000, idleSeconds: 60, into: &report)
        report.print(asJSON: self.options.json)
    }
}
