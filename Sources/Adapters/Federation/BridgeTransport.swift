package import Replication
package import SkerryModel

/// Why a link ended or did not come about.
package struct LinkFailure: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Stage: String, Sendable, Hashable { case dialing, tls, connack, subscribing, live }
    package var stage: Stage
    package var detail: String

    package init(_ stage: Stage, _ detail: String) {
        self.stage = stage
        self.detail = detail
    }

    package var description: String { "\(self.stage.rawValue): \(self.detail)" }
}

/// Whom a link may be made to, and as whom.
package struct LinkPeer: Sendable, Hashable {
    package var box: BoxID
    /// DER SubjectPublicKeyInfo of its certificate: nobody else is talked to.
    package var publicKey: [UInt8]
    /// `address:port` of its federation listener, most likely first. Addresses, never names: nothing is looked up.
    package var endpoints: [String]

    package init(box: BoxID, publicKey: [UInt8], endpoints: [String]) {
        self.box = box
        self.publicKey = publicKey
        self.endpoints = endpoints
    }
}

/// What a transport tells, in order for each peer. `up` comes before anything else of a link, `down` last.
package enum TransportEvent: Sendable {
    case up(BoxID)
    case down(BoxID, LinkFailure)
    /// An attempt failed; another one follows by itself.
    case failed(BoxID, LinkFailure)
    /// `taken` is to be called when there is room for more: until then the peer's PUBACK waits.
    case received(LinkMessage, from: BoxID, taken: @Sendable () -> Void)
    /// So many bytes of what was sent are no longer on their way: the peer has taken them, or they were dropped.
    case acknowledged(BoxID, bytes: Int)
    /// The peer published under somebody else's name, or to another federation; refused, and not delivered.
    case forged(BoxID, claimed: BoxID?)
    /// Somebody else connects with this box's identity.
    case takenOver(BoxID)
}

/// Links to other boxes, at most one for each (FEDERATION.md §2.7, §6): the seam behind which libmosquitto, and in simulations nothing, carries
/// messages. May be called from anywhere.
package protocol BridgeTransport: AnyObject, Sendable {
    /// Keeps links to these boxes and no others from now on.
    func keep(_ peers: [LinkPeer])
    /// Dropped when there is no link.
    func send(_ message: LinkMessage, to box: BoxID)
    func close(_ box: BoxID, reason: String)
    func stop() async
}
