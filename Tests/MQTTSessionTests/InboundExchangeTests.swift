import MQTTSession
import Testing

@Suite("Inbound exchanges")
struct InboundExchangeTests {
    private typealias Exchange = InboundExchange<String, Int>

    private func hold(_ exchange: inout Exchange, _ id: UInt16, _ message: String) throws -> InboundTicket {
        guard case .hold(let ticket) = exchange.publish2(id, message) else { throw Unexpected() }
        return ticket
    }
    private struct Unexpected: Error {}

    private func resolve(_ exchange: inout Exchange, _ ticket: InboundTicket, _ answer: Int = 0, isFailure: Bool = false) -> [InboundAck] {
        var ready: [(InboundAck, Int)] = []
        exchange.resolve(ticket, answer, isFailure: isFailure, into: &ready)
        return ready.map(\.0)
    }

    @Test("[MQTT311-4.6.0-2] PUBACKs leave in the order of the PUBLISH packets")
    func order() {
        var exchange = Exchange()
        let (first, second, third) = (exchange.publish1(7), exchange.publish1(8), exchange.publish1(9))
        #expect(self.resolve(&exchange, third).isEmpty)
        #expect(self.resolve(&exchange, first) == [InboundAck(.puback, 7)])
        #expect(exchange.openCount == 2)
        #expect(self.resolve(&exchange, second) == [InboundAck(.puback, 8), InboundAck(.puback, 9)])
        #expect(self.resolve(&exchange, second).isEmpty)
        #expect(exchange.isIdle)
    }

    @Test("[MQTT-4.3.3-10] a QoS 2 message is forwarded once, at PUBREL, however often its packets come")
    func exactlyOnce() throws {
        var exchange = Exchange()
        let stored = try self.hold(&exchange, 5, "m")
        guard case .underWay = exchange.publish2(5, "m") else { throw Unexpected() }
        #expect(self.resolve(&exchange, stored) == [InboundAck(.pubrec, 5)])
        guard case .again(let again) = exchange.publish2(5, "other") else { throw Unexpected() }
        #expect(self.resolve(&exchange, again) == [InboundAck(.pubrec, 5)])
        guard case .forward(let message, let release) = exchange.pubrel(5) else { throw Unexpected() }
        #expect(message == "m")
        guard case .underWay = exchange.pubrel(5) else { throw Unexpected() }
        #expect(self.resolve(&exchange, release) == [InboundAck(.pubcomp, 5)])
        guard case .unknown(let unknown) = exchange.pubrel(5) else { throw Unexpected() }
        #expect(self.resolve(&exchange, unknown) == [InboundAck(.pubcomp, 5)])
        #expect(exchange.isIdle)
    }

    @Test("[MQTT-4.6.0-3] a client that comes back in the middle of it gets its PUBRECs in the order of its PUBLISH packets there")
    func orderAfterReconnection() throws {
        var exchange = Exchange()
        let (first, second) = (try self.hold(&exchange, 1, "a"), try self.hold(&exchange, 2, "b"))
        #expect(self.resolve(&exchange, first) == [InboundAck(.pubrec, 1)])
        exchange.disconnected()
        // The first is stored and the second still being stored: the answer to the first one's repetition must not come behind.
        guard case .again(let again) = exchange.publish2(1, "a") else { throw Unexpected() }
        guard case .underWay = exchange.publish2(2, "b") else { throw Unexpected() }
        #expect(self.resolve(&exchange, second).isEmpty)
        #expect(self.resolve(&exchange, again) == [InboundAck(.pubrec, 1), InboundAck(.pubrec, 2)])
        #expect(exchange.waitingCount == 0)
    }

    @Test("asking again on one connection after the other leaves nothing behind while the answer is being worked out")
    func comingAndGoing() throws {
        var exchange = Exchange()
        let ticket = try self.hold(&exchange, 1, "a")
        for _ in 0..<1_000 {
            exchange.disconnected()
            for _ in 0..<3 { guard case .underWay = exchange.publish2(1, "a") else { throw Unexpected() } }
            #expect(exchange.waitingCount == 2)
        }
        #expect(self.resolve(&exchange, ticket) == [InboundAck(.pubrec, 1)])
        #expect(exchange.waitingCount == 0)
        guard case .forward(_, let release) = exchange.pubrel(1) else { throw Unexpected() }
        exchange.disconnected()
        guard case .underWay = exchange.pubrel(1) else { throw Unexpected() }
        #expect(self.resolve(&exchange, release) == [InboundAck(.pubcomp, 1)])
        #expect(exchange.isIdle)
    }

