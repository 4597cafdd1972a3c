import Replication
package import SkerryModel

/// What the box says of itself to clients and other boxes, as whoever assembles it knows.
package struct BoxSelf: Sendable {
    package var name: String
    package var meter: LoadMeter
    /// Where it can be reached now: addresses come and go.
    package var endpoints: @Sendable () -> [BoxEndpoint]
    package var clock: @Sendable () -> BoxClockState

    package init(
        name: String, meter: LoadMeter, endpoints: @escaping @Sendable () -> [BoxEndpoint], clock: @escaping @Sendable () -> BoxClockState
    ) {
        self.name = name
        self.meter = meter
        self.endpoints = endpoints
        self.clock = clock
    }
}

/// The boxes of the federation; a box without one is alone on the list.
extension NodeControl {
    /// This box's own line of the list, as far as the node knows it.
    package var ownOverview: BoxOverview {
        let own = self.own
        var overview = BoxOverview(box: self.node.box, name: own?.name ?? "", isSelf: true, liveness: .alive)
        overview.lastSeenMilliseconds = self.node.clock.wall()
        overview.version = self.version
        overview.clock = (own?.clock() ?? .set).rawValue
        overview.isDraining = self.node.moving.isDraining
        overview.load = own?.meter.load()
        overview.onlineUsers = self.node.online.userCount
        overview.endpoints = own?.endpoints() ?? []
        return overview
    }

    /// This box first.
    package func boxes() async -> [BoxOverview] {
        guard let federation = self.federation else { return [self.ownOverview] }
        let boxes = await federation.boxes()
        return boxes.isEmpty ? [self.ownOverview] : boxes
    }

    /// - Parameters: as a client wrote them.
    package func assign(previous: String?, token: String?) async throws(SkerryError) -> BoxAssignment {
        var box: BoxID?
        if let previous {
            guard let known = BoxID(text: previous) else { throw SkerryError(.payloadInvalid, "prev is the id of a box.", field: "prev") }
            box = known
        }
        if let token, HopToken(text: token) == nil { throw SkerryError(.payloadInvalid, "token is what an earlier answer or moved held.", field: "token") }
        self.node.metrics.add(.clientsAssigned)
        if let federation = self.federation { return try await federation.assign(previous: box, token: token) }
        let hop = HopToken.next(after: token.flatMap { HopToken(text: $0) }, to: self.node.box, now: self.node.clock.wall())
        return BoxAssignment(
            box: self.node.box, endpoints: self.own?.endpoints() ?? [], alternates: [], secondsToLive: Self.assignmentSeconds, token: hop.description)
    }

    /// How long a client may go on using an assignment without asking again.
    package static let assignmentSeconds = 60

    package func drain(_ isOn: Bool, by actor: Actor) async throws(SkerryError) {
        try await self.requireAdministrator(actor)
        let others = await self.boxes().count { $0.standing == .active && !$0.isSelf }
        guard let federation = self.federation, others > 0 || !isOn else {
            if !isOn { return }
            throw SkerryError(.conflict, "There is no other box to send people to. Pair one first, or just stop this one.")
        }
        try await federation.drain(isOn)
    }
}
