import NIOCore
import NIOSSL
import SkerryNode
import SwiftASN1
import X509

/// TLS of the federation listener: shows the box's certificate, and judges those of others by the federation's CA alone. Nothing here looks at the
/// clock: certificates of a federation do not expire, and a box may have started in 1970 (FEDERATION.md §3).
struct BoxDoorTLS: Sendable {
    let context: NIOSSLContext
    private let authorities: [Certificate]

    init(_ credentials: BoxCredentials) throws {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(credentials.certificateChain.utf8))
        let key = try NIOSSLPrivateKey(bytes: Array(credentials.privateKey.utf8), format: .pem)
        self.authorities = try NIOSSLCertificate.fromPEMBytes(Array(credentials.authority.utf8)).map { try Certificate(derEncoded: $0.toDERBytes()) }
        var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv13
        configuration.applicationProtocols = ["mqtt", FederationListener.pairingProtocol]
        // A box that is not paired yet has no certificate; what it may do is decided after the handshake.
        configuration.certificateVerification = .optionalVerification
        configuration.trustRoots = .certificates([])
        self.context = try NIOSSLContext(configuration: configuration)
    }

    /// Whether the CA has signed the first of these, and its key is that of a member.
    func isMember(_ chain: [NIOSSLCertificate], _ acceptor: any BoxLinkAcceptor) -> Bool {
        guard let leaf = chain.first, let bytes = try? leaf.toDERBytes(), let certificate = try? Certificate(derEncoded: bytes) else { return false }
        let isSigned = self.authorities.contains {
            $0.subject == certificate.issuer && $0.publicKey.isValidSignature(certificate.signature, for: certificate)
        }
        guard isSigned, let key = Self.publicKey(of: leaf) else { return false }
        return acceptor.member(publicKey: key) != nil
    }

    /// As DER SubjectPublicKeyInfo.
    static func publicKey(of certificate: NIOSSLCertificate) -> [UInt8]? { try? certificate.extractPublicKey().toSPKIBytes() }
}