    @Test("[MQTT-4.3.3-9] a refused QoS 2 message leaves no state: its identifier is free at once")
    func refused() throws {
        var exchange = Exchange()
        let ticket = try self.hold(&exchange, 5, "m")
        #expect(self.resolve(&exchange, ticket, isFailure: true) == [InboundAck(.pubrec, 5)])
        _ = try self.hold(&exchange, 5, "n")
    }

    @Test("answers of a dead connection change the state and are not sent; a client that asks again gets them")
    func reconnect() throws {
        var exchange = Exchange()
        let lost = exchange.publish1(1)
        let stored = try self.hold(&exchange, 2, "m")
        exchange.disconnected()
        #expect(self.resolve(&exchange, lost).isEmpty)
        guard case .underWay = exchange.publish2(2, "m") else { throw Unexpected() }
        #expect(self.resolve(&exchange, stored) == [InboundAck(.pubrec, 2)])
        guard case .forward(_, let release) = exchange.pubrel(2) else { throw Unexpected() }
        exchange.disconnected()
        guard case .underWay = exchange.pubrel(2) else { throw Unexpected() }
        #expect(self.resolve(&exchange, release) == [InboundAck(.pubcomp, 2)])
        #expect(exchange.isIdle)
    }

    @Test("a PUBREL that could not be worked out leaves the message; the next one tries again")
    func failedRelease() throws {
        var exchange = Exchange()
        _ = self.resolve(&exchange, try self.hold(&exchange, 5, "m"))
        guard case .forward(_, let first) = exchange.pubrel(5) else { throw Unexpected() }
        #expect(self.resolve(&exchange, first, isFailure: true) == [InboundAck(.pubcomp, 5)])
        guard case .forward("m", let second) = exchange.pubrel(5) else { throw Unexpected() }
        #expect(self.resolve(&exchange, second) == [InboundAck(.pubcomp, 5)])
        #expect(exchange.isIdle)
    }

    @Test("what an earlier connection left unanswered does not count against the next one's quota")
    func quota() {
        var exchange = Exchange()
        let lost = exchange.publish1(1)
        exchange.disconnected()
        #expect(exchange.openCount == 0)
        let next = exchange.publish1(1)
        #expect(exchange.openCount == 1)
        #expect(self.resolve(&exchange, lost).isEmpty)
        #expect(exchange.openCount == 1)
        #expect(self.resolve(&exchange, next) == [InboundAck(.puback, 1)])
        #expect(exchange.openCount == 0)
    }

    @Test("messages restored after a restart await PUBREL")
    func restore() throws {
        var exchange = Exchange()
        exchange.restore(9, "m")
        #expect(exchange.openCount == 0 && exchange.heldCount == 1)
        guard case .again = exchange.publish2(9, "m") else { throw Unexpected() }
        #expect(exchange.openCount == 1 && exchange.heldCount == 1)
        guard case .forward("m", _) = exchange.pubrel(9) else { throw Unexpected() }
    }
}

@Suite("Topic aliases and keep-alive")
struct AliasAndKeepAliveTests {
    @Test("[MQTT-3.3.2-8] an alias of 0 or above the maximum is refused; an unknown one too")
    func inbound() throws {
        var aliases = InboundAliases<String>(maximum: 2)
        #expect(try aliases.resolve("a", 1) == "a")
        #expect(try aliases.resolve(nil, 1) == "a")
        #expect(try aliases.resolve("b", 1) == "b")
        #expect(try aliases.resolve(nil, 1) == "b")
        #expect(throws: InboundAliases<String>.Failure.unknown) { try aliases.resolve(nil, 2) }
        #expect(throws: InboundAliases<String>.Failure.invalid) { try aliases.resolve("a", 0) }
        #expect(throws: InboundAliases<String>.Failure.invalid) { try aliases.resolve("a", 3) }
        #expect(throws: InboundAliases<String>.Failure.unknown) { try aliases.resolve(nil, nil) }
    }

    @Test("broker-made aliases go to topics first come, first served")
    func outbound() {
        var aliases = OutboundAliases<String>(maximum: 2)
        #expect(aliases.choose("a") == .define(1))
        #expect(aliases.choose("b") == .define(2))
        #expect(aliases.choose("c") == .none)
        #expect(aliases.choose("a") == .use(1))
        var none = OutboundAliases<String>(maximum: 0)
        #expect(none.choose("a") == .none)
    }

    @Test("[MQTT-3.1.2-22] a client counts as gone after one and a half keep-alives")
    func keepAlive() {
        var alive = KeepAlive(seconds: 10, now: 1_000)
        #expect(!alive.isExpired(at: 15_999))
        #expect(alive.isExpired(at: 16_000))
        alive.heard(10_000)
        #expect(!alive.isExpired(at: 16_000))
        #expect(KeepAlive(seconds: 0, now: 0).deadline == nil)
    }
}
