import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Testing

/// A session whose CONNECT named the method M, brought to a state of re-authentication.
private struct Talk {
    enum State: CaseIterable { case idle, deciding, awaiting, decidingAgain, done }
    enum Event: CaseIterable { case reAuthenticate, continued, success, otherMethod, noMethod, challenge, reauthenticated, late, ping }

    var session: Session
    var decoder = MQTTDecoder(clientOf: .v5)
    var effects: [SessionEffect] = []

    init(_ state: State, method: String? = "M") throws {
        var connect = MQTTConnect(version: .v5, clientID: "c", cleanStart: true, keepAliveSeconds: 0)
        connect.properties.authenticationMethod = method
        var terms = try ConnectTerms(connect, limits: SessionLimits(), methods: ["M"]) { "made" }
        terms.authenticationData = ByteBuffer(string: "proof")
        self.session = Session(terms, limits: SessionLimits())
        self.session.connect(terms, isPresent: false, now: 1_000, effects: &self.effects)
        guard case .connack(let connack)? = try self.sent().first else { throw NoConnack() }
        #expect(connack.properties.authenticationMethod == method)
        #expect(connack.properties.authenticationData == (method == nil ? nil : ByteBuffer(string: "proof")))
        if state != .idle { self.hear(.reAuthenticate) }
        if state != .idle && state != .deciding { self.session.challenge(ByteBuffer(string: "what?")) }
        if state == .decidingAgain || state == .done { self.hear(.continueAuthentication) }
        if state == .done { self.session.reauthenticated(ByteBuffer(string: "yes")) }
        self.effects = []
        _ = try self.sent()
    }

    struct NoConnack: Error {}

    mutating func hear(_ reason: MQTTReason, method: String? = "M") {
        var auth = MQTTAuth(reason)
        auth.properties.authenticationMethod = method
        auth.properties.authenticationData = ByteBuffer(string: "data")
        self.session.receive(.auth(auth), now: 1_000, effects: &self.effects)
    }

    mutating func sent() throws -> [MQTTPacket] {
        self.decoder.append(self.session.takeOutput())
        var packets: [MQTTPacket] = []
        while let packet = try self.decoder.next() { packets.append(packet) }
        return packets
    }

    mutating func happen(_ event: Event) {
        switch event {
        case .reAuthenticate: self.hear(.reAuthenticate)
        case .continued: self.hear(.continueAuthentication)
        case .success: self.hear(.success)
        case .otherMethod: self.hear(.reAuthenticate, method: "N")
        case .noMethod: self.hear(.success, method: nil)
        case .challenge: self.session.challenge(ByteBuffer(string: "what?"))
        case .reauthenticated: self.session.reauthenticated(ByteBuffer(string: "yes"))
        case .late: self.session.tick(now: 31_000, effects: &self.effects)
        case .ping: self.session.receive(.pingreq, now: 1_000, effects: &self.effects)
        }
    }

    /// What came of it, in a word.
    mutating func outcome() throws -> String {
        var words: [String] = []
        for effect in self.effects {
            switch effect {
            case .authenticate(let data, let isFirst): words.append("\(isFirst ? "begin" : "proceed") \(data.map { String(buffer: $0) } ?? "")")
            case .close: break
            default: words.append("\(effect)")
            }
        }
        for packet in try self.sent() {
            switch packet {
            case .auth(let auth):
                #expect(auth.properties.authenticationMethod == "M")
                words.append("AUTH \(auth.reason.rawValue) \(auth.properties.authenticationData.map { String(buffer: $0) } ?? "")")
            case .disconnect(let disconnect): words.append("DISCONNECT \(disconnect.reason.rawValue)")
            default: words.append("\(packet.type)")
            }
        }
        return words.joined(separator: ", ")
    }
}

@Suite("Re-authentication machine")
struct ReauthenticationTests {
    /// Every state and every event; what is not here is a protocol error, 0x82.
    private static let table: [Talk.State: [Talk.Event: String]] = [
        .idle: [.reAuthenticate: "begin data", .challenge: "", .reauthenticated: "", .late: "", .ping: "pingresp"],
        .deciding: [.challenge: "AUTH 24 what?", .reauthenticated: "AUTH 0 yes", .late: "DISCONNECT 135", .ping: "pingresp"],
        .awaiting: [.continued: "proceed data", .challenge: "", .reauthenticated: "", .late: "DISCONNECT 135", .ping: "pingresp"],
        .decidingAgain: [.challenge: "AUTH 24 what?", .reauthenticated: "AUTH 0 yes", .late: "DISCONNECT 135", .ping: "pingresp"],
        .done: [.reAuthenticate: "begin data", .challenge: "", .reauthenticated: "", .late: "", .ping: "pingresp"],
    ]

    @Test("[MQTT-4.12.1-1] [MQTT-4.12.0-3] [MQTT-4.12.0-5] every state of a re-authentication and everything that can happen in it")
    func everything() throws {
        for state in Talk.State.allCases {
            for event in Talk.Event.allCases {
                var talk = try Talk(state)
                talk.happen(event)
                #expect(try talk.outcome() == Self.table[state]?[event] ?? "DISCONNECT 130", "\(state) \(event)")
            }
        }
    }

    @Test("[MQTT-4.12.0-6] [MQTT-4.12.0-7] a connection without a method has no AUTH in either direction")
    func without() throws {
        for event in [Talk.Event.reAuthenticate, .continued, .success, .otherMethod, .noMethod] {
            var talk = try Talk(.idle, method: nil)
            talk.happen(event)
            #expect(try talk.outcome() == "DISCONNECT 130", "\(event)")
        }
        var talk = try Talk(.idle, method: nil)
        talk.happen(.challenge)
        talk.happen(.reauthenticated)
        #expect(try talk.outcome() == "")
    }

    @Test("a re-authentication has its time from the first AUTH on, however many follow")
    func overdue() throws {
        var talk = try Talk(.awaiting)
        var effects: [SessionEffect] = []
        talk.session.tick(now: 30_999, effects: &effects)
        #expect(try talk.outcome() == "")
        talk.session.tick(now: 31_000, effects: &effects)
        #expect(try talk.outcome() == "DISCONNECT 135")
    }
}
