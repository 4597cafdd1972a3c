import MQTTCodec
import NIOCore
import NIOPosix
import NIOSSL
import Replication
import SkerryModel
import SkerryNode
import Synchronization

/// A box that says exactly what a test wants, packet by packet.
final class RawBoxClient: Sendable {
    private struct State {
        var packets: [MQTTPacket] = []
        var isClosed = false
        var error: String?
    }

    private let state: Mutex<State>
    let channel: any Channel

    /// Nil credentials: comes without a certificate.
    init(_ port: Int, _ credentials: BoxCredentials?, protocols: [String] = []) async throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        configuration.applicationProtocols = protocols
        if let credentials {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(credentials.certificateChain.utf8)).map { .certificate($0) }
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(credentials.privateKey.utf8), format: .pem))
        }
        let context = try NIOSSLContext(configuration: configuration)
        let collector = Collector()
        self.state = Mutex(State())
        self.channel = try await ClientBootstrap(group: TestLinkBox.group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
                    try channel.pipeline.syncOperations.addHandler(collector)
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        collector.client.withLock { $0 = self }
    }

    func connect(
        as box: BoxID, version: MQTTVersion = .v5, keepAlive: UInt16 = 30, will: MQTTWill? = nil, properties: MQTTProperties = .none
    ) async throws -> MQTTConnack {
        try await self.send(
            .connect(MQTTConnect(version: version, clientID: box.description, keepAliveSeconds: keepAlive, will: will, properties: properties)), version)
        guard case .connack(let connack) = try await self.next() else { throw TooSlow(description: "something else than CONNACK came") }
        return connack
    }

    func send(_ packet: MQTTPacket, _ version: MQTTVersion = .v5) async throws {
        var bytes = ByteBuffer()
        guard MQTTEncoder.encode(packet, version: version, into: &bytes) else { throw TooSlow(description: "not encodable") }
        try await self.channel.writeAndFlush(bytes)
    }

    func send(raw bytes: [UInt8]) async throws { try await self.channel.writeAndFlush(ByteBuffer(bytes: bytes)) }

    func publish(_ topic: String, _ payload: [UInt8] = [1], id: UInt16 = 1, qos: MQTTQoS = .atLeastOnce, isRetained: Bool = false) async throws {
        try await self.send(
            .publish(
                MQTTPublish(
                    topic: try TopicName(topic), payload: ByteBuffer(bytes: payload), qos: qos, packetID: qos == .atMostOnce ? 0 : id,
                    isRetained: isRetained)))
    }

    func subscribe(_ filters: [String], id: UInt16 = 1) async throws -> [MQTTReason] {
        let subscriptions = try filters.map { MQTTSubscription(try TopicFilter($0), MQTTSubscriptionOptions(qos: .atLeastOnce)) }
        try await self.send(.subscribe(MQTTSubscribe(id, subscriptions)))
        guard case .suback(let suback) = try await self.next() else { throw TooSlow(description: "something else than SUBACK came") }
        return suback.reasons
    }

    /// The next packet that came, in their order.
    func next() async throws -> MQTTPacket {
        try await eventually("a packet, or the end") { self.state.withLock { !$0.packets.isEmpty || $0.isClosed } }
        return try self.state.withLock { state in
            guard !state.packets.isEmpty else { throw TooSlow(description: "the connection ended: \(state.error ?? "")") }
            return state.packets.removeFirst()
        }
    }

    /// The reason of the DISCONNECT that ends it.
    func farewell() async throws -> MQTTReason {
        while true {
            if case .disconnect(let disconnect) = try await self.next() { return disconnect.reason }
        }
    }

    var isClosed: Bool { self.state.withLock(\.isClosed) }
    var waiting: Int { self.state.withLock(\.packets.count) }

    fileprivate func heard(_ packet: MQTTPacket) { self.state.withLock { $0.packets.append(packet) } }
    fileprivate func ended(_ error: String?) {
        self.state.withLock { state in
            state.isClosed = true
            state.error = state.error ?? error
        }
    }

    private final class Collector: ChannelInboundHandler, @unchecked Sendable {
        // Unchecked: on its loop, but for the mutex.
        typealias InboundIn = ByteBuffer
        let client = Mutex<RawBoxClient?>(nil)
        private var decoder = MQTTDecoder(clientOf: .v5)
        private var early: [MQTTPacket] = []
        private var isEnded = false
        private var error: String?

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.decoder.append(self.unwrapInboundIn(data))
            while let packet = (try? self.decoder.next()) ?? nil {
                if let client = self.client.withLock({ $0 }) { client.heard(packet) }
            }
        }

        func channelInactive(context: ChannelHandlerContext) { self.tell(context) }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            self.error = self.error ?? "\(error)"
            context.close(promise: nil)
        }

        /// The client may be there a little later than its connection.
        private func tell(_ context: ChannelHandlerContext) {
            if let client = self.client.withLock({ $0 }) { return client.ended(self.error) }
            context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(5)) { self.tell(context) }
        }
    }
}
