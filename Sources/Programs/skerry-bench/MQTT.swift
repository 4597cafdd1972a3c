import ArgumentParser
import MQTTCodec
import NIOCore
import NIOPosix
import SkerryModel

/// The broker, beside Mosquitto in the same run.
struct MQTT: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cost, latency, memory and durability of the MQTT broker, beside Mosquitto.",
        discussion: """
            Both brokers get the same clients (64 bytes unless said, no accounts, version 3.1.1) and take turns on the same processors; the clients have the \
            others (--cores). Processor time is what the kernel charged to the broker's process. Mosquitto keeps its defaults, save that its queues are \
            unlimited and that it does not wait to fill segments (set_tcp_nodelay); the box's limits are lifted likewise.

            Everything takes about 10 minutes; --quick shows in two that all works. Run it on an idle machine: figures of latency are worth nothing on another. Parts for --only:

            \(Part.allCases.map { "  \($0.rawValue): \($0.explanation)" }.joined(separator: "\n"))
            """)

    enum Part: String, CaseIterable, ExpressibleByArgument {
        case fanout, pairs, latency, connections, queue, million, kill, retained, matching

        var explanation: String {
            switch self {
            case .fanout: "processor time of a delivery, 1 publisher to 100 and 1,000 subscribers, QoS 0 and 1, 64 B and 1 KiB"
            case .pairs: "the same for 100 pairs of one publisher and one subscriber"
            case .latency: "p99 of both at half of Mosquitto's maximum rate, sent at fixed times"
            case .connections: "memory of an idle connection, of 10,000, and with one subscription each"
            case .queue: "QoS 1 messages for an absent subscriber: in and, when it is back, out"
            case .million: "memory while 1,000,000 messages wait for one absent client, and while it gets them"
            case .kill: "acknowledged messages that a kill -9 takes"
            case .retained: "1,000,000 retained messages to a # subscriber, and whether others notice"
            case .matching: "cost of finding the subscribers among 1,000 to 1,000,000 subscriptions"
            }
        }
    }

    @OptionGroup var options: Options
    @Option(help: ArgumentHelp("The broker beside it; empty for none.", valueName: "path")) var mosquitto = "mosquitto"
    @Option(
        help: ArgumentHelp("Processors of broker and clients, such as 0-1:2-3; none pins nothing.", discussion: "By default one half each.", valueName: "list"))
    var cores = ""
    @Option(help: ArgumentHelp("Only these parts, with commas between them.", valueName: "parts")) var only = ""
    @Option(help: "Messages of one publisher under way at once.") var window = 16
    @Option(help: "QoS 1 messages of one publisher without acknowledgement in queue, million, kill and retained.") var ingestWindow = 20
    @Option(help: "Idle connections.") var connections = 10_000

    func run() throws {
        let measure = try self.options.measure()
        guard (1...10_000).contains(self.window), (1...10_000).contains(self.ingestWindow), (200...15_000).contains(self.connections) else {
            throw ValidationError("--window and --ingest-window are 1 to 10000, --connections 200 to 15000")
        }
        var parts: Set<Part> = []
        for name in self.only.split(separator: ",") {
            guard let part = Part(rawValue: String(name)) else {
                throw ValidationError("there is no part \(name); there are \(Part.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            parts.insert(part)
        }
        var report = Report(machine: Machine.description(), program: measure.skerry)
        try Self.measure(
            measure, parts: parts.isEmpty ? Set(Part.allCases) : parts, mosquitto: self.mosquitto, cores: self.cores, window: self.window,
            ingestWindow: self.ingestWindow, connections: self.connections, into: &report)
        report.print(asJSON: self.options.json)
    }

    static func measure(
        _ measure: Measure, parts: Set<Part> = Set(Part.allCases), mosquitto: String = "mosquitto", cores: String = "", window: Int = 16,
        ingestWindow: Int = 20, connections: Int = 10_000, into report: inout Report
    ) throws {
        var measure = measure
        measure.pinning = try Pinning.parse(cores)
        // Before there is a second thread.
        try measure.pinning?.pinClients()
        report.note("MQTT: \(measure.pinning?.description ?? "nothing pinned"); medians of \(measure.runs) runs of \(measure.mqttSeconds) s")
        if !measure.settings.isEmpty { report.note("not the box's defaults: \(measure.settings.joined(separator: ", "))") }
        if measure.isQuick { report.note("a quick look: nothing to quote") }
        let load = ProcFile.text("/proc/loadavg").split(separator: " ").first.map(String.init) ?? "?"
        report.note("load average before the first run \(load): above 0.5, somebody else is measured too, in latency and rates most of all")
        let sync = try DiskSync.milliseconds(under: measure.directory)
        report.note("the disk of \(measure.directory) takes \(Report.number(sync)) ms to sync 4 KiB (median of \(DiskSync.tries)); kill -9 is not a power cut")
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        defer { try? group.syncShutdownGracefully() }
        let run = MQTTRun(
            measure: measure, mosquitto: mosquitto, loop: group.next(), quietLoop: group.next(), window: window, ingestWindow: ingestWindow)

        if !parts.isDisjoint(with: [.fanout, .pairs, .latency]) { try Self.measurePatterns(run, parts, into: &report) }
        if parts.contains(.connections) { try MQTTConnections.measure(run, count: connections, into: &report) }
        if parts.contains(.queue) { try MQTTQueue.rates(run, into: &report) }
        if parts.contains(.kill) { try MQTTQueue.kill(run, into: &report) }
        if parts.contains(.million) { try MQTTQueue.million(run, into: &report) }
        if parts.contains(.retained) { try MQTTRetained.measure(run, into: &report) }
        if parts.contains(.matching) {
            try Matching.measureTable(measure, into: &report)
            try Matching.measureBrokers(run, into: &report)
        }
    }

    private static func measurePatterns(_ run: MQTTRun, _ parts: Set<Part>, into report: inout Report) throws {
        let brokers = try run.makeBoth()
        defer { for broker in brokers { broker.stop() } }
        for broker in brokers { try broker.start() }
        let levels: [MQTTQoS] = [.atMostOnce, .atLeastOnce]
        for payload in [64, 1_024] {
            let (forFanOut, forPairs) = payload == 64 ? ("ratio ≤ 0.5", "ratio ≤ 0.8") : ("ratio ≤ 1.0", "ratio ≤ 1.0")
            for subscribers in [100, 1_000] where parts.contains(.fanout) {
                for qos in levels {
                    let pattern = MQTTPatterns.fanOut(subscribers, qos, payload: payload, window: run.window)
                    try MQTTPatterns.measure(pattern, brokers, run, target: forFanOut, into: &report)
                }
            }
            for qos in levels where parts.contains(.pairs) {
                let pattern = MQTTPatterns.pairs(100, qos, payload: payload, window: run.window)
                try MQTTPatterns.measure(pattern, brokers, run, target: forPairs, into: &report)
            }
        }
        for qos in levels where parts.contains(.latency) {
            for pattern in [
                MQTTPatterns.fanOut(100, qos, payload: 64, window: run.window), MQTTPatterns.pairs(100, qos, payload: 64, window: run.window),
            ] {
                try MQTTLatencyLoad.measure(pattern, brokers, run, into: &report)
            }
        }
    }
}
