import SkerryModel

/// The broker's clock: milliseconds that never go back, not even over a restart, so that what expires does not depend on a wall clock that
/// jumps (a board without a battery starts in 1970).
///
/// It starts at the later of the wall clock and its own last reading, which is written now and then with other rows, and then runs with the
/// monotonic clock. Time while the box was off counts when the wall clock knows it.
struct BrokerClock: Sendable {
    static let metaName = "mqtt.clock"
    private let clock: NodeClock
    private let base: UInt64
    private let start: UInt64

    init(_ clock: NodeClock, last: UInt64) {
        self.clock = clock
        self.start = clock.monotonic()
        self.base = max(clock.wall(), last)
    }

    func now() -> UInt64 { self.base + (self.clock.monotonic() - self.start) }
}
