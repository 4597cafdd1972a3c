package import Replication
package import SkerryModel
import Store

/// Hears of what this box has just written to its log, on the writer's thread, right after the commit and in its order.
package protocol ReplicationListener: AnyObject, Sendable {
    func appended(_ runs: [CommittedRun])
    /// The member list changed, by an entry of this box or of another.
    func membersChanged()
}

/// The box's log as its federation sees it: what is committed here, what others wrote, and what may be read for them.
///
/// Everything that other boxes wrote comes in by `apply`, through the commit queue and the `Applier`: the same rows, the same pushes to
/// live clients as for what is written here.
package final class ReplicaStore: Sendable {
    package let node: Node

    package init(node: Node) { self.node = node }

    /// From now on `listener` hears what is appended. With nobody listening nothing is gathered.
    package func listen(_ listener: (any ReplicationListener)?) {}

    /// Heads and low-water marks of every epoch, the start counter raised by one durably, and what `persist` kept.
    package func load() async throws(SkerryError) -> EngineStored { EngineStored(startCounter: 0, startNonce: 0) }

    /// Applies in one transaction and in order; the heads of the epochs it touched. `storageLow` and `unavailable` are worth another try later.
    package func apply(
        _ batches: [IncomingBatch], completion: @escaping @Sendable (Result<[LogEpoch: UInt64], SkerryError>) -> Void
    ) { completion(.success([:])) }

    package func range(
        of log: LogEpoch, from seq: UInt64, bytesMax: Int, completion: @escaping @Sendable (RangeAnswer) -> Void
    ) { completion(.absent) }

    package func persist(name: String, _ value: [UInt8]) {}

    /// Other boxes hold this box's entries up to here: tells their senders.
    package func replicated(_ log: LogEpoch, upTo seq: UInt64) {}

    /// These epochs are over and the same everywhere: cursors may fold them.
    package func final(_ logs: [LogEpoch]) {}

    package func members() async throws(SkerryError) -> [MemberEntry] { [] }
}
