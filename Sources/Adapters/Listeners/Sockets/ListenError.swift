package import SkerryModel

/// Why a listener could not be opened: names the address and says what to do.
package struct ListenError: Error, Sendable, Hashable, CustomStringConvertible {
    package var kind: String
    package var address: String
    package var port: PortRange
    package var reason: String
    /// Whether another port of the same address may do.
    var isOfPort = false

    package init(kind: String, address: String, port: PortRange, reason: String) {
        self.kind = kind
        self.address = address
        self.port = port
        self.reason = reason
    }

    package var description: String {
        "\(self.kind) cannot listen on \(self.address) port\(self.port.first == self.port.last ? "" : "s") \(self.port): \(self.reason)"
    }

    static let noneFree = "other programs have all of these ports. Stop one of them, or choose a larger range (0 takes any free port)."

    static func reason(errno number: Int32, port: Int, interface: String? = nil) -> String {
        switch number {
        case EADDRINUSE: "the port is in use by another program. Stop it, or choose another port (0 takes a free one)."
        case EACCES: "ports below 1024 need a privilege. Choose a higher port, or give Skerry CAP_NET_BIND_SERVICE."
        case EADDRNOTAVAIL: "this box does not have that address. Use one it has, or 0.0.0.0 for all."
        case ENODEV: "this box has no network interface \(interface ?? "of that name")."
        case EPERM: "the system does not let Skerry listen on one interface only. Leave the interface out and choose an address instead."
        default: String(cString: strerror(number)) + "."
        }
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif
