import Account
import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store

/// Sessions come and go.
extension BrokerShard {
    // MARK: - Connecting

    /// A client has proved who it is; its session's home decides the rest. Two connections with one client id meet here, one after the other.
    func connect(_ terms: ConnectTerms, _ caller: Caller?, _ link: MQTTLink) {
        self.perform {
            // Its socket went while the password was being checked; `lost` for it is behind us or never comes.
            if link.isAbandoned { return }
            let owner = caller.map { SessionOwner.user($0.user) } ?? .anonymous
            let rights = self.rights(owner, name: caller?.name ?? "", role: caller?.role ?? .user, clientID: terms.clientID, link.terms)
            if let refusal = self.refusal(terms, owner, rights, link.terms) { return self.broker.refuse(refusal, terms.version, link) }
            if let old = self.sessions[ClientKey(terms.clientID)] {
                guard old.owner == owner else {
                    let refusal = ConnectRefusal(.clientIdentifierNotValid, "This client id belongs to somebody else here.")
                    return self.broker.refuse(refusal, terms.version, link)
                }
                self.takeOver(old, isCleanStart: terms.isCleanStart)
            }
            let isKept = self.sessions[ClientKey(terms.clientID)] == nil && terms.expirySeconds > 0
            if isKept, !self.broker.counts.enter(owner, self.settings) {
                self.metrics.add(.mqttSessionsFull)
                return self.broker.refuse(ConnectRefusal(.quotaExceeded, "Too many sessions are kept for you already."), terms.version, link)
            }
            guard self.enter(caller, terms, link) else {
                if isKept { self.broker.counts.leave(owner) }
                return self.broker.refuse(ConnectRefusal(.quotaExceeded, "You have too many connections."), terms.version, link)
            }
            let present = self.sessions[ClientKey(terms.clientID)]
            let session = present ?? self.make(terms, owner, link)
            session.name = caller?.name ?? ""
            session.role = caller?.role ?? .user
            (session.rights, session.terms) = (rights, link.terms)
            session.caller = caller
            session.online = caller?.session
            session.link = link
            session.connectedSince = self.now
            session.ended = 0
            session.willDue = nil
            session.slowSince = nil
            self.dying.remove(session)
            self.dropSystem(session)
            self.byLink[link.id] = session
            self.broker.statistics.add(.connected, 1)
            link.terms.entered()
            if terms.isKeepAliveShortened { self.metrics.add(.mqttKeepAlivesCut) }
            if terms.isExpiryShortened { self.metrics.add(.mqttExpiriesCut) }
            self.metrics.add(.mqttConnects)
            self.broker.noteConnected(session, link, terms.version, isPresent: present != nil)
            var effects: [SessionEffect] = []
            session.machine.connect(terms, limits: link.terms.session, isPresent: present != nil, now: self.now, effects: &effects)
            self.run(effects, session)
            self.save(session)
            session.connectionRow = session.row
            self.noteShared(session, isOnline: true)
            // What CONNACK says of the session must be true after a power cut too: that an earlier one is gone or goes on, and that this one, its will
            // and its expiry are known. When the disk is full the client comes in all the same, so that its queue can drain.
            session.isAccepting = session.isDurable
            if !session.isDurable { self.accept(session, link) }
        }
    }

    /// CONNACK goes out. It is the first word, whatever the client sent behind its CONNECT and whatever came for it meanwhile.
    private func accept(_ session: BrokerSession, _ link: MQTTLink) {
        session.isAccepting = false
        link.accepted(by: self.shard, sending: session.machine.takeOutput())
        self.touch(session)
    }

    /// A session that an administrator left reads $SYS no more when its user is none now.
    func dropSystem(_ session: BrokerSession) {
        guard session.role != .admin else { return }
        let filters = session.machine.subscriptions.keys.filter { TopicAccess.firstLevel($0) == "$SYS" }
        if filters.isEmpty { return }
        for filter in filters { self.remove(filter, session) }
        let number = session.number
        if session.isDurable {
            self.broker.writes.rows(loop: nil) { store in
                for filter in filters { try store.removeBrokerSubscription(session: number, filter: filter.text) }
            }
        }
    }

