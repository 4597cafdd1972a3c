import Account
import ChatCodec
import MQTTCodec
import NIOCore
import SkerryModel
import SkerryNode
import TestKit
import Testing

@Suite("Broker: enhanced authentication")
struct EnhancedAuthenticationTests {
    static let password = "correct horse"

    /// A broker with the users bob and eve, and clients without an account on `public/#`.
    private func world(offersScram: Bool = true) async throws -> BrokerWorld {
        let world = try await BrokerWorld.open(accounts: .service { AccountService(node: $0.node, cost: .weakest, offersScram: offersScram) })
        let accounts = AccountService(node: world.box.node, cost: .weakest, offersScram: true)
        try await BrokerWorld.driving(world.box) {
            for name in ["bob", "eve"] { _ = try await accounts.createUser(name: name, password: Self.password, role: .user, by: .console) }
        }
        return world
    }

    /// A CONNECT with the method, and its first message unless that is to come later.
    private func connect(
        _ world: BrokerWorld, _ scram: ScramClient, id: String = "c", sendsFirst: Bool = true, loop: Int = 0, _ change: (inout MQTTConnect) -> Void = { _ in }
    ) async -> BrokerClient {
        await world.connect(id, loop: loop) { connect in
            connect.properties.authenticationMethod = "SCRAM-SHA-256"
            if sendsFirst { connect.properties.authenticationData = ByteBuffer(bytes: scram.first) }
            change(&connect)
        }
    }

    /// A client that is in.
    private func client(_ world: BrokerWorld, _ name: String, id: String = "c", loop: Int = 0) async throws -> BrokerClient {
        var scram = ScramClient(name, Self.password)
        let client = await self.connect(world, scram, id: id, loop: loop)
        await client.answer(.auth(MQTTAuth(.continueAuthentication, try scram.final(try client.auth().data))))
        #expect(try client.connack().reason == .success)
        return client
    }

    /// The reason with which the box ended what never became a connection.
    private func refusal(_ client: BrokerClient) throws -> MQTTReason {
        let connack = try client.connack()
        #expect(client.take().isEmpty)
        #expect(client.isClosed)
        #expect(!client.isIn)
        return connack.reason
    }

    @Test(
        "[MQTT-4.12.0-2] [MQTT-4.12.0-5] AUTH 0x18 asks, CONNACK brings method and proof; the first message may come with CONNECT or after it",
        arguments: [true, false], [0, 1])
    func comesIn(sendsFirst: Bool, loop: Int) async throws {
        let world = try await self.world()
        var scram = ScramClient("bob", Self.password)
        let client = await self.connect(world, scram, sendsFirst: sendsFirst, loop: loop)
        if !sendsFirst {
            let empty = try client.auth()
            #expect(empty.reason == .continueAuthentication)
            #expect(empty.properties.authenticationMethod == "SCRAM-SHA-256")
            #expect(empty.data == [])
            await client.answer(.auth(MQTTAuth(.continueAuthentication, scram.first)))
        }
        let challenge = try client.auth()
        #expect(challenge.reason == .continueAuthentication)
        #expect(challenge.properties.authenticationMethod == "SCRAM-SHA-256")
        #expect(!client.isIn)
        await client.answer(.auth(MQTTAuth(.continueAuthentication, try scram.final(challenge.data))))
        let connack = try client.connack()
        #expect(connack.reason == .success)
        #expect(connack.properties.authenticationMethod == "SCRAM-SHA-256")
        #expect(scram.believes(connack.properties.authenticationData.map { Array($0.readableBytesView) } ?? []))
        #expect(client.isIn)
        #expect(try await client.subscribe("v1/me/in") == [.success])
        try await world.stop()
    }

    @Test("[MQTT-4.12.0-6] a CONNECT without a method is answered without one")
    func without() async throws {
        let world = try await self.world()
        let connack = try (await world.connect("c")).connack()
        #expect(connack.reason == .success)
        #expect(connack.properties.authenticationMethod == nil)
        #expect(connack.properties.authenticationData == nil)
        try await world.stop()
    }

    @Test("[MQTT-4.12.0-1] a method that the box does not speak is refused with 0x8C, and every method when SCRAM is off")
    func unknownMethod() async throws {
        let world = try await self.world()
        for method in ["SCRAM-SHA-1", "scram-sha-256", "SCRAM-SHA-256-PLUS", "PLAIN", ""] {
            let client = await world.connect("c") { $0.properties.authenticationMethod = method }
            #expect(try self.refusal(client) == .badAuthenticationMethod, "\(method)")
        }
        try await world.stop()
        let off = try await self.world(offersScram: false)
        #expect(try self.refusal(await self.connect(off, ScramClient("bob", Self.password))) == .badAuthenticationMethod)
        try await off.stop()
    }

