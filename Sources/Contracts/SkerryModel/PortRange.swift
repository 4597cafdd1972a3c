/// On which ports a listener may be: one, the lowest free one of several, or any.
package struct PortRange: Sendable, Hashable, ExpressibleByIntegerLiteral, CustomStringConvertible {
    /// Ports of one range: each is tried in turn.
    package static let countMax = 1_000

    package let first: Int
    package let last: Int

    private init(_ first: Int, _ last: Int) {
        self.first = first
        self.last = last
    }

    /// 0 is any.
    package init(_ port: Int) { self.init(port, port) }
    package init(integerLiteral port: Int) { self.init(port) }

    /// `8080`, `8080-8089`, or `0` for any; nil for anything else.
    package init?(text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count <= 2, let low = parts.first, let high = parts.last, let start = Self.port(low), let end = Self.port(high) else { return nil }
        guard parts.count == 1 || start >= 1 && start <= end, end - start < Self.countMax else { return nil }
        self.init(start, end)
    }

    private static func port(_ text: some StringProtocol) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ 48...57 ~= $0 }), let port = Int(text), port <= 65_535 else { return nil }
        return port
    }

    /// The port, when it is known before the listener is bound.
    package var fixed: Int? { self.first == self.last && self.first != 0 ? self.first : nil }
    package var isAny: Bool { self.first == 0 }
    package var ports: ClosedRange<Int> { self.first...self.last }

    package var description: String { self.first == self.last ? "\(self.first)" : "\(self.first)-\(self.last)" }
}
