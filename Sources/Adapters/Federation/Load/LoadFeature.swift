package import Replication
package import SkerryModel
package import SkerryNode
import NIOCore
import Synchronization

/// Heartbeats, liveness and load (FEDERATION.md §3, §5): tells other boxes every five seconds how this one is, knows from theirs who is there, and says
/// where clients should be.
package final class LoadFeature: FederationFeature {
    package let channels: Set<LinkChannel> = [.heartbeat, .state]

    /// What it says of this box beside what the node knows.
    package struct Own: Sendable {
        /// Of this run of the box, once it is known.
        package var start: @Sendable () -> StartMark
        package var version: String
        package var box: BoxSelf
        /// Of the box's log, for others to compare with.
        package var hlc: @Sendable () -> HLC
        /// Entries of other boxes that this one knows of and does not hold.
        package var behind: @Sendable () -> UInt64
        package var quarantine: @Sendable () -> QuarantineReason?

        package init(
            start: @escaping @Sendable () -> StartMark, version: String, box: BoxSelf, hlc: @escaping @Sendable () -> HLC = { HLC(rawValue: 0) },
            behind: @escaping @Sendable () -> UInt64 = { 0 }, quarantine: @escaping @Sendable () -> QuarantineReason? = { nil }
        ) {
            self.start = start
            self.version = version
            self.box = box
            self.hlc = hlc
            self.behind = behind
            self.quarantine = quarantine
        }
    }

    /// What is known of another box.
    package struct Status: Sendable {
        package var liveness = Liveness()
        package var heartbeat: Heartbeat?
        package var state: BoxState?
        /// When its last heartbeat came, on the clock that never goes back, and since 1970.
        package var heard: UInt64?
        package var seenMilliseconds: UInt64?
        /// How far its clock was ahead of this box's then; a little less than the truth, by the time on the way.
        package var clockOffsetMilliseconds: Int64 = 0
    }

    private struct State {
        var links: (any FederationLinks)?
        var members: Set<BoxID> = []
        var boxes: [BoxID: Status] = [:]
        var assigner = Assigner()
        var pace = MovePace()
        var beatDue: UInt64 = 0
    }

    private let node: Node
    private let own: Own
    private let presence: PresenceFeature?
    private let heard: @Sendable (BoxID, Heartbeat) -> Void
    private let started: UInt64
    private let state = Mutex(State())

    /// - Parameter heard: hears every heartbeat that is news: whose clock says what, and where a box can be reached.
    package init(
        node: Node, own: Own, presence: PresenceFeature?, heard: @escaping @Sendable (BoxID, Heartbeat) -> Void = { _, _ in }
    ) {
        self.node = node
        self.own = own
        self.presence = presence
        self.heard = heard
        self.started = node.clock.monotonic()
    }

    // MARK: - FederationFeature

    package func start(_ links: any FederationLinks) { self.state.withLock { $0.links = links } }

    package func members(_ members: [BoxID: MemberEntry]) {
        let active = Set(members.filter { $0.value.standing == .active && $0.key != self.node.box }.keys)
        let gone = self.state.withLock { state in
            state.members = active
            let gone = state.boxes.keys.filter { !active.contains($0) }
            for box in gone {
                state.boxes[box] = nil
                state.assigner.forget(box)
            }
            for box in active where state.boxes[box] == nil { state.boxes[box] = Status() }
            return gone
        }
        for box in gone { self.presence?.forget(box) }
    }

    package func linkUp(_ box: BoxID) {
        self.send(.state, self.stateNow(.online).payload, to: box)
        self.send(.heartbeat, self.heartbeat().payload, to: box)
    }

    package func linkDown(_ box: BoxID) { self.hear(.lost, of: box) }

    package func received(_ message: LinkMessage, from box: BoxID) {
        guard message.origin == box else { return self.node.metrics.add(.heartbeatsRefused) }
        do throws(EntryDecodeError) {
            switch message.channel {
            case .heartbeat: self.take(try Heartbeat(decoding: message.payload), from: box)
            case .state: self.take(try BoxState(decoding: message.payload), from: box)
            default: break
            }
        } catch {
            self.node.metrics.add(.heartbeatsRefused)
        }
    }

    package func tick(now monotonic: UInt64) {
        self.own.box.meter.tick()
        let (isDue, gone) = self.state.withLock { state -> (Bool, [BoxID]) in
            var gone: [BoxID] = []
            for box in state.boxes.keys {
                if state.boxes[box]?.liveness.hear(.tick, now: monotonic) == true, state.boxes[box]?.isGone == true { gone.append(box) }
            }
            guard state.beatDue <= monotonic else { return (false, gone) }
            state.beatDue = monotonic + Heartbeat.everyMilliseconds
            return (true, gone)
        }
        for box in gone { self.presence?.gone(box) }
        if isDue { self.send(.heartbeat, self.heartbeat().payload, to: nil) }
        self.move(now: monotonic)
    }

    package func stop() {
        self.node.moving.drain(false)
        self.send(.state, self.stateNow(.leaving).payload, to: nil)
    }

    private func send(_ channel: LinkChannel, _ payload: [UInt8], to box: BoxID?) { self.state.withLock(\.links)?.send(channel, payload, to: box) }

    // MARK: - What is said

    /// What the box's will says when its link breaks: for whoever makes links.
    package var will: BoxState { self.stateNow(.offline) }

    private func stateNow(_ status: BoxState.Status) -> BoxState { BoxState(status, start: self.own.start(), version: self.own.version) }

    package func heartbeat() -> Heartbeat {
        let now = self.node.clock.monotonic()
        let own = self.own
        var heartbeat = Heartbeat(
            start: own.start(), uptimeMilliseconds: now - min(now, self.started) + 1, physicalMilliseconds: self.node.clock.wall(), hlc: own.hlc(),
            clock: own.box.clock(), load: own.box.meter.load())
        heartbeat.isDraining = self.node.moving.isDraining
        heartbeat.behind = own.behind()
        heartbeat.quarantine = own.quarantine()
        heartbeat.onlineUsers = self.node.online.userCount
        heartbeat.presenceHash = self.node.online.announcedHash
        heartbeat.version = own.version
        heartbeat.endpoints = Array(own.box.endpoints().prefix(BoxEndpoint.countMax))
        heartbeat.peers = self.state.withLock { state in
            state.boxes.compactMap { box, status in
                guard let heard = status.heard, now - min(now, heard) < Liveness.downAfter else { return nil }
                return PeerSighting(box: box, ageSeconds: UInt8(clamping: (now - min(now, heard)) / 1_000))
            }
        }
        return heartbeat
    }

    // MARK: - What is heard

    private func take(_ heartbeat: Heartbeat, from box: BoxID) {
        let (now, wall) = (self.node.clock.monotonic(), self.node.clock.wall())
        let isNews = self.state.withLock { state in
            // What is of an earlier run, or was overtaken by a later one, says nothing of now.
            guard var status = state.boxes[box], status.liveness.accepts(heartbeat.start, uptime: heartbeat.uptimeMilliseconds) else { return false }
            status.liveness.hear(.heartbeat(heartbeat.start, uptime: heartbeat.uptimeMilliseconds), now: now)
            status.heartbeat = heartbeat
            status.heard = now
            status.seenMilliseconds = wall
            status.clockOffsetMilliseconds = Int64(clamping: heartbeat.physicalMilliseconds) - Int64(clamping: wall)
            state.boxes[box] = status
            state.assigner.heard(box)
            for peer in heartbeat.peers where peer.box != self.node.box {
                state.boxes[peer.box]?.liveness.hear(.sighted(ageMilliseconds: UInt64(peer.ageSeconds) * 1_000), now: now)
            }
            return true
        }
        guard isNews else { return }
        self.presence?.heard(box, hash: heartbeat.presenceHash)
        self.heard(box, heartbeat)
    }

    private func take(_ boxState: BoxState, from box: BoxID) {
        self.state.withLock { $0.boxes[box]?.state = boxState }
        switch boxState.status {
        case .online: self.hear(.online(boxState.start), of: box)
        case .leaving: self.hear(.leaving(boxState.start), of: box)
        case .offline: self.hear(.lost, of: box)
        }
    }

    private func hear(_ event: Liveness.Event, of box: BoxID) {
        let now = self.node.clock.monotonic()
        let isGone = self.state.withLock { state in state.boxes[box]?.liveness.hear(event, now: now) == true && state.boxes[box]?.isGone == true }
        if isGone { self.presence?.gone(box) }
    }

    // MARK: - For administrators and pages

    /// What is known of every other member.
    package var statuses: [BoxID: Status] { self.state.withLock(\.boxes) }

    /// Puts what is known of a box into its line of the list.
    package func fill(_ overview: inout BoxOverview) {
        if overview.isSelf {
            let own = self.own.box
            overview.liveness = .alive
            overview.lastSeenMilliseconds = self.node.clock.wall()
            overview.version = self.own.version
            overview.clock = own.clock().rawValue
            overview.isDraining = self.node.moving.isDraining
            overview.load = own.meter.load()
            overview.onlineUsers = self.node.online.userCount
            overview.endpoints = own.endpoints()
            return
        }
        guard let status = self.state.withLock({ $0.boxes[overview.box] }) else { return }
        overview.liveness = status.liveness.state
        overview.lastSeenMilliseconds = status.seenMilliseconds
        overview.version = status.heartbeat?.version ?? status.state?.version
        guard let heartbeat = status.heartbeat else { return }
        overview.clock = heartbeat.clock.rawValue
        overview.clockOffsetMilliseconds = status.clockOffsetMilliseconds
        // What a box said of itself goes with it (FEDERATION.md §3).
        guard !status.isGone else { return }
        overview.isDraining = heartbeat.isDraining
        overview.load = heartbeat.load
        overview.onlineUsers = heartbeat.onlineUsers
        overview.endpoints = heartbeat.endpoints
    }

    // MARK: - Assignment

    /// Where a client should be.
    package func assign(previous: BoxID?, token: String?) -> BoxAssignment {
        let hop = token.flatMap { HopToken(text: $0) }
        let wall = self.node.clock.wall()
        let isSettled = hop?.isFresh(now: wall) ?? false
        // Who was sent on a moment ago is meant to be where it was sent, wherever it asks.
        let previous = isSettled ? hop?.box ?? previous : previous
        let candidates = self.candidates()
        let random = self.node.random
        let choice = self.state.withLock { $0.assigner.assign(candidates, previous: previous, isSettled: isSettled, random: random.next) }
        // When no box takes anybody the one that is asked does: it is there.
        let box = choice.first ?? self.node.box
        let next = isSettled && box == hop?.box ? hop ?? .next(after: hop, to: box, now: wall) : HopToken.next(after: hop, to: box, now: wall)
        return BoxAssignment(
            box: box, endpoints: self.endpoints(of: box), alternates: choice.dropFirst().map { ($0, self.endpoints(of: $0)) },
            secondsToLive: NodeControl.assignmentSeconds, token: next.description)
    }

    private func endpoints(of box: BoxID) -> [BoxEndpoint] {
        if box == self.node.box { return self.own.box.endpoints() }
        return self.state.withLock { $0.boxes[box]?.heartbeat?.endpoints ?? [] }
    }

    private func candidates() -> [AssignCandidate] {
        let own = self.own
        let itself = AssignCandidate(
            box: self.node.box, load: own.box.meter.load(), isDraining: self.node.moving.isDraining, behind: own.behind(),
            isQuarantined: own.quarantine() != nil)
        let now = self.node.clock.monotonic()
        return [itself]
            + self.state.withLock { state in
                state.boxes.compactMap { box, status in
                    guard let heartbeat = status.heartbeat, let heard = status.heard else { return nil }
                    return AssignCandidate(
                        box: box, load: heartbeat.load, age: now - min(now, heard), isAlive: status.liveness.state == .alive,
                        isDraining: heartbeat.isDraining, behind: heartbeat.behind, isQuarantined: heartbeat.quarantine != nil,
                        hasEndpoints: !heartbeat.endpoints.clientURLs.isEmpty)
                }
            }
    }

    // MARK: - Sending clients elsewhere

    package var isDraining: Bool { self.node.moving.isDraining }

    /// Other boxes hear of it at once.
    package func drain(_ isOn: Bool) {
        self.node.moving.drain(isOn, choose: { [weak self] in self?.target() })
        self.send(.heartbeat, self.heartbeat().payload, to: nil)
    }

    private func target() -> MoveTarget? { self.targets(1, isDrain: true).first }

    private func targets(_ count: Int, isDrain: Bool) -> [MoveTarget] {
        let candidates = self.candidates()
        let random = self.node.random
        let wall = self.node.clock.wall()
        return self.state.withLock { state in
            let mean = state.assigner.mean(candidates)
            var targets: [MoveTarget] = []
            for _ in 0..<count {
                // To even the load out only boxes below the mean are of use, and what was sent there counts at once.
                let others = candidates.filter { $0.isEligible && $0.box != self.node.box && (isDrain || state.assigner.score($0) < mean) }
                guard let box = state.assigner.pick(others, random: random.next), let endpoints = state.boxes[box]?.heartbeat?.endpoints else { break }
                targets.append(
                    MoveTarget(box: box, endpoints: endpoints, token: HopToken.next(after: nil, to: box, now: wall).description))
            }
            return targets
        }
    }

    private func move(now: UInt64) {
        let isDraining = self.node.moving.isDraining
        let online = self.node.online
        // Only the chat's clients are sent on to even the load out: what is queued for an MQTT client stays behind.
        let connections = online.count(.ws) + (isDraining ? online.count(.mqtt) : 0)
        guard connections > 0 || isDraining else { return }
        let candidates = self.candidates()
        let quota = self.state.withLock { state -> Int in
            let isOverloaded = candidates.first.map { state.assigner.isOverloaded($0, among: candidates) } ?? false
            return state.pace.quota(connections: connections, isDraining: isDraining, isOverloaded: isOverloaded, now: now)
        }
        guard quota > 0 else { return }
        let targets = self.targets(quota, isDrain: isDraining)
        if !targets.isEmpty { self.node.publish([.move(MoveOrder(targets, isDrain: isDraining))]) }
    }
}

extension LoadFeature.Status {
    /// Whether what it said of itself does not count any more.
    fileprivate var isGone: Bool {
        switch self.liveness.state {
        case .down, .leaving, .unreachable: true
        case .unknown, .alive, .suspect: false
        }
    }
}
