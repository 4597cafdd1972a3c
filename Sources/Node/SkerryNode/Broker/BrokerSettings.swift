package import MQTTSession
package import SkerryModel

/// What an administrator may set about the MQTT broker.
package struct BrokerSettings: Sendable {
    /// What happens to a QoS 1 or 2 message for a client whose queue is full. It reaches everybody else either way.
    package enum Overflow: Sendable, Hashable {
        /// The publisher hears 0x97 (quota exceeded).
        case refuse
        /// The publisher hears nothing of it.
        case drop
    }

    /// Per client: announced limits, and how much may wait for it.
    package var session = SessionLimits()
    /// Topic filters that clients without an account may publish and subscribe to; empty: every client needs an account.
    package var anonymous: [TopicFilter] = []
    /// Open MQTT connections; more are refused with 0x97.
    package var connectionsMax = 10_000
    package var overflow = Overflow.refuse
    /// Retained messages, and bytes of their topics and bodies; beyond, a new topic is not retained and its publisher hears 0x97.
    package var retainedMessagesMax = 1_000_000
    package var retainedBytesMax = 1 << 30
    /// Messages between PUBLISH and the last shard that has to hear of them, acknowledgements included, per connection; beyond it is not read.
    package var owedMax = 256
    /// Bytes waiting for one client: QoS 0 is dropped above it, QoS 1 and 2 wait in the session's queue.
    package var outboxBytesMax = 1024 * 1024
    /// A client that leaves its outbox full for so long is closed.
    package var slowSecondsMax = 30
    /// Seconds between two publications of `$SYS/…`.
    package var systemSeconds = 10

    package init() {}
}
