package import SkerryModel

/// What a box keeps of the tokens it gave out, and decides about boxes that come with one (FEDERATION.md §3). Time is monotonic: a clock that is set does not
/// lengthen or shorten anything. Nothing outlives the process, so a restart voids every token.
///
/// A token belongs to the first box that proves to have it. That box may come again, for its answer was lost or it waits; to any other it is used.
package struct PairingDesk: Sendable {
    package struct Limits: Sendable, Hashable {
        /// Tokens that may be open; one more is refused. Spent ones are forgotten first.
        package var tokensMax = 8
        package var lifetimeMilliseconds: UInt64 = 600_000
        /// Wrong proofs for one token; then it is void.
        package var triesMax = 5
        /// How long an administrator has to approve, from the box's first coming.
        package var approvalMilliseconds: UInt64 = 1_800_000
        /// Hellos with a token nobody made: bucket and refill. Beyond, everybody is asked to come later.
        package var unknownMax = 20
        package var unknownRefillMilliseconds: UInt64 = 3_000

        package init() {}
    }

    /// A box whose hello was proved, as the desk needs to know it.
    package struct Guest: Sendable, Hashable {
        package var box: BoxID
        package var name: String
        package var words: String
        package var address: String

        package init(box: BoxID, name: String, words: String, address: String) {
            self.box = box
            self.name = name
            self.words = words
            self.address = address
        }
    }

    package enum Verdict: Sendable, Hashable {
        case admit
        case wait
        case refuse(PairingRefusal)
    }

    package struct Waiting: Sendable, Hashable {
        package var guest: Guest
        package var sinceMonotonic: UInt64
    }

    private enum State: Sendable, Hashable {
        case open(tries: Int)
        case waiting(Guest, since: UInt64)
        /// Approved, or nobody had to: it may fetch its answer as often as it needs.
        case admitted(BoxID)
        case ignored(BoxID)
        case void

        /// Whether nobody can use it any more; kept only to say why.
        var isSpent: Bool {
            switch self {
            case .open, .waiting: false
            case .admitted, .ignored, .void: true
            }
        }
    }

    private struct Token: Sendable {
        let secret: PairingSecret
        let waits: Bool
        let expires: UInt64
        var state: State
        /// When it is forgotten: what ended is remembered for a while, so that whoever comes late hears why.
        var kept: UInt64
    }

    private let limits: Limits
    private var tokens: [Token] = []
    private var unknownLeft: Int
    private var unknownSince: UInt64 = 0

    package init(_ limits: Limits = Limits()) {
        self.limits = limits
        self.unknownLeft = limits.unknownMax
    }

    /// Whether any token may still be used.
    package func isOpen(now: UInt64) -> Bool { self.tokens.contains { !$0.state.isSpent && self.end(of: $0) > now } }

    // MARK: - Events

    /// A new token. False: too many are open.
    package mutating func open(_ secret: [UInt8], waits: Bool, now: UInt64) -> Bool {
        self.forget(now)
        if self.tokens.count >= self.limits.tokensMax {
            guard let spent = self.tokens.firstIndex(where: { $0.state.isSpent || self.end(of: $0) <= now }) else { return false }
            self.tokens.remove(at: spent)
        }
        self.tokens.append(
            Token(
                secret: PairingSecret(secret), waits: waits, expires: now &+ self.limits.lifetimeMilliseconds, state: .open(tries: 0),
                kept: now &+ self.limits.lifetimeMilliseconds &* 2))
        return true
    }

    /// Takes back a token that nobody has used, as when the answer with it could not be given.
    package mutating func close(_ secret: [UInt8]) {
        let id = PairingSecret(secret).id
        self.tokens.removeAll { $0.secret.id == id }
    }

    /// A box came.
    ///
    /// - Parameter guest: nil when something else than the token's proof is wrong with the hello, which counts as a wrong try too.
    package mutating func hello(token id: [UInt8], mac: [UInt8], transcript: [UInt8], guest: Guest?, now: UInt64) -> Verdict {
        self.forget(now)
        guard let index = self.tokens.firstIndex(where: { $0.secret.id == id }) else { return self.unknown(now) }
        let token = self.tokens[index]
        let isGood = token.secret.isGood(mac, for: transcript)
        switch token.state {
        case .void: return .refuse(.void)
        case .open where token.expires <= now: return .refuse(.expired)
        case .open(let tries):
            guard isGood, let guest else {
                self.tokens[index].state = tries + 1 >= self.limits.triesMax ? .void : .open(tries: tries + 1)
                return .refuse(tries + 1 >= self.limits.triesMax ? .void : .badProof)
            }
            self.tokens[index].state = token.waits ? .waiting(guest, since: now) : .admitted(guest.box)
            let kept = token.waits ? self.limits.approvalMilliseconds &+ self.limits.lifetimeMilliseconds : self.limits.lifetimeMilliseconds
            self.tokens[index].kept = max(token.kept, now &+ kept)
            return token.waits ? .wait : .admit
        case .waiting(let first, let since):
            guard isGood, let guest else { return .refuse(.badProof) }
            guard guest.box == first.box else { return .refuse(.used) }
            return self.end(of: token) <= now || since > now ? .refuse(.expired) : .wait
        case .admitted(let box):
            guard isGood, let guest else { return .refuse(.badProof) }
            return guest.box == box ? .admit : .refuse(.used)
        case .ignored(let box):
            guard isGood, let guest else { return .refuse(.badProof) }
            return .refuse(guest.box == box ? .ignored : .used)
        }
    }

    /// False: no such box waits.
    package mutating func approve(_ box: BoxID, now: UInt64) -> Bool { self.decide(box, .admitted(box), now) }
    package mutating func ignore(_ box: BoxID, now: UInt64) -> Bool { self.decide(box, .ignored(box), now) }

    /// The boxes that wait, longest first.
    package func waiting(now: UInt64) -> [Waiting] {
        self.tokens.compactMap { token -> Waiting? in
            guard case .waiting(let guest, let since) = token.state, self.end(of: token) > now else { return nil }
            return Waiting(guest: guest, sinceMonotonic: since)
        }.sorted { $0.sinceMonotonic < $1.sinceMonotonic }
    }

    // MARK: -

    private mutating func decide(_ box: BoxID, _ state: State, _ now: UInt64) -> Bool {
        var isDone = false
        for index in self.tokens.indices {
            guard case .waiting(let guest, _) = self.tokens[index].state, guest.box == box, self.end(of: self.tokens[index]) > now else { continue }
            self.tokens[index].state = state
            self.tokens[index].kept = max(self.tokens[index].kept, now &+ self.limits.lifetimeMilliseconds)
            isDone = true
        }
        return isDone
    }

    /// A guess at 128 bits finds nothing, so what counts is that guessing costs the box little.
    private mutating func unknown(_ now: UInt64) -> Verdict {
        let refill = (now &- self.unknownSince) / max(1, self.limits.unknownRefillMilliseconds)
        if refill > 0 {
            self.unknownLeft = min(self.limits.unknownMax, self.unknownLeft + Int(min(refill, UInt64(self.limits.unknownMax))))
            self.unknownSince = now
        }
        guard self.unknownLeft > 0 else { return .refuse(.busy) }
        self.unknownLeft -= 1
        return .refuse(.unknownToken)
    }

    private func end(of token: Token) -> UInt64 {
        switch token.state {
        case .waiting(_, let since): since &+ self.limits.approvalMilliseconds
        case .open, .admitted, .ignored, .void: token.expires
        }
    }

    private mutating func forget(_ now: UInt64) { self.tokens.removeAll { $0.kept <= now } }
}
