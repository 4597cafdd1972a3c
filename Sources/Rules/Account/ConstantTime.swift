/// Comparisons whose duration says nothing about where two secrets differ.
enum ConstantTime {
    /// Whether both are the same bytes. Only the lengths, which are no secret here, may show in the time it takes.
    static func equal(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for (a, b) in zip(left, right) { difference |= a ^ b }
        return difference == 0
    }
}
