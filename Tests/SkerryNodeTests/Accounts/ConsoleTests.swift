import Account
import ChatCodec
import NIOEmbedded
import SkerryModel
import SkerryNode
import TestKit
import Testing

@Suite struct ConsoleTests {
    let world = AccountWorld()

    @Test("a password set on the box signs everything out and withdraws open reset links")
    func setPassword() async throws {
        let (bob, caller) = try await self.world.user("bob")
        let live = await self.world.attach(caller)
        let link = try await self.world.accounts.createReset(for: .name(key: "bob"), by: .console)
        try await self.world.accounts.setPassword("battery staple", of: .name(key: "bob"))
        await self.world.loop.run()
        #expect(live.ends == [.revoked])
        #expect(await self.world.code { _ = try await self.world.accounts.authenticate(token: bob.token.text, address: self.world.home) } == .unauthenticated)
        let reset = await self.world.code {
            _ = try await self.world.accounts.reset(token: link.token.text, password: "another word", device: nil, address: self.world.home)
        }
        #expect(reset == .gone)
        _ = try await self.world.login("bob", "battery staple")
        #expect(await self.world.code { try await self.world.accounts.setPassword("short", of: .name(key: "bob")) } == .payloadInvalid)
        #expect(await self.world.code { try await self.world.accounts.setPassword("long enough", of: .name(key: "nobody")) } == .notFound)
    }

    @Test("kicking ends live sessions and leaves the token alone")
    func kick() async throws {
        let (_, ada) = try await self.world.claimed()
        let (bob, caller) = try await self.world.user("bob")
        let probe = SystemProbe(residentBytes: { nil }, disk: { nil }, clockIsSynced: { nil })
        let control = NodeControl(node: self.world.node, accounts: self.world.accounts, listeners: ListenerRegistry(), version: "0", probe: probe)
        let live = await self.world.attach(caller)
        #expect(await self.world.code { try await control.kick(.id(ada.user), by: .caller(caller)) } == .forbidden)
        try await control.kick(.name(key: "bob"), by: .caller(ada))
        await self.world.loop.run()
        #expect(live.ends == [.replaced])
        #expect(try await self.world.accounts.authenticate(token: bob.token.text, address: self.world.home).user == caller.user)
    }

    @Test("the machine's own figures can be read")
    func probe() throws {
        let probe = SystemProbe.system(dataDirectory: "/")
        #expect(try #require(probe.residentBytes()) > 1_000_000)
        let disk = try #require(probe.disk())
        #expect(disk.totalBytes > 0)
        #expect(disk.freeBytes <= disk.totalBytes)
        #expect(SystemProbe.system(dataDirectory: "/nowhere/at/all").disk() == nil)
    }
}
