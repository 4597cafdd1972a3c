package import NIOCore
package import Replication
package import SkerryModel
package import SkerryNode

/// One link for each pair of boxes (FEDERATION.md §2.7): those that this box dials and those that others made to it, as one stream of events.
package final class MeshTransport: BridgeTransport, BoxLinkAcceptor {
    private let configuration: MeshConfiguration

    /// Fails when the credentials are of no use. Stopped by `stop`, which also ends the accepted links.
    ///
    /// - Parameter events: called in order, one at a time, from any thread; returns soon.
    package init(_ configuration: MeshConfiguration, events: @escaping @Sendable (TransportEvent) -> Void) throws(LinkFailure) {
        self.configuration = configuration
    }

    // MARK: - BridgeTransport

    package func keep(_ peers: [LinkPeer]) {}
    package func send(_ message: LinkMessage, to box: BoxID) {}
    package func close(_ box: BoxID, reason: String) {}
    package func stop() async {}

    // MARK: - BoxLinkAcceptor

    package var federation: FederationID { self.configuration.federation }
    package var credentials: BoxCredentials { self.configuration.credentials }
    package func member(publicKey: [UInt8]) -> BoxID? { self.configuration.member(publicKey) }
    package func attached(_ link: any BoxLink) {}
    package func received(_ message: LinkMessage, on link: any BoxLink, taken: @escaping @Sendable () -> Void) { taken() }
    package func acknowledged(_ bytes: Int, on link: any BoxLink) {}
    package func forged(by box: BoxID, claimed: BoxID?) {}
    package func detached(_ link: any BoxLink, reason: String) {}
    package func addPairingHandlers(to channel: any Channel) -> EventLoopFuture<Void> { self.configuration.addPairingHandlers(channel) }
}
