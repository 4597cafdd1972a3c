import NIOCore
import NIOPosix
import SkerryModel
import SkerryNode
import Testing

@testable import Listeners

@Suite(.timeLimit(.minutes(1))) struct SocketListenerTests {
    private static func with(_ body: (any EventLoopGroup, ConnectionLimiter) async throws -> Void) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        try await body(group, ConnectionLimiter(limits: Limits(), metrics: NodeMetrics()))
        try await group.shutdownGracefully()
    }

    @Test("a port in use is refused with its address, its number and what to do")
    func inUse() async throws {
        try await Self.with { group, limiter in
            let first = try await SocketListener.bind(.init(kind: "mqtt", address: "127.0.0.1", port: 0), group: group, limiter: limiter) { _, _ in }
            #expect(first.port > 0)
            let error = try #require(
                await #expect(throws: ListenError.self) {
                    _ = try await SocketListener.bind(.init(kind: "mqtt", address: "127.0.0.1", port: PortRange(first.port)), group: group, limiter: limiter) {
                        _, _ in
                    }
                })
            #expect(error.description.contains("mqtt cannot listen on 127.0.0.1 port \(first.port)"))
            #expect(error.description.contains("in use"))
            await first.close(grace: .zero)
        }
    }

    @Test("an address the box does not have, or that is none, is refused in words", arguments: ["192.0.2.1", "box.local", ""])
    func badAddress(_ address: String) async throws {
        try await Self.with { group, limiter in
            let error = try #require(
                await #expect(throws: ListenError.self) {
                    _ = try await SocketListener.bind(.init(kind: "http", address: address, port: 0), group: group, limiter: limiter) { _, _ in }
                })
            #expect(error.description.contains(address == "192.0.2.1" ? "does not have that address" : "not an IP address"))
        }
    }

    @Test("port 0 with a hint takes the hint or the next free one after it")
    func hint() async throws {
        try await Self.with { group, limiter in
            let first = try await SocketListener.bind(.init(kind: "mqtt", address: "127.0.0.1", port: 0), group: group, limiter: limiter) { _, _ in }
            let second = try await SocketListener.bind(
                .init(kind: "mqtt", address: "127.0.0.1", port: 0, portHint: first.port), group: group, limiter: limiter
            ) { _, _ in }
            #expect(second.port != first.port)
            #expect((first.port...first.port + 100).contains(second.port) || first.port > 65_000)
            await second.close(grace: .zero)
            await first.close(grace: .zero)
        }
    }

    @Test("IPv6 works as IPv4 does")
    func version6() async throws {
        try await Self.with { group, limiter in
            guard (try? SocketAddress(ipAddress: "::1", port: 0)) != nil else { return }
            guard
                let listener = try? await SocketListener.bind(
                    .init(kind: "http", address: "::1", port: 0), group: group, limiter: limiter, initializer: { _, _ in })
            else { return }
            #expect(listener.port > 0)
            await listener.close(grace: .zero)
        }
    }

    @Test("one address may hold its share of connections and no more")
    func perAddress() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var limits = Limits()
        limits.connectionsPerAddressMax = 1
        let metrics = NodeMetrics()
        let limiter = ConnectionLimiter(limits: limits, metrics: metrics)
        let listener = try await SocketListener.bind(.init(kind: "mqtt", address: "127.0.0.1", port: 0), group: group, limiter: limiter) { channel, _ in
            channel.writeAndFlush(ByteBuffer(string: "in"), promise: nil)
        }
        let first = try await RawClient.connect(port: listener.port, group: group)
        #expect(await first.receive("in") == "in")
        let second = try await RawClient.connect(port: listener.port, group: group)
        #expect(await second.receiveAll().isEmpty)
        #expect((metrics.value(.connectionsAccepted), metrics.value(.connectionsRefused), limiter.count) == (1, 1, 1))
        await listener.close(grace: .zero)
        #expect(limiter.count == 0)
        try await group.shutdownGracefully()
    }
}

@Suite("Ranges of ports", .timeLimit(.minutes(1))) struct PortRangeListenerTests {
    @Test("of a range the lowest free port is bound, and a range that others have whole is refused with its ports")
    func range() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let limiter = ConnectionLimiter(limits: Limits(), metrics: NodeMetrics())
        func bind(_ ports: PortRange) async throws -> SocketListener {
            try await SocketListener.bind(.init(kind: "mqtt", address: "127.0.0.1", port: ports), group: group, limiter: limiter) { _, _ in }
        }
        // A free place for three: found by trying.
        var listeners: [SocketListener] = []
        var first = 20_000
        while true {
            let range = try #require(PortRange(text: "\(first)-\(first + 2)"))
            for _ in 0..<3 { if let listener = try? await bind(range) { listeners.append(listener) } }
            if listeners.map(\.port) == [first, first + 1, first + 2] { break }
            for listener in listeners { await listener.close(grace: .zero) }
            listeners = []
            first += 3
        }
        let range = try #require(PortRange(text: "\(first)-\(first + 2)"))
        let error = try #require(await #expect(throws: ListenError.self) { _ = try await bind(range) })
        #expect(error.description.contains("mqtt cannot listen on 127.0.0.1 ports \(first)-\(first + 2): other programs have all of these ports"))
        await listeners[1].close(grace: .zero)
        let again = try await bind(range)
        #expect(again.port == first + 1)
        for listener in [listeners[0], listeners[2], again] { await listener.close(grace: .zero) }
        try await group.shutdownGracefully()
    }
}
