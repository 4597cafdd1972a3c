import SkerryModel
import TestKit
import Testing

@testable import Account

@Suite("Rate limits")
struct RateLadderTests {
    private func ladder(keysMax: Int = 100) -> RateLadder<String> { RateLadder(policy: .login, keysMax: keysMax) }

    @Test("Five tries are free, then the bans grow: 10 s, 1 min, 10 min, 1 h, 1 h")
    func grows() {
        var ladder = self.ladder()
        var now: UInt64 = 1_000
        for _ in 0..<5 { #expect(ladder.attempt("a", now: now) == .allow) }
        for seconds in [10, 60, 600, 3_600, 3_600] {
            #expect(ladder.attempt("a", now: now) == .refuse(retryAfterSeconds: seconds))
            // Asking during the ban changes nothing.
            #expect(ladder.attempt("a", now: now + 1) == .refuse(retryAfterSeconds: seconds))
            now += UInt64(seconds) * 1_000
            #expect(ladder.attempt("a", now: now) == .allow)
        }
    }

    @Test("Quiet time gives tries and steps back")
    func decays() {
        var ladder = self.ladder()
        var now: UInt64 = 0
        for _ in 0..<5 { _ = ladder.attempt("a", now: now) }
        #expect(ladder.attempt("a", now: now) == .refuse(retryAfterSeconds: 10))
        now += 10_000
        _ = ladder.attempt("a", now: now)
        #expect(ladder.attempt("a", now: now) == .refuse(retryAfterSeconds: 60))
        now += 60_000 + 3 * 3_600_000
        for _ in 0..<5 { #expect(ladder.attempt("a", now: now) == .allow) }
        #expect(ladder.attempt("a", now: now) == .refuse(retryAfterSeconds: 10))
    }

    @Test("A person who tries twice a minute is never refused")
    func patient() {
        var ladder = self.ladder()
        for try_ in 0..<1_000 { #expect(ladder.attempt("a", now: UInt64(try_) * 30_000) == .allow) }
    }

    @Test("Keys do not disturb each other, and forgiveness is complete")
    func keys() {
        var ladder = self.ladder()
        for _ in 0..<6 { _ = ladder.attempt("a", now: 0) }
        #expect(ladder.attempt("a", now: 1) != .allow)
        #expect(ladder.attempt("b", now: 1) == .allow)
        ladder.forgive("a")
        for _ in 0..<5 { #expect(ladder.attempt("a", now: 1) == .allow) }
    }

    @Test("At the bound the longest idle key is forgotten, and memory does not grow")
    func bounded() {
        var ladder = self.ladder(keysMax: 8)
        for _ in 0..<6 { _ = ladder.attempt("old", now: 0) }
        for _ in 0..<6 { _ = ladder.attempt("kept", now: 1) }
        for index in 0..<6 { _ = ladder.attempt("k\(index)", now: 2) }
        #expect(ladder.keyCount == 8)
        #expect(ladder.attempt("new", now: 3) == .allow)
        #expect(ladder.keyCount == 8)
        #expect(ladder.attempt("kept", now: 3) != .allow)
        #expect(ladder.attempt("old", now: 3) == .allow)
        for index in 0..<10_000 {
            _ = ladder.attempt("flood\(index)", now: UInt64(index))
            #expect(ladder.keyCount <= 8)
        }
    }

    @Test("A clock that steps back neither crashes nor lifts a ban")
    func backwards() {
        var ladder = self.ladder()
        for _ in 0..<6 { _ = ladder.attempt("a", now: 1_000_000) }
        #expect(ladder.attempt("a", now: 5) != .allow)
    }

    @Test("A refusal says how long to wait")
    func refusal() {
        var ladder = self.ladder()
        for _ in 0..<5 { _ = ladder.attempt("a", now: 0) }
        #expect(throws: SkerryError(.rateLimited, "Too many tries; wait 10 s and try again.", retryAfterSeconds: 10)) { try ladder.check("a", now: 0) }
    }

    @Test("A bucket grants its burst and its rate over any stretch of time, never more", arguments: 1...20 as ClosedRange<UInt64>)
    func bucket(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let rate = TokenBucket.Rate(
            burst: Int.random(in: 1...50, using: &random), refill: Int.random(in: 1...20, using: &random),
            periodMilliseconds: .random(in: 1...5_000, using: &random))
        var bucket = TokenBucket(rate, now: 0)
        var (now, granted): (UInt64, UInt64) = (0, 0)
        for _ in 0..<2_000 {
            now += .random(in: 0...200, using: &random)
            if let wait = bucket.take(rate, now: now) {
                #expect(wait > 0)
                var later = bucket
                #expect(later.take(rate, now: now + wait) == nil, "seed \(seed)")
            } else {
                granted += 1
            }
            #expect(granted <= UInt64(rate.burst) + now * UInt64(rate.refill) / rate.periodMilliseconds, "seed \(seed)")
        }
        #expect(bucket.isFull(rate, now: .max))
        #expect(bucket.take(rate, pieces: rate.burst + 1, now: .max) != nil)
    }

    @Test("One IPv6 network is one key; IPv4 counts each address, mapped or not")
    func addresses() {
        let network: [UInt8] = [0x20, 0x01, 0x0D, 0xB8, 0, 1, 0, 2]
        #expect(AddressKey(packed: network + [0, 0, 0, 0, 0, 0, 0, 1]) == AddressKey(packed: network + [9, 9, 9, 9, 9, 9, 9, 9]))
        #expect(AddressKey(packed: network + [UInt8](repeating: 0, count: 8)) != AddressKey(packed: network.reversed() + [UInt8](repeating: 0, count: 8)))
        #expect(AddressKey(packed: [10, 0, 0, 1]) != AddressKey(packed: [10, 0, 0, 2]))
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 10, 0, 0, 1]
        #expect(AddressKey(packed: mapped) == AddressKey(packed: [10, 0, 0, 1]))
        #expect(AddressKey(packed: [UInt8](repeating: 0, count: 16)) != AddressKey(packed: [0, 0, 0, 0]))
        #expect(AddressKey(packed: []) == AddressKey(packed: [1, 2]))
    }

    @Test(
        "an address is written as people write it",
        arguments: [
            ([192, 168, 1, 20], "192.168.1.20"), ([0, 0, 0, 0], "0.0.0.0"),
            ([0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9], "2001:db8:0:1::/64"), ([], "local"),
        ] as [([UInt8], String)])
    func description(_ packed: [UInt8], _ text: String) { #expect("\(AddressKey(packed: packed))" == text) }
}
