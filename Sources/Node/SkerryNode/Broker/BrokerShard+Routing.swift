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
        TopicAccess.refusalToPublish(message.topic, isSignedIn: session.owner.user != nil, session.rights).map {
            AckAnswer(SkerryError(.forbidden, $0), isLost: false)
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
        // What happens where a queue is full is up to the listener that the publisher came through.
        let overflow = source?.link?.terms.settings.overflow ?? self.settings.overflow
        if let crossing = self.otherBoxes, source?.arrival == nil { self.cross(message, source, crossing) }
        let publication = Publication(
            id: self.broker.nextKey(), message: message, source: source, held: held, overflow: overflow, shards: self.node.shards.count)
        for index in self.outgoing.indices where index != self.shard.index { self.outgoing[index].append(publication) }
        self.route(publication)
    }

    /// This shard's share of a message.
    func route(_ publication: Publication) {
        let message = publication.message
        if publication.retains { self.pendingRetained[message.topic] = (publication.id, message) }
        var targets: [QueueTarget] = []
        self.refusals = 0
        let matched = self.match(message, origin: publication.source?.session ?? 0, publication.overflow, &targets) + self.matchShared(message, &targets)
        guard let receivers = publication.routed(matched: matched, refused: self.refusals, targets: targets) else { return }
        self.settle(publication, receivers)
    }

    private func match(
        _ message: ApplicationMessage, origin: UInt64, _ overflow: BrokerSettings.Overflow, _ targets: inout [QueueTarget]
    ) -> Int {
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
                session.delivery = nil
                guard self.mayRead(message.topic, session) else { continue }
                session.delivery = delivery
                receivers.append(session)
            }
        }
        let now = self.now
        var layouts = message.layouts
        for session in receivers {
            guard let delivery = session.delivery else { continue }
            let isTaken = self.deliver(message, delivery, to: session, now: now, overflow, &layouts, &targets)
            if isTaken, message.isRetained, self.awaiting.contains(session) { session.heard(message.topic) }
        }
        return receivers.count
    }

    private func deliver(
        _ message: ApplicationMessage, _ delivery: Delivery, to session: BrokerSession, now: UInt64, _ overflow: BrokerSettings.Overflow,
        _ layouts: inout PublishLayouts, _ targets: inout [QueueTarget]
    ) -> Bool {
        if delivery.qos != .atMostOnce && session.isDurable {
            targets.append(QueueTarget(session: session.number, shard: self.shard.index, key: session.key, delivery: delivery))
            return true
        }
        return self.deliver(message, delivery, to: session, now: now, overflow: overflow, &layouts)
    }

    /// To a client that is connected, without the disk. False: it did not get it.
    @discardableResult
    func deliver(
        _ message: ApplicationMessage, _ delivery: Delivery, to session: BrokerSession, now: UInt64, overflow: BrokerSettings.Overflow? = nil,
        _ layouts: inout PublishLayouts
    ) -> Bool {
        // Bytes that wait count from the next tick on: what one tick brings is bounded by what is read.
        let allowance = delivery.qos == .atMostOnce ? Int.max : self.broker.statistics.allowance(self.settings) - self.windowBytes
        let outcome = session.machine.deliver(
            message, delivery, now: now, room: self.room(session), allowance: allowance, dropsOldest: (overflow ?? self.settings.overflow) == .dropOldest,
            layouts: &layouts)
        switch outcome {
        case .taken:
            self.touch(session)
            return true
        case .replaced(let count):
            self.metrics.add(.mqttQueueFull)
            self.metrics.add(.mqttDropped, count)
            self.touch(session)
            return true
        case .full:
            if delivery.qos != .atMostOnce {
                self.refusals += 1
                if delivery.byteCount(of: message) > allowance { self.metrics.add(.mqttQueuedBytesFull) }
            }
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
        if receivers.targets.isEmpty && !publication.retains && publication.held == nil {
            return self.broker.answer(publication.source, Self.answer(publication, receivers))
        }
        self.write(publication, receivers)
    }

    /// What the publisher hears when everything that is to be written is: a refusal only where the policy is to refuse.
    fileprivate static func answer(_ publication: Publication, _ receivers: Publication.Receivers, _ outcome: PublicationJob.Outcome? = nil) -> AckAnswer {
        let isFull = receivers.refused + (outcome?.refused ?? 0) > 0 && publication.overflow == .refuse
        if isFull || outcome?.isRetainedFull ?? false {
            let text = outcome?.isRetainedFull ?? false ? "This box retains no more messages." : "A receiver's queue is full."
            return AckAnswer(.quotaExceeded, text: text, code: ErrorCode.quotaExceeded.rawValue)
        }
        return receivers.matched == 0 ? AckAnswer(.noMatchingSubscribers) : .success
    }

    private func write(_ publication: Publication, _ receivers: Publication.Receivers) {
        self.broker.write(publication, receivers, from: self.shard, self.settings)
    }

    // MARK: - Shared subscriptions

    private func matchShared(_ message: ApplicationMessage, _ targets: inout [QueueTarget]) -> Int {
        if self.groups.isEmpty { return 0 }
        let choices = self.groups.choose(message.topic)
        for choice in choices { self.give(message, choice, tried: [], &targets) }
        return choices.count
    }

    private func give(_ message: ApplicationMessage, _ choice: SharedGroups.Choice, tried: Set<UInt64>, _ targets: inout [QueueTarget]) {
        guard var delivery = Delivery(message, for: choice.subscription, isOwn: false) else { return }
        delivery.share = choice.filter.text
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
            var delivery = Delivery(message, for: subscription, isOwn: false), self.mayRead(message.topic, session)
        {
            var layouts = message.layouts
            delivery.share = filter.text
            if self.deliver(message, delivery, to: session, now: self.now, &layouts) { return }
        }
        // It left, or cannot take it: back to the group's home for another one.
        let tried = tried.union([member.key])
        self.node.home(of: filter.text).enter { shard in
            shard.mqtt?.perform { [mqtt = shard.mqtt] in mqtt?.chooseAgain(message, filter, tried) }
        }
    }

    /// A session that ended with its connection: what shared subscriptions had chosen it for and it did not take is for other members, in order.
    func handOver(_ session: BrokerSession) {
        let (key, now) = (session.key, self.now)
        var byFilter: [(filter: TopicFilter, messages: [ApplicationMessage])] = []
        for entry in session.machine.outbound.untakenShares {
            guard let text = entry.share, let message = entry.message else { continue }
            if message.isExpired(at: now) {
                self.metrics.add(.mqttDropped)
            } else if let index = byFilter.firstIndex(where: { $0.filter.text == text }) {
                byFilter[index].messages.append(message)
            } else if let filter = try? TopicFilter(text) {
                byFilter.append((filter, [message]))
            }
        }
        for (filter, messages) in byFilter {
            self.metrics.add(.mqttShareMoved, messages.count)
            self.node.home(of: filter.text).enter { shard in
                shard.mqtt?.perform { [mqtt = shard.mqtt] in for message in messages { mqtt?.chooseAgain(message, filter, [key]) } }
            }
        }
    }

    fileprivate func chooseAgain(_ message: ApplicationMessage, _ filter: TopicFilter, _ tried: Set<UInt64>) {
        guard let choice = self.groups.choose(message.topic, filter, without: tried) else { return self.metrics.add(.mqttDropped) }
        var targets: [QueueTarget] = []
        self.give(message, choice, tried: tried, &targets)
        // Whose queue is full is passed over; nobody's older message makes room.
        if !targets.isEmpty { self.enqueue(message, targets, .refuse, offer: (filter, tried.union([choice.member.key]))) }
    }

    /// Rows for chosen receivers, with nobody waiting for them.
    func enqueue(
        _ message: ApplicationMessage, _ targets: [QueueTarget], _ overflow: BrokerSettings.Overflow? = nil, offer: (TopicFilter, Set<UInt64>)? = nil
    ) {
        let bare =
            message.isRetained
            ? ApplicationMessage(
                topic: message.topic, payload: message.payload, qos: message.qos, expires: message.expires, properties: message.properties) : message
        let publication = Publication(id: 0, message: bare, source: nil, held: nil, overflow: overflow ?? self.settings.overflow, offer: offer, shards: 0)
        self.write(publication, Publication.Receivers(waiting: 0, targets: targets))
    }
}

