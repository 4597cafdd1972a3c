import NIOCore
import NIOPosix
import NIOSSL
import Testing

/// A plain client socket: bytes out, bytes in.
final class RawClient: Sendable {
    let channel: any Channel
    private let stream: AsyncStream<ByteBuffer>

    private final class Receiver: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let continuation: AsyncStream<ByteBuffer>.Continuation
        init(_ continuation: AsyncStream<ByteBuffer>.Continuation) { self.continuation = continuation }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { self.continuation.yield(self.unwrapInboundIn(data)) }
        func channelInactive(context: ChannelHandlerContext) { self.continuation.finish() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private init(channel: any Channel, stream: AsyncStream<ByteBuffer>) {
        self.channel = channel
        self.stream = stream
    }

    static func connect(port: Int, group: any EventLoopGroup, tls: NIOSSLContext? = nil, name: String? = nil) async throws -> RawClient {
        let (stream, continuation) = AsyncStream<ByteBuffer>.makeStream()
        let channel = try await ClientBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name)) }
                    try channel.pipeline.syncOperations.addHandler(Receiver(continuation))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return RawClient(channel: channel, stream: stream)
    }

    func send(_ text: String) async throws { try await self.channel.writeAndFlush(ByteBuffer(string: text)) }
    func send(_ frames: ClientFrame...) async throws { try await self.channel.writeAndFlush(ByteBuffer(bytes: frames.bytes)) }

    /// What comes until `isEnough`, or until the other side closes.
    func receive(until isEnough: (String) -> Bool) async -> String {
        var bytes = ByteBuffer()
        for await more in self.stream {
            bytes.writeImmutableBuffer(more)
            if isEnough(String(buffer: bytes)) { break }
        }
        return String(buffer: bytes)
    }

    func receive(_ text: String) async -> String { await self.receive { $0.contains(text) } }
    /// Everything until the other side closes.
    func receiveAll() async -> String { await self.receive { _ in false } }

    func frames(_ count: Int) async -> [ServerFrame] {
        var bytes = ByteBuffer()
        var frames: [ServerFrame] = []
        for await more in self.stream {
            bytes.writeImmutableBuffer(more)
            frames += ServerFrame.read(&bytes)
            if frames.count >= count { break }
        }
        return frames
    }

    func close() async throws { try await self.channel.close() }
}
