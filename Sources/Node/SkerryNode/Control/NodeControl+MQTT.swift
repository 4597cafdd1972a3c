package import ChatCodec
import FoundationEssentials
import NIOCore
package import SkerryModel
import Store

/// What administrators see of, and do to, the MQTT broker; the same for web page, REST and command line.
extension NodeControl {
    private func broker(for actor: Actor) async throws(SkerryError) -> MQTTBroker {
        try await self.requireAdministrator(actor)
        guard let broker = self.broker else { throw SkerryError(.unavailable, "This box runs no MQTT broker.") }
        return broker
    }

    private static func read<Value>(_ body: () async throws -> Value) async throws(SkerryError) -> Value {
        do {
            return try await body()
        } catch {
            throw ChatService.refusal(error)
        }
    }

    private static let unknownClient = SkerryError(.notFound, "There is no such client, and no session is kept for it.")

    // MARK: - Clients

    /// MQTT clients, connected and away, by client id.
    ///
    /// - Parameters:
    ///   - user: an id or a name; nil: of everybody.
    ///   - topic: only clients with a subscription to it.
    package func mqttClients(
        prefix: String = "", user: UserReference? = nil, topic: String? = nil, presence: ClientQuery.Presence? = nil, after: String?, limit: Int,
        by actor: Actor
    ) async throws(SkerryError) -> ListPage<ClientSummary> {
        let broker = try await self.broker(for: actor)
        var query = ClientQuery()
        query.prefix = prefix
        query.presence = presence
        if let topic { query.topic = try Self.topic(topic) }
        if let user { query.user = try await self.accounts.read { store in try AccountService.user(user, store).id } }
        let wanted = query
        return try await Self.read { try await broker.clients(wanted, after: after, limit: limit) }
    }

    package func mqttClient(_ id: String, by actor: Actor) async throws(SkerryError) -> ClientSummary {
        let broker = try await self.broker(for: actor)
        guard let client = try await Self.read({ try await broker.client(id) }) else { throw Self.unknownClient }
        return client
    }

    package func mqttSubscriptions(
        of id: String, after: String?, limit: Int, by actor: Actor
    ) async throws(SkerryError) -> ListPage<ClientSubscriptionSummary> {
        let broker = try await self.broker(for: actor)
        guard let page = await broker.subscriptions(of: id, after: after, limit: limit) else { throw Self.unknownClient }
        return page
    }

    /// Who is subscribed to `topic`, and by which filter.
    package func mqttSubscribers(
        of topic: String, after: String?, limit: Int, by actor: Actor
    ) async throws(SkerryError) -> ListPage<ClientSubscriptionSummary> {
        let broker = try await self.broker(for: actor)
        return await broker.subscribers(try Self.topic(topic), after: after, limit: limit)
    }

    /// Ends a client's connection with 0x98 (administrative action). It may come back: to keep somebody out, lock the account.
    ///
    /// - Parameter removes: its session and everything it is owed go too; this is how an absent client's are removed.
    package func kickMQTT(_ id: String, removes: Bool, by actor: Actor) async throws(SkerryError) {
        let broker = try await self.broker(for: actor)
        guard await broker.kick(id, removes: removes) else {
            throw removes ? Self.unknownClient : SkerryError(.notFound, "No client of this id is connected.")
        }
    }

    // MARK: - Retained messages

    package func retained(_ filter: String, after: String?, limit: Int, by actor: Actor) async throws(SkerryError) -> ListPage<RetainedSummary> {
        let broker = try await self.broker(for: actor)
        let wanted = try Self.filter(filter)
        return try await Self.read { try await broker.retained(wanted, after: after, limit: limit) }
    }

    package func retained(topic: String, by actor: Actor) async throws(SkerryError) -> RetainedMessage {
        let broker = try await self.broker(for: actor)
        let (name, bytesMax) = (try Self.topic(topic), self.node.limits.retainedShownBytesMax)
        guard let message = try await Self.read({ try await broker.retained(topic: name, bytesMax: bytesMax) }) else { throw Self.nothingRetained }
        return message
    }

    package func clearRetained(topic: String, by actor: Actor) async throws(SkerryError) {
        let broker = try await self.broker(for: actor)
        guard try await broker.clearRetained(topic: try Self.topic(topic)) else { throw Self.nothingRetained }
    }

    /// Clears every retained message whose topic the filter wants; returns how many.
    package func clearRetained(filter: String, by actor: Actor) async throws(SkerryError) -> Int {
        let broker = try await self.broker(for: actor)
        return try await broker.clearRetained(try Self.filter(filter))
    }

    private static let nothingRetained = SkerryError(.notFound, "Nothing is retained on this topic.")

    private static func topic(_ text: String) throws(SkerryError) -> TopicName {
        do throws(TopicError) { return try TopicName(text) } catch { throw SkerryError(.payloadInvalid, "topic: \(error)", field: "topic") }
    }

    private static func filter(_ text: String) throws(SkerryError) -> TopicFilter {
        do throws(TopicError) {
            let filter = try TopicFilter(text)
            guard !filter.isShared else { throw TopicError.badShare }
            return filter
        } catch { throw SkerryError(.payloadInvalid, "filter: \(error)", field: "filter") }
    }

