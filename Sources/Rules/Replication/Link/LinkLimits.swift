/// Bounds of links between boxes; what happens at each is with it.
package struct LinkLimits: Sendable, Hashable {
    /// Messages and bytes of payloads with QoS 1 that a peer has not acknowledged; what comes after waits here.
    package var windowMessagesMax = 32
    package var windowBytesMax = 256 * 1024
    /// Messages and bytes of payloads that wait for one peer, the window included; beyond, a message is dropped, which counts as acknowledged: that is
    /// flow control, and what is missing is found by the digests.
    package var waitingMessagesMax = 4_096
    package var waitingBytesMax = 1024 * 1024
    /// Bytes of QoS 0 among them; beyond, what is fleeting is dropped.
    package var fleetingBytesMax = 128 * 1024
    /// Messages and bytes of payloads that were received from one peer and not taken; beyond, its socket is not read.
    package var untakenMessagesMax = 32
    package var untakenBytesMax = 512 * 1024
    /// Bytes of one packet, and what may come from a peer without a message being whole; a peer that sends more is cut off.
    package var packetBytesMax = 192 * 1024
    /// Subscriptions of one peer; one more is refused with 0x97.
    package var subscriptionsMax = 256
    /// Bytes of a peer's will; a longer one is refused with 0x95.
    package var willBytesMax = 4_096
    /// Messages of one link that were refused because its box may not send them; then the link is cut.
    package var refusedMax = 16
    /// Connections that have not shown yet whose they are; one more is closed at once.
    package var strangersMax = 64
    /// Links that are dialled at most; further peers are not dialled.
    package var dialledMax = 64
    /// Seconds without a word after which a peer is asked whether it is there; as many again, and the link is given up. At least five.
    package var keepAliveSeconds = 10
    /// The longest keep-alive that a peer may have.
    package var keepAliveSecondsMax = 60
    /// Milliseconds that each step of making a link may take.
    package var stageMilliseconds: UInt64 = 10_000
    package var backoffMinMilliseconds: UInt64 = 1_000
    package var backoffMaxMilliseconds: UInt64 = 60_000
    /// How long the box with the higher id waits for a link before it dials too.
    package var patienceMilliseconds: UInt64 = 30_000

    package init() {}
}
