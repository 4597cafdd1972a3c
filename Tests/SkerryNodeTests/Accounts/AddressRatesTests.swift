import Account
import SkerryNode
import Testing

@Suite("Rates by address") struct AddressRatesTests {
    private func key(_ number: Int) -> AddressKey { AddressKey(packed: [10, UInt8(number >> 16 & 0xFF), UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)]) }

    @Test("each address has its own bucket, which fills again")
    func buckets() {
        var rates = AddressRates(keysMax: 10)
        let rate = TokenBucket.Rate(burst: 2, refill: 1)
        #expect((0..<3).map { _ in rates.take(self.key(1), rate, now: 0) } == [true, true, false])
        let isOther = rates.take(self.key(2), rate, now: 0)
        #expect(isOther)
        #expect((0..<2).map { _ in rates.take(self.key(1), rate, now: 1_000) } == [true, false])
    }

    @Test("at the bound the addresses that are quiet are forgotten first, and never are more remembered")
    func bounded() {
        var rates = AddressRates(keysMax: 100)
        let rate = TokenBucket.Rate(burst: 2, refill: 1)
        for number in 0..<99 { _ = rates.take(self.key(number), rate, now: 0) }
        for _ in 0..<2 { _ = rates.take(self.key(99), rate, now: 5_000) }
        #expect(rates.keyCount == 100)
        let isForgotten = rates.take(self.key(100), rate, now: 5_000)
        #expect(isForgotten)
        #expect(rates.keyCount == 2, "only the busy one and the new one")
        let isBusy = !rates.take(self.key(99), rate, now: 5_000)
        #expect(isBusy, "a busy address is still slowed down")
        for number in 0..<100_000 {
            _ = rates.take(self.key(number), rate, now: 5_000)
            #expect(rates.keyCount <= 100)
        }
    }

    @Test("a lowered rate holds for the addresses that are known already")
    func lowered() {
        var rates = AddressRates(keysMax: 10)
        let isTaken = rates.take(self.key(1), TokenBucket.Rate(burst: 100, refill: 1), now: 0)
        #expect(isTaken)
        let lower = TokenBucket.Rate(burst: 1, refill: 1)
        #expect((0..<3).map { _ in rates.take(self.key(1), lower, now: 10) }.contains(false))
    }
}
