package import MQTTCodec
package import NIOCore
package import SkerryModel

/// A message of an ordinary topic on its way from one box to another.
package struct CrossingMessage: Sendable {
    package var topic: TopicName
    package var payload: ByteBuffer
    package var qos: MQTTQoS
    /// The publisher's RETAIN flag: for subscriptions with Retain As Published. What is retained goes by the log.
    package var isRetained: Bool
    /// Milliseconds until nobody wants it any more; nil = never. A span and no time of day: clocks of boxes differ.
    package var millisecondsLeft: UInt64?
    /// Those that travel unaltered, in their order.
    package var properties: MQTTProperties
    /// Who published it; nil: a client without an account, or the box.
    package var user: UserID?

    package init(
        topic: TopicName, payload: ByteBuffer, qos: MQTTQoS, isRetained: Bool = false, millisecondsLeft: UInt64? = nil,
        properties: MQTTProperties = .none, user: UserID? = nil
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.isRetained = isRetained
        self.millisecondsLeft = millisecondsLeft
        self.properties = properties
        self.user = user
    }

    /// What it counts for under a limit of bytes.
    package var byteCount: Int { self.topic.byteCount + self.payload.readableBytes }
}

/// Hears what other boxes are to hear of the broker (FEDERATION.md §2.8). Called on shards, in each shard's order; returns at once.
package protocol PublicationTap: AnyObject, Sendable {
    /// A client of this box published what clients of these boxes want.
    func published(_ message: CrossingMessage, for boxes: [BoxID])
    /// Subscriptions of this box's clients to `filter` (without its share) are so many more or fewer.
    func subscribed(_ filter: TopicFilter, _ change: Int)
}
