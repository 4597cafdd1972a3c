package import Replication

/// Defects of the simulated box around the engine that a test may switch on (FEDERATION.md §2.1, §7): each must be found.
package struct SimMutations: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// One epoch for ever, drawn once and kept on the disk.
    package static let reusedEpoch = Self(rawValue: 1)
    /// The start counter is the epoch.
    package static let bootCounterAsEpoch = Self(rawValue: 2)
    /// A commit is answered before it is on the disk.
    package static let skippedSync = Self(rawValue: 4)
    /// A message id that came by two boxes is shown at both places.
    package static let sameIDBothShown = Self(rawValue: 8)
    /// What retention has dropped is not remembered: the box says it does not hold it.
    package static let lowWaterForgotten = Self(rawValue: 16)
    /// The later of two writes to a row wins by arrival, not by order.
    package static let lastArrivalWins = Self(rawValue: 32)
    /// The wall clock is believed although nothing has set it.
    package static let wallClockBelieved = Self(rawValue: 64)
    /// A removed box stays on the member list that the engine is told.
    package static let removalNotTold = Self(rawValue: 128)
    /// A box that lags a client's cursor answers with its own.
    package static let cursorGoesBack = Self(rawValue: 256)
}

/// What one run is made of. Everything not given is drawn from the seed.
package struct SimOptions: Sendable {
    package var seed: UInt64
    /// 2 to 32; nil: drawn.
    package var boxes: Int?
    package var mutations: SimMutations = []
    package var engineMutations: EngineMutations = []
    /// Gathers the last events as text. Costs time, changes nothing.
    package var isTraced = false
    /// Events in the trace that is printed with a failure.
    package var traceMax = 50
    /// Faults that the run is to have whatever the seed says.
    package var faults: Set<FaultKind> = []
    /// Faults that it is not to have.
    package var without: Set<FaultKind> = []
    /// Milliseconds of living with faults; nil: drawn.
    package var span: UInt64?

    package init(seed: UInt64, boxes: Int? = nil) {
        self.seed = seed
        self.boxes = boxes
    }
}

/// What may go wrong (FEDERATION.md §7). Each seed draws which of them happen and how often.
package enum FaultKind: String, Sendable, Hashable, CaseIterable {
    /// A link breaks, and what was under way on it is lost.
    case linkCut
    /// The boxes fall into two groups for a while.
    case partition
    /// One direction of a link swallows everything until its keepalive notices.
    case oneWay
    /// Some pairs never meet: A–B–C without A–C. Not healed at the end.
    case sparse
    /// Messages are lost, doubled, late and out of order while the link stays up: what a hub or a defective carrier does.
    case lossy
    /// Everything under way anywhere is lost, and no link notices.
    case hubForgets
    /// The process dies and starts again.
    case crash
    /// The whole box restarts: its monotonic clock starts anew and its wall clock may be anywhere.
    case reboot
    /// The process stands still for a while.
    case pause
    case diskFull
    case diskSlow
    /// An old copy of the disk is put back.
    case restore
    /// The disk is lost for good; the box comes back with nothing but its identity.
    case wipe
    /// Two boxes run with one identity for a while.
    case clone
    /// Wall clocks jump and lose their synchronisation.
    case clock
    /// A box is taken off the member list, and goes on writing.
    case removal
    /// A box joins while others live.
    case join
    /// A member relays altered entries, claims to be somebody else, and sends rubbish.
    case hostile
    /// Some boxes run an older version that does not know every entry type.
    case mixedVersions
    /// Old messages are dropped, replaced rows compacted.
    case retention
}

/// What one run came to.
package struct SimResult: Sendable {
    package var seed: UInt64
    package var boxes: Int
    /// Nil: everything held. Else the property and what happened.
    package var failure: String?
    /// The last events before the failure, when traced.
    package var trace: [String] = []
    /// The same for two runs of the same options.
    package var fingerprint: UInt64
    package var figures: SimFigures
}

package struct SimFigures: Sendable, Hashable {
    package var events = 0
    package var engineSteps = 0
    package var entries = 0
    package var messagesSent = 0
    package var bytesSent = 0
    package var batchBytesReceived = 0
    package var entryBytesApplied = 0
    package var faults = 0
    package var restarts = 0
    package var replicated = 0
    package var shown = 0
    package var quarantines = 0
    package var rejected = 0
    package var commits = 0
    /// The most bytes of others' entries that one engine held, and that one link had under way.
    package var heldBytesMax = 0
    package var linkBytesMax = 0
    /// Simulated milliseconds from the last fault to the same state everywhere.
    package var healing: UInt64 = 0
    package init() {}
}
