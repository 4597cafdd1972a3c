import NIOCore
import NIOEmbedded
import Testing

@testable import Listeners

@Suite struct UpgradeGateTests {
    /// Keeps what reaches it.
    final class Sink: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var bytes: [UInt8] = []
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { self.bytes += Array(self.unwrapInboundIn(data).readableBytesView) }
    }

    /// A channel behind a gate that knows one route, `/v1/ws`; `webSocket` and `http` get what follows.
    struct Place {
        let channel = EmbeddedChannel()
        let webSocket = Sink()
        let http = Sink()
        let gate: UpgradeGate

        init(bounds: UpgradeGate.Bounds = UpgradeGate.Bounds()) throws {
            let (webSocket, http) = (
                NIOLoopBound(self.webSocket, eventLoop: self.channel.eventLoop), NIOLoopBound(self.http, eventLoop: self.channel.eventLoop)
            )
            let route = WebSocketRoute(path: "/v1/ws", subprotocols: ["skerry.v1.json"], origins: .any) { _, _ in [webSocket.value] }
            self.gate = UpgradeGate(routes: [route], bounds: bounds) { try $0.pipeline.syncOperations.addHandler(http.value) }
            try self.channel.pipeline.syncOperations.addHandler(self.gate)
            try self.channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        func receive(_ text: String) throws { try self.channel.writeInbound(ByteBuffer(string: text)) }
        var answer: String { (try? self.channel.readOutbound(as: ByteBuffer.self)).map { String(buffer: $0) } ?? "" }
        var isGateThere: Bool { (try? self.channel.pipeline.syncOperations.handler(type: UpgradeGate.self)) != nil }
    }

    private static let upgrade = HandshakeTests.request()

    @Test("a handshake is answered however it is cut, and what follows it reaches the WebSocket")
    func upgraded() throws {
        let text = Self.upgrade + "frames"
        for cut in 1..<text.utf8.count {
            let place = try Place()
            try place.receive(String(text.prefix(cut)))
            try place.receive(String(text.dropFirst(cut)))
            #expect(place.answer.hasPrefix("HTTP/1.1 101 "), "cut at \(cut)")
            try place.receive("!")
            #expect(String(decoding: place.webSocket.bytes, as: UTF8.self) == "frames!", "cut at \(cut)")
            #expect(place.http.bytes.isEmpty && !place.isGateThere)
        }
    }

    @Test(
        "everything else reaches the HTTP handlers as it came, however it is cut",
        arguments: [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", "GET /\nHost: x\n\n", "\u{16}\u{3}\u{1}",
            "get / HTTP/1.1\r\n\r\n",
            HandshakeTests.request(method: "POST"), "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + HandshakeTests.request(),
        ])
    func passedOn(_ text: String) throws {
        for cut in 0..<text.utf8.count {
            let place = try Place()
            if cut > 0 { try place.receive(String(text.prefix(cut))) }
            try place.receive(String(text.dropFirst(cut)))
            #expect(String(decoding: place.http.bytes, as: UTF8.self) == text, "cut at \(cut)")
            #expect(place.webSocket.bytes.isEmpty && !place.isGateThere)
            #expect(place.answer.isEmpty)
        }
    }

    @Test("a head over the bound goes to the HTTP handlers instead of being gathered")
    func longHead() throws {
        var bounds = UpgradeGate.Bounds()
        bounds.headBytesMax = 1_000
        let place = try Place(bounds: bounds)
        let text = "GET /v1/ws HTTP/1.1\r\nX: " + String(repeating: "y", count: 1_000)
        try place.receive(text)
        #expect(String(decoding: place.http.bytes, as: UTF8.self) == text)
    }

    @Test("a head that does not come to its end is cut off")
    func slowHead() throws {
        let place = try Place()
        try place.receive("GET /v1/ws HTTP/1.1\r\n")
        place.channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(place.channel.isActive)
        try place.receive("Host: x\r\n")
        place.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!place.channel.isActive)
    }

    @Test("once the head is through, its deadline is over")
    func noDeadlineAfter() throws {
        let place = try Place()
        try place.receive(Self.upgrade)
        place.channel.embeddedEventLoop.advanceTime(by: .seconds(60))
        #expect(place.channel.isActive)
    }

    @Test("a refused handshake is answered and the connection ends")
    func refused() throws {
        let place = try Place()
        try place.receive(HandshakeTests.request("/nowhere"))
        #expect(place.answer.hasPrefix("HTTP/1.1 404 "))
        place.channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(!place.channel.isActive)
        #expect(place.webSocket.bytes.isEmpty && place.http.bytes.isEmpty)
    }

    @Test("a connection that has said nothing yet ends when the box stops")
    func quiesced() throws {
        let place = try Place()
        place.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(!place.channel.isActive)
    }
}
