import NIOCore
import NIOEmbedded
import SkerryNode
import Testing

@testable import Listeners

/// Notes what happens and does what the test says.
final class RecordingApplication: WebSocketApplication {
    var connection: WebSocketConnection?
    var messages: [WebSocketMessage] = []
    var drained = 0
    var closed = 0
    var onMessage: ((WebSocketMessage, WebSocketConnection) -> Void)?

    func opened(_ connection: WebSocketConnection) { self.connection = connection }
    func received(_ message: WebSocketMessage, on connection: WebSocketConnection) {
        self.messages.append(message)
        self.onMessage?(message, connection)
    }
    func drained(_ connection: WebSocketConnection) { self.drained += 1 }
    func secondPassed(_ now: NIODeadline, on connection: WebSocketConnection) {}
    func shouldQuiesce(_ connection: WebSocketConnection) { connection.close(.goingAway) }
    func closed(_ connection: WebSocketConnection) { self.closed += 1 }
}

/// A socket that takes nothing until it is told to, and counts writes and reads; sits in front of the connection.
final class StuckSocket: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    var isStuck = false
    var isOutputClosed = false
    var writes = 0
    var reads = 0
    private var waiting: [(ByteBuffer, EventLoopPromise<Void>?)] = []
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func read(context: ChannelHandlerContext) {
        self.reads += 1
        context.read()
    }
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        self.writes += 1
        if self.isStuck { self.waiting.append((self.unwrapOutboundIn(data), promise)) } else { context.write(data, promise: promise) }
    }
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        // An embedded channel knows no half-closed state: it is only noted.
        guard mode == .output else { return context.close(mode: mode, promise: promise) }
        self.isOutputClosed = true
        promise?.succeed()
    }
    func release() {
        self.isStuck = false
        let waiting = self.waiting
        self.waiting = []
        for (bytes, promise) in waiting { self.context?.writeAndFlush(NIOAny(bytes), promise: promise) }
    }
}

@Suite struct ConnectionTests {
    struct Place {
        let channel = EmbeddedChannel()
        let socket = StuckSocket()
        let application = RecordingApplication()
        let metrics = NodeMetrics()
        let keeper: ConnectionKeeper

        init(unreadBytesMax: Int = 10_000, messageBytesMax: Int = 1_000) throws {
            self.keeper = ConnectionKeeper(loop: self.channel.eventLoop)
            let connection = WebSocketConnection(
                keeper: self.keeper, application: self.application, metrics: self.metrics,
                bounds: WebSocketBounds(messageBytesMax: messageBytesMax, unreadBytesMax: unreadBytesMax))
            try self.channel.pipeline.syncOperations.addHandlers(self.socket, connection)
            try self.channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        func receive(_ frames: ClientFrame...) throws { try self.channel.writeInbound(ByteBuffer(bytes: frames.bytes)) }
        func tick() { self.channel.embeddedEventLoop.run() }
        func pass(_ seconds: Int64) { self.channel.embeddedEventLoop.advanceTime(by: .seconds(seconds)) }

        /// The frames that went out since last asked.
        func sent() -> [ServerFrame] {
            self.tick()
            var bytes = ByteBuffer()
            while var more = try? self.channel.readOutbound(as: ByteBuffer.self) { bytes.writeBuffer(&more) }
            return ServerFrame.read(&bytes)
        }

        func say(_ text: String) { self.application.connection?.send(WebSocketMessage(isText: true, payload: ByteBuffer(string: text))) }
    }

    @Test("messages of one tick leave in one write")
    func onePerTick() throws {
        let place = try Place()
        for text in ["a", "b", "c"] { place.say(text) }
        #expect(place.socket.writes == 0)
        #expect(place.sent().map(\.text) == ["a", "b", "c"])
        #expect(place.socket.writes == 1)
    }

    @Test("while a write is on its way the next ones gather, and all that waits is counted")
    func gathers() throws {
        let place = try Place()
        place.socket.isStuck = true
        place.say("first")
        place.tick()
        place.say("second")
        place.say("third")
        place.tick()
        #expect(place.socket.writes == 1)
        #expect(place.application.connection?.waitingBytes == 7 + 8 + 7)
        place.socket.release()
        #expect(place.sent().map(\.text) == ["first", "second", "third"])
        #expect(place.socket.writes == 2)
        #expect(place.application.connection?.waitingBytes == 0)
        #expect(place.application.drained == 1)
    }

