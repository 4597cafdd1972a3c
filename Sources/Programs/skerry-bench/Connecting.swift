import NIOCore
import NIOPosix

/// Opens the connections of the clients, all on one loop: a client that needs more than one processor measures itself.
enum Connecting {
    /// Calls `make` for the handler of a new connection, on the loop.
    static func open(
        port: Int, from address: String?, on loop: any EventLoop, handler make: @escaping @Sendable () throws -> any ChannelHandler
    ) -> EventLoopFuture<any Channel> {
        var bootstrap = ClientBootstrap(group: loop)
            .channelOption(.socketOption(.so_reuseaddr), value: 1)
            .channelOption(.socket(SocketOptionLevel(6), 1), value: 1)
            .connectTimeout(.seconds(20))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(make()) }
            }
        if let address, let local = try? SocketAddress(ipAddress: address, port: 0) { bootstrap = bootstrap.bind(to: local) }
        return bootstrap.connect(host: "127.0.0.1", port: port)
    }

    /// Runs `body` for every item, at most `width` at once, and gives what they gave, in order.
    static func each<Item: Sendable, Result: Sendable>(
        _ items: [Item], width: Int = 32, on loop: any EventLoop, _ body: @escaping @Sendable (Item) -> EventLoopFuture<Result>
    ) throws -> [Result] {
        var results: [Result] = []
        var index = 0
        while index < items.count {
            let slice = items[index..<min(index + width, items.count)]
            results += try EventLoopFuture.whenAllSucceed(slice.map { item in loop.flatSubmit { body(item) } }, on: loop).wait()
            index += width
        }
        return results
    }
}
