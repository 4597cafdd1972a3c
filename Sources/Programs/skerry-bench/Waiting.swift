/// Waits for something to be so, never for a time.
enum Waiting {
    /// Asks until `condition` holds; an error that names `what` when it does not within `seconds`.
    static func until(_ what: String, seconds: Double, every milliseconds: Int = 2, _ condition: () throws -> Bool) throws {
        let deadline = Clock.nanoseconds() + UInt64(seconds * 1e9)
        while try !condition() {
            guard Clock.nanoseconds() < deadline else { throw BenchError("waited \(Report.number(seconds)) s in vain: \(what)") }
            Clock.sleep(milliseconds: milliseconds)
        }
    }

    /// Asks for a count until it reaches `goal` or has not moved for `patience` seconds; gives the last one.
    static func count(to goal: Int, patience: Double = 15, every milliseconds: Int = 2, _ count: () throws -> Int) throws -> Int {
        var (last, moved) = (try count(), Clock.nanoseconds())
        while last < goal {
            Clock.sleep(milliseconds: milliseconds)
            let now = try count()
            if now != last { (last, moved) = (now, Clock.nanoseconds()) }
            if Double(Clock.nanoseconds() - moved) > patience * 1e9 { break }
        }
        return last
    }

    /// Anonymous memory of a process in bytes once it stands still: half a second within 64 KiB, or a thousandth. After 20 s it is what it is then.
    static func settledMemory(of process: ServerProcess) -> Double {
        let deadline = Clock.nanoseconds() + 20_000_000_000
        var samples: [Double] = []
        while Clock.nanoseconds() < deadline {
            samples.append(process.exactAnonymousBytes)
            if samples.count > 10 { samples.removeFirst() }
            if samples.count == 10, let low = samples.min(), let high = samples.max(), high - low <= max(65_536, high / 1_000) { break }
            Clock.sleep(milliseconds: 50)
        }
        return samples.last ?? .nan
    }
}
