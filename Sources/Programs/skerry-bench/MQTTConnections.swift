import MQTTCodec
import NIOCore

/// What a connection costs that does nothing, without an account and by the thousand.
enum MQTTConnections {
    /// Made first and not counted, so that what is made once is not counted for each.
    private static let first = 50
    /// Connections from one loopback address: neither ports nor limits by address run short.
    private static let perAddress = 500

    static func measure(_ run: MQTTRun, count wanted: Int, into report: inout Report) throws {
        let count = max(run.measure.scaled(wanted), Self.first * 4)
        let loop = run.loop
        let makers = [run.makeBox] + (run.makeMosquitto.map { [$0(.none)] } ?? [])
        var (idle, subscribed) = (makers.map { _ in [Double]() }, makers.map { _ in [Double]() })
        for round in 1...run.measure.runs {
            for (index, make) in makers.enumerated() {
                let broker = try make()
                try broker.start()
                defer { broker.stop() }
                let (process, port) = (try broker.running, broker.mqttPort)
                let connect: @Sendable (Int) -> EventLoopFuture<NIOLoopBound<MQTTBenchClient>> = { number in
                    let address = "127.0.1.\(1 + number / Self.perAddress)"
                    return MQTTBenchClient.connect(port: port, clientID: "idle-\(number)", from: address, on: loop)
                }
                var clients = try Connecting.each(Array(0..<Self.first), on: loop, connect)
                let base = Waiting.settledMemory(of: process)
                clients += try Connecting.each(Array(Self.first..<count), on: loop, connect)
                let connected = Waiting.settledMemory(of: process)
                let filters = clients.indices.map { "idle/\($0)/command" }
                let pairs = Array(zip(clients, filters))
                let left = clients
                _ = try Connecting.each(pairs, on: loop) { client, filter in client.value.subscribe(filter, qos: .atLeastOnce) }
                let all = Waiting.settledMemory(of: process)
                let counted = Double(count - Self.first)
                idle[index].append((connected - base) / counted)
                subscribed[index].append((all - base) / counted)
                Progress.say("connections, \(broker.brokerName), run \(round): \(Report.number((connected - base) / counted)) bytes")
                if let failure = try loop.submit({ left.lazy.compactMap { $0.value.failure }.first }).wait() { throw BenchError(failure) }
                try loop.submit { for client in left { client.value.close() } }.wait()
            }
        }
        let words = Report.number(Double(count), digits: 0)
        report.add("idle connection, of \(words)", runs: idle, "bytes", target: "≤ 5,000")
        report.add("with one subscription", runs: subscribed, "bytes", target: "≤ 6,000")
    }
}
