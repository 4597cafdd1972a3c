/// A broker that this program can start, end and start again on the same data.
protocol MQTTBroker: AnyObject {
    var brokerName: String { get }
    var mqttPort: Int { get }
    var running: ServerProcess { get throws }
    func start() throws
    func stop()
}

extension MQTTBroker {
    /// kill -9, then a start on what is left.
    func killAndStart() throws {
        try self.running.kill9()
        try self.start()
    }
}

extension MeasuredBox: MQTTBroker {
    var brokerName: String { "skerry" }

    /// A box for MQTT benchmarks: open to all, and no limit of the box's in the way of the load.
    static func forMQTT(_ measure: Measure) throws -> MeasuredBox {
        let settings = """
            mqtt.anonymous = #
            mqtt.receive_max = 10000
            mqtt.in_flight_max = 10000
            mqtt.queued_messages_max = 10000000
            mqtt.queued_bytes_max = 16777216000
            mqtt.retained_messages_max = 10000000
            mqtt.retained_bytes_max = 16777216000
            mqtt.subscriptions_max = 1000000
            connections.max = 100000
            connections.per_address_max = 100000
            connections.per_address_burst = 100000
            mqtt.connect_burst = 100000

            """
        return try MeasuredBox(measure, extraSettings: settings)
    }
}

/// Debian's Mosquitto on a port and a directory of its own.
final class Mosquitto: MQTTBroker {
    /// What it writes to the disk, of what version 2.0 offers.
    enum Persistence: String {
        case none = "persistence false\n"
        /// Every half hour and at a clean end.
        case interval = "persistence true\n"
        /// Everything, after every turn of its loop that changed something.
        case everyChange = "persistence true\nautosave_on_changes true\nautosave_interval 1\n"
    }

    let brokerName: String
    private(set) var mqttPort = 0
    private let path: String
    private let pinning: Pinning?
    private let directory: String
    private let persistence: Persistence
    private var process: ServerProcess?

    init(_ path: String, _ measure: Measure, _ persistence: Persistence = .none) throws {
        self.path = path
        self.pinning = measure.pinning
        self.directory = try ProcFile.makeDirectory(under: measure.directory)
        self.persistence = persistence
        switch persistence {
        case .none: self.brokerName = "mosquitto"
        case .interval: self.brokerName = "mosquitto, persistence"
        case .everyChange: self.brokerName = "mosquitto, autosave_on_changes"
        }
    }

    func start() throws {
        self.mqttPort = try FreePort.find()
        let settings = """
            listener \(self.mqttPort) 127.0.0.1
            allow_anonymous true
            max_queued_messages 0
            max_inflight_messages 0
            set_tcp_nodelay true
            log_type error
            persistence_location \(self.directory)/
            \(ProcFile.isAdministrator ? "user root" : "")
            \(self.persistence.rawValue)
            """
        try ProcFile.put(settings, at: self.directory + "/mosquitto.conf")
        let process = try ServerProcess(self.path, ["-c", self.directory + "/mosquitto.conf"], log: self.directory + "/log", pinning: self.pinning)
        self.process = process
        let deadline = Clock.nanoseconds() + 60_000_000_000
        while !FreePort.isServed(self.mqttPort) {
            guard !process.hasEnded, Clock.nanoseconds() < deadline else {
                throw BenchError(
                    "\(self.path) does not start (Debian package mosquitto; --mosquitto '' measures without): \(ProcFile.text(self.directory + "/log").suffix(500))"
                )
            }
            Clock.sleep(milliseconds: 5)
        }
    }

    func stop() {
        self.process?.stop()
        self.process = nil
    }

    var running: ServerProcess {
        get throws {
            guard let process = self.process else { throw BenchError("mosquitto does not run") }
            return process
        }
    }

    /// Has it write down what it knows now, so that a kill finds at least that.
    func save() throws {
        guard self.persistence != .none else { return }
        let file = self.directory + "/mosquitto.db"
        try self.running.signal(10)  // SIGUSR1
        try Waiting.until("mosquitto.db is written", seconds: 30) { ProcFile.exists(file) }
    }

    deinit {
        self.process?.stop()
        ProcFile.remove(self.directory)
    }
}
