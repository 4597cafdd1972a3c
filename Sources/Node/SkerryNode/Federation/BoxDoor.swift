package import NIOCore
package import Replication
package import SkerryModel

/// What a box shows of itself to other boxes, and by what it knows them. Everything in PEM.
package struct BoxCredentials: Sendable, Hashable, CustomStringConvertible {
    /// Its certificate first, then those up to the federation's CA.
    package var certificateChain: String
    package var privateKey: String
    /// The certificate of the federation's CA, which has signed those of all boxes.
    package var authority: String

    package init(certificateChain: String, privateKey: String, authority: String) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
        self.authority = authority
    }

    /// Names nothing: it may reach a log.
    package var description: String { "credentials" }
}

/// A link that another box made to the federation listener: an MQTT connection, seen from behind the protocol. May be used from anywhere.
package protocol BoxLink: AnyObject, Sendable {
    /// Who it is: its key was proved in the TLS handshake and is that of an active member.
    var box: BoxID { get }
    /// Sends a PUBLISH if the box has subscribed to its topic. `BoxLinkAcceptor.acknowledged` hears the payload's byte count once the box has taken
    /// it (PUBACK), or once it is written or dropped where there is nothing to wait for; never when the link ends before.
    func send(_ message: LinkMessage)
    /// DISCONNECT with this text, then the end.
    func close(_ reason: String)
}

/// Who takes the links that come in at the federation listener. Called on the link's event loop.
package protocol BoxLinkAcceptor: AnyObject, Sendable {
    var box: BoxID { get }
    /// Which federation this box is of.
    var federation: FederationID { get }
    /// With what it speaks TLS.
    var credentials: BoxCredentials { get }
    var linkLimits: LinkLimits { get }
    /// Whether the holder of this key (DER SubjectPublicKeyInfo) is an active member now. Asked in every handshake, so that a removal counts at once.
    func member(publicKey: [UInt8]) -> BoxID?
    /// The box has connected, and has subscribed or begun to publish.
    func attached(_ link: any BoxLink)
    /// The box published under its own origin; anything else was refused at the door. PUBACK waits for `taken`.
    func received(_ message: LinkMessage, on link: any BoxLink, taken: @escaping @Sendable () -> Void)
    /// So many bytes of what was sent are no longer on their way: the box has taken them, or they were dropped.
    func acknowledged(_ bytes: Int, on link: any BoxLink)
    /// The box published what only another box may, or to another federation: refused with 0x87.
    func forged(by box: BoxID, claimed: BoxID?)
    func detached(_ link: any BoxLink, reason: String)
    /// A box that is not paired yet has opened a pairing connection (ALPN `skerry-pair/1`): adds its handlers.
    func addPairingHandlers(to channel: any Channel) -> EventLoopFuture<Void>
}
