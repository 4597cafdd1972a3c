#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A rate per minute over about the last 1, 5 and 15 minutes, as Mosquitto reckons `$SYS/broker/load/…`: at every publication the average moves
/// towards the rate since the last one, the further the more time has passed.
struct LoadAverage: Sendable {
    static let minutes = [1, 5, 15]
    private(set) var values = [0.0, 0.0, 0.0]
    private var count: Int

    init(from count: Int) { self.count = count }

    /// - Parameter count: of all that ever happened.
    mutating func update(_ count: Int, seconds: Double) {
        guard seconds > 0 else { return }
        let rate = Double(count - self.count) * 60 / seconds
        self.count = count
        for (index, minutes) in Self.minutes.enumerated() {
            self.values[index] = rate + exp(-seconds / (60 * Double(minutes))) * (self.values[index] - rate)
        }
    }

    /// With two digits behind the point, as printf's `%.2f`.
    static func text(_ value: Double) -> String {
        let hundredths = Int(min(max(value, 0), 1e15) * 100 + 0.5)
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
