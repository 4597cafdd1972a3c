import ArgumentParser
import MQTTCodec
import NIOCore
import NIOPosix
import SkerryModel

/// Delivered messages and what each costs, beside Mosquitto in the same run.
struct MQTT: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delivered MQTT messages a second and processor time of each, beside Mosquitto.",
        discussion: """
            Both brokers run at once, take turns, and have the same clients: 64 bytes, no accounts, nothing retained, no offline queue. Processor time is what \
            the kernel charged to the broker's process. Mosquitto keeps its defaults, save that its queues are unlimited and that it does not wait to fill segments (set_tcp_nodelay).
            """)

    @OptionGroup var options: Options
    @Option(help: ArgumentHelp("The broker beside it; empty for none.", valueName: "path")) var mosquitto = "mosquitto"
    @Option(help: "Messages of one publisher under way at once.") var window = 16
    @Option(help: "Bytes of a payload.") var payload = 64
    @Option(help: "Subscribers of a fan-out, and pairs.") var clients = 100

    func run() throws {
        let measure = try self.options.measure()
        guard (1...10_000).contains(self.window), (1...8_000).contains(self.payload), (1...1_000).contains(self.clients) else {
            throw ValidationError("--window is 1 to 10000, --payload 1 to 8000, --clients 1 to 1000")
        }
        var report = Report(machine: Machine.description(), program: measure.skerry)
        try Self.measure(measure, mosquitto: self.mosquitto, window: self.window, payload: self.payload, clients: self.clients, into: &report)
        report.print(asJSON: self.options.json)
    }

    static func measure(
        _ measure: Measure, mosquitto: String = "mosquitto", window: Int = 16, payload: Int = 64, clients: Int = 100, into report: inout Report
    ) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let loop = group.next()
        let box = try MeasuredBox(measure, extraSettings: "mqtt.anonymous = #\nmqtt.receive_max = 10000\nmqtt.in_flight_max = 10000\n")
        try box.start()
        var brokers = [Broker(port: box.mqttPort, process: try box.running)]
        let beside = mosquitto.isEmpty ? nil : try Mosquitto(mosquitto, under: measure.directory)
        if let beside { brokers.append(Broker(port: beside.port, process: beside.process)) }
        let patterns = [
            MQTTPattern(name: "1 → \(clients), QoS 0", publishers: 1, subscribers: clients, qos: .atMostOnce, payloadBytes: payload, window: window),
            MQTTPattern(name: "1 → \(clients), QoS 1", publishers: 1, subscribers: clients, qos: .atLeastOnce, payloadBytes: payload, window: window),
            MQTTPattern(name: "\(clients) pairs, QoS 0", publishers: clients, subscribers: 1, qos: .atMostOnce, payloadBytes: payload, window: window),
            MQTTPattern(name: "\(clients) pairs, QoS 1", publishers: clients, subscribers: 1, qos: .atLeastOnce, payloadBytes: payload, window: window),
        ]
        for pattern in patterns {
            let figures = try Self.run(pattern, brokers, measure, loop)
            let other = figures.count > 1 ? figures[1] : nil
            report.add("\(pattern.name), delivered", figures[0].rate, "messages/s", beside: other?.rate)
            report.add("\(pattern.name), processor", figures[0].microseconds, "µs/delivery", beside: other?.microseconds)
        }
        box.stop()
    }

    private struct Broker {
        let port: Int
        let process: ServerProcess
    }

    private struct Figure {
        var rate: Double
        var microseconds: Double
    }

    /// The medians of a pattern, for each broker; the brokers take turns run by run.
    private static func run(_ pattern: MQTTPattern, _ brokers: [Broker], _ measure: Measure, _ loop: any EventLoop) throws -> [Figure] {
        let loads = try brokers.map { try Self.connect(pattern, port: $0.port, loop) }
        var figures = brokers.map { _ in [Figure]() }
        for run in 0...measure.runs {
            for (index, broker) in brokers.enumerated() {
                let figure = try Self.once(loads[index], broker, seconds: measure.seconds, loop)
                if run > 0 { figures[index].append(figure) }
            }
        }
        try loop.submit { for load in loads { load.value.close() } }.wait()
        return figures.map { Figure(rate: Statistics.median($0.map(\.rate)), microseconds: Statistics.median($0.map(\.microseconds))) }
    }

    private static func once(_ load: NIOLoopBound<MQTTLoad>, _ broker: Broker, seconds: Int, _ loop: any EventLoop) throws -> Figure {
        let (delivered, processor, began) = (try loop.submit { load.value.deliveredCount }.wait(), broker.process.processorSeconds, Clock.nanoseconds())
        try loop.submit { load.value.start() }.wait()
        Clock.sleep(milliseconds: seconds * 1_000)
        try loop.submit { load.value.stop() }.wait()
        let elapsed = Double(Clock.nanoseconds() - began) / 1e9
        let deadline = Clock.nanoseconds() + 10_000_000_000
        while try !loop.submit({ load.value.isQuiet }).wait() {
            if let failure = try loop.submit({ load.value.failure }).wait() { throw BenchError(failure) }
            guard Clock.nanoseconds() < deadline else {
                let (published, arrived) = try loop.submit { (load.value.publishedCount, load.value.deliveredCount) }.wait()
                throw BenchError("messages are missing: \(published) were published, \(arrived) arrived")
            }
            Clock.sleep(milliseconds: 2)
        }
        let count = Double(try loop.submit { load.value.deliveredCount }.wait() - delivered)
        return Figure(rate: count / elapsed, microseconds: (broker.process.processorSeconds - processor) / count * 1e6)
    }

    private static func connect(_ pattern: MQTTPattern, port: Int, _ loop: any EventLoop) throws -> NIOLoopBound<MQTTLoad> {
        let load = try loop.submit { NIOLoopBound(MQTTLoad(pattern), eventLoop: loop) }.wait()
        for number in 0..<pattern.publishers {
            let topic = "bench/\(pattern.qos.rawValue)/\(pattern.publishers)/\(number)"
            let ids = (0...pattern.subscribers).map { "\(pattern.publishers)-\(pattern.qos.rawValue)-\(number)-\($0)" }
            let clients = try Connecting.each(ids, on: loop) { id in
                MQTTBenchClient.connect(port: port, clientID: id, login: nil, on: loop)
            }
            _ = try Connecting.each(Array(clients.dropFirst()), on: loop) { client in client.value.subscribe(topic, qos: pattern.qos) }
            try loop.submit { try load.value.add(topic: topic, publisher: clients[0].value, subscribers: clients.dropFirst().map(\.value)) }.wait()
        }
        return load
    }
}

/// Debian's Mosquitto on a port and a directory of its own.
final class Mosquitto {
    let port: Int
    let process: ServerProcess
    private let directory: String

    init(_ path: String, under parent: String) throws {
        self.directory = try ProcFile.makeDirectory(under: parent)
        self.port = try FreePort.find()
        let settings =
            "listener \(self.port) 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\nlog_type error\n"
        try ProcFile.put(settings, at: self.directory + "/mosquitto.conf")
        self.process = try ServerProcess(path, ["-c", self.directory + "/mosquitto.conf"], log: self.directory + "/log")
        let deadline = Clock.nanoseconds() + 10_000_000_000
        while !FreePort.isServed(self.port) {
            guard !self.process.hasEnded, Clock.nanoseconds() < deadline else {
                throw BenchError("\(path) does not start (Debian package mosquitto): \(ProcFile.text(self.directory + "/log").suffix(500))")
            }
            Clock.sleep(milliseconds: 5)
        }
    }

    deinit {
        self.process.stop()
        ProcFile.remove(self.directory)
    }
}
