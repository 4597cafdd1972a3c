import Crypto
import NIOCore
import NIOPosix
import NIOSSL
import Replication
import SkerryModel
import Synchronization
import X509

/// Why the other box could not be asked.
struct PairingFailure: Error, Sendable {
    var error: SkerryError
    /// Whether another try may do.
    var isTemporary = false

    init(_ error: SkerryError, isTemporary: Bool = false) {
        self.error = error
        self.isTemporary = isTemporary
    }
}

/// One question to a box of a federation: dials the token's addresses in turn, makes sure that it is the token's federation, says hello, hears the answer.
struct PairingClient: Sendable {
    let authorityHash: [UInt8]
    /// The hello for the box that has this certificate (DER).
    let hello: @Sendable ([UInt8]) -> PairingHello?
    var connectSeconds: Int64 = 4
    var answerSeconds: Int64 = 12

    func ask(_ addresses: [PairingToken.Address]) async throws(PairingFailure) -> PairingMessage {
        var last: PairingFailure?
        for address in addresses {
            do throws(PairingFailure) {
                return try await self.ask(address)
            } catch {
                // A box that is not the right one says more than one that is not there.
                if last == nil || last?.isTemporary == true { last = error }
            }
        }
        throw last ?? PairingFailure(SkerryError(.payloadInvalid, "The token names no address.", field: "token"))
    }

    private func ask(_ address: PairingToken.Address) async throws(PairingFailure) -> PairingMessage {
        let seen = SeenCertificate()
        let hash = self.authorityHash
        do {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv13
            configuration.applicationProtocols = [PairingMessage.alpn]
            configuration.certificateVerification = .noHostnameVerification
            let context = try NIOSSLContext(configuration: configuration)
            let answer = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: PairingMessage.self)
            let (hello, seconds) = (self.hello, self.answerSeconds)
            let channel: any Channel
            do {
                channel = try await ClientBootstrap(group: answer.futureResult.eventLoop)
                    .connectTimeout(.seconds(self.connectSeconds))
                    .channelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            // This callback takes the place of every other check: no name, no date, no list of authorities.
                            let tls = try NIOSSLClientHandler(
                                context: context, serverHostname: nil,
                                customVerificationCallback: { certificates, promise in
                                    let isGood = seen.verify(certificates, authorityHash: hash)
                                    promise.succeed(isGood ? .certificateVerified : .failed)
                                    if isGood { channel.pipeline.fireUserInboundEventTriggered(ServerVerified()) }
                                })
                            try channel.pipeline.syncOperations.addHandlers(tls, PairingClientHandler(answer, seen, hello, seconds))
                        }
                    }
                    .connect(host: address.host, port: Int(address.port)).get()
            } catch {
                answer.fail(error)
                throw error
            }
            defer { channel.close(promise: nil) }
            return try await answer.futureResult.get()
        } catch let failure as PairingFailure {
            throw failure
        } catch {
            if seen.isWrong {
                throw PairingFailure(
                    SkerryError(
                        .forbidden,
                        """
                        At \(address) answers a box of another federation than the token's. Make a new token on the right box; if it was the right one, \
                        somebody is in between.
                        """, field: "token"))
            }
            throw PairingFailure(
                SkerryError(
                    .unavailable,
                    "The other box cannot be reached at \(address). Both must be on one network, and no firewall between them may close that port.",
                    retryAfterSeconds: 5), isTemporary: true)
        }
    }
}

/// What the handshake found out about the other side.
private final class SeenCertificate: Sendable {
    private let state = Mutex<(certificate: [UInt8]?, isWrong: Bool)>((nil, false))

    /// Of the box on the other side, DER, once it was verified.
    var certificate: [UInt8]? { self.state.withLock { $0.certificate } }
    /// There was a handshake, with somebody else.
    var isWrong: Bool { self.state.withLock { $0.isWrong } }

    /// Whether the chain is a box's certificate made by the CA whose key has this hash. That the box has its key, TLS itself proves.
    func verify(_ certificates: [NIOSSLCertificate], authorityHash: [UInt8]) -> Bool {
        let chain = certificates.prefix(4).compactMap { try? $0.toDERBytes() }
        let isGood = Self.isGood(chain, authorityHash)
        self.state.withLock { state in
            state.isWrong = !isGood
            state.certificate = isGood ? chain.first : nil
        }
        return isGood
    }

    private static func isGood(_ chain: [[UInt8]], _ authorityHash: [UInt8]) -> Bool {
        guard let first = chain.first, let certificate = FederationCertificates.parse(first) else { return false }
        for authority in chain.dropFirst() {
            guard let authority = FederationCertificates.parse(authority), let key = P256.Signing.PublicKey(authority.publicKey),
                FederationCertificates.hash(of: key) == authorityHash
            else { continue }
            return authority.publicKey.isValidSignature(certificate.signature, for: certificate)
        }
        return false
    }
}

/// The other side's chain is good.
private struct ServerVerified: Sendable {}

/// Says hello once TLS stands, and hears one message.
private final class PairingClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let answer: EventLoopPromise<PairingMessage>
    private let seen: SeenCertificate
    private let hello: @Sendable ([UInt8]) -> PairingHello?
    private let seconds: Int64
    private var buffer = ByteBuffer()
    private var deadline: Scheduled<Void>?

    init(
        _ answer: EventLoopPromise<PairingMessage>, _ seen: SeenCertificate, _ hello: @escaping @Sendable ([UInt8]) -> PairingHello?, _ seconds: Int64
    ) {
        self.answer = answer
        self.seen = seen
        self.hello = hello
        self.seconds = seconds
    }

    func channelActive(context: ChannelHandlerContext) {
        let answer = self.answer
        self.deadline = context.eventLoop.scheduleTask(in: .seconds(self.seconds)) { answer.fail(ChannelError.eof) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is ServerVerified else { return context.fireUserInboundEventTriggered(event) }
        guard let certificate = self.seen.certificate, let hello = self.hello(certificate) else { return self.answer.fail(ChannelError.eof) }
        // Kept by TLS until its handshake is done.
        context.writeAndFlush(self.wrapOutboundOut(PairingFrames.frame(.hello(hello), context.channel.allocator)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        self.buffer.writeBuffer(&bytes)
        do {
            guard let frame = try PairingFrames.next(&self.buffer) else { return }
            self.answer.succeed(try PairingMessage(frame))
        } catch {
            self.answer.fail(PairingFailure(PairingRefusal.malformed.error))
        }
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.answer.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.deadline?.cancel()
        self.answer.fail(ChannelError.eof)
        context.fireChannelInactive()
    }
}
