package import SkerryModel

/// Another active box of the federation, as far as web pages are concerned with it.
package struct SisterBox: Sendable, Hashable {
    package var box: BoxID
    package var name: String
    /// Where it serves people, as it says itself.
    package var endpoints: [BoxEndpoint]

    package init(box: BoxID, name: String, endpoints: [BoxEndpoint]) {
        self.box = box
        self.name = name
        self.endpoints = endpoints
    }
}

/// A page that came from one box of the federation and talks to another: who lets it, and where its policy lets it go.
///
/// It is safe to let it: no box knows cookies or any other thing that a browser would add by itself, so a page can do no more than the token it was
/// given. The rule is narrow all the same, so that pages from anywhere else cannot make somebody's browser knock on the boxes of their network.
package enum SisterPages {
    /// Addresses in one policy; a federation of 32 boxes with two each.
    package static let addressesMax = 64
    private static let hostBytesMax = 64

    /// Whether a page of this origin comes from one of the boxes: at an address it is listed with or under its name, at a port where it serves pages.
    package static func allow(_ origin: String, from sisters: [SisterBox]) -> Bool {
        let origin = origin.lowercased()
        return sisters.contains { sister in
            sister.endpoints.contains { endpoint in
                guard Self.implied[endpoint.kind] != nil else { return false }
                return Self.hosts(of: sister, at: endpoint).contains { Self.origin(endpoint, host: $0) == origin }
            }
        }
    }

    /// What a page may connect to beside its own box, as sources of a content security policy (CSP 3 §2.3.1).
    ///
    /// Any port of these addresses: a box takes the lowest free one of its range whenever it starts, and a page stays open for longer than that. `http`
    /// stands for `https` too, and `ws` for `wss`. An IPv6 address cannot be written there, so a box that has no other is not followed to.
    package static func policySources(_ sisters: [SisterBox]) -> [String] {
        var addresses: [String] = []
        for sister in sisters {
            for endpoint in sister.endpoints where Self.isPolicyHost(endpoint.address) && !addresses.contains(endpoint.address) {
                if addresses.count < Self.addressesMax { addresses.append(endpoint.address) }
            }
        }
        return addresses.flatMap { ["http://\($0):*", "ws://\($0):*"] }
    }

    /// The port that a browser leaves out.
    private static let implied = ["http": 80, "https": 443]

    private static func hosts(of sister: SisterBox, at endpoint: BoxEndpoint) -> [String] {
        let address = endpoint.address.contains(":") ? "[\(endpoint.address)]" : endpoint.address
        let name = sister.name.lowercased()
        return Self.isPolicyHost(name) ? [address.lowercased(), name, "\(name).local"] : [address.lowercased()]
    }

    private static func origin(_ endpoint: BoxEndpoint, host: String) -> String {
        Self.implied[endpoint.kind] == endpoint.port ? "\(endpoint.kind)://\(host)" : "\(endpoint.kind)://\(host):\(endpoint.port)"
    }

    /// Letters, digits, dots and hyphens: nothing that could end one rule and begin another, and nothing that stands for more than one host.
    private static func isPolicyHost(_ text: String) -> Bool {
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
