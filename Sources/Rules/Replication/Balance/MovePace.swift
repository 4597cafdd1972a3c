/// How many clients a box sends elsewhere, second by second (FEDERATION.md §5).
package struct MovePace: Sendable, Hashable {
    /// Of the connections, each second, to even the load out.
    package static let balancingShare = 0.01
    /// Seconds in which a drain sends everybody away.
    package static let drainSeconds: UInt64 = 30
    /// In one second, whatever the share: each is a message and a new connection elsewhere.
    package static let perSecondMax = 500

    private var credit = 0.0
    /// Of the drain that is under way: when it began, on the box's clock.
    private var drainStart: UInt64?

    package init() {}

    /// How many of `connections` may be sent away now; to be asked once a second. Nothing is saved up while nobody has to go.
    package mutating func quota(connections: Int, isDraining: Bool, isOverloaded: Bool, now: UInt64) -> Int {
        guard isDraining || isOverloaded else {
            self = MovePace()
            return 0
        }
        let share: Double
        if isDraining {
            let start = self.drainStart ?? now
            // A drain goes on when nobody is left: who comes late goes at once.
            self.drainStart = start
            let passed = (now - min(now, start)) / 1_000
            let left = Self.drainSeconds > passed ? Self.drainSeconds - passed : 1
            share = Double(connections) / Double(left)
        } else {
            self.drainStart = nil
            share = Double(connections) * Self.balancingShare
        }
        self.credit += min(share, Double(Self.perSecondMax))
        // A hundred hundredths are one.
        let whole = Int(self.credit + 1e-9)
        self.credit = max(0, self.credit - Double(whole))
        return min(whole, Self.perSecondMax)
    }
}