    private func refusal(_ terms: ConnectTerms, _ owner: SessionOwner, _ rights: TopicRights?, _ listener: ListenerTerms) -> ConnectRefusal? {
        guard self.broker.isOpen else { return ConnectRefusal(.serverUnavailable, "The box is going down.") }
        guard self.broker.statistics.value(.connected) < self.settings.connectionsMax, !listener.isFull else {
            self.metrics.add(.mqttConnectionsFull)
            return ConnectRefusal(.quotaExceeded, "The box has as many MQTT connections here as it takes.")
        }
        if let will = terms.will, !self.mayLeave(will, owner, rights) {
            return ConnectRefusal(.notAuthorized, "The will's topic is not yours to publish to.")
        }
        return nil
    }

    private func mayLeave(_ will: Will, _ owner: SessionOwner, _ rights: TopicRights?) -> Bool {
        TopicAccess.refusalToPublish(will.message.topic, isSignedIn: owner.user != nil, rights) == nil
    }

    /// Ends what a new connection with this client id replaces [MQTT-3.1.4-3], [MQTT-3.1.2-4].
    private func takeOver(_ old: BrokerSession, isCleanStart: Bool) {
        if old.link != nil {
            self.metrics.add(.mqttTakeOvers)
            var effects: [SessionEffect] = []
            old.machine.close(.sessionTakenOver, effects: &effects)
            self.run(effects, old)
        }
        if !old.isEnded && (isCleanStart || self.isExpired(old)) { self.end(old) }
    }

    /// Puts the client on the list of who is online. False: its user has too many connections.
    private func enter(_ caller: Caller?, _ terms: ConnectTerms, _ link: MQTTLink) -> Bool {
        guard let caller, let id = caller.session else { return true }
        let line = OnlineSession(
            id: id, user: caller.user, name: caller.name, device: caller.device, kind: .mqtt, address: link.addressText, client: terms.clientID,
            sinceMilliseconds: self.node.clock.wall())
        guard let isFirst = self.node.online.enter(line, limits: self.node.limits) else { return false }
        if isFirst { self.broker.chat.announce(caller.user, isOnline: true) }
        return true
    }

    private func make(_ terms: ConnectTerms, _ owner: SessionOwner, _ link: MQTTLink) -> BrokerSession {
        let session = BrokerSession(
            key: self.broker.nextKey(), number: terms.expirySeconds > 0 ? self.broker.nextNumber() : 0, owner: owner, name: "", role: .user,
            machine: Session(terms, limits: link.terms.session))
        self.add(session)
        return session
    }

    private func add(_ session: BrokerSession) {
        self.sessions[ClientKey(session.machine.clientID)] = session
        self.byKey[session.key] = session
        self.index.insert(session)
        self.broker.statistics.add(.sessions, 1)
    }

    // MARK: - Disconnecting

    /// The machine has said its last word to this connection.
    func closed(_ session: BrokerSession, _ reason: MQTTReason) {
        guard let link = session.link else { return }
        switch reason {
        case .keepAliveTimeout: self.metrics.add(.mqttKeepAliveTimeouts)
        case .receiveMaximumExceeded: self.countFault(.mqttReceiveExceeded)
        case .topicAliasInvalid: self.countFault(.mqttAliasInvalid)
        case .topicNameInvalid: self.countFault(.mqttTopicsTooDeep)
        case .protocolError, .malformedPacket: self.metrics.add(.mqttProtocolErrors)
        default: break
        }
        self.broker.noteDisconnected(session, link, reason)
        self.close(link, sending: session.machine.takeOutput())
        self.detach(session)
    }

    /// A limit that was announced, or a rule of the protocol with a figure of its own, was broken.
    private func countFault(_ metric: MetricName) {
        self.metrics.add(.mqttProtocolErrors)
        self.metrics.add(metric)
    }

