import Account
import HTTPTypes
import SkerryModel
import TestKit
import Testing

@testable import HTTPAPI

@Suite struct HTTPBoundTests {
    @Test("a flood of addresses costs bounded memory, and whoever is being limited stays limited while others are forgotten")
    func limiterKeys() {
        var limits = Limits()
        limits.limiterKeysMax = 8
        limits.httpBurst = 2
        limits.httpPerSecond = 1
        let limiter = RequestLimiter(limits: limits)
        let bob = RequestLimiter.Key.user(Sample.user(1))
        for _ in 0..<2 { #expect(limiter.take(bob, now: 1_000).retryAfterSeconds == nil) }
        #expect(limiter.take(bob, now: 1_000).retryAfterSeconds == 1)
        for number in 0..<7 { _ = limiter.take(.address(AddressKey(packed: [10, 0, 0, UInt8(number)])), now: 0) }
        // The addresses have their full bucket back by now; the user has not.
        _ = limiter.take(.address(AddressKey(packed: [10, 0, 1, 0])), now: 1_500)
        #expect(limiter.keyCount == 2)
        #expect(limiter.take(bob, now: 1_500).retryAfterSeconds == 1)
        for number in 0..<200 {
            _ = limiter.take(.address(AddressKey(packed: [10, 1, 0, UInt8(number)])), now: 1_500)
            #expect(limiter.keyCount <= 8)
        }
    }

    @Test("a second request under an Idempotency-Key whose first is not answered yet is asked to wait")
    func unanswered() {
        let store = IdempotencyStore(limits: Limits())
        let key = IdempotencyStore.Key(user: Sample.user(1), text: "k")
        guard case .new = store.begin(key, fingerprint: [1], now: 0) else {
            Issue.record("the first request was not let through")
            return
        }
        guard case .refused(let error) = store.begin(key, fingerprint: [1], now: 1) else {
            Issue.record("the second request was let through")
            return
        }
        #expect(error.code == .conflict)
        #expect(error.retryAfterSeconds == 1)
        let other = IdempotencyStore.Key(user: Sample.user(2), text: "k")
        guard case .new = store.begin(other, fingerprint: [2], now: 1) else {
            Issue.record("another user's key is another key")
            return
        }
    }

    @Test("a query is read up to its bound, once decoded, first value first")
    func query() throws {
        let query = try Query("q=a%20b+c&q=d&empty&limit=5&%E6%9D%8E=%E9%9B%B7&x=%2B")
        #expect(query["q"] == "a b c")
        #expect(query["empty"] == "")
        #expect(query["李"] == "雷")
        #expect(query["x"] == "+")
        #expect(try query.integer("limit") == 5)
        #expect(throws: SkerryError.self) { try Query((0..<40).map { "a\($0)=1" }.joined(separator: "&")) }
        for broken in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%00", "%ff=1"] { #expect(throws: SkerryError.self) { try Query(broken) } }
    }

    @Test("tags match strongly")
    func tags() {
        #expect(EntityTag.list("\"a\", \"b\"", names: "\"b\""))
        #expect(EntityTag.list(" \"b\" ", names: "\"b\""))
        #expect(EntityTag.list("*", names: "\"b\""))
        #expect(!EntityTag.list("W/\"b\"", names: "\"b\""))
        #expect(!EntityTag.list("b", names: "\"b\""))
        #expect(!EntityTag.list("", names: "\"b\""))
    }
}
