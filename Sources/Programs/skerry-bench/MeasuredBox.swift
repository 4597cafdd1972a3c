#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A box under measurement: a data directory, claimed once, and the process that serves it.
final class MeasuredBox {
    private let measure: Measure
    let directory: String
    private(set) var process: ServerProcess?
    private(set) var httpPort = 0
    private(set) var mqttPort = 0
    private(set) var adminToken = ""
    private var inviteToken = ""
    private var peopleCount = 0

    /// Limits that would be in the way of measuring are lifted; all else is as it is for everybody.
    private static let settings = """
        chat.send_burst = 100000
        chat.send_per_second = 100000
        mqtt.connections_max = 100000

        """

    init(_ measure: Measure, extraSettings: String = "") throws {
        self.measure = measure
        self.directory = try ProcFile.makeDirectory(under: measure.directory)
        try ProcFile.put(Self.settings + extraSettings, at: self.directory + "/bench.conf")
    }

    deinit {
        self.process?.stop()
        ProcFile.remove(self.directory)
    }

    /// Starts the process; returns when all listeners are open.
    func start() throws {
        let published = self.directory + "/data/run/endpoints.json"
        unlink(published)
        let process = try ServerProcess(
            self.measure.skerry,
            [
                "serve", "--data", self.directory + "/data", "--bind", "127.0.0.1", "--http-port", "0", "--mqtt-port", "0", "--https-port", "0", "--mqtts-port",
                "0", "--federation-port", "0",
                "--config", self.directory + "/bench.conf",
            ] + self.measure.settings.flatMap { ["--set", $0] }, log: self.directory + "/log", pinning: self.measure.pinning)
        self.process = process
        let deadline = Clock.nanoseconds() + 30_000_000_000
        while true {
            if let bytes = ProcFile.bytes(published), let ports = Self.ports(String(decoding: bytes, as: UTF8.self)) {
                (self.httpPort, self.mqttPort) = ports
                return
            }
            guard !process.hasEnded, Clock.nanoseconds() < deadline else {
                throw BenchError("the box does not start:\n\(ProcFile.text(self.directory + "/log").suffix(2_000))")
            }
            usleep(200)
        }
    }

    func stop() {
        self.process?.stop()
        self.process = nil
    }

    var running: ServerProcess {
        get throws {
            guard let process = self.process else { throw BenchError("the box does not run") }
            return process
        }
    }

    /// Makes the first administrator and an invite for everybody else.
    func claim() throws {
        let link = ProcFile.text(self.directory + "/data/run/claim.link").split(separator: "\n").first ?? ""
        guard let token = link.split(separator: "/").last else { throw BenchError("there is no claim link") }
        let login = try self.post("/v1/claim", "{\"token\":\"\(token)\",\"name\":\"admin\",\"password\":\"a password to measure with\"}")
        self.adminToken = try JSONText.string("token", in: login)
        let invite = try self.post("/v1/admin/invites", "{\"role\":\"user\",\"uses\":1000,\"hours\":24}", token: self.adminToken)
        self.inviteToken = try JSONText.string("token", in: invite)
    }

    /// A person with a token of their own.
    struct Person: Sendable {
        let name: String
        let token: String
        let address: String
    }

    /// New people; each comes from an address of their own, because the box counts tries by address.
    func people(_ count: Int) throws -> [Person] {
        try (0..<count).map { _ in
            self.peopleCount += 1
            let name = "person\(self.peopleCount)"
            let address = "127.0.\(1 + self.peopleCount / 200).\(1 + self.peopleCount % 200)"
            let body = "{\"token\":\"\(self.inviteToken)\",\"name\":\"\(name)\",\"password\":\"a password to measure with\"}"
            return Person(name: name, token: try JSONText.string("token", in: try self.post("/v1/invites/accept", body, from: address)), address: address)
        }
    }

    /// What a verb of the command line prints on this box.
    func verb(_ arguments: [String], input: String = "") throws -> String {
        let (given, printed) = (self.directory + "/verb.in", self.directory + "/verb.out")
        try ProcFile.put(input, at: given)
        unlink(printed)
        let verb = try ServerProcess(self.measure.skerry, arguments + ["--data", self.directory + "/data"], log: printed, input: given)
        let status = verb.exitStatus()
        let text = ProcFile.text(printed)
        guard status == 0 else { throw BenchError("skerry \(arguments.joined(separator: " ")) ended with \(status): \(text)") }
        return text
    }

    /// Joins the federation of `other`, which is made if there is none.
    func join(_ other: MeasuredBox) throws {
        let token = try other.verb(["pair", "invite"]).split(separator: "\n").last.map(String.init) ?? ""
        _ = try self.verb(["pair", "join"], input: token + "\n")
        try Waiting.until("the account of the founder is known at the other box", seconds: 30, every: 50) {
            guard
                let login = try? BlockingHTTP.post(
                    port: self.httpPort, "/v1/login", "{\"name\":\"admin\",\"password\":\"a password to measure with\",\"device\":\"bench\"}", token: nil,
                    from: nil)
            else { return false }
            self.adminToken = try JSONText.string("token", in: login)
            return true
        }
    }

    /// The same person at this box: their token is good at every box of the federation.
    func get(_ path: String) throws -> String { try BlockingHTTP.get(port: self.httpPort, path, token: self.adminToken) }

    func post(_ path: String, _ body: String, token: String? = nil, from address: String? = nil) throws -> String {
        try BlockingHTTP.post(port: self.httpPort, path, body, token: token, from: address)
    }

    /// `(http, mqtt)` of `endpoints.json`.
    private static func ports(_ text: String) -> (Int, Int)? {
        let compact = text.filter { !" \n\t".contains($0) }
        func port(_ kind: String) -> Int? {
            for piece in compact.split(separator: "{") where piece.contains("\"kind\":\"\(kind)\"") && !piece.contains("\"tls\":true") {
                return JSONText.number("port", in: piece)
            }
            return nil
        }
        guard compact.hasSuffix("}"), let http = port("http"), let mqtt = port("mqtt") else { return nil }
        return (http, mqtt)
    }
}

/// The few values that are needed of answers whose form is known.
enum JSONText {
    static func string(_ name: String, in text: some StringProtocol) throws -> String {
        let text = String(text)
        guard let start = text.firstRange(of: "\"\(name)\":\"")?.upperBound, let end = text[start...].firstIndex(of: "\"") else {
            throw BenchError("there is no \(name) in \(text.prefix(300))")
        }
        return String(text[start..<end])
    }

    static func number(_ name: String, in text: some StringProtocol) -> Int? {
        let text = String(text)
        guard let start = text.firstRange(of: "\"\(name)\":")?.upperBound else { return nil }
        return Int(text[start...].prefix { $0.isNumber })
    }
}

extension String {
    /// `Collection.firstRange(of:)` of the standard library searches characters; bytes are what is wanted here, and no Foundation.
    fileprivate func firstRange(of needle: String) -> Range<String.Index>? {
        let (hay, pin) = (self.utf8, Array(needle.utf8))
        var start = hay.startIndex
        while let found = hay[start...].firstIndex(of: pin[0]) {
            if hay[found...].starts(with: pin) { return found..<hay.index(found, offsetBy: pin.count) }
            start = hay.index(after: found)
        }
        return nil
    }
}
