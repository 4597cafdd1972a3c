package import ChatCodec
import Replication
package import SkerryModel

/// The boxes as an administrator sees them.
package struct BoxList: Sendable {
    package var items: [BoxOverview]
    package var federation: FederationID?

    /// The fields of `GET /v1/admin/boxes`.
    package func write(to json: inout JSONWriter) {
        json.array("items", self.items) { json, box in json.object { box.write(to: &$0) } }
        guard let federation = self.federation else { return }
        json.field("federation", federation.description)
        json.field("isIssuer", self.items.first { $0.isSelf }?.isIssuer ?? false)
    }
}

extension NodeControl {
    package func boxList(by actor: Actor) async throws(SkerryError) -> BoxList {
        try await self.requireAdministrator(actor)
        return BoxList(items: await self.boxes(), federation: self.federation?.federation)
    }
}

extension BoxOverview {
    /// Whether clients may try it.
    package var isReachable: Bool { self.liveness == .alive && self.standing == .active }

    /// One item of `GET /v1/boxes`.
    package func writeForUsers(to json: inout JSONWriter) {
        json.field("box", self.box.description)
        json.field("name", self.name)
        json.field("isSelf", self.isSelf)
        json.field("reachable", self.isReachable)
        json.field("liveness", self.liveness.rawValue)
        json.field("isDraining", self.isDraining)
        json.field("online", self.onlineUsers)
        json.array("endpoints", self.endpoints.clientURLs) { $0.string($1) }
    }

    /// One item of `GET /v1/admin/boxes`.
    package func write(to json: inout JSONWriter) {
        json.field("box", self.box.description)
        json.field("name", self.name)
        json.field("standing", self.standing == .active ? "active" : "removed")
        json.field("isSelf", self.isSelf)
        json.field("isIssuer", self.isIssuer)
        json.field("liveness", self.liveness.rawValue)
        if let seen = self.lastSeenMilliseconds { json.field("lastSeen", time: seen) }
        json.field("version", self.version)
        json.object("sync") {
            $0.field("phase", self.sync.phase.rawValue)
            $0.field("behind", "\(self.sync.behind)")
            $0.field("ahead", "\(self.sync.ahead)")
            $0.field("unacknowledgedBytes", self.sync.unacknowledgedBytes)
            $0.field("quarantine", self.sync.quarantine?.rawValue)
        }
        json.field("entriesKnown", "\(self.entriesKnown)")
        json.field("entriesHeld", "\(self.entriesHeld)")
        json.field("backlogEntries", "\(self.backlogEntries)")
        json.field("backlogBytes", "\(self.backlogBytes)")
        json.field("backlogSeconds", "\(self.backlogSeconds)")
        json.field("clock", self.clock)
        json.field("clockOffsetMilliseconds", "\(self.clockOffsetMilliseconds)")
        json.field("isDraining", self.isDraining)
        if let load = self.load { json.object("load") { load.write(to: &$0) } }
        json.field("onlineUsers", self.onlineUsers)
        json.array("endpoints", self.endpoints) { json, endpoint in
            json.object {
                $0.field("kind", endpoint.kind)
                $0.field("address", endpoint.address)
                $0.field("port", endpoint.port)
            }
        }
        json.field("trouble", self.trouble)
        json.field("remedy", self.remedy)
        json.field("reason", self.reason)
    }
}

extension BoxLoad {
    fileprivate func write(to json: inout JSONWriter) {
        json.field("connections", self.connections)
        json.field("connectionsMax", self.connectionsMax)
        json.field("weight", Self.rounded(self.weight))
        json.field("memory", Self.rounded(self.memory))
        json.field("processor", Self.rounded(self.processor))
        json.field("descriptors", Self.rounded(self.descriptors))
        json.field("loopLagMilliseconds", Self.rounded(self.loopLagMilliseconds))
        json.field("isDiskLow", self.isDiskLow)
        json.field("score", Self.rounded(BoxScore.of(self)))
    }

    private static func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }
}

extension BoxAssignment {
    /// The answer of `GET /v1/assign`.
    package func write(to json: inout JSONWriter) {
        json.field("box", self.box.description)
        json.array("endpoints", self.endpoints.clientURLs) { $0.string($1) }
        json.array("alternates", self.alternates) { json, other in
            json.object {
                $0.field("box", other.box.description)
                $0.array("endpoints", other.endpoints.clientURLs) { $0.string($1) }
            }
        }
        json.field("ttl", self.secondsToLive)
        json.field("token", self.token)
    }
}
