/// Which pages may open a WebSocket: a browser says in `Origin` where a page is from; other programs send none and are not restricted.
package enum OriginRule: Sendable {
    /// Pages of this box, as the client addressed it in `Host`, and those listed (`https://panel.example`).
    case ownPages(also: [String])
    /// Pages of this box, and those of other boxes that `isSister` knows by their origin. Only for a protocol whose sessions begin with a token in a
    /// message: where a browser adds something by itself, the page of another box would act as whoever is signed in at this one.
    case federationPages(isSister: @Sendable (_ origin: String) -> Bool)
    case any

    /// - Parameter host: the value of `Host`.
    func allows(_ origin: String, host: String) -> Bool {
        switch self {
        case .any: return true
        case .ownPages(let others):
            if others.contains(where: { $0.lowercased() == origin.lowercased() }) { return true }
            return Self.isSame(origin.lowercased(), host.lowercased())
        case .federationPages(let isSister): return Self.isSame(origin.lowercased(), host.lowercased()) || isSister(origin)
        }
    }

    /// The same host and port. A port that the origin's scheme implies may be left out on either side, because behind a TLS proxy only the
    /// browser knows the scheme.
    private static func isSame(_ origin: String, _ host: String) -> Bool {
        let implied: String
        let address: Substring
        if origin.hasPrefix("https://") {
            (implied, address) = (":443", origin.dropFirst(8))
        } else if origin.hasPrefix("http://") {
            (implied, address) = (":80", origin.dropFirst(7))
        } else {
            return false
        }
        func withoutImplied(_ text: Substring) -> Substring { text.hasSuffix(implied) ? text.dropLast(implied.count) : text }
        return !address.isEmpty && withoutImplied(address) == withoutImplied(host[...])
    }
}
