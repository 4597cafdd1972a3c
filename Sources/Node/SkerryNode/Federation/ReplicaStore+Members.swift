package import SkerryModel
import Store

extension ReplicaStore {
    /// Keeps member rows that did not come by the log: what a box is told when it joins, so that it knows whom to ask for the log.
    ///
    /// Which of two rows counts is as for rows that an entry brings. Their signature is the caller's business.
    package func adopt(_ members: [MemberEntry]) async throws(SkerryError) {
        let origin = self.node.box
        try await self.node.commits.commit { log in
            let stamp = Order(hlc: HLC(rawValue: 0), origin: origin, epoch: 0, seq: 0)
            for member in members { try Applier.apply(.member(member), order: stamp, position: LocalPosition(epoch: 0, seq: 0), to: log.store) }
        }
    }

    /// How far each log of `box` is held here.
    package func held(of box: BoxID) async throws(SkerryError) -> [LogEpoch: UInt64] {
        do {
            return try await self.node.store.read { store in
                Dictionary(try store.epochs().filter { $0.log.origin == box }.map { ($0.log, $0.head) }) { $1 }
            }
        } catch {
            throw ChatService.refusal(error)
        }
    }
}

extension ReplicaStore {
    /// Entries of all logs that are held here.
    package func entryCount() async -> UInt64 {
        (try? await self.node.store.read { store in try store.epochs().reduce(0) { $0 + ($1.head - min($1.head, $1.lowWater)) } }) ?? 0
    }
}
