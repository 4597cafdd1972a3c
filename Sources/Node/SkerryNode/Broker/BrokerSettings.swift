import MQTTSession
package import SkerryModel

/// What an administrator may set about the MQTT broker. Limits per client are announced in CONNACK where MQTT 5 has a property for them.
package struct BrokerSettings: Sendable {
    /// What happens to a QoS 1 or 2 message for a client whose queue is full. It reaches everybody else either way.
    package enum Overflow: Sendable, Hashable {
        /// The client does not get it, and the publisher hears 0x97 (quota exceeded).
        case refuse
        /// The client does not get it, and the publisher hears nothing of it.
        case drop
        /// The client gets it in place of the oldest messages that wait for it and are not sent yet.
        case dropOldest
    }

    /// Topic filters that clients without an account may publish and subscribe to; empty: every client needs an account.
    package var anonymous: [TopicFilter] = []
    /// Open MQTT connections; more are refused with 0x97.
    package var connectionsMax = 10_000

    // MARK: One client
    /// The largest packet; a larger one closes the connection with 0x95.
    package var packetBytesMax = 1_048_576
    /// QoS 1 and 2 messages a client may have unacknowledged towards the box; one more closes a version 5 connection with 0x93.
    package var receiveMax = 64
    /// QoS 1 and 2 messages the box has unacknowledged towards a client; the rest waits in its queue.
    package var inFlightMax = 64
    /// Aliases a client may define, and how many the box uses towards it.
    package var topicAliasMax = 16
    package var keepAliveSecondsMax = 65_535
    /// How long the session of an absent client is kept at most.
    package var sessionSecondsMax = 30 * 86_400
    /// Levels of a topic; more close the connection.
    package var levelsMax = 200
    /// Filters of one SUBSCRIBE or UNSUBSCRIBE, and properties of one packet that may be repeated; more close the connection with 0x97.
    package var subscriptionsPerPacketMax = 2_000
    package var repeatedPropertiesMax = 1_000
    /// Subscriptions of one client; more are refused with 0x97.
    package var subscriptionsMax = 10_000
    /// Messages and bytes kept for one client; beyond, new ones are dropped for it, and `overflow` says what the publisher hears.
    package var queuedMessagesMax = 10_000
    package var queuedBytesMax = 16 << 20
    /// Messages of a durable session's queue that are held in memory; the rest is read from the disk in pages.
    package var windowMax = 256

    // MARK: All clients
    /// CONNECTs of one address: bucket size and refill per second; beyond, they are refused with 0x9F.
    package var connectBurst = 5_000
    package var connectsPerSecond = 500
    /// Sessions that outlive their connection, of all clients and of one user (clients without an account count as one); more are refused with
    /// 0x97 at CONNECT.
    package var sessionsMax = 20_000
    package var sessionsPerUserMax = 1_000
    package var overflow = Overflow.refuse
    /// Bytes of QoS 1 and 2 messages that wait for clients, of all of them together, on the disk and in memory; beyond, `overflow` decides. A
    /// client for whom nothing waits gets a message all the same.
    package var queuedBytesAllMax = 256 << 20
    /// Retained messages, and bytes of their topics and bodies; beyond, a new topic is not retained and its publisher hears 0x97.
    package var retainedMessagesMax = 1_000_000
    package var retainedBytesMax = 1 << 30
    /// Packets of one connection that are not dealt with yet, commits included; beyond, its socket is not read.
    package var owedMax = 256
    /// Bytes waiting for one client: QoS 0 is dropped above it, QoS 1 and 2 wait in the session's queue.
    package var outboxBytesMax = 1024 * 1024
    /// A client that leaves its outbox full for so long is closed.
    package var slowSecondsMax = 30
    /// Requests to `v1/me/sync` of one client that are being answered; beyond, they are refused with `busy`.
    package var syncsMax = 4
    /// Bytes of QoS 2 messages between PUBREC and PUBCOMP that wait for room on a full disk; beyond, the publisher is closed and sends its PUBREL
    /// again.
    package var stalledBytesMax = 4 << 20
    /// Seconds between two publications of what has changed of `$SYS/…`; 0 = never, and a new subscriber is told the present values all the same.
    package var systemSeconds = 10

    package init() {}

    /// Rows of one queue, from its first, that may have been sent: those in flight, and those that were acknowledged and are not removed yet.
    var begunMax: Int { self.inFlightMax + self.windowMax }

    var session: SessionLimits {
        var limits = SessionLimits()
        limits.packetBytesMax = self.packetBytesMax
        limits.receiveMax = self.receiveMax
        limits.inFlightMax = self.inFlightMax
        limits.topicAliasMax = self.topicAliasMax
        limits.keepAliveSecondsMax = self.keepAliveSecondsMax
        limits.sessionSecondsMax = self.sessionSecondsMax
        limits.levelsMax = self.levelsMax
        limits.subscriptionsMax = self.subscriptionsMax
        limits.queuedMessagesMax = self.queuedMessagesMax
        limits.queuedBytesMax = self.queuedBytesMax
        limits.windowMax = self.windowMax
        return limits
    }
}
