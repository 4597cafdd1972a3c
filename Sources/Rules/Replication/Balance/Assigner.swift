package import SkerryModel

/// A box that clients could be sent to, as its last heartbeat says.
package struct AssignCandidate: Sendable, Hashable {
    /// Entries it is behind by before nobody is sent there.
    package static let behindMax: UInt64 = 10_000
    /// A heartbeat that is older says nothing about the load of now.
    package static let heartbeatAgeMax: UInt64 = 15_000

    package var box: BoxID
    package var load: BoxLoad
    /// Milliseconds since it was heard; of this box itself 0.
    package var age: UInt64
    package var isAlive: Bool
    package var isDraining: Bool
    package var behind: UInt64
    package var isQuarantined: Bool
    package var hasEndpoints: Bool

    package init(
        box: BoxID, load: BoxLoad, age: UInt64 = 0, isAlive: Bool = true, isDraining: Bool = false, behind: UInt64 = 0, isQuarantined: Bool = false,
        hasEndpoints: Bool = true
    ) {
        self.box = box
        self.load = load
        self.age = age
        self.isAlive = isAlive
        self.isDraining = isDraining
        self.behind = behind
        self.isQuarantined = isQuarantined
        self.hasEndpoints = hasEndpoints
    }

    /// Whether it can be reached at all.
    package var isReachable: Bool { self.isAlive && self.hasEndpoints && self.age <= Self.heartbeatAgeMax }

    /// Whether somebody new may be sent there.
    package var isEligible: Bool {
        self.isReachable && !self.isDraining && !self.load.isDiskLow && self.behind <= Self.behindMax && !self.isQuarantined
    }
}

/// Which box a client should use: of two that are drawn by capacity the less loaded one (FEDERATION.md §5).
///
/// Whoever always takes the least loaded box sends everybody there who comes before that box is heard again, and everybody else's clients with them;
/// of two drawn at random that cannot happen, and what this box has assigned itself since the heartbeat counts at once.
package struct Assigner: Sendable {
    /// A client stays where it is up to so much more than the mean.
    package static let stickyFactor = 1.25
    package static let stickyMargin = 0.1

    /// Clients sent to a box since it was heard last.
    private var sent: [BoxID: Int] = [:]

    package init() {}

    /// The box's load is news: it counts itself who came.
    package mutating func heard(_ box: BoxID) { self.sent[box] = nil }
    package mutating func forget(_ box: BoxID) { self.sent[box] = nil }

    package func score(_ candidate: AssignCandidate) -> Double { BoxScore.of(candidate.load, more: self.sent[candidate.box] ?? 0) }

    /// The mean over the boxes that take clients.
    package func mean(_ candidates: [AssignCandidate]) -> Double {
        let eligible = candidates.filter(\.isEligible)
        return eligible.isEmpty ? 0 : eligible.reduce(0) { $0 + self.score($1) } / Double(eligible.count)
    }

    /// Whether clients of this box should rather be elsewhere.
    package func isOverloaded(_ candidate: AssignCandidate, among candidates: [AssignCandidate]) -> Bool {
        self.score(candidate) > Self.stickyFactor * self.mean(candidates) + Self.stickyMargin
    }

    /// The box for a new client and up to two others, best first; empty: no box takes anybody.
    ///
    /// - Parameters:
    ///   - previous: where the client was. It stays there unless that box is full, drained or away.
    ///   - isSettled: it was sent on a moment ago, so it stays as long as its box can be reached at all.
    package mutating func assign(
        _ candidates: [AssignCandidate], previous: BoxID? = nil, isSettled: Bool = false, random: () -> UInt64
    ) -> [BoxID] {
        if let previous, let known = candidates.first(where: { $0.box == previous }) {
            let stays = known.isEligible && !self.isOverloaded(known, among: candidates)
            if stays || isSettled && known.isReachable { return [previous] + self.others(candidates, without: previous, random: random) }
        }
        guard let choice = self.pick(candidates.filter(\.isEligible), random: random) else { return [] }
        return [choice] + self.others(candidates, without: choice, random: random)
    }

    /// Draws two by weight, takes the one with the lower score, and counts the client as sent there.
    package mutating func pick(_ eligible: [AssignCandidate], random: () -> UInt64) -> BoxID? {
        guard let first = Self.draw(eligible, random: random) else { return nil }
        let rest = eligible.filter { $0.box != first.box }
        let second = Self.draw(rest, random: random) ?? first
        let choice = self.score(second) < self.score(first) ? second : first
        self.sent[choice.box, default: 0] += 1
        return choice.box
    }

    private func others(_ candidates: [AssignCandidate], without box: BoxID, random: () -> UInt64) -> [BoxID] {
        var rest = candidates.filter { $0.isEligible && $0.box != box }
        var others: [BoxID] = []
        while others.count < 2, let next = Self.draw(rest, random: random) {
            others.append(next.box)
            rest.removeAll { $0.box == next.box }
        }
        return others
    }

    private static func draw(_ candidates: [AssignCandidate], random: () -> UInt64) -> AssignCandidate? {
        let total = candidates.reduce(0) { $0 + BoxScore.capacity($1.load) }
        guard total > 0 else { return candidates.first }
        // 53 bits are what a Double holds.
        var place = Double(random() >> 11) / Double(1 << 53) * total
        for candidate in candidates {
            place -= BoxScore.capacity(candidate.load)
            if place < 0 { return candidate }
        }
        return candidates.last
    }
}