    /// The socket is gone.
    func lost(_ link: MQTTLink) {
        self.perform {
            guard let session = self.byLink[link.id] else { return }
            self.broker.noteDisconnected(session, link, link.faultReason)
            self.detach(session)
        }
    }

    private func detach(_ session: BrokerSession) {
        guard let link = session.link else { return }
        self.byLink[link.id] = nil
        self.figures.collect(session)
        self.scheduleFlush()
        session.link = nil
        session.isAccepting = false
        session.signIn = nil
        session.ended = self.now
        session.retained.removeAll()
        session.isReadingRetained = false
        session.retainedRequest += 1
        session.subscribing.removeAll()
        self.awaiting.remove(session)
        // A page that is still being read starts where this connection had got to; the next one starts earlier.
        session.pageRequest += 1
        self.broker.statistics.add(.connected, -1)
        link.terms.left()
        if let id = session.online, let user = session.owner.user {
            session.online = nil
            if self.node.online.leave(id, user: user, now: self.node.clock.wall()) { self.broker.chat.announce(user, isOnline: false) }
        }
        self.noteShared(session, isOnline: false)
        switch session.machine.disconnected() {
        case .none: break
        case .now(let will): self.publish(will, of: session)
        case .later(_, let seconds):
            session.willDue = self.now + UInt64(seconds) * 1000
            self.dying.insert(session)
        }
        if session.machine.expirySeconds == 0 { self.end(session) } else { self.save(session) }
    }

    /// Publishes a will with the rights its client has by now [MQTT-3.1.2-8].
    private func publish(_ will: Will, of session: BrokerSession) {
        let message = ApplicationMessage(will.message, now: self.now)
        guard self.mayLeave(will, session.owner, session.rights) else { return self.metrics.add(.mqttDenied) }
        if case .chat(let topic?) = TopicKind(message.topic) { return self.chat(topic, message, session, nil) }
        self.route(message, nil)
    }

    // MARK: - Ending

    func isExpired(_ session: BrokerSession) -> Bool {
        guard session.link == nil, session.machine.expirySeconds != .max else { return false }
        return session.ended + UInt64(session.machine.expirySeconds) * 1000 <= self.now
    }

    /// The session is over: its will is published if it still waits, and nothing of it stays.
    func end(_ session: BrokerSession) {
        guard !session.isEnded else { return }
        session.isEnded = true
        if session.willDue != nil, let will = session.machine.will { self.publish(will, of: session) }
        self.dying.remove(session)
        for filter in Array(session.machine.subscriptions.keys) { self.remove(filter, session) }
        if self.sessions[ClientKey(session.machine.clientID)] === session { self.sessions[ClientKey(session.machine.clientID)] = nil }
        self.byKey[session.key] = nil
        self.index.remove(session)
        // What the client has, although the disk does not know it yet, is for nobody else.
        let taken = (self.acknowledged.removeValue(forKey: session.key)?.seqs ?? []) + session.unremoved.seqs + session.unreleased
        self.unwritten.remove(session)
        self.count(session)
        if !session.isDurable { self.handOver(session) }
        self.broker.statistics.add(.sessions, -1)
        if session.isDurable { self.broker.counts.leave(session.owner) }
        if session.isDurable {
            let begun = session.machine.outbound.sentSeq
            self.broker.forget(session: session.number, key: session.key, user: session.owner.user, taken: taken, begun: begun)
        }
    }

