package import Crypto
package import NIOSSL
package import SkerryModel
import SkerryNode
import FoundationEssentials
import NIOCore
import SwiftASN1
import X509

/// Why the box has no identity or no certificate, and what to do.
package struct BoxIdentityError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// Who this box is: its P-256 key, the id made from it (FEDERATION.md §2.1), and the certificate it made itself.
///
/// The key is the box. A lost certificate is made again from the key; a lost key is another box.
package struct BoxIdentity: Sendable {
    package static let keyName = "box-key.pem"
    package static let certificateName = "box-cert.pem"

    package let box: BoxID
    package let keyPath: String
    package let certificatePath: String
    package let key: P256.Signing.PrivateKey

    /// Loads key and certificate from `directory`, which exists, or makes what is missing.
    package static func loadOrCreate(directory: String) throws(BoxIdentityError) -> BoxIdentity {
        do {
            return try Self.load(directory)
        } catch let error as SecretFileError {
            throw BoxIdentityError(error.description)
        } catch let error as BoxIdentityError {
            throw error
        } catch {
            throw BoxIdentityError("\(error)")
        }
    }

    private static func load(_ directory: String) throws -> BoxIdentity {
        let keyFile = SecretFile(path: "\(directory)/\(Self.keyName)")
        let certificateFile = SecretFile(path: "\(directory)/\(Self.certificateName)")
        let key: P256.Signing.PrivateKey
        if let bytes = try keyFile.read() {
            guard let stored = try? P256.Signing.PrivateKey(pemRepresentation: String(decoding: bytes, as: UTF8.self)) else {
                throw BoxIdentityError(
                    "\(keyFile.path) is not a P-256 private key in PEM. Restore it from a backup; without it this box is another box to its federation.")
            }
            key = stored
        } else {
            key = P256.Signing.PrivateKey()
            try keyFile.write(Array(key.pemRepresentation.utf8))
        }
        guard let box = Self.box(of: key.publicKey) else { throw BoxIdentityError("The box id could not be made from the key.") }
        let stored = try certificateFile.read()
        if stored.map({ Self.isCertificate($0, of: key) }) != true {
            guard let certificate = try? Self.makeCertificate(box, key) else { throw BoxIdentityError("The box's certificate could not be made.") }
            try certificateFile.write(certificate)
        }
        return BoxIdentity(box: box, keyPath: keyFile.path, certificatePath: certificateFile.path, key: key)
    }

    /// The first 80 bits of the SHA-256 of the public key's SPKI.
    package static func box(of key: P256.Signing.PublicKey) -> BoxID? { BoxID(Array(SHA256.hash(data: key.derRepresentation))) }

    /// The box's own certificate, or the one at the given paths when both are given.
    package func pair(certificate: String = "", key: String = "") -> TLSPlan.Pair {
        TLSPlan.Pair(certificate: certificate.isEmpty ? self.certificatePath : certificate, key: key.isEmpty ? self.keyPath : key)
    }

    /// TLS with that certificate alone.
    package func makeTLSContext(certificatePath: String = "", keyPath: String = "") throws(BoxIdentityError) -> NIOSSLContext {
        try TLSPlan(self.pair(certificate: certificatePath, key: keyPath)).makeContext()
    }

    private static func isCertificate(_ bytes: [UInt8], of key: P256.Signing.PrivateKey) -> Bool {
        guard let certificate = try? Certificate(pemEncoded: String(decoding: bytes, as: UTF8.self)) else { return false }
        return certificate.publicKey == Certificate.PublicKey(key.publicKey)
    }

    /// Signed by itself and valid for ever: a box without a clock that was set must be able to serve, and its peers pin the key.
    private static func makeCertificate(_ box: BoxID, _ key: P256.Signing.PrivateKey) throws -> [UInt8] {
        let name = try DistinguishedName { CommonName(box.description) }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: Certificate.PublicKey(key.publicKey),
            notValidBefore: Date(timeIntervalSince1970: 946_684_800),  // 2000-01-01
            notValidAfter: Date(timeIntervalSince1970: 253_402_300_799),  // 9999-12-31, RFC 5280's "no well-defined end"
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                // No key usage: with one that does not include signing certificates, BoringSSL does not see that this one signed itself, and a
                // client could not trust it directly.
                try ExtendedKeyUsage([.serverAuth, .clientAuth])
                SubjectAlternativeNames(Self.names(box))
            },
            issuerPrivateKey: Certificate.PrivateKey(key))
        return Array(try certificate.serializeAsPEM().pemString.utf8)
    }

    /// What a client may call this box: localhost, its host name with and without `.local`, its addresses of today.
    private static func names(_ box: BoxID) -> [GeneralName] {
        var names: [GeneralName] = [.dnsName("localhost"), .dnsName("\(box).local")]
        if let host = systemHostName(), host != "localhost" {
            names.append(.dnsName(host))
            if !host.contains(".") { names.append(.dnsName("\(host).local")) }
        }
        var addresses: [[UInt8]] = [[127, 0, 0, 1], [UInt8](repeating: 0, count: 15) + [1]]
        for device in (try? System.enumerateDevices()) ?? [] {
            if let address = device.address?.packedAddress, !address.isEmpty, !addresses.contains(address) { addresses.append(address) }
        }
        return names + addresses.prefix(32).map { .ipAddress(ASN1OctetString(contentBytes: $0[...])) }
    }
}
