package import Account

/// So many at once and so many a second from each address, for what strangers may do: opening connections, CONNECT.
///
/// Bounded: at the bound the addresses whose bucket is full again are forgotten, and if those are few, all of them. A flood from more
/// addresses than are remembered is not slowed down by this; the bounds on connections still hold.
package struct AddressRates: Sendable {
    private var buckets: [AddressKey: TokenBucket] = [:]
    private let keysMax: Int

    package init(keysMax: Int) { self.keysMax = max(1, keysMax) }

    package var keyCount: Int { self.buckets.count }

    /// False: too many from this address. Time is monotonic milliseconds.
    package mutating func take(_ address: AddressKey, _ rate: TokenBucket.Rate, now: UInt64) -> Bool {
        if var bucket = self.buckets[address] {
            let isTaken = bucket.take(rate, now: now) == nil
            self.buckets[address] = bucket
            return isTaken
        }
        if self.buckets.count >= self.keysMax {
            self.buckets = self.buckets.filter { !$0.value.isFull(rate, now: now) }
            // A search that frees little would be made again for the next few.
            if self.buckets.count > self.keysMax - self.keysMax / 8 { self.buckets.removeAll(keepingCapacity: true) }
        }
        var bucket = TokenBucket(rate, now: now)
        _ = bucket.take(rate, now: now)
        self.buckets[address] = bucket
        return true
    }
}
