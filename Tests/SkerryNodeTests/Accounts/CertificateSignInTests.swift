import Account
import ChatCodec
import NIOCore
import NIOEmbedded
import SkerryModel
import SkerryNode
import TestKit
import Testing

@Suite("Coming in with a certificate", .timeLimit(.minutes(1))) struct CertificateSignInTests {
    let world = AccountWorld()

    private func certificate(_ name: String) async -> Result<Caller?, SkerryError> {
        await withCheckedContinuation { continuation in
            self.world.accounts.authenticate(certificateOf: name, address: self.world.home, loop: nil) { continuation.resume(returning: $0) }
        }
    }

    @Test("the name is a user's, whatever its case; there is no password to try, so nothing is counted")
    func known() async throws {
        let (_, ann) = try await self.world.user("Ann")
        for name in ["Ann", "ann", "ANN"] {
            for _ in 0..<50 {
                let caller = try #require(try await self.certificate(name).get())
                #expect((caller.user, caller.name, caller.role) == (ann.user, "Ann", .user))
                #expect(caller.device == AccountService.certificateDevice(of: ann.user))
            }
        }
        #expect(AccountService.certificateDevice(of: ann.user) != AccountService.mqttDevice(of: ann.user))
        #expect(self.world.node.metrics.value(.loginsLimited) == 0)
    }

    @Test("a name of nobody says nothing", arguments: ["", "nobody", "a/b", String(repeating: "x", count: 5_000), "\u{0}"])
    func unknown(_ name: String) async throws {
        _ = try await self.world.user("ann")
        #expect(try await self.certificate(name).get() == nil)
    }

    @Test("an id is no name: who may choose what a certificate says must not reach a user by it")
    func id() async throws {
        let (_, ann) = try await self.world.user("ann")
        #expect(try await self.certificate(ann.user.description).get() == nil)
    }

    @Test("a lock revokes it, and unlocking gives it back; a password that its user changes does neither")
    func locked() async throws {
        let (_, ann) = try await self.world.user("ann")
        let caller = try #require(try await self.certificate("ann").get())
        let session = await self.world.attach(caller)
        try await self.world.accounts.changePassword(ann, old: AccountWorld.password, new: "another good word", address: self.world.home)
        await self.world.loop.run()
        #expect(session.ends.isEmpty)
        #expect(try await self.certificate("ann").get() != nil)
        try await self.world.accounts.lock(.name(key: "ann"), by: .console)
        await self.world.loop.run()
        #expect(session.ends == [.locked])
        #expect(await self.world.code { _ = try await self.certificate("ann").get() } != nil)
        try await self.world.accounts.unlock(.name(key: "ann"), by: .console)
        #expect(try await self.certificate("ann").get() != nil)
    }
}
