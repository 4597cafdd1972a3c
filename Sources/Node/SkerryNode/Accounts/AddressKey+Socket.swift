package import Account
package import NIOCore

extension SocketAddress {
    /// The 4 or 16 bytes of the address in network order; none for a Unix socket.
    package var packedAddress: [UInt8] {
        // Where they are in `sockaddr_in` and `sockaddr_in6`.
        let place: Range<Int>
        switch self {
        case .v4: place = 4..<8
        case .v6: place = 8..<24
        case .unixDomainSocket: return []
        }
        return self.withSockAddr { pointer, size in
            size < place.upperBound ? [] : Array(UnsafeRawBufferPointer(start: pointer, count: size)[place])
        }
    }
}

extension AddressKey {
    /// What the limiters count a connection by. Connections without an address (a Unix socket, a test) share one key.
    package init(_ address: SocketAddress?) { self.init(packed: address?.packedAddress ?? []) }
}
