import Account
import ChatCodec
import NIOCore
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Sign-in by SCRAM")
struct ScramSignInTests {
    let world = AccountWorld(offersScram: true)

    private func begin(_ client: ScramClient, from address: AddressKey? = nil) async throws -> (signIn: ScramSignIn, challenge: [UInt8]) {
        let result: Result<(signIn: ScramSignIn, challenge: [UInt8]), SkerryError> = await withCheckedContinuation { continuation in
            self.world.accounts.begin(client.first, address: address ?? self.world.home, loop: self.world.loop) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    private func finish(_ signIn: ScramSignIn, _ message: [UInt8]) async throws -> (caller: Caller, proof: [UInt8]) {
        let result: Result<(caller: Caller, proof: [UInt8]), SkerryError> = await withCheckedContinuation { continuation in
            self.world.accounts.finish(signIn, message, loop: self.world.loop) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    @discardableResult
    private func signIn(_ name: String, _ password: String = AccountWorld.password) async throws -> Caller {
        var client = ScramClient(name, password)
        let (signIn, challenge) = try await self.begin(client)
        let (caller, proof) = try await self.finish(signIn, try client.final(challenge))
        #expect(client.believes(proof))
        return caller
    }

    private func salt(_ name: String, from address: AddressKey? = nil) async throws -> String? {
        ScramClient.attributes(try await self.begin(ScramClient(name, "x"), from: address).challenge)["s"]
    }

    private func record(_ name: String) async throws -> UserRecord {
        try #require(try await self.world.store.read { store in try store.user(nameKey: name) })
    }

    @Test("whoever has a password comes in by it, under name or id, as the same caller as with the password itself; the box proves itself")
    func comesIn() async throws {
        let (_, bob) = try await self.world.user("bob")
        let caller = try await self.signIn("bob")
        let known = try await self.world.mqtt("bob", AccountWorld.password)
        #expect(caller == known)
        #expect(try await self.signIn("BOB").user == bob.user)
        #expect(try await self.signIn(bob.user.description).user == bob.user)
        #expect(await self.world.code { try await self.signIn("bob", "wrong wrong") } == .unauthenticated)
    }

    @Test("a nonce is used once: what was right for one exchange is wrong for the next")
    func replay() async throws {
        _ = try await self.world.user("bob")
        var client = ScramClient("bob", AccountWorld.password)
        let (signIn, challenge) = try await self.begin(client)
        let final = try client.final(challenge)
        _ = try await self.finish(signIn, final)
        let (again, other) = try await self.begin(client)
        #expect(other != challenge)
        #expect(await self.world.code { _ = try await self.finish(again, final) } == .badRequest)
    }

    @Test("a name that nobody has is asked the same as one that somebody has, always with the same salt, over a restart too, and fails at the end")
    func unknown() async throws {
        try await self.world.accounts.prepareScram()
        _ = try await self.world.user("bob")
        _ = try await self.world.accounts.createUser(name: "sensor", password: nil, role: .user, by: .console)
        for name in ["nobody", "sensor"] {
            let first = try await self.begin(ScramClient(name, "x"), from: self.world.elsewhere).challenge
            let real = try await self.begin(ScramClient("bob", "x"), from: self.world.elsewhere).challenge
            #expect(first.count == real.count)
            #expect(ScramClient.attributes(first)["i"] == ScramClient.attributes(real)["i"])
            #expect(await self.world.code { try await self.signIn(name) } == .unauthenticated)
        }
        let salt = try await self.salt("nobody")
        #expect(try await self.salt("Nobody") == salt)
        #expect(try await self.salt("somebody") != salt)
        let restarted = AccountService(node: self.world.node, cost: .weakest, offersScram: true)
        try await restarted.prepareScram()
        let result: Result<(signIn: ScramSignIn, challenge: [UInt8]), SkerryError> = await withCheckedContinuation { continuation in
            restarted.begin(ScramClient("nobody", "x").first, address: self.world.home, loop: self.world.loop) { continuation.resume(returning: $0) }
        }
        #expect(ScramClient.attributes(try result.get().challenge)["s"] == salt)
    }

    @Test("a box whose disk is full starts all the same, with a secret that is written down by the next start with room")
    func fullDisk() async throws {
        self.world.store.fail(.write(1, StoreError(.full, "No space left.")))
        try await self.world.accounts.prepareScram()
        let salt = try await self.salt("nobody")
        #expect(try await self.world.store.read { store in try store.meta("scram.secret") } == nil)
        try await self.world.accounts.prepareScram()
        #expect(try await self.world.store.read { store in try store.meta("scram.secret") } != nil)
        #expect(try await self.salt("nobody") == salt)
    }

    @Test("a verifier is made with each password that is set, by whomever, and an old password's opens nothing any more")
    func setting() async throws {
        let (ada, caller) = try await self.world.claimed()
        try await self.signIn("ada")
        try await self.world.accounts.changePassword(caller, old: AccountWorld.password, new: "second password", address: self.world.home)
        #expect(await self.world.code { try await self.signIn("ada") } == .unauthenticated)
        try await self.signIn("ada", "second password")
        try await self.world.accounts.setPassword("third password", of: .id(ada.user.id))
        #expect(await self.world.code { try await self.signIn("ada", "second password") } == .unauthenticated)
        try await self.signIn("ada", "third password")
        let link = try await self.world.accounts.createReset(for: .id(ada.user.id), by: .console)
        _ = try await self.world.accounts.reset(token: link.token.text, password: "fourth password", device: nil, address: self.world.home)
        #expect(await self.world.code { try await self.signIn("ada", "third password") } == .unauthenticated)
        try await self.signIn("ada", "fourth password")
        let invite = try await self.world.accounts.createInvite(role: .user, uses: 1, hours: 1, by: .console)
        _ = try await self.world.accounts.acceptInvite(
            token: invite.token.text, name: "eve", password: AccountWorld.password, device: nil, address: self.world.home)
        try await self.signIn("eve")
    }

    @Test("a user from before gets a verifier at the next right password, once; it goes the same way when SCRAM is off again")
    func upgrade() async throws {
        let without = AccountService(node: self.world.node, cost: .weakest)
        _ = try await without.createUser(name: "old", password: AccountWorld.password, role: .user, by: .console)
        #expect(try await self.record("old").scramVerifier == "")
        #expect(await self.world.code { try await self.signIn("old") } == .unauthenticated)
        #expect(await self.world.code { _ = try await self.world.login("old", "wrong wrong") } == .unauthenticated)
        #expect(try await self.record("old").scramVerifier == "")
        _ = try await self.world.mqtt("old", AccountWorld.password)
        let made = try await self.until("old") { !$0.scramVerifier.isEmpty }
        #expect(try await self.signIn("old").user == made.id)

        _ = try await self.world.login("old")
        _ = try await self.world.login("old")
        #expect(try await self.record("old").scramVerifier == made.scramVerifier)
        #expect(try await self.record("old").passwordHash == made.passwordHash)

        _ = try await without.login(name: "old", password: AccountWorld.password, device: nil, address: self.world.home)
        _ = try await self.until("old") { $0.scramVerifier.isEmpty }
    }

    /// The record once it is as it should be: the verifier is written behind the sign-in's back.
    private func until(_ name: String, _ isDone: (UserRecord) -> Bool) async throws -> UserRecord {
        while true {
            let record = try await self.record(name)
            if isDone(record) { return record }
            await Task.yield()
        }
    }

    @Test("without SCRAM no verifier is kept and no method is offered")
    func off() async throws {
        let world = AccountWorld()
        _ = try await world.user("bob")
        #expect(try await world.store.read { store in try store.user(nameKey: "bob")?.scramVerifier } == "")
        #expect(world.accounts.methods.isEmpty)
        #expect(self.world.accounts.methods == ["SCRAM-SHA-256"])
    }

    @Test("a locked account is told so only after the right proof; one locked, or given a new password, meanwhile does not come in")
    func locked() async throws {
        let (_, bob) = try await self.world.user("bob")
        var client = ScramClient("bob", AccountWorld.password)
        let (open, challenge) = try await self.begin(client)
        let final = try client.final(challenge)
        try await self.world.accounts.lock(.id(bob.user), by: .console)
        #expect(await self.world.code { _ = try await self.finish(open, final) } == .unauthenticated)
        #expect(await self.world.code { try await self.signIn("bob") } == .forbidden)
        #expect(await self.world.code { try await self.signIn("bob", "wrong wrong") } == .unauthenticated)
        try await self.world.accounts.unlock(.id(bob.user), by: .console)

        var other = ScramClient("bob", AccountWorld.password)
        let (late, asked) = try await self.begin(other)
        let answer = try other.final(asked)
        try await self.world.accounts.setPassword("second password", of: .id(bob.user))
        #expect(await self.world.code { _ = try await self.finish(late, answer) } == .unauthenticated)
    }

    @Test("guesses count against name and address together with those of passwords, given up ones and malformed ones too; a right one is given back")
    func limited() async throws {
        _ = try await self.world.user("bob")
        for _ in 0..<12 { try await self.signIn("bob") }
        for _ in 0..<3 { #expect(await self.world.code { try await self.signIn("bob", "wrong wrong") } == .unauthenticated) }
        #expect(await self.world.code { _ = try await self.world.mqtt("bob", "wrong wrong") } == .unauthenticated)
        _ = try await self.begin(ScramClient("bob", "x"))
        #expect(await self.world.code { try await self.signIn("bob") } == .rateLimited)
        #expect(await self.world.code { _ = try await self.world.mqtt("bob", AccountWorld.password) } == .rateLimited)

        for _ in 0..<20 { _ = await self.world.code { _ = try await self.begin(ScramClient("", "x"), from: self.world.elsewhere) } }
        #expect(await self.world.code { _ = try await self.begin(ScramClient("ann", "x"), from: self.world.elsewhere) } == .rateLimited)
    }
}
