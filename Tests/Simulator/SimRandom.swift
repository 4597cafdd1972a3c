/// SplitMix64 with cheap helpers: one seed, the same numbers on every machine. The standard library's `random(in:using:)` may change its
/// method with the toolchain, and a seed must not mean another run then.
package struct SimRandom {
    private var state: UInt64

    package init(seed: UInt64) { self.state = seed }

    package mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var value = self.state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    /// 0 up to `bound`, not reaching it; 0 for a bound below 1.
    package mutating func below(_ bound: Int) -> Int {
        guard bound > 1 else { return 0 }
        return Int(self.next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    package mutating func between(_ low: Int, _ high: Int) -> Int { low + self.below(high - low + 1) }
    package mutating func time(_ low: UInt64, _ high: UInt64) -> UInt64 { low + UInt64(self.below(Int(high - low) + 1)) }
    /// True in `perMille` of a thousand cases.
    package mutating func chance(_ perMille: Int) -> Bool { perMille > 0 && self.below(1000) < perMille }
    package mutating func pick<Element>(_ elements: [Element]) -> Element? { elements.isEmpty ? nil : elements[self.below(elements.count)] }

    /// Numbers of another use that do not shift when this one draws more.
    package mutating func fork() -> SimRandom { SimRandom(seed: self.next()) }
}

/// A source of numbers that closures can share; a run stays on one thread.
final class SharedRandom: @unchecked Sendable {
    private var random: SimRandom
    init(_ random: SimRandom) { self.random = random }
    func next() -> UInt64 { self.random.next() }
}
