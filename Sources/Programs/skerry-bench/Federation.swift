import ArgumentParser
import NIOCore
import NIOPosix

/// What it costs to be several boxes.
struct Federation: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Several boxes: from one box to a client of another, how much three take, catching up, and doing nothing.",
        discussion: """
            All boxes run on this machine and share its processors with the clients. A message counts when it is acknowledged (stored), and as shown when \
            the client at the other box has it.
            """)

    @OptionGroup var options: Options
    @Option(help: "Entries that a box misses and then fetches.") var entries = 1_000_000
    @Option(help: "Seconds of doing nothing.") var idleSeconds = 60
    @Option(help: "Only these parts: latency, rate, catchup, idle.") var only = "latency,rate,catchup,idle"

    func run() throws {
        let measure = try self.options.measure()
        var report = Report(machine: Machine.description(), program: measure.skerry)
        try Self.measure(measure, entries: self.entries, idleSeconds: self.idleSeconds, only: self.only, into: &report)
        report.print(asJSON: self.options.json)
    }

    static func measure(
        _ measure: Measure, entries: Int, idleSeconds: Int, only: String = "latency,rate,catchup,idle", into report: inout Report
    ) throws {
        let parts = Set(only.split(separator: ",").map(String.init))
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let loop = group.next()
        if parts.contains("latency") { try Self.latency(measure, loop, &report) }
        if parts.contains("rate") { try Self.rate(measure, loop, &report) }
        if parts.contains("idle") { try Self.idle(measure, seconds: measure.isQuick ? 10 : idleSeconds, &report) }
        if parts.contains("catchup") { try Self.catchUp(measure, loop, entries: measure.scaled(entries), &report) }
    }

    /// Boxes of one federation, the first its founder.
    private static func boxes(_ measure: Measure, _ count: Int) throws -> [MeasuredBox] {
        Progress.say("federation: starting and pairing \(count) boxes")
        let boxes = try (0..<count).map { _ in try MeasuredBox(measure) }
        for box in boxes { try box.start() }
        try boxes[0].claim()
        for box in boxes.dropFirst() { try box.join(boxes[0]) }
        for box in boxes { try Self.waitForLinks(box, count - 1) }
        return boxes
    }

    private static func waitForLinks(_ box: MeasuredBox, _ count: Int) throws {
        try Waiting.until("all links are there", seconds: 60, every: 50) {
            let text = try box.get("/v1/admin/boxes")
            return text.pieces(of: "\"phase\":\"live\"") >= count
        }
    }

    // MARK: From one box to a client of another

    private static func latency(_ measure: Measure, _ loop: any EventLoop, _ report: inout Report) throws {
        let boxes = try Self.boxes(measure, 2)
        for count in [1, 20] {
            let senders = try boxes[0].people(count)
            let reader = try boxes[0].people(1)[0]
            try Self.waitForAccounts(boxes[1], boxes[0])
            let port = boxes[1].httpPort
            let watcher = try loop.flatSubmit { ChatWatcher.connect(reader, port: port, on: loop) }.wait()
            let clients = try Connecting.each(senders, on: loop) { [port = boxes[0].httpPort] person in
                ChatConnections.connect(person, peer: reader.name, port: port, on: loop, prefix: person.name)
            }
            var p50: [Double] = []
            var p99: [Double] = []
            for run in 0...measure.runs {
                try loop.submit {
                    watcher.value.latencies.removeAll()
                    for client in clients { client.value.startTimed() }
                }.wait()
                Clock.sleep(milliseconds: measure.seconds * 1_000)
                try loop.submit {
                    for client in clients { client.value.stop() }
                    if let failure = clients.lazy.compactMap({ $0.value.failure }).first { throw BenchError(failure) }
                }.wait()
                Clock.sleep(milliseconds: 500)
                let latencies = try loop.submit { watcher.value.latencies }.wait()
                guard latencies.count > 10 else {
                    let sent = try loop.submit { clients.reduce(0) { $0 + $1.value.latencies.count } }.wait()
                    throw BenchError("only \(latencies.count) of \(sent) messages reached the other box")
                }
                if run == 0 { continue }
                p50.append(Statistics.percentile(latencies, 0.5) / 1e6)
                p99.append(Statistics.percentile(latencies, 0.99) / 1e6)
            }
            let name = count == 1 ? "1 sender" : "\(count) senders"
            report.add("send on A → shown on B, \(name), p50", runs: [p50], "ms", target: "25")
            report.add("send on A → shown on B, \(name), p99", runs: [p99], "ms", target: "80")
        }
    }

    /// People who were made at one box can sign in at the other.
    private static func waitForAccounts(_ box: MeasuredBox, _ founder: MeasuredBox) throws {
        try Waiting.until("accounts are known at the other box", seconds: 30, every: 50) {
            let (here, there) = (try box.get("/v1/admin/overview"), try founder.get("/v1/admin/overview"))
            return JSONText.number("users", in: here) == JSONText.number("users", in: there)
        }
    }

    // MARK: Three boxes against one

    private static func rate(_ measure: Measure, _ loop: any EventLoop, _ report: inout Report) throws {
        let single = try MeasuredBox(measure)
        try single.start()
        try single.claim()
        let one = try Self.rates(measure, [single], senders: 99, loop)
        single.stop()
        let boxes = try Self.boxes(measure, 3)
        let three = try Self.rates(measure, boxes, senders: 99, loop)
        report.add("acknowledged by a box alone, 99 senders", runs: [one], "messages/s")
        report.add("acknowledged by three boxes, 33 senders each", runs: [three], "messages/s", target: "≥ half of it")
    }

    private static func rates(_ measure: Measure, _ boxes: [MeasuredBox], senders: Int, _ loop: any EventLoop) throws -> [Double] {
        let people = try boxes[0].people(senders + 1)
        if boxes.count > 1 { for box in boxes.dropFirst() { try Self.waitForAccounts(box, boxes[0]) } }
        let peer = people[senders].name
        var clients: [NIOLoopBound<ChatSender>] = []
        for (index, box) in boxes.enumerated() {
            let mine = people.prefix(senders).enumerated().filter { $0.offset % boxes.count == index }.map(\.element)
            clients += try Connecting.each(mine, on: loop) { [port = box.httpPort] person in
                ChatConnections.connect(person, peer: peer, port: port, on: loop, prefix: person.name)
            }
        }
        let everybody = clients
        var rates: [Double] = []
        for run in 0...measure.runs {
            let began = Clock.nanoseconds()
            try loop.submit { for client in everybody { client.value.start() } }.wait()
            Clock.sleep(milliseconds: measure.seconds * 1_000)
            let seconds = Double(Clock.nanoseconds() - began) / 1e9
            let count = try loop.submit { () throws -> Int in
                for client in everybody { client.value.stop() }
                if let failure = everybody.lazy.compactMap({ $0.value.failure }).first { throw BenchError(failure) }
                return everybody.reduce(0) { $0 + $1.value.latencies.count }
            }.wait()
            Clock.sleep(milliseconds: 300)
            if run > 0 { rates.append(Double(count) / seconds) }
        }
        return rates
    }

    // MARK: Doing nothing

    private static func idle(_ measure: Measure, seconds: Int, _ report: inout Report) throws {
        let boxes = try Self.boxes(measure, 3)
        // What comes right after pairing is not idling.
        Clock.sleep(milliseconds: 5_000)
        let processes = try boxes.map { try $0.running }
        let before = try boxes.map { try Self.linkBytes($0) }
        let (processor, written) = (processes.map(\.processorSeconds), processes.map { Self.writtenBytes($0) })
        Clock.sleep(milliseconds: seconds * 1_000)
        let used = zip(processes, processor).map { ($0.processorSeconds - $1) / Double(seconds) * 100 }
        let wrote = zip(processes, written).map { Self.writtenBytes($0) - $1 }
        let sent = zip(try boxes.map { try Self.linkBytes($0) }, before).map { Double($0 - $1) / Double(seconds) / 2 }
        report.add("idle federation of 3: sent on one link by one box", (sent.max() ?? .nan) / 1_000, "kB/s", target: "3 both ways")
        report.add("idle federation of 3: processor of a box", used.max() ?? .nan, "%", target: "0.5")
        report.add("idle federation of 3: written to the disk by a box in \(seconds) s", Double(wrote.max() ?? 0), "bytes", target: "0")
    }

    /// Bytes of messages sent to other boxes, on all links.
    private static func linkBytes(_ box: MeasuredBox) throws -> Int {
        let text = try BlockingHTTP.get(port: box.httpPort, "/metrics", token: box.adminToken)
        for line in text.split(separator: "\n") where line.hasPrefix("skerry_federation_bytes_sent_total ") {
            return line.split(separator: " ").last.flatMap { Double($0) }.map { Int($0) } ?? 0
        }
        throw BenchError("the box does not tell what it sent")
    }

    private static func writtenBytes(_ process: ServerProcess) -> Int {
        for line in ProcFile.text("/proc/\(process.pid)/io").split(separator: "\n") where line.hasPrefix("write_bytes:") {
            return line.split(separator: " ").last.flatMap { Int($0) } ?? 0
        }
        return 0
    }

    // MARK: Catching up

    private static func catchUp(_ measure: Measure, _ loop: any EventLoop, entries: Int, _ report: inout Report) throws {
        let boxes = try Self.boxes(measure, 2)
        boxes[1].stop()
        Progress.say("federation: writing \(entries) entries that the other box misses")
        let people = try boxes[0].people(101)
        let clients = try Connecting.each(Array(people.prefix(100)), on: loop) { [port = boxes[0].httpPort, peer = people[100].name] person in
            ChatConnections.connect(person, peer: peer, port: port, on: loop, prefix: person.name)
        }
        try loop.submit { for client in clients { client.value.start() } }.wait()
        let written = try Waiting.count(to: entries, every: 200) {
            try loop.submit { clients.reduce(0) { $0 + $1.value.latencies.count } }.wait()
        }
        try loop.submit { for client in clients { client.value.stop() } }.wait()
        Clock.sleep(milliseconds: 1_000)
        let there = JSONText.number("messages", in: try boxes[0].get("/v1/admin/overview")) ?? 0
        let giver = MemoryWatch(try boxes[0].running)
        try giver.begin()
        try boxes[1].start()
        let taker = MemoryWatch(try boxes[1].running)
        try taker.begin()
        let began = Clock.nanoseconds()
        let start = JSONText.number("messages", in: try boxes[1].get("/v1/admin/overview")) ?? 0
        let held = try Waiting.count(to: there, patience: 60, every: 20) {
            giver.look()
            taker.look()
            return JSONText.number("messages", in: try boxes[1].get("/v1/admin/overview")) ?? 0
        }
        let seconds = Double(Clock.nanoseconds() - began) / 1e9
        guard held >= there else { throw BenchError("the other box has \(held) of \(there) messages and gets no more") }
        report.note("Catching up: \(written) messages were acknowledged while the other box was away; \(start) were there when counting began.")
        report.add("catching up with \(there) messages", Double(there - start) / seconds, "entries/s", target: "20,000")
        report.add("catching up: memory of the giver", giver.growth / 1_048_576, "MB", target: "16")
        report.add("catching up: memory of the taker", taker.growth / 1_048_576, "MB", target: "16")
    }
}

