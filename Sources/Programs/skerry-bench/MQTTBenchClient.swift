import MQTTCodec
import NIOCore
import SkerryModel

/// An MQTT client that counts: packets other than PUBLISH go through the codec, PUBLISH is only measured out, because a client that costs
/// little leaves the processor to the broker.
final class MQTTBenchClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let hello: MQTTConnect
    private let connected: EventLoopPromise<Void>
    private var received = ByteBuffer()
    private var context: ChannelHandlerContext?
    private var subscribed: EventLoopPromise<Void>?
    private var isLeaving = false

    /// PUBLISH packets that came in, and PUBACKs.
    private(set) var deliveredCount = 0
    private(set) var acknowledgedCount = 0
    /// Whether CONNACK spoke of a session that was kept.
    private(set) var isSessionPresent = false
    /// Gets the first byte and the body of every PUBLISH; nil costs nothing.
    var onPublish: ((UInt8, ByteBuffer) -> Void)?
    /// Gets the packet identifier of every PUBACK.
    var onAcknowledge: ((UInt16) -> Void)?
    /// After a read that brought at least one PUBLISH or PUBACK.
    var onProgress: () -> Void = {}
    private(set) var failure: String?

    init(_ hello: MQTTConnect, connected: EventLoopPromise<Void>) {
        self.hello = hello
        self.connected = connected
    }

    /// Connects with a person's token, or as nobody.
    ///
    /// - Parameters:
    ///   - address: where it comes from, when not from the person's address; a loopback address.
    ///   - isDurable: whether the session outlives the connection.
    ///   - prepare: called with the client before its first byte: what it must not miss.
    static func connect(
        port: Int, clientID: String, login: MeasuredBox.Person? = nil, from address: String? = nil, isDurable: Bool = false, on loop: any EventLoop,
        prepare: (@Sendable (MQTTBenchClient) -> Void)? = nil
    ) -> EventLoopFuture<NIOLoopBound<MQTTBenchClient>> {
        let promise = loop.makePromise(of: Void.self)
        let hello = MQTTConnect(
            version: .v311, clientID: clientID, cleanStart: !isDurable, keepAliveSeconds: 0, userName: login?.name,
            password: login.map { ByteBuffer(string: $0.token) })
        let client = NIOLoopBound(MQTTBenchClient(hello, connected: promise), eventLoop: loop)
        prepare?(client.value)
        let opened = Connecting.open(port: port, from: address ?? login?.address, on: loop) { client.value }
        opened.whenFailure { promise.fail($0) }
        return promise.futureResult.map { client }
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        self.write(.connect(self.hello))
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.fail("the broker closed a connection")
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.fail("\(error)")
        context.close(promise: nil)
    }

    func subscribe(_ filter: String, qos: MQTTQoS) -> EventLoopFuture<Void> { self.subscribe([filter], qos: qos) }

    /// All of them with one SUBSCRIBE.
    func subscribe(_ filters: [String], qos: MQTTQoS) -> EventLoopFuture<Void> {
        guard let context = self.context else { return self.connected.futureResult.eventLoop.makeFailedFuture(BenchError("not connected")) }
        let promise = context.eventLoop.makePromise(of: Void.self)
        do {
            let options = MQTTSubscriptionOptions(qos: qos)
            self.write(.subscribe(MQTTSubscribe(1, try filters.map { MQTTSubscription(try TopicFilter($0), options) })))
            self.subscribed = promise
        } catch {
            promise.fail(error)
        }
        return promise.futureResult
    }

    /// Writes bytes that are packets already; flushed once for each turn of the loop.
    func send(_ packets: ByteBuffer) {
        guard let context = self.context else { return }
        context.writeAndFlush(self.wrapOutboundOut(packets), promise: nil)
    }

    func close() {
        self.isLeaving = true
        self.context?.close(promise: nil)
    }

    /// Says DISCONNECT before it closes.
    func leave() {
        self.send(ByteBuffer(bytes: [0xE0, 0]))
        self.close()
    }

    private func write(_ packet: MQTTPacket) {
        var buffer = ByteBuffer()
        MQTTEncoder.encode(packet, version: .v311, into: &buffer)
        self.send(buffer)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var read = self.unwrapInboundIn(data)
        if self.received.readableBytes == 0 { self.received = read } else { self.received.writeBuffer(&read) }
        var acknowledgements = ByteBuffer()
        let before = self.deliveredCount + self.acknowledgedCount
        while let (first, body) = self.nextPacket() { self.handle(first, body, &acknowledgements) }
        if acknowledgements.readableBytes > 0 { context.writeAndFlush(self.wrapOutboundOut(acknowledgements), promise: nil) }
        if self.deliveredCount + self.acknowledgedCount > before { self.onProgress() }
    }

    private func handle(_ first: UInt8, _ body: ByteBuffer, _ acknowledgements: inout ByteBuffer) {
        switch first >> 4 {
        case MQTTPacketType.publish.rawValue:
            self.deliveredCount += 1
            self.onPublish?(first, body)
            guard first & 0b0110 == 0b0010, let topicBytes = body.getInteger(at: body.readerIndex, as: UInt16.self),
                let id = body.getInteger(at: body.readerIndex + 2 + Int(topicBytes), as: UInt16.self)
            else { return }
            acknowledgements.writeMultipleIntegers(UInt8(0x40), UInt8(2), id)
        case MQTTPacketType.puback.rawValue:
            self.acknowledgedCount += 1
            if let onAcknowledge = self.onAcknowledge, let id = body.getInteger(at: body.readerIndex, as: UInt16.self) { onAcknowledge(id) }
        case MQTTPacketType.connack.rawValue:
            self.isSessionPresent = body.getInteger(at: body.readerIndex, as: UInt8.self) == 1
            if body.getInteger(at: body.readerIndex + 1, as: UInt8.self) == 0 { self.connected.succeed() } else { self.fail("CONNACK refused the connection") }
        case MQTTPacketType.suback.rawValue:
            if body.getInteger(at: body.readerIndex + 2, as: UInt8.self).map({ $0 < 0x80 }) ?? false {
                self.subscribed?.succeed()
            } else {
                self.subscribed?.fail(BenchError("SUBACK refused the subscription"))
            }
            self.subscribed = nil
        default: break
        }
    }

    /// The first byte and the body of the next whole packet.
    private func nextPacket() -> (UInt8, ByteBuffer)? {
        var index = self.received.readerIndex
        guard let first = self.received.getInteger(at: index, as: UInt8.self) else { return nil }
        var (length, shift) = (0, 0)
        while true {
            index += 1
            guard shift < 28, let byte = self.received.getInteger(at: index, as: UInt8.self) else { return nil }
            length |= Int(byte & 0x7F) << shift
            shift += 7
            if byte & 0x80 == 0 { break }
        }
        guard let body = self.received.getSlice(at: index + 1, length: length) else { return nil }
        self.received.moveReaderIndex(to: index + 1 + length)
        return (first, body)
    }

    private func fail(_ text: String) {
        guard self.failure == nil, !self.isLeaving else { return }
        self.failure = text
        self.connected.fail(BenchError(text))
        self.subscribed?.fail(BenchError(text))
        self.subscribed = nil
    }
}

@available(*, unavailable)
extension MQTTBenchClient: Sendable {}
