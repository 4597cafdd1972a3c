package import NIOCore
package import Replication
package import SkerryModel
package import SkerryNode
import MQTTCodec
import Synchronization
import TopicRouting

/// Ordinary MQTT topics across boxes (FEDERATION.md §2.8): what is published here is heard by subscribers there, by interest.
///
/// Each box tells the others which filters its clients subscribe to; the publisher's box sends a message to those boxes and no other, and what comes
/// from a box is given to this box's clients and never sent on: so there is no way round in a circle, whatever the links look like.
///
/// An actor whose executor is an event loop, so that shards, links and timers are heard in order without a lock around a decision.
package actor TopicsFeature: FederationFeature {
    package nonisolated let loop: any EventLoop
    package nonisolated let unownedExecutor: UnownedSerialExecutor
    private nonisolated let broker: MQTTBroker
    private nonisolated let limits: TopicLimits
    private nonisolated let unsorted = Mutex(Unsorted())

    private var policy: TopicCrossing
    private var links: (any FederationLinks)?
    private var isJoined = false
    private let run: UInt64
    private var number: UInt64 = 0
    private var interest = InterestSet()
    private var interestVersion: UInt64 = 0
    private var toldAt: UInt64?
    private var exactAt: UInt64 = 0
    private var peers: [BoxID: Peer] = [:]

    /// Another box.
    private struct Peer {
        var outbox: TopicOutbox
        var inbox: TopicInbox
        /// The last word of what its clients want.
        var interest: (run: UInt64, version: UInt64)?
        /// QoS 0 for the frame that is being gathered.
        var live: [[UInt8]] = []
        var liveBytes = 0

        mutating func clearLive() { (self.live, self.liveBytes) = ([], 0) }
    }

    /// What came from other threads since the loop looked last.
    private struct Unsorted {
        var publications: [(message: CrossingMessage, boxes: [BoxID])] = []
        var byteCount = 0
        var subscriptions: [TopicFilter: Int] = [:]
        var finished: [Finished] = []
        var isScheduled = false
    }

    private enum Finished {
        case kept(BoxID, run: UInt64, number: UInt64, isTaken: Bool)
        case live(BoxID, byteCount: Int)
    }

    /// - Parameters:
    ///   - allowed: only topics that one of these matches cross; nil: all.
    ///   - denied: topics that one of these matches do not cross, whatever `allowed` says.
    ///   - loop: where all of it runs; nil: a shard's.
    package init(
        broker: MQTTBroker, allowed: [TopicFilter]? = nil, denied: [TopicFilter] = [], limits: TopicLimits = TopicLimits(), loop: (any EventLoop)? = nil
    ) {
        self.broker = broker
        self.policy = TopicCrossing(allowed: allowed, denied: denied)
        self.limits = limits
        let loop = loop ?? broker.node.shards[0].loop
        self.loop = loop
        self.unownedExecutor = loop.executor.asUnownedSerialExecutor()
        self.run = broker.node.random.next()
    }

    private nonisolated var metrics: NodeMetrics { self.broker.node.metrics }
    private nonisolated var now: UInt64 { self.broker.node.clock.monotonic() }

    /// Runs `body` on the loop, after everything entered before it.
    private nonisolated func enter(_ body: @escaping @Sendable (isolated TopicsFeature) -> Void) {
        self.loop.execute { self.assumeIsolated(body) }
    }

    // MARK: - From the service

    package nonisolated var channels: Set<LinkChannel> { [.topic, .topicAcknowledged, .interest] }
    package nonisolated func start(_ links: any FederationLinks) { self.enter { $0.links = links } }
    package nonisolated func joined(_ federation: FederationID) { self.enter { $0.join() } }
    package nonisolated func linkUp(_ box: BoxID) { self.enter { $0.up(box) } }
    package nonisolated func linkDown(_ box: BoxID) { self.enter { $0.down(box) } }
    package nonisolated func received(_ message: LinkMessage, from box: BoxID) { self.enter { $0.hear(message, from: box) } }
    package nonisolated func tick(now monotonic: UInt64) { self.enter { $0.tick() } }

    /// Other lists from now on.
    package nonisolated func reload(allowed: [TopicFilter]?, denied: [TopicFilter]) {
        let policy = TopicCrossing(allowed: allowed, denied: denied)
        self.enter { feature in
            feature.policy = policy
            feature.broker.change(policy)
        }
    }

    /// Nothing crosses any more.
    package nonisolated func stop() {
        self.broker.detachTap()
        self.enter { ($0.isJoined, $0.links, $0.peers) = (false, nil, [:]) }
    }

    private func join() {
        guard !self.isJoined else { return }
        self.isJoined = true
        self.broker.attach(self, self.policy)
    }

    // MARK: - Links

    private func up(_ box: BoxID) {
        self.join()
        guard self.peers[box] != nil || self.peers.count < self.limits.boxesMax else { return self.metrics.add(.federationTopicsRefused) }
        let now = self.now
        self.peers[box, default: Peer(outbox: TopicOutbox(self.limits), inbox: TopicInbox(self.limits))].outbox.linkUp(now: now)
        self.peers[box]?.inbox.linkUp()
        // The whole of it, because the box may have forgotten what it knew.
        if self.interestVersion > 0 { self.tell(box) }
        self.flush(box)
    }

    private func down(_ box: BoxID) {
        let now = self.now
        self.peers[box]?.outbox.linkDown(now: now)
        self.peers[box]?.clearLive()
    }

    /// It stays away: nothing waits for it any more.
    private func forget(_ box: BoxID) {
        guard let peer = self.peers.removeValue(forKey: box) else { return }
        self.metrics.add(.federationTopicsDropped, peer.outbox.count)
        self.broker.wants(box, [])
    }

    private func tick() {
        let now = self.now
        for box in Array(self.peers.keys) {
            if self.peers[box]?.outbox.isForgotten(now: now) ?? false {
                self.forget(box)
                continue
            }
            let isFree = self.peers[box]?.outbox.tick(now: now) ?? false
            if isFree { self.flush(box) }
            self.tellHeard(box, isTick: true)
        }
        self.tellInterest()
    }

    // MARK: - From this box's clients

    /// Sorts what other threads left, once for all of it.
    private func sort() {
        let work = self.unsorted.withLock { unsorted in
            defer { unsorted = Unsorted() }
            return unsorted
        }
        for (filter, change) in work.subscriptions { self.interest.change(filter, by: change) }
        for finished in work.finished { self.finish(finished) }
        for (message, boxes) in work.publications { self.send(message, to: boxes) }
        for box in Array(self.peers.keys) { self.flush(box) }
        if !work.subscriptions.isEmpty { self.tellInterest() }
    }

    private nonisolated func leave(_ change: (inout Unsorted) -> Void) {
        let starts = self.unsorted.withLock { unsorted in
            change(&unsorted)
            defer { unsorted.isScheduled = true }
            return !unsorted.isScheduled
        }
        if starts { self.enter { $0.sort() } }
    }

    private func send(_ message: CrossingMessage, to boxes: [BoxID]) {
        self.number += 1
        let envelope = TopicEnvelope(message, number: self.number)
        let bytes = envelope.bytes
        guard bytes.count <= TopicFrame.messageBytesMax else { return self.metrics.add(.federationTopicsTooLarge) }
        let now = self.now
        for box in boxes {
            if envelope.qos == 0 {
                self.sendLive(bytes, to: box)
            } else if self.peers[box]?.outbox.add(envelope, bytes, now: now) != true {
                self.metrics.add(.federationTopicsQueueFull)
            }
        }
    }

    private func sendLive(_ bytes: [UInt8], to box: BoxID) {
        guard self.peers[box]?.outbox.mayGo(bytes.count) == true else { return self.metrics.add(.federationTopicsDropped) }
        if let peer = self.peers[box], peer.live.count == TopicFrame.messagesMax || peer.liveBytes + bytes.count > TopicFrame.bytesMax { self.flushLive(box) }
        self.peers[box]?.live.append(bytes)
        self.peers[box]?.liveBytes += bytes.count
    }

    // MARK: - Out

    private func flush(_ box: BoxID) {
        self.flushLive(box)
        let now = self.now
        while let next = self.peers[box]?.outbox.next(now: now, following: self.number + 1) {
            let taken = self.peers[box]?.inbox.takeAnswers() ?? []
            self.send(.topicAcknowledged, next.messages, taken: taken, oldest: next.oldest, to: box)
        }
        guard let taken = self.peers[box]?.inbox.takeAnswers(), let oldest = self.peers[box]?.outbox.oldest(following: self.number + 1) else { return }
        self.send(.topicAcknowledged, [], taken: taken, oldest: oldest, to: box)
    }

    private func flushLive(_ box: BoxID) {
        guard let peer = self.peers[box], !peer.live.isEmpty else { return }
        self.peers[box]?.clearLive()
        self.metrics.add(.federationTopicsOut, peer.live.count)
        let frame = TopicFrame(run: self.run, sent: peer.outbox.liveSent)
        self.links?.send(.topic, frame.payload(peer.live), to: box)
    }

    private func send(_ channel: LinkChannel, _ messages: [[UInt8]], taken: [TopicFrame.Taken], oldest: UInt64, to box: BoxID) {
        self.metrics.add(.federationTopicsOut, messages.count)
        // Answers are short and few; what does not fit beside the messages goes alone.
        var (rest, isFirst) = (taken[...], true)
        repeat {
            let part = rest.prefix(isFirst && !messages.isEmpty ? Self.takenBeside : TopicFrame.takenMax)
            rest = rest.dropFirst(part.count)
            let frame = TopicFrame(run: self.run, taken: Array(part), oldest: oldest)
            self.links?.send(channel, frame.payload(isFirst ? messages : []), to: box)
            isFirst = false
        } while !rest.isEmpty
    }

    /// Stretches that always fit beside a message of the largest size.
    private static let takenBeside = 4

    private func tellHeard(_ box: BoxID, isTick: Bool) {
        guard let heard = self.peers[box]?.inbox.takeHeard(isTick: isTick) else { return }
        self.links?.send(.topic, TopicFrame(run: self.run, heard: heard).payload, to: box)
    }

    // MARK: - Interest

    private static let tellMilliseconds: UInt64 = 1_000
    private static let exactMilliseconds: UInt64 = 30_000

    /// Tells all boxes what this one's clients want when that changed, once a second at most.
    private func tellInterest() {
        let now = self.now
        if let toldAt = self.toldAt, now < toldAt + Self.tellMilliseconds { return }
        let isExact = now >= self.exactAt + Self.exactMilliseconds
        guard self.interest.announcement(isExact: isExact) != nil else { return }
        if isExact { self.exactAt = now }
        if self.interest.isCoalesced { self.metrics.add(.federationInterestCoalesced) }
        self.toldAt = now
        self.interestVersion += 1
        self.tell(nil)
    }

    private func tell(_ box: BoxID?) {
        let denied = self.policy.denied
        let filters = self.interest.current.filter { filter in !denied.contains { InterestSet.covers([$0], filter) } }
        self.links?.send(.interest, TopicInterest(run: self.run, version: self.interestVersion, filters: filters).payload, to: box)
    }

    private func heard(_ interest: TopicInterest, from box: BoxID) {
        if let known = self.peers[box]?.interest, known.run == interest.run, known.version > interest.version { return }
        guard self.peers[box] != nil else { return }
        self.peers[box]?.interest = (interest.run, interest.version)
        self.broker.wants(box, Set(interest.filters.filter { TopicCrossing.isOrdinary($0) }))
    }

    // MARK: - From other boxes

    private func hear(_ message: LinkMessage, from box: BoxID) {
        guard self.peers[box] != nil else { return self.metrics.add(.federationTopicsRefused) }
        do {
            if message.channel == .interest { return self.heard(try TopicInterest(decoding: message.payload), from: box) }
            let frame = try TopicFrame(decoding: message.payload)
            message.channel == .topic ? self.hearLive(frame, from: box) : self.hearKept(frame, from: box)
        } catch {
            self.metrics.add(.federationTopicsRefused)
        }
    }

    private func hearLive(_ frame: TopicFrame, from box: BoxID) {
        if let sum = frame.heard { self.peers[box]?.outbox.heard(sum, now: self.now) }
        if let sum = frame.sent { self.peers[box]?.inbox.sent(sum) }
        for envelope in frame.messages {
            guard let crossing = CrossingMessage(envelope), self.policy.lets(crossing.topic) else {
                self.metrics.add(.federationTopicsRefused)
                continue
            }
            let byteCount = crossing.byteCount
            guard self.peers[box]?.inbox.mayArrive(byteCount) == true else {
                self.metrics.add(.federationTopicsDropped)
                continue
            }
            self.metrics.add(.federationTopicsIn)
            self.broker.deliver(crossing, from: box) { _ in self.leave { $0.finished.append(.live(box, byteCount: byteCount)) } }
        }
        self.tellHeard(box, isTick: false)
    }

    private func hearKept(_ frame: TopicFrame, from box: BoxID) {
        let now = self.now
        for taken in frame.taken where taken.run == self.run { self.peers[box]?.outbox.taken(taken.first, taken.count, now: now) }
        self.peers[box]?.inbox.begin(run: frame.run, oldest: frame.oldest)
        for envelope in frame.messages { self.take(envelope, run: frame.run, from: box) }
        self.flush(box)
    }

    private func take(_ envelope: TopicEnvelope, run: UInt64, from box: BoxID) {
        let number = envelope.number
        switch self.peers[box]?.inbox.admit(number, byteCount: envelope.payload.count + envelope.topic.utf8.count) {
        case .new: break
        case .repeated: return self.metrics.add(.federationTopicsRepeated)
        case .underWay, nil: return
        case .full: return self.metrics.add(.federationTopicsRefused)
        }
        guard let crossing = CrossingMessage(envelope), self.policy.lets(crossing.topic) else {
            self.metrics.add(.federationTopicsRefused)
            // Sending it again would not make it better.
            self.peers[box]?.inbox.finish(run: run, number, isTaken: true)
            return
        }
        self.metrics.add(.federationTopicsIn)
        self.broker.deliver(crossing, from: box) { error in
            self.leave { $0.finished.append(.kept(box, run: run, number: number, isTaken: error == nil)) }
        }
    }

    private func finish(_ finished: Finished) {
        switch finished {
        case .kept(let box, let run, let number, let isTaken): self.peers[box]?.inbox.finish(run: run, number, isTaken: isTaken)
        case .live(let box, let byteCount): self.peers[box]?.inbox.arrived(byteCount)
        }
    }
}

