import NIOCore
import SkerryModel
import Store

extension SQLiteReader {
    func brokerSessions(after number: Int32, limit: Int) throws -> [BrokerSessionRecord] {
        try self.db.all(
            "SELECT number, client, state FROM broker_session WHERE number > ?1 ORDER BY number LIMIT ?2", number, max(0, limit)
        ) { (row) throws(StoreError) in
            BrokerSessionRecord(number: try row.get(0), clientID: try row.get(1), state: try row.get(2))
        }
    }

    func brokerSubscriptions(of session: Int32) throws -> [BrokerSubscriptionRecord] {
        try self.db.all(
            "SELECT filter, options, sub_id FROM broker_subscription WHERE session = ?1 ORDER BY filter", session
        ) { (row) throws(StoreError) in
            BrokerSubscriptionRecord(session: session, filter: try row.get(0), options: try row.get(1), subscriptionID: try row.get(2))
        }
    }

    func inboundPublications(of session: Int32) throws -> [InboundRecord] {
        try self.db.all(
            "SELECT key & 65535, body FROM broker_inbound WHERE key >= ?1 AND key <= ?2 ORDER BY key", InboundKey.first(of: session),
            InboundKey.last(of: session)
        ) { (row) throws(StoreError) in
            InboundRecord(session: session, packetID: try row.get(0), body: try row.get(1))
        }
    }
}

extension SQLiteTransaction {
    func putBrokerSession(_ session: BrokerSessionRecord) throws {
        guard QueueKey.isSession(session.number) else {
            throw self.fail(StoreError(.constraint, "A session's number is outside of 1 to 2²⁷ − 1."))
        }
        try self.write(
            "INSERT OR REPLACE INTO broker_session (number, client, state) VALUES (?1, ?2, ?3)", session.number, session.clientID, session.state)
    }

    func removeBrokerSession(_ number: Int32) throws {
        try self.write("DELETE FROM broker_session WHERE number = ?1", number)
        try self.write("DELETE FROM broker_subscription WHERE session = ?1", number)
        try self.write("DELETE FROM broker_inbound WHERE key >= ?1 AND key <= ?2", InboundKey.first(of: number), InboundKey.last(of: number))
    }

    func putBrokerSubscription(_ subscription: BrokerSubscriptionRecord) throws {
        try self.write(
            "INSERT OR REPLACE INTO broker_subscription (session, filter, options, sub_id) VALUES (?1, ?2, ?3, ?4)", subscription.session,
            subscription.filter, subscription.options, subscription.subscriptionID)
    }

    func removeBrokerSubscription(session: Int32, filter: String) throws {
        try self.write("DELETE FROM broker_subscription WHERE session = ?1 AND filter = ?2", session, filter)
    }

    func putInbound(_ record: InboundRecord) throws {
        try self.write(
            "INSERT OR REPLACE INTO broker_inbound (key, body) VALUES (?1, ?2)", InboundKey.of(record.session, record.packetID), record.body)
    }

    func removeInbound(session: Int32, packetID: UInt16) throws {
        try self.write("DELETE FROM broker_inbound WHERE key = ?1", InboundKey.of(session, packetID))
    }
}

/// The key of broker_inbound.
enum InboundKey {
    static func of(_ session: Int32, _ packetID: UInt16) -> Int64 { (Int64(session) << 16) | Int64(packetID) }
    static func first(of session: Int32) -> Int64 { Self.of(session, 0) }
    static func last(of session: Int32) -> Int64 { Self.of(session, .max) }
}
