import NIOCore
import Replication
import SkerryModel
import SkerryNode

/// What a dialled link tells, on the bridge's thread.
enum BridgeEvent: Sendable {
    case up
    case down(LinkFailure)
    case failed(LinkFailure)
    case received(LinkMessage, taken: @Sendable () -> Void)
    case acknowledged(bytes: Int)
    case forged(claimed: BoxID?)
    case takenOver
}

/// What all dialled links of a bridge share.
struct BridgeTerms: Sendable {
    var box: BoxID
    var federation: FederationID
    var limits: LinkLimits
    var tls: MosquittoTLS
    var metrics: NodeMetrics
    var will: @Sendable () -> [UInt8]
    var events: @Sendable (BoxID, BridgeEvent) -> Void
}

/// One link that this box dials, from the first attempt to the last. Confined to the bridge's thread.
final class DialledLink: MosquittoClientOwner {
    private(set) var peer: LinkPeer
    let port: BridgePort
    private let terms: BridgeTerms
    private var supervisor: LinkSupervisor
    private var client: MosquittoClient?
    /// What the client told inside a call, to be acted upon after it, in its order.
    private var heard: [Heard] = []
    /// Bytes of what is on its way: with QoS 1 by packet identifier, with QoS 0 in the order it was given.
    private var flying: [Int32: Int] = [:]
    private var fleeting = CircularBuffer<Int>()
    private var acknowledgedBytes = 0
    private(set) var isPaused = false
    /// Messages that came since the socket took all that was to be written.
    private var unanswered = 0
    /// Messages of this connection that were not the peer's to send.
    private var refused = 0

    private enum Heard {
        case link(LinkSupervisor.Event)
        case message(topic: String, payload: [UInt8])
        case takenOver
    }

    /// The library answers every message and keeps the answers of a peer that does not read: beyond, that peer is not read either.
    private static let unansweredMax = 256
    /// Bytes given to the library in one turn.
    private static let turnBytes = 128 * 1024

    init(_ peer: LinkPeer, _ terms: BridgeTerms, port: BridgePort) {
        self.peer = peer
        self.terms = terms
        self.port = port
        self.supervisor = LinkSupervisor(limits: terms.limits) { UInt64.random(in: 0..<max($0, 1)) }
    }

    // MARK: - From the bridge

    func want(_ peer: LinkPeer, now: UInt64) {
        if peer.publicKey != self.peer.publicKey, self.client != nil { self.step(.ended("its key has changed"), now) }
        self.peer = peer
        self.step(.wanted(endpoints: peer.endpoints), now)
    }

    /// With a good-bye, so that the peer does not take this box for lost.
    func leave(now: UInt64) {
        self.client?.disconnect(reason: 0)
        self.step(.unwanted, now)
    }

    func close(_ reason: String, now: UInt64) {
        self.client?.disconnect(reason: 0)
        self.step(.ended("closed by this box: \(reason)"), now)
    }

    /// When it wants to be looked at again, whatever its socket says.
    var deadline: UInt64? { self.supervisor.deadline }

    /// What to wait for at its socket; nil: it has none, or nothing is to be waited for.
    var interest: (descriptor: Int32, read: Bool, write: Bool)? {
        guard let client = self.client, client.descriptor >= 0 else { return nil }
        let wantsWrite = client.wantsWrite
        if !wantsWrite { self.unanswered = 0 }
        return (client.descriptor, !self.isHeldBack, self.supervisor.state == .dialing || wantsWrite)
    }

    /// Whether nothing is to be read for now.
    private var isHeldBack: Bool { self.isPaused || self.unanswered > Self.unansweredMax }

    func socketReady(read: Bool, write: Bool, isBroken: Bool, now: UInt64) {
        guard let client = self.client else { return }
        // What is not read cannot say that the peer has gone.
        if self.isHeldBack, isBroken { return self.step(.ended("the connection was closed"), now) }
        self.settle(client.run(isReadable: (read || isBroken) && !self.isHeldBack, isWritable: write || isBroken), client, now)
        // The library may have been told why before we could ask.
        if isBroken, self.client === client, self.supervisor.state == .dialing { self.step(.ended("nobody answers there"), now) }
    }

