/// What an engine has done and what it has left out, since it was asked last: for `/metrics`.
package struct EngineCounters: Sendable, Hashable {
    /// Batches of which everything was known already.
    package var duplicates: UInt64 = 0
    /// Batches beyond a gap that found no room, and batches that did not because too much waits for the store.
    package var gapsDropped: UInt64 = 0
    package var withoutRoom: UInt64 = 0
    /// Batches not pushed because a link's window was full.
    package var windowsFull: UInt64 = 0
    package var rangesAsked: UInt64 = 0
    package var rangesTimedOut: UInt64 = 0
    package var rangesServed: UInt64 = 0
    /// Requests dropped because the peer has enough under way.
    package var rangesRefused: UInt64 = 0
    package var digestsSent: UInt64 = 0
    /// Messages refused: malformed, forged, badly signed, too many epochs. Each counts, also when its alarm is not repeated.
    package var refused: UInt64 = 0

    package init() {}
}

extension ReplicationEngine {
    /// What has been counted since the last time.
    package mutating func takeCounters() -> EngineCounters {
        defer { self.counters = EngineCounters() }
        return self.counters
    }
}
