import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store
import TopicRouting

/// The way of a message: who may send it, who gets it, when it is acknowledged.
extension BrokerShard {
    // MARK: - From a client

    /// QoS 0 or 1.
    func publish(_ message: ApplicationMessage, _ session: BrokerSession, _ exchange: PublishExchange?) {
        if let refusal = self.refusal(message, session) { return self.refuse(refusal, session, exchange) }
        if case .chat(let topic?) = TopicKind(message.topic) { return self.chat(topic, message, session, exchange) }
        self.route(message, from: session, exchange, held: nil)
    }

    /// QoS 2, first half. What goes to the chat goes now: only PUBREC can carry its refusal.
    func hold(_ message: ApplicationMessage, _ session: BrokerSession, _ exchange: PublishExchange) {
        if let refusal = self.refusal(message, session) { return self.refuse(refusal, session, exchange) }
        if case .chat(let topic?) = TopicKind(message.topic) { return self.chat(topic, message, session, exchange) }
        guard session.isDurable else {
            // With a session that ends with its connection the client starts over as well, so memory is as good as the disk.
            self.answered(session.key, exchange, .success)
            session.link?.settle(1)
            return
        }
        var body = ByteBufferAllocator().buffer(capacity: message.byteCount + 32)
        body.writeInteger(InboundBody.message)
        MessageCodec.encode(message, into: &body)
        let record = InboundRecord(session: session.number, packetID: exchange.packetID, body: body)
        let (key, link, shard) = (session.key, session.link, self.shard)
        self.broker.writes.rows(loop: shard.loop) { store in
            try store.putInbound(record)
        } completion: { result in
            link?.settle(1)
            shard.assumeIsolated { shard in
                shard.mqtt?.perform { [mqtt = shard.mqtt] in mqtt?.answered(key, exchange, AckAnswer(result)) }
            }
        }
    }

    /// QoS 2, second half.
    func forward(_ message: ApplicationMessage, _ session: BrokerSession, _ exchange: PublishExchange) {
        if case .chat = TopicKind(message.topic) {
            self.forgetCID(exchange.packetID, session)
            self.answered(session.key, exchange, .success)
            session.link?.settle(1)
            return
        }
        self.route(message, from: session, exchange, held: session.isDurable ? (session.number, exchange.packetID) : nil)
    }

    /// Why this client may not publish this; nil when it may.
    private func refusal(_ message: ApplicationMessage, _ session: BrokerSession) -> AckAnswer? {
        switch TopicKind(message.topic) {
        case .ordinary:
            if self.broker.access.mayPublish(message.topic, owner: session.owner) { return nil }
            return AckAnswer(SkerryError(.forbidden, "Clients without an account may publish to the topics that the administrator opened."), isLost: false)
        case .chat(let topic):
            if session.owner.user == nil { return AckAnswer(SkerryError(.forbidden, "The chat needs an account."), isLost: false) }
            return topic == nil ? AckAnswer(SkerryError(.forbidden, "This is no topic of the chat that can be published to."), isLost: false) : nil
        case .system, .federation: return AckAnswer(SkerryError(.forbidden, "This topic is the box's own."), isLost: false)
        }
    }

    private func refuse(_ answer: AckAnswer, _ session: BrokerSession, _ exchange: PublishExchange?) {
        self.metrics.add(.mqttDenied)
        if let exchange { self.answered(session.key, exchange, answer) }
        session.link?.settle(1)
    }

    // MARK: - To all shards

    func route(_ message: ApplicationMessage, from session: BrokerSession, _ exchange: PublishExchange?, held: (Int32, UInt16)?) {
        self.route(
            message, PublicationSource(shard: self.shard.index, session: session.key, exchange: exchange, link: session.link), held: held)
    }

    /// Tells every shard once; those elsewhere hear of it when the running piece of work is done.
    func route(_ message: ApplicationMessage, _ source: PublicationSource?, held: (Int32, UInt16)? = nil) {
        let publication = Publication(id: self.broker.nextKey(), message: message, source: source, held: held, shards: self.node.shards.count)
        for index in self.outgoing.indices where index != self.shard.index { self.outgoing[index].append(publication) }
        self.route(publication)
    }

