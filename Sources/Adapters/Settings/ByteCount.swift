/// Numbers of bytes as people write them.
enum ByteCount {
    private static let units: [(suffix: Character, shift: Int)] = [("G", 30), ("M", 20), ("K", 10)]

    static func parse(_ text: String) -> Int? {
        guard let unit = Self.units.first(where: { text.uppercased().last == $0.suffix }) else { return Int(text) }
        guard let number = Int(text.dropLast()), number >= 0 else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << unit.shift)
        return overflow ? nil : bytes
    }

    /// The shortest exact form.
    static func render(_ bytes: Int) -> String {
        for (suffix, shift) in Self.units where bytes > 0 && bytes & ((1 << shift) - 1) == 0 { return "\(bytes >> shift)\(suffix)" }
        return "\(bytes)"
    }
}
