import NIOCore
import NIOEmbedded
import SkerryNode
import Testing

@testable import Listeners

@Suite(.timeLimit(.minutes(1))) struct MQTTBridgeTests {
    /// Stands for the MQTT handler.
    final class Stream: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        var bytes: [UInt8] = []
        var isActive = false
        var isInactive = false
        var context: ChannelHandlerContext?
        func handlerAdded(context: ChannelHandlerContext) { self.context = context }
        func channelActive(context: ChannelHandlerContext) { self.isActive = true }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { self.bytes += Array(self.unwrapInboundIn(data).readableBytesView) }
        func channelInactive(context: ChannelHandlerContext) { self.isInactive = true }
    }

    struct Place {
        let channel = EmbeddedChannel()
        let socket = StuckSocket()
        let stream = Stream()
        let metrics = NodeMetrics()

        init() throws {
            let bridge = MQTTBridge(keeper: ConnectionKeeper(loop: self.channel.eventLoop), metrics: self.metrics)
            try self.channel.pipeline.syncOperations.addHandlers(self.socket, bridge, self.stream)
            try self.channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        func receive(_ bytes: [UInt8]) throws { try self.channel.writeInbound(ByteBuffer(bytes: bytes)) }
        func sent() -> [ServerFrame] {
            var bytes = ByteBuffer()
            while var more = try? self.channel.readOutbound(as: ByteBuffer.self) { bytes.writeBuffer(&more) }
            return ServerFrame.read(&bytes)
        }
    }

    @Test("binary frames become one stream of bytes, wherever they are cut")
    func inbound() throws {
        let bytes = [ClientFrame.binary([1, 2, 3]), .binary([4], isFinal: false), .ping([9]), .more([5, 6], isFinal: true), .binary([])].bytes
        for cut in 0...bytes.count {
            let place = try Place()
            try place.receive(Array(bytes[..<cut]))
            try place.receive(Array(bytes[cut...]))
            #expect(place.stream.bytes == [1, 2, 3, 4, 5, 6])
            #expect(place.sent() == [ServerFrame(first: 0x8A, payload: [9])])
            #expect(place.stream.isActive)
        }
    }

    @Test("what the MQTT handler writes leaves as binary frames, and its promises are kept")
    func outbound() throws {
        let place = try Place()
        let promise = place.channel.eventLoop.makePromise(of: Void.self)
        place.stream.context?.writeAndFlush(NIOAny(ByteBuffer(bytes: [1, 2])), promise: promise)
        place.stream.context?.writeAndFlush(NIOAny(ByteBuffer(repeating: 7, count: 300)), promise: nil)
        try promise.futureResult.wait()
        #expect(place.sent() == [ServerFrame(first: 0x82, payload: [1, 2]), ServerFrame(first: 0x82, payload: [UInt8](repeating: 7, count: 300))])
    }

    @Test(
        "text is refused with 1003, a broken rule with its code; nothing of it reaches MQTT",
        arguments: [(ClientFrame.text("x"), 1003), (ClientFrame(0x83), 1002), (ClientFrame(0x82, [1], mask: nil), 1002)])
    func refused(_ frame: ClientFrame, _ code: Int) throws {
        let place = try Place()
        try place.receive([frame, ClientFrame.binary([1])].bytes)
        #expect(place.sent().first?.closeCode == code)
        #expect(place.stream.bytes.isEmpty && place.socket.isOutputClosed)
        place.channel.embeddedEventLoop.advanceTime(by: .seconds(7))
        #expect(place.stream.isInactive)
    }

    @Test("when the MQTT handler closes, the client hears 1000 first")
    func closedByBox() throws {
        let place = try Place()
        place.stream.context?.writeAndFlush(NIOAny(ByteBuffer(bytes: [1])), promise: nil)
        let closed = place.channel.eventLoop.makePromise(of: Void.self)
        place.stream.context?.close(promise: closed)
        #expect(place.sent().map(\.first) == [0x82, 0x88])
        #expect(place.socket.isOutputClosed && place.channel.isActive)
        let late = place.channel.eventLoop.makePromise(of: Void.self)
        place.stream.context?.writeAndFlush(NIOAny(ByteBuffer(bytes: [1])), promise: late)
        #expect(throws: ChannelError.self) { try late.futureResult.wait() }
        try place.receive(ClientFrame.close(1000).bytes)
        place.channel.embeddedEventLoop.run()
        #expect(place.stream.isInactive)
        try closed.futureResult.wait()
    }

    @Test("a close frame of the client is answered and MQTT sees the end")
    func closedByClient() throws {
        let place = try Place()
        try place.receive(ClientFrame.close(1001).bytes)
        #expect(place.sent().first?.closeCode == 1001)
        place.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        place.channel.embeddedEventLoop.run()
        #expect(place.stream.isInactive)
    }
}
