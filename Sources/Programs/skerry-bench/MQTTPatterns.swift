import MQTTCodec
import NIOCore
import SkerryModel

/// Delivered messages and the processor time of each, pattern by pattern.
enum MQTTPatterns {
    struct Figure {
        var rate: Double
        var microseconds: Double
    }

    static func fanOut(_ subscribers: Int, _ qos: MQTTQoS, payload: Int, window: Int) -> MQTTPattern {
        MQTTPattern(
            name: "1 → \(Report.number(Double(subscribers), digits: 0)), QoS \(qos.rawValue), \(Self.size(payload))", publishers: 1, subscribers: subscribers,
            qos: qos, payloadBytes: payload, window: window)
    }

    static func pairs(_ count: Int, _ qos: MQTTQoS, payload: Int, window: Int) -> MQTTPattern {
        MQTTPattern(
            name: "\(count) pairs, QoS \(qos.rawValue), \(Self.size(payload))", publishers: count, subscribers: 1, qos: qos, payloadBytes: payload,
            window: window)
    }

    private static func size(_ bytes: Int) -> String { bytes % 1_024 == 0 ? "\(bytes / 1_024) KiB" : "\(bytes) B" }

    /// Runs a pattern and adds its rows.
    static func measure(_ pattern: MQTTPattern, _ brokers: [any MQTTBroker], _ run: MQTTRun, target: String, into report: inout Report) throws {
        let figures = try Self.run(pattern, brokers, run, runs: run.measure.runs)
        report.add("\(pattern.name), delivered", runs: figures.map { $0.map(\.rate) }, "messages/s")
        report.add("\(pattern.name), processor", runs: figures.map { $0.map(\.microseconds) }, "µs/delivery", target: target)
    }

    /// The figures of each broker's runs; the brokers take turns run by run, and the first turn warms up and is not counted.
    static func run(_ pattern: MQTTPattern, _ brokers: [any MQTTBroker], _ run: MQTTRun, runs: Int) throws -> [[Figure]] {
        let loop = run.loop
        let loads = try brokers.map { broker in
            let load = try loop.submit { NIOLoopBound(MQTTLoad(pattern), eventLoop: loop) }.wait()
            try Self.connect(pattern, port: broker.mqttPort, prefix: "load", loop) { try load.value.add(topic: $0, publisher: $1, subscribers: $2) }
            return load
        }
        var figures = brokers.map { _ in [Figure]() }
        for number in 0...runs {
            for (index, broker) in brokers.enumerated() {
                let figure = try Self.once(loads[index], broker, seconds: run.measure.mqttSeconds, loop)
                if number > 0 { figures[index].append(figure) }
            }
        }
        try loop.submit { for load in loads { load.value.close() } }.wait()
        return figures
    }

    private static func once(_ load: NIOLoopBound<MQTTLoad>, _ broker: any MQTTBroker, seconds: Int, _ loop: any EventLoop) throws -> Figure {
        let process = try broker.running
        let (delivered, processor, began) = (try loop.submit { load.value.deliveredCount }.wait(), process.processorSeconds, Clock.nanoseconds())
        try loop.submit { load.value.start() }.wait()
        Clock.sleep(milliseconds: seconds * 1_000)
        try loop.submit { load.value.stop() }.wait()
        let elapsed = Double(Clock.nanoseconds() - began) / 1e9
        let deadline = Clock.nanoseconds() + 10_000_000_000
        while try !loop.submit({ load.value.isQuiet }).wait() {
            if let failure = try loop.submit({ load.value.failure }).wait() { throw BenchError("\(broker.brokerName): \(failure)") }
            guard Clock.nanoseconds() < deadline else {
                let (published, arrived) = try loop.submit { (load.value.publishedCount, load.value.deliveredCount) }.wait()
                throw BenchError("\(broker.brokerName): messages are missing: \(published) were published, \(arrived) arrived")
            }
            Clock.sleep(milliseconds: 2)
        }
        let count = Double(try loop.submit { load.value.deliveredCount }.wait() - delivered)
        return Figure(rate: count / elapsed, microseconds: (process.processorSeconds - processor) / count * 1e6)
    }

    /// Connects the clients of a pattern; `add` gets each publisher with its topic and its subscribers, on the loop.
    static func connect(
        _ pattern: MQTTPattern, port: Int, prefix: String, _ loop: any EventLoop,
        _ add: @escaping @Sendable (String, MQTTBenchClient, [MQTTBenchClient]) throws -> Void
    ) throws {
        for number in 0..<pattern.publishers {
            let topic = "bench/\(pattern.qos.rawValue)/\(pattern.publishers)/\(number)"
            let ids = (0...pattern.subscribers).map { "\(prefix)-\(pattern.publishers)-\(pattern.subscribers)-\(pattern.qos.rawValue)-\(number)-\($0)" }
            let clients = try Connecting.each(ids, on: loop) { id in
                MQTTBenchClient.connect(port: port, clientID: id, on: loop)
            }
            _ = try Connecting.each(Array(clients.dropFirst()), on: loop) { client in client.value.subscribe(topic, qos: pattern.qos) }
            try loop.submit { try add(topic, clients[0].value, clients.dropFirst().map(\.value)) }.wait()
        }
    }
}