    // MARK: - Figures

    /// Brings gauges up to date that are not counted as they change.
    package func refreshFigures() async { await self.broker?.refreshTotals() }

    func addBrokerGauges() {
        guard let broker = self.broker else { return }
        let statistics = broker.statistics
        let gauges: [(String, String, BrokerStatistics.Name)] = [
            ("skerry_mqtt_clients_connected", "MQTT clients that are connected, with and without an account.", .connected),
            ("skerry_mqtt_kept_sessions", "MQTT sessions, of connected clients and of those that are away.", .sessions),
            ("skerry_mqtt_subscriptions", "MQTT subscriptions that are not shared.", .subscriptions),
            ("skerry_mqtt_shared_subscriptions", "MQTT shared subscriptions.", .sharedSubscriptions),
            ("skerry_mqtt_queued_messages", "MQTT messages on the disk that durable sessions are owed; gaps between acknowledged ones count.", .queued),
            ("skerry_mqtt_queued_bytes", "Bytes of those messages.", .queuedBytes),
            ("skerry_mqtt_window_bytes", "Bytes of MQTT messages that wait in memory alone, for sessions that end with their connection.", .windowBytes),
            ("skerry_mqtt_in_flight_messages", "MQTT QoS 1 and 2 messages sent to clients and not acknowledged yet.", .inFlight),
            ("skerry_mqtt_outbox_bytes", "Bytes handed to MQTT connections that have not left yet.", .waitingBytes),
            ("skerry_mqtt_retained_messages", "Retained MQTT messages.", .retained),
            ("skerry_mqtt_retained_bytes", "Bytes of retained MQTT messages and their topics.", .retainedBytes),
        ]
        for (name, help, number) in gauges { self.gauges.add(Gauge(name: name, help: help) { statistics.value(number) }) }
    }
}

// MARK: - As JSON

extension ClientSummary {
    /// One item of `GET /v1/admin/mqtt/clients`.
    package func write(to json: inout JSONWriter) {
        json.field("client", self.id)
        if let user = self.user { json.field("user", user) }
        if !self.name.isEmpty { json.field("name", self.name) }
        json.field("connected", self.connection != nil)
        if let connection = self.connection {
            json.field("address", connection.address)
            json.field("transport", connection.transport.rawValue)
            json.field("listener", connection.listener)
            json.field("version", connection.version)
            json.field("since", time: connection.since)
            json.field("heard", time: connection.heard)
            json.field("keepAlive", connection.keepAliveSeconds)
            json.field("cleanStart", connection.isCleanStart)
            json.field("receiveMaximum", connection.receiveMaximum)
            json.field("outboxBytes", connection.waitingBytes)
        }
        if let left = self.left { json.field("left", time: left) }
        json.field("durable", self.isDurable)
        if let expiry = self.expirySeconds { json.field("expirySeconds", expiry) }
        json.field("subscriptions", self.subscriptions)
        json.field("queuedMessages", self.queuedMessages)
        json.field("queuedBytes", self.queuedBytes)
        json.field("inFlight", self.inFlight)
        json.field("received", self.received)
        json.field("sent", self.sent)
        json.field("will", self.hasWill)
    }
}

extension ClientSubscriptionSummary {
    /// One item of `GET /v1/admin/mqtt/subscribers` and of a client's `…/subscriptions`.
    package func write(to json: inout JSONWriter) {
        json.field("client", self.client)
        if let user = self.user { json.field("user", user) }
        if !self.name.isEmpty { json.field("name", self.name) }
        json.field("connected", self.isConnected)
        json.field("filter", self.filter)
        json.field("qos", self.qos)
        json.field("noLocal", self.noLocal)
        json.field("retainAsPublished", self.retainAsPublished)
        json.field("retainHandling", self.retainHandling)
        if self.identifier != 0 { json.field("identifier", self.identifier) }
    }
}

extension RetainedSummary {
    /// One item of `GET /v1/admin/mqtt/retained`.
    package func write(to json: inout JSONWriter) {
        json.field("topic", self.topic)
        json.field("size", self.size)
        json.field("qos", self.qos)
        json.field("contentType", self.contentType)
        if let seconds = self.expiresIn { json.field("expiresIn", seconds) }
    }
}

extension RetainedMessage {
    /// `GET /v1/admin/mqtt/retained/message`: as `text` when what is shown of the payload is UTF-8, else as `base64`.
    package func write(to json: inout JSONWriter) {
        self.summary.write(to: &json)
        json.field("shown", self.payload.readableBytes)
        json.array("userProperties", self.properties) { json, pair in
            json.object {
                $0.field("name", pair.name)
                $0.field("value", pair.value)
            }
        }
        if let text = self.text { json.field("text", text) } else { json.field("base64", self.base64) }
    }

    /// Nil: it is none, or was cut in the middle of a character.
    package var text: String? { self.payload.withUnsafeReadableBytes { String(validating: $0, as: UTF8.self) } }

    package var base64: String { Data(self.payload.readableBytesView).base64EncodedString() }
}