extension String {
    fileprivate func pieces(of needle: String) -> Int {
        let (hay, pin) = (Array(self.utf8.filter { $0 != 32 }), Array(needle.utf8))
        guard hay.count >= pin.count else { return 0 }
        return (0...(hay.count - pin.count)).count { hay[$0..<($0 + pin.count)].elementsEqual(pin) }
    }
}

/// A client that takes the time at which messages come that carry the time at which they were sent.
final class ChatWatcher {
    var latencies: [Double] = []

    static func connect(_ person: MeasuredBox.Person, port: Int, on loop: any EventLoop) -> EventLoopFuture<NIOLoopBound<ChatWatcher>> {
        let opened = loop.makePromise(of: Void.self)
        let socket = NIOLoopBound(WebSocketClient(host: "127.0.0.1:\(port)", opened: opened), eventLoop: loop)
        let connected = Connecting.open(port: port, from: person.address, on: loop) { socket.value }
        connected.whenFailure { opened.fail($0) }
        return opened.futureResult.flatMap {
            let watcher = NIOLoopBound(ChatWatcher(), eventLoop: loop)
            let greeted = loop.makePromise(of: NIOLoopBound<ChatWatcher>.self)
            socket.value.onText = { frame in
                if frame.readableBytesView.starts(with: Array("{\"id\":".utf8)) {
                    String(buffer: frame).contains("\"error\"") ? greeted.fail(BenchError("\(String(buffer: frame).prefix(200))")) : greeted.succeed(watcher)
                } else {
                    watcher.value.take(frame)
                }
            }
            socket.value.send(ByteBuffer(string: "{\"t\":\"hello\",\"id\":0,\"d\":{\"token\":\"\(person.token)\"}}"))
            return greeted.futureResult
        }
    }

    private func take(_ frame: ByteBuffer) {
        let now = Clock.nanoseconds()
        let view = frame.readableBytesView
        guard let at = view.firstIndex(of: UInt8(ascii: "@")) else { return }
        let digits = view[view.index(after: at)...].prefix { 48...57 ~= $0 }
        guard digits.count > 10, let sent = UInt64(String(decoding: digits, as: UTF8.self)), sent < now else { return }
        self.latencies.append(Double(now - sent))
    }
}

@available(*, unavailable)
extension ChatWatcher: Sendable {}
