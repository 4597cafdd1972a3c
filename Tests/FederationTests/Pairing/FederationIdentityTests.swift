import Crypto
import FoundationEssentials
import Replication
import SkerryModel
import SkerryNode
import SwiftASN1
import TestKit
import Testing
import X509

@testable import Federation

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

@Suite(.timeLimit(.minutes(2))) struct FederationIdentityTests {
    private static let key = P256.Signing.PrivateKey()

    @Test("a founder's certificates never expire, name the box, and are kept for its eyes only")
    func found() throws {
        let directory = TemporaryDirectory()
        #expect(try FederationIdentity.load(directory: directory.path, boxKey: Self.key) == nil)
        let identity = try FederationIdentity.found(boxKey: Self.key)
        try identity.store(directory: directory.path)
        let loaded = try #require(try FederationIdentity.load(directory: directory.path, boxKey: Self.key))
        #expect(loaded.federation == identity.federation)
        #expect(loaded.logKey == identity.logKey)
        #expect(loaded.isIssuer)
        let certificate = try Certificate(derEncoded: identity.certificate)
        #expect(certificate.subject.description.contains(identity.box.description))
        #expect(certificate.notValidBefore == Date(timeIntervalSince1970: 946_684_800), "2000-01-01")
        #expect(certificate.notValidAfter == Date(timeIntervalSince1970: 253_402_300_799), "9999-12-31")
        #expect(FederationID(Array(SHA256.hash(data: identity.authorityPublicKey.derRepresentation))) == identity.federation)
        for name in ["fed-ca.pem", "fed-ca-key.pem", "fed-cert.pem", "log-key"] {
            var status = stat()
            #expect(stat("\(directory.path)/\(name)", &status) == 0, "\(name)")
            #expect(status.st_mode & 0o777 == 0o600, "\(name)")
        }
    }

    @Test("files that do not belong together are refused by name, with what to do")
    func damaged() throws {
        let directory = TemporaryDirectory()
        let identity = try FederationIdentity.found(boxKey: Self.key)
        func spoil(_ name: String, _ bytes: [UInt8]) throws -> String {
            try identity.store(directory: directory.path)
            try SecretFile(path: "\(directory.path)/\(name)").write(bytes)
            do throws(FederationIdentityError) {
                _ = try FederationIdentity.load(directory: directory.path, boxKey: Self.key)
                return "loaded"
            } catch { return error.description }
        }
        let other = try FederationIdentity.found(boxKey: Self.key)
        let stranger = try FederationIdentity.found(boxKey: P256.Signing.PrivateKey())
        func pem(_ der: [UInt8]) -> [UInt8] { Array(PEMDocument(type: "CERTIFICATE", derBytes: der).pemString.utf8) }
        #expect(try spoil("fed-cert.pem", []).contains("fed-cert.pem"))
        #expect(try spoil("fed-ca.pem", Array("hello".utf8)).contains("fed-ca.pem"))
        #expect(try spoil("fed-ca.pem", pem(other.authority)).contains("was not made by the federation's CA"))
        #expect(try spoil("fed-cert.pem", pem(stranger.certificate)).contains("another key than this box's"))
        #expect(try spoil("log-key", [1, 2]).contains("log-key"))
        #expect(try spoil("fed-ca-key.pem", [1, 2]).contains("fed-ca-key.pem"))
        #expect(try spoil("fed-ca-key.pem", Array(P256.Signing.PrivateKey().pemRepresentation.utf8)).contains("CA's key"))
    }

    @Test("a box that stops half-way from one federation to another is of neither")
    func halfWay() throws {
        let directory = TemporaryDirectory()
        try FederationIdentity.found(boxKey: Self.key).store(directory: directory.path)
        // The last file cannot be written.
        #expect(mkdir("\(directory.path)/fed-cert.pem.partial", 0o700) == 0)
        let other = try FederationIdentity.found(boxKey: Self.key)
        #expect(throws: FederationIdentityError.self) { try other.store(directory: directory.path) }
        #expect(try FederationIdentity.load(directory: directory.path, boxKey: Self.key) == nil)
        #expect(rmdir("\(directory.path)/fed-cert.pem.partial") == 0)
        try other.store(directory: directory.path)
        #expect(try FederationIdentity.load(directory: directory.path, boxKey: Self.key)?.federation == other.federation)
    }

    @Test("a row counts when the CA signed exactly it, and it is of the box whose key it holds")
    func rows() throws {
        let identity = try FederationIdentity.found(boxKey: Self.key)
        let row = MemberEntry(
            box: identity.box, name: "attic", publicKey: identity.publicKey, logKey: identity.logKey, endpoints: ["10.0.0.1:1"], version: 3)
        #expect(!identity.isGood(row), "not signed")
        let signed = try #require(identity.signed(row))
        #expect(identity.isGood(signed))
        let changes: [(inout MemberEntry) -> Void] = [
            { $0.name = "cellar" }, { $0.standing = .removed }, { $0.logKey[0] ^= 1 }, { $0.endpoints = [] }, { $0.isIssuer = true }, { $0.version += 1 },
            { $0.reason = "x" }, { $0.signature[10] ^= 1 }, { $0.signature = [] },
        ]
        for change in changes {
            var forged = signed
            change(&forged)
            #expect(!identity.isGood(forged))
        }
        let other = try FederationIdentity.found(boxKey: Self.key)
        #expect(!other.isGood(signed), "another CA")
        var wrongBox = row
        wrongBox.publicKey = Array(P256.Signing.PrivateKey().publicKey.derRepresentation)
        #expect(!identity.isGood(try #require(identity.signed(wrongBox))), "another box's key")
    }

    @Test("batches are signed with the log key, which is not the box's TLS key")
    func batches() throws {
        let (one, two) = (try FederationIdentity.found(boxKey: Self.key), try FederationIdentity.found(boxKey: Self.key))
        let signature = one.batchKeys.sign([1, 2, 3])
        #expect(signature.count == 64)
        #expect(two.batchKeys.verify(one.logKey, [1, 2, 3], signature))
        #expect(!two.batchKeys.verify(one.logKey, [1, 2, 4], signature))
        #expect(!two.batchKeys.verify(two.logKey, [1, 2, 3], signature))
        #expect(!two.batchKeys.verify([], [1, 2, 3], signature))
        #expect(!two.batchKeys.verify(one.logKey, [1, 2, 3], []))
    }

    @Test("a request for a certificate counts only with its holder's signature, and is P-256")
    func requests() throws {
        let request = try FederationCertificates.request(key: Self.key)
        #expect(FederationCertificates.key(ofRequest: request)?.rawRepresentation == Self.key.publicKey.rawRepresentation)
        let bytes = Array(Self.key.publicKey.rawRepresentation)
        let place = try #require(request.indices.first { request[$0...].starts(with: bytes) })
        for index in request.indices {
            var damaged = request
            damaged[index] ^= 1
            let found = FederationCertificates.key(ofRequest: damaged).map { Array($0.rawRepresentation) }
            // No change makes it a request for another key.
            #expect(found == nil || found == bytes, "byte \(index)")
            if (place..<place + bytes.count).contains(index) { #expect(found == nil, "byte \(index)") }
        }
        #expect(FederationCertificates.key(ofRequest: []) == nil)
        #expect(FederationCertificates.key(ofRequest: [UInt8](repeating: 0x30, count: 100_000)) == nil)
    }
}

@Suite(.timeLimit(.minutes(2))) struct RemovingTests {
    /// A founder and a member.
    private static func pair() async throws -> (PairingBox, PairingBox) {
        let (first, second) = (try await PairingBox("a"), try await PairingBox("b"))
        _ = try await second.membership.join(token: try await first.token())
        return (first, second)
    }

    @Test("a box retires only when others hold all it has; then its row says so, for ever, and how far its log counts")
    func retire() async throws {
        let (first, second) = try await Self.pair()
        first.hinder("3 entries of it are nowhere else.")
        let error = await refusal { try await first.membership.remove(second.box, isLost: false, reason: "old") }
        #expect(error?.code == .conflict)
        #expect(error?.detail.contains("3 entries") == true)
        #expect(first.rows[second.box]?.standing == .active)
        first.hinder(nil)
        try await first.membership.remove(second.box, isLost: false, reason: "old")
        let row = try #require(first.rows[second.box])
        #expect(row.standing == .removed)
        #expect(row.reason == "old")
        #expect(row.cut == [LogEpoch(origin: second.box, stream: .message, epoch: 5): 77])
        #expect(first.membership.memberCheck(row))
        #expect(await refusal { try await first.membership.remove(second.box, isLost: true, reason: "") }?.code == .gone)
        try await first.close()
    }

    @Test("a lost box is removed at once, and neither its key nor a new token brings it back")
    func lost() async throws {
        let (first, second) = try await Self.pair()
        first.hinder("It is not here.")
        try await first.membership.remove(second.box, isLost: true, reason: "stolen")
        #expect(first.rows[second.box]?.standing == .removed)
        // The thief starts it anew, with the same key.
        let directory = TemporaryDirectory()
        let again = try MembershipService(
            boxKey: second.key, directory: directory.path, software: "test", metrics: NodeMetrics(), logger: second.membership.logger, timing: PairingBox.quick)
        let host = try await PairingBox("thief")
        try await again.start(host)
        let token = try await first.token()
        let error = await refusal { _ = try await again.join(token: token) }
        #expect(error?.code == .conflict)
        #expect(error?.detail.contains("for ever") == true)
        #expect(first.rows[second.box]?.standing == .removed)
        try await first.close()
    }

    @Test("only an issuer removes, never itself, and only boxes there are")
    func refused() async throws {
        let (first, second) = try await Self.pair()
        #expect(await refusal { try await second.membership.remove(first.box, isLost: true, reason: "") }?.detail.contains("that is a") == true)
        #expect(await refusal { try await first.membership.remove(first.box, isLost: true, reason: "") }?.code == .conflict)
        let unknown = try #require(BoxID([UInt8](repeating: 9, count: 10)))
        #expect(await refusal { try await first.membership.remove(unknown, isLost: true, reason: "") }?.code == .notFound)
        let long = String(repeating: "x", count: 300)
        #expect(await refusal { try await first.membership.remove(second.box, isLost: true, reason: long) }?.code == .tooLarge)
        #expect(await refusal { _ = try await second.membership.invite(waits: false) }?.code == .unavailable, "no listener")
        second.place(["127.0.0.1:1"])
        #expect(await refusal { _ = try await second.membership.invite(waits: false) }?.code == .conflict)
        try await first.close()
    }

    @Test("the recovery file makes another member an issuer; a wrong passphrase, another federation's or a damaged one do not")
    func recovery() async throws {
        let (first, second) = try await Self.pair()
        let file = try await first.membership.recoveryFile(passphrase: "correct horse")
        let text = String(decoding: file, as: UTF8.self)
        #expect(text.hasPrefix("-----BEGIN SKERRY FEDERATION RECOVERY-----"))
        #expect(await refusal { _ = try await first.membership.recoveryFile(passphrase: "short") }?.code == .payloadInvalid)
        #expect(await refusal { _ = try await second.membership.recoveryFile(passphrase: "long enough") }?.code == .conflict)

        #expect(await refusal { try await second.membership.restoreIssuer(file: file, passphrase: "correct hose") }?.code == .forbidden)
        #expect(await refusal { try await second.membership.restoreIssuer(file: Array("hello".utf8), passphrase: "x") }?.code == .payloadInvalid)
        #expect(await refusal { try await second.membership.restoreIssuer(file: Array(file.dropLast(60)), passphrase: "x") }?.code == .payloadInvalid)
        var damaged = try PEMDocument(pemString: text)
        var bytes = damaged.derBytes
        bytes[bytes.count - 1] ^= 1
        damaged = PEMDocument(type: damaged.discriminator, derBytes: bytes)
        let wrong = Array(damaged.pemString.utf8)
        #expect(await refusal { try await second.membership.restoreIssuer(file: wrong, passphrase: "correct horse") }?.code == .forbidden)
        let stranger = try await PairingBox("s")
        _ = try await stranger.token()
        #expect(await refusal { try await stranger.membership.restoreIssuer(file: file, passphrase: "correct horse") }?.code == .conflict)
        #expect(!second.membership.isIssuer)

        try await second.membership.restoreIssuer(file: file, passphrase: "correct horse")
        #expect(second.membership.isIssuer)
        #expect(second.rows[second.box]?.isIssuer == true)
        #expect(first.membership.memberCheck(try #require(second.rows[second.box])))
        #expect(try FederationIdentity.load(directory: second.directory.path, boxKey: second.key)?.isIssuer == true)
        let third = try await PairingBox("c")
        second.place([])
        try await second.listen()
        #expect(try await third.membership.join(token: try await second.token()) == .joined(name: "b"))
        #expect(first.membership.memberCheck(try #require(third.rows[third.box])))
        try await first.close()
        try await second.close()
        try await stranger.close()
    }

    @Test("a recovery file that asks for much memory is refused before it gets any")
    func hungryFile() throws {
        var writer = FieldWriter()
        writer.varint(1, 1)
        writer.varint(2, 30)
        writer.varint(3, 8)
        writer.varint(4, 1)
        writer.bytes(5, [UInt8](repeating: 0, count: 16))
        writer.bytes(6, [1])
        writer.bytes(7, [UInt8](repeating: 0, count: 60))
        let file = PEMDocument(type: "SKERRY FEDERATION RECOVERY", derBytes: writer.bytes).pemString
        #expect(throws: SkerryError.self) { try RecoveryFile.open(Array(file.utf8), passphrase: "x") }
    }
}
