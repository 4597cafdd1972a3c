package import MQTTCodec
package import NIOCore

/// What a session wants done by whoever drives it. Bytes for the client are in `Session.output`.
package enum SessionEffect: Sendable {
    /// Route this; then `resolve` the ticket, if there is one.
    case publish(ApplicationMessage, exchange: PublishExchange?)
    /// A QoS 2 message: check it, keep it on disk when the session is durable, then `resolve`. It is routed by `forward`.
    case hold(ApplicationMessage, exchange: PublishExchange)
    /// PUBREL came for a message that was held: route it, then `resolve`.
    case forward(ApplicationMessage, exchange: PublishExchange)
    case subscribe(MQTTSubscribe)
    case unsubscribe(MQTTUnsubscribe)
    /// Judge what the client says of itself by the method of its CONNECT; then `challenge`, `reauthenticated` or `close`.
    case authenticate(ByteBuffer?, isFirst: Bool)
    /// The queue row with this number, of a message of so many bytes, can go.
    case finished(UInt64, byteCount: Int)
    /// Mark the row of this number as released, then call `released`.
    case release(UInt64)
    /// So many messages were not sent: expired, or larger than the client takes.
    case dropped(Int)
    /// Send what is in `output`, then close the connection and call `disconnected`.
    case close(MQTTReason)
}

/// Which PUBLISH of a client an answer belongs to.
package struct PublishExchange: Sendable, Hashable {
    package var packetID: UInt16
    package var ticket: InboundTicket
    /// The client says that it sent this before [MQTT-3.3.1-1].
    package var isDuplicate: Bool
}
