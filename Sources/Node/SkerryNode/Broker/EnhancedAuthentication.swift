import Account
package import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel

/// A CONNECT whose client proves who it is by AUTH packets (MQTT 5 §4.12), as far as it has come. The connection holds it until the next packet.
package final class AuthExchange: Sendable {
    let terms: ConnectTerms
    /// The one of CONNECT; it has to be the one that is proved.
    let userName: String?
    /// Nil: the method has not heard the client yet.
    let signIn: ScramSignIn?

    init(_ terms: ConnectTerms, userName: String?, signIn: ScramSignIn?) {
        self.terms = terms
        self.userName = userName
        self.signIn = signIn
    }
}

/// From CONNECT to CONNACK, on the connection's loop.
extension MQTTBroker {
    /// CONNECT named a method. It may bring the method's first message or leave it to an AUTH.
    func begin(_ exchange: AuthExchange, _ data: ByteBuffer?, _ link: MQTTLink) {
        if let data { self.advance(exchange, data, link) } else { self.challenge(exchange, nil, link) }
    }

    /// What a client sent between CONNECT and CONNACK: everything that was there in one read. Nothing but one AUTH or a DISCONNECT may come
    /// [MQTT-3.1.2-30]; after an AUTH the next word is the box's.
    package func proceed(_ exchange: AuthExchange, _ packets: [MQTTPacket], _ link: MQTTLink) {
        for packet in packets {
            if case .disconnect = packet { return link.send(ByteBuffer(), thenClose: true) }
            guard case .auth(let auth) = packet else {
                return self.refuse(exchange, .protocolError, "Until CONNACK only AUTH and DISCONNECT may be sent.", link)
            }
            guard auth.reason == .continueAuthentication else {
                return self.refuse(exchange, .protocolError, "Until CONNACK an AUTH has the reason 0x18.", link)
            }
            guard auth.properties.authenticationMethod == exchange.terms.authenticationMethod else {
                return self.refuse(exchange, .protocolError, "The authentication method is that of CONNECT.", link)
            }
        }
        guard packets.count == 1, case .auth(let auth)? = packets.first else {
            return self.refuse(exchange, .protocolError, "An AUTH answers one of the box's.", link)
        }
        self.advance(exchange, auth.properties.authenticationData ?? ByteBuffer(), link)
    }

    /// What came between CONNECT and CONNACK is no packet, or came too late.
    package func refuse(_ exchange: AuthExchange, _ reason: MQTTReason, _ text: String, _ link: MQTTLink) {
        self.refuse(ConnectRefusal(reason, text), exchange.terms.version, link)
    }

    private func advance(_ exchange: AuthExchange, _ data: ByteBuffer, _ link: MQTTLink) {
        let (terms, message) = (exchange.terms, Array(data.readableBytesView))
        guard let signIn = exchange.signIn else {
            return self.accounts.begin(message, address: link.address, loop: link.loop) { result in
                switch result {
                case .success(let (signIn, challenge)):
                    // For the log, should it come to nothing.
                    if exchange.userName == nil { link.introduce(client: terms.clientID, user: signIn.name) }
                    self.challenge(AuthExchange(terms, userName: exchange.userName, signIn: signIn), ByteBuffer(bytes: challenge), link)
                case .failure(let error): self.refuse(error, terms, link)
                }
            }
        }
        // Answered on the session's home, so that a revocation cannot slip between the answer and the session.
        let home = self.node.home(of: terms.clientID)
        self.accounts.finish(signIn, message, loop: home.loop) { result in
            switch result {
            case .success(let proved):
                guard exchange.userName.map({ AccountService.names($0, proved.caller) }) ?? true else {
                    return self.refuse(exchange, .badUserNameOrPassword, "CONNECT names another user than the one that was proved.", link)
                }
                var (caller, accepted) = (proved.caller, terms)
                caller.session = self.node.online.nextSession()
                accepted.authenticationData = ByteBuffer(bytes: proved.proof)
                let (known, final) = (caller, accepted)
                home.enter { $0.mqtt?.connect(final, known, link) }
            case .failure(let error): self.refuse(error, terms, link)
            }
        }
    }

    private func challenge(_ exchange: AuthExchange, _ data: ByteBuffer?, _ link: MQTTLink) {
        let terms = exchange.terms
        var bytes = ByteBuffer()
        guard MQTTEncoder.encode(.auth(terms.auth(.continueAuthentication, data)), version: terms.version, packetBytesMax: terms.packetBytesMax, into: &bytes)
        else { return self.refuse(exchange, .packetTooLarge, "The challenge is larger than the client's Maximum Packet Size.", link) }
        link.challenge(exchange, sending: bytes)
    }

    private func refuse(_ error: SkerryError, _ terms: ConnectTerms, _ link: MQTTLink) {
        // The accounts leave a line about wrong proofs, not about messages that are none.
        self.refuse(ConnectRefusal(error), terms.version, link)
    }
}

/// Re-authentication of a living connection (§4.12.1), at the session's home.
extension BrokerShard {
    func authenticate(_ data: ByteBuffer?, isFirst: Bool, _ session: BrokerSession) {
        guard let link = session.link else { return }
        if isFirst { session.signIn = nil }
        // As with CONNECT the first message may come with the next packet.
        guard let data = data ?? (isFirst ? nil : ByteBuffer()) else { return session.machine.challenge(nil) }
        let (shard, id, message) = (self.shard, link.id, Array(data.readableBytesView))
        guard let signIn = session.signIn else {
            return self.broker.accounts.begin(message, address: link.address, loop: shard.loop) { result in
                shard.enter { $0.mqtt?.begun(result, id) }
            }
        }
        session.signIn = nil
        self.broker.accounts.finish(signIn, message, loop: shard.loop) { result in
            shard.enter { $0.mqtt?.proved(result, id) }
        }
    }

    private func begun(_ result: Result<(signIn: ScramSignIn, challenge: [UInt8]), SkerryError>, _ link: UInt64) {
        self.perform {
            guard let session = self.byLink[link] else { return }
            switch result {
            case .success(let (signIn, challenge)):
                session.signIn = signIn
                session.machine.challenge(ByteBuffer(bytes: challenge))
                self.touch(session)
            case .failure(let error): self.refuse(error, session)
            }
        }
    }

    private func proved(_ result: Result<(caller: Caller, proof: [UInt8]), SkerryError>, _ link: UInt64) {
        self.perform {
            guard let session = self.byLink[link] else { return }
            switch result {
            case .success(let (caller, proof)):
                // What the session has and is owed is its owner's; somebody else has to connect.
                guard session.owner == .user(caller.user) else {
                    return self.refuse(SkerryError(.forbidden, "A re-authentication is of the user who connected."), session)
                }
                self.metrics.add(.mqttReauthentications)
                session.machine.reauthenticated(ByteBuffer(bytes: proof))
                self.touch(session)
            case .failure(let error): self.refuse(error, session)
            }
        }
    }

    /// [MQTT-4.12.1-2].
    private func refuse(_ error: SkerryError, _ session: BrokerSession) {
        self.metrics.add(.mqttReauthenticationsRefused)
        let reason: MQTTReason =
            switch error.code {
            case .busy, .unavailable, .noQuorum: .serverBusy
            default: .notAuthorized
            }
        var effects: [SessionEffect] = []
        session.machine.close(reason, error.detail, effects: &effects)
        self.run(effects, session)
    }
}
