import Account
import Dispatch
import SkerryModel
import Synchronization
import TestKit
import Testing

@testable import SkerryNode

@Suite struct AccountBoundTests {
    @Test("when too many passwords wait to be checked a login is refused as busy, and nothing is lost of those that wait")
    func passwordQueue() async throws {
        let pool = PasswordPool(threads: 1, queueMax: 2)
        let gate = DispatchSemaphore(value: 0)
        let open = AsyncStream<Int>.makeStream()
        // The only thread waits until the test lets it go.
        #expect(pool.run { gate.wait() })
        #expect(pool.run { open.continuation.yield(1) })
        #expect(pool.run { open.continuation.yield(2) })
        #expect(!pool.run { open.continuation.yield(3) })
        #expect(pool.waiting == 2)
        gate.signal()
        var ran: [Int] = []
        for await number in open.stream {
            ran.append(number)
            if ran.count == 2 { break }
        }
        #expect(ran == [1, 2])
    }

    @Test("the token cache stays within its bound, and what it forgot is asked of the store again")
    func tokenCache() async throws {
        var limits = Limits()
        limits.tokenCacheMax = 8
        let world = AccountWorld(limits: limits)
        let (signedIn, caller) = try await world.user("bob")
        var tokens = [signedIn.token.text]
        for _ in 0..<20 { tokens.append(try await world.login("bob").signedIn.token.text) }
        #expect(world.accounts.tokens.withLock(\.count) <= 8)
        for token in tokens { #expect(try await world.accounts.authenticate(token: token, address: world.home).user == caller.user) }
    }

    @Test("nothing read before an ending is kept after it")
    func generations() {
        var cache = TokenCache(entriesMax: 16)
        let caller = Caller(user: Sample.user(1), name: "bob", role: .user, device: Sample.device(1))
        let before = cache.generation
        cache.end(Ending(user: Sample.user(2), device: nil, reason: .locked))
        cache.keep(caller, hash: [1], expires: 100, now: 0, generation: before)
        #expect(cache.caller([1], now: 0) == nil)
        #expect(cache.stands(caller, since: before))
        cache.keep(caller, hash: [1], expires: 100, now: 0, generation: cache.generation)
        #expect(cache.caller([1], now: 99) == caller)
        #expect(cache.caller([1], now: 100) == nil)
        cache.end(Ending(user: caller.user, device: Sample.device(2), reason: .revoked))
        #expect(cache.stands(caller, since: before))
        cache.end(Ending(user: caller.user, device: caller.device, reason: .revoked))
        #expect(!cache.stands(caller, since: before))
    }

    @Test("after more endings than are remembered nobody is believed on what was found before them")
    func manyEndings() {
        var cache = TokenCache(entriesMax: 16)
        let caller = Caller(user: Sample.user(1), name: "bob", role: .user, device: Sample.device(1))
        let before = cache.generation
        for number in 0..<1_000 { cache.end(Ending(user: Sample.user(2), device: Sample.device(number), reason: .revoked)) }
        #expect(!cache.stands(caller, since: before))
        #expect(cache.stands(caller, since: cache.generation))
    }

    @Test("remembered passwords are few, short-lived, and tied to the stored hash")
    func verifiedPasswords() {
        var verified = VerifiedPasswords(salt: [1, 2, 3], entriesMax: 8)
        var user = Sample.userRecord(1)
        user.passwordHash = "first"
        let key = verified.key(user, "secret")
        verified.keep(key, now: 0)
        #expect(verified.contains(key, now: VerifiedPasswords.millisecondsMax - 1))
        #expect(!verified.contains(key, now: VerifiedPasswords.millisecondsMax))
        #expect(verified.key(user, "Secret") != key)
        user.passwordHash = "second"
        #expect(verified.key(user, "secret") != key)
        for number in 0..<50 { verified.keep(verified.key(Sample.userRecord(number), "x"), now: UInt64(number)) }
        #expect(verified.count <= 8)
    }

    @Test("a full commit queue refuses a decision as busy")
    func commitQueue() async throws {
        var limits = Limits()
        limits.commitQueueMax = 1
        let world = AccountWorld(limits: limits, .manual)
        // The first job is taken up by the writer, which waits for `step`; it is the queue's one place.
        world.node.commits.submit(loop: nil) { _ in
        } completion: { _ in
        }
        #expect(await world.code { _ = try await world.accounts.openClaim() } == .busy)
    }
}
