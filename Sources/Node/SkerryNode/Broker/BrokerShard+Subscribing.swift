import DequeModule
import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store
import TopicRouting

/// A subscription as it was decided: granted, with its names looked up, or refused.
struct SubscriptionDecision: Sendable {
    var subscription: ClientSubscription
    var interest: ChatInterest?
    var refusal: MQTTReason?
    var text: String?
}

/// A packet about subscriptions that waits for one before it.
enum UnresolvedPacket {
    case subscribe(MQTTSubscribe)
    case unsubscribe(MQTTUnsubscribe)
}

extension BrokerShard {
    func subscribe(_ packet: MQTTSubscribe, _ session: BrokerSession) {
        if session.isResolving { return session.unresolved.append((.subscribe(packet), session.link)) }
        let id = packet.properties.subscriptionIdentifiers.first ?? 0
        let isBridge = session.machine.connection?.terms.isBridge ?? false
        var decisions: [SubscriptionDecision] = []
        var asked: [(index: Int, filter: ChatFilter)] = []
        for wanted in packet.subscriptions {
            var options = wanted.options
            // A share has no No Local [MQTT-3.8.3-4].
            if isBridge { (options.noLocal, options.retainAsPublished) = (!wanted.filter.isShared, true) }
            var decision = SubscriptionDecision(subscription: ClientSubscription(wanted.filter, options, id: id))
            switch self.check(wanted.filter, session) {
            case .ordinary: break
            case .chat(let filter): asked.append((decisions.count, filter))
            case .refused(let reason, let text): (decision.refusal, decision.text) = (reason, text)
            }
            decisions.append(decision)
        }
        let link = session.link
        guard !asked.isEmpty, let caller = session.caller else { return self.subscribed(packet.packetID, decisions, session, link) }
        // Names and memberships are on the disk.
        session.isResolving = true
        let (key, shard, online, decided, chat) = (session.key, self.shard, self.node.online, decisions, asked)
        self.node.store.read { store in
            var decisions = decided
            for (index, filter) in chat {
                do {
                    decisions[index].interest = try ChatInterest.resolve(
                        filter, decisions[index].subscription.filter, for: caller.user, ChatReader(store, online: online))
                } catch let error as SkerryError {
                    decisions[index].refusal = .ofSubscribe(error.code)
                    decisions[index].text = error.detail
                }
            }
            return decisions
        } completion: { result in
            shard.enter { shard in
                shard.mqtt?.perform { [mqtt = shard.mqtt] in
                    guard let mqtt, let session = mqtt.byKey[key] else {
                        link?.settle(1)
                        return
                    }
                    session.isResolving = false
                    defer { mqtt.resolveNext(session) }
                    switch result {
                    case .success(let decisions): mqtt.subscribed(packet.packetID, decisions, session, link)
                    case .failure:
                        let refused = decided.map { decision in
                            var decision = decision
                            if decision.refusal == nil { decision.refusal = .unspecifiedError }
                            return decision
                        }
                        mqtt.subscribed(packet.packetID, refused, session, link)
                    }
                }
            }
        }
    }

    /// What came while names were being looked up, in its order: an UNSUBSCRIBE must not overtake the SUBSCRIBE it undoes.
    private func resolveNext(_ session: BrokerSession) {
        while !session.isResolving, let (packet, link) = session.unresolved.popFirst() {
            // With its connection goes whoever waits for the answer.
            guard session.link === link else {
                link?.settle(1)
                continue
            }
            switch packet {
            case .subscribe(let packet): self.subscribe(packet, session)
            case .unsubscribe(let packet): self.unsubscribe(packet, session)
            }
        }
    }

    private enum Check {
        case ordinary
        case chat(ChatFilter)
        case refused(MQTTReason, String)
    }

    private func check(_ filter: TopicFilter, _ session: BrokerSession) -> Check {
        let isAdmin = session.role == .admin && session.owner.user != nil
        if let text = TopicAccess.refusalToSubscribe(filter, isSignedIn: session.owner.user != nil, isAdmin: isAdmin, session.rights) {
            return .refused(.notAuthorized, text)
        }
        guard TopicAccess.firstLevel(filter) == "v1", let chat = ChatFilter(filter) else { return .ordinary }
        return .chat(chat)
    }

