package import NIOCore

/// Where the client of a connection is that came through a trusted proxy, for tasks that serve the connection and see only its own address.
package enum ClientAddress {
    @TaskLocal package static var proxied: SocketAddress?
}
