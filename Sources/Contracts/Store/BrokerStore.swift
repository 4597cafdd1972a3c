package import NIOCore
package import SkerryModel

// What the MQTT broker keeps: sessions that outlive their connection, what they subscribed to, what they are still owed, what they have
// half received, and retained messages. Bodies and other blobs are written by the broker and are opaque here; the store gives them back
// byte for byte. Times are milliseconds of the broker's own clock.

/// A session that outlives its connection.
package struct BrokerSessionRecord: Sendable, Hashable {
    /// Its key in the other tables, 1 ..< 2²⁷, chosen by the broker. A number is used again only after its queue was emptied.
    package var number: Int32
    /// Unique among sessions; UTF-8, at most 65,535 bytes.
    package var clientID: String
    /// Everything else about the session (owner, expiry, when its connection ended, will …), at most a few kilobytes but for a will's payload.
    package var state: ByteBuffer

    package init(number: Int32, clientID: String, state: ByteBuffer) {
        self.number = number
        self.clientID = clientID
        self.state = state
    }
}

/// One filter of one session; a new one replaces the one with the same session and filter.
package struct BrokerSubscriptionRecord: Sendable, Hashable {
    package var session: Int32
    /// As the client wrote it, `$share/…/` included.
    package var filter: String
    /// The subscription options byte of MQTT 5 §3.8.3.1.
    package var options: UInt8
    /// 0 = none.
    package var subscriptionID: UInt32

    package init(session: Int32, filter: String, options: UInt8, subscriptionID: UInt32) {
        self.session = session
        self.filter = filter
        self.options = options
        self.subscriptionID = subscriptionID
    }
}

/// Where the bytes of a queued message are.
package enum QueuedBody: Sendable, Hashable {
    /// In the queue row: the message has one receiver.
    case inline(ByteBuffer)
    /// In a message row put before (`BrokerWriting.putMessage`); reading resolves it and never returns this case.
    case shared(Int64)
    /// Nowhere: only the exchange goes on (QoS 2 after PUBREC), or the message row is missing.
    case none
}

/// A QoS 1 or 2 message that a session has not acknowledged yet.
///
/// Hot path: one `append` per message and receiver. `(session, seq)` is meant to be one packed integer key (27 and 36 bits).
package struct QueueEntry: Sendable, Hashable {
    package var session: Int32
    /// Rises with every message of the session, from 1; < 2³⁶. Gaps are possible.
    package var seq: UInt64
    /// Opaque bits of the broker (QoS, retain flag, PUBREL sent …).
    package var flags: UInt8
    /// Opaque and empty for most messages (subscription identifiers).
    package var extra: [UInt8]
    /// Bytes of all messages ever queued for this session, this one included: the difference of two rows is the size of what lies between.
    package var byteSum: Int64
    package var body: QueuedBody

    package init(session: Int32, seq: UInt64, flags: UInt8, extra: [UInt8] = [], byteSum: Int64, body: QueuedBody) {
        self.session = session
        self.seq = seq
        self.flags = flags
        self.extra = extra
        self.byteSum = byteSum
        self.body = body
    }
}

/// The two ends of a session's queue.
package struct QueueBounds: Sendable, Hashable {
    package var first: UInt64
    package var last: UInt64
    package var firstByteSum: Int64
    package var lastByteSum: Int64

    package init(first: UInt64, last: UInt64, firstByteSum: Int64, lastByteSum: Int64) {
        self.first = first
        self.last = last
        self.firstByteSum = firstByteSum
        self.lastByteSum = lastByteSum
    }
}

/// A QoS 2 message that a client gave us and has not released yet.
package struct InboundRecord: Sendable, Hashable {
    package var session: Int32
    /// Not 0.
    package var packetID: UInt16
    package var body: ByteBuffer

    package init(session: Int32, packetID: UInt16, body: ByteBuffer) {
        self.session = session
        self.packetID = packetID
        self.body = body
    }
}

/// The retained message of a topic.
package struct RetainedRecord: Sendable, Hashable {
    /// Key; compared byte by byte as UTF-8.
    package var topic: String
    package var body: ByteBuffer
    /// The broker's clock; 0 = never.
    package var expiresMilliseconds: UInt64
    /// The order of the log entry that brought it; nil = it is this box's alone, and older than any entry.
    package var stamp: Order?

    package init(topic: String, body: ByteBuffer, expiresMilliseconds: UInt64, stamp: Order? = nil) {
        self.topic = topic
        self.body = body
        self.expiresMilliseconds = expiresMilliseconds
        self.stamp = stamp
    }
}