    /// Everything is decided: take what is granted, on the disk first when the session is durable, and answer.
    private func subscribed(_ packetID: UInt16, _ decisions: [SubscriptionDecision], _ session: BrokerSession, _ link: MQTTLink?) {
        guard !session.isEnded else {
            link?.settle(1)
            return
        }
        var reasons: [MQTTReason] = []
        var granted: [(decision: SubscriptionDecision, isNew: Bool)] = []
        var isFull = false
        for decision in decisions {
            let filter = decision.subscription.filter
            let isNew = session.machine.subscriptions[filter] == nil
            if let refusal = decision.refusal {
                self.metrics.add(.mqttDenied)
                reasons.append(refusal)
            } else if isNew && session.machine.subscriptions.count >= session.machine.limits.subscriptionsMax {
                self.metrics.add(.mqttSubscriptionsFull)
                reasons.append(.quotaExceeded)
                isFull = true
            } else {
                self.insert(decision.subscription, decision.interest, session)
                granted.append((decision, isNew))
                reasons.append(.granted(decision.subscription.options.qos))
            }
        }
        let text = decisions.first { $0.refusal != nil }?.text ?? (isFull ? "You have as many subscriptions as one client may have here." : nil)
        guard session.isDurable, !granted.isEmpty else { return self.acknowledge(packetID, reasons, text, granted, session, link) }
        if link != nil, session.link === link {
            for entry in granted { session.subscribing[entry.decision.subscription.filter, default: []] = [] }
            self.awaiting.insert(session)
        }
        let records = granted.map { entry in
            let subscription = entry.decision.subscription
            return BrokerSubscriptionRecord(
                session: session.number, filter: subscription.filter.text, options: subscription.options.rawValue, subscriptionID: subscription.id)
        }
        let interests = granted.compactMap { self.durableInterest($0.decision.subscription, $0.decision.interest, session) }
        let filters = Set(granted.map(\.decision.subscription.filter.text))
        let (key, user, queue, shard, taken, answers) = (session.key, session.owner.user, self.broker.queue, self.shard, granted, reasons)
        let own = self.record(session)
        self.broker.writes.rows(loop: shard.loop) { store in
            // SUBACK promises more than the row of the subscription: the session's own may have found the disk full.
            try store.putBrokerSession(own)
            for record in records { try store.putBrokerSubscription(record) }
            guard let user else { return }
            queue.removeInterests(key: key, user: user) { filters.contains($0.filter) }
            for interest in interests { queue.add(interest, user: user) }
        } completion: { result in
            shard.assumeIsolated { shard in
                shard.mqtt?.perform { [mqtt = shard.mqtt] in
                    guard let mqtt, let session = mqtt.byKey[key] else {
                        link?.settle(1)
                        return
                    }
                    if case .failure(let error) = result {
                        if let user { mqtt.broker.writes.rows(loop: nil) { _ in queue.removeInterests(key: key, user: user) { filters.contains($0.filter) } } }
                        for entry in taken { mqtt.remove(entry.decision.subscription.filter, session) }
                        let failed = answers.map { $0.isFailure ? $0 : MQTTReason.unspecifiedError }
                        return mqtt.acknowledge(packetID, failed, error.detail, [], session, link)
                    }
                    mqtt.acknowledge(packetID, answers, text, taken, session, link)
                }
            }
        }
    }

    private func acknowledge(
        _ packetID: UInt16, _ reasons: [MQTTReason], _ text: String?, _ granted: [(decision: SubscriptionDecision, isNew: Bool)],
        _ session: BrokerSession, _ link: MQTTLink?
    ) {
        link?.settle(1)
        // The next connection did not ask.
        guard session.link === link else { return }
        session.machine.suback(packetID, reasons, text: text)
        // SUBACK first: clients rely on it.
        for entry in granted { self.startRetained(entry.decision, isNew: entry.isNew, session) }
        self.touch(session)
    }

    // MARK: - In and out of the tables

    func insert(_ subscription: ClientSubscription, _ interest: ChatInterest?, _ session: BrokerSession) {
        let filter = subscription.filter
        if session.machine.subscriptions.updateValue(subscription, forKey: filter) == nil {
            self.broker.statistics.add(filter.isShared ? .sharedSubscriptions : .subscriptions, 1)
            self.otherBoxes?.subscribed(filter, 1)
        }
        if let interest {
            if session.interests.isEmpty, let user = session.owner.user { self.chatSessions[user, default: []].append(session) }
            session.interests[filter] = interest
        } else if filter.isShared {
            let member = SharedMember(shard: self.shard.index, key: session.key, number: session.number)
            let (isOnline, rights) = (session.link != nil, session.rights)
            self.node.home(of: filter.text).enter { $0.mqtt?.groups.join(member, subscription, isOnline: isOnline, rights) }
        } else {
            self.tree.insert(filter, session, subscription)
        }
    }