    func secondPassed(now: UInt64) {
        self.step(.tick, now)
        guard let client = self.client, self.supervisor.state != .dialing, !self.isPaused else { return }
        self.settle(client.secondPassed(), client, now)
    }

    /// Sends what waits, and reads on when there is room again.
    func proceed(now: UInt64) {
        if let deadline = self.supervisor.deadline, now >= deadline { self.step(.tick, now) }
        guard let client = self.client, self.supervisor.state == .live else { return }
        self.setPaused(self.port.isFull, client, now)
        let work = self.port.work(bytesMax: Self.turnBytes)
        if work.dropped > 0 {
            self.terms.metrics.add(.federationDropped, work.dropped)
            self.acknowledgedBytes += work.droppedBytes
        }
        self.hasMoreToSend = work.bytes >= Self.turnBytes
        for message in work.messages where self.client === client { self.publish(message, client, now) }
        self.tellAcknowledged()
    }

    /// Whether its turn was over before all was sent that could be.
    private(set) var hasMoreToSend = false

    /// Whether there is something to read that no socket tells of.
    var isRestless: Bool { !self.isHeldBack && self.client?.hasMore == true }

    private func setPaused(_ isPaused: Bool, _ client: MosquittoClient, _ now: UInt64) {
        guard isPaused != self.isPaused else { return }
        self.isPaused = isPaused
        client.pause(isPaused)
        if isPaused { return self.terms.metrics.add(.federationReadsPaused) }
        self.settle(client.run(isReadable: true, isWritable: false), client, now)
    }

    private func publish(_ message: LinkMessage, _ client: MosquittoClient, _ now: UInt64) {
        let bytes = message.payload.count
        let qos = message.channel.qos
        if qos == 0 { self.fleeting.append(bytes) }
        let topic = FederationTopic(self.terms.federation, message.origin, message.channel, to: message.addressee).description
        guard let packetID = client.publish(topic: topic, message.payload, qos: qos, expirySeconds: message.channel.expirySeconds) else {
            return self.settle(false, client, now)
        }
        if qos > 0 { self.flying[packetID] = bytes }
    }

    // MARK: - The supervisor

    /// After every call into the library: acts upon what it told, and upon its end.
    private func settle(_ isAlive: Bool, _ client: MosquittoClient, _ now: UInt64) {
        guard self.client === client else { return }
        if isAlive {
            let stage = client.stage
            if self.supervisor.state == .dialing, stage != .dialing { self.step(.dialed, now) }
            if stage == .secure, self.supervisor.state == .tls { self.step(.secured, now) }
        }
        let heard = self.heard
        self.heard = []
        for item in heard where self.client === client {
            switch item {
            case .link(let event): self.step(event, now)
            case .message(let topic, let payload): self.take(topic, payload, client, now)
            case .takenOver: self.terms.events(self.peer.box, .takenOver)
            }
        }
        self.tellAcknowledged()
        if !isAlive, self.client === client { self.step(.ended(client.trouble), now) }
    }

    private func step(_ event: LinkSupervisor.Event, _ now: UInt64) {
        for effect in self.supervisor.step(event, now: now) { self.perform(effect, now) }
    }

    private func perform(_ effect: LinkSupervisor.Effect, _ now: UInt64) {
        switch effect {
        case .dial(let endpoint): self.dial(endpoint, now)
        case .subscribe:
            let filters = FederationTopic.filters(self.terms.federation, of: self.peer.box, for: self.terms.box)
            if let client = self.client { self.settle(client.subscribe(filters), client, now) }
        case .up:
            self.port.open()
            self.terms.events(self.peer.box, .up)
        case .drop:
            self.client = nil
            self.port.close()
            self.heard = []
            self.flying = [:]
            self.fleeting.removeAll()
            self.acknowledgedBytes = 0
            self.isPaused = false
            self.refused = 0
            self.unanswered = 0
            self.hasMoreToSend = false
        case .down(let failure): self.terms.events(self.peer.box, .down(failure))
        case .failed(let failure):
            self.terms.metrics.add(.federationLinkFailures)
            self.terms.events(self.peer.box, .failed(failure))
        }
    }

