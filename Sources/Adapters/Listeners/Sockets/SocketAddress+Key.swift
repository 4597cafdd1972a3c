package import Account
import NIOCore

extension SocketAddress {
    /// The 4 or 16 bytes of the IP address in network order; nil for a Unix socket.
    var packedAddress: [UInt8]? {
        switch self {
        // The address stands behind family and port (sockaddr_in), and behind the flow label as well (sockaddr_in6).
        case .v4(let address): withUnsafeBytes(of: address.address) { Array($0.dropFirst(4).prefix(4)) }
        case .v6(let address): withUnsafeBytes(of: address.address) { Array($0.dropFirst(8).prefix(16)) }
        case .unixDomainSocket: nil
        }
    }
}

extension SocketAddress? {
    /// What limiters count this address as; all that have none share one key.
    package var addressKey: AddressKey { AddressKey(packed: self?.packedAddress ?? []) }

    /// The address as a person reads it; the port is nobody's business.
    package var addressText: String { self?.ipAddress ?? "local" }
}
