/// What counts as one address to a limiter: an IPv4 address, or the /64 network of an IPv6 one, in which a single host may have any number.
package struct AddressKey: Sendable, Hashable, CustomStringConvertible {
    private let network: UInt64

    /// - Parameter packed: the 4 or 16 bytes of the address in network order. IPv4-mapped IPv6 is the IPv4 address; other lengths
    ///   (a Unix socket has none) all share one key.
    package init(packed: some Collection<UInt8>) {
        let bytes = Array(packed)
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        switch bytes.count {
        case 4: self.network = Self.number(bytes) | Self.version4
        case 16 where Array(bytes.prefix(12)) == mapped: self.network = Self.number(Array(bytes.suffix(4))) | Self.version4
        case 16: self.network = Self.number(Array(bytes.prefix(8)))
        default: self.network = 0
        }
    }

    /// Marks an IPv4 address: the network fe00::/8 is in nobody's use.
    private static let version4: UInt64 = 0xFE00_0000_0000_0000

    private static func number(_ bytes: [UInt8]) -> UInt64 { bytes.reduce(0) { ($0 << 8) | UInt64($1) } }

    /// As a person reads it: `192.168.1.20`, `2001:db8:0:1::/64`, `local`.
    package var description: String {
        if self.network == 0 { return "local" }
        if self.network >> 32 == Self.version4 >> 32 {
            return [24, 16, 8, 0].map { String(self.network >> $0 & 0xFF) }.joined(separator: ".")
        }
        return [48, 32, 16, 0].map { String(self.network >> $0 & 0xFFFF, radix: 16) }.joined(separator: ":") + "::/64"
    }
}