extension TopicsFeature: PublicationTap {
    package nonisolated func published(_ message: CrossingMessage, for boxes: [BoxID]) {
        let byteCount = message.byteCount
        self.leave { unsorted in
            guard unsorted.publications.count < self.limits.unsortedMax, unsorted.byteCount + byteCount <= self.limits.unsortedBytesMax else {
                return self.metrics.add(message.qos == .atMostOnce ? .federationTopicsDropped : .federationTopicsQueueFull, boxes.count)
            }
            unsorted.publications.append((message, boxes))
            unsorted.byteCount += byteCount
        }
    }

    package nonisolated func subscribed(_ filter: TopicFilter, _ change: Int) {
        self.leave { unsorted in
            let new = (unsorted.subscriptions[filter] ?? 0) + change
            unsorted.subscriptions[filter] = new == 0 ? nil : new
        }
    }
}

extension TopicEnvelope {
    /// As it goes to other boxes.
    init(_ message: CrossingMessage, number: UInt64) {
        let properties = message.properties
        self.init(
            number: number, topic: message.topic.text, qos: message.qos.rawValue, isRetained: message.isRetained,
            expiresAtOnce: properties.messageExpiryInterval == 0, payload: Array(message.payload.readableBytesView),
            millisecondsLeft: message.millisecondsLeft.map { min($0, Self.millisecondsMax) }, payloadFormat: properties.payloadFormatIndicator,
            contentType: properties.contentType, responseTopic: properties.responseTopic,
            correlation: properties.correlationData.map { Array($0.readableBytesView) },
            userProperties: properties.userProperties.map { UserProperty($0.name, $0.value) }, user: message.user)
    }
}

extension CrossingMessage {
    /// As it came from another box; nil: it is no message of MQTT.
    init?(_ envelope: TopicEnvelope) {
        guard let topic = try? TopicName(envelope.topic), let qos = MQTTQoS(rawValue: envelope.qos) else { return nil }
        var properties = MQTTProperties.none
        if let response = envelope.responseTopic {
            guard (try? TopicName(response)) != nil else { return nil }
            properties.responseTopic = response
        }
        properties.payloadFormatIndicator = envelope.payloadFormat
        properties.contentType = envelope.contentType
        properties.correlationData = envelope.correlation.map { ByteBuffer(bytes: $0) }
        if envelope.expiresAtOnce { properties.messageExpiryInterval = 0 }
        for property in envelope.userProperties { properties.append(.userProperty, .pair(MQTTUserProperty(property.name, property.value))) }
        self.init(
            topic: topic, payload: ByteBuffer(bytes: envelope.payload), qos: qos, isRetained: envelope.isRetained,
            millisecondsLeft: envelope.millisecondsLeft ?? (envelope.expiresAtOnce ? 999 : nil), properties: properties, user: envelope.user)
    }
}
