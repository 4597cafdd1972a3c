import Account
import ChatCodec
import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store

/// The chat through MQTT (PRODUCT.md §5).
extension BrokerShard {
    // MARK: - From a client

    /// A publish to a topic of the chat. It is never routed as a message; it is answered when the chat has committed or refused it.
    func chat(_ topic: ChatTopic, _ message: ApplicationMessage, _ session: BrokerSession, _ exchange: PublishExchange?) {
        guard let caller = session.actor else {
            return self.chatAnswered(.failure(SkerryError(.unauthenticated, "Sign in first.")), nil, message, session.key, exchange, session.link)
        }
        var cid: String?
        do throws(SkerryError) {
            let request = try self.request(topic, message, session, exchange, &cid)
            let isSync = if case .sync = topic { true } else { false }
            if isSync {
                guard session.syncs < self.settings.syncsMax else {
                    self.metrics.add(.mqttSyncsRefused)
                    throw SkerryError(.busy, "At most \(self.settings.syncsMax) requests to v1/me/sync at a time; ask for the next page when one is answered.")
                }
                session.syncs += 1
            }
            let (key, link, shard, answered) = (session.key, session.link, self.shard, cid)
            self.broker.chat.perform(request, as: caller, loop: shard.loop) { result in
                shard.assumeIsolated { shard in
                    shard.mqtt?.perform { [mqtt = shard.mqtt] in
                        if isSync { mqtt?.byKey[key]?.syncs -= 1 }
                        mqtt?.chatAnswered(result, answered, message, key, exchange, link)
                    }
                }
            }
        } catch {
            self.chatAnswered(.failure(error), cid, message, session.key, exchange, session.link)
        }
    }

    private func request(
        _ topic: ChatTopic, _ message: ApplicationMessage, _ session: BrokerSession, _ exchange: PublishExchange?, _ cid: inout String?
    ) throws(SkerryError) -> ChatRequest {
        let limits = self.node.limits
        cid = message.properties.userProperties.first { $0.name == "cid" }?.value
        var fields = RequestFields()
        let verb: ChatVerb
        switch topic {
        case .text(let conversation):
            guard let text = message.payload.withUnsafeReadableBytes({ String(validating: $0, as: UTF8.self) }) else {
                throw SkerryError(.payloadInvalid, "The text is not UTF-8.", field: "text")
            }
            (fields.conv, fields.kind, fields.text, verb) = (conversation, "text", text, .send)
        case .send(let conversation):
            fields = try ChatDecoder.fields(message.payload, limits: limits)
            (fields.conv, verb) = (conversation, .send)
        case .read(let conversation):
            fields = try ChatDecoder.fields(message.payload, limits: limits)
            (fields.conv, verb) = (conversation, .receipt)
        case .typing(let conversation): (fields.conv, verb) = (conversation, .typing)
        case .sync:
            fields = try ChatDecoder.fields(message.payload, limits: limits)
            verb = .sync
        }
        if verb == .send {
            let chosen = fields.cid ?? cid ?? self.cid(session, exchange)
            (fields.cid, cid) = (chosen, chosen)
        }
        return try verb.request(fields, limits: limits)
    }

    /// A `cid` for a message that has none. It stays the same while the exchange is open, so that the client's second try of it is the same
    /// message, also after a restart: it is written down before the chat hears of the message. With the PUBACK (QoS 2: the PUBREL) it is
    /// forgotten: from then on the packet identifier means a new message, whatever DUP says [MQTT-4.3.2-5].
    private func cid(_ session: BrokerSession, _ exchange: PublishExchange?) -> String {
        let fresh: MessageID = self.node.random.identifier()
        guard let exchange else { return fresh.description }
        if exchange.isDuplicate, let known = session.cids[exchange.packetID] { return known }
        let cid = fresh.description
        session.cids[exchange.packetID] = cid
        if session.isDurable { self.saveCID(exchange.packetID, session) }
        return cid
    }

