/// RFC 3339 in UTC with milliseconds, as every answer writes times.
package enum Timestamp {
    package static func text(_ milliseconds: UInt64) -> String {
        let seconds = milliseconds / 1000
        let (year, month, day) = Self.civil(days: Int(min(seconds / 86_400, 2_932_896)))
        let second = Int(seconds % 86_400)
        var text: [UInt8] = []
        text.reserveCapacity(24)
        Self.append(year, 4, to: &text)
        text.append(UInt8(ascii: "-"))
        Self.append(month, 2, to: &text)
        text.append(UInt8(ascii: "-"))
        Self.append(day, 2, to: &text)
        text.append(UInt8(ascii: "T"))
        Self.append(second / 3600, 2, to: &text)
        text.append(UInt8(ascii: ":"))
        Self.append(second / 60 % 60, 2, to: &text)
        text.append(UInt8(ascii: ":"))
        Self.append(second % 60, 2, to: &text)
        text.append(UInt8(ascii: "."))
        Self.append(Int(milliseconds % 1000), 3, to: &text)
        text.append(UInt8(ascii: "Z"))
        return String(decoding: text, as: UTF8.self)
    }

    private static func append(_ value: Int, _ width: Int, to text: inout [UInt8]) {
        var divisor = 1
        for _ in 1..<width { divisor *= 10 }
        while divisor > 0 {
            text.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }

    /// Year, month, day of a count of days since 1970-01-01 in the Gregorian calendar, counted in eras of 400 years that start in March.
    private static func civil(days: Int) -> (Int, Int, Int) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}