/// How much is retained.
package struct RetainedTotals: Sendable, Hashable {
    package var count: Int
    /// Bytes of topics (UTF-8) and bodies.
    package var bytes: Int

    package init(count: Int = 0, bytes: Int = 0) {
        self.count = count
        self.bytes = bytes
    }
}

package protocol BrokerReading {
    /// Sessions whose number is above `number`, rising, at most `limit`.
    func brokerSessions(after number: Int32, limit: Int) throws -> [BrokerSessionRecord]
    /// Every subscription of a session, by rising filter.
    func brokerSubscriptions(of session: Int32) throws -> [BrokerSubscriptionRecord]
    /// The ends of a session's queue; nil when it is empty. Cheap: two look-ups, no counting.
    func queueBounds(of session: Int32) throws -> QueueBounds?
    /// Rows of a session after `seq`, rising: at most `limit`, and at most `bytes` of bodies except that the first row always comes.
    ///
    /// Bodies are resolved: `.inline` or `.none`, never `.shared`.
    func queueEntries(of session: Int32, after seq: UInt64, limit: Int, bytes: Int) throws -> [QueueEntry]
    /// Numbers above `number` that have queue rows but no session row, rising, at most `limit`. Cheap: one look-up per session with a queue.
    func orphanedQueues(after number: Int32, limit: Int) throws -> [Int32]
    /// Half-received messages of a session, by rising packet identifier.
    func inboundPublications(of session: Int32) throws -> [InboundRecord]
    /// The greatest id ever given to `putMessage` that still has a row; 0 when there is none.
    func greatestMessageID() throws -> Int64
    func retained(topic: String) throws -> RetainedRecord?
    /// Retained messages whose topic starts with `prefix` (bytewise) and is greater than `after` (bytewise; "" = from the first), rising: at
    /// most `limit`, and at most `bytes` of bodies except that the first row always comes. Expired ones are included.
    func retained(prefix: String, after topic: String, limit: Int, bytes: Int) throws -> [RetainedRecord]
    /// The stamp of a topic's retained message, or of what cleared it; nil when no log entry was ever about it, or it is forgotten.
    func retainedStamp(topic: String) throws -> Order?
    /// Kept up to date by `putRetained` and `removeRetained…` in the same transaction, not counted at the call.
    func retainedTotals() throws -> RetainedTotals
}

/// What the broker writes. Removing what is not there is no error.
package protocol BrokerWriting {
    /// Writes the row with this number, over one that is there.
    func putBrokerSession(_ session: BrokerSessionRecord) throws
    /// Removes the session, its subscriptions and its half-received messages. Its queue is removed in steps by `trimQueue`.
    func removeBrokerSession(_ number: Int32) throws
    func putBrokerSubscription(_ subscription: BrokerSubscriptionRecord) throws
    func removeBrokerSubscription(session: Int32, filter: String) throws

    /// Stores a body that `references` queue rows share; they are appended in the same transaction. `id` must be free. The row goes away
    /// with its last reference: count down once per message and transaction, not once per queue row.
    func putMessage(_ id: Int64, body: ByteBuffer, references: Int) throws
    /// Adds a row; `(session, seq)` must be free and, in practice, is above all others of the session.
    func appendQueue(_ entry: QueueEntry) throws
    /// Sets the flags of a row and lets go of its body (`.none` from now on). A row that is not there stays away.
    func releaseQueue(session: Int32, seq: UInt64, flags: UInt8) throws
    /// Removes rows and lets go of their bodies.
    func removeQueue(session: Int32, seqs: [UInt64]) throws
    /// Removes at most `limit` rows from the front of the queue, up to and including `seq`; returns how many.
    func trimQueue(session: Int32, through seq: UInt64, limit: Int) throws -> Int

    /// Writes the row of this session and packet identifier, over one that is there.
    func putInbound(_ record: InboundRecord) throws
    func removeInbound(session: Int32, packetID: UInt16) throws

    /// Writes the row of this topic, over one that is there. Comparing stamps is the caller's business.
    func putRetained(_ record: RetainedRecord) throws
    /// Removes the row, and any memory of what cleared it.
    func removeRetained(topic: String) throws
    /// Removes the row and remembers the order of the entry that cleared it, so that an older one cannot bring it back.
    func clearRetained(topic: String, stamp: Order) throws
    /// Forgets what cleared topics at or before `milliseconds` (of the stamp), at most `limit`; returns how many.
    func forgetClearedRetained(before milliseconds: UInt64, limit: Int) throws -> Int
    /// Removes retained messages that expire at or before `now` (0 = never expires), at most `limit`; returns how many. One with a stamp
    /// counts as cleared with that stamp. Wants an index on the expiry of rows that have one.
    func removeRetained(expiredAt now: UInt64, limit: Int) throws -> Int
}
