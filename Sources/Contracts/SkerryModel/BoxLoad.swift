/// Whether a box is there, as this box sees it (FEDERATION.md §3).
package enum BoxLiveness: String, Sendable, Hashable, CaseIterable {
    case unknown, alive, suspect, down, leaving
    /// No word from it, but another box hears it.
    case unreachable
}

/// What a box says of its own clock.
package enum BoxClockState: String, Sendable, Hashable, CaseIterable {
    /// Kept right by NTP or a receiver.
    case ntp
    /// Plausible; nobody vouches for it.
    case set
    /// Before the making of this version, so never set.
    case unset
}

/// Load as a box tells it in its heartbeat (FEDERATION.md §5); shares of what it can bear, 1 = full.
package struct BoxLoad: Sendable, Hashable {
    package var connections: Int
    package var connectionsMax: Int
    /// How much this box can bear beside others: 1 for a small board.
    package var weight: Double
    package var memory: Double
    package var processor: Double
    package var descriptors: Double
    package var loopLagMilliseconds: Double
    package var isDiskLow: Bool

    package init(
        connections: Int = 0, connectionsMax: Int = 0, weight: Double = 1, memory: Double = 0, processor: Double = 0, descriptors: Double = 0,
        loopLagMilliseconds: Double = 0, isDiskLow: Bool = false
    ) {
        self.connections = connections
        self.connectionsMax = connectionsMax
        self.weight = weight
        self.memory = memory
        self.processor = processor
        self.descriptors = descriptors
        self.loopLagMilliseconds = loopLagMilliseconds
        self.isDiskLow = isDiskLow
    }
}

/// Where a box can be reached by people and devices.
package struct BoxEndpoint: Sendable, Hashable {
    /// Kinds that are known here; another box may know more.
    package static let kinds = ["http", "https", "mqtt", "mqtts", "federation"]
    /// Bytes of a kind and of an address; a longer one from outside is refused.
    package static let kindBytesMax = 16
    package static let addressBytesMax = 64
    /// Endpoints of one box; more are left out by it, and refused from outside.
    package static let countMax = 32

    /// `http` and `https` carry the chat's WebSocket too.
    package var kind: String
    package var address: String
    package var port: Int

    package init(kind: String, address: String, port: Int) {
        self.kind = kind
        self.address = address
        self.port = port
    }

    private var host: String { self.address.contains(":") ? "[\(self.address)]" : self.address }

    /// `host:port`, as an MQTT 5 server reference has it (MQTT 5 §4.11).
    package var hostAndPort: String { "\(self.host):\(self.port)" }

    /// How a client opens it: `http://…`, `mqtt://…`.
    package var url: String { "\(self.kind)://\(self.hostAndPort)" }

    /// How the chat is opened there; nil where there is none.
    package var chatURL: String? {
        switch self.kind {
        case "http": "ws://\(self.hostAndPort)/v1/ws"
        case "https": "wss://\(self.hostAndPort)/v1/ws"
        default: nil
        }
    }
}

extension [BoxEndpoint] {
    /// What clients are told: every way in that is for them, the chat's WebSocket first.
    package var clientURLs: [String] {
        self.compactMap(\.chatURL) + self.filter { $0.kind != "federation" }.map(\.url)
    }
}
