package import Logging
package import NIOCore
package import Replication
package import SkerryModel
package import SkerryNode

/// What links to other boxes are made with.
package struct MeshConfiguration: Sendable {
    package var box: BoxID
    package var federation: FederationID
    package var credentials: BoxCredentials
    /// The active member that holds this key (DER SubjectPublicKeyInfo), asked in every handshake.
    package var member: @Sendable (_ publicKey: [UInt8]) -> BoxID?
    /// The payload of `st` that a peer is to see when this box is lost without a word; asked before every attempt.
    package var will: @Sendable () -> [UInt8]
    /// Takes the pairing connections of the federation listener.
    package var addPairingHandlers: @Sendable (any Channel) -> EventLoopFuture<Void>
    package var limits = LinkLimits()
    package var metrics: NodeMetrics
    package var logger: Logger
    /// Milliseconds that never go back.
    package var monotonic: @Sendable () -> UInt64

    package init(
        box: BoxID, federation: FederationID, credentials: BoxCredentials, member: @escaping @Sendable (_ publicKey: [UInt8]) -> BoxID?,
        will: @escaping @Sendable () -> [UInt8], addPairingHandlers: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>, metrics: NodeMetrics,
        logger: Logger, monotonic: @escaping @Sendable () -> UInt64 = { NIODeadline.now().uptimeNanoseconds / 1_000_000 }
    ) {
        self.box = box
        self.federation = federation
        self.credentials = credentials
        self.member = member
        self.will = will
        self.addPairingHandlers = addPairingHandlers
        self.metrics = metrics
        self.logger = logger
        self.monotonic = monotonic
    }
}
