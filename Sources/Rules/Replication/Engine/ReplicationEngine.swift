package import SkerryModel

/// How the logs of several boxes become one (FEDERATION.md §2.5): a pure state machine, events and time in, effects out.
package struct ReplicationEngine: Sendable {
    package let box: BoxID
    package let federation: FederationID

    package init(
        box: BoxID, federation: FederationID, keys: BatchKeys, stored: EngineStored, limits: EngineLimits = EngineLimits(),
        mutations: EngineMutations = [], random: @escaping @Sendable () -> UInt64
    ) {
        self.box = box
        self.federation = federation
    }

    package mutating func step(_ event: EngineEvent, now: EngineInstant) -> [EngineEffect] { [] }
}
