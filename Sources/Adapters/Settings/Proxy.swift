import SkerryModel

extension Settings {
    static let proxyDeclarations: [Declaration] = [
        Declaration(
            key: "proxy.trusted", form: "IP addresses or blocks such as 10.0.0.0/8, with commas between",
            text: "Proxies that tell with the PROXY protocol (version 1 or 2) for whom they connect, on every port. A connection from one of them must begin "
                + "with such a header; from anywhere else such a header closes it."
        ) { settings, value throws(InvalidValue) in
            settings.trustedProxies = try Self.ranges(value)
        } render: {
            $0.trustedProxies.map(\.description).joined(separator: ", ")
        }.live()
    ]

    private static let rangesMax = 100

    private static func ranges(_ text: String) throws(InvalidValue) -> [AddressRange] {
        if text.isEmpty { return [] }
        var ranges: [AddressRange] = []
        for piece in text.split(separator: ",", omittingEmptySubsequences: false) {
            let written = Trimming.trim(piece)
            guard let range = AddressRange(written) else {
                throw InvalidValue("holds '\(written)', which is no address and no block such as 10.0.0.0/8 or fd00::/8 (behind the length all bits are 0)")
            }
            ranges.append(range)
        }
        guard ranges.count <= Self.rangesMax else { throw InvalidValue("may hold at most \(Self.rangesMax) blocks") }
        return ranges
    }
}