    /// This shard's share of a message.
    func route(_ publication: Publication) {
        let message = publication.message
        if message.isRetained { self.pendingRetained[message.topic] = (publication.id, message) }
        var targets: [QueueTarget] = []
        let matched = self.match(message, origin: publication.source?.session ?? 0, &targets) + self.matchShared(message, &targets)
        guard let receivers = publication.routed(matched: matched, targets: targets) else { return }
        self.settle(publication, receivers)
    }

    private func match(_ message: ApplicationMessage, origin: UInt64, _ targets: inout [QueueTarget]) -> Int {
        if self.tree.isEmpty { return 0 }
        self.matches.removeAll()
        self.tree.match(message.topic, into: &self.matches)
        let found = self.matches.subscriptions
        if found.isEmpty { return 0 }
        self.pass += 1
        var receivers: [BrokerSession] = []
        receivers.reserveCapacity(found.count)
        for match in found {
            let session = match.subscriber
            guard let delivery = Delivery(message, for: match.options, isOwn: session.key == origin) else { continue }
            if session.pass == self.pass {
                session.delivery?.merge(delivery)
            } else {
                session.pass = self.pass
                session.delivery = delivery
                receivers.append(session)
            }
        }
        let now = self.now
        var layouts = message.layouts
        for session in receivers {
            guard let delivery = session.delivery else { continue }
            let isTaken = self.deliver(message, delivery, to: session, now: now, &layouts, &targets)
            if isTaken, message.isRetained, self.awaiting.contains(session) { session.heard(message.topic) }
        }
        return receivers.count
    }

    private func deliver(
        _ message: ApplicationMessage, _ delivery: Delivery, to session: BrokerSession, now: UInt64, _ layouts: inout PublishLayouts,
        _ targets: inout [QueueTarget]
    ) -> Bool {
        if delivery.qos != .atMostOnce && session.isDurable {
            targets.append(QueueTarget(session: session.number, shard: self.shard.index, key: session.key, delivery: delivery))
            return true
        }
        return self.deliver(message, delivery, to: session, now: now, &layouts)
    }

    /// To a client that is connected, without the disk. False: it did not get it.
    @discardableResult
    func deliver(
        _ message: ApplicationMessage, _ delivery: Delivery, to session: BrokerSession, now: UInt64, _ layouts: inout PublishLayouts
    ) -> Bool {
        switch session.machine.deliver(message, delivery, now: now, room: self.room(session), layouts: &layouts) {
        case .taken:
            self.touch(session)
            return true
        case .full:
            self.metrics.add(.mqttQueueFull)
            self.metrics.add(.mqttDropped)
            self.touch(session)
            return false
        case .unsent:
            if session.link != nil { self.metrics.add(.mqttDropped) }
            return false
        }
    }

    /// The last shard has routed it: to the disk, or straight to the answer.
    private func settle(_ publication: Publication, _ receivers: Publication.Receivers) {
        if receivers.targets.isEmpty && !publication.message.isRetained && publication.held == nil {
            return self.broker.answer(publication.source, receivers.matched == 0 ? AckAnswer(.noMatchingSubscribers) : .success)
        }
        self.write(publication, receivers)
    }

    private func write(_ publication: Publication, _ receivers: Publication.Receivers) {
        let (broker, shard, message, matched) = (self.broker, self.shard, publication.message, receivers.matched)
        broker.writes.submit(
            PublicationJob(publication, targets: receivers.targets, queue: broker.queue, settings: broker.settings, metrics: self.metrics) { result in
                if case .failure(let error) = result, error.code == .storageLow, publication.isRelease {
                    return shard.enter { $0.mqtt?.stall(publication, receivers, error) }
                }
                if message.isRetained {
                    broker.node.publish([.mqtt(BrokerEvent(kind: .retained(message.topic, publication: publication.id)))])
                }
                let answer: AckAnswer
                switch result {
                case .failure(let error): answer = AckAnswer(error, isLost: true)
                case .success(let outcome):
                    if (outcome.dropped > 0 && broker.settings.overflow == .refuse) || outcome.isRetainedFull {
                        let text = outcome.isRetainedFull ? "This box retains no more messages." : "A receiver's queue is full."
                        answer = AckAnswer(.quotaExceeded, text: text, code: ErrorCode.quotaExceeded.rawValue)
                    } else {
                        answer = matched == 0 ? AckAnswer(.noMatchingSubscribers) : .success
                    }
                }
                broker.answer(publication.source, answer)
            })
    }

    // MARK: - A full disk

