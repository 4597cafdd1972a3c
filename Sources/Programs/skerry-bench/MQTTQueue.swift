import MQTTCodec
import NIOCore

/// Messages for a subscriber that is away: taken, kept over a kill, handed out.
enum MQTTQueue {
    private static let subscriber = "absent"
    private static let filter = "queue/#"
    private static let publishers = 50

    /// Acknowledged messages a second while the subscriber is away, and delivered ones a second when it is back.
    static func rates(_ run: MQTTRun, into report: inout Report) throws {
        let count = run.measure.scaled(100_000)
        // Run by run in turn: what else the machine does must meet both.
        let makers = [run.makeBox] + (run.makeMosquitto.map { [$0(.none)] } ?? [])
        var (ingest, drain, cost) = (makers.map { _ in [Double]() }, makers.map { _ in [Double]() }, makers.map { _ in [Double]() })
        for number in 1...run.measure.runs {
            for (index, make) in makers.enumerated() {
                let broker = try make()
                try broker.start()
                defer { broker.stop() }
                let figures = try Self.once(broker, count: count, run, watch: nil)
                Progress.say("queue, \(broker.brokerName), run \(number): \(Report.number(figures.ingest)) in, \(Report.number(figures.drain)) out")
                ingest[index].append(figures.ingest)
                drain[index].append(figures.drain)
                cost[index].append(figures.microseconds)
            }
        }
        report.add(
            "QoS 1 for an absent durable subscriber, \(Self.publishers) publishers, acknowledged", runs: ingest, "messages/s", target: "≥ 20,000")
        report.add("processor time of each, until it was acknowledged", runs: cost, "µs/message")
        report.add("the same when the subscriber is back, delivered", runs: drain, "messages/s", target: "≥ 40,000")
    }

    /// What a very long queue costs in memory.
    static func million(_ run: MQTTRun, into report: inout Report) throws {
        let count = run.measure.scaled(1_000_000)
        var growth: [(queued: Double, peakIn: Double, peakOut: Double)] = []
        for make in [run.makeBox] + (run.makeMosquitto.map { [$0(.none)] } ?? []) {
            let broker = try make()
            try broker.start()
            defer { broker.stop() }
            let watch = MemoryWatch(try broker.running)
            let figures = try Self.once(broker, count: count, run, watch: watch)
            growth.append((figures.queuedBytes, figures.peakIn, figures.peakOut))
            Progress.say("million, \(broker.brokerName): \(Report.number(figures.ingest)) messages/s in, \(Report.number(figures.drain)) out")
        }
        let words = Report.number(Double(count), digits: 0)
        let other = growth.count > 1 ? growth[1] : nil
        report.add("\(words) messages queued, anonymous memory", growth[0].queued / 1e6, "MB", beside: other.map { $0.queued / 1e6 }, target: "< 64")
        report.add("the most while they were queued", growth[0].peakIn / 1e6, "MB", beside: other.map { $0.peakIn / 1e6 }, target: "< 64")
        report.add("the most while they were handed out", growth[0].peakOut / 1e6, "MB", beside: other.map { $0.peakOut / 1e6 }, target: "< 64")
    }

    /// Acknowledged messages that a `kill -9` in the middle of it all has taken.
    static func kill(_ run: MQTTRun, into report: inout Report) throws {
        let kinds = [run.makeBox] + (run.makeMosquitto.map { [$0(.interval), $0(.everyChange)] } ?? [])
        for make in kinds {
            var (missing, acknowledged, name) = (0, 0, "")
            for _ in 1...min(run.measure.runs, 3) {
                let broker = try make()
                try broker.start()
                defer { broker.stop() }
                let result = try Self.killed(broker, run)
                Progress.say("kill, \(broker.brokerName): \(result.missing) of \(result.acknowledged) missing")
                (missing, acknowledged, name) = (missing + result.missing, acknowledged + result.acknowledged, broker.brokerName)
            }
            report.add(
                "kill -9, \(name): acknowledged messages missing, of \(Report.number(Double(acknowledged), digits: 0))", Double(missing), "messages",
                target: name == "skerry" ? "0" : nil)
        }
    }

    // MARK: - Parts

    private struct Figures {
        var ingest = 0.0
        /// Processor time of a message until its acknowledgement.
        var microseconds = 0.0
        var drain = 0.0
        var queuedBytes = 0.0
        var peakIn = 0.0
        var peakOut = 0.0
    }

