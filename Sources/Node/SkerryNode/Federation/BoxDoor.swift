package import NIOCore
package import Replication
package import SkerryModel

/// A link that another box made to the federation listener: an MQTT connection, seen from behind the protocol. May be used from anywhere.
package protocol BoxLink: AnyObject, Sendable {
    /// Who it is: its key was proved in the TLS handshake and is that of an active member.
    var box: BoxID { get }
    /// Sends a PUBLISH if the box has subscribed to its topic. `acknowledged` hears the payload's byte count once the box has taken it (PUBACK), or at
    /// once for QoS 0; never when the link ends before.
    func send(_ message: LinkMessage)
    /// DISCONNECT with this text, then the end.
    func close(_ reason: String)
}

/// Who takes the links that come in at the federation listener. Called on the link's event loop.
package protocol BoxLinkAcceptor: AnyObject, Sendable {
    /// Which federation this box is of; nil: of none, and no box is let in.
    var federation: FederationID? { get }
    /// Whether the holder of this key (DER SubjectPublicKeyInfo) is an active member now. Asked in every handshake, so that a removal counts at once.
    func member(publicKey: [UInt8]) -> BoxID?
    /// The box has connected and subscribed.
    func attached(_ link: any BoxLink)
    /// The box published under its own origin; anything else was refused at the door. PUBACK waits for `taken`.
    func received(_ message: LinkMessage, on link: any BoxLink, taken: @escaping @Sendable () -> Void)
    /// The box has taken so many bytes of what was sent.
    func acknowledged(_ bytes: Int, on link: any BoxLink)
    func detached(_ link: any BoxLink, reason: String)
    /// A box that is not paired yet has opened a pairing connection (ALPN `skerry-pair/1`): adds its handlers.
    func addPairingHandlers(to channel: any Channel) -> EventLoopFuture<Void>
}
