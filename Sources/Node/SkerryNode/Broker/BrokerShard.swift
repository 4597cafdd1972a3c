import DequeModule
import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Store
import TopicRouting

/// One shard's part of the broker: the sessions whose home it is, their subscriptions, and the way of a message to them.
///
/// Confined to its shard. Work that arrives while other work is running (a store that answers at once) waits its turn in `perform`, so
/// nothing here is ever entered twice.
package final class BrokerShard {
    let broker: MQTTBroker
    let shard: Shard
    /// As in force for the whole box, at hand without a lock.
    var settings: BrokerSettings
    var sessions: [ClientKey: BrokerSession] = [:]
    var byKey: [UInt64: BrokerSession] = [:]
    var byLink: [UInt64: BrokerSession] = [:]
    /// `sessions` in the order of lists.
    var index = SessionIndex()
    /// What was counted since the last flush.
    var figures = ShardFigures()
    let tree = SubscriptionTree<BrokerSession, ClientSubscription>()
    let groups = SharedGroups()
    /// The way to other boxes; nil while there is no federation.
    var otherBoxes: ShardCrossing?
    /// Who may publish and subscribe what.
    var access: TopicAccess
    /// Sessions with a subscription to the chat, by user.
    var chatSessions: [UserID: [BrokerSession]] = [:]
    /// Sessions whose connection is gone and whose will is not published yet.
    var dying: Set<BrokerSession> = []
    /// Retained messages on their way to the disk; an empty payload clears.
    var pendingRetained: [TopicName: (publication: UInt64, message: ApplicationMessage)] = [:]

    /// Sessions that are owed retained messages.
    var awaiting: Set<BrokerSession> = []
    /// Sessions with a write that found the disk full.
    var unwritten: Set<BrokerSession> = []

    private var isRunning = false
    private var later = Deque<() -> Void>()
    private var touched: [BrokerSession] = []
    private var isFlushScheduled = false
    /// Messages for the other shards, gathered over one piece of work.
    var outgoing: [[Publication]]
    var matches = SubscriptionMatches<BrokerSession, ClientSubscription>()
    var pass: UInt64 = 0
    /// Receivers without a row that had no room for the message that is being routed.
    var refusals = 0
    /// What waits in memory alone, of this shard, and is not in the statistics yet.
    var windowBytes = 0
    /// Rows of queues that were acknowledged since the last flush.
    var acknowledged: [UInt64: (session: BrokerSession, seqs: [UInt64], byteCount: Int)] = [:]
    /// Bytes for connections on other loops.
    private var crossing: [(MQTTLink, ByteBuffer)] = []
    var ticks = 0

    init(broker: MQTTBroker, shard: Shard, access: TopicAccess) {
        self.access = access
        self.broker = broker
        self.shard = shard
        self.settings = broker.settings
        self.outgoing = Array(repeating: [], count: broker.node.shards.count)
    }

    var node: Node { self.broker.node }
    var metrics: NodeMetrics { self.broker.node.metrics }
    var now: UInt64 { self.broker.clock.now() }

    /// Runs `work` now, or after what is running.
    func perform(_ work: @escaping () -> Void) {
        if self.isRunning {
            self.later.append(work)
            return
        }
        self.isRunning = true
        work()
        while true {
            self.sendOutgoing()
            guard let next = self.later.popFirst() else { break }
            next()
        }
        self.isRunning = false
    }

    private func sendOutgoing() {
        for index in self.outgoing.indices where !self.outgoing[index].isEmpty {
            let publications = self.outgoing[index]
            self.outgoing[index] = []
            self.node.shards[index].enter { shard in
                shard.mqtt?.perform { [mqtt = shard.mqtt] in for publication in publications { mqtt?.route(publication) } }
            }
        }
    }

    // MARK: - Packets

    func receive(_ packets: [MQTTPacket], _ link: MQTTLink) {
        self.perform {
            guard let session = self.byLink[link.id] else { return link.settle(packets.count) }
            let now = self.now
            self.figures.packetsIn += packets.count
            for packet in packets {
                var effects: [SessionEffect] = []
                if case .publish(let publish) = packet { self.figures.received(publish, session) }
                session.machine.receive(packet, now: now, effects: &effects)
                if self.run(effects, session) == 0 { link.settle(1) }
                // A PUBREL that nothing is known of ends the exchange all the same: the box was started again since its PUBREC.
                if case .pubrel(let ack) = packet, effects.isEmpty, !session.machine.inbound.isOpen(ack.packetID) { self.forgetCID(ack.packetID, session) }
            }
            self.touch(session)
        }
    }

    /// Does what the machine asks for. Returns how many answers to its client are still to come.
    @discardableResult
    func run(_ effects: [SessionEffect], _ session: BrokerSession) -> Int {
        var owed = 0
        for effect in effects {
            switch effect {
            case .publish(let message, let exchange):
                owed += 1
                self.publish(message, session, exchange)
            case .hold(let message, let exchange):
                owed += 1
                self.hold(message, session, exchange)
            case .forward(let message, let exchange):
                owed += 1
                self.forward(message, session, exchange)
            case .subscribe(let packet):
                owed += 1
                self.subscribe(packet, session)
            case .unsubscribe(let packet):
                owed += 1
                self.unsubscribe(packet, session)
            case .authenticate(let data, let isFirst): self.authenticate(data, isFirst: isFirst, session)
            case .finished(let seq, let byteCount):
                var entry = self.acknowledged[session.key] ?? (session, [], 0)
                entry.seqs.append(seq)
                entry.byteCount += byteCount
                self.acknowledged[session.key] = entry
            case .release(let seq): self.release(seq, session)
            case .dropped(let count): self.metrics.add(.mqttDropped, count)
            case .close(let reason): self.closed(session, reason)
            }
        }
        return owed
    }

    /// The answer to a client's packet is known.
    func answered(_ key: UInt64, _ exchange: PublishExchange, _ answer: AckAnswer) {
        guard let session = self.byKey[key] else { return }
        var effects: [SessionEffect] = []
        session.machine.resolve(exchange.ticket, answer, effects: &effects)
        self.run(effects, session)
        self.touch(session)
    }

    // MARK: - Flush: once a tick, over the sessions that were touched

    func touch(_ session: BrokerSession) {
        if !session.isTouched {
            session.isTouched = true
            self.touched.append(session)
        }
        self.scheduleFlush()
    }

    func scheduleFlush() {
        if self.isFlushScheduled { return }
        self.isFlushScheduled = true
        let shard = self.shard
        shard.loop.execute { shard.assumeIsolated { $0.mqtt?.flush() } }
    }

    private func flush() {
        self.isFlushScheduled = false
        self.perform {
            let sessions = self.touched
            self.touched.removeAll(keepingCapacity: true)
            for session in sessions {
                session.isTouched = false
                self.settle(session)
                self.count(session)
            }
            self.tellWindowBytes()
            self.removeAcknowledged()
            self.sendCrossing()
            self.figures.flush(into: self.metrics)
        }
    }

    /// Counts what waits for a client in memory alone.
    func count(_ session: BrokerSession) {
        if session.isDurable { return }
        let byteCount = session.isEnded ? 0 : session.machine.outbound.byteCount
        self.windowBytes += byteCount - session.countedBytes
        session.countedBytes = byteCount
    }

    private func tellWindowBytes() {
        if self.windowBytes == 0 { return }
        self.broker.statistics.add(.windowBytes, self.windowBytes)
        self.windowBytes = 0
    }

    /// Bytes that may still be given to the connection.
    func room(_ session: BrokerSession) -> Int {
        guard let link = session.link else { return 0 }
        return self.settings.outboxBytesMax - link.waitingBytes - session.machine.output.readableBytes
    }

    /// Sends what may be sent, asks for what is missing, and hands the bytes over.
    private func settle(_ session: BrokerSession) {
        guard let link = session.link, !session.isAccepting else { return }
        var effects: [SessionEffect] = []
        session.machine.pump(now: self.now, room: self.room(session), mayRead: self.readCheck(session), claim: session.claim, effects: &effects)
        self.figures.collect(session)
        self.run(effects, session)
        guard session.link === link else { return }
        self.send(session.machine.takeOutput(), to: link)
        if self.room(session) <= 0 {
            session.slowSince = session.slowSince ?? self.now
            link.askForRoom()
        } else {
            session.slowSince = nil
        }
        // Messages stop at the outbox's limit; beyond it are only answers to a client that asks on and on and does not read.
        if link.waitingBytes > 2 * max(self.settings.outboxBytesMax, self.settings.packetBytesMax) { link.stopReading() } else { link.goOnReading() }
        if session.rowWrites == 0, session.machine.wantsPage() { self.readPage(session) }
        self.readRetained(session)
    }

    /// The connection has room again.
    func hasRoom(_ link: MQTTLink) {
        self.perform {
            guard let session = self.byLink[link.id] else { return }
            self.touch(session)
        }
    }

    private func send(_ bytes: ByteBuffer, to link: MQTTLink) {
        guard bytes.readableBytes > 0 else { return }
        if link.loop === self.shard.loop { return link.send(bytes) }
        link.reserve(bytes)
        self.crossing.append((link, bytes))
    }

    private func sendCrossing() {
        guard !self.crossing.isEmpty else { return }
        var byLoop: [ObjectIdentifier: (any EventLoop, [(MQTTLink, ByteBuffer)])] = [:]
        for (link, bytes) in self.crossing { byLoop[ObjectIdentifier(link.loop), default: (link.loop, [])].1.append((link, bytes)) }
        self.crossing.removeAll(keepingCapacity: true)
        for (loop, batch) in byLoop.values {
            loop.execute { for (link, bytes) in batch { link.sendReserved(bytes) } }
        }
    }

    /// Bytes that wait for the crossing have to be there before the connection is closed.
    func close(_ link: MQTTLink, sending bytes: ByteBuffer) {
        self.sendCrossing()
        link.send(bytes, thenClose: true)
    }

    // MARK: - Queue rows

    private func removeAcknowledged() {
        if self.acknowledged.isEmpty { return }
        let batch = Array(self.acknowledged.values)
        self.acknowledged.removeAll(keepingCapacity: true)
        for entry in batch { entry.session.rowWrites += 1 }
        let rows = batch.map { (number: $0.session.number, seqs: $0.seqs, byteCount: $0.byteCount) }
        let (keys, queue, shard) = (batch.map(\.session.key), self.broker.queue, self.shard)
        self.broker.writes.rows(loop: shard.loop) { store in
            for row in rows { try queue.remove(session: row.number, seqs: row.seqs, byteCount: row.byteCount, store) }
        } completion: { result in
            shard.assumeIsolated { $0.mqtt?.rowsWritten(keys, rows, result) }
        }
    }

    private func rowsWritten(_ keys: [UInt64], _ rows: [(number: Int32, seqs: [UInt64], byteCount: Int)], _ result: Result<Void, SkerryError>) {
        self.perform {
            for (key, row) in zip(keys, rows) {
                guard let session = self.byKey[key] else { continue }
                session.rowWrites -= 1
                if self.isToRetry(result, session) {
                    session.unremoved.seqs.formUnion(row.seqs)
                    session.unremoved.byteCount += row.byteCount
                }
                if session.rowWrites == 0 && session.machine.outbound.isBehind { self.touch(session) }
            }
        }
    }

    /// Notes that a receiver took a QoS 2 message; PUBREL goes out after it, so a restart cannot send the message again.
    private func release(_ seq: UInt64, _ session: BrokerSession) {
        session.rowWrites += 1
        let (number, key, shard) = (session.number, session.key, self.shard)
        self.broker.writes.rows(loop: shard.loop) { store in
            try store.releaseQueue(session: number, seq: seq, flags: QueueFlags.releasedFlags(isRetained: false))
        } completion: { result in
            shard.assumeIsolated { $0.mqtt?.released(seq, key, result) }
        }
    }

    private func released(_ seq: UInt64, _ key: UInt64, _ result: Result<Void, SkerryError>) {
        self.perform {
            guard let session = self.byKey[key] else { return }
            session.rowWrites -= 1
            if case .success = result { session.machine.released(seq) }
            if self.isToRetry(result, session) { session.unreleased.append(seq) }
            self.touch(session)
        }
    }

    /// Whether a write of the session found the disk full and is to be tried again; any other failure is final.
    func isToRetry(_ result: Result<Void, SkerryError>, _ session: BrokerSession) -> Bool {
        guard case .failure(let error) = result, error.isOfFullDisk, !session.isEnded else { return false }
        self.unwritten.insert(session)
        return true
    }

    /// Once a second: what the disk had no room for.
    func retryWrites() {
        let sessions = self.unwritten
        self.unwritten.removeAll()
        for session in sessions where !session.isEnded {
            if session.isUnsaved {
                session.isUnsaved = false
                self.save(session)
            }
            let unsavedCIDs = session.unsavedCIDs
            session.unsavedCIDs = []
            for packetID in unsavedCIDs { self.saveCID(packetID, session) }
            let filters = session.unremovedFilters
            session.unremovedFilters = []
            self.removeFilters(filters, session)
            let (unreleased, unremoved) = (session.unreleased, session.unremoved)
            session.unreleased = []
            for seq in unreleased { self.release(seq, session) }
            guard !unremoved.seqs.isEmpty else { continue }
            session.unremoved = ([], 0)
            var entry = self.acknowledged[session.key] ?? (session, [], 0)
            entry.seqs += unremoved.seqs
            entry.byteCount += unremoved.byteCount
            self.acknowledged[session.key] = entry
            // A page that is being read may still hold them.
            session.pageRequest += 1
            session.machine.pageFailed()
            self.scheduleFlush()
        }
    }

    private static let pageBytesMax = 256 * 1024

    private func readPage(_ session: BrokerSession) {
        session.pageRequest += 1
        let window = session.machine.outbound
        let limit = max(1, window.entriesMax - window.entries.count)
        let (number, key, request, shard, after, end) = (
            session.number, session.key, session.pageRequest, self.shard, window.windowEnd, window.lastSeq
        )
        self.node.store.read { store in
            try store.queueEntries(of: number, after: after, limit: limit, bytes: Self.pageBytesMax)
        } completion: { result in
            shard.enter { $0.mqtt?.pageRead(key, request, result, end: end) }
        }
    }

    private func pageRead(_ key: UInt64, _ request: UInt64, _ result: Result<[QueueEntry], any Error>, end: UInt64) {
        self.perform {
            guard let session = self.byKey[key], session.pageRequest == request, session.machine.isConnected else { return }
            guard case .success(let rows) = result else {
                session.machine.pageFailed()
                return
            }
            var entries: [OutboundEntry<ApplicationMessage>] = []
            var unreadable: [UInt64] = []
            for row in rows where !session.unremoved.seqs.contains(row.seq) {
                if let entry = Self.entry(row) { entries.append(entry) } else { unreadable.append(row.seq) }
            }
            if !unreadable.isEmpty {
                self.metrics.add(.mqttDropped, unreadable.count)
                var entry = self.acknowledged[key] ?? (session, [], 0)
                entry.seqs += unreadable
                self.acknowledged[key] = entry
            }
            // A page ends where its bytes or rows are used up, which cannot be seen from outside: only an empty one says that nothing is left.
            session.machine.load(entries, through: rows.last?.seq ?? end)
            self.touch(session)
        }
    }

    /// Nil: the row cannot be read, or its message is gone.
    static func entry(_ row: QueueEntry) -> OutboundEntry<ApplicationMessage>? {
        let qos = row.flags & 3
        let isReleased = row.flags & QueueFlags.released != 0
        var message: ApplicationMessage?
        if case .inline(let body) = row.body { message = MessageCodec.decode(body) }
        guard isReleased || message != nil, qos == 1 || qos == 2 else { return nil }
        return OutboundEntry(
            seq: row.seq, message: isReleased ? nil : message, qos: qos, isRetained: row.flags & 4 != 0, subscriptionIDs: QueueFlags.ids(row),
            byteCount: QueueWriter.byteCount(of: row), share: QueueFlags.share(row), state: isReleased ? .released : .waiting)
    }

    // MARK: - News from the writer

    func hear(_ event: BrokerEvent) {
        self.perform {
            switch event.kind {
            case .queued(let message, let rows):
                for row in rows where row.target.shard == self.shard.index { self.queued(message, row) }
            case .dropped(let drops):
                for drop in drops where drop.shard == self.shard.index {
                    guard let session = self.byKey[drop.key] else { continue }
                    session.machine.dropped(through: drop.through)
                    if session.link != nil { self.touch(session) }
                }
            case .kept(let drops):
                for drop in drops where drop.shard == self.shard.index { if let session = self.byKey[drop.key] { self.touch(session) } }
            case .retained(let topic, let publication):
                if self.pendingRetained[topic]?.publication == publication { self.pendingRetained[topic] = nil }
            case .answer(let user, let payload): self.deliverAnswer(user, payload)
            case .shared(let message, let member, let filter, let tried):
                if member.shard == self.shard.index { self.deliverShared(message, member, filter, tried) }
            }
        }
    }

    private func queued(_ message: ApplicationMessage, _ row: QueuedRow) {
        guard let session = self.byKey[row.target.key] else { return }
        let delivery = row.target.delivery
        session.machine.take(
            OutboundEntry(
                seq: row.seq, message: message, qos: delivery.qos.rawValue, isRetained: delivery.isRetained, subscriptionIDs: delivery.subscriptionIDs,
                byteCount: delivery.byteCount(of: message), share: delivery.share))
        if session.link != nil { self.touch(session) }
    }
}
