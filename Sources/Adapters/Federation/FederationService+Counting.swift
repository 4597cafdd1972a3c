import Replication
import SkerryNode

extension FederationService {
    /// Brings what the engine has counted to the box's counters.
    func countEngine() {
        guard let counters = self.running?.engine.takeCounters() else { return }
        let metrics = self.node.metrics
        metrics.add(.federationDuplicates, Int(clamping: counters.duplicates))
        metrics.add(.federationGapsDropped, Int(clamping: counters.gapsDropped))
        metrics.add(.federationWithoutRoom, Int(clamping: counters.withoutRoom))
        metrics.add(.federationWindowsFull, Int(clamping: counters.windowsFull))
        metrics.add(.federationRangesAsked, Int(clamping: counters.rangesAsked))
        metrics.add(.federationRangesTimedOut, Int(clamping: counters.rangesTimedOut))
        metrics.add(.federationRangesServed, Int(clamping: counters.rangesServed))
        metrics.add(.federationRangesRefused, Int(clamping: counters.rangesRefused))
        metrics.add(.federationDigests, Int(clamping: counters.digestsSent))
        metrics.add(.federationNotTaken, Int(clamping: counters.refused))
    }
}
