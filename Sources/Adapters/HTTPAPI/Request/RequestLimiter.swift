import Account
import HTTPTypes
import SkerryModel
import Synchronization

/// How fast one user, or one address without a token, may ask. A leaf lock around a map of buckets.
final class RequestLimiter: Sendable {
    enum Key: Hashable {
        case user(UserID)
        case address(AddressKey)
    }

    /// What is left, for the `RateLimit-*` headers.
    struct Answer {
        var limit: Int
        var remaining: Int
        var resetSeconds: Int
        /// Nil: go ahead.
        var retryAfterSeconds: Int?

        func write(to headers: inout HTTPFields) {
            headers[.rateLimitLimit] = String(self.limit)
            headers[.rateLimitRemaining] = String(self.remaining)
            headers[.rateLimitReset] = String(self.resetSeconds)
        }
    }

    private let buckets = Mutex<[Key: TokenBucket]>([:])
    private let rate: TokenBucket.Rate
    private let keysMax: Int

    init(limits: Limits) {
        self.rate = TokenBucket.Rate(burst: limits.httpBurst, refill: limits.httpPerSecond, periodMilliseconds: 1_000)
        self.keysMax = max(1, limits.limiterKeysMax)
    }

    var keyCount: Int { self.buckets.withLock(\.count) }

    func take(_ key: Key, now: UInt64) -> Answer {
        self.buckets.withLock { buckets in
            if buckets[key] == nil, buckets.count >= self.keysMax {
                // Whoever has a full bucket is not being limited; if all are, the box is under a flood and starts afresh.
                buckets = buckets.filter { !$0.value.isFull(self.rate, now: now) }
                if buckets.count >= self.keysMax { buckets.removeAll() }
            }
            var bucket = buckets[key] ?? TokenBucket(self.rate, now: now)
            let wait = bucket.take(self.rate, now: now)
            buckets[key] = bucket
            let remaining = bucket.remaining(self.rate, now: now)
            let missing = self.rate.burst - remaining
            return Answer(
                limit: self.rate.burst, remaining: remaining, resetSeconds: (missing + self.rate.refill - 1) / self.rate.refill,
                retryAfterSeconds: wait.map { Int(($0 + 999) / 1_000) })
        }
    }
}
