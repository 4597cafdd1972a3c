/// The anonymous memory of a process over a time: what it was at first and the most it came to.
final class MemoryWatch {
    private let process: ServerProcess
    private var base = 0.0
    private var peak = 0.0
    private var looked: UInt64 = 0

    init(_ process: ServerProcess) { self.process = process }

    /// From now on, once it stands still.
    func begin() throws {
        self.base = Waiting.settledMemory(of: self.process)
        self.peak = self.base
    }

    /// Looks, not more than fifty times a second.
    func look() {
        let now = Clock.nanoseconds()
        guard now - self.looked > 20_000_000 else { return }
        self.looked = now
        self.peak = max(self.peak, self.process.anonymousKilobytes * 1_024)
    }

    /// Forgets the most, not the first.
    func restart() { self.peak = self.base }

    /// Bytes between the first and the most.
    var growth: Double { self.peak - self.base }
    /// Bytes between the first and now, once it stands still.
    func settledGrowth() -> Double { Waiting.settledMemory(of: self.process) - self.base }
}
