import Account
import ChatCodec
import Dispatch
import NIOCore
import NIOEmbedded
import SkerryModel
import SkerryNode
import Synchronization
import TestKit
import Testing

@Suite struct RevocationTests {
    let world = AccountWorld()

    private func stands(_ signedIn: SignedIn) async -> ErrorCode? {
        await self.world.code { _ = try await self.world.accounts.authenticate(token: signedIn.token.text, address: self.world.home) }
    }

    @Test("logging out ends the device's sessions and its token, which was remembered")
    func logout() async throws {
        let (phone, phoneCaller) = try await self.world.user("bob")
        let (laptop, laptopCaller) = try await self.world.login("bob")
        let (onPhone, onLaptop) = (await self.world.attach(phoneCaller), await self.world.attach(laptopCaller))
        try await self.world.accounts.logout(phoneCaller)
        await self.world.loop.run()
        #expect(onPhone.ends == [.revoked])
        #expect(onLaptop.ends.isEmpty)
        #expect(await self.stands(phone) == .unauthenticated)
        #expect(await self.stands(laptop) == nil)
    }

    @Test("locking ends every session and shuts every door until it is taken back")
    func lock() async throws {
        let (_, admin) = try await self.world.claimed()
        let (bob, caller) = try await self.world.user("bob")
        let live = await self.world.attach(caller)
        try await self.world.accounts.lock(.name(key: "bob"), by: .caller(admin))
        await self.world.loop.run()
        #expect(live.ends == [.locked])
        #expect(await self.stands(bob) == .forbidden)
        #expect(await self.world.code { _ = try await self.world.login("bob") } == .forbidden)
        #expect(await self.world.code { _ = try await self.world.login("bob", "wrong wrong") } == .unauthenticated)
        #expect(await self.world.code { _ = try await self.world.mqtt("bob", AccountWorld.password) } == .forbidden)
        #expect(await self.world.code { _ = try await self.world.mqtt("bob", bob.token.text) } == .forbidden)
        try await self.world.accounts.unlock(.name(key: "bob"), by: .caller(admin))
        #expect(await self.stands(bob) == nil)
    }

    @Test("a new password signs the other devices out, and MQTT connections made with the old one")
    func passwordChange() async throws {
        let (phone, phoneCaller) = try await self.world.user("bob")
        let (laptop, laptopCaller) = try await self.world.login("bob")
        // Remembered as right, so that a stale memory would show.
        let mqtt = try await self.world.mqtt("bob", AccountWorld.password)
        let sessions = (await self.world.attach(phoneCaller), await self.world.attach(laptopCaller), await self.world.attach(mqtt))
        let wrong = await self.world.code {
            try await self.world.accounts.changePassword(laptopCaller, old: "wrong wrong", new: "battery staple", address: self.world.home)
        }
        #expect(wrong == .forbidden)
        try await self.world.accounts.changePassword(laptopCaller, old: AccountWorld.password, new: "battery staple", address: self.world.home)
        await self.world.loop.run()
        #expect(sessions.0.ends == [.revoked])
        #expect(sessions.1.ends.isEmpty)
        #expect(sessions.2.ends == [.revoked])
        #expect(await self.stands(phone) == .unauthenticated)
        #expect(await self.stands(laptop) == nil)
        #expect(await self.world.code { _ = try await self.world.mqtt("bob", AccountWorld.password) } == .unauthenticated)
        #expect(try await self.world.mqtt("bob", "battery staple").user == mqtt.user)
    }

    @Test("a reset link sets one new password, once, and signs everything out")
    func reset() async throws {
        let (_, admin) = try await self.world.claimed()
        let (bob, caller) = try await self.world.user("bob")
        let live = await self.world.attach(caller)
        let old = try await self.world.accounts.createReset(for: .name(key: "bob"), by: .caller(admin))
        let new = try await self.world.accounts.createReset(for: .id(caller.user), by: .caller(admin))
        let use = { (link: IssuedLink) in
            try await self.world.accounts.reset(token: link.token.text, password: "battery staple", device: nil, address: self.world.home)
        }
        #expect(await self.world.code { _ = try await use(old) } == .gone)
        let signedIn = try await use(new)
        await self.world.loop.run()
        #expect(live.ends == [.revoked])
        #expect(await self.stands(bob) == .unauthenticated)
        #expect(await self.stands(signedIn) == nil)
        #expect(await self.world.code { _ = try await use(new) } == .gone)
        #expect(await self.world.code { _ = try await self.world.login("bob") } == .unauthenticated)
        _ = try await self.world.login("bob", "battery staple")
    }

    @Test("a token ends with its time, also when it was remembered")
    func expiry() async throws {
        let (bob, _) = try await self.world.user("bob")
        self.world.pass(seconds: Limits().tokenDays * 86_400 - 1)
        #expect(await self.stands(bob) == nil)
        self.world.pass(seconds: 1)
        #expect(await self.stands(bob) == .tokenExpired)
    }

