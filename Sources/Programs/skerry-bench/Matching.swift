import MQTTCodec
import NIOCore
import SkerryModel
import TopicRouting

/// Whether finding the subscriptions of a topic costs more when there are more of them.
enum Matching {
    /// Subscriptions that want any of the topics asked for; always as many.
    private static let matches = 10

    /// The routing table alone, in this process.
    static func measureTable(_ measure: Measure, into report: inout Report) throws {
        for count in Self.counts(measure) {
            let tree = SubscriptionTree<Int, Int>()
            // Seven filters that every topic matches, and of each device three that only its own topics do.
            for (number, filter) in ["#", "site/#", "site/+/#", "+/+/+/+", "site/+/+/temperature", "+/+/+/temperature", "site/+/+/+"].enumerated() {
                tree.insert(try TopicFilter(filter), number, 0)
            }
            let devices = (count - 7) / 3
            for device in 0..<devices {
                let place = "site/\(device % 100)/\(device)"
                tree.insert(try TopicFilter("\(place)/temperature"), device, 0)
                tree.insert(try TopicFilter("\(place)/+"), device, 0)
                tree.insert(try TopicFilter("\(place)/#"), device, 0)
            }
            // The topics of one device after another, far apart, so that a large table has no help of the caches.
            var (device, topics) = (0, [TopicName]())
            for _ in 0..<10_000 {
                topics.append(try TopicName("site/\(device % 100)/\(device)/temperature"))
                device = (device + 7_919) % devices
            }
            var found = SubscriptionMatches<Int, Int>()
            var times: [Double] = []
            for _ in 0...measure.runs {
                let began = Clock.threadNanoseconds()
                for topic in topics {
                    found.removeAll()
                    tree.match(topic, into: &found)
                    guard found.lists.count == Self.matches else { throw BenchError("\(topic.text) matches \(found.lists.count) filters, not \(Self.matches)") }
                }
                times.append(Double(Clock.threadNanoseconds() - began) / 1e3 / Double(topics.count))
            }
            report.add(
                "routing table of \(Report.number(Double(count), digits: 0)) subscriptions, \(Self.matches) matches", runs: [Array(times.dropFirst())],
                "µs/match")
        }
    }

    /// The whole broker: a pair of clients while others hold the subscriptions.
    static func measureBrokers(_ run: MQTTRun, into report: inout Report) throws {
        let loop = run.loop
        for count in Self.counts(run.measure) {
            let brokers = try run.makeBoth()
            defer { for broker in brokers { broker.stop() } }
            var holders: [NIOLoopBound<MQTTBenchClient>] = []
            for broker in brokers {
                try broker.start()
                let port = broker.mqttPort
                let clients = try Connecting.each((0..<20).map { "holder-\($0)" }, on: loop) { MQTTBenchClient.connect(port: port, clientID: $0, on: loop) }
                holders += clients
                var number = 0
                while number < count {
                    let next = min(number + 1_000, count)
                    let filters = (number..<next).map { $0 % 2 == 0 ? "held/\($0 % 100)/\($0)/+" : "held/\($0 % 100)/\($0)/state" }
                    let client = clients[number / 1_000 % clients.count]
                    try loop.flatSubmit { client.value.subscribe(filters, qos: .atMostOnce) }.wait()
                    number = next
                }
            }
            let pattern = MQTTPattern(name: "", publishers: 1, subscribers: 1, qos: .atMostOnce, payloadBytes: 64, window: run.window)
            let figures = try MQTTPatterns.run(pattern, brokers, run, runs: run.measure.runs)
            report.add(
                "a pair beside \(Report.number(Double(count), digits: 0)) other subscriptions, processor",
                runs: figures.map { $0.map(\.microseconds) }, "µs/delivery")
            let held = holders
            try loop.submit { for client in held { client.value.close() } }.wait()
        }
    }

    private static func counts(_ measure: Measure) -> [Int] { measure.isQuick ? [1_000, 10_000] : [1_000, 10_000, 100_000, 1_000_000] }
}
