import Account
import ChatCodec
import NIOEmbedded
import SkerryModel
import SkerryNode
import Testing

@Suite struct ComingInTests {
    let world = AccountWorld()

    // MARK: Claim

    @Test("a claim link makes one administrator, and nothing more")
    func claimOnce() async throws {
        let link = try await self.world.accounts.openClaim()
        let first = try await self.world.accounts.claim(
            token: link.token.text, name: "ada", password: AccountWorld.password, device: nil, address: self.world.home)
        #expect(first.user.role == .admin)
        #expect(try await self.world.accounts.isClaimed())
        let replay = await self.world.code {
            _ = try await self.world.accounts.claim(
                token: link.token.text, name: "eve", password: AccountWorld.password, device: nil, address: self.world.home)
        }
        #expect(replay == .gone)
        #expect(await self.world.code { _ = try await self.world.accounts.openClaim() } == .gone)
    }

    @Test("two claims at the same moment make one administrator")
    func claimRace() async throws {
        let token = try await self.world.accounts.openClaim().token.text
        let wins = await withTaskGroup(of: Bool.self) { group in
            for name in ["ada", "eve", "mallory"] {
                group.addTask {
                    await self.world.code {
                        _ = try await self.world.accounts.claim(
                            token: token, name: name, password: AccountWorld.password, device: nil, address: self.world.home)
                    } == nil
                }
            }
            return await group.reduce(into: 0) { count, isWin in count += isWin ? 1 : 0 }
        }
        #expect(wins == 1)
        #expect(try await self.world.accounts.users(after: nil, limit: 10, by: .console).items.count == 1)
    }

    @Test("a claim link expires, and a new one replaces it")
    func claimExpiry() async throws {
        let old = try await self.world.accounts.openClaim().token.text
        let new = try await self.world.accounts.openClaim().token.text
        let claim = { (token: String) in
            await self.world.code {
                _ = try await self.world.accounts.claim(token: token, name: "ada", password: AccountWorld.password, device: nil, address: self.world.home)
            }
        }
        #expect(await claim(old) == .gone)
        self.world.pass(seconds: Limits().claimMinutes * 60)
        #expect(await claim(new) == .gone)
        #expect(await claim("nonsense") == .notFound)
        #expect(try await self.world.accounts.isClaimed() == false)
    }

    // MARK: Login

    @Test("a wrong name and a wrong password are answered alike")
    func wrongAlike() async throws {
        _ = try await self.world.user("bob")
        func refusal(_ name: String) async -> SkerryError? {
            do {
                _ = try await self.world.accounts.login(name: name, password: "not this one", device: nil, address: self.world.home)
                return nil
            } catch { return error }
        }
        let (known, unknown) = (await refusal("bob"), await refusal("nobody"))
        #expect(known?.code == .unauthenticated)
        #expect(known == unknown)
        #expect(self.world.node.metrics.value(.loginsRefused) == 2)
    }

    @Test("a user who has no password cannot sign in with any")
    func noPassword() async throws {
        _ = try await self.world.accounts.createUser(name: "robot", password: nil, role: .user, by: .console)
        #expect(await self.world.code { _ = try await self.world.login("robot", "") } == .unauthenticated)
        #expect(await self.world.code { _ = try await self.world.mqtt("robot", "") } == .unauthenticated)
    }

    @Test("names are compared without regard to case, in any script")
    func nameCase() async throws {
        _ = try await self.world.user("Ärger")
        #expect(try await self.world.login("äRGER").caller.name == "Ärger")
        let twice = await self.world.code {
            _ = try await self.world.accounts.createUser(name: "ÄRGER", password: AccountWorld.password, role: .user, by: .console)
        }
        #expect(twice == .conflict)
    }

