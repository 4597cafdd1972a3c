import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Options of a listening socket that NIO has no name for.
enum SocketOptions {
    /// Seconds of silence after which the kernel asks a peer whether it is there, between two questions, and questions without an answer.
    private static var keepAlive: [(name: Int32, value: CInt)] {
        #if os(Linux)
        return [(name: Int32(TCP_KEEPIDLE), value: CInt(120)), (name: Int32(TCP_KEEPINTVL), value: CInt(30)), (name: Int32(TCP_KEEPCNT), value: CInt(4))]
        #else
        return []
        #endif
    }

    static func prepare(_ channel: any Channel, interface: String?) -> EventLoopFuture<Void> {
        guard let socket = channel as? any SocketOptionProvider else { return channel.eventLoop.makeSucceededVoidFuture() }
        var results = Self.keepAlive.map {
            socket.unsafeSetSocketOption(level: NIOBSDSocket.OptionLevel.tcp, name: NIOBSDSocket.Option(rawValue: $0.name), value: $0.value)
        }
        #if os(Linux)
        if let interface {
            // Sixteen bytes with a zero at the end: `IFNAMSIZ`.
            var name: (UInt64, UInt64) = (0, 0)
            withUnsafeMutableBytes(of: &name) { $0.copyBytes(from: Array(interface.utf8.prefix(15))) }
            results.append(
                socket.unsafeSetSocketOption(
                    level: NIOBSDSocket.OptionLevel.socket, name: NIOBSDSocket.Option(rawValue: SO_BINDTODEVICE), value: InterfaceName(bytes: name)))
        }
        #endif
        return EventLoopFuture.andAllSucceed(results, on: channel.eventLoop)
    }
}

/// As the kernel takes it.
private struct InterfaceName: Sendable {
    var bytes: (UInt64, UInt64)
}
