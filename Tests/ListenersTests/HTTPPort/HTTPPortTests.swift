import Hummingbird
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import SkerryModel
import SkerryNode
import SkerryServer
import Synchronization
import Testing

@testable import Listeners

/// A port with a small router and an echo on `/v1/ws`, on real sockets.
final class TestPort: Sendable {
    let group: MultiThreadedEventLoopGroup
    let port: HTTPPort
    let metrics = NodeMetrics()

    /// Holds the channel upgraded last.
    private final class Box: Sendable { let channel = Mutex<(any Channel)?>(nil) }
    private let box: Box

    init(limits: Limits = Limits(), settings: HTTPPort.Settings = HTTPPort.Settings()) async throws {
        var settings = settings
        // Nobody here is slow on purpose; a machine that runs all tests at once may be.
        settings.gate.headSeconds = 50
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let keepers = ConnectionKeepers(loops: Array(group.makeIterator()))
        let (metrics, box) = (self.metrics, Box())
        let route = WebSocketRoute(path: "/v1/ws", subprotocols: ["skerry.v1.json"], origins: .ownPages(also: [])) { channel, opened in
            box.channel.withLock { $0 = channel }
            let bounds = WebSocketBounds(messageBytesMax: 65_536, unreadBytesMax: 65_536)
            return [WebSocketConnection(keeper: keepers[channel.eventLoop], application: EchoApplication(), metrics: metrics, bounds: bounds)]
        }
        let router = Router()
        router.get("/hello") { _, _ in "hello" }
        router.get("/fail") { _, _ -> String in throw CancellationError() }
        router.post("/size") { request, _ in "\(try await request.body.collect(upTo: 1_000).readableBytes)" }
        let responder = HTTPAnswers.responder(
            router.buildResponder(), upgradePaths: ["/v1/ws"], clock: NodeClock(wall: { 1_700_000_000_000 }, monotonic: { 0 }),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        self.group = group
        self.box = box
        self.port = try await HTTPPort.bind(
            SocketListener.Place(kind: "http", address: "127.0.0.1", port: 0), group: group, limiter: ConnectionLimiter(limits: limits, metrics: metrics),
            routes: [route], keepers: keepers, responder: responder, settings: settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    var number: Int { self.port.listener.port }
    var upgradedChannel: (any Channel)? { self.box.channel.withLock { $0 } }
    func connect() async throws -> RawClient { try await RawClient.connect(port: self.number, group: self.group) }

    static func with(limits: Limits = Limits(), settings: HTTPPort.Settings = HTTPPort.Settings(), _ body: (TestPort) async throws -> Void) async throws {
        let port = try await TestPort(limits: limits, settings: settings)
        do { try await body(port) } catch {
            await port.port.listener.close(grace: .zero)
            throw error
        }
        await port.port.listener.close(grace: .zero)
        try await port.group.shutdownGracefully()
    }
}

@Suite(.timeLimit(.minutes(1))) struct HTTPPortTests {
    @Test("requests are answered through the router, several on one connection, with a date")
    func keepAlive() async throws {
        try await TestPort.with { port in
            let client = try await port.connect()
            for _ in 0..<3 {
                try await client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
                let answer = await client.receive("hello")
                #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(answer.lowercased().contains("date: tue, 14 nov 2023 22:13:20 gmt"))
            }
            try await client.send("POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n12345")
            #expect(await client.receiveAll().hasSuffix("5"))
        }
    }

    @Test("a WebSocket opens on the same port, and no HTTP handler is in its pipeline")
    func upgrade() async throws {
        try await TestPort.with { port in
            let client = try await port.connect()
            try await client.send(HandshakeTests.request())
            #expect(await client.receive("\r\n\r\n").hasPrefix("HTTP/1.1 101 "))
            try await client.send(.text("over"), .ping([1]))
            #expect(await client.frames(2) == [ServerFrame(first: 0x81, payload: Array("over".utf8)), ServerFrame(first: 0x8A, payload: [1])])
            let channel = try #require(port.upgradedChannel)
            let pipeline = try await channel.eventLoop.submit { channel.pipeline.syncOperations.debugNames }.get()
            #expect(pipeline == ["WebSocketConnection"])
            try await client.send(.close(1000))
            #expect(await client.frames(1).first?.closeCode == 1000)
            #expect(await client.receiveAll().isEmpty, "the box closes first")
        }
    }

    @Test("a refused handshake is answered with a problem document and the end of the connection")
    func refusedHandshake() async throws {
        try await TestPort.with { port in
            let client = try await port.connect()
            try await client.send(HandshakeTests.request(with: ["Origin: http://evil.example"]))
            let answer = await client.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 403 ") && answer.contains("\"code\":\"forbidden\""))
        }
    }

    @Test(
        "a WebSocket's address asked without a handshake, or on a connection in use, says 426",
        arguments: [
            ["GET /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n"], ["GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", HandshakeTests.request()],
        ])
    func upgradeRequired(_ requests: [String]) async throws {
        try await TestPort.with { port in
            let client = try await port.connect()
            for request in requests.dropLast() {
                try await client.send(request)
                _ = await client.receive("hello")
            }
            try await client.send(requests.last ?? "")
            let answer = await client.receive("}")
            #expect(answer.hasPrefix("HTTP/1.1 426 ") && answer.contains("\"status\":426"))
        }
    }

    @Test(
        "what is not HTTP gets 400 and the end",
        arguments: ["\u{16}\u{3}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\nHost x\r\n\r\n", "GET / SMTP/1.1\r\nHost: x\r\n\r\n"])
    func malformed(_ text: String) async throws {
        try await TestPort.with { port in
            let client = try await port.connect()
            try await client.send(text)
            let answer = await client.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 400 ") && answer.contains("application/problem+json") && answer.hasSuffix("\"temporary\":false}"))
        }
    }

    @Test(
        "headers over the bounds get 431 and the end",
        arguments: [
            "X: " + String(repeating: "y", count: 20_000), (0..<200).map { "X-\($0): y" }.joined(separator: "\r\n"),
            (0..<40).map { "X-\($0): " + String(repeating: "y", count: 1_000) }.joined(separator: "\r\n"),
        ])
    func longHeaders(_ headers: String) async throws {
        try await TestPort.with { port in
            let client = try await port.connect()
            // The second of two sent at once: its refusal waits for the answer to the first.
            try await client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n\r\n")
            let answer = await client.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.contains("helloHTTP/1.1 431 ") && answer.contains("\"status\":431"))
        }
    }

    @Test(
        "a request has one Host, unless it is older than the rule; what follows a refused one is not read",
        arguments: [
            ("GET /hello HTTP/1.1\r\n\r\n", 400), ("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET /hello HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
            ("GET /hello HTTP/1.0\r\n\r\n", 200),
        ])
    func oneHost(_ request: String, _ status: Int) async throws {
        try await TestPort.with { port in
            let client = try await port.connect()
            try await client.send(request + (status == 400 ? "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" : ""))
            let answer = await client.receiveAll()
            #expect(answer.hasPrefix("HTTP/1.1 \(status) ") && answer.contains("hello") == (status == 200))
        }
    }

    @Test("a client that asks first is told to send its body, when its turn has come")
    func expectContinue() async throws {
        try await TestPort.with { port in
            let client = try await port.connect()
            try await client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\nPOST /size HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            let first = await client.receive("100 Continue\r\n\r\n")
            #expect(first.hasPrefix("HTTP/1.1 200 ") && first.hasSuffix("helloHTTP/1.1 100 Continue\r\n\r\n"))
            try await client.send("12345")
            #expect(await client.receive("\r\n\r\n5").hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test(
        "a client that wants the end gets it however it writes that",
        arguments: ["HTTP/1.1\r\nConnection: Close", "HTTP/1.0", "HTTP/1.1\r\nConnection: foo, close"])
    func closing(_ version: String) async throws {
        try await TestPort.with { port in
            let client = try await port.connect()
            try await client.send("GET /hello \(version)\r\nHost: x\r\n\r\n")
            #expect(await client.receiveAll().hasSuffix("hello"))
        }
    }

    @Test("a failing handler is 500, and the connection goes on")
    func failing() async throws {
        try await TestPort.with { port in
            let client = try await port.connect()
            try await client.send("GET /fail HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await client.receive("\r\n\r\n").hasPrefix("HTTP/1.1 500 "))
            try await client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await client.receive("hello").hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test("connections over the limit are closed at once and counted; a free place is given again")
    func connectionLimit() async throws {
        var limits = Limits()
        limits.connectionsMax = 2
        try await TestPort.with(limits: limits) { port in
            let (first, second) = (try await port.connect(), try await port.connect())
            for client in [first, second] {
                try await client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
                _ = await client.receive("hello")
            }
            let third = try await port.connect()
            #expect(await third.receiveAll().isEmpty)
            #expect(port.metrics.value(.connectionsRefused) == 1)
            try await first.send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            _ = await first.receiveAll()
            while port.port.listener.connectionCount > 1 { await Task.yield() }
            let fourth = try await port.connect()
            try await fourth.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await fourth.receive("hello").hasSuffix("hello"))
        }
    }

    @Test("when the listener closes, idle connections end, WebSockets hear why, and nobody gets in")
    func closing() async throws {
        try await TestPort.with { port in
            let (idle, webSocket, silent) = (try await port.connect(), try await port.connect(), try await port.connect())
            try await idle.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            _ = await idle.receive("hello")
            try await webSocket.send(HandshakeTests.request())
            _ = await webSocket.receive("\r\n\r\n")
            async let closed: Void = port.port.listener.close(grace: .seconds(30))
            #expect(await idle.receiveAll().isEmpty)
            #expect(await silent.receiveAll().isEmpty)
            #expect(await webSocket.frames(1).first?.closeCode == 1001)
            try await webSocket.send(.close(1001))
            await closed
            #expect(port.port.listener.connectionCount == 0)
            await #expect(throws: (any Error).self) { try await port.connect() }
        }
    }
}

extension ChannelPipeline.SynchronousOperations {
    /// The kinds of the handlers, from the socket on.
    fileprivate var debugNames: [String] {
        var names: [String] = []
        if (try? self.handler(type: UpgradeGate.self)) != nil { names.append("UpgradeGate") }
        if (try? self.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)) != nil { names.append("HTTPRequestDecoder") }
        if (try? self.handler(type: HTTPResponseEncoder.self)) != nil { names.append("HTTPResponseEncoder") }
        if (try? self.handler(type: WebSocketConnection.self)) != nil { names.append("WebSocketConnection") }
        return names
    }
}
