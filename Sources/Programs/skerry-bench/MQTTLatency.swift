import MQTTCodec
import NIOCore

/// Messages that leave at fixed times, whatever the broker does, and how long each took. Lives on the clients' loop.
///
/// The payload carries the time the message was due, so neither a slow broker nor a late client makes a wait disappear.
final class MQTTLatencyLoad {
    private struct Group {
        let topic: String
        let publisher: MQTTBenchClient
        var sent = 0
    }

    /// Messages become due in ticks: a timer for each would be the benchmark's cost and not the broker's.
    private static let tick: UInt64 = 250_000

    private let pattern: MQTTPattern
    private let messagesPerSecond: Double
    private var groups: [Group] = []
    private var next = 0
    private var sent = 0
    private var ticks: UInt64 = 0
    private var began: UInt64 = 0
    private var end: UInt64 = 0
    private var subscribers: [MQTTBenchClient] = []
    /// Nanoseconds of every delivery.
    private(set) var latencies: [UInt32] = []
    private(set) var isDone = false

    init(_ pattern: MQTTPattern, messagesPerSecond: Double) {
        self.pattern = pattern
        self.messagesPerSecond = messagesPerSecond
    }

    func add(topic: String, publisher: MQTTBenchClient, subscribers: [MQTTBenchClient]) {
        self.groups.append(Group(topic: topic, publisher: publisher))
        self.subscribers += subscribers
        for subscriber in subscribers {
            subscriber.onPublish = { [self] first, body in
                guard let due = MQTTPublishBytes.stamp(first, body) else { return }
                self.latencies.append(UInt32(clamping: Clock.nanoseconds() - due))
            }
        }
    }

    var expectedCount: Int { self.sent * self.pattern.subscribers }
    var failure: String? { (self.groups.map(\.publisher) + self.subscribers).lazy.compactMap { $0.failure }.first }

    func start(seconds: Int, on loop: any EventLoop) {
        (self.sent, self.ticks, self.isDone) = (0, 0, false)
        self.latencies.removeAll(keepingCapacity: true)
        self.latencies.reserveCapacity(Int(self.messagesPerSecond * Double(seconds * self.pattern.subscribers)) + 1_000)
        self.began = Clock.nanoseconds() + 1_000_000
        self.end = self.began + UInt64(seconds) * 1_000_000_000
        self.schedule(loop)
    }

    func close() {
        for client in self.groups.map(\.publisher) + self.subscribers { client.close() }
    }

    private func schedule(_ loop: any EventLoop) {
        let due = self.began + self.ticks * Self.tick
        guard due < self.end else { return self.isDone = true }
        loop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(due)) { [self] in
            self.sendDue()
            self.schedule(loop)
        }
    }

    private func sendDue() {
        let now = Clock.nanoseconds()
        var packets: [Int: ByteBuffer] = [:]
        while true {
            let due = self.began + self.ticks * Self.tick
            guard due <= now, due < self.end else { break }
            self.ticks += 1
            let wanted = Int(Double(self.ticks * Self.tick) / 1e9 * self.messagesPerSecond)
            while self.sent < wanted {
                let index = self.next
                self.next = (self.next + 1) % self.groups.count
                let id = self.pattern.qos == .atMostOnce ? nil : UInt16(self.groups[index].sent % 60_000 + 1)
                MQTTPublishBytes.append(
                    to: &packets[index, default: ByteBuffer()], topic: self.groups[index].topic, id: id, stamp: due, payloadBytes: self.pattern.payloadBytes)
                self.groups[index].sent += 1
                self.sent += 1
            }
        }
        for (index, bytes) in packets { self.groups[index].publisher.send(bytes) }
    }
}

@available(*, unavailable)
extension MQTTLatencyLoad: Sendable {}

extension MQTTLatencyLoad {
    /// The 99th percentile of delivery, of each broker at half of what Mosquitto can do at most.
    static func measure(_ pattern: MQTTPattern, _ brokers: [any MQTTBroker], _ run: MQTTRun, into report: inout Report) throws {
        let loop = run.loop
        // What is half of the most is decided by Mosquitto; without it, by the box.
        let reference = brokers[brokers.count - 1]
        let most = Statistics.median(try MQTTPatterns.run(pattern, [reference], run, runs: min(run.measure.runs, 3))[0].map(\.rate))
        let rate = most / 2 / Double(pattern.subscribers)
        let loads = try brokers.map { broker in
            let load = try loop.submit { NIOLoopBound(MQTTLatencyLoad(pattern, messagesPerSecond: rate), eventLoop: loop) }.wait()
            try MQTTPatterns.connect(pattern, port: broker.mqttPort, prefix: "latency", loop) { load.value.add(topic: $0, publisher: $1, subscribers: $2) }
            return load
        }
        var (p50, p99) = (brokers.map { _ in [Double]() }, brokers.map { _ in [Double]() })
        for number in 0...run.measure.runs {
            for (index, load) in loads.enumerated() {
                let seconds = run.measure.mqttSeconds
                try loop.submit { load.value.start(seconds: seconds, on: loop) }.wait()
                try Waiting.until("every message has been sent", seconds: Double(seconds) + 30) { try loop.submit { load.value.isDone }.wait() }
                let expected = try loop.submit { load.value.expectedCount }.wait()
                let arrived = try Waiting.count(to: expected) {
                    if let failure = try loop.submit({ load.value.failure }).wait() { throw BenchError(failure) }
                    return try loop.submit { load.value.latencies.count }.wait()
                }
                guard arrived == expected else {
                    throw BenchError("\(brokers[index].brokerName): \(expected) deliveries were due, \(arrived) came (\(pattern.name))")
                }
                let sorted = try loop.submit { load.value.latencies }.wait().sorted()
                guard number > 0, !sorted.isEmpty else { continue }
                p50[index].append(Double(sorted[(sorted.count - 1) / 2]) / 1e6)
                p99[index].append(Double(sorted[min(sorted.count - 1, sorted.count * 99 / 100)]) / 1e6)
            }
        }
        try loop.submit { for load in loads { load.value.close() } }.wait()
        let name = "\(pattern.name), \(Report.number(most / 2, digits: 0)) deliveries/s"
        report.add("\(name), p50", runs: p50, "ms")
        report.add("\(name), p99", runs: p99, "ms", target: "ratio ≤ 1.0")
    }
}
