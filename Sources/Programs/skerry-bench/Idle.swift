import ArgumentParser
import MQTTCodec
import NIOCore
import NIOPosix

/// What a connection costs that does nothing.
struct Idle: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Memory of an idle MQTT and of an idle WebSocket connection.",
        discussion: "Every connection is authenticated with a person's token, 50 of a person; the difference in anonymous memory, divided by their number.")

    @OptionGroup var options: Options
    @Option(help: "Connections of each kind.") var connections = 2_000

    func run() throws {
        let measure = try self.options.measure()
        var report = Report(machine: Machine.description(), program: measure.skerry)
        try Self.measure(measure, connections: self.connections, into: &report)
        report.print(asJSON: self.options.json)
    }

    private static let perPerson = 50

    static func measure(_ measure: Measure, connections count: Int, into report: inout Report) throws {
        guard (100...10_000).contains(count) else { throw ValidationError("--connections is 100 to 10000") }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let loop = group.next()
        for kind in ["MQTT", "WebSocket"] {
            let box = try MeasuredBox(measure)
            try box.start()
            try box.claim()
            let people = try box.people((count + Self.perPerson - 1) / Self.perPerson)
            let (httpPort, mqttPort) = (box.httpPort, box.mqttPort)
            let process = try box.running
            let items = Array(0..<count)
            let connect: @Sendable (Int) -> EventLoopFuture<Void> = { number in
                let person = people[number / Self.perPerson]
                if kind == "MQTT" {
                    return MQTTBenchClient.connect(port: mqttPort, clientID: "idle\(number)", login: person, on: loop).map { _ in }
                }
                return ChatConnections.connect(person, peer: nil, port: httpPort, on: loop, prefix: "idle").map { sender in
                    // Nobody reads what this client gets; the handler keeps it alive with the connection.
                    sender.value.keepWithConnection()
                }
            }
            // A few first, so that what is made once is not counted for each.
            _ = try Connecting.each(Array(items.prefix(Self.perPerson)), on: loop, connect)
            Clock.sleep(milliseconds: 1_000)
            let before = process.anonymousKilobytes
            _ = try Connecting.each(Array(items.dropFirst(Self.perPerson)), on: loop, connect)
            Clock.sleep(milliseconds: 2_000)
            let bytes = (process.anonymousKilobytes - before) * 1_024 / Double(count - Self.perPerson)
            report.add("idle \(kind) connection (of \(Report.number(Double(count), digits: 0)))", bytes, "bytes")
            box.stop()
        }
    }
}
