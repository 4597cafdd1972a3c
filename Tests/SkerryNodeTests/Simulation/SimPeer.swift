import MQTTCodec
import NIOCore
import SkerryModel
import TestKit

@testable import SkerryNode

/// An MQTT client that keeps to the rules: it sends again what was not acknowledged, acknowledges in order and late, and takes a QoS 2 message
/// at PUBREL, once.
///
/// `@unchecked Sendable`: a simulation runs on one thread.
final class SimPeer: @unchecked Sendable {
    enum Life {
        /// The session stays for good.
        case long
        /// It expires soon, starts clean or is ended at times.
        case short
        /// It ends with its connection.
        case connection
    }
    struct Open: CustomStringConvertible {
        var id: UInt16
        var topic: String
        var text: String
        var qos: MQTTQoS
        var isReleased = false
        var description: String { self.text + (self.isReleased ? "!" : "") }
    }

    let id: String
    let life: Life
    let filters: [String]
    let publishes: [MQTTQoS]
    private var client: BrokerClient?
    private(set) var isReady = false
    private var nextID: UInt16 = 0
    private(set) var open: [Open] = []
    /// What the box has acknowledged for good.
    private(set) var accepted: [(topic: String, text: String)] = []
    /// QoS 2 messages between PUBREC and PUBREL.
    private var held: [UInt16: String] = [:]
    private var due: [MQTTPacket] = []
    /// Texts in the order in which they came first.
    private(set) var order: [String] = []
    private(set) var seen: Set<String> = []
    private(set) var taken: [String: Int] = [:]
    private(set) var problems: [String] = []

    init(_ id: String, _ life: Life, _ filters: [String] = [], publishes: [MQTTQoS] = []) {
        (self.id, self.life, self.filters, self.publishes) = (id, life, filters, publishes)
    }

    var isConnected: Bool { self.client != nil }

    // MARK: - Connections

    func connect(_ world: BrokerWorld, loop: Int, clean: Bool) {
        var connect = MQTTConnect(version: .v5, clientID: self.id, cleanStart: clean, keepAliveSeconds: 0)
        switch self.life {
        case .long: connect.properties.sessionExpiryInterval = 1_000_000
        case .short: connect.properties.sessionExpiryInterval = 5
        case .connection: break
        }
        connect.properties.receiveMaximum = 3
        let client = BrokerClient(world, .v5, loop: world.box.loops[loop])
        client.loop.run { world.broker.connect(connect, client.link) }
        self.client = client
    }

    /// The power went at the other side.
    func lose() {
        self.client = nil
        self.isReady = false
        self.due = []
    }

    func vanish() {
        self.client?.goSilently()
        self.lose()
    }

    func leave(ends: Bool) {
        self.read()
        let isDurable = self.life != .connection
        self.client?.give(.disconnect(MQTTDisconnect(.normalDisconnection, properties: ends && isDurable ? .expiry(0) : .none)))
        self.vanish()
    }

    // MARK: - Publishing

    func publish(_ topic: String, _ number: Int, _ qos: MQTTQoS) {
        guard self.open.count < 15 else { return }
        self.nextID = self.nextID % 60_000 + 1
        let text = "\(topic.prefix(2))\(self.id)/\(qos.rawValue)/\(number)"
        self.open.append(Open(id: self.nextID, topic: topic, text: text, qos: qos))
        self.send(self.nextID, again: false)
    }

    private func send(_ id: UInt16, again: Bool) {
        guard let open = self.open.first(where: { $0.id == id }) else { return }
        if open.isReleased {
            self.client?.give(.pubrel(MQTTAck(id)))
        } else if let publish = try? MQTTPublish(open.topic, open.text, qos: open.qos, id: id, dup: again) {
            self.client?.give(.publish(publish))
        }
    }

    // MARK: - Reading

    func read() {
        guard let client = self.client else { return }
        for packet in client.take() { self.read(packet) }
        if client.isClosed {
            client.goSilently()
            self.lose()
        }
    }

    private func read(_ packet: MQTTPacket) {
        switch packet {
        case .connack(let connack): self.greeted(connack)
        case .publish(let publish): self.got(publish)
        case .pubrel(let ack):
            if let text = self.held.removeValue(forKey: ack.packetID) { self.taken[text, default: 0] += 1 }
            self.due.append(.pubcomp(MQTTAck(ack.packetID)))
        case .puback(let ack): self.answered(ack, .atLeastOnce)
        case .pubrec(let ack):
            guard let index = self.open.firstIndex(where: { $0.id == ack.packetID && $0.qos == .exactlyOnce }) else { return }
            if ack.reason.isFailure {
                self.open.remove(at: index)
            } else if !self.open[index].isReleased {
                self.open[index].isReleased = true
                self.due.append(.pubrel(MQTTAck(ack.packetID)))
            }
        case .pubcomp(let ack): self.answered(ack, .exactlyOnce)
        default: break
        }
    }

    private func greeted(_ connack: MQTTConnack) {
        guard connack.reason == .success else { return self.problems.append("refused: \(connack.reason)") }
        self.isReady = true
        if !connack.isSessionPresent {
            if self.life == .long && !self.seen.isEmpty { self.problems.append("its session was lost") }
            self.held = [:]
            // What was released may have been forwarded, or not: nobody can tell.
            self.open.removeAll(where: \.isReleased)
        }
        if !self.filters.isEmpty, !connack.isSessionPresent {
            let options = MQTTSubscriptionOptions(qos: .exactlyOnce)
            let subscriptions = self.filters.compactMap { try? MQTTSubscription(TopicFilter($0), options) }
            self.client?.give(.subscribe(MQTTSubscribe(9, subscriptions)))
        }
        for open in self.open { self.send(open.id, again: connack.isSessionPresent) }
    }

    private func got(_ publish: MQTTPublish) {
        let text = publish.text
        if publish.qos == .exactlyOnce {
            if self.held[publish.packetID] == nil {
                self.held[publish.packetID] = text
                self.note(text)
            } else if self.held[publish.packetID] != text {
                self.problems.append("packet \(publish.packetID) became \(text) before it was released")
            }
            self.due.append(.pubrec(MQTTAck(publish.packetID)))
        } else {
            self.note(text)
            self.due.append(.puback(MQTTAck(publish.packetID)))
        }
    }

    private func note(_ text: String) { if self.seen.insert(text).inserted { self.order.append(text) } }

    private func answered(_ ack: MQTTAck, _ qos: MQTTQoS) {
        guard let index = self.open.firstIndex(where: { $0.id == ack.packetID && $0.qos == qos }) else { return }
        let open = self.open.remove(at: index)
        if !ack.reason.isFailure { self.accepted.append((open.topic, open.text)) }
    }

    /// Says so many of the packets that are due. True: there were some.
    @discardableResult
    func acknowledge(_ count: Int) -> Bool {
        self.read()
        guard self.isReady, !self.due.isEmpty else { return false }
        for packet in self.due.prefix(count) { self.client?.give(packet) }
        self.due.removeFirst(min(count, self.due.count))
        return true
    }
}
