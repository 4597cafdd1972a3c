package import NIOCore

/// A connection that shares its loop's keeper. All of it happens on that loop.
package protocol KeptConnection: AnyObject {
    /// The keeper's note of where it keeps this connection; nobody else writes it.
    var keeperSlot: Int? { get set }
    /// The tick in which the connection was touched is over: write what has gathered.
    func tickEnded()
    func secondPassed(_ now: NIODeadline)
}

/// What the connections of one loop share: one flush a tick (ARCHITECTURE.md §3.7) and one look at the clock a second.
///
/// Flushing the touched connections once, after everything of the tick was handled, is what makes a busy box cheap. One timer for all, instead
/// of two for each, is what keeps an idle connection small; deadlines are kept to the second, which is as exact as any of them needs.
package final class ConnectionKeeper {
    package let loop: any EventLoop
    private var kept: [any KeptConnection] = []
    private var touched: [any KeptConnection] = []
    private var isTimerRunning = false

    package init(loop: any EventLoop) { self.loop = loop }

    package var count: Int { self.kept.count }

    package func keep(_ connection: any KeptConnection) {
        if connection.keeperSlot != nil { return }
        connection.keeperSlot = self.kept.count
        self.kept.append(connection)
        if !self.isTimerRunning { self.startTimer() }
    }

    /// May be called while the keeper calls a connection: the last one takes the freed slot and is at worst asked twice that second.
    package func forget(_ connection: any KeptConnection) {
        guard let slot = connection.keeperSlot, let last = self.kept.popLast() else { return }
        connection.keeperSlot = nil
        if last === connection { return }
        self.kept[slot] = last
        last.keeperSlot = slot
    }

    /// Has `tickEnded` called once, when the loop has handled everything that is ready now. The connection takes care to touch once a tick.
    package func touch(_ connection: any KeptConnection) {
        self.touched.append(connection)
        if self.touched.count == 1 { self.loop.assumeIsolated().execute { self.endTick() } }
    }

    private func endTick() {
        let touched = self.touched
        self.touched.removeAll(keepingCapacity: touched.count <= 1024)
        for connection in touched { connection.tickEnded() }
    }

    private func startTimer() {
        self.isTimerRunning = true
        self.loop.assumeIsolated().scheduleTask(in: .seconds(1)) {
            let now = self.loop.now
            var slot = self.kept.count - 1
            while slot >= 0 {
                if slot < self.kept.count { self.kept[slot].secondPassed(now) }
                slot -= 1
            }
            if self.kept.isEmpty { self.isTimerRunning = false } else { self.startTimer() }
        }
    }
}

@available(*, unavailable)
extension ConnectionKeeper: Sendable {}

/// The keepers of all loops that accept connections.
package final class ConnectionKeepers: Sendable {
    private let keepers: [ObjectIdentifier: NIOLoopBoundBox<ConnectionKeeper>]

    package init(loops: [any EventLoop]) {
        self.keepers = Dictionary(
            loops.map { (ObjectIdentifier($0), NIOLoopBoundBox.makeBoxSendingValue(ConnectionKeeper(loop: $0), eventLoop: $0)) },
            uniquingKeysWith: { first, _ in first })
    }

    /// The keeper of `loop`, which must be the current one and one of those given at the start.
    package subscript(loop: any EventLoop) -> ConnectionKeeper {
        // Nothing from outside leads here: the server makes keepers and listeners from one and the same group of loops.
        guard let keeper = self.keepers[ObjectIdentifier(loop)] else { preconditionFailure("a connection was accepted on a loop that has no keeper") }
        return keeper.value
    }
}
