import CLinux
package import NIOCore
package import SkerryModel
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// What the operating system says about how much is left; passed in, so that a test can say something else.
package struct LoadProbe: Sendable {
    /// Shares of what the process may use, 1 = all.
    package var memoryShare: @Sendable () -> Double
    package var descriptorShare: @Sendable () -> Double
    package var isDiskLow: @Sendable () -> Bool
    /// Seconds of processor time the process has used, on all processors together.
    package var processorSeconds: @Sendable () -> Double
    package var processors: Int
    package var memoryBytes: Int

    package init(
        memoryShare: @escaping @Sendable () -> Double, descriptorShare: @escaping @Sendable () -> Double, isDiskLow: @escaping @Sendable () -> Bool,
        processorSeconds: @escaping @Sendable () -> Double, processors: Int, memoryBytes: Int
    ) {
        self.memoryShare = memoryShare
        self.descriptorShare = descriptorShare
        self.isDiskLow = isDiskLow
        self.processorSeconds = processorSeconds
        self.processors = processors
        self.memoryBytes = memoryBytes
    }

    /// How much the box can bear beside others: as many units as it has processors, as far as its memory goes.
    package var weight: Double {
        let byMemory = Double(self.memoryBytes) / Double(1 << 30)
        return max(BoxWeight.min, min(BoxWeight.max, min(Double(self.processors), byMemory)))
    }
}

enum BoxWeight {
    static let min = 0.25
    static let max = 64.0
}

/// Measures this box for its heartbeats (FEDERATION.md §5). `tick` is called once a second; asking costs a lock, which is a leaf.
package final class LoadMeter: Sendable {
    private struct State {
        var load = BoxLoad()
        var lastSeconds: Double?
        var lastTick: UInt64 = 0
        /// Of each loop: when it was asked to answer, 0 = it is not being asked.
        var asked: [UInt64]
        /// The latest answer that came since the last second.
        var late: UInt64 = 0
        var ticks = 0
    }

    private let loops: [any EventLoop]
    private let probe: LoadProbe
    private let connections: @Sendable () -> Int
    private let connectionsMax: @Sendable () -> Int
    private let monotonic: @Sendable () -> UInt64
    private let state: Mutex<State>

    /// Seconds between two looks at what changes slowly.
    private static let slowSeconds = 5
    private static let processorShare = 0.2
    private static let lagShare = 0.3

    /// - Parameter weight: an administrator's; nil: by processors and memory.
    package init(
        loops: [any EventLoop], probe: LoadProbe, weight: Double? = nil, connections: @escaping @Sendable () -> Int,
        connectionsMax: @escaping @Sendable () -> Int, monotonic: @escaping @Sendable () -> UInt64
    ) {
        self.loops = loops
        self.probe = probe
        self.connections = connections
        self.connectionsMax = connectionsMax
        self.monotonic = monotonic
        var state = State(asked: Array(repeating: 0, count: loops.count))
        state.load.weight = weight.map { max(BoxWeight.min, min(BoxWeight.max, $0)) } ?? probe.weight
        self.state = Mutex(state)
    }

    package func load() -> BoxLoad {
        var load = self.state.withLock { state in
            if state.ticks == 0 { self.look(&state) }
            return state.load
        }
        load.connections = self.connections()
        load.connectionsMax = self.connectionsMax()
        return load
    }

    package func tick() {
        let now = self.monotonic()
        let used = self.probe.processorSeconds()
        let due = self.state.withLock { state -> [Int] in
            self.note(used: used, now, &state)
            self.noteLag(now, &state)
            if state.ticks % Self.slowSeconds == 0 { self.look(&state) }
            state.ticks += 1
            let due = state.asked.indices.filter { state.asked[$0] == 0 }
            for index in due { state.asked[index] = max(now, 1) }
            return due
        }
        for (index, loop) in self.loops.enumerated() where due.contains(index) { loop.execute { self.answered(index) } }
    }

    private func note(used: Double, _ now: UInt64, _ state: inout State) {
        defer { (state.lastSeconds, state.lastTick) = (used, now) }
        guard let last = state.lastSeconds, now > state.lastTick else { return }
        let share = (used - last) / (Double(now - state.lastTick) / 1_000 * Double(max(1, self.probe.processors)))
        state.load.processor += Self.processorShare * (max(0, min(1, share)) - state.load.processor)
    }

    /// A loop that has not answered yet is late by what has passed.
    private func noteLag(_ now: UInt64, _ state: inout State) {
        let waiting = state.asked.filter { $0 != 0 }.map { now - min(now, $0) }.max() ?? 0
        let late = Double(max(waiting, state.late))
        // Up at once, down slowly: one stall is news, one quiet second is not.
        state.load.loopLagMilliseconds = max(late, state.load.loopLagMilliseconds * (1 - Self.lagShare))
        if state.load.loopLagMilliseconds < 0.5 { state.load.loopLagMilliseconds = 0 }
        state.late = 0
    }

    private func answered(_ index: Int) {
        let now = self.monotonic()
        self.state.withLock { state in
            let asked = state.asked.indices.contains(index) ? state.asked[index] : 0
            guard asked != 0 else { return }
            state.late = max(state.late, now - min(now, asked))
            state.asked[index] = 0
        }
    }

    private func look(_ state: inout State) {
        state.load.memory = self.probe.memoryShare()
        state.load.descriptors = self.probe.descriptorShare()
        state.load.isDiskLow = self.probe.isDiskLow()
    }
}