extension MQTTBroker {
    /// A message that every shard has routed, to the disk; its publisher is answered when it is there.
    fileprivate func write(_ publication: Publication, _ receivers: Publication.Receivers, from shard: Shard, _ settings: BrokerSettings) {
        let (message, stalled) = (publication.message, self.queue.stalled)
        let job = PublicationJob(
            publication, targets: receivers.targets, queue: self.queue, settings: settings, metrics: self.node.metrics,
            retention: self.retention
        ) { result in
            if publication.isOurs {
                if case .failure(let error) = result, error.isOfFullDisk {
                    if stalled.keep(publication, receivers, shard, bytesMax: settings.stalledBytesMax) { return }
                    // Left to the client, which is closed and sends PUBREL again.
                    self.node.metrics.add(.mqttStalledFull)
                } else {
                    stalled.done(publication)
                }
            }
            if publication.retains {
                self.node.publish([.mqtt(BrokerEvent(kind: .retained(message.topic, publication: publication.id)))])
            }
            switch result {
            case .failure(let error): self.answer(publication.source, AckAnswer(error, isLost: true))
            case .success(let outcome):
                for session in outcome.stranded { self.empty(session: session) }
                if outcome.refused > 0, let offer = publication.offer {
                    shard.enter { shard in
                        shard.mqtt?.perform { [mqtt = shard.mqtt] in mqtt?.chooseAgain(message, offer.filter, offer.tried) }
                    }
                }
                self.answer(publication.source, BrokerShard.answer(publication, receivers, outcome))
            }
        }
        self.writes.submit(job)
    }

    /// Once a second: messages that found the disk full.
    func retryStalled() {
        let settings = self.settings
        for entry in self.queue.stalled.take() { self.write(entry.publication, entry.receivers, from: entry.shard, settings) }
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
