import MQTTCodec
package import SkerryModel

/// An MQTT client as an administrator sees it: the values of one moment, of a client that is connected or of a session that is kept.
package struct ClientSummary: Sendable {
    package struct Connection: Sendable {
        package var address: String
        package var transport: MQTTTransport
        /// The name of the listener it came through.
        package var listener: String
        /// 3.1, 3.1.1 or 5.0.
        package var version: String
        /// Wall clock, milliseconds.
        package var since: UInt64
        /// The last packet from the client.
        package var heard: UInt64
        package var keepAliveSeconds: Int
        package var isCleanStart: Bool
        /// Bytes handed to the connection that have not left.
        package var waitingBytes: Int
        package var receiveMaximum: Int
    }

    package var id: String
    package var user: UserID?
    package var name: String
    /// Nil: the client is away and its session waits.
    package var connection: Connection?
    /// When its connection ended; nil while connected.
    package var left: UInt64?
    package var isDurable: Bool
    /// Seconds the session outlives its connection; nil = for ever.
    package var expirySeconds: Int?
    package var subscriptions: Int
    package var queuedMessages: Int
    package var queuedBytes: Int
    package var inFlight: Int
    /// PUBLISH packets since the session was made, or the box started.
    package var received: Int
    package var sent: Int
    package var hasWill: Bool
    /// The session's number in the tables; 0 when it is not durable.
    var number: Int32
}

/// One subscription of one client.
package struct ClientSubscriptionSummary: Sendable {
    package var client: String
    package var user: UserID?
    package var name: String
    package var isConnected: Bool
    /// As subscribed, `$share/{group}/` included.
    package var filter: String
    package var qos: Int
    package var noLocal: Bool
    package var retainAsPublished: Bool
    package var retainHandling: Int
    /// 0 = none.
    package var identifier: Int
}

/// A part of a list in a fixed order; nil: there is nothing behind it.
package struct ListPage<Item: Sendable>: Sendable {
    package var items: [Item]
    package var next: String?

    package init(items: [Item], next: String? = nil) {
        self.items = items
        self.next = next
    }
}

/// Which clients a list is about.
package struct ClientQuery: Sendable {
    package enum Presence: String, Sendable, CaseIterable { case connected, away }

    /// Start of the client id.
    package var prefix = ""
    package var user: UserID?
    /// Clients that have a subscription to this topic.
    package var topic: TopicName?
    package var presence: Presence?

    package init() {}
}

/// What one shard answers to one question: `through` is the client id it got to; nil when it has no more.
struct ShardPage<Item: Sendable>: Sendable {
    var items: [(key: String, item: Item)] = []
    var through: String?
}