    @Test("a ping is answered with its payload, a pong is not answered")
    func ping() throws {
        let place = try Place()
        try place.receive(.ping([1, 2]), .pong([3]), .ping([]))
        #expect(place.sent() == [ServerFrame(first: 0x8A, payload: [1, 2]), ServerFrame(first: 0x8A, payload: [])])
    }

    @Test(
        "a close frame is answered with its code, then our side closes",
        arguments: [(1000, [0x03, 0xE8]), (4321, [0x10, 0xE1]), (nil, [])] as [(UInt16?, [UInt8])])
    func closeByClient(_ code: UInt16?, _ payload: [UInt8]) throws {
        let place = try Place()
        try place.receive(.close(code), .text("late"))
        #expect(place.sent() == [ServerFrame(first: 0x88, payload: payload)])
        #expect(place.socket.isOutputClosed && place.channel.isActive)
        #expect(place.application.messages.isEmpty)
        place.pass(3)
        #expect(!place.channel.isActive && place.application.closed == 1)
    }

    @Test(
        "a broken rule is answered with its code, then our side closes",
        arguments: [(ClientFrame(0x83), 1002), (ClientFrame(0x81, [0xFF]), 1007), (ClientFrame.binary([UInt8](repeating: 0, count: 1_001)), 1009)])
    func violation(_ frame: ClientFrame, _ code: Int) throws {
        let place = try Place()
        try place.receive(.text("fine"), frame, .text("late"))
        let sent = place.sent()
        #expect(sent.count == 1 && sent.first?.closeCode == code)
        #expect(place.application.messages.count == 1)
        #expect(place.socket.isOutputClosed)
        #expect(place.metrics.value(.webSocketProtocolErrors) == 1)
        place.pass(3)
        #expect(!place.channel.isActive)
    }

    @Test("our close waits for the answer before our side closes, and nothing of the client counts meanwhile")
    func closeByServer() throws {
        let place = try Place()
        place.say("last words")
        place.application.connection?.close(.goingAway, reason: "bye")
        place.say("too late")
        let sent = place.sent()
        #expect(sent.map(\.text).first == "last words")
        #expect(sent.count == 2 && sent.last?.closeCode == 1001)
        try place.receive(.text("x"), .ping([1]))
        #expect(place.sent().isEmpty && !place.socket.isOutputClosed)
        try place.receive(.close(1001))
        place.tick()
        #expect(place.socket.isOutputClosed && place.application.messages.isEmpty && place.channel.isActive)
        place.pass(3)
        #expect(!place.channel.isActive && place.application.closed == 1)
    }

    @Test("a client that does not answer our close is cut off")
    func closeUnanswered() throws {
        let place = try Place()
        place.application.connection?.close(.normal)
        place.pass(4)
        #expect(place.channel.isActive)
        place.pass(2)
        #expect(!place.channel.isActive)
    }

    @Test("a client that does not even take our close frame is cut off")
    func closeStuck() throws {
        let place = try Place()
        place.socket.isStuck = true
        try place.receive(.ping([]), .close(1000))
        place.pass(6)
        #expect(!place.channel.isActive && place.application.closed == 1)
    }

    @Test("a client that does not take its answers gets nothing more read")
    func backPressure() throws {
        let place = try Place(unreadBytesMax: 100)
        place.application.onMessage = { message, connection in connection.send(message) }
        place.socket.isStuck = true
        try place.receive(.text(String(repeating: "a", count: 200)))
        place.tick()
        let reads = place.socket.reads
        place.channel.pipeline.read()
        #expect(place.socket.reads == reads + 0, "no read while the answer waits")
        place.socket.release()
        place.tick()
        #expect(place.socket.reads == reads + 1, "read again once it is taken")
    }

    @Test("an application can hold reading")
    func held() throws {
        let place = try Place()
        place.application.connection?.holdReading(true)
        let reads = place.socket.reads
        place.channel.pipeline.read()
        #expect(place.socket.reads == reads)
        place.application.connection?.holdReading(false)
        #expect(place.socket.reads == reads + 1)
    }

    @Test("the listener's end and a half-closed client end it")
    func ends() throws {
        let place = try Place()
        place.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(place.sent().first?.closeCode == 1001)
        place.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!place.channel.isActive)
        place.tick()
        #expect(place.application.closed == 1 && place.keeper.count == 0)
    }

    @Test("opened, received and sent are counted")
    func counted() throws {
        let place = try Place()
        try place.receive(.text("a"), .binary([1]))
        place.say("b")
        #expect(place.metrics.value(.webSocketsOpened) == 1)
        #expect(place.metrics.value(.webSocketFramesIn) == 2)
        #expect(place.metrics.value(.webSocketFramesOut) == 1)
    }
}
