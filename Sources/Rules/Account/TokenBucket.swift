/// So much at once, so much a second. Time is monotonic milliseconds and is passed in.
package struct TokenBucket: Sendable, Hashable {
    package struct Rate: Sendable, Hashable {
        package let burst: Int
        /// Milliseconds in which `refill` pieces come back.
        package let periodMilliseconds: UInt64
        package let refill: Int

        package init(burst: Int, refill: Int = 1, periodMilliseconds: UInt64 = 1_000) {
            self.burst = max(1, burst)
            self.refill = max(1, refill)
            self.periodMilliseconds = max(1, periodMilliseconds)
        }
    }

    /// What is left, in pieces times `periodMilliseconds`: whole numbers, so that nothing is lost to rounding.
    private var level: UInt64
    private var filledAt: UInt64

    /// A full bucket.
    package init(_ rate: Rate, now: UInt64) {
        self.level = UInt64(rate.burst) * rate.periodMilliseconds
        self.filledAt = now
    }

    /// Leaves exactly `pieces`, from `now` on.
    package mutating func set(_ pieces: Int, _ rate: Rate, now: UInt64) {
        self.level = UInt64(max(0, pieces)) * rate.periodMilliseconds
        self.filledAt = now
    }

    /// Takes `pieces`; nil when it could, else the milliseconds after which it can. Asking for more than the burst is never granted.
    package mutating func take(_ rate: Rate, pieces: Int = 1, now: UInt64) -> UInt64? {
        self.fill(rate, now)
        let cost = UInt64(max(0, pieces)) * rate.periodMilliseconds
        if cost <= self.level {
            self.level -= cost
            return nil
        }
        let perMillisecond = UInt64(rate.refill)
        return (cost - self.level + perMillisecond - 1) / perMillisecond
    }

    /// Puts `pieces` back, up to the burst.
    package mutating func give(_ rate: Rate, pieces: Int = 1) {
        self.level = min(UInt64(rate.burst) * rate.periodMilliseconds, self.level + UInt64(max(0, pieces)) * rate.periodMilliseconds)
    }

    /// Whole pieces that could be taken at `now`.
    package func remaining(_ rate: Rate, now: UInt64) -> Int {
        var copy = self
        copy.fill(rate, now)
        return Int(copy.level / rate.periodMilliseconds)
    }

    package func isFull(_ rate: Rate, now: UInt64) -> Bool {
        var copy = self
        copy.fill(rate, now)
        return copy.level == UInt64(rate.burst) * rate.periodMilliseconds
    }

    private mutating func fill(_ rate: Rate, _ now: UInt64) {
        guard now > self.filledAt else { return }
        let full = UInt64(rate.burst) * rate.periodMilliseconds
        let (gain, overflow) = (now - self.filledAt).multipliedReportingOverflow(by: UInt64(rate.refill))
        self.level = overflow || gain >= full - min(full, self.level) ? full : self.level + gain
        self.filledAt = now
    }
}
