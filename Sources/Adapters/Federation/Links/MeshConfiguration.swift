package import Logging
package import NIOCore
package import SkerryModel
package import SkerryNode

/// Bounds of links between boxes; what happens at each is with it.
package struct LinkLimits: Sendable, Hashable {
    /// Messages and bytes of payloads with QoS 1 that a peer has not acknowledged; what comes after waits here.
    package var windowMessagesMax = 32
    package var windowBytesMax = 256 * 1024
    /// Messages and bytes of payloads that wait for one peer, the window included; beyond, a message is dropped, which `acknowledged` hears as if it
    /// had been taken: that is flow control, and what is missing is found by the digests.
    package var waitingMessagesMax = 4_096
    package var waitingBytesMax = 1024 * 1024
    /// Bytes of QoS 0 that wait for one peer's socket; beyond, what is fleeting is dropped.
    package var fleetingBytesMax = 64 * 1024
    /// Messages and bytes of payloads that were received from one peer and not taken; beyond, its socket is not read.
    package var untakenMessagesMax = 32
    package var untakenBytesMax = 512 * 1024
    /// Bytes that may come from a peer without a message being whole; a peer that sends more is cut off.
    package var packetBytesMax = 192 * 1024
    /// Links that are dialled at most.
    package var dialledMax = 64
    /// Seconds without a word after which a peer is asked whether it is there; as many again, and the link is given up.
    package var keepAliveSeconds = 10
    /// How long each step of making a link may take.
    package var stageMilliseconds: UInt64 = 10_000
    package var backoffMinMilliseconds: UInt64 = 1_000
    package var backoffMaxMilliseconds: UInt64 = 60_000
    /// How long the box with the higher id waits for a link before it dials too.
    package var patienceMilliseconds: UInt64 = 30_000

    package init() {}
}

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
