import MQTTCodec
import MQTTSession
import SkerryModel

/// What administrators are told of the sessions here, and what they may do to them. Values leave, never windows.
///
/// A question is answered at once and whole, so what it may look at is bounded: `workMax` sessions and subscriptions. Then it says how far it
/// got, and whoever asks comes back; in between everybody else has their turn.
extension BrokerShard {
    static let workMax = 2_000

    func clients(_ query: ClientQuery, after: String?, limit: Int) -> ShardPage<ClientSummary> {
        self.page(query, after: after, limit: limit) { session, items in items.append((session.machine.clientID, self.summary(session))) }
    }

    /// Subscriptions that want `topic`, of the clients in the order of their ids; all of one client's that do stand together.
    func subscribers(_ topic: TopicName, after: String?, limit: Int) -> ShardPage<ClientSubscriptionSummary> {
        var query = ClientQuery()
        query.topic = topic
        return self.page(query, after: after, limit: limit) { session, items in
            let wanted = session.machine.subscriptions.values.filter { $0.filter.matches(topic) }
            for subscription in wanted.sorted(by: { SessionIndex.isLess($0.filter.text, $1.filter.text) }) {
                items.append((session.machine.clientID, Self.summary(subscription, session)))
            }
        }
    }

    private func page<Item: Sendable>(
        _ query: ClientQuery, after: String?, limit: Int, _ take: (BrokerSession, inout [(key: String, item: Item)]) -> Void
    ) -> ShardPage<Item> {
        var page = ShardPage<Item>()
        var work = 0
        var last: String?
        // A cursor from before the prefix is none.
        let cursor = after.flatMap { SessionIndex.isLess($0, query.prefix) ? nil : $0 }
        self.index.forEach(from: cursor ?? query.prefix, includesStart: cursor == nil) { session in
            guard session.machine.clientID.utf8.starts(with: query.prefix.utf8) else { return false }
            guard page.items.count < limit, work < Self.workMax else {
                page.through = last
                return false
            }
            work += 1 + (query.topic == nil ? 0 : session.machine.subscriptions.count)
            if Self.isWanted(session, query) { take(session, &page.items) }
            last = session.machine.clientID
            return true
        }
        return page
    }

    private static func isWanted(_ session: BrokerSession, _ query: ClientQuery) -> Bool {
        if let user = query.user, session.owner.user != user { return false }
        if let presence = query.presence, (presence == .connected) != (session.link != nil) { return false }
        if let topic = query.topic { return session.machine.subscriptions.keys.contains { $0.matches(topic) } }
        return true
    }

    /// What is under way to the clients behind `after`, as far as one question looks; `through` is nil at the end.
    func load(after: String) -> (inFlight: Int, waitingBytes: Int, through: String?) {
        var (inFlight, waitingBytes, work) = (0, 0, 0)
        var (last, through): (String?, String?)
        self.index.forEach(from: after, includesStart: false) { session in
            guard work < Self.workMax else {
                through = last
                return false
            }
            work += 1
            inFlight += session.machine.outbound.inFlight
            waitingBytes += session.link?.waitingBytes ?? 0
            last = session.machine.clientID
            return true
        }
        return (inFlight, waitingBytes, through)
    }

    // MARK: - One client

    func client(_ id: String) -> ClientSummary? { self.listed(id).map { self.summary($0) } }

    /// A client's subscriptions by filter, byte by byte.
    func subscriptions(of id: String, after: String?, limit: Int) -> ListPage<ClientSubscriptionSummary>? {
        guard let session = self.listed(id) else { return nil }
        let filters = session.machine.subscriptions.keys.filter { filter in after.map { SessionIndex.isLess($0, filter.text) } ?? true }
        let page = filters.sorted { SessionIndex.isLess($0.text, $1.text) }.prefix(limit)
        let items = page.compactMap { session.machine.subscriptions[$0] }.map { Self.summary($0, session) }
        return ListPage(items: items, next: filters.count > page.count ? page.last?.text : nil)
    }

    /// Ends the connection with 0x98 (MQTT 5 §3.14.2.1) and, with `removes`, the session with all it is owed. False: there is no such client.
    func kick(_ id: String, removes: Bool) -> Bool {
        guard let session = self.listed(id), removes || session.link != nil else { return false }
        var effects: [SessionEffect] = []
        session.machine.close(.administrativeAction, "An administrator ended this connection.", effects: &effects)
        self.run(effects, session)
        if removes { self.end(session) }
        return true
    }

    private func listed(_ id: String) -> BrokerSession? {
        guard let session = self.sessions[ClientKey(id)], !session.isEnded else { return nil }
        return session
    }

    // MARK: - Values

    private func summary(_ session: BrokerSession) -> ClientSummary {
        let window = session.machine.outbound
        let expiry = session.machine.expirySeconds
        var summary = ClientSummary(
            id: session.machine.clientID, user: session.owner.user, name: session.name, isDurable: session.isDurable,
            expirySeconds: expiry == .max ? nil : Int(expiry), subscriptions: session.machine.subscriptions.count,
            // Of a durable session the rows on the disk are counted, by whoever asked.
            queuedMessages: session.isDurable ? 0 : window.entries.count, queuedBytes: session.isDurable ? 0 : window.byteCount,
            inFlight: window.inFlight, received: session.received, sent: session.sent, hasWill: session.machine.will != nil, number: session.number)
        if let link = session.link, let connection = session.machine.connection {
            let terms = connection.terms
            summary.connection = ClientSummary.Connection(
                address: link.addressText, transport: link.transport, listener: link.terms.listener, version: terms.version.text,
                since: self.wall(session.connectedSince),
                heard: self.wall(connection.keepAlive.lastPacket), keepAliveSeconds: Int(terms.keepAliveSeconds), isCleanStart: terms.isCleanStart,
                waitingBytes: link.waitingBytes, receiveMaximum: terms.receiveMaximum)
        } else {
            summary.left = self.wall(session.ended)
        }
        return summary
    }

    private static func summary(_ subscription: ClientSubscription, _ session: BrokerSession) -> ClientSubscriptionSummary {
        let options = subscription.options
        return ClientSubscriptionSummary(
            client: session.machine.clientID, user: session.owner.user, name: session.name, isConnected: session.link != nil,
            filter: subscription.filter.text, qos: Int(options.qos.rawValue), noLocal: options.noLocal,
            retainAsPublished: options.retainAsPublished, retainHandling: Int(options.retainHandling.rawValue), identifier: Int(subscription.id))
    }

    /// A moment of the broker's clock as a wall clock shows it now.
    private func wall(_ moment: UInt64) -> UInt64 { self.broker.wall(moment) }
}

extension MQTTVersion {
    /// As people say it.
    package var text: String {
        switch self {
        case .v31: "3.1"
        case .v311: "3.1.1"
        case .v5: "5.0"
        }
    }
}
