import Account
import ChatCodec
import SkerryModel
import SkerryNode
import Testing

@Suite struct MQTTAuthenticationTests {
    let world = AccountWorld()

    @Test("a device token opens MQTT under its owner's name or id, and under no other")
    func token() async throws {
        let (bob, caller) = try await self.world.user("bob")
        _ = try await self.world.user("eve")
        let token = bob.token.text
        #expect(try await self.world.mqtt("BOB", token).device == caller.device)
        #expect(try await self.world.mqtt(caller.user.description, token).user == caller.user)
        #expect(await self.world.code { _ = try await self.world.mqtt("eve", token) } == .unauthenticated)
        #expect(await self.world.code { _ = try await self.world.mqtt("", token) } == .unauthenticated)
    }

    @Test("connections with a password share one device that is nobody's signed-in device")
    func password() async throws {
        let (_, caller) = try await self.world.user("bob")
        let first = try await self.world.mqtt("bob", AccountWorld.password)
        let second = try await self.world.mqtt(caller.user.description, AccountWorld.password)
        #expect(first == second)
        #expect(first.device == AccountService.mqttDevice(of: caller.user))
        #expect(first.device != caller.device)
    }

    @Test("a token made on the box's command line opens the same doors")
    func issued() async throws {
        _ = try await self.world.accounts.createUser(name: "sensor", password: nil, role: .user, by: .console)
        let issued = try await self.world.accounts.issueToken(for: .name(key: "sensor"), device: "roof", by: .console)
        #expect(try await self.world.mqtt("sensor", issued.token.text).name == "sensor")
        try await self.world.accounts.lock(.name(key: "sensor"), by: .console)
        #expect(await self.world.code { _ = try await self.world.accounts.issueToken(for: .name(key: "sensor"), device: nil, by: .console) } == .conflict)
    }

    @Test("a name that looks like somebody's id takes nobody's place")
    func impostor() async throws {
        let (_, bob) = try await self.world.user("bob")
        _ = try await self.world.accounts.createUser(name: bob.user.description, password: "impostor's own", role: .user, by: .console)
        #expect(try await self.world.mqtt(bob.user.description, AccountWorld.password).user == bob.user)
        #expect(await self.world.code { _ = try await self.world.mqtt(bob.user.description, "impostor's own") } == .unauthenticated)
    }

    @Test("guesses are counted although a right password is remembered")
    func remembered() async throws {
        _ = try await self.world.user("bob")
        _ = try await self.world.mqtt("bob", AccountWorld.password)
        for _ in 0..<5 { #expect(await self.world.code { _ = try await self.world.mqtt("bob", "wrong wrong") } == .unauthenticated) }
        #expect(await self.world.code { _ = try await self.world.mqtt("bob", AccountWorld.password) } == .rateLimited)
    }
}
