import Replication
import SkerryModel

/// The life of a link that this box dials (FEDERATION.md §3), without socket and clock: events and `now` in, effects out.
///
/// libmosquitto's own reconnecting is not used: over TLS it gives up for ever when a peer is killed (FEDERATION.md §6.1).
struct LinkSupervisor {
    enum State: Sendable, Hashable {
        /// Not wanted, or nowhere to dial.
        case idle
        case dialing, tls, connack, subscribing
        case live
        /// Until the next attempt.
        case backoff
    }

    enum Event: Sendable, Hashable {
        /// The link is wanted; most likely place first.
        case wanted(endpoints: [String])
        case unwanted
        /// The socket is through.
        case dialed
        /// TLS is agreed on.
        case secured
        /// The peer has let this box in.
        case admitted
        case subscribed
        case ended(String)
        case tick
    }

    enum Effect: Sendable, Hashable {
        case dial(endpoint: String)
        case subscribe
        case up
        /// The socket is of no use any more.
        case drop
        case down(LinkFailure)
        case failed(LinkFailure)
    }

    private let limits: LinkLimits
    /// A number below the bound.
    private let random: (UInt64) -> UInt64
    private(set) var state = State.idle
    private var endpoints: [String] = []
    private var attempts = 0
    private var failures = 0
    private var since: UInt64 = 0
    private(set) var deadline: UInt64?

    init(limits: LinkLimits, random: @escaping (UInt64) -> UInt64) {
        self.limits = limits
        self.random = random
    }

    /// What does not fit the state changes nothing.
    mutating func step(_ event: Event, now: UInt64) -> [Effect] {
        switch (event, self.state) {
        case (.wanted(let endpoints), _): return self.want(endpoints, now)
        case (.unwanted, _): return self.leave()
        case (.dialed, .dialing): self.enter(.tls, now)
        case (.secured, .dialing), (.secured, .tls): self.enter(.connack, now)
        case (.admitted, .dialing), (.admitted, .tls), (.admitted, .connack):
            self.enter(.subscribing, now)
            return [.subscribe]
        case (.subscribed, .subscribing):
            self.enter(.live, now)
            return [.up]
        case (.ended(let detail), _): return self.end(detail, now)
        case (.tick, _): return self.tick(now)
        case (.dialed, _), (.secured, _), (.admitted, _), (.subscribed, _): break
        }
        return []
    }

    private var stage: LinkFailure.Stage? {
        switch self.state {
        case .idle, .backoff: nil
        case .dialing: .dialing
        case .tls: .tls
        case .connack: .connack
        case .subscribing: .subscribing
        case .live: .live
        }
    }

    private mutating func enter(_ state: State, _ now: UInt64) {
        self.state = state
        self.since = now
        switch state {
        case .idle, .live: self.deadline = nil
        case .dialing, .tls, .connack, .subscribing: self.deadline = now + self.limits.stageMilliseconds
        // `wait` sets it.
        case .backoff: break
        }
    }

    private mutating func want(_ endpoints: [String], _ now: UInt64) -> [Effect] {
        let isNews = endpoints != self.endpoints
        self.endpoints = endpoints
        switch self.state {
        case .idle: return self.dial(now)
        case .backoff where isNews:
            // It may be somewhere else now: no need to wait out what was meant for the old place.
            self.failures = 0
            self.wait(now)
        case .backoff, .dialing, .tls, .connack, .subscribing, .live: break
        }
        return []
    }

    private mutating func leave() -> [Effect] {
        let stage = self.stage
        self.state = .idle
        self.deadline = nil
        self.endpoints = []
        self.failures = 0
        guard let stage else { return [] }
        return stage == .live ? [.drop, .down(LinkFailure(.live, "the link is not wanted any more"))] : [.drop]
    }

    private mutating func dial(_ now: UInt64) -> [Effect] {
        guard !self.endpoints.isEmpty else {
            self.enter(.idle, now)
            return []
        }
        let endpoint = self.endpoints[self.attempts % self.endpoints.count]
        self.attempts += 1
        self.enter(.dialing, now)
        return [.dial(endpoint: endpoint)]
    }

    private mutating func end(_ detail: String, _ now: UInt64) -> [Effect] {
        guard let stage = self.stage else { return [] }
        let failure = LinkFailure(stage, detail)
        // A link that does not last is no better than one that does not come about.
        if stage == .live, now >= self.since + self.limits.stageMilliseconds { self.failures = 0 }
        // What worked is tried first.
        if stage == .live, self.attempts > 0 { self.attempts -= 1 }
        self.wait(now)
        return [.drop, stage == .live ? .down(failure) : .failed(failure)]
    }

    private mutating func wait(_ now: UInt64) {
        self.enter(.backoff, now)
        let ceiling = min(self.limits.backoffMaxMilliseconds, self.limits.backoffMinMilliseconds << UInt64(min(self.failures, 16)))
        self.failures += 1
        // Full jitter: boxes that lost each other together do not come back together.
        self.deadline = now + self.random(ceiling + 1)
    }

    private mutating func tick(_ now: UInt64) -> [Effect] {
        guard let deadline = self.deadline, now >= deadline else { return [] }
        switch self.state {
        case .backoff: return self.dial(now)
        case .dialing, .tls, .connack, .subscribing:
            return self.end("no answer within \(self.limits.stageMilliseconds / 1_000) seconds", now)
        case .idle, .live: return []
        }
    }
}