    @Test("[MQTT-4.12.0-4] a wrong password and a name that nobody has are refused alike, with 0x86 at the end")
    func wrong() async throws {
        let world = try await self.world()
        for name in ["bob", "nobody"] {
            var scram = ScramClient(name, "wrong wrong")
            let client = await self.connect(world, scram)
            await client.answer(.auth(MQTTAuth(.continueAuthentication, try scram.final(try client.auth().data))))
            #expect(try self.refusal(client) == .badUserNameOrPassword)
        }
        #expect(world.count(.mqttRefused) == 2)
        #expect(world.count(.loginsRefused) == 2)
        try await world.stop()
    }

    @Test("[MQTT-4.12.0-4] a message that is not SCRAM, channel binding and an identity of somebody else are refused with 0x87")
    func malformed() async throws {
        let world = try await self.world()
        var binding = ScramClient("bob", Self.password)
        binding.header = "p=tls-unique,,"
        var other = ScramClient("bob", Self.password)
        other.header = "n,a=eve,"
        for scram in [binding, other, ScramClient("", Self.password)] {
            #expect(try self.refusal(await self.connect(world, scram)) == .notAuthorized)
        }
        let client = await self.connect(world, ScramClient("bob", Self.password))
        _ = try client.auth()
        await client.answer(.auth(MQTTAuth(.continueAuthentication, Array("nonsense".utf8))))
        #expect(try self.refusal(client) == .notAuthorized)
        let silent = await self.connect(world, ScramClient("bob", Self.password))
        _ = try silent.auth()
        await silent.answer(.auth(MQTTAuth(.continueAuthentication, nil)))
        #expect(try self.refusal(silent) == .notAuthorized)
        try await world.stop()
    }

