import SkerryModel

/// The query of a request: a few named texts. Unknown names are ignored; of a repeated name the first counts.
struct Query {
    private var values: [String: String] = [:]
    /// Parameters that are read at all; no route knows more than four.
    private static let parametersMax = 32

    init(_ raw: String?) throws(SkerryError) {
        guard let raw, !raw.isEmpty else { return }
        let pairs = raw.split(separator: "&", maxSplits: Self.parametersMax)
        guard pairs.count <= Self.parametersMax else {
            throw SkerryError(.badRequest, "A query has at most \(Self.parametersMax) parameters.")
        }
        for pair in pairs {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = halves.first, let name = PercentDecoding.decode(first, plusIsSpace: true),
                let value = PercentDecoding.decode(halves.dropFirst().first ?? "", plusIsSpace: true)
            else { throw SkerryError(.badRequest, "The query is not percent-encoded UTF-8.") }
            if self.values[name] == nil { self.values[name] = value }
        }
    }

    subscript(name: String) -> String? { self.values[name] }

    /// A whole number; nil when absent.
    func integer(_ name: String) throws(SkerryError) -> Int? {
        guard let text = self.values[name] else { return nil }
        guard let value = Int(text) else { throw SkerryError(.payloadInvalid, "\(name) is a whole number.", field: name) }
        return value
    }

    /// A page size within `range`; larger is an error, not less than was asked for (PRODUCT.md §7).
    func limit(max: Int, default: Int) throws(SkerryError) -> Int {
        guard let limit = try self.integer("limit") else { return `default` }
        guard (1...max).contains(limit) else { throw SkerryError(.payloadInvalid, "limit is 1 to \(max).", field: "limit") }
        return limit
    }
}
