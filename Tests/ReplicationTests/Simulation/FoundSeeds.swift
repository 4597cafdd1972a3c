import Simulator
import Testing

/// Runs that found something. A seed means a world only as long as the simulator draws the same from it: when that changes, what they found is
/// looked for among the thousands anyway, and these are worlds like others.
enum FoundSeeds {
    struct Seed: Sendable, CustomTestStringConvertible {
        var found: String
        var options: SimOptions

        init(_ seed: UInt64, _ found: String, _ change: (inout SimOptions) -> Void = { _ in }) {
            self.found = found
            self.options = SimOptions(seed: seed)
            change(&self.options)
        }

        var testDescription: String { "\(self.options.seed): \(self.found)" }
    }

    static let all: [Seed] = [
        Seed(107, "an entry beyond a removed box's cut came from behind a gap"),
        Seed(181, "an answer asked for before an apply failed was called malformed"),
        Seed(1991, "an answer that went on beyond a removed box's cut was called malformed"),
        Seed(103, "an epoch was called over because the digest that opened it was lost"),
        Seed(3029, "a late greeting of an earlier run was taken for a second box"),
        Seed(13_816, "a holder that had heard more of an origin than this box was called malformed"),
        Seed(613, "receipts that had expired were kept by those who had applied them"),
        Seed(14, "a receipt expired before the message that it points to, which a fast clock had stamped") { $0.span = 60_000 },
        Seed(44_574, "wiped boxes that had not heard of a member"),
    ]
}