    private static func once(_ broker: any MQTTBroker, count: Int, _ run: MQTTRun, watch: MemoryWatch?) throws -> Figures {
        let (port, loop) = (broker.mqttPort, run.loop)
        var figures = Figures()
        try Self.makeSession(port, loop)
        let ingest = try loop.submit { NIOLoopBound(MQTTIngest(count: count, window: run.ingestWindow) { _ in "queue/in" }, eventLoop: loop) }.wait()
        let clients = try Self.connectPublishers(port, loop)
        try watch?.begin()
        let process = try broker.running
        let (began, processor) = (Clock.nanoseconds(), process.processorSeconds)
        try loop.submit { ingest.value.start(clients.map(\.value)) }.wait()
        let taken = try Waiting.count(to: count) {
            watch?.look()
            if let failure = try loop.submit({ ingest.value.failure }).wait() { throw BenchError("\(broker.brokerName): \(failure)") }
            return try loop.submit { ingest.value.acknowledgedCount }.wait()
        }
        figures.ingest = Double(taken) / (Double(Clock.nanoseconds() - began) / 1e9)
        figures.microseconds = (process.processorSeconds - processor) / Double(taken) * 1e6
        guard taken == count else { throw BenchError("\(broker.brokerName) acknowledged \(taken) of \(count) messages and then no more") }
        try loop.submit { ingest.value.close() }.wait()
        if let watch {
            figures.peakIn = watch.growth
            figures.queuedBytes = watch.settledGrowth()
            watch.restart()
        }

        let collector = try loop.submit { NIOLoopBound(MQTTCollector(count: count), eventLoop: loop) }.wait()
        let returned = Clock.nanoseconds()
        let client = try Self.returnSubscriber(port, loop, collector)
        guard try loop.submit({ client.value.isSessionPresent }).wait() else { throw BenchError("\(broker.brokerName) has forgotten the session") }
        let given = try Waiting.count(to: count) {
            watch?.look()
            if let failure = try loop.submit({ client.value.failure }).wait() { throw BenchError("\(broker.brokerName): \(failure)") }
            return try loop.submit { collector.value.count }.wait()
        }
        guard given == count else { throw BenchError("\(broker.brokerName) handed out \(given) of \(count) queued messages and then no more") }
        figures.drain = Double(given) / (Double(try loop.submit { collector.value.lastArrival }.wait() - returned) / 1e9)
        if let watch { figures.peakOut = watch.growth }
        try loop.submit { client.value.close() }.wait()
        return figures
    }

    private static func killed(_ broker: any MQTTBroker, _ run: MQTTRun) throws -> (missing: Int, acknowledged: Int) {
        let loop = run.loop
        let goal = run.measure.scaled(50_000)
        try Self.makeSession(broker.mqttPort, loop)
        try (broker as? Mosquitto)?.save()
        let ingest = try loop.submit { NIOLoopBound(MQTTIngest(count: goal * 2, window: run.ingestWindow) { _ in "queue/in" }, eventLoop: loop) }.wait()
        let clients = try Self.connectPublishers(broker.mqttPort, loop)
        try loop.submit { ingest.value.start(clients.map(\.value)) }.wait()
        // In full swing. A broker that writes everything at each turn gets slower and slower: some seconds are enough.
        let deadline = Clock.nanoseconds() + 10_000_000_000
        while try loop.submit({ ingest.value.acknowledgedCount }).wait() < goal, Clock.nanoseconds() < deadline { Clock.sleep(milliseconds: 2) }
        try broker.running.kill9()
        try Waiting.until("the clients notice that the broker is gone", seconds: 20) {
            try loop.submit { clients.allSatisfy { $0.value.failure != nil } }.wait()
        }
        let acknowledged = try loop.submit { () -> [Bool] in
            ingest.value.close()
            return ingest.value.isAcknowledged
        }.wait()
        guard acknowledged.contains(true) else { throw BenchError("\(broker.brokerName) acknowledged nothing before it was killed") }
        try broker.start()

        let port = broker.mqttPort
        let count = acknowledged.count
        let collector = try loop.submit { NIOLoopBound(MQTTCollector(count: count), eventLoop: loop) }.wait()
        let client = try Self.returnSubscriber(port, loop, collector)
        if try !loop.submit({ client.value.isSessionPresent }).wait() {
            try loop.flatSubmit { client.value.subscribe(Self.filter, qos: .atLeastOnce) }.wait()
        }
        // One more message behind all the others: when it comes, nothing else is to come.
        let last = try Connecting.each(["last"], on: loop) { MQTTBenchClient.connect(port: port, clientID: $0, on: loop) }[0]
        try loop.submit {
            var packet = ByteBuffer()
            MQTTPublishBytes.append(to: &packet, topic: "queue/in", id: 1, stamp: UInt64(count), payloadBytes: 64)
            last.value.send(packet)
        }.wait()
        try Waiting.until("the queue is handed out after the restart", seconds: 120) { try loop.submit { collector.value.hasEnded }.wait() }
        let arrived = try loop.submit { () -> [Bool] in
            client.value.close()
            last.value.close()
            return collector.value.hasArrived
        }.wait()
        let missing = zip(acknowledged, arrived).count { $0 && !$1 }
        return (missing, acknowledged.count { $0 })
    }

    private static func makeSession(_ port: Int, _ loop: any EventLoop) throws {
        let client = try Connecting.each([Self.subscriber], on: loop) { MQTTBenchClient.connect(port: port, clientID: $0, isDurable: true, on: loop) }[0]
        try loop.flatSubmit { client.value.subscribe(Self.filter, qos: .atLeastOnce) }.wait()
        try loop.submit { client.value.leave() }.wait()
    }

    private static func connectPublishers(_ port: Int, _ loop: any EventLoop) throws -> [NIOLoopBound<MQTTBenchClient>] {
        try Connecting.each((0..<Self.publishers).map { "publisher-\($0)" }, on: loop) { MQTTBenchClient.connect(port: port, clientID: $0, on: loop) }
    }

    private static func returnSubscriber(
        _ port: Int, _ loop: any EventLoop, _ collector: NIOLoopBound<MQTTCollector>
    ) throws -> NIOLoopBound<MQTTBenchClient> {
        try Connecting.each([Self.subscriber], on: loop) { id in
            MQTTBenchClient.connect(port: port, clientID: id, isDurable: true, on: loop) { client in collector.value.attach(to: client) }
        }[0]
    }
}