    @Test("[MQTT-3.1.2-30] [MQTT-4.12.0-3] [MQTT-4.12.0-5] between CONNECT and CONNACK one AUTH 0x18 of the same method or a DISCONNECT, nothing else")
    func nothingElse() async throws {
        let world = try await self.world()
        let proof = MQTTAuth(.continueAuthentication, [1])
        let wrong: [[MQTTPacket]] = [
            [.pingreq], [.publish(try MQTTPublish("a", "b"))],
            [.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter("a"), MQTTSubscriptionOptions(qos: .atMostOnce))]))],
            [.auth(MQTTAuth(.reAuthenticate, [1]))], [.auth(MQTTAuth(.success, [1]))], [.auth(MQTTAuth(.success))],
            [.auth(MQTTAuth(.continueAuthentication, [1], method: "SCRAM-SHA-1"))], [.auth(proof), .auth(proof)], [.auth(proof), .pingreq],
            [.auth(proof), .publish(try MQTTPublish("a", "b"))],
        ]
        // Each of another name: five tries are free.
        for (number, packets) in wrong.enumerated() {
            let client = await self.connect(world, ScramClient("name\(number)", Self.password))
            _ = try client.auth()
            await client.answer(packets)
            #expect(try self.refusal(client) == .protocolError, "\(packets)")
        }
        for packets: [MQTTPacket] in [[.disconnect(MQTTDisconnect())], [.auth(proof), .disconnect(MQTTDisconnect())]] {
            let client = await self.connect(world, ScramClient("bob", Self.password))
            _ = try client.auth()
            await client.answer(packets)
            #expect(client.take().isEmpty)
            #expect(client.isClosed)
        }
        try await world.stop()
    }

    @Test("a user name in CONNECT has to be that of who is proved; a password there is not looked at")
    func userName() async throws {
        let world = try await self.world()
        for (name, expected) in [("bob", MQTTReason.success), ("BOB", .success), ("eve", .badUserNameOrPassword), ("", .badUserNameOrPassword)] {
            var scram = ScramClient("bob", Self.password)
            let client = await self.connect(world, scram) {
                $0.userName = name
                $0.password = ByteBuffer(string: "nonsense")
            }
            await client.answer(.auth(MQTTAuth(.continueAuthentication, try scram.final(try client.auth().data))))
            #expect(try client.connack().reason == expected, "\(name)")
            await client.leave()
        }
        try await world.stop()
    }

    @Test("a client that takes no packet as large as the challenge is told so instead")
    func small() async throws {
        let world = try await self.world()
        let client = await self.connect(world, ScramClient("bob", Self.password)) { $0.properties.maximumPacketSize = 60 }
        let connack = try client.connack()
        #expect(connack.reason == .packetTooLarge)
        try await world.stop()
    }

    // MARK: - Re-authentication

    private func again(_ client: BrokerClient, _ scram: inout ScramClient, meanwhile: () async throws -> Void = {}) async throws {
        await client.say(.auth(MQTTAuth(.reAuthenticate, scram.first)))
        let challenge = try client.auth()
        #expect(challenge.reason == .continueAuthentication)
        try await meanwhile()
        await client.say(.auth(MQTTAuth(.continueAuthentication, try scram.final(challenge.data))))
    }

    @Test("[MQTT-4.12.1-1] a client proves anew who it is while its traffic goes on, again and again", arguments: [0, 1])
    func reauthenticates(loop: Int) async throws {
        let world = try await self.world()
        let client = try await self.client(world, "bob", loop: loop)
        try await client.subscribe("a/#", qos: .atLeastOnce)
        for round in 1...3 {
            var scram = ScramClient("bob", Self.password, nonce: "nonce\(round)")
            try await self.again(client, &scram) {
                await client.say(.publish(try MQTTPublish("a/b", "during \(round)")))
                #expect(client.takeTexts() == ["a/b=during \(round)"])
            }
            let done = try client.auth()
            #expect(done.reason == .success)
            #expect(done.properties.authenticationMethod == "SCRAM-SHA-256")
            #expect(scram.believes(done.data))
        }
        await client.say(.publish(try MQTTPublish("a/b", "after")))
        #expect(client.takeTexts() == ["a/b=after"])
        #expect(world.count(.mqttReauthentications) == 3)
        try await world.stop()
    }

    @Test("[MQTT-4.12.1-2] a wrong proof, another user, another method or an AUTH that nothing asked for ends the connection with its reason")
    func fails() async throws {
        let world = try await self.world()
        for (name, password) in [("bob", "wrong wrong"), ("eve", Self.password)] {
            let client = try await self.client(world, "bob")
            var scram = ScramClient(name, password)
            try await self.again(client, &scram)
            #expect(client.farewell == .notAuthorized, "\(name)")
            #expect(client.isClosed)
        }
        #expect(world.count(.mqttReauthenticationsRefused) == 2)
        let malformed = try await self.client(world, "bob")
        await malformed.say(.auth(MQTTAuth(.reAuthenticate, Array("nonsense".utf8))))
        #expect(malformed.farewell == .notAuthorized)
        for auth in [
            MQTTAuth(.reAuthenticate, [1], method: "SCRAM-SHA-1"), MQTTAuth(.continueAuthentication, [1]), MQTTAuth(.success, [1]), MQTTAuth(.success),
        ] {
            let client = try await self.client(world, "bob")
            await client.say(.auth(auth))
            #expect(client.farewell == .protocolError, "\(auth)")
            #expect(client.isClosed)
        }
        try await world.stop()
    }

    @Test("[MQTT-4.12.0-7] an AUTH of a client that named no method ends its connection with 0x82")
    func authWithoutMethod() async throws {
        let world = try await self.world()
        let client = try await world.client("c")
        await client.say(.auth(MQTTAuth(.reAuthenticate, ScramClient("bob", Self.password).first)))
        #expect(client.farewell == .protocolError)
        #expect(client.isClosed)
        try await world.stop()
    }

    @Test("a client that begins to prove itself anew and never ends is closed in bounded time; a connection that goes meanwhile leaves nothing")
    func overdue() async throws {
        let world = try await self.world()
        let client = try await self.client(world, "bob")
        await client.say(.auth(MQTTAuth(.reAuthenticate, ScramClient("bob", Self.password).first)))
        await world.pass(seconds: 29)
        #expect(!client.isClosed)
        await world.pass(seconds: 1)
        #expect(client.farewell == .notAuthorized)
        #expect(client.isClosed)
        let second = try await self.client(world, "bob")
        second.give(.auth(MQTTAuth(.reAuthenticate, ScramClient("bob", Self.password).first)))
        await second.vanish()
        #expect(second.take().isEmpty)
        try await world.stop()
    }

    @Test("a password that is changed ends connections made by SCRAM, as it does those made with the password")
    func passwordChanged() async throws {
        let world = try await self.world()
        let client = try await self.client(world, "bob")
        let accounts = AccountService(node: world.box.node, cost: .weakest, offersScram: true)
        try await BrokerWorld.driving(world.box) { try await accounts.setPassword("second password", of: .name(key: "bob")) }
        await world.settle()
        #expect(client.farewell == .notAuthorized)
        #expect(client.isClosed)
        try await world.stop()
    }
}