    private func dial(_ endpoint: String, _ now: UInt64) {
        guard let place = LinkEndpoint(endpoint) else { return self.step(.ended("\(endpoint) is not an IP address with a port"), now) }
        let client = MosquittoClient(self.terms.tls, id: self.terms.box.description, peer: self.peer.publicKey, limits: self.terms.limits, owner: self)
        guard let client else { return self.step(.ended("no memory for a connection"), now) }
        self.client = client
        let will = FederationTopic(self.terms.federation, self.terms.box, .state)
        let isAlive =
            client.setWill(topic: will.description, self.terms.will())
            && client.dial(place.address, port: place.port, keepAliveSeconds: max(5, self.terms.limits.keepAliveSeconds))
        self.settle(isAlive, client, now)
    }

    private func take(_ topic: String, _ payload: [UInt8], _ client: MosquittoClient, _ now: UInt64) {
        guard self.supervisor.state == .live else { return }
        guard let place = FederationTopic(topic), place.federation == self.terms.federation, place.origin == self.peer.box else {
            self.terms.metrics.add(.federationForged)
            self.terms.events(self.peer.box, .forged(claimed: FederationTopic(topic)?.origin))
            return self.refuse(now)
        }
        guard payload.count <= LinkChannel.payloadBytesMax, place.addressee == nil || place.addressee == self.terms.box else {
            self.terms.metrics.add(.federationRefused)
            return self.refuse(now)
        }
        let message = LinkMessage(origin: place.origin, channel: place.channel, addressee: place.addressee, payload: payload)
        self.unanswered += 1
        self.terms.events(self.peer.box, .received(message, taken: self.port.received(payload.count)))
        if !self.isPaused, self.port.isFull {
            self.isPaused = true
            client.pause(true)
            self.terms.metrics.add(.federationReadsPaused)
        }
    }

    private func refuse(_ now: UInt64) {
        self.refused += 1
        if self.refused > self.terms.limits.refusedMax { self.step(.ended("too many messages were not the peer's to send"), now) }
    }

    private func tellAcknowledged() {
        guard self.acknowledgedBytes > 0, self.supervisor.state == .live else { return }
        self.terms.events(self.peer.box, .acknowledged(bytes: self.acknowledgedBytes))
        self.acknowledgedBytes = 0
    }

    // MARK: - MosquittoClientOwner

    func admitted() { self.heard.append(.link(.admitted)) }

    func refused(_ reason: UInt8, _ text: String) {
        let code = String(reason, radix: 16, uppercase: true)
        self.heard.append(.link(.ended("refused with 0x\(code)" + (text.isEmpty ? "" : ": \(text)"))))
    }

    func subscribed(_ reasons: [Int32]) {
        let isRefused = reasons.isEmpty || reasons.contains { $0 >= 0x80 }
        self.heard.append(.link(isRefused ? .ended("the peer does not let this box listen to it") : .subscribed))
    }

    func received(topic: String, _ payload: [UInt8]) { self.heard.append(.message(topic: topic, payload: payload)) }

    func published(packetID: Int32, reason: Int32) {
        if let bytes = self.flying.removeValue(forKey: packetID) {
            if reason >= 0x80 { self.terms.metrics.add(.federationDropped) }
            self.acknowledgedBytes += bytes
            self.port.done(bytes, qos: 1)
        } else if let bytes = self.fleeting.popFirst() {
            self.acknowledgedBytes += bytes
            self.port.done(bytes, qos: 0)
        }
    }

    func disconnected(_ reason: UInt8) {
        // "Session taken over": somebody else came with this box's certificate.
        if reason == 0x8E { self.heard.append(.takenOver) }
    }
}

/// `address:port` or `[address]:port`; never a name, because looking one up would hold up all links.
struct LinkEndpoint: Sendable, Hashable {
    var address: String
    var port: Int

    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (1...65_535).contains(port) else { return nil }
        var address = text[..<colon]
        if address.hasPrefix("["), address.hasSuffix("]") { address = address.dropFirst().dropLast() }
        guard (try? SocketAddress(ipAddress: String(address), port: port)) != nil else { return nil }
        self.address = String(address)
        self.port = port
    }
}
