import SkerryModel
import Store
import Synchronization

/// Retained messages that have expired are nobody's any more: they are given to no one, and here they leave the disk.
extension MQTTBroker {
    private static let sweepStep = 500

    /// Once in a while: removes them in steps, each a job of the writer, so that a million that expire at once keep nobody waiting.
    func sweepRetained() {
        guard !self.isSweeping.exchange(true, ordering: .acquiringAndReleasing) else { return }
        self.sweepStep()
    }

    private func sweepStep() {
        let now = self.retention.sweepTime
        let count = SweepCount()
        self.writes.rows(loop: nil) { store in
            count.value.store(try store.removeRetained(expiredAt: now, limit: Self.sweepStep), ordering: .releasing)
        } completion: { result in
            let count = count.value.load(ordering: .acquiring)
            guard case .success = result, count > 0 else { return self.isSweeping.store(false, ordering: .releasing) }
            self.node.metrics.add(.mqttRetainedExpired, count)
            if count == Self.sweepStep { self.sweepStep() } else { self.isSweeping.store(false, ordering: .releasing) }
        }
    }
}

/// How many a step has removed, from the job to its completion.
private final class SweepCount: Sendable {
    let value = Atomic<Int>(0)
}
