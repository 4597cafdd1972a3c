import SkerryModel
import SkerryNode
import Synchronization

/// Time that a test moves. The two readings move together unless told otherwise: a wall clock may jump, a monotonic one may not.
final class ManualClock: Sendable {
    private struct Time {
        var wall: UInt64 = 1_700_000_000_000
        var monotonic: UInt64 = 1_000
    }

    private let time = Mutex(Time())

    var wall: UInt64 { self.time.withLock { $0.wall } }

    func advance(_ milliseconds: UInt64) {
        self.time.withLock {
            $0.wall += milliseconds
            $0.monotonic += milliseconds
        }
    }

    func setWall(_ milliseconds: UInt64) { self.time.withLock { $0.wall = milliseconds } }

    var nodeClock: NodeClock {
        NodeClock(wall: { self.time.withLock { $0.wall } }, monotonic: { self.time.withLock { $0.monotonic } })
    }
}
