import ArgumentParser
import NIOCore
import NIOPosix

/// How long a durable message takes to be acknowledged, and how many a second are.
struct Send: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Durable send to acknowledgement: p50, p99 and messages a second.",
        discussion: "Every sender is a WebSocket of a person of their own that sends the next message when the last was acknowledged, to somebody who is away.")

    @OptionGroup var options: Options
    @Option(help: "Concurrent senders; repeat for several.") var senders = [1, 100]

    func run() throws {
        let measure = try self.options.measure()
        var report = Report(machine: Machine.description(), program: measure.skerry)
        try Self.measure(measure, senders: self.senders, into: &report)
        report.print(asJSON: self.options.json)
    }

    static func measure(_ measure: Measure, senders counts: [Int], into report: inout Report) throws {
        guard counts.allSatisfy({ (1...500).contains($0) }) else { throw ValidationError("--senders is 1 to 500") }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let loop = group.next()
        let box = try MeasuredBox(measure)
        try box.start()
        try box.claim()
        let port = box.httpPort
        for count in counts {
            Progress.say("send: making \(count + 1) people")
            let people = try box.people(count + 1)
            let peer = people[count].name
            let senders = try Connecting.each(Array(people.prefix(count)), on: loop) { person in
                ChatConnections.connect(person, peer: peer, port: port, on: loop, prefix: person.name)
            }
            var rates: [Double] = []
            var p50: [Double] = []
            var p99: [Double] = []
            // The first run warms up and is not counted.
            for run in 0...measure.runs {
                let began = Clock.nanoseconds()
                try loop.submit { for sender in senders { sender.value.start() } }.wait()
                Clock.sleep(milliseconds: measure.seconds * 1_000)
                let seconds = Double(Clock.nanoseconds() - began) / 1e9
                let latencies = try loop.submit { () throws -> [Double] in
                    for sender in senders { sender.value.stop() }
                    if let failure = senders.lazy.compactMap({ $0.value.failure }).first { throw BenchError(failure) }
                    return senders.flatMap { $0.value.latencies }
                }.wait()
                Clock.sleep(milliseconds: 200)
                if run == 0 { continue }
                rates.append(Double(latencies.count) / seconds)
                p50.append(Statistics.percentile(latencies, 0.5) / 1e6)
                p99.append(Statistics.percentile(latencies, 0.99) / 1e6)
            }
            let name = count == 1 ? "1 sender" : "\(count) senders"
            report.add("send → ack, \(name), p50", Statistics.median(p50), "ms")
            report.add("send → ack, \(name), p99", Statistics.median(p99), "ms")
            report.add("acknowledged, \(name)", Statistics.median(rates), "messages/s", target: count == 100 ? "≥ 8,000" : nil)
        }
        box.stop()
    }
}
