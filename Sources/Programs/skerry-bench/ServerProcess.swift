#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A process that this program started and ends, and what the kernel says about it.
final class ServerProcess {
    let pid: pid_t
    private var isRunning = true

    /// - Parameter pinning: where it may run; nil for everywhere.
    init(_ path: String, _ arguments: [String], log: String, pinning: Pinning? = nil, input: String = "/dev/null") throws {
        let (path, arguments) = pinning?.prefix(path, arguments) ?? (path, arguments)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        // Settings of the person who measures must not reach what is measured.
        let environment = (ProcFile.bytes("/proc/self/environ") ?? []).split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            .filter { !$0.hasPrefix("SKERRY_") }
        var argv = ([path] + arguments).map { strdup($0) } + [nil]
        var envp = environment.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var pid = pid_t()
        let result = posix_spawnp(&pid, path, &actions, nil, &argv, &envp)
        guard result == 0 else { throw BenchError("\(path) cannot be started: \(String(cString: strerror(result)))") }
        self.pid = pid
    }

    /// Asks it to stop and waits for that; after ten seconds it is made to.
    func stop() {
        guard self.isRunning else { return }
        self.isRunning = false
        kill(self.pid, SIGTERM)
        let deadline = Clock.nanoseconds() + 10_000_000_000
        var status: Int32 = 0
        while waitpid(self.pid, &status, WNOHANG) == 0 {
            if Clock.nanoseconds() > deadline { kill(self.pid, SIGKILL) }
            Clock.sleep(milliseconds: 5)
        }
    }

    /// Ends it as the kernel ends a process that is out of memory: without a word and at once.
    func kill9() {
        guard self.isRunning else { return }
        self.isRunning = false
        kill(self.pid, SIGKILL)
        var status: Int32 = 0
        waitpid(self.pid, &status, 0)
    }

    /// Of a process that ends by itself; waits for that.
    func exitStatus() -> Int32 {
        guard self.isRunning else { return -1 }
        self.isRunning = false
        var status: Int32 = 0
        waitpid(self.pid, &status, 0)
        return status
    }

    func signal(_ number: Int32) {
        if self.isRunning { kill(self.pid, number) }
    }

    deinit { self.stop() }

    var hasEnded: Bool {
        guard self.isRunning else { return true }
        var status: Int32 = 0
        guard waitpid(self.pid, &status, WNOHANG) != 0 else { return false }
        self.isRunning = false
        return true
    }

    /// Seconds of processor time used so far, of all threads, in the system and out of it.
    var processorSeconds: Double {
        // The name in parentheses may hold blanks: count from behind it.
        let fields = ProcFile.text("/proc/\(self.pid)/stat").split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return .nan }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Kilobytes of a line of `/proc/PID/smaps_rollup` or `/proc/PID/status`.
    func kilobytes(_ name: String, of file: String) -> Double {
        for line in ProcFile.text("/proc/\(self.pid)/\(file)").split(separator: "\n") where line.hasPrefix(name + ":") {
            return line.split(whereSeparator: { " \t".contains($0) }).dropFirst().first.flatMap { Double($0) } ?? .nan
        }
        return .nan
    }

    /// Memory that is this process's alone and no file's: heap, stacks, and what the loader changed.
    var anonymousKilobytes: Double { self.kilobytes("RssAnon", of: "status") }
    /// The same, counted page by page: right to the byte, and slow for a large process.
    var exactAnonymousBytes: Double { self.kilobytes("Anonymous", of: "smaps_rollup") * 1_024 }
    var residentKilobytes: Double { self.kilobytes("VmRSS", of: "status") }
}