    @discardableResult
    func remove(_ filter: TopicFilter, _ session: BrokerSession) -> Bool {
        guard session.machine.subscriptions.removeValue(forKey: filter) != nil else { return false }
        self.broker.statistics.add(filter.isShared ? .sharedSubscriptions : .subscriptions, -1)
        self.otherBoxes?.subscribed(filter, -1)
        if session.interests.removeValue(forKey: filter) != nil {
            if session.interests.isEmpty, let user = session.owner.user {
                self.chatSessions[user]?.removeAll { $0 === session }
                if self.chatSessions[user]?.isEmpty == true { self.chatSessions[user] = nil }
            }
        } else if filter.isShared {
            let member = SharedMember(shard: self.shard.index, key: session.key, number: session.number)
            self.node.home(of: filter.text).enter { $0.mqtt?.groups.leave(member, filter) }
        } else {
            self.tree.remove(filter, session)
        }
        session.subscribing[filter] = nil
        self.dropRetained(filter, session)
        return true
    }

    private func dropRetained(_ filter: TopicFilter, _ session: BrokerSession) {
        if session.retained.first?.subscription.filter == filter {
            session.retainedRequest += 1
            session.isReadingRetained = false
        }
        session.retained.remove(filter)
    }

    /// What the writer has to know to keep the chat's messages for a client that is away.
    func durableInterest(_ subscription: ClientSubscription, _ interest: ChatInterest?, _ session: BrokerSession) -> DurableInterest? {
        guard let interest, interest.isKept, subscription.options.qos != .atMostOnce else { return nil }
        return DurableInterest(
            session: session.number, shard: self.shard.index, key: session.key, filter: subscription.filter.text, interest: interest,
            options: subscription.options, subscriptionID: subscription.id)
    }

    func unsubscribe(_ packet: MQTTUnsubscribe, _ session: BrokerSession) {
        if session.isResolving { return session.unresolved.append((.unsubscribe(packet), session.link)) }
        let reasons = packet.filters.map { self.remove($0, session) ? MQTTReason.success : .noSubscriptionExisted }
        let (packetID, link) = (packet.packetID, session.link)
        guard session.isDurable else {
            link?.settle(1)
            session.machine.unsuback(packetID, reasons)
            return self.touch(session)
        }
        let filters = Set(packet.filters.map(\.text))
        let gone = zip(packet.filters, reasons).filter { $0.1 == .success }.map(\.0)
        let (number, key, user, queue, shard) = (session.number, session.key, session.owner.user, self.broker.queue, self.shard)
        self.broker.writes.rows(loop: shard.loop) { store in
            for filter in filters { try store.removeBrokerSubscription(session: number, filter: filter) }
            if let user { queue.removeInterests(key: key, user: user) { filters.contains($0.filter) } }
        } completion: { result in
            shard.assumeIsolated { shard in
                shard.mqtt?.perform { [mqtt = shard.mqtt] in
                    link?.settle(1)
                    guard let mqtt, let session = mqtt.byKey[key] else { return }
                    // UNSUBACK of 3.1.1 cannot say no, so it must not come back with the next start.
                    if mqtt.isToRetry(result, session) { session.unremovedFilters.formUnion(gone) }
                    guard session.link === link else { return }
                    if case .failure = result {
                        session.machine.unsuback(packetID, reasons.map { _ in .unspecifiedError })
                    } else {
                        session.machine.unsuback(packetID, reasons)
                    }
                    mqtt.touch(session)
                }
            }
        }
    }

    /// Rows of subscriptions that found the disk full when they were to go, unless they were made anew.
    func removeFilters(_ filters: Set<TopicFilter>, _ session: BrokerSession) {
        let gone = filters.filter { session.machine.subscriptions[$0] == nil }
        if gone.isEmpty { return }
        let texts = Set(gone.map(\.text))
        let (number, key, user, queue, shard) = (session.number, session.key, session.owner.user, self.broker.queue, self.shard)
        self.broker.writes.rows(loop: shard.loop) { store in
            for text in texts { try store.removeBrokerSubscription(session: number, filter: text) }
            if let user { queue.removeInterests(key: key, user: user) { texts.contains($0.filter) } }
        } completion: { result in
            shard.assumeIsolated { shard in
                guard let mqtt = shard.mqtt, let session = mqtt.byKey[key] else { return }
                if mqtt.isToRetry(result, session) { session.unremovedFilters.formUnion(gone) }
            }
        }
    }

    // MARK: - Retained messages