    /// Brings the row of a durable session up to date. CONNACK alone waits for it: what a client is promised later is in other rows.
    func save(_ session: BrokerSession) {
        guard session.isDurable, !session.isEnded else { return }
        guard let cursor = session.cursor else { return }
        let (record, queue, key, shard) = (self.record(session), self.broker.queue, session.key, self.shard)
        let home = QueueHome(shard: shard.index, key: key, cursor: cursor)
        session.row += 1
        let row = session.row
        self.broker.writes.rows(loop: shard.loop) { store in
            // First, so that it is known to be there even when the disk has no room for its row yet.
            queue.open(session: record.number, home)
            try store.putBrokerSession(record)
        } completion: { result in
            shard.assumeIsolated { shard in
                guard let mqtt = shard.mqtt, let session = mqtt.byKey[key] else { return }
                if mqtt.isToRetry(result, session) { session.isUnsaved = true }
                if case .success = result { session.savedRow = max(session.savedRow, row) } else { session.failedRow = max(session.failedRow, row) }
                guard let link = session.link else { return }
                // A row of an earlier connection says nothing of this one.
                if session.isAccepting, row >= session.connectionRow { return mqtt.perform { [mqtt] in mqtt.accept(session, link) } }
                mqtt.touch(session)
            }
        }
    }

    func record(_ session: BrokerSession) -> BrokerSessionRecord {
        BrokerSessionRecord(number: session.number, clientID: session.machine.clientID, state: session.state.encode())
    }

    func noteShared(_ session: BrokerSession, isOnline: Bool) {
        let (key, rights) = (session.key, session.rights)
        for filter in session.machine.subscriptions.keys where filter.isShared {
            self.node.home(of: filter.text).enter { $0.mqtt?.groups.note(key, filter, isOnline: isOnline, rights) }
        }
    }

    // MARK: - Time

    /// Once a second.
    func tick() {
        self.perform {
            self.ticks += 1
            let now = self.now
            for session in Array(self.byLink.values) { self.tick(session, now) }
            for session in self.dying where session.willDue.map({ $0 <= now }) ?? false {
                session.willDue = nil
                self.dying.remove(session)
                if let will = session.machine.will { self.publish(will, of: session) }
                session.machine.forgetWill()
                self.save(session)
            }
            if self.ticks % 10 == 0 {
                for session in Array(self.sessions.values) where self.isExpired(session) {
                    self.metrics.add(.mqttSessionsExpired)
                    self.end(session)
                }
            }
            self.retryWrites()
            if self.shard.index == 0 { self.tickBroker(now) }
        }
    }

    private func tick(_ session: BrokerSession, _ now: UInt64) {
        if session.link?.isNotRead ?? false { session.machine.notReading(now) }
        var effects: [SessionEffect] = []
        session.machine.tick(now: now, effects: &effects)
        if let since = session.slowSince, now >= since + UInt64(self.settings.slowSecondsMax) * 1000, self.room(session) <= 0 {
            self.metrics.add(.slowConsumers)
            session.machine.close(.quotaExceeded, "You do not read what you are sent.", effects: &effects)
        }
        self.run(effects, session)
    }

    /// What one shard does for all.
    private func tickBroker(_ now: UInt64) {
        self.broker.retryStalled()
        self.broker.retryForgetting()
        self.broker.goOnEmptying()
        self.broker.log.secondPassed(now: now)
        if self.settings.systemSeconds > 0, self.ticks % self.settings.systemSeconds == 0 { self.publishSystem() }
        if self.ticks % 10 == 0 { self.broker.sweepRetained() }
    }

    // MARK: - From outside

    func endSessions(_ user: UserID, _ device: DeviceID?, _ reason: SessionEnd) {
        self.perform {
            let isBarred = reason == .revoked || reason == .locked
            for session in Array(self.byLink.values) where session.owner.user == user && (device == nil || session.caller?.device == device) {
                // Whoever may not come in any more does not speak by its will either.
                if isBarred { session.machine.forgetWill() }
                var effects: [SessionEffect] = []
                session.machine.close(reason.mqttReason, effects: &effects)
                self.run(effects, session)
            }
            guard isBarred && device == nil else { return }
            for session in self.dying where session.owner.user == user {
                session.willDue = nil
                session.machine.forgetWill()
                self.dying.remove(session)
                self.save(session)
            }
        }
    }

