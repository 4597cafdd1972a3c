import Crypto
import NIOCore
import NIOPosix
import NIOSSL
import Replication
import SkerryModel
import SkerryNode
import TestKit
import Testing

@testable import Federation

/// Two boxes and everything in between are real: sockets, TLS, files. Only the member list is in memory, and the clock stands still.
@Suite(.timeLimit(.minutes(2))) struct PairingTests {
    private static let minute: UInt64 = 60_000

    @Test("a box joins with a token: both lists hold both boxes, signed, and it is of the federation after a restart too")
    func join() async throws {
        let (first, second) = (try await PairingBox("attic"), try await PairingBox("kitchen"))
        second.place(["10.0.0.2:8884"])
        let progress = try await second.membership.join(token: try await first.token())
        #expect(progress == .joined(name: "attic"))
        let federation = try #require(first.membership.federation)
        #expect(second.membership.federation == federation)
        #expect(first.membership.isIssuer)
        #expect(!second.membership.isIssuer)
        #expect(first.rows == second.rows)
        #expect(Set(first.rows.keys) == [first.box, second.box])
        let row = try #require(first.rows[second.box])
        #expect(row.name == "kitchen")
        #expect(row.endpoints == ["10.0.0.2:8884"])
        #expect(row.logKey == second.membership.identity?.logKey)
        #expect(row.standing == .active)
        #expect(first.metrics.value(.pairings) == 1)

        let again = try FederationIdentity.load(directory: second.directory.path, boxKey: second.key)
        #expect(again?.federation == federation)
        #expect(again?.logKey == row.logKey)
        #expect(again?.isIssuer == false)
        #expect(try FederationIdentity.load(directory: first.directory.path, boxKey: first.key)?.isIssuer == true)
        try await first.close()
    }

    @Test("neither the date in a token nor the clock of the box that joins matters")
    func wrongClock() async throws {
        let (first, second) = (try await PairingBox("attic"), try await PairingBox("kitchen"))
        var token = try PairingToken(try await first.token())
        token.expiresSeconds = 1
        #expect(try await second.membership.join(token: token.description) == .joined(name: "attic"))
        try await first.close()
    }

    @Test("a token is good for one box")
    func reused() async throws {
        let (first, second, third) = (try await PairingBox("a"), try await PairingBox("b"), try await PairingBox("c"))
        let token = try await first.token()
        _ = try await second.membership.join(token: token)
        let error = await refusal { _ = try await third.membership.join(token: token) }
        #expect(error?.code == .conflict)
        #expect(error?.detail.contains("used by another box") == true)
        #expect(third.membership.federation == nil)
        #expect(first.rows[third.box] == nil)
        #expect(first.metrics.value(.pairingsRefused) == 1)
        try await first.close()
    }

    @Test("a token whose ten minutes are over is refused by the clock that nobody can set")
    func expired() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        let token = try await first.token()
        first.pass(10 * Self.minute)
        let error = await refusal { _ = try await second.membership.join(token: token) }
        #expect(error?.code == .tokenExpired)
        #expect(await second.membership.progress() == error.map { .failed($0) })
        try await first.close()
    }

    @Test("a token of before a restart, or of nobody, is unknown")
    func unknown() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        var token = try PairingToken(try await first.token())
        token.secret[0] ^= 1
        let error = await refusal { _ = try await second.membership.join(token: token.description) }
        #expect(error?.code == .notFound)
        try await first.close()
    }

    @Test("a mistyped token is refused before anybody is asked")
    func mistyped() async throws {
        let second = try await PairingBox("b")
        let error = await refusal { _ = try await second.membership.join(token: "skerry") }
        #expect(error?.code == .payloadInvalid)
        #expect(error?.field == "token")
    }

    @Test("a box that answers at the token's address with another federation's certificate hears nothing, and the administrator is told")
    func wrongAuthority() async throws {
        let (first, second, evil) = (try await PairingBox("a"), try await PairingBox("b"), try await PairingBox("evil"))
        _ = try await evil.token()
        var token = try PairingToken(try await first.token())
        token.addresses = [try #require(PairingToken.Address(evil.endpoints()[0]))]
        let error = await refusal { _ = try await second.membership.join(token: token.description) }
        #expect(error?.code == .forbidden)
        #expect(error?.detail.contains("another federation") == true)
        #expect(evil.metrics.value(.pairingsRefused) == 0, "no hello came")
        try await first.close()
        try await evil.close()
    }

    @Test("the right CA's certificate behind a leaf that it did not make is no chain")
    func borrowedAuthority() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        var token = try PairingToken(try await first.token())
        let real = try #require(first.membership.identity)
        let evilKey = P256.Signing.PrivateKey()
        let evil = try FederationIdentity.found(boxKey: evilKey)
        let chain = [evil.certificate, real.authority]
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try chain.map { .certificate(try NIOSSLCertificate(bytes: $0, format: .der)) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(evilKey.derRepresentation), format: .der)))
        configuration.applicationProtocols = [PairingMessage.alpn]
        let context = try NIOSSLContext(configuration: configuration)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        token.addresses = [try #require(PairingToken.Address("127.0.0.1:\(server.localAddress?.port ?? 0)"))]
        let error = await refusal { _ = try await second.membership.join(token: token.description) }
        #expect(error?.code == .forbidden)
        try await server.close().get()
        try await first.close()
    }

    @Test("a hello that was made for another certificate is no proof, even with the right secret")
    func relayed() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        let token = try PairingToken(try await first.token())
        let certificate = try #require(first.membership.identity?.certificate)
        let other = try FederationIdentity.found(boxKey: P256.Signing.PrivateKey()).certificate
        let message = await first.membership.answer(try Self.hello(second, token, certificate: other), certificate: certificate, from: "")
        #expect(message == .refusal(.badProof))
        let good = await first.membership.answer(try Self.hello(second, token, certificate: certificate), certificate: certificate, from: "")
        guard case .welcome = good else {
            Issue.record("\(good)")
            return
        }
        try await first.close()
    }

    /// What a box with this token says to the box with that certificate.
    private static func hello(
        _ box: PairingBox, _ token: PairingToken, certificate: [UInt8], logKey: Curve25519.Signing.PrivateKey = .init()
    ) throws
        -> PairingHello
    {
        let secret = PairingSecret(token.secret)
        var hello = PairingHello(
            token: secret.id, request: try FederationCertificates.request(key: box.key), logKey: Array(logKey.publicKey.rawRepresentation), name: box.name,
            endpoints: [], software: "test", nonce: [UInt8](repeating: 1, count: 32))
        let transcript = hello.transcript(certificate: certificate)
        hello.logProof = Array(try logKey.signature(for: transcript))
        hello.mac = secret.mac(transcript)
        return hello
    }

    @Test("five wrong proofs void a token for everybody")
    func tries() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        let text = try await first.token()
        let token = try PairingToken(text)
        let certificate = try #require(first.membership.identity?.certificate)
        var bad = try Self.hello(second, token, certificate: certificate)
        bad.mac[0] ^= 1
        for _ in 0..<4 { #expect(await first.membership.answer(bad, certificate: certificate, from: "") == .refusal(.badProof)) }
        #expect(await first.membership.answer(bad, certificate: certificate, from: "") == .refusal(.void))
        let error = await refusal { _ = try await second.membership.join(token: text) }
        #expect(error?.code == .forbidden)
        #expect(error?.detail.contains("void") == true)
        try await first.close()
    }

    @Test("a box must have the keys it names: the log key's proof and the request's signature are looked at")
    func possession() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        let token = try PairingToken(try await first.token())
        let certificate = try #require(first.membership.identity?.certificate)
        let secret = PairingSecret(token.secret)
        var stolenLogKey = try Self.hello(second, token, certificate: certificate)
        stolenLogKey.logProof[3] ^= 1
        #expect(await first.membership.answer(stolenLogKey, certificate: certificate, from: "") == .refusal(.badProof))
        var stolenBoxKey = try Self.hello(second, token, certificate: certificate)
        stolenBoxKey.request[stolenBoxKey.request.count - 3] ^= 1
        let transcript = stolenBoxKey.transcript(certificate: certificate)
        stolenBoxKey.mac = secret.mac(transcript)
        #expect(await first.membership.answer(stolenBoxKey, certificate: certificate, from: "") == .refusal(.badProof))
        #expect(first.rows[second.box] == nil)
        try await first.close()
    }

    @Test("a box whose answer was lost comes again with the same token and is given the same row")
    func lostAnswer() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        let token = try PairingToken(try await first.token())
        let certificate = try #require(first.membership.identity?.certificate)
        let hello = try Self.hello(second, token, certificate: certificate)
        guard case .welcome(let one) = await first.membership.answer(hello, certificate: certificate, from: ""),
            case .welcome(let two) = await first.membership.answer(hello, certificate: certificate, from: "")
        else {
            Issue.record("not let in")
            return
        }
        #expect(one.members == two.members)
        #expect(first.metrics.value(.pairings) == 1)
        #expect(try await second.membership.join(token: token.description) == .joined(name: "a"), "with a new log key")
        #expect(first.rows[second.box]?.logKey == second.membership.identity?.logKey)
        try await first.close()
    }

    @Test("a full disk at the other box refuses nobody for good: the same token works once there is room")
    func otherDiskFull() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        let token = try await first.token()
        first.failToAppend(true)
        let error = await refusal { _ = try await second.membership.join(token: token) }
        #expect(error?.code == .unavailable)
        first.failToAppend(false)
        #expect(try await second.membership.join(token: token) == .joined(name: "a"))
        try await first.close()
    }

    @Test("a box that stops between its certificate and its store still knows its federation at the next start")
    func ownDiskFull() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        let token = try await first.token()
        second.failToAppend(true)
        _ = await refusal { _ = try await second.membership.join(token: token) }
        second.failToAppend(false)
        #expect(second.rows.isEmpty)
        let again = try MembershipService(
            boxKey: second.key, directory: second.directory.path, software: "test", metrics: NodeMetrics(), logger: second.membership.logger)
        try await again.start(second)
        #expect(Set(second.rows.keys) == [first.box, second.box])
        try await first.close()
    }

    @Test("a federation takes no more boxes than it may have")
    func full() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        let token = try await first.token()
        for number in 0..<UInt8(MembershipService.boxesMax - 1) {
            first.put(
                MemberEntry(
                    box: try #require(BoxID([UInt8](repeating: number, count: 10))), name: "", publicKey: [], logKey: [], endpoints: [], version: 1))
        }
        let error = await refusal { _ = try await second.membership.join(token: token) }
        #expect(error?.code == .quotaExceeded)
        try await first.close()
    }

    // MARK: - Approval

    @Test("with approval, a box waits until an administrator lets it in; both see the other's words")
    func approved() async throws {
        var timing = PairingBox.quick
        timing.answerMilliseconds = 50
        let (first, second) = (try await PairingBox("attic"), try await PairingBox("kitchen", timing: timing))
        let token = try await first.token(waits: true)
        let progress = try await second.membership.join(token: token)
        #expect(progress == .waiting(name: "attic", words: first.membership.words))
        let candidates = await first.membership.candidates()
        #expect(candidates.map(\.box) == [second.box])
        #expect(candidates.map(\.words) == [second.membership.words])
        #expect(candidates.map(\.state) == [.waiting])
        #expect(candidates.map(\.address) == ["127.0.0.1"])
        #expect(first.rows[second.box] == nil)
        let twice = await refusal { _ = try await second.membership.join(token: token) }
        #expect(twice?.code == .conflict)
        try await first.membership.approve(second.box)
        try await eventually { await second.membership.progress() == .joined(name: "attic") }
        #expect(await first.membership.candidates().isEmpty)
        #expect(second.membership.federation == first.membership.federation)
        try await first.close()
    }

    @Test("a box that is ignored is told so and is not let in; what nobody waits for cannot be approved")
    func ignored() async throws {
        var timing = PairingBox.quick
        timing.answerMilliseconds = 50
        let (first, second) = (try await PairingBox("attic"), try await PairingBox("kitchen", timing: timing))
        _ = try await second.membership.join(token: try await first.token(waits: true))
        try await first.membership.ignore(second.box)
        try await eventually { if case .failed = await second.membership.progress() { true } else { false } }
        #expect(await second.membership.progress() == .failed(PairingRefusal.ignored.error))
        #expect(await refusal { try await first.membership.approve(second.box) }?.code == .notFound)
        #expect(await refusal { try await first.membership.ignore(second.box) }?.code == .notFound)
        try await first.close()
    }

    // MARK: - Who may join

    @Test("a box that is in another federation with others is refused, with what to do; one that was alone in its own comes along")
    func otherFederation() async throws {
        let (first, second, third) = (try await PairingBox("a"), try await PairingBox("b"), try await PairingBox("c"))
        _ = try await third.token()
        let old = try #require(third.membership.federation)
        _ = try await second.membership.join(token: try await third.token())
        let error = await refusal { _ = try await second.membership.join(token: try await first.token()) }
        #expect(error?.code == .conflict)
        #expect(error?.detail.contains("skerry boxes remove") == true)
        #expect(second.membership.federation == old)
        let same = await refusal { _ = try await second.membership.join(token: try await third.token()) }
        #expect(same?.detail.contains("in that federation already") == true)

        let lone = try await PairingBox("lone")
        _ = try await lone.token()
        let before = try #require(lone.rows[lone.box])
        #expect(try await lone.membership.join(token: try await first.token()) == .joined(name: "a"))
        #expect(lone.membership.federation == first.membership.federation)
        #expect(!lone.membership.isIssuer)
        #expect(try #require(lone.rows[lone.box]).version > before.version)
        #expect(Set(lone.rows.keys) == [first.box, lone.box])
        try await first.close()
        try await third.close()
        try await lone.close()
    }

    @Test("where nobody listens, joining fails with what to look at")
    func unreachable() async throws {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        let token = try await first.token()
        try await first.close()
        let error = await refusal { _ = try await second.membership.join(token: token) }
        #expect(error?.code == .unavailable)
        #expect(error?.detail.contains(first.endpoints()[0]) == true)
    }

    @Test("a box without an open listener makes no token")
    func noListener() async throws {
        let error = await refusal { _ = try await PairingBox("a").membership.invite(waits: false) }
        #expect(error?.code == .unavailable)
    }

    @Test("no more tokens are open at a time than may be")
    func manyTokens() async throws {
        let first = try await PairingBox("a")
        for _ in 0..<7 { _ = try await first.token() }
        let error = await refusal { _ = try await first.token() }
        #expect(error?.code == .quotaExceeded)
        first.pass(10 * Self.minute)
        _ = try await first.token()
        try await first.close()
    }
}
