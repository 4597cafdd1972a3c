package import SkerryModel

/// Slows down whoever guesses: a few free tries, then bans that grow with every further one, then forgetting (PRODUCT.md M7).
///
/// Every try counts when it is made, not when it fails, so a thousand guesses at once are not a thousand free ones; `forgive` after a
/// success gives them back. Keys are bounded: at the bound the longest idle are forgotten, so a flood of keys costs memory nothing.
///
/// Use one for addresses (`AddressKey`) and one for names. Never forgive an address for one good login: an attacker has an account too.
package struct RateLadder<Key: Hashable & Sendable>: Sendable {
    package struct Policy: Sendable, Hashable {
        /// Tries that are free, and how fast they come back.
        package var rate: TokenBucket.Rate
        /// Seconds of the first ban, the second, …; the last is repeated.
        package var banSeconds: [Int]
        /// Seconds of quiet after which one step of the ladder is forgotten.
        package var decaySeconds: Int

        package init(rate: TokenBucket.Rate, banSeconds: [Int], decaySeconds: Int) {
            self.rate = rate
            self.banSeconds = banSeconds.isEmpty ? [1] : banSeconds
            self.decaySeconds = max(1, decaySeconds)
        }

        /// Five tries, one more every half minute; 10 s, 1 min, 10 min, 1 h; a step forgotten an hour.
        package static var login: Policy {
            Policy(rate: .init(burst: 5, periodMilliseconds: 30_000), banSeconds: [10, 60, 600, 3_600], decaySeconds: 3_600)
        }

        /// For an address, behind which a whole household may sit: twenty tries, one more every six seconds; the same ladder.
        package static var address: Policy {
            Policy(rate: .init(burst: 20, periodMilliseconds: 6_000), banSeconds: [10, 60, 600, 3_600], decaySeconds: 3_600)
        }
    }

    package enum Answer: Sendable, Hashable {
        case allow
        case refuse(retryAfterSeconds: Int)
    }

    private struct Entry {
        var bucket: TokenBucket
        var step = 0
        /// No try before this time.
        var bannedUntil: UInt64 = 0
        var seen: UInt64
        /// Up to when quiet time has been counted towards forgetting.
        var decayedAt: UInt64
    }

    private let policy: Policy
    private let keysMax: Int
    private var entries: [Key: Entry] = [:]

    package init(policy: Policy, keysMax: Int) {
        self.policy = policy
        self.keysMax = max(1, keysMax)
    }

    package var keyCount: Int { self.entries.count }

    /// Counts a try of `key` at `now` (monotonic milliseconds).
    package mutating func attempt(_ key: Key, now: UInt64) -> Answer {
        var entry = self.entries[key] ?? Entry(bucket: TokenBucket(self.policy.rate, now: now), seen: now, decayedAt: now)
        if self.entries[key] == nil { self.makeRoom() }
        self.decay(&entry, now)
        entry.seen = max(entry.seen, now)
        defer { self.entries[key] = entry }

        if now < entry.bannedUntil { return .refuse(retryAfterSeconds: Self.seconds(entry.bannedUntil - now)) }
        if entry.bucket.take(self.policy.rate, now: now) == nil { return .allow }

        let seconds = self.policy.banSeconds[min(entry.step, self.policy.banSeconds.count - 1)]
        entry.step = min(entry.step + 1, self.policy.banSeconds.count)
        entry.bannedUntil = now + UInt64(seconds) * 1_000
        // One try after the ban, so that a person can get it right; a second one at once is the next step up.
        entry.bucket.set(1, self.policy.rate, now: entry.bannedUntil)
        entry.decayedAt = entry.bannedUntil
        return .refuse(retryAfterSeconds: seconds)
    }

    /// As `attempt`, as a refusal that clients understand.
    package mutating func check(_ key: Key, now: UInt64) throws(SkerryError) {
        guard case .refuse(let seconds) = self.attempt(key, now: now) else { return }
        throw SkerryError(.rateLimited, "Too many tries; wait \(seconds) s and try again.", retryAfterSeconds: seconds)
    }

    /// Forgets `key`: it proved to be who it says.
    package mutating func forgive(_ key: Key) {
        self.entries[key] = nil
    }

    /// Takes back one try of `key` that was allowed and succeeded; its bans stay. Whoever succeeds wins no further tries by it.
    package mutating func giveBack(_ key: Key) {
        self.entries[key]?.bucket.give(self.policy.rate)
    }

    private func decay(_ entry: inout Entry, _ now: UInt64) {
        guard now > entry.decayedAt else { return }
        let steps = (now - entry.decayedAt) / (UInt64(self.policy.decaySeconds) * 1_000)
        guard steps > 0 else { return }
        entry.step = steps >= UInt64(entry.step) ? 0 : entry.step - Int(steps)
        entry.decayedAt += steps * UInt64(self.policy.decaySeconds) * 1_000
    }

    /// Forgets an eighth at a time, so that the search for the longest idle is paid for by many new keys.
    private mutating func makeRoom() {
        guard self.entries.count >= self.keysMax else { return }
        let count = max(1, self.keysMax / 8)
        for (key, _) in self.entries.sorted(by: { $0.value.seen < $1.value.seen }).prefix(count) { self.entries[key] = nil }
    }

    private static func seconds(_ milliseconds: UInt64) -> Int { Int((milliseconds + 999) / 1_000) }
}