    /// The second half of a QoS 2 exchange found the disk full. The message is ours since PUBREC and its live receivers have it, so it is
    /// neither given up nor routed again: the rows are tried again until there is room, and PUBCOMP waits. What is too much to keep is left to
    /// the client, which is closed and sends PUBREL again.
    private func stall(_ publication: Publication, _ receivers: Publication.Receivers, _ error: SkerryError) {
        let byteCount = publication.message.byteCount
        guard self.stalledBytes + byteCount <= self.settings.stalledBytesMax else {
            self.metrics.add(.mqttStalledFull)
            let message = publication.message
            if message.isRetained {
                self.node.publish([.mqtt(BrokerEvent(kind: .retained(message.topic, publication: publication.id)))])
            }
            return self.broker.answer(publication.source, AckAnswer(error, isLost: true))
        }
        self.stalledBytes += byteCount
        self.stalled.append((publication, receivers))
    }

    /// Once a second.
    func retryStalled() {
        let waiting = self.stalled
        (self.stalled, self.stalledBytes) = ([], 0)
        for (publication, receivers) in waiting { self.write(publication, receivers) }
    }

    // MARK: - Shared subscriptions

    private func matchShared(_ message: ApplicationMessage, _ targets: inout [QueueTarget]) -> Int {
        if self.groups.isEmpty { return 0 }
        let choices = self.groups.choose(message.topic)
        for choice in choices { self.give(message, choice, tried: [], &targets) }
        return choices.count
    }

    private func give(_ message: ApplicationMessage, _ choice: SharedGroups.Choice, tried: Set<UInt64>, _ targets: inout [QueueTarget]) {
        guard let delivery = Delivery(message, for: choice.subscription, isOwn: false) else { return }
        if delivery.qos != .atMostOnce && choice.member.number != 0 {
            targets.append(QueueTarget(session: choice.member.number, shard: choice.member.shard, key: choice.member.key, delivery: delivery))
            return
        }
        self.node.shards[choice.member.shard].enter {
            $0.mqtt?.hear(BrokerEvent(kind: .shared(message, choice.member, choice.filter, tried: tried)))
        }
    }

    /// The group's home chose a session of this shard.
    func deliverShared(_ message: ApplicationMessage, _ member: SharedMember, _ filter: TopicFilter, _ tried: Set<UInt64>) {
        if let session = self.byKey[member.key], let subscription = session.machine.subscriptions[filter],
            let delivery = Delivery(message, for: subscription, isOwn: false)
        {
            var layouts = message.layouts
            if self.deliver(message, delivery, to: session, now: self.now, &layouts) { return }
        }
        // It left, or cannot take it: back to the group's home for another one.
        let tried = tried.union([member.key])
        self.node.home(of: filter.text).enter { shard in
            shard.mqtt?.perform { [mqtt = shard.mqtt] in mqtt?.chooseAgain(message, filter, tried) }
        }
    }

    private func chooseAgain(_ message: ApplicationMessage, _ filter: TopicFilter, _ tried: Set<UInt64>) {
        guard let choice = self.groups.choose(message.topic, filter, without: tried) else { return self.metrics.add(.mqttDropped) }
        var targets: [QueueTarget] = []
        self.give(message, choice, tried: tried, &targets)
        if !targets.isEmpty { self.enqueue(message, targets) }
    }

    /// Rows for chosen receivers, with nobody waiting for them.
    func enqueue(_ message: ApplicationMessage, _ targets: [QueueTarget]) {
        let bare =
            message.isRetained
            ? ApplicationMessage(
                topic: message.topic, payload: message.payload, qos: message.qos, expires: message.expires, properties: message.properties) : message
        let publication = Publication(id: 0, message: bare, source: nil, held: nil, shards: 0)
        self.broker.writes.submit(
            PublicationJob(publication, targets: targets, queue: self.broker.queue, settings: self.settings, metrics: self.metrics) { _ in })
    }
}

/// The first byte of `InboundRecord.body`.
enum InboundBody {
    /// A QoS 2 message between PUBREC and PUBREL follows.
    static let message: UInt8 = 0
    /// The `cid` of a chat message that is not acknowledged yet follows.
    static let cid: UInt8 = 1
}

extension AckAnswer {
    init(_ result: Result<Void, SkerryError>) {
        switch result {
        case .success: self = .success
        case .failure(let error): self.init(error, isLost: true)
        }
    }
}
