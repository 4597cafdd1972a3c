import Crypto
import FoundationEssentials
import Replication
import SkerryModel
import SwiftASN1
import X509

/// The certificates of a federation: made, requested and checked. None of them ever expires and no date is looked at: a box whose clock was never set
/// must get in, or it would never get the time (FEDERATION.md §3). Who belongs is decided by the member list.
enum FederationCertificates {
    /// Bytes of a certificate or a request that are looked at; a longer one is refused.
    static let bytesMax = 4 * 1024

    static func parse(_ der: [UInt8]) -> Certificate? { der.count <= Self.bytesMax ? try? Certificate(derEncoded: der) : nil }

    static func federation(of authority: P256.Signing.PublicKey) -> FederationID? {
        FederationID(Array(SHA256.hash(data: authority.derRepresentation)))
    }

    static func box(of key: P256.Signing.PublicKey) -> BoxID? { MemberRules.box(ofPublicKey: Array(key.derRepresentation)) }

    /// What a token holds of the CA: the first half of its key's SHA-256.
    static func hash(of authority: P256.Signing.PublicKey) -> [UInt8] {
        Array(SHA256.hash(data: authority.derRepresentation).prefix(PairingToken.authorityHashBytes))
    }

    /// The CA's own certificate.
    static func authority(key: P256.Signing.PrivateKey) throws -> [UInt8] {
        guard let federation = Self.federation(of: key.publicKey) else { throw FederationIdentityError("The id of the federation could not be made.") }
        let name = try DistinguishedName { CommonName("Skerry federation \(federation)") }
        return try Self.make(
            subject: name, publicKey: key.publicKey, issuer: name, key: key,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true))
            })
    }

    /// That of a box, with its id as the common name: by it a foreign broker knows who is there.
    static func issue(for boxKey: P256.Signing.PublicKey, authority: [UInt8], key: P256.Signing.PrivateKey) throws -> [UInt8] {
        guard let root = Self.parse(authority), let box = Self.box(of: boxKey) else {
            throw FederationIdentityError("The federation's CA certificate cannot be read.")
        }
        return try Self.make(
            subject: try DistinguishedName { CommonName(box.description) }, publicKey: boxKey, issuer: root.subject, key: key,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth, .clientAuth])
            })
    }

    private static func make(
        subject: DistinguishedName, publicKey: P256.Signing.PublicKey, issuer: DistinguishedName, key: P256.Signing.PrivateKey,
        extensions: Certificate.Extensions
    ) throws -> [UInt8] {
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: Certificate.PublicKey(publicKey),
            notValidBefore: Date(timeIntervalSince1970: 946_684_800),  // 2000-01-01
            notValidAfter: Date(timeIntervalSince1970: 253_402_300_799),  // 9999-12-31, RFC 5280's "no well-defined end"
            issuer: issuer, subject: subject, signatureAlgorithm: .ecdsaWithSHA256, extensions: extensions, issuerPrivateKey: Certificate.PrivateKey(key))
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        return serializer.serializedBytes
    }

    /// A request for a certificate, signed by the key it is for (PKCS #10).
    static func request(key: P256.Signing.PrivateKey) throws -> [UInt8] {
        guard let box = Self.box(of: key.publicKey) else { throw FederationIdentityError("The box id could not be made from the key.") }
        let request = try CertificateSigningRequest(
            version: .v1, subject: try DistinguishedName { CommonName(box.description) }, privateKey: Certificate.PrivateKey(key),
            attributes: CertificateSigningRequest.Attributes(), signatureAlgorithm: .ecdsaWithSHA256)
        var serializer = DER.Serializer()
        try serializer.serialize(request)
        return serializer.serializedBytes
    }

    /// The key of a request; nil unless the request is P-256 and its holder proved to have the private key.
    static func key(ofRequest der: [UInt8]) -> P256.Signing.PublicKey? {
        guard der.count <= Self.bytesMax, let request = try? CertificateSigningRequest(derEncoded: der),
            request.publicKey.isValidSignature(request.signature, for: request)
        else { return nil }
        return P256.Signing.PublicKey(request.publicKey)
    }
}
