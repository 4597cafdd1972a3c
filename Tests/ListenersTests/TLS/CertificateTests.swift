import NIOCore
import NIOPosix
import NIOSSL
import SkerryModel
import SkerryNode
import TestKit
import Testing

@testable import Listeners

@Suite("Certificates", .timeLimit(.minutes(1))) struct CertificateTests {
    private func identity(_ directory: TemporaryDirectory) throws -> (chain: [NIOSSLCertificate], key: NIOSSLPrivateKey) {
        let box = try BoxIdentity.loadOrCreate(directory: directory.path)
        return (try NIOSSLCertificate.fromPEMFile(box.certificatePath), try NIOSSLPrivateKey(file: box.keyPath, format: .pem))
    }

    @Test("a name is found whatever its case; one with * stands for one label, and goes behind a name written out")
    func names() throws {
        let (one, two) = (TemporaryDirectory(), TemporaryDirectory())
        let (wide, exact) = (try self.identity(one), try self.identity(two))
        var table = CertificatesByName()
        let added = [
            table.add(wide.chain, wide.key, names: ["*.Example.org", "example.org"]), table.add(exact.chain, exact.key, names: ["chat.example.org"]),
            table.add(exact.chain, exact.key, names: []),
        ]
        #expect(added == [true, true, false])
        func found(_ host: String) -> NIOSSLCertificate? {
            guard case .certificate(let certificate)? = table.override(for: host)?.certificateChain?.first else { return nil }
            return certificate
        }
        for host in ["example.org", "EXAMPLE.ORG", "a.example.org", "A.Example.org"] { #expect(found(host) == wide.chain.first, "\(host)") }
        for host in ["chat.example.org", "Chat.Example.Org"] { #expect(found(host) == exact.chain.first, "\(host)") }
        for host in ["", "org", "a.b.example.org", "example.com", "*", "."] { #expect(found(host) == nil, "\(host)") }
    }

    @Test("what is no certificate is nobody's", arguments: CertificateNaming.allCases)
    func nobody(_ naming: CertificateNaming) throws {
        #expect(CertificateUser.name(der: [], naming: naming) == nil)
        #expect(CertificateUser.name(der: [0x30, 0x82, 0xFF, 0xFF], naming: naming) == nil)
        let directory = TemporaryDirectory()
        let box = try BoxIdentity.loadOrCreate(directory: directory.path)
        let der = try #require(try NIOSSLCertificate.fromPEMFile(box.certificatePath).first).toDERBytes()
        #expect(CertificateUser.name(der: der, naming: naming) == (naming == .commonName ? box.box.description : nil))
        for end in 0..<der.count { #expect(CertificateUser.name(der: Array(der[..<end]), naming: naming) == nil) }
    }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    @Test("a changed context is for new connections; one that is there goes on")
    func change() async throws {
        let directories = [TemporaryDirectory(), TemporaryDirectory()]
        let boxes = try directories.map { try BoxIdentity.loadOrCreate(directory: $0.path) }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let door = TLSDoor(try boxes[0].makeTLSContext())
        let listener = try await SocketListener.bind(
            .init(kind: "https", address: "127.0.0.1", port: 0), group: group, limiter: ConnectionLimiter(limits: Limits(), metrics: NodeMetrics()), tls: door
        ) { channel, _ in try channel.pipeline.syncOperations.addHandler(Echo()) }
        func context(_ box: BoxIdentity) throws -> NIOSSLContext {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(box.certificatePath))
            return try NIOSSLContext(configuration: configuration)
        }
        let old = try await RawClient.connect(port: listener.port, group: group, tls: context(boxes[0]), name: "localhost")
        try await old.send("before")
        #expect(await old.receive("before") == "before")
        door.change(try boxes[1].makeTLSContext())
        let new = try await RawClient.connect(port: listener.port, group: group, tls: context(boxes[1]), name: "localhost")
        try await new.send("new")
        #expect(await new.receive("new") == "new")
        try await old.send("after")
        #expect(await old.receive("after") == "after")
        let late = try await RawClient.connect(port: listener.port, group: group, tls: context(boxes[0]), name: "localhost")
        #expect(await late.receiveAll().isEmpty, "who trusts only the old one does not get through")
        await listener.close(grace: .zero)
        try await group.shutdownGracefully()
    }

    @Test("a plan names the file that is wrong")
    func wrong() throws {
        let (directory, other) = (TemporaryDirectory(), TemporaryDirectory())
        let (box, foreign) = (try BoxIdentity.loadOrCreate(directory: directory.path), try BoxIdentity.loadOrCreate(directory: other.path))
        func problem(_ change: (inout TLSPlan) -> Void) -> String {
            var plan = TLSPlan(box.pair())
            change(&plan)
            do throws(BoxIdentityError) { _ = try plan.makeContext() } catch { return error.description }
            return ""
        }
        #expect(problem { _ in } == "")
        #expect(problem { $0.others = [foreign.pair()] } == "")
        #expect(problem { $0.others = [.init(certificate: foreign.certificatePath, key: box.keyPath)] }.contains(foreign.certificatePath))
        #expect(problem { $0.others = [.init(certificate: "/nowhere.pem", key: box.keyPath)] }.contains("/nowhere.pem"))
        #expect(problem { $0.clients = .optional }.contains("cannot be read"))
        #expect(problem { ($0.clients, $0.clientAuthority) = (.required, box.keyPath) }.contains("no certificate"))
        #expect(problem { ($0.clients, $0.clientAuthority) = (.required, foreign.certificatePath) } == "")
    }
}