    /// What a new subscription is owed at once [MQTT-3.3.1-9] to [MQTT-3.3.1-11]; a shared one nothing (MQTT 5 §4.8.2).
    private func startRetained(_ decision: SubscriptionDecision, isNew: Bool, _ session: BrokerSession) {
        let subscription = decision.subscription
        let heard = session.subscribing.removeValue(forKey: subscription.filter) ?? []
        switch subscription.options.retainHandling {
        case .send: break
        case .sendIfNew: if !isNew { return }
        case .doNotSend: return
        }
        if subscription.filter.isShared { return }
        if let interest = decision.interest { return self.startPresence(interest, subscription, session) }
        // What bridges say of themselves is retained like any message.
        if TopicAccess.firstLevel(subscription.filter) == "$SYS" { self.sendSystem(subscription, session) }
        var run = RetainedRun(subscription: subscription)
        run.known = heard
        for (topic, pending) in self.pendingRetained where subscription.filter.matches(topic) && !heard.contains(topic) {
            run.known.insert(topic)
            if pending.message.payload.readableBytes > 0 { self.deliverRetained(pending.message, subscription, session) }
        }
        // A client that subscribes again starts again: it is owed one run for each filter.
        self.dropRetained(subscription.filter, session)
        session.retained.append(run)
        self.awaiting.insert(session)
    }

    private static let retainedPageMax = 256
    private static let retainedPageBytesMax = 256 * 1024

    /// The next page of retained messages, when the client has room for it.
    func readRetained(_ session: BrokerSession) {
        guard let run = session.retained.first else {
            if session.subscribing.isEmpty { self.awaiting.remove(session) }
            return
        }
        guard !session.isReadingRetained, let link = session.link else { return }
        let window = session.machine.outbound
        guard link.waitingBytes < self.settings.outboxBytesMax / 4, window.entries.count <= window.entriesMax / 4, !window.isBehind else {
            // Acknowledgements touch the session; an empty outbox has to be asked for.
            if link.waitingBytes > 0 { link.askForRoom() }
            return
        }
        session.isReadingRetained = true
        session.retainedRequest += 1
        let (key, shard, filter, after, request) = (session.key, self.shard, run.subscription.filter, run.after, session.retainedRequest)
        self.node.store.read { store -> (page: [RetainedRecord], isLast: Bool) in
            guard filter.hasWildcard else { return (try store.retained(topic: filter.filter).map { [$0] } ?? [], true) }
            let page = try store.retained(
                prefix: filter.literalPrefix, after: after, limit: Self.retainedPageMax, bytes: Self.retainedPageBytesMax)
            return (page, page.isEmpty)
        } completion: { result in
            shard.enter { $0.mqtt?.retainedRead(key, request, result) }
        }
    }

    private func retainedRead(_ key: UInt64, _ request: UInt64, _ result: Result<(page: [RetainedRecord], isLast: Bool), any Error>) {
        self.perform {
            guard let session = self.byKey[key], session.retainedRequest == request, let run = session.retained.first else { return }
            session.isReadingRetained = false
            let filter = run.subscription.filter
            var isWriting = false
            guard case .success(let (page, isLast)) = result else {
                session.retained.removeFirst()
                return self.touch(session)
            }
            let retention = self.broker.retention
            for record in page {
                guard let topic = try? TopicName(record.topic), filter.matches(topic), !run.known.contains(topic),
                    let message = retention.message(of: record)
                else { continue }
                if self.deliverRetained(message, run.subscription, session) { isWriting = true }
            }
            if isWriting {
                // The next page when these rows are on the disk: how many wait is seen in the window only then.
                session.isReadingRetained = true
                let shard = self.shard
                self.broker.writes.rows(loop: shard.loop) { _ in
                } completion: { _ in
                    shard.assumeIsolated { $0.mqtt?.retainedWritten(key, request) }
                }
            }
            if isLast { session.retained.removeFirst() } else if let last = page.last { session.retained.reached(last.topic) }
            self.touch(session)
        }
    }

    private func retainedWritten(_ key: UInt64, _ request: UInt64) {
        self.perform {
            guard let session = self.byKey[key], session.retainedRequest == request else { return }
            session.isReadingRetained = false
            self.touch(session)
        }
    }

    /// A message with the RETAIN flag, to the client that subscribed alone [MQTT-3.3.1-8]. True: it goes by way of the disk.
    @discardableResult
    func deliverRetained(_ message: ApplicationMessage, _ subscription: ClientSubscription, _ session: BrokerSession) -> Bool {
        let now = self.now
        guard !message.isExpired(at: now), self.mayRead(message.topic, session) else { return false }
        let delivery = Delivery(
            qos: min(message.qos, subscription.options.qos), isRetained: true, subscriptionIDs: subscription.id == 0 ? [] : [subscription.id])
        if delivery.qos != .atMostOnce && session.isDurable {
            self.enqueue(message, [QueueTarget(session: session.number, shard: self.shard.index, key: session.key, delivery: delivery)])
            return true
        }
        var layouts = message.layouts
        self.deliver(message, delivery, to: session, now: now, &layouts)
        return false
    }
}