    /// Brings the table up to date with what is known of a packet identifier.
    func saveCID(_ packetID: UInt16, _ session: BrokerSession) {
        let (number, key, shard) = (session.number, session.key, self.shard)
        let record = session.cids[packetID].map { cid in
            var body = ByteBuffer()
            body.writeInteger(InboundBody.cid)
            body.writeString(cid)
            return InboundRecord(session: number, packetID: packetID, body: body)
        }
        self.broker.writes.rows(loop: shard.loop) { store in
            if let record { try store.putInbound(record) } else { try store.removeInbound(session: number, packetID: packetID) }
        } completion: { result in
            shard.assumeIsolated { shard in
                guard let mqtt = shard.mqtt, let session = mqtt.byKey[key] else { return }
                if mqtt.isToRetry(result, session) { session.unsavedCIDs.insert(packetID) }
            }
        }
    }

    func forgetCID(_ packetID: UInt16, _ session: BrokerSession) {
        guard session.cids.removeValue(forKey: packetID) != nil, session.isDurable else { return }
        self.saveCID(packetID, session)
    }

    private func chatAnswered(
        _ result: Result<ByteBuffer, SkerryError>, _ cid: String?, _ message: ApplicationMessage, _ key: UInt64, _ exchange: PublishExchange?,
        _ link: MQTTLink?
    ) {
        link?.settle(1)
        guard let session = self.byKey[key] else { return }
        self.reply(result, cid, to: message, session)
        guard let exchange else { return }
        // An acknowledgement that no connection takes any more is not one: the client will try again.
        let isOver = message.qos == .atLeastOnce || result.isFailure
        if isOver, link != nil, session.link === link { self.forgetCID(exchange.packetID, session) }
        switch result {
        case .success: self.answered(key, exchange, .success)
        case .failure(let error):
            // The answer on `v1/me/ack` tells an earlier client what was wrong; what the box could not store it must send again.
            let isLost = error.code == .unavailable || error.code == .busy || error.code == .storageLow
            self.answered(key, exchange, AckAnswer(error, isLost: isLost))
        }
    }

    /// The answer as a message: to the Response Topic with its Correlation Data, else to the user's `v1/me/ack`.
    private func reply(_ result: Result<ByteBuffer, SkerryError>, _ cid: String?, to message: ApplicationMessage, _ session: BrokerSession) {
        let payload = JSONWriter.make {
            switch result {
            case .success(let body): $0.raw("d", body)
            case .failure(let error): $0.object("error") { error.write(to: &$0) }
            }
            $0.field("cid", cid)
        }
        if let text = message.properties.responseTopic, let topic = try? TopicName(text), case .ordinary = TopicKind(topic) {
            guard session.rights?.mayPublish(topic) ?? true else { return }
            var properties = MQTTProperties.none
            properties.correlationData = message.properties.correlationData
            properties.payloadFormatIndicator = 1
            return self.route(ApplicationMessage(topic: topic, payload: payload, qos: message.qos, properties: properties), nil)
        }
        guard let user = session.owner.user else { return }
        self.node.publish([.mqtt(BrokerEvent(kind: .answer(user, payload)))])
    }

    private static let answerTopic = try? TopicName("v1/me/ack")

    func deliverAnswer(_ user: UserID, _ payload: ByteBuffer) {
        guard let sessions = self.chatSessions[user], let topic = Self.answerTopic else { return }
        let message = ApplicationMessage(topic: topic, payload: payload, qos: .atMostOnce)
        var layouts = message.layouts
        let now = self.now
        for session in sessions {
            for (filter, interest) in session.interests where interest.subject == .answers {
                guard let subscription = session.machine.subscriptions[filter], self.mayRead(topic, session) else { continue }
                self.deliver(message, Self.delivery(.atMostOnce, subscription), to: session, now: now, &layouts)
            }
        }
    }

    // MARK: - To clients

    /// A push of the chat, to the sessions here that subscribed to it: `audience` says who may see it. What a durable session is owed with QoS 1
    /// or 2 comes as rows from the writer instead.
    func deliver(_ push: ChatPush) {
        if self.chatSessions.isEmpty { return }
        self.perform { self.deliverNow(push) }
    }

