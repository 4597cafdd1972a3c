import Account
import NIOCore
import NIOPosix
import SkerryModel
import SkerryNode
import Synchronization
import Testing

@testable import Listeners

/// Sockets from 127.0.0.1, which the tests do or do not trust.
@Suite("Listeners behind a proxy", .timeLimit(.minutes(1))) struct ProxyListenerTests {
    final class World: Sendable {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let metrics = NodeMetrics()
        let limiter: ConnectionLimiter
        let listener: SocketListener

        /// Every connection is told its client's address, and what it sends comes back.
        init(trusting ranges: [String], limits: Limits = Limits()) async throws {
            var limits = limits
            // Nobody here is slow on purpose; a machine that runs all tests at once may be.
            limits.proxyHeaderSecondsMax = 50
            let limiter = ConnectionLimiter(limits: limits, metrics: self.metrics)
            var bounds = ConnectionLimiter.Bounds(limits)
            bounds.trusted = ranges.compactMap { AddressRange($0) }
            limiter.change(bounds)
            self.limiter = limiter
            self.listener = try await SocketListener.bind(.init(kind: "mqtt", address: "127.0.0.1", port: 0), group: self.group, limiter: limiter) {
                channel, address in
                channel.writeAndFlush(ByteBuffer(string: "[\(address?.ipAddress ?? "-")]"), promise: nil)
                try channel.pipeline.syncOperations.addHandler(Echo())
            }
        }

        func connect() async throws -> RawClient { try await RawClient.connect(port: self.listener.port, group: self.group) }

        func close() async throws {
            await self.listener.close(grace: .zero)
            #expect(self.limiter.count == 0)
            try await self.group.shutdownGracefully()
        }
    }

    final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
    }

    @Test("a trusted proxy's word is the client's address, and what follows the header is the client's, however it is cut")
    func trusted() async throws {
        let world = try await World(trusting: ["127.0.0.0/8"])
        let all = "PROXY TCP4 192.0.2.7 10.0.0.1 5 6\r\nhello"
        for cut in [1, 5, 20, 35, 36, all.count] {
            let client = try await world.connect()
            try await client.send(String(all.prefix(cut)))
            try await client.send(String(all.dropFirst(cut)))
            #expect(await client.receive("hello") == "[192.0.2.7]hello", "cut at \(cut)")
            try await client.close()
        }
        let check = try await world.connect()
        try await check.channel.writeAndFlush(ByteBuffer(bytes: ProxyHeaderTests.binary(0x20, 0, []) + Array("alive".utf8)))
        #expect(await check.receive("alive") == "[127.0.0.1]alive")
        try await check.close()
        #expect(world.metrics.value(.proxyHeadersRefused) == 0)
        try await world.close()
    }

    @Test("a trusted proxy without a right header is closed and counted", arguments: ["GET / HTTP/1.1\r\n", "PROXY TCP4 1.2.3.4 nonsense\r\n", "\u{10}\u{0}"])
    func wrong(_ words: String) async throws {
        let world = try await World(trusting: ["127.0.0.1"])
        let client = try await world.connect()
        try await client.send(words)
        #expect(await client.receiveAll().isEmpty)
        #expect(world.metrics.value(.proxyHeadersRefused) == 1)
        try await world.close()
    }

    @Test("from anywhere else a header closes the connection and is counted; other words pass", arguments: [["10.0.0.0/8"], ["::1", "192.0.2.1"]])
    func untrusted(_ ranges: [String]) async throws {
        let world = try await World(trusting: ranges)
        for header in [Array("PROXY TCP4 192.0.2.7 10.0.0.1 5 6\r\n".utf8), ProxyHeaderTests.binary(0x20, 0, [])] {
            let liar = try await world.connect()
            try await liar.channel.writeAndFlush(ByteBuffer(bytes: header))
            #expect(await liar.receiveAll() == "[127.0.0.1]")
        }
        #expect(world.metrics.value(.proxyHeadersRefused) == 2)
        for words in ["PUT / HTTP/1.1", "PROPFIND", "\r\n\r\nx", "\u{10}\u{c}"] {
            let client = try await world.connect()
            try await client.send(words)
            #expect(await client.receive(words) == "[127.0.0.1]" + words)
        }
        #expect(world.metrics.value(.proxyHeadersRefused) == 2)
        try await world.close()
    }

    @Test("limits count the client's address, not the proxy's")
    func limits() async throws {
        var limits = Limits()
        limits.connectionsPerAddressMax = 1
        let world = try await World(trusting: ["127.0.0.1"], limits: limits)
        var open: [RawClient] = []
        for host in 1...3 {
            let client = try await world.connect()
            try await client.send("PROXY TCP4 192.0.2.\(host) 10.0.0.1 5 6\r\nx")
            #expect(await client.receive("x") == "[192.0.2.\(host)]x")
            open.append(client)
        }
        let second = try await world.connect()
        try await second.send("PROXY TCP4 192.0.2.1 10.0.0.1 5 6\r\nx")
        #expect(await second.receiveAll().isEmpty)
        #expect(world.metrics.value(.connectionsRefused) == 1)
        try await open[0].close()
        try await open[0].channel.closeFuture.get()
        for _ in 0..<100 {
            let again = try await world.connect()
            try await again.send("PROXY TCP4 192.0.2.1 10.0.0.1 5 6\r\nx")
            if await again.receive("x") == "[192.0.2.1]x" { break }
        }
        try await world.close()
    }

    @Test("a flood from one address is slowed down; another address is not, and after a while neither is the first")
    func rate() async throws {
        var limits = Limits()
        limits.connectBurst = 3
        limits.connectsPerSecond = 1
        let now = Clock()
        let metrics = NodeMetrics()
        let limiter = ConnectionLimiter(limits: limits, metrics: metrics, monotonic: { now.milliseconds })
        var bounds = ConnectionLimiter.Bounds(limits)
        bounds.trusted = [try #require(AddressRange("127.0.0.1"))]
        limiter.change(bounds)
        let (a, b) = (try SocketAddress(ipAddress: "192.0.2.1", port: 1), try SocketAddress(ipAddress: "192.0.2.2", port: 1))
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let channel = try await DatagramBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
        #expect((0..<5).map { _ in limiter.admit(channel, behindProxy: a) } == [true, true, true, false, false])
        #expect(limiter.admit(channel, behindProxy: b))
        #expect(metrics.value(.connectionsLimited) == 2)
        now.advance(1_000)
        #expect((0..<2).map { _ in limiter.admit(channel, behindProxy: a) } == [true, false])
        try await channel.close()
        try await group.shutdownGracefully()
    }

    final class Clock: Sendable {
        private let now = Mutex(UInt64(1_000))
        var milliseconds: UInt64 { self.now.withLock { $0 } }
        func advance(_ milliseconds: UInt64) { self.now.withLock { $0 += milliseconds } }
    }
}