    @Test("after five wrong passwords even the right one waits, and the ban ends")
    func nameLadder() async throws {
        _ = try await self.world.user("bob")
        for _ in 0..<5 { #expect(await self.world.code { _ = try await self.world.login("bob", "wrong wrong") } == .unauthenticated) }
        do {
            _ = try await self.world.login("bob")
            Issue.record("the ladder let a sixth try through")
        } catch let error as SkerryError {
            #expect(error.code == .rateLimited)
            #expect(error.retryAfterSeconds == 10)
        }
        #expect(self.world.node.metrics.value(.loginsLimited) == 1)
        self.world.pass(seconds: 10)
        _ = try await self.world.login("bob")
        // Forgiven: the next mistakes are the first again.
        for _ in 0..<5 { #expect(await self.world.code { _ = try await self.world.login("bob", "wrong wrong") } == .unauthenticated) }
    }

    @Test("one address cannot guess on many names, and does not slow down another")
    func addressLadder() async throws {
        _ = try await self.world.user("bob")
        func guess(_ number: Int) async -> ErrorCode? { await self.world.code { _ = try await self.world.login("name\(number)", "wrong wrong") } }
        for number in 0..<20 { #expect(await guess(number) == .unauthenticated) }
        #expect(await guess(20) == .rateLimited)
        let other = try await self.world.accounts.login(name: "bob", password: AccountWorld.password, device: nil, address: self.world.elsewhere)
        #expect(other.user.name == "bob")
    }

    @Test("successes cost an address nothing, and buy it no further guesses")
    func successesAreGivenBack() async throws {
        _ = try await self.world.user("bob")
        for _ in 0..<40 { _ = try await self.world.mqtt("bob", AccountWorld.password) }
        for number in 0..<20 { #expect(await self.world.code { _ = try await self.world.login("n\(number)", "wrong wrong") } == .unauthenticated) }
        #expect(await self.world.code { _ = try await self.world.mqtt("bob", AccountWorld.password) } == .rateLimited)
    }

    @Test("beyond the number of devices the oldest is signed out")
    func deviceBound() async throws {
        var limits = Limits()
        limits.devicesPerUserMax = 3
        let world = AccountWorld(limits: limits)
        let (first, caller) = try await world.user("bob")
        let live = await world.attach(caller)
        for _ in 0..<3 {
            world.pass(seconds: 1)
            _ = try await world.login("bob")
        }
        #expect(await world.code { _ = try await world.accounts.authenticate(token: first.token.text, address: world.home) } == .unauthenticated)
        await world.loop.run()
        #expect(live.ends == [.revoked])
    }

    // MARK: Invites

    @Test("of two acceptances of a one-use invite at the same moment one wins")
    func inviteRace() async throws {
        let (_, admin) = try await self.world.claimed()
        let token = try await self.world.accounts.createInvite(role: .user, uses: 1, hours: 1, by: .caller(admin)).token.text
        let outcomes = await withTaskGroup(of: ErrorCode?.self) { group in
            for name in ["bob", "eve", "dan", "zoe"] {
                group.addTask {
                    await self.world.code {
                        _ = try await self.world.accounts.acceptInvite(
                            token: token, name: name, password: AccountWorld.password, device: nil, address: self.world.home)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == nil } == 1)
        #expect(outcomes.count { $0 == .gone } == 3)
    }

    @Test("an invite gives its role as often as it says, and is then used up")
    func inviteUses() async throws {
        let (_, admin) = try await self.world.claimed()
        let link = try await self.world.accounts.createInvite(role: .admin, uses: 2, hours: 1, by: .caller(admin))
        let accept = { (name: String) in
            try await self.world.accounts.acceptInvite(
                token: link.token.text, name: name, password: AccountWorld.password, device: nil, address: self.world.home)
        }
        #expect(try await self.world.accounts.checkInvite(token: link.token.text, address: self.world.home).role == .admin)
        #expect(try await accept("bob").user.role == .admin)
        // A name that is taken costs no use.
        #expect(await self.world.code { _ = try await accept("BOB") } == .conflict)
        #expect(try await self.world.accounts.invites(by: .caller(admin)).first?.used == 1)
        _ = try await accept("carol")
        #expect(await self.world.code { _ = try await accept("dan") } == .gone)
        #expect(try await self.world.accounts.invites(by: .caller(admin)).isEmpty)
    }

    @Test("a withdrawn invite, an expired one and a token of another kind open nothing")
    func inviteRefusals() async throws {
        let (_, admin) = try await self.world.claimed()
        let check = { (token: String) in
            await self.world.code { _ = try await self.world.accounts.checkInvite(token: token, address: self.world.home) }
        }
        let link = try await self.world.accounts.createInvite(role: .user, uses: 1, hours: 1, by: .caller(admin))
        try await self.world.accounts.revokeInvite(link.id, by: .caller(admin))
        #expect(await check(link.token.text) == .gone)
        let second = try await self.world.accounts.createInvite(role: .user, uses: 1, hours: 1, by: .caller(admin))
        self.world.pass(seconds: 3_600)
        #expect(await check(second.token.text) == .gone)
        let reset = try await self.world.accounts.createReset(for: .name(key: "ada"), by: .caller(admin))
        #expect(await check(reset.token.text) == .notFound)
        #expect(await self.world.code { _ = try await self.world.accounts.createInvite(role: .user, uses: 0, hours: 1, by: .caller(admin)) } == .payloadInvalid)
    }
}
