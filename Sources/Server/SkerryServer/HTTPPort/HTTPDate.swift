import SkerryNode
import Synchronization

/// A time in the form of HTTP's `Date` (RFC 9110 §5.6.7).
enum HTTPDate {
    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// - Parameter seconds: since 1970.
    static func text(_ seconds: UInt64) -> String {
        let (day, time) = seconds.quotientAndRemainder(dividingBy: 86_400)
        // Days to civil date, counted in 400-year eras from 1 March of the year 0.
        let shifted = day + 719_468
        let (era, dayOfEra) = shifted.quotientAndRemainder(dividingBy: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let march = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * march + 2) / 5 + 1
        let month = march < 10 ? march + 3 : march - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let clock = [time / 3_600, time / 60 % 60, time % 60].map { Self.padded($0) }.joined(separator: ":")
        return "\(Self.days[Int(day % 7)]), \(Self.padded(dayOfMonth)) \(Self.months[Int(month) - 1]) \(year) \(clock) GMT"
    }

    private static func padded(_ number: UInt64) -> String { number < 10 ? "0\(number)" : "\(number)" }
}

/// The text of the current second, made once a second at most.
final class HTTPDateCache: Sendable {
    private let clock: NodeClock
    private let current = Mutex((seconds: UInt64.max, text: ""))

    init(clock: NodeClock) { self.clock = clock }

    var text: String {
        let seconds = self.clock.wall() / 1000
        return self.current.withLock { current in
            if current.seconds != seconds { current = (seconds, HTTPDate.text(seconds)) }
            return current.text
        }
    }
}
