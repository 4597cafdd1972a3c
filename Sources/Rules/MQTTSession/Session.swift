package import MQTTCodec
package import NIOCore
package import SkerryModel

/// What one MQTT client is owed and allowed, on one connection and across them: QoS exchanges, windows, aliases, will, keep-alive.
///
/// A machine: events and `now` in, effects and bytes out. Times are milliseconds of the broker's clock. Who may publish or subscribe what,
/// where messages go and what is on the disk is the business of whoever drives it.
package struct Session {
    /// What belongs to the connection and is forgotten with it.
    package struct Connection {
        package let terms: ConnectTerms
        package fileprivate(set) var keepAlive: KeepAlive
        fileprivate var inboundAliases: InboundAliases<TopicName>
        fileprivate var outboundAliases: OutboundAliases<TopicName>
        fileprivate var reauthentication = Reauthentication()
        /// The last packet to the client is in `output`; nothing is read or written any more.
        package fileprivate(set) var isClosing = false
    }

    package let clientID: String
    /// Of the connection that is there, or was there last.
    package private(set) var limits: SessionLimits
    package private(set) var connection: Connection?
    /// Seconds the session outlives its connection; 0 = it ends with it, `UInt32.max` = never.
    package private(set) var expirySeconds: UInt32
    package private(set) var will: Will?
    package var subscriptions: [TopicFilter: ClientSubscription] = [:]
    package private(set) var inbound = InboundExchange<ApplicationMessage, AckAnswer>()
    package private(set) var outbound: OutboundWindow<ApplicationMessage>
    /// Bytes for the client, in order.
    package private(set) var output = ByteBuffer()
    /// What `output` was given since `takeTally`.
    private var tally = SessionTally()

    /// A new session, from the CONNECT that makes it.
    package init(_ terms: ConnectTerms, limits: SessionLimits) {
        let isDurable = terms.expirySeconds > 0
        self.init(
            clientID: terms.clientID, limits: limits, expirySeconds: terms.expirySeconds, will: nil,
            outbound: OutboundWindow(entriesMax: isDurable ? limits.windowMax : limits.queuedMessagesMax, isDurable: isDurable))
    }

    /// A session as it was before a restart: nobody is connected.
    package init(
        clientID: String, limits: SessionLimits, expirySeconds: UInt32, will: Will?, outbound: OutboundWindow<ApplicationMessage>
    ) {
        self.clientID = clientID
        self.limits = limits
        self.expirySeconds = expirySeconds
        self.will = will
        self.outbound = outbound
    }

    /// Whether it outlives its connection and so is on the disk. Fixed for a session's life: what a client acknowledged must not depend on
    /// what it says last.
    package var isDurable: Bool { self.outbound.isDurable }
    package var isConnected: Bool { self.connection.map { !$0.isClosing } ?? false }
    package var version: MQTTVersion { self.connection?.terms.version ?? .v5 }

    package mutating func takeOutput() -> ByteBuffer {
        let output = self.output
        self.output = ByteBuffer()
        return output
    }

    /// How much was written for the client since the last time, for the figures.
    package mutating func takeTally() -> SessionTally {
        let tally = self.tally
        self.tally = SessionTally()
        return tally
    }

    /// Takes back a QoS 2 message that was half received before a restart.
    package mutating func restore(_ packetID: UInt16, _ message: ApplicationMessage) {
        self.inbound.restore(packetID, message, byteCount: message.byteCount)
    }

    // MARK: - Connection

    /// The client is there, on a new connection: CONNACK, then everything that is still owed [MQTT-4.4.0-1].
    ///
    /// - Parameter limits: what this connection is granted, when it is something else than the session was made with.
    package mutating func connect(
        _ terms: ConnectTerms, limits: SessionLimits? = nil, isPresent: Bool, now: UInt64, effects: inout [SessionEffect]
    ) {
        if let limits { self.limits = limits }
        self.connection = Connection(
            terms: terms, keepAlive: KeepAlive(seconds: terms.keepAliveSeconds, now: now),
            inboundAliases: InboundAliases(maximum: terms.version == .v5 ? UInt16(clamping: self.limits.topicAliasMax) : 0),
            outboundAliases: OutboundAliases(maximum: terms.topicAliasMaximum))
        self.expirySeconds = terms.expirySeconds
        self.will = terms.will
        self.output = ByteBuffer()
        self.write(.connack(terms.connack(isSessionPresent: isPresent, limits: self.limits)))
    }

    /// The box ends the connection: a version 5 client is told why, an earlier one just closed.
    ///
    /// - Parameter reference: where else to go (MQTT 5 §4.11).
    package mutating func close(_ reason: MQTTReason, _ text: String? = nil, reference: String? = nil, effects: inout [SessionEffect]) {
        guard let connection = self.connection, !connection.isClosing else { return }
        if connection.terms.version == .v5 {
            var disconnect = MQTTDisconnect(reason)
            disconnect.properties.reasonString = text
            disconnect.properties.serverReference = reference
            self.write(.disconnect(disconnect))
        }
        self.connection?.isClosing = true
        effects.append(.close(reason))
    }

    /// What becomes of the will once the connection has ended.
    package enum WillFate: Sendable {
        case none
        /// Publish it now.
        case now(Will)
        /// Publish it in so many seconds unless the client is back before, or when the session ends, whichever is first.
        case later(Will, seconds: UInt32)
    }

    /// The connection is gone, whoever ended it. A session without expiry has ended with it.
    package mutating func disconnected() -> WillFate {
        guard self.connection != nil else { return .none }
        self.connection = nil
        self.output = ByteBuffer()
        self.inbound.disconnected()
        self.outbound.disconnected()
        guard let will = self.will else { return .none }
        let seconds = min(will.delaySeconds, self.expirySeconds)
        if seconds > 0 { return .later(will, seconds: seconds) }
        self.will = nil
        return .now(will)
    }

    /// The will is published, or is not to be: the user may not publish any more.
    package mutating func forgetWill() { self.will = nil }

    /// Time passed. Closes a connection on which nothing was heard for one and a half keep-alives [MQTT-3.1.2-22].
    package mutating func tick(now: UInt64, effects: inout [SessionEffect]) {
        guard let connection = self.connection, !connection.isClosing else { return }
        if connection.keepAlive.isExpired(at: now) {
            self.close(.keepAliveTimeout, effects: &effects)
        } else if connection.reauthentication.isOverdue(at: now, seconds: self.limits.reauthenticationSecondsMax) {
            self.close(.notAuthorized, "The re-authentication took too long.", effects: &effects)
        }
    }

    /// Nothing of the client is read because the box is behind with what it has read: silence is not the client's.
    package mutating func notReading(_ now: UInt64) { self.connection?.keepAlive.heard(now) }

    // MARK: - From the client

    package mutating func receive(_ packet: MQTTPacket, now: UInt64, effects: inout [SessionEffect]) {
        guard self.isConnected else { return }
        self.connection?.keepAlive.heard(now)
        switch packet {
        case .publish(let publish): self.publish(publish, now, &effects)
        case .pubrel(let ack): self.pubrel(ack, &effects)
        case .puback(let ack): self.puback(ack, &effects)
        case .pubrec(let ack): self.pubrec(ack, &effects)
        case .pubcomp(let ack): self.pubcomp(ack, &effects)
        case .subscribe(let subscribe): effects.append(.subscribe(subscribe))
        case .unsubscribe(let unsubscribe): effects.append(.unsubscribe(unsubscribe))
        case .pingreq: self.write(.pingresp)
        case .disconnect(let disconnect): self.disconnect(disconnect, &effects)
        case .auth(let auth): self.auth(auth, now, &effects)
        case .connect, .connack, .suback, .unsuback, .pingresp:
            // The server MUST treat a second CONNECT as a protocol error [MQTT-3.1.0-2]; the others only servers send.
            self.close(.protocolError, effects: &effects)
        }
    }

    private mutating func publish(_ publish: MQTTPublish, _ now: UInt64, _ effects: inout [SessionEffect]) {
        let topic: TopicName
        do {
            guard let found = try self.connection?.inboundAliases.resolve(publish.topic, publish.properties.topicAlias) else { return }
            topic = found
        } catch {
            switch error {
            case .invalid: return self.close(.topicAliasInvalid, effects: &effects)
            case .unknown: return self.close(.protocolError, "The topic alias stands for no topic.", effects: &effects)
            }
        }
        guard topic.levelCount <= self.limits.levelsMax else {
            return self.close(.topicNameInvalid, "A topic has at most \(self.limits.levelsMax) levels.", effects: &effects)
        }
        let message = ApplicationMessage(publish, topic: topic, now: now)
        let isFormatWrong = !publish.payloadMatchesFormat
        switch publish.qos {
        case .atMostOnce:
            effects.append(isFormatWrong ? .dropped(1) : .publish(message, exchange: nil))
        case .atLeastOnce:
            guard self.hasReceiveRoom else { return self.close(.receiveMaximumExceeded, effects: &effects) }
            let ticket = self.inbound.publish1(publish.packetID)
            if isFormatWrong { return self.resolve(ticket, Self.formatInvalid, effects: &effects) }
            effects.append(
                .publish(message, exchange: PublishExchange(packetID: publish.packetID, ticket: ticket, isDuplicate: publish.isDuplicate)))
        case .exactlyOnce:
            // Before it has a place in the line: nobody would ever answer it there.
            guard self.inbound.isOpen(publish.packetID) || (self.hasReceiveRoom && !self.holdsTooMuch) else {
                return self.close(.receiveMaximumExceeded, effects: &effects)
            }
            switch self.inbound.publish2(publish.packetID, message, byteCount: message.byteCount) {
            case .underWay: break
            case .again(let ticket): self.resolve(ticket, .success, effects: &effects)
            case .hold(let ticket):
                if isFormatWrong { return self.resolve(ticket, Self.formatInvalid, effects: &effects) }
                effects.append(
                    .hold(message, exchange: PublishExchange(packetID: publish.packetID, ticket: ticket, isDuplicate: publish.isDuplicate)))
            }
        }
    }

    private static let formatInvalid = AckAnswer(.payloadFormatInvalid, text: "The payload is not the UTF-8 text it is said to be.")

    /// Only version 5 clients were told a maximum [MQTT-3.3.4-9]; earlier ones are slowed down by not reading.
    private var receiveMax: Int { self.version == .v5 ? self.limits.receiveMax : .max }
    private var hasReceiveRoom: Bool { self.inbound.openCount < self.receiveMax }
    /// What waits for PUBREL is kept here, so that it is bounded for clients as well that know no maximum, and over connections. Nobody is closed who
    /// keeps to the maximum.
    private var holdsTooMuch: Bool {
        self.inbound.heldCount >= self.limits.receiveMax && self.inbound.heldBytes > self.limits.queuedBytesMax
    }

    private mutating func pubrel(_ ack: MQTTAck, _ effects: inout [SessionEffect]) {
        switch self.inbound.pubrel(ack.packetID) {
        case .forward(let message, let ticket):
            effects.append(.forward(message, exchange: PublishExchange(packetID: ack.packetID, ticket: ticket, isDuplicate: false)))
        case .underWay: break
        case .unknown(let ticket): self.resolve(ticket, AckAnswer(.packetIdentifierNotFound), effects: &effects)
        }
    }

    private mutating func puback(_ ack: MQTTAck, _ effects: inout [SessionEffect]) {
        let before = self.outbound.byteCount
        self.acknowledged(self.outbound.puback(ack.packetID), before, &effects)
    }

    private mutating func pubcomp(_ ack: MQTTAck, _ effects: inout [SessionEffect]) {
        let before = self.outbound.byteCount
        self.acknowledged(self.outbound.pubcomp(ack.packetID), before, &effects)
    }

    private mutating func pubrec(_ ack: MQTTAck, _ effects: inout [SessionEffect]) {
        let before = self.outbound.byteCount
        let outcome = self.outbound.pubrec(ack.packetID, isFailure: ack.reason.isFailure)
        switch outcome {
        case .sendRelease: self.write(.pubrel(MQTTAck(ack.packetID)))
        case .unknown where !ack.reason.isFailure: self.write(.pubrel(MQTTAck(ack.packetID, .packetIdentifierNotFound)))
        case .finished, .release, .underWay, .unknown: self.acknowledged(outcome, before, &effects)
        }
    }

    private mutating func acknowledged(
        _ outcome: OutboundWindow<ApplicationMessage>.Acknowledgement, _ byteCountBefore: Int, _ effects: inout [SessionEffect]
    ) {
        switch outcome {
        case .finished(let seq):
            if self.isDurable { effects.append(.finished(seq, byteCount: byteCountBefore - self.outbound.byteCount)) }
        case .release(let seq): effects.append(.release(seq))
        case .sendRelease, .underWay, .unknown: break
        }
    }

    private mutating func disconnect(_ disconnect: MQTTDisconnect, _ effects: inout [SessionEffect]) {
        if let expiry = disconnect.properties.sessionExpiryInterval {
            // MQTT 5 §3.14.2.2.2: a session that was to end with its connection cannot be kept by its last packet.
            guard expiry == 0 || (self.connection?.terms.expirySeconds ?? 0) > 0 else { return self.close(.protocolError, effects: &effects) }
            self.expirySeconds = min(expiry, UInt32(clamping: self.limits.sessionSecondsMax))
        }
        if disconnect.reason == .normalDisconnection { self.will = nil }
        self.connection?.isClosing = true
        effects.append(.close(disconnect.reason))
    }

    // MARK: - Re-authentication

    private mutating func auth(_ auth: MQTTAuth, _ now: UInt64, _ effects: inout [SessionEffect]) {
        let method = self.connection?.terms.authenticationMethod
        switch self.connection?.reauthentication.heard(auth, method: method, now: now) {
        case .begin(let data): effects.append(.authenticate(data, isFirst: true))
        case .proceed(let data): effects.append(.authenticate(data, isFirst: false))
        case .wrong(let text): self.close(.protocolError, text, effects: &effects)
        case nil: break
        }
    }

    /// The client has more to prove: `data` is what the method asks it.
    package mutating func challenge(_ data: ByteBuffer?) {
        guard self.isConnected, self.connection?.reauthentication.asks() == true else { return }
        self.writeAuth(.continueAuthentication, data)
    }

    /// The client has proved anew who it is; `data` is the method's last word.
    package mutating func reauthenticated(_ data: ByteBuffer?) {
        guard self.isConnected, self.connection?.reauthentication.succeeded() == true else { return }
        self.writeAuth(.success, data)
    }

    private mutating func writeAuth(_ reason: MQTTReason, _ data: ByteBuffer?) {
        guard let terms = self.connection?.terms else { return }
        self.write(.auth(terms.auth(reason, data)))
    }

    // MARK: - Answers to the client

    /// The answer to a PUBLISH or PUBREL is known; it leaves when its turn comes [MQTT-4.6.0-2].
    package mutating func resolve(_ ticket: InboundTicket, _ answer: AckAnswer, effects: inout [SessionEffect]) {
        var ready: [(InboundAck, AckAnswer)] = []
        self.inbound.resolve(ticket, answer, isFailure: answer.reason.isFailure, into: &ready)
        guard self.isConnected else { return }
        for (ack, answer) in ready {
            if answer.isLost && (self.version != .v5 || ack.kind == .pubcomp) {
                // No acknowledgement of 3.1.1 can say "not stored", and no PUBCOMP at all; silence alone would leave the client waiting for ever.
                return self.close(answer.reason, effects: &effects)
            }
            self.write(ack, answer)
        }
    }

    private mutating func write(_ ack: InboundAck, _ answer: AckAnswer) {
        var packet = MQTTAck(ack.packetID, answer.reason)
        if self.connection?.terms.wantsProblemInformation == true {
            packet.properties.reasonString = answer.text
            if let code = answer.code { packet.properties.userProperties = [MQTTUserProperty("code", code)] }
        }
        switch ack.kind {
        case .puback: self.write(.puback(packet))
        case .pubrec:
            if packet.reason == .noMatchingSubscribers { packet.reason = .success }
            self.write(.pubrec(packet))
        case .pubcomp:
            if packet.reason != .packetIdentifierNotFound { packet = MQTTAck(ack.packetID) }
            self.write(.pubcomp(packet))
        }
    }

    package mutating func suback(_ packetID: UInt16, _ reasons: [MQTTReason], text: String? = nil) {
        var packet = MQTTSuback(packetID, reasons)
        if self.connection?.terms.wantsProblemInformation == true { packet.properties.reasonString = text }
        self.write(.suback(packet))
    }

    package mutating func unsuback(_ packetID: UInt16, _ reasons: [MQTTReason]) {
        self.write(.unsuback(MQTTUnsuback(packetID, reasons)))
    }

    // MARK: - To the client

    package enum Outcome: Sendable, Hashable {
        /// Sent, or in the window.
        case taken
        /// In the window; so many were dropped for it.
        case replaced(Int)
        /// There is no room: the client is slow, or its queue full.
        case full
        /// Nobody is connected, or the client takes no packets of this size.
        case unsent
    }

    /// A message that needs no disk: QoS 0, or any QoS for a session that ends with its connection.
    ///
    /// - Parameter room: bytes that may wait for the client.
    /// - Parameter allowance: bytes that may be added to all windows and queues of the box together; an empty one takes a message all the same.
    /// - Parameter dropsOldest: whether a full window drops its oldest messages that are not in flight, rather than this one.
    /// - Parameter layouts: the message encoded before, for receivers that differ in nothing but their packet identifier.
    package mutating func deliver(
        _ message: ApplicationMessage, _ delivery: Delivery, now: UInt64, room: Int, allowance: Int = .max, dropsOldest: Bool = false,
        layouts: inout PublishLayouts
    ) -> Outcome {
        guard let terms = self.connection?.terms, self.isConnected else { return .unsent }
        if delivery.qos == .atMostOnce {
            guard room > 0 else { return .full }
            if terms.version != .v5 || (terms.topicAliasMaximum == 0 && delivery.subscriptionIDs.isEmpty && message.expires == nil) {
                guard let encoded = layouts.layout(terms.version, qos: .atMostOnce, isRetained: delivery.isRetained),
                    encoded.byteCount <= terms.packetBytesMax
                else { return .unsent }
                encoded.write(into: &self.output)
                self.tally.note(message)
                return .taken
            }
            guard self.write(message, delivery, packetID: 0, isDuplicate: false, now) else { return .unsent }
            self.tally.note(message)
            return .taken
        }
        let byteCount = delivery.byteCount(of: message)
        var (droppedCount, droppedBytes) = (0, 0)
        while !self.hasRoom(for: byteCount, replacing: droppedBytes, allowance) {
            // After the last one that could go the new one goes as well: it is larger than all of them.
            guard dropsOldest, let bytes = self.outbound.dropOldest() else { return droppedCount == 0 ? .full : .replaced(droppedCount + 1) }
            droppedCount += 1
            droppedBytes += bytes
        }
        let seq = self.outbound.append(
            message, qos: delivery.qos.rawValue, isRetained: delivery.isRetained, subscriptionIDs: delivery.subscriptionIDs, byteCount: byteCount,
            share: delivery.share)
        if seq == nil { return .full }
        return droppedCount == 0 ? .taken : .replaced(droppedCount)
    }

    private func hasRoom(for byteCount: Int, replacing dropped: Int, _ allowance: Int) -> Bool {
        if self.outbound.isEmpty { return true }
        return self.outbound.hasRoom && self.outbound.byteCount + byteCount <= self.limits.queuedBytesMax && byteCount - dropped <= allowance
    }

    /// A row of the queue was committed.
    package mutating func take(_ entry: OutboundEntry<ApplicationMessage>) { self.outbound.take(entry, keeps: self.isConnected) }

    /// Rows of the queue that were never sent are gone, up to this one.
    package mutating func dropped(through seq: UInt64) { self.outbound.dropped(through: seq) }

    /// Sends what the client's receive maximum and `room` allow. Returns how many PUBLISH packets that were.
    ///
    /// - Parameter mayRead: whether the client may still read a topic; nil: all of them.
    /// - Parameter claim: asks for a row that was never sent; false: it and what follows have to wait, because it is being dropped to make room
    ///   (`dropped`), or because it may not be sent before something else is on the disk.
    @discardableResult
    package mutating func pump(
        now: UInt64, room: Int, mayRead: ((TopicName) -> Bool)? = nil, claim: ((OutboundEntry<ApplicationMessage>) -> Bool)? = nil,
        effects: inout [SessionEffect]
    ) -> Int {
        guard self.isConnected, let terms = self.connection?.terms else { return 0 }
        let end = self.output.writerIndex + max(0, room)
        var (sent, dropped) = (0, 0)
        while self.output.writerIndex < end, let entry = self.outbound.nextToSend(receiveMaximum: terms.receiveMaximum) {
            let isAgain = entry.seq <= self.outbound.sentSeq
            if let claim, !isAgain, !claim(entry) { break }
            let delivery = Delivery(
                qos: MQTTQoS(rawValue: entry.qos) ?? .atLeastOnce, isRetained: entry.isRetained, subscriptionIDs: entry.subscriptionIDs)
            // What expires must not be begun [MQTT-3.3.2-5], and what was begun must be finished [MQTT-4.4.0-1].
            if let message = entry.message, !message.isExpired(at: now) || self.outbound.wasSent(entry), mayRead.map({ $0(message.topic) }) ?? true,
                self.write(message, delivery, packetID: entry.packetID, isDuplicate: isAgain, now)
            {
                _ = self.outbound.markSent()
                self.tally.note(message)
                sent += 1
            } else if let seq = self.outbound.skip() {
                dropped += 1
                if self.isDurable { effects.append(.finished(seq, byteCount: entry.byteCount)) }
            }
        }
        if dropped > 0 { effects.append(.dropped(dropped)) }
        return sent
    }

    /// The note of a PUBREC is on the disk: PUBREL may go out.
    package mutating func released(_ seq: UInt64) {
        if let packetID = self.outbound.released(seq) { self.write(.pubrel(MQTTAck(packetID))) }
    }

    // MARK: - Pages

    package mutating func wantsPage() -> Bool { self.isConnected && self.outbound.wantsPage() }
    package mutating func pageFailed() { self.outbound.pageFailed() }

    /// Takes a page of the queue; exchanges that had reached PUBREC go on with PUBREL.
    package mutating func load(_ page: [OutboundEntry<ApplicationMessage>], through end: UInt64) {
        guard self.isConnected else { return }
        self.outbound.load(page, through: end)
        for entry in page where entry.state == .released { self.write(.pubrel(MQTTAck(entry.packetID))) }
    }

    // MARK: - Bytes

    private mutating func write(_ packet: MQTTPacket) {
        guard let terms = self.connection?.terms, self.isConnected else { return }
        self.tally.packets += 1
        MQTTEncoder.encode(packet, version: terms.version, packetBytesMax: terms.packetBytesMax, into: &self.output)
    }

    /// False: larger than the client takes, so it is as if it had been sent [MQTT-3.1.2-25].
    private mutating func write(_ message: ApplicationMessage, _ delivery: Delivery, packetID: UInt16, isDuplicate: Bool, _ now: UInt64) -> Bool {
        guard let connection = self.connection else { return false }
        var packet = MQTTPublish(
            topic: message.topic, payload: message.payload, qos: delivery.qos, packetID: packetID, isRetained: delivery.isRetained,
            isDuplicate: isDuplicate)
        if connection.terms.version == .v5 {
            packet.properties = message.properties
            if message.expires != nil { packet.properties.messageExpiryInterval = message.secondsLeft(at: now) }
            if !delivery.subscriptionIDs.isEmpty { packet.properties.subscriptionIdentifiers = delivery.subscriptionIDs }
            if connection.terms.topicAliasMaximum > 0 {
                switch self.connection?.outboundAliases.choose(message.topic) ?? .none {
                case .none: break
                case .define(let alias): packet.properties.topicAlias = alias
                case .use(let alias):
                    packet.topic = nil
                    packet.properties.topicAlias = alias
                }
            }
        }
        let isWritten = MQTTEncoder.encode(
            .publish(packet), version: connection.terms.version, packetBytesMax: connection.terms.packetBytesMax, into: &self.output)
        // An alias that was defined in a packet that is not sent would stand for nothing.
        if !isWritten { self.connection?.outboundAliases = connection.outboundAliases }
        return isWritten
    }
}
