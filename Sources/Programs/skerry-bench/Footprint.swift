import ArgumentParser
import NIOCore
import NIOPosix

/// What a box costs that does nothing, and how soon it does something.
struct Footprint: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Idle memory, and cold start to the first acknowledged message.",
        discussion: "Memory is read two seconds after the start of a claimed box with one user and no connection.")

    @OptionGroup var options: Options

    func run() throws {
        let measure = try self.options.measure()
        var report = Report(machine: Machine.description(), program: measure.skerry)
        try Self.measure(measure, into: &report)
        report.print(asJSON: self.options.json)
    }

    static func measure(_ measure: Measure, into report: inout Report) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let loop = group.next()
        let box = try MeasuredBox(measure)
        try box.start()
        try box.claim()
        let people = try box.people(2)
        box.stop()

        var anonymous: [Double] = []
        var pss: [Double] = []
        var resident: [Double] = []
        var coldStart: [Double] = []
        for run in 1...measure.runs {
            let began = Clock.nanoseconds()
            try box.start()
            let port = box.httpPort
            _ = try loop.flatSubmit {
                ChatConnections.connect(people[0], peer: people[1].name, port: port, on: loop, prefix: "cold-\(run)").flatMap { sender in
                    sender.value.sendOnce()
                }
            }.wait()
            coldStart.append(Double(Clock.nanoseconds() - began) / 1e6)
            box.stop()

            try box.start()
            Clock.sleep(milliseconds: 2_000)
            let process = try box.running
            anonymous.append(process.anonymousKilobytes / 1_000)
            pss.append(process.kilobytes("Pss_Anon", of: "smaps_rollup") / 1_000)
            resident.append(process.residentKilobytes / 1_000)
            box.stop()
        }
        report.add("idle, anonymous memory (RssAnon)", Statistics.median(anonymous) * 1.024, "MB", target: "≤ 6")
        report.add("idle, anonymous memory (Pss_Anon)", Statistics.median(pss) * 1.024, "MB")
        report.add("idle, resident memory", Statistics.median(resident) * 1.024, "MB", target: "≤ 30")
        report.add("cold start → first acknowledged message", Statistics.median(coldStart), "ms", target: "≤ 400")
    }
}
