package import SkerryModel

/// Time as the node sees it, passed in so that a simulation can drive it.
package struct NodeClock: Sendable {
    /// Milliseconds since 1970 that follow physical time as far as it can be trusted: what entries are stamped with (FEDERATION.md §2.1).
    package let wall: @Sendable () -> UInt64
    /// Milliseconds that never go back: for deadlines and rates.
    package let monotonic: @Sendable () -> UInt64

    /// Whether the kernel says that its clock is kept right: boxes without such a clock follow those that have one.
    package let isSynced: @Sendable () -> Bool

    package init(
        wall: @escaping @Sendable () -> UInt64, monotonic: @escaping @Sendable () -> UInt64, isSynced: @escaping @Sendable () -> Bool = { false }
    ) {
        self.wall = wall
        self.monotonic = monotonic
        self.isSynced = isSynced
    }
}

/// A random number generator that may be called from anywhere; the system's in production, a seeded one in simulations.
package struct NodeRandom: Sendable {
    package let next: @Sendable () -> UInt64

    package init(next: @escaping @Sendable () -> UInt64) { self.next = next }

    package static var system: NodeRandom {
        NodeRandom {
            var generator = SystemRandomNumberGenerator()
            return generator.next()
        }
    }

    package func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count { bytes.appendBigEndian(self.next()) }
        return Array(bytes.prefix(count))
    }

    package func identifier<ID: Identifier>() -> ID { ID(Bytes16(high: self.next(), low: self.next())) }
}
