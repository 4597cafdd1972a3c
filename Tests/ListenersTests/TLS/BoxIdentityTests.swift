import Crypto
import NIOCore
import NIOPosix
import NIOSSL
import SkerryModel
import SkerryNode
import TestKit
import Testing

@testable import Listeners

@Suite(.timeLimit(.minutes(1))) struct BoxIdentityTests {
    @Test("the first start makes a key, and every later one finds the same box")
    func sameBox() throws {
        let directory = TemporaryDirectory()
        let first = try BoxIdentity.loadOrCreate(directory: directory.path)
        let second = try BoxIdentity.loadOrCreate(directory: directory.path)
        #expect(first.box == second.box)
        #expect(first.box.description.count == 16)
        #expect(Array(SHA256.hash(data: first.key.publicKey.derRepresentation).prefix(10)) == first.box.bytes)
        let other = TemporaryDirectory()
        #expect(try BoxIdentity.loadOrCreate(directory: other.path).box != first.box)
    }

    @Test("a lost or foreign certificate is made again, and the box stays the same")
    func lostCertificate() throws {
        let (directory, other) = (TemporaryDirectory(), TemporaryDirectory())
        let first = try BoxIdentity.loadOrCreate(directory: directory.path)
        let foreign = try BoxIdentity.loadOrCreate(directory: other.path)
        let bytes = try #require(try SecretFile(path: foreign.certificatePath).read())
        try SecretFile(path: first.certificatePath).write(bytes)
        let again = try BoxIdentity.loadOrCreate(directory: directory.path)
        #expect(again.box == first.box)
        #expect(try SecretFile(path: again.certificatePath).read() != bytes)
        _ = try again.makeTLSContext()
    }

    @Test("a damaged key is an error that says what it means, never a new box")
    func damagedKey() throws {
        let directory = TemporaryDirectory()
        let first = try BoxIdentity.loadOrCreate(directory: directory.path)
        try SecretFile(path: first.keyPath).write(Array("damaged".utf8))
        let error = #expect(throws: BoxIdentityError.self) { try BoxIdentity.loadOrCreate(directory: directory.path) }
        #expect(error?.description.contains(first.keyPath) == true)
        #expect(try SecretFile(path: first.keyPath).read() == Array("damaged".utf8))
    }

    @Test("a certificate of one's own that cannot be used is refused by its path")
    func ownCertificate() throws {
        let (directory, other) = (TemporaryDirectory(), TemporaryDirectory())
        let box = try BoxIdentity.loadOrCreate(directory: directory.path)
        let foreign = try BoxIdentity.loadOrCreate(directory: other.path)
        _ = try box.makeTLSContext(certificatePath: foreign.certificatePath, keyPath: foreign.keyPath)
        let missing = #expect(throws: BoxIdentityError.self) { try box.makeTLSContext(certificatePath: "/nowhere.pem", keyPath: foreign.keyPath) }
        #expect(missing?.description == "TLS needs /nowhere.pem, which cannot be read: No such file or directory.")
        #expect(throws: BoxIdentityError.self) { try box.makeTLSContext(certificatePath: foreign.certificatePath, keyPath: box.keyPath) }
    }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    @Test("a client that trusts the box's certificate gets through by name and by address, with TLS 1.2 and 1.3", arguments: [TLSVersion.tlsv12, .tlsv13])
    func handshake(_ version: TLSVersion) async throws {
        let directory = TemporaryDirectory()
        let box = try BoxIdentity.loadOrCreate(directory: directory.path)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let listener = try await SocketListener.bind(
            .init(kind: "https", address: "127.0.0.1", port: 0), group: group, limiter: ConnectionLimiter(limits: Limits(), metrics: NodeMetrics()),
            tls: TLSDoor(box.makeTLSContext())
        ) { channel, _ in try channel.pipeline.syncOperations.addHandler(Echo()) }
        #expect(listener.isTLS)
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(box.certificatePath))
        configuration.minimumTLSVersion = version
        configuration.maximumTLSVersion = version
        let context = try NIOSSLContext(configuration: configuration)
        for name in ["localhost", nil] {
            let client = try await RawClient.connect(port: listener.port, group: group, tls: context, name: name)
            try await client.send("secret")
            #expect(await client.receive("secret") == "secret")
        }
        configuration.minimumTLSVersion = .tlsv1
        configuration.maximumTLSVersion = .tlsv11
        let old = try await RawClient.connect(port: listener.port, group: group, tls: NIOSSLContext(configuration: configuration), name: "localhost")
        #expect(await old.receiveAll().isEmpty)
        await listener.close(grace: .zero)
        try await group.shutdownGracefully()
    }
}
