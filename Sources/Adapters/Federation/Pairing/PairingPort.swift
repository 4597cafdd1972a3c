package import NIOCore
import Replication
import SkerryNode
import Synchronization

/// Where boxes come in that have a token and nothing else: the server's side of a connection with ALPN `skerry-pair/1`, behind TLS with the
/// federation's chain. One hello, one answer, the end.
package final class PairingPort: Sendable {
    package struct Limits: Sendable, Hashable {
        /// Connections at a time; one more is closed at once.
        package var connectionsMax = 16
        /// From the beginning to the end of a connection.
        package var secondsMax: Int64 = 15

        package init() {}
    }

    let service: MembershipService
    let limits: Limits
    private let open = Mutex(0)

    package init(_ service: MembershipService, limits: Limits = Limits()) {
        self.service = service
        self.limits = limits
    }

    /// Makes `channel`, whose TLS handshake is done or under way, a pairing connection. On its event loop.
    package func addHandlers(to channel: any Channel) -> EventLoopFuture<Void> {
        guard let identity = self.service.identity, self.enter() else {
            self.service.metrics.add(.pairingsRefused)
            return channel.close()
        }
        channel.closeFuture.whenComplete { _ in self.open.withLock { $0 -= 1 } }
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(PairingServerHandler(self, certificate: identity.certificate))
        }
    }

    private func enter() -> Bool {
        self.open.withLock { open in
            guard open < self.limits.connectionsMax else { return false }
            open += 1
            return true
        }
    }
}

/// Reads the hello, gives the answer.
private final class PairingServerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let port: PairingPort
    /// The certificate that this connection's TLS shows.
    private let certificate: [UInt8]
    private var buffer = ByteBuffer()
    private var hasHello = false
    private var deadline: Scheduled<Void>?

    init(_ port: PairingPort, certificate: [UInt8]) {
        self.port = port
        self.certificate = certificate
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        self.deadline = context.eventLoop.scheduleTask(in: .seconds(self.port.limits.secondsMax)) { channel.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.deadline?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Nothing is expected after the hello.
        guard !self.hasHello else { return context.close(promise: nil) }
        var bytes = self.unwrapInboundIn(data)
        self.buffer.writeBuffer(&bytes)
        do {
            guard let frame = try PairingFrames.next(&self.buffer) else { return }
            self.hasHello = true
            guard case .hello(let hello) = try PairingMessage(frame) else { return self.refuse(context, .malformed) }
            self.answer(hello, context)
        } catch is EntryDecodeError {
            self.refuse(context, .malformed)
        } catch {
            self.refuse(context, .malformed)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ hello: PairingHello, _ context: ChannelHandlerContext) {
        let (channel, service, certificate) = (context.channel, self.port.service, self.certificate)
        let address = channel.remoteAddress?.ipAddress ?? ""
        let promise = context.eventLoop.makePromise(of: PairingMessage.self)
        promise.completeWithTask { await service.answer(hello, certificate: certificate, from: address) }
        promise.futureResult.whenSuccess { Self.send($0, on: channel) }
    }

    private func refuse(_ context: ChannelHandlerContext, _ refusal: PairingRefusal) {
        self.hasHello = true
        self.port.service.metrics.add(.pairingsRefused)
        Self.send(.refusal(refusal), on: context.channel)
    }

    private static func send(_ message: PairingMessage, on channel: any Channel) {
        channel.writeAndFlush(PairingFrames.frame(message, channel.allocator)).whenComplete { _ in channel.close(promise: nil) }
    }
}