    private func deliverNow(_ push: ChatPush) {
        let kind = PushKind(push.frame)
        let now = self.now
        var made: [String: (message: ApplicationMessage, layouts: PublishLayouts)] = [:]
        for user in push.audience {
            guard let sessions = self.chatSessions[user] else { continue }
            let isOwn = push.own?.user == user
            for session in sessions {
                for (filter, interest) in session.interests {
                    guard let topic = interest.topic(for: push, kind), let subscription = session.machine.subscriptions[filter] else { continue }
                    // What is not in the log is not worth an acknowledgement.
                    let qos: MQTTQoS = kind.isKept ? subscription.options.qos : .atMostOnce
                    if qos != .atMostOnce && session.isDurable { continue }
                    guard self.mayRead(topic, session) else { continue }
                    let key = isOwn ? "+" + topic.text : topic.text
                    var entry = made[key] ?? Self.make(push, kind, topic, isOwn: isOwn)
                    self.deliver(entry.message, Self.delivery(qos, subscription), to: session, now: now, &entry.layouts)
                    made[key] = entry
                }
            }
        }
    }

    private static func make(
        _ push: ChatPush, _ kind: PushKind, _ topic: TopicName, isOwn: Bool
    ) -> (message: ApplicationMessage, layouts: PublishLayouts) {
        var payload = isOwn ? push.own?.frame ?? push.frame : push.frame
        if let presence = push.presence { payload = Self.presence(presence.user, isOnline: presence.isOnline) }
        let message = ApplicationMessage(topic: topic, payload: payload, qos: .exactlyOnce)
        return (message, message.layouts)
    }

    private static func delivery(_ qos: MQTTQoS, _ subscription: ClientSubscription) -> Delivery {
        Delivery(qos: qos, isRetained: false, subscriptionIDs: subscription.id == 0 ? [] : [subscription.id])
    }

    private static func presence(_ user: UserID, isOnline: Bool) -> ByteBuffer {
        JSONWriter.make {
            $0.field("user", user)
            $0.field("online", isOnline)
        }
    }

    /// Presence looks retained: a new subscription gets the current state of everybody it is about.
    func startPresence(_ interest: ChatInterest, _ subscription: ClientSubscription, _ session: BrokerSession) {
        guard case .presence(let wanted) = interest.subject, let user = session.owner.user else { return }
        let (key, shard, online, usersMax) = (session.key, self.shard, self.node.online, self.node.limits.presenceUsersMax)
        self.node.store.read { store -> [(UserID, Bool)] in
            let contacts = try ChatReader(store, online: online).contacts(of: user)
            if let wanted { return [(wanted, (wanted == user || contacts.contains(wanted)) && online.isOnline(wanted))] }
            return contacts.sorted().prefix(usersMax).map { ($0, online.isOnline($0)) }
        } completion: { result in
            shard.enter { shard in
                shard.mqtt?.perform { [mqtt = shard.mqtt] in
                    guard let mqtt, let session = mqtt.byKey[key], case .success(let states) = result else { return }
                    for (about, isOnline) in states {
                        guard let topic = interest.topic ?? (try? TopicName("v1/u/\(about)/presence")) else { continue }
                        let message = ApplicationMessage(topic: topic, payload: Self.presence(about, isOnline: isOnline), qos: .atMostOnce)
                        mqtt.deliverRetained(message, subscription, session)
                    }
                }
            }
        }
    }
}

extension ChatInterest {
    /// Looks up the names in a filter. Throws what a client hears that may not subscribe to it.
    static func resolve(_ filter: ChatFilter, _ source: TopicFilter, for user: UserID, _ reader: ChatReader) throws -> ChatInterest {
        switch filter {
        case .inbox: return ChatInterest(.inbox, filter: source)
        case .answers: return ChatInterest(.answers, filter: source)
        case .conversation(let part, nil): return ChatInterest(.conversation(part, nil), filter: source)
        case .conversation(let part, .direct(let reference)):
            // The direct conversation with somebody may not exist yet; it can only ever be mine.
            return ChatInterest(.conversation(part, .direct(user, try reader.user(reference).id)), filter: source)
        case .conversation(let part, let reference?):
            return ChatInterest(.conversation(part, try reader.membership(reference, user).conversation), filter: source)
        case .presence(nil): return ChatInterest(.presence(nil), filter: source)
        case .presence(let reference?): return ChatInterest(.presence(try reader.user(reference).id), filter: source)
        }
    }
}

extension Result {
    fileprivate var isFailure: Bool {
        switch self {
        case .success: false
        case .failure: true
        }
    }
}
