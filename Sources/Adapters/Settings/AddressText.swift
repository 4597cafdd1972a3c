import SkerryModel

/// Whether a text can be an address to listen on. Names are refused: a box has no DNS to ask.
enum AddressText {
    static func isAddress(_ text: String) -> Bool { Self.isVersion4(text[...]) || Self.isVersion6(text) }

    /// `192.168.1.2:1883`, `[fe80::1%eth0]:1883`, or a port alone; a range may stand for the port.
    static func place(_ text: String) throws(InvalidValue) -> (address: String, port: PortRange) {
        let problem = InvalidValue("must be ADDRESS:PORT, such as 192.168.1.2:1883 or [fd00::2]:1883, or a port alone")
        guard let end = text.lastIndex(where: { $0 == ":" || $0 == "]" }) else { return ("", try Self.port(text[...], problem)) }
        guard text[end] == ":" else { throw problem }
        let (host, port) = (text[..<end], try Self.port(text[text.index(after: end)...], problem))
        if host.hasPrefix("["), host.hasSuffix("]") {
            let address = String(host.dropFirst().dropLast())
            guard Self.isVersion6(address) else { throw problem }
            return (address, port)
        }
        guard Self.isVersion4(host) else { throw problem }
        return (String(host), port)
    }

    private static func port(_ text: Substring, _ problem: InvalidValue) throws(InvalidValue) -> PortRange {
        guard let ports = PortRange(text: text) else { throw problem }
        return ports
    }

    static func text(_ address: String, _ port: PortRange) -> String {
        address.isEmpty ? "\(port)" : address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }

    private static func isVersion4(_ text: Substring) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { (1...3).contains($0.utf8.count) && $0.utf8.allSatisfy { 48...57 ~= $0 } && UInt8($0) != nil }
    }

    /// RFC 4291 §2.2, with an optional zone (`fe80::1%eth0`).
    private static func isVersion6(_ text: String) -> Bool {
        let pieces = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = pieces.first, address.contains(":"), pieces.count == 1 || pieces.last?.isEmpty == false else { return false }
        // At most one run of zeros may be left out.
        let halves = Self.halves(address)
        guard halves.count <= 2 else { return false }
        var groups = 0
        for (index, half) in halves.enumerated() where !half.isEmpty {
            let parts = half.split(separator: ":", omittingEmptySubsequences: false)
            for (position, part) in parts.enumerated() {
                if index == halves.count - 1, position == parts.count - 1, Self.isVersion4(part) {
                    groups += 2
                } else if (1...4).contains(part.utf8.count), part.allSatisfy(\.isHexDigit) {
                    groups += 1
                } else {
                    return false
                }
            }
        }
        return halves.count == 2 ? groups <= 7 : groups == 8
    }

    private static func halves(_ text: Substring) -> [Substring] { text.split(separator: "::", omittingEmptySubsequences: false) }
}
