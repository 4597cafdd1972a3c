import SkerryModel

/// Which of the links between this box and another one counts (FEDERATION.md §2.7): a decision that both come to by themselves.
///
/// The box with the lower id dials. The other one dials too after waiting long for a link; if there are two, the one that the lower dialled stays.
struct MeshPeer<Link: Equatable> {
    enum Kind: Sendable, Hashable { case dialled, accepted }

    enum Effect: Equatable {
        case up
        case down(String)
        /// The other one is of no use.
        case closeDialled(String)
        case closeAccepted(Link, String)
    }

    /// Whether this box is the one that dials.
    private let isDialler: Bool
    private let patience: UInt64
    private(set) var isDialledUp = false
    private(set) var accepted: Link?
    private(set) var current: Kind?
    private var aloneSince: UInt64

    init(isDialler: Bool, patience: UInt64, now: UInt64) {
        self.isDialler = isDialler
        self.patience = patience
        self.aloneSince = now
    }

    func wantsDial(now: UInt64) -> Bool {
        if self.isDialler { return true }
        switch self.current {
        case .dialled: return true
        case .accepted: return false
        case nil: return now >= self.aloneSince + self.patience
        }
    }

    mutating func dialledUp(now: UInt64) -> [Effect] {
        self.isDialledUp = true
        switch self.current {
        case .accepted where self.isDialler:
            self.current = .dialled
            var effects: [Effect] = [.down("replaced by the link that this box dialled"), .up]
            if let old = self.accepted { effects.append(.closeAccepted(old, "There is another link.")) }
            return effects
        case .accepted: return [.closeDialled("there is another link")]
        case .dialled, nil:
            self.current = .dialled
            return [.up]
        }
    }

    mutating func dialledDown(_ reason: String, now: UInt64) -> [Effect] {
        self.isDialledUp = false
        guard self.current == .dialled else { return [] }
        self.current = nil
        self.aloneSince = now
        return [.down(reason)]
    }

    mutating func attached(_ link: Link, now: UInt64) -> [Effect] {
        let old = self.accepted
        switch self.current {
        case .dialled where self.isDialler: return [.closeAccepted(link, "There is another link.")]
        case .dialled:
            self.accepted = link
            self.current = .accepted
            return [.down("replaced by the link that the other box dialled"), .up, .closeDialled("there is another link")]
        case .accepted:
            self.accepted = link
            var effects: [Effect] = [.down("the box connected again"), .up]
            if let old, old != link { effects.append(.closeAccepted(old, "The box connected again.")) }
            return effects
        case nil:
            self.accepted = link
            self.current = .accepted
            return [.up]
        }
    }

    mutating func detached(_ link: Link, _ reason: String, now: UInt64) -> [Effect] {
        guard self.accepted == link else { return [] }
        self.accepted = nil
        guard self.current == .accepted else { return [] }
        self.current = nil
        self.aloneSince = now
        return [.down(reason)]
    }
}
