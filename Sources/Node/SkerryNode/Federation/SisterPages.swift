package import SkerryModel

/// Another active box of the federation, as far as web pages are concerned with it.
package struct SisterBox: Sendable, Hashable {
    package var box: BoxID
    package var name: String
    /// Host names and IP addresses under which it serves people or boxes, or did when it was last heard; IPv6 without brackets.
    package var addresses: [String]

    package init(box: BoxID, name: String, addresses: [String]) {
        self.box = box
        self.name = name
        self.addresses = addresses
    }
}

/// A page that came from one box of the federation and talks to another: who lets it in, and where its policy lets it go.
///
/// It is safe to let it: no box knows cookies or anything else that a browser would add by itself, so a page can do no more than the token it was
/// given. The rule is narrow all the same, so that pages from anywhere else cannot make somebody's browser knock on the boxes of their network.
///
/// Both name hosts, at any port. A box takes the lowest free port of its range whenever it starts, and a page stays open for longer than that; and the
/// page of a box that died is let in by another one that never knew its ports.
package enum SisterPages {
    /// Addresses in one policy: those of 32 boxes with two each.
    package static let addressesMax = 64
    /// Bytes of an origin that is looked at.
    package static let originBytesMax = 128
    private static let hostBytesMax = 64

    /// Whether a page of this origin (RFC 6454 §6.1) comes from one of the boxes, at an address it is listed with or under its name.
    package static func allow(_ origin: String, from sisters: [SisterBox]) -> Bool {
        guard !sisters.isEmpty, let host = Self.host(of: origin) else { return false }
        return sisters.contains { sister in
            if sister.addresses.contains(where: { $0.lowercased() == host }) { return true }
            let name = sister.name.lowercased()
            return Self.isHost(name) && (host == name || host == "\(name).local")
        }
    }

    /// What a page may connect to beside its own box, as sources of a content security policy (CSP 3 §2.3.1); `http` stands for `https` too, and `ws`
    /// for `wss`. An IPv6 address cannot be written there, so nobody follows to a box that has no other.
    package static func policySources(_ sisters: [SisterBox]) -> [String] {
        var addresses: [String] = []
        for address in sisters.flatMap(\.addresses) where Self.isHost(address) && !addresses.contains(address) {
            if addresses.count == Self.addressesMax { break }
            addresses.append(address)
        }
        return addresses.flatMap { ["http://\($0):*", "ws://\($0):*"] }
    }

    /// In small letters, IPv6 without its brackets.
    private static func host(of origin: String) -> String? {
        guard origin.utf8.count <= Self.originBytesMax else { return nil }
        let text = origin.lowercased()
        guard let scheme = ["http://", "https://"].first(where: { text.hasPrefix($0) }) else { return nil }
        let authority = text.dropFirst(scheme.count)
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]"), Self.isPort(authority[authority.index(after: end)...]) else { return nil }
            return String(authority[..<end].dropFirst())
        }
        let end = authority.firstIndex(of: ":") ?? authority.endIndex
        guard Self.isHost(authority[..<end]), Self.isPort(authority[end...]) else { return nil }
        return String(authority[..<end])
    }

    /// Nothing, or a colon and digits.
    private static func isPort(_ text: Substring) -> Bool {
        text.isEmpty
            || (text.hasPrefix(":") && text.utf8.count > 1 && text.dropFirst().utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
    }

    /// Letters, digits, dots and hyphens: nothing that could end one rule and begin another, and nothing that stands for more than one host.
    private static func isHost(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.utf8.count <= Self.hostBytesMax
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                case UInt8(ascii: "."), UInt8(ascii: "-"): true
                default: false
                }
            }
    }
}