    /// The box is being drained: MQTT 5 clients are told where to go (MQTT 5 §4.11), others just have to come back and then are refused. Nobody is
    /// sent on for less: what is queued for a session stays on its box.
    func move(_ order: MoveOrder) {
        guard order.isDrain else { return }
        self.perform {
            for session in Array(self.byLink.values) {
                guard let link = session.link, let target = order.take() else { return }
                self.metrics.add(.clientsMoved)
                var effects: [SessionEffect] = []
                session.machine.close(
                    .useAnotherServer, "This box is being drained.", reference: target.serverReference(link.transport.endpointKind), effects: &effects)
                self.run(effects, session)
            }
        }
    }

    /// The box goes down: every client is told, wills of sessions that end with it are published, the others are written down.
    func stop() {
        self.perform {
            for session in Array(self.byLink.values) {
                var effects: [SessionEffect] = []
                session.machine.close(.serverShuttingDown, effects: &effects)
                self.run(effects, session)
            }
        }
    }

    // MARK: - From the disk

    func load(_ loaded: LoadedSession) {
        let state = loaded.state
        let window = OutboundWindow<ApplicationMessage>(
            entriesMax: self.settings.windowMax, isDurable: true, after: loaded.found?.bounds.last ?? 0, sent: loaded.sentSeq,
            isSentCertain: state.endedMilliseconds != 0, acknowledged: (loaded.found?.bounds.first).map { $0 - 1 } ?? 0)
        var machine = Session(
            clientID: loaded.record.clientID, limits: self.settings.session, expirySeconds: state.expirySeconds, will: state.will, outbound: window)
        for (packetID, message) in loaded.held { machine.restore(packetID, message) }
        let session = BrokerSession(
            key: loaded.key, number: loaded.record.number, owner: state.owner, name: state.name, role: state.role, machine: machine,
            cursor: loaded.cursor)
        session.rights = self.rights(state.owner, name: state.name, role: state.role, clientID: loaded.record.clientID, nil)
        // A connection that was there when the power went has ended now.
        session.ended = state.endedMilliseconds == 0 ? self.now : state.endedMilliseconds
        if let will = state.will {
            session.willDue = session.ended + UInt64(min(will.delaySeconds, state.expirySeconds)) * 1000
            self.dying.insert(session)
        }
        session.cids = loaded.cids
        if let old = self.sessions[ClientKey(loaded.record.clientID)] {
            // Its end never reached the disk; the one with the higher number is the client's.
            old.willDue = nil
            self.end(old)
        }
        _ = self.broker.counts.enter(session.owner)
        self.add(session)
        for (subscription, interest) in loaded.subscriptions { self.insert(subscription, interest, session) }
        self.dropSystem(session)
    }
}

/// A durable session as it was found at the start.
struct LoadedSession: Sendable {
    var key: UInt64
    var record: BrokerSessionRecord
    var state: SessionState
    var found: QueueFound?
    /// Rows up to here were sent. How far a connection that was there when the power went had got is not known: as many of the first rows may have
    /// been as can be in flight or acknowledged and not removed.
    let sentSeq: UInt64
    let cursor: QueueCursor
    var subscriptions: [(ClientSubscription, ChatInterest?)]
    var held: [(UInt16, ApplicationMessage)]
    var cids: [UInt16: String]

    init(key: UInt64, record: BrokerSessionRecord, state: SessionState, found: QueueFound?) {
        (self.key, self.record, self.state, self.found) = (key, record, state, found)
        self.sentSeq = state.endedMilliseconds == 0 ? found?.begunSeq ?? 0 : min(state.sentSeq, found?.bounds.last ?? 0)
        self.cursor = QueueCursor(after: self.sentSeq)
        (self.subscriptions, self.held, self.cids) = ([], [], [:])
    }
}

extension SessionEnd {
    var mqttReason: MQTTReason {
        switch self {
        case .revoked, .locked: .notAuthorized
        case .replaced: .sessionTakenOver
        case .shutdown: .serverShuttingDown
        case .slow: .quotaExceeded
        }
    }
}
