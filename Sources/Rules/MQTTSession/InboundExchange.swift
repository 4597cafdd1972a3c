import DequeModule

/// One acknowledgement towards a publishing client.
package struct InboundAck: Sendable, Hashable {
    package enum Kind: Sendable, Hashable { case puback, pubrec, pubcomp }

    package var kind: Kind
    package var packetID: UInt16

    package init(_ kind: Kind, _ packetID: UInt16) {
        self.kind = kind
        self.packetID = packetID
    }
}

/// Names one acknowledgement that is being prepared, within its connection.
package struct InboundTicket: Sendable, Hashable {
    package let serial: UInt64
    package init(serial: UInt64) { self.serial = serial }
}

/// QoS 1 and 2 from one client: nothing is taken twice, acknowledgements leave in the order of the packets [MQTT-4.6.0-2], [MQTT-4.6.0-3].
///
/// Generic over what a refusal or success carries (`Answer`) and over the message it keeps between PUBLISH and PUBREL (`Message`).
package struct InboundExchange<Message, Answer> {
    private struct Pending {
        var ack: InboundAck
        var answer: Answer?
        /// The connection it belonged to is gone: it is worked out, and not sent.
        var isMuted = false
        /// The serial of a muted one that is being worked out: the client asked again on its next connection, and hears it in the order in which it
        /// asked there.
        var awaited: UInt64?
    }

    /// A QoS 2 message between PUBLISH and PUBCOMP.
    private enum Held {
        /// PUBLISH came; PUBREC waits for the commit.
        case storing(Message)
        /// PUBREC was sent; PUBREL is awaited.
        case stored(Message)
        /// PUBREL came; PUBCOMP waits until the message is with its receivers.
        case releasing(Message)
    }

    private struct Exchange {
        var state: Held
        let byteCount: Int
        /// It was begun on an earlier connection, and its PUBLISH did not come again on this one.
        var isCarried = false
    }

    private var line = Deque<Pending>()
    private var firstSerial: UInt64 = 1
    private var held: [UInt16: Exchange] = [:]
    /// Entries of `held` that are carried.
    private var carriedCount = 0
    /// QoS 1 messages of this connection that wait for their PUBACK.
    private var pubacks = 0
    /// Entries of `line` that have `awaited`.
    private var awaiting = 0

    package init() {}

    /// QoS 1 and 2 messages that are not finished, as the client's send quota counts them: what was begun on an earlier connection is not in it
    /// (MQTT 5 §4.9).
    package var openCount: Int { self.pubacks + self.held.count - self.carriedCount }
    /// QoS 2 messages that are not finished, on whatever connection they were begun, and their bytes.
    package var heldCount: Int { self.held.count }
    package private(set) var heldBytes = 0
    /// Acknowledgements that wait for something.
    package var waitingCount: Int { self.line.count }
    package var isIdle: Bool { self.line.isEmpty && self.held.isEmpty }

    /// Whether a QoS 2 message with this identifier is not finished.
    package func isOpen(_ packetID: UInt16) -> Bool { self.held[packetID] != nil }

    // MARK: Packets

    /// A QoS 1 PUBLISH: route it, then `resolve` the ticket.
    package mutating func publish1(_ packetID: UInt16) -> InboundTicket { self.enqueue(InboundAck(.puback, packetID)) }

    package enum Publish2: Sendable, Hashable {
        /// New: keep it (on disk when the session outlives its connection), then `resolve`.
        case hold(InboundTicket)
        /// Known already; PUBREC is to be sent again: `resolve` at once.
        case again(InboundTicket)
        /// Known already and its PUBREC is still waiting.
        case underWay
    }

    /// A QoS 2 PUBLISH [MQTT-4.3.3-10]: a second one with the identifier of an open exchange is the same message.
    package mutating func publish2(_ packetID: UInt16, _ message: Message, byteCount: Int = 0) -> Publish2 {
        if self.held[packetID]?.isCarried == true {
            self.held[packetID]?.isCarried = false
            self.carriedCount -= 1
        }
        switch self.held[packetID]?.state {
        case .storing:
            self.unmute(InboundAck(.pubrec, packetID))
            return .underWay
        case .releasing: return .underWay
        case .stored: return .again(self.enqueue(InboundAck(.pubrec, packetID)))
        case nil:
            self.keep(packetID, .storing(message), byteCount)
            return .hold(self.enqueue(InboundAck(.pubrec, packetID)))
        }
    }

    package enum Release {
        /// Route the message now, then `resolve`.
        case forward(Message, InboundTicket)
        /// An earlier PUBREL is being worked on.
        case underWay
        /// No such message; the answer still has its place in the line.
        case unknown(InboundTicket)
    }

    /// A PUBREL: the message is forwarded now, so it can never be forwarded twice.
    package mutating func pubrel(_ packetID: UInt16) -> Release {
        switch self.held[packetID]?.state {
        case .stored(let message), .storing(let message):
            self.held[packetID]?.state = .releasing(message)
            return .forward(message, self.enqueue(InboundAck(.pubcomp, packetID)))
        case .releasing:
            self.unmute(InboundAck(.pubcomp, packetID))
            return .underWay
        case nil: return .unknown(self.enqueue(InboundAck(.pubcomp, packetID)))
        }
    }

    // MARK: Answers

    /// The answer to a ticket is known. Appends every acknowledgement that may leave now, in order.
    ///
    /// - Parameter isFailure: a PUBREC with a reason of 0x80 or more ends the exchange (MQTT 5 §4.3.3). A PUBREL that failed leaves the message
    ///   where it was, because PUBREC took it over: the client's next PUBREL tries again.
    package mutating func resolve(_ ticket: InboundTicket, _ answer: Answer, isFailure: Bool, into ready: inout [(InboundAck, Answer)]) {
        guard ticket.serial >= self.firstSerial else { return }
        let index = Int(ticket.serial - self.firstSerial)
        guard index < self.line.count, self.line[index].answer == nil else { return }
        self.settle(self.line[index].ack, isFailure: isFailure)
        self.line[index].answer = answer
        // Whoever asked again stands behind; there is nobody but after a reconnection in the middle of it.
        if self.awaiting > 0 { for index in self.line.indices where self.line[index].awaited == ticket.serial { self.line[index].answer = answer } }
        while let first = self.line.first, let answer = first.answer {
            self.line.removeFirst()
            self.firstSerial += 1
            if first.awaited != nil { self.awaiting -= 1 }
            if first.isMuted { continue }
            if first.ack.kind == .puback { self.pubacks -= 1 }
            ready.append((first.ack, answer))
        }
    }

    /// Takes back what was half received before a restart or reconnection.
    package mutating func restore(_ packetID: UInt16, _ message: Message, byteCount: Int = 0) {
        self.forget(packetID)
        self.keep(packetID, .stored(message), byteCount)
        self.held[packetID]?.isCarried = true
        self.carriedCount += 1
    }

    /// The connection ended: answers that are still being worked out change the state, but nobody waits for them.
    package mutating func disconnected() {
        // Who asked again and is gone leaves no place behind, however often it comes and goes.
        while self.line.last?.awaited != nil {
            self.line.removeLast()
            self.awaiting -= 1
        }
        for index in self.line.indices { self.line[index].isMuted = true }
        // The next connection starts with a whole quota (MQTT 5 §4.9).
        self.pubacks = 0
        for packetID in self.held.keys { self.held[packetID]?.isCarried = true }
        self.carriedCount = self.held.count
    }

    private mutating func keep(_ packetID: UInt16, _ state: Held, _ byteCount: Int) {
        self.held[packetID] = Exchange(state: state, byteCount: byteCount)
        self.heldBytes += byteCount
    }

    private mutating func forget(_ packetID: UInt16) {
        guard let exchange = self.held.removeValue(forKey: packetID) else { return }
        self.heldBytes -= exchange.byteCount
        if exchange.isCarried { self.carriedCount -= 1 }
    }

    /// A client that came back and asks again gets the answer that is being worked out: behind those for which it asked before on its connection,
    /// which may be known already.
    private mutating func unmute(_ ack: InboundAck) {
        guard let index = self.line.lastIndex(where: { $0.ack == ack }), self.line[index].isMuted else { return }
        let serial = self.line[index].awaited ?? self.firstSerial + UInt64(index)
        self.line.append(Pending(ack: ack, answer: nil, awaited: serial))
        self.awaiting += 1
    }

    private mutating func settle(_ ack: InboundAck, isFailure: Bool) {
        switch ack.kind {
        case .puback: break
        case .pubrec:
            if isFailure {
                self.forget(ack.packetID)
            } else if case .storing(let message) = self.held[ack.packetID]?.state {
                self.held[ack.packetID]?.state = .stored(message)
            }
        case .pubcomp:
            if isFailure, case .releasing(let message) = self.held[ack.packetID]?.state {
                self.held[ack.packetID]?.state = .stored(message)
            } else {
                self.forget(ack.packetID)
            }
        }
    }

    private mutating func enqueue(_ ack: InboundAck) -> InboundTicket {
        if ack.kind == .puback { self.pubacks += 1 }
        self.line.append(Pending(ack: ack, answer: nil))
        return InboundTicket(serial: self.firstSerial + UInt64(self.line.count - 1))
    }
}
