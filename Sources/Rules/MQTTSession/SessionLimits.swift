/// What the box allows one MQTT client; announced in CONNACK where MQTT 5 has a property for it.
package struct SessionLimits: Sendable, Hashable {
    package var packetBytesMax = 1_048_576
    /// QoS 1 and 2 messages a client may have unacknowledged towards the box; one more closes a version 5 connection with 0x93.
    package var receiveMax = 64
    /// QoS 1 and 2 messages the box has unacknowledged towards a client; the rest waits.
    package var inFlightMax = 64
    /// Aliases a client may define, and how many the box uses towards it.
    package var topicAliasMax = 16
    package var keepAliveSecondsMax = 65_535
    package var sessionSecondsMax = 30 * 86_400
    /// Levels of a topic; more close the connection.
    package var levelsMax = 200
    /// Subscriptions of one client; more are refused with 0x97.
    package var subscriptionsMax = 10_000
    /// Messages and bytes that wait for one client; beyond, new ones are dropped. So many bytes may wait for the PUBREL of a client as well when it
    /// has more than `receiveMax` QoS 2 messages open; then it is closed.
    package var queuedMessagesMax = 10_000
    package var queuedBytesMax = 16 << 20
    /// Messages of a durable session's queue that are held in memory; the rest is read from the disk in pages.
    package var windowMax = 256
    /// From AUTH 0x19 to its end; then the connection is closed with 0x87. As long as a CONNECT may take.
    package var reauthenticationSecondsMax = 30

    package init() {}
}
