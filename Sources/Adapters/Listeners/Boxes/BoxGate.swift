import NIOCore
import NIOSSL
import NIOTLS
import SkerryModel
import SkerryNode

/// Stands behind TLS until it is known who has come: a member of the federation, or a box that wants to be paired. Nobody else gets further.
final class BoxGate: ChannelDuplexHandler, RemovableChannelHandler, KeptConnection {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let handshakeSeconds: Int64 = 10

    private let door: BoxDoor
    private let acceptor: any BoxLinkAcceptor
    private let keeper: ConnectionKeeper
    private let refuse: (String) -> Void
    private var context: ChannelHandlerContext?
    private var deadline: NIODeadline
    private var isStranger = true
    /// While handlers are being added behind: nothing is read, and what has been read waits.
    private var isHolding = false
    private var held: [ByteBuffer] = []
    private var hasReadWaiting = false
    var keeperSlot: Int?

    init(_ door: BoxDoor, _ acceptor: any BoxLinkAcceptor, _ keeper: ConnectionKeeper, refuse: @escaping (String) -> Void) {
        self.door = door
        self.acceptor = acceptor
        self.keeper = keeper
        self.refuse = refuse
        self.deadline = keeper.loop.now + .seconds(Self.handshakeSeconds)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.keeper.keep(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.keeper.forget(self)
        self.context = nil
        self.leave()
    }

    private func leave() {
        if self.isStranger { self.door.strangerLeft() }
        self.isStranger = false
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted(let application)? = event as? TLSUserEvent else { return context.fireUserInboundEventTriggered(event) }
        let certificate = (try? context.pipeline.syncOperations.nioSSL_peerCertificate()) ?? nil
        if application == FederationListener.pairingProtocol, certificate == nil {
            self.pair(context)
        } else if let key = certificate.flatMap({ BoxDoorTLS.publicKey(of: $0) }), let box = self.acceptor.member(publicKey: key) {
            // Asked again here: a handshake that goes on from an earlier one shows its certificate to nobody.
            self.admit(box, context)
        } else {
            self.door.metrics.add(.federationDoorRefused)
            self.refuse("no certificate of a member of the federation")
            context.close(promise: nil)
        }
    }

    private func admit(_ box: BoxID, _ context: ChannelHandlerContext) {
        self.leave()
        let handler = BoxConnectionHandler(self.door, self.acceptor, box, self.keeper)
        let pipeline = context.pipeline.syncOperations
        do {
            try pipeline.addHandler(handler, position: .after(self))
        } catch {
            return context.close(promise: nil)
        }
        pipeline.removeHandler(context: context, promise: nil)
    }

    /// Remains counted as a stranger until its end.
    private func pair(_ context: ChannelHandlerContext) {
        self.keeper.forget(self)
        self.isHolding = true
        let door = self.door
        self.isStranger = false
        context.channel.closeFuture.whenComplete { _ in door.strangerLeft() }
        self.acceptor.addPairingHandlers(to: context.channel).hop(to: context.eventLoop).assumeIsolated().whenComplete { result in
            guard let context = self.context else { return }
            if case .failure = result { return context.close(promise: nil) }
            self.isHolding = false
            for bytes in self.held { context.fireChannelRead(self.wrapInboundOut(bytes)) }
            if !self.held.isEmpty { context.fireChannelReadComplete() }
            self.held = []
            if self.hasReadWaiting { context.read() }
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        }
    }

    func read(context: ChannelHandlerContext) {
        if self.isHolding { self.hasReadWaiting = true } else { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // No more than was under way when the handshake was over: nothing is read meanwhile.
        if self.isHolding { self.held.append(self.unwrapInboundIn(data)) } else { context.fireChannelRead(data) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let reason = TLSFailure.reason(error) {
            self.door.metrics.add(.federationDoorRefused)
            self.refuse(reason)
        }
        context.close(promise: nil)
    }

    func tickEnded() {}

    func secondPassed(_ now: NIODeadline) {
        guard now >= self.deadline, let context = self.context else { return }
        self.door.metrics.add(.federationDoorRefused)
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension BoxGate: Sendable {}
