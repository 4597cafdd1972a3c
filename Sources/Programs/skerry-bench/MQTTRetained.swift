import MQTTCodec
import NIOCore

/// Very many retained messages, and one who wants them all.
enum MQTTRetained {
    private static let publishers = 50

    static func measure(_ run: MQTTRun, into report: inout Report) throws {
        let count = run.measure.scaled(1_000_000)
        let figures = try ([run.makeBox] + (run.makeMosquitto.map { [$0(.none)] } ?? [])).map { try Self.once(try $0(), count: count, run) }
        let (box, other) = (figures[0], figures.count > 1 ? figures[1] : nil)
        let words = Report.number(Double(count), digits: 0)
        report.add("\(words) retained messages, QoS 1, acknowledged", box.ingest, "messages/s", beside: other?.ingest)
        report.add("anonymous memory of each", box.bytes, "bytes", beside: other?.bytes)
        report.add("all of them to a # subscriber", box.seconds, "s", beside: other?.seconds)
        report.add("the most memory meanwhile, above what they cost", box.peak / 1e6, "MB", beside: other.map { $0.peak / 1e6 })
        report.add("another client's round trip before, p99", box.before.p99, "ms", beside: other?.before.p99)
        report.add("another client's round trip meanwhile, p99", box.during.p99, "ms", beside: other?.during.p99, target: "no stall")
        report.add("another client's longest round trip meanwhile", box.during.most, "ms", beside: other?.during.most, target: "no stall")
    }

    private struct RoundTrips {
        var p99 = Double.nan
        var most = Double.nan
    }

    private struct Figures {
        var ingest = 0.0
        var bytes = 0.0
        var seconds = 0.0
        var peak = 0.0
        var before = RoundTrips()
        var during = RoundTrips()
    }

    private static func once(_ broker: any MQTTBroker, count: Int, _ run: MQTTRun) throws -> Figures {
        try broker.start()
        defer { broker.stop() }
        let (port, loop, process) = (broker.mqttPort, run.loop, try broker.running)
        var figures = Figures()
        let empty = Waiting.settledMemory(of: process)
        let ingest = try loop.submit {
            NIOLoopBound(MQTTIngest(count: count, window: run.ingestWindow, isRetained: true) { "kept/\($0 / 1_000)/\($0 % 1_000)" }, eventLoop: loop)
        }.wait()
        let clients = try Connecting.each((0..<Self.publishers).map { "publisher-\($0)" }, on: loop) {
            MQTTBenchClient.connect(port: port, clientID: $0, on: loop)
        }
        let began = Clock.nanoseconds()
        try loop.submit { ingest.value.start(clients.map(\.value)) }.wait()
        let taken = try Waiting.count(to: count) {
            if let failure = try loop.submit({ ingest.value.failure }).wait() { throw BenchError("\(broker.brokerName): \(failure)") }
            return try loop.submit { ingest.value.acknowledgedCount }.wait()
        }
        guard taken == count else { throw BenchError("\(broker.brokerName) acknowledged \(taken) of \(count) retained messages and then no more") }
        figures.ingest = Double(taken) / (Double(Clock.nanoseconds() - began) / 1e9)
        try loop.submit { ingest.value.close() }.wait()
        let full = Waiting.settledMemory(of: process)
        figures.bytes = (full - empty) / Double(count)

        let quiet = run.quietLoop
        let pingClient = try Connecting.each(["ping"], on: quiet) { MQTTBenchClient.connect(port: port, clientID: $0, on: quiet) }[0]
        try quiet.flatSubmit { pingClient.value.subscribe("ping/pong", qos: .atMostOnce) }.wait()
        let ping = try quiet.submit { NIOLoopBound(RoundTripClient(pingClient.value, topic: "ping/pong", loop: quiet), eventLoop: quiet) }.wait()
        try quiet.submit { ping.value.start() }.wait()
        let wanted = run.measure.scaled(2_000)
        let before = try Waiting.count(to: wanted) { try quiet.submit { ping.value.trips.count }.wait() }
        guard before >= wanted else { throw BenchError("\(broker.brokerName) answers no round trip") }
        figures.before = Self.figures(try quiet.submit { ping.value.take() }.wait())

        let collector = try loop.submit { NIOLoopBound(MQTTCollector(count: count, retainedOnly: true), eventLoop: loop) }.wait()
        let reader = try Connecting.each(["reader"], on: loop) { id in
            MQTTBenchClient.connect(port: port, clientID: id, on: loop) { client in collector.value.attach(to: client) }
        }[0]
        let watch = MemoryWatch(process)
        try watch.begin()
        _ = try quiet.submit { ping.value.take() }.wait()
        let asked = Clock.nanoseconds()
        try loop.flatSubmit { reader.value.subscribe("#", qos: .atMostOnce) }.wait()
        let given = try Waiting.count(to: count) {
            watch.look()
            if let failure = try loop.submit({ reader.value.failure }).wait() { throw BenchError("\(broker.brokerName): \(failure)") }
            return try loop.submit { collector.value.count }.wait()
        }
        guard given == count else { throw BenchError("\(broker.brokerName) streamed \(given) of \(count) retained messages and then no more") }
        figures.seconds = Double(try loop.submit { collector.value.lastArrival }.wait() - asked) / 1e9
        figures.peak = watch.growth
        figures.during = Self.figures(
            try quiet.submit {
                ping.value.stop()
                return ping.value.take()
            }.wait())
        try loop.submit { reader.value.close() }.wait()
        return figures
    }

    private static func figures(_ trips: [Double]) -> RoundTrips {
        RoundTrips(p99: Statistics.percentile(trips, 0.99), most: trips.max() ?? .nan)
    }
}

/// A client that publishes to itself, a message at a time, each a millisecond after the last came back. Lives on its loop.
private final class RoundTripClient {
    private let client: MQTTBenchClient
    private let topic: String
    private let loop: any EventLoop
    private var isRunning = false
    private var sent: UInt64 = 0
    /// Milliseconds of each.
    private(set) var trips: [Double] = []

    init(_ client: MQTTBenchClient, topic: String, loop: any EventLoop) {
        self.client = client
        self.topic = topic
        self.loop = loop
    }

    func start() {
        self.isRunning = true
        self.client.onPublish = { [self] _, _ in
            self.trips.append(Double(Clock.nanoseconds() - self.sent) / 1e6)
            self.loop.assumeIsolated().scheduleTask(in: .milliseconds(1)) { [self] in self.send() }
        }
        self.send()
    }

    func stop() {
        self.isRunning = false
        // One that is still on its way has taken at least this long.
        if self.sent > 0 { self.trips.append(Double(Clock.nanoseconds() - self.sent) / 1e6) }
        self.client.close()
    }

    /// The round trips so far; counts anew.
    func take() -> [Double] {
        defer { self.trips.removeAll() }
        return self.trips
    }

    private func send() {
        guard self.isRunning else { return }
        var packet = ByteBuffer()
        self.sent = Clock.nanoseconds()
        MQTTPublishBytes.append(to: &packet, topic: self.topic, id: nil, stamp: self.sent, payloadBytes: 64)
        self.client.send(packet)
    }
}

@available(*, unavailable)
extension RoundTripClient: Sendable {}
