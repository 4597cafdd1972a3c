package import SkerryModel

extension Bytes16 {
    /// Sixteen bytes of `random`.
    package init(randomFrom random: inout some RandomNumberGenerator) {
        self.init(high: random.next(), low: random.next())
    }
}

extension Identifier {
    /// A new id: 128 random bits, so that two boxes never make the same.
    package static func random(using random: inout some RandomNumberGenerator) -> Self {
        Self(Bytes16(randomFrom: &random))
    }
}
