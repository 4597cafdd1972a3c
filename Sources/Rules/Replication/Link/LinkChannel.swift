package import SkerryModel

/// What a message between boxes is about: the last part of its topic (FEDERATION.md §2.4).
package enum LinkChannel: String, Sendable, Hashable, CaseIterable {
    /// Live batches of the control and of the message log.
    case control = "c"
    case message = "m"
    /// The digest of what a box holds.
    case digest = "vv"
    /// Whether a box is there, with its versions; its will says that it is not.
    case state = "st"
    case heartbeat = "hb"
    /// Requests and answers, to one box.
    case request = "q"
    case response = "r"
    /// Lease messages, to one box.
    case lease = "l"
    /// Blob chunks, to one box.
    case blob = "b"
    /// What is fleeting: presence, typing.
    case ephemeral = "e"
    /// Ordinary MQTT messages with QoS 0, and with QoS 1 or 2.
    case topic = "x"
    case topicAcknowledged = "y"
    /// The topic filters that somebody on a box listens to.
    case interest = "ix"

    /// Whether a message is for one box, which its topic names.
    package var isAddressed: Bool {
        switch self {
        case .request, .response, .lease, .blob: true
        case .control, .message, .digest, .state, .heartbeat, .ephemeral, .topic, .topicAcknowledged, .interest: false
        }
    }

    package var qos: UInt8 {
        switch self {
        case .heartbeat, .lease, .ephemeral, .topic: 0
        case .control, .message, .digest, .state, .request, .response, .blob, .topicAcknowledged, .interest: 1
        }
    }

    /// Bytes of a payload; a longer one is dropped by the receiver and never made by a sender (FEDERATION.md §2.3).
    package static let payloadBytesMax = 96 * 1024
}

/// One message between boxes: whose it is, what it is about, whom it is for.
package struct LinkMessage: Sendable, Hashable {
    package var origin: BoxID
    package var channel: LinkChannel
    /// Set exactly when the channel is addressed.
    package var addressee: BoxID?
    package var payload: [UInt8]

    package init(origin: BoxID, channel: LinkChannel, addressee: BoxID? = nil, payload: [UInt8]) {
        self.origin = origin
        self.channel = channel
        self.addressee = addressee
        self.payload = payload
    }
}

/// `fed/1/<federation>/<origin>/<channel>[/<addressee>]` (FEDERATION.md §2.4).
package struct FederationTopic: Sendable, Hashable, CustomStringConvertible {
    package var federation: FederationID
    package var origin: BoxID
    package var channel: LinkChannel
    package var addressee: BoxID?

    package init(_ federation: FederationID, _ origin: BoxID, _ channel: LinkChannel, to addressee: BoxID? = nil) {
        self.federation = federation
        self.origin = origin
        self.channel = channel
        self.addressee = addressee
    }

    /// Nil for anything that is not exactly such a topic.
    package init?(_ text: String) {
        let levels = text.split(separator: "/", omittingEmptySubsequences: false)
        guard levels.count == 5 || levels.count == 6, levels[0] == "fed", levels[1] == "1", let federation = FederationID(text: levels[2]),
            let origin = BoxID(text: levels[3]), let channel = LinkChannel(rawValue: String(levels[4])), channel.isAddressed == (levels.count == 6)
        else { return nil }
        self.init(federation, origin, channel)
        guard channel.isAddressed else { return }
        guard let addressee = BoxID(text: levels[5]) else { return nil }
        self.addressee = addressee
    }

    package var description: String {
        let start = "fed/1/\(self.federation)/\(self.origin)/\(self.channel.rawValue)"
        guard let addressee = self.addressee else { return start }
        return "\(start)/\(addressee)"
    }

    /// Where `box` announces that it is there, and its will that it is not.
    package static func prefix(_ federation: FederationID, _ origin: BoxID) -> String { "fed/1/\(federation)/\(origin)/" }

    /// Everything that `box` listens to at the broker of `peer` (mesh: one filter a channel, nobody else's messages).
    package static func filters(_ federation: FederationID, of peer: BoxID, for box: BoxID) -> [String] {
        LinkChannel.allCases.map { FederationTopic(federation, peer, $0, to: $0.isAddressed ? box : nil).description }
    }
}

/// What a request (`q`) asks for and a response (`r`) answers: the first field of their payload.
package enum RequestKind: UInt64, Sendable, Hashable, CaseIterable {
    case hello = 1
    case range = 2
    case blob = 3
    case presence = 4
    case interest = 5
    case assign = 6
}

/// The envelope of `q` and `r`: `1:kind 2:correlation(fix64) 3:body`. An unknown kind is answered with an empty body.
package struct LinkRequest: Sendable, Hashable {
    package var kind: UInt64
    package var correlation: UInt64
    package var body: [UInt8]

    package init(_ kind: RequestKind, correlation: UInt64, body: [UInt8]) {
        self.kind = kind.rawValue
        self.correlation = correlation
        self.body = body
    }

    package var known: RequestKind? { RequestKind(rawValue: self.kind) }

    package init(decoding payload: [UInt8]) throws(EntryDecodeError) {
        let fields = try FieldMap(payload[...])
        self.kind = try fields.required(1)
        self.correlation = try fields.required(2)
        self.body = fields.slice(3).map { Array($0) } ?? []
    }

    package var payload: [UInt8] {
        var writer = FieldWriter(reserving: self.body.count + 24)
        writer.varint(1, self.kind)
        writer.fixed64(2, self.correlation)
        writer.bytes(3, self.body)
        return writer.bytes
    }
}