    @Test("a revocation that is decided while an authentication waits for its loop wins")
    func race() async throws {
        let (bob, caller) = try await self.world.user("bob")
        let answers = Mutex<[Result<Caller, SkerryError>]>([])
        let sink: @Sendable (Result<Caller, SkerryError>) -> Void = { result in answers.withLock { $0.append(result) } }
        // The loop is busy with something else until the revocation is on the disk.
        let gate = DispatchSemaphore(value: 0)
        self.world.loop.execute { gate.wait() }
        self.world.accounts.authenticate(token: bob.token.text, address: self.world.home, loop: self.world.loop, completion: sink)
        async let isOut: Void = self.world.accounts.logout(caller)
        while await self.world.code({ _ = try await self.world.accounts.authenticate(token: bob.token.text, address: self.world.home) }) == nil {
            await Task.yield()
        }
        #expect(answers.withLock(\.count) == 0)
        gate.signal()
        // It returns when the loop has heard of it, and so after the authentication.
        try await isOut
        await self.world.loop.run()
        let codes = answers.withLock { $0.map { result -> ErrorCode? in if case .failure(let error) = result { error.code } else { nil } } }
        #expect(codes == [ErrorCode.unauthenticated])
    }

    @Test("only its owner can sign a device out by its id")
    func foreignDevice() async throws {
        let (_, bob) = try await self.world.user("bob")
        let (_, eve) = try await self.world.user("eve")
        #expect(await self.world.code { try await self.world.accounts.revokeDevice(bob.device, by: eve) } == .notFound)
        let devices = try await self.world.accounts.devices(bob)
        #expect(devices.map(\.isCurrent) == [true])
        try await self.world.accounts.revokeDevice(bob.device, by: bob)
        #expect(try await self.world.accounts.devices(bob).isEmpty)
    }

    // MARK: Roles

    @Test("the last administrator can be neither locked nor demoted")
    func lastAdministrator() async throws {
        let (_, ada) = try await self.world.claimed()
        let (_, bob) = try await self.world.user("bob")
        #expect(await self.world.code { try await self.world.accounts.lock(.id(ada.user), by: .caller(ada)) } == .conflict)
        #expect(await self.world.code { _ = try await self.world.accounts.setRole(.user, of: .id(ada.user), by: .console) } == .conflict)
        _ = try await self.world.accounts.setRole(.admin, of: .id(bob.user), by: .caller(ada))
        try await self.world.accounts.lock(.id(ada.user), by: .console)
        #expect(await self.world.code { try await self.world.accounts.lock(.id(bob.user), by: .console) } == .conflict)
    }

    @Test("a role that was taken back counts no more, and its sessions connect again")
    func demotion() async throws {
        let (_, ada) = try await self.world.claimed()
        _ = try await self.world.accounts.createUser(name: "bob", password: AccountWorld.password, role: .admin, by: .caller(ada))
        let (token, bob) = try await self.world.login("bob")
        #expect(bob.role == .admin)
        let live = await self.world.attach(bob)
        _ = try await self.world.accounts.setRole(.user, of: .id(bob.user), by: .caller(ada))
        await self.world.loop.run()
        #expect(live.ends == [.shutdown])
        // Even with the role of yesterday in hand.
        #expect(await self.world.code { _ = try await self.world.accounts.invites(by: .caller(bob)) } == .forbidden)
        #expect(try await self.world.accounts.authenticate(token: token.token.text, address: self.world.home).role == .user)
    }

    @Test("an ordinary user administers nothing")
    func notAllowed() async throws {
        let (_, ada) = try await self.world.claimed()
        let (_, bob) = try await self.world.user("bob")
        let accounts = self.world.accounts
        let attempts: [@Sendable () async throws -> Void] = [
            { _ = try await accounts.users(after: nil, limit: 1, by: .caller(bob)) },
            { _ = try await accounts.createUser(name: "x", password: AccountWorld.password, role: .admin, by: .caller(bob)) },
            { _ = try await accounts.createUser(name: "x", password: nil, role: .admin, by: .caller(bob)) },
            { try await accounts.lock(.id(ada.user), by: .caller(bob)) },
            { try await accounts.unlock(.id(ada.user), by: .caller(bob)) },
            { _ = try await accounts.setRole(.admin, of: .id(bob.user), by: .caller(bob)) },
            { _ = try await accounts.createReset(for: .id(ada.user), by: .caller(bob)) },
            { _ = try await accounts.createInvite(role: .admin, uses: 1, hours: 1, by: .caller(bob)) },
            { try await accounts.revokeInvite(Sample.invite(1), by: .caller(bob)) },
            { _ = try await accounts.issueToken(for: .id(ada.user), device: nil, by: .caller(bob)) },
        ]
        for attempt in attempts { #expect(await self.world.code(attempt) == .forbidden) }
    }
}
