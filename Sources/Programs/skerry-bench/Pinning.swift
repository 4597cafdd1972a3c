/// Which processors the brokers may use and which the clients: so that no run is one where both happened to share.
///
/// `taskset` (util-linux) does it, for what is started here and for this process, before that has a second thread.
struct Pinning: Sendable {
    let broker: [Int]
    let clients: [Int]

    /// The first half of the processors for the broker, the rest for the clients.
    ///
    /// - Parameter text: `BROKER:CLIENTS`, each as `taskset -c` takes it; `none` for no pinning; empty for halves.
    static func parse(_ text: String) throws -> Pinning? {
        if text == "none" { return nil }
        let allowed = Self.allowed()
        if text.isEmpty {
            guard allowed.count > 1 else { return nil }
            return Pinning(broker: Array(allowed.prefix(allowed.count / 2)), clients: Array(allowed.dropFirst(allowed.count / 2)))
        }
        let parts = text.split(separator: ":").compactMap { Self.list($0) }
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(allowed.contains) }) else {
            throw BenchError("--cores is BROKER:CLIENTS such as 0-1:2-3, of processors \(Self.text(allowed)), or none")
        }
        return Pinning(broker: parts[0], clients: parts[1])
    }

    var description: String { "brokers on processor \(Self.text(self.broker)), clients on \(Self.text(self.clients))" }

    /// Starts a program on the brokers' processors; the process is that program, `taskset` is gone by then.
    func prefix(_ path: String, _ arguments: [String]) -> (String, [String]) {
        ("taskset", ["-c", Self.text(self.broker), path] + arguments)
    }

    /// Moves this process. Threads made later inherit it.
    func pinClients() throws {
        let tool = try ServerProcess("taskset", ["-cp", Self.text(self.clients), "\(ProcFile.ownPID)"], log: "/dev/null")
        guard tool.exitStatus() == 0 else { throw BenchError("taskset (Debian package util-linux) cannot pin the clients; --cores none does without") }
    }

    private static func text(_ cores: [Int]) -> String { cores.map(String.init).joined(separator: ",") }

    private static func allowed() -> [Int] {
        for line in ProcFile.text("/proc/self/status").split(separator: "\n") where line.hasPrefix("Cpus_allowed_list:") {
            return Self.list(line.dropFirst("Cpus_allowed_list:".count).filter { !$0.isWhitespace }[...]) ?? []
        }
        return []
    }

    /// `0-2,5` in numbers.
    private static func list(_ text: some StringProtocol) -> [Int]? {
        var result: [Int] = []
        for piece in text.split(separator: ",") {
            let ends = piece.split(separator: "-").map { Int($0) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first <= last, last < 4_096 else { return nil }
            result += first...last
        }
        return result
    }
}