extension LoadProbe {
    /// Bytes free on the disk below which nobody new is sent here.
    package static let diskReserveBytes = 64 << 20

    /// The machine this runs on.
    package static func system(_ system: SystemProbe) -> LoadProbe {
        let allowed = Int(skerry_allowed_processors())
        let memory = Self.memory()
        return LoadProbe(
            memoryShare: {
                guard let resident = system.residentBytes(), let memory = Self.memory() else { return 0 }
                // What the process could still get beside what it has.
                let room = min(memory.availableBytes, Self.groupRoomBytes() ?? .max)
                return Double(resident) / Double(max(1, resident + max(0, room)))
            },
            descriptorShare: {
                var limit = rlimit()
                guard getrlimit(Self.descriptorLimit, &limit) == 0, limit.rlim_cur > 0 else { return 0 }
                return Double(Self.openDescriptors()) / Double(limit.rlim_cur)
            },
            isDiskLow: { system.disk().map { $0.freeBytes < Self.diskReserveBytes } ?? false },
            processorSeconds: {
                var usage = rusage()
                guard getrusage(Self.usageOfSelf, &usage) == 0 else { return 0 }
                return Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime)
            }, processors: allowed > 0 ? allowed : 1, memoryBytes: memory?.totalBytes ?? 1 << 30)
    }

    #if canImport(Glibc)
    private static let descriptorLimit = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    private static let usageOfSelf = __rusage_who_t(RUSAGE_SELF.rawValue)
    #else
    private static let descriptorLimit = RLIMIT_NOFILE
    private static let usageOfSelf = RUSAGE_SELF
    #endif

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000 }

    private static func openDescriptors() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Two names for directories, and the descriptor that reads them.
        return max(0, count - 3)
    }

    private static func memory() -> (totalBytes: Int, availableBytes: Int)? {
        guard let text = Self.read("/proc/meminfo") else { return nil }
        var (total, available): (Int?, Int?)
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 1, let kilobytes = Int(words[1]) else { continue }
            if words[0] == "MemTotal:" { total = kilobytes << 10 }
            if words[0] == "MemAvailable:" { available = kilobytes << 10 }
        }
        guard let total, let available else { return nil }
        return (total, available)
    }

    /// What the control group still allows; nil without a limit.
    private static func groupRoomBytes() -> Int? {
        guard let limit = Self.number("/sys/fs/cgroup/memory.max"), let used = Self.number("/sys/fs/cgroup/memory.current") else { return nil }
        return max(0, limit - used)
    }

    private static func number(_ path: String) -> Int? { Self.read(path).flatMap { Int($0.prefix { $0.isNumber }) } }

    private static func read(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
