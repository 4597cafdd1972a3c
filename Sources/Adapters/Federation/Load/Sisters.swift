import Replication
package import SkerryModel
package import SkerryNode

extension LoadFeature {
    /// The other active boxes, for web pages that go from one to another. What a box said of itself counts here also when it is gone: its pages are
    /// still open, and have to go elsewhere now.
    package func sisters(among members: [BoxID: MemberEntry], except own: BoxID) -> [SisterBox] {
        let statuses = self.statuses
        return members.values.filter { $0.standing == .active && $0.box != own }.sorted { $0.name < $1.name }.map { member in
            let told = statuses[member.box]?.heartbeat?.endpoints.map(\.address) ?? []
            let listed = member.endpoints.compactMap { Self.host(of: $0) }
            var addresses: [String] = []
            for address in told + listed where !addresses.contains(address) { addresses.append(address) }
            return SisterBox(box: member.box, name: member.name, addresses: addresses)
        }
    }

    /// Of `host:port`, IPv6 in brackets.
    private static func host(of endpoint: String) -> String? {
        guard let colon = endpoint.lastIndex(of: ":") else { return nil }
        let host = endpoint[..<colon]
        return String(host.hasPrefix("[") && host.hasSuffix("]") ? host.dropFirst().dropLast() : host)
    }
}
