package import Crypto
package import Replication
package import SkerryModel
import FoundationEssentials
import NIOCore
import SkerryNode
import SwiftASN1
import X509

/// Why the box's place in its federation could not be read or made, and what to do.
package struct FederationIdentityError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// Who this box is to a federation (FEDERATION.md §3): the certificate that the federation's CA gave its key, the CA's certificate, and the key by
/// which it signs its log. The box key itself is the box's and stays where it is.
///
/// In the data directory, for the box's user alone: `fed-cert.pem` (the certificate and the CA's behind it, as a chain), `fed-ca.pem`, `log-key`, and on an
/// issuer `fed-ca-key.pem`. `fed-cert.pem` is written last and removed first: while it is there, the box is of that federation.
package struct FederationIdentity: Sendable {
    package static let certificateName = "fed-cert.pem"
    package static let authorityName = "fed-ca.pem"
    package static let authorityKeyName = "fed-ca-key.pem"
    package static let logKeyName = "log-key"

    package let federation: FederationID
    package let box: BoxID
    /// DER.
    package let certificate: [UInt8]
    /// The CA's, DER.
    package let authority: [UInt8]
    /// DER SubjectPublicKeyInfo of this box's key.
    package let publicKey: [UInt8]
    /// The CA's key, on an issuer.
    let authorityKey: P256.Signing.PrivateKey?
    let logKeyPair: Curve25519.Signing.PrivateKey
    let authorityPublicKey: P256.Signing.PublicKey

    package var isIssuer: Bool { self.authorityKey != nil }
    /// 32 bytes.
    package var logKey: [UInt8] { Array(self.logKeyPair.publicKey.rawRepresentation) }

    init(
        certificate: [UInt8], authority: [UInt8], boxKey: P256.Signing.PublicKey, authorityKey: P256.Signing.PrivateKey?, logKey: Curve25519.Signing.PrivateKey
    ) throws(FederationIdentityError) {
        guard let issued = FederationCertificates.parse(certificate), let root = FederationCertificates.parse(authority),
            let rootKey = P256.Signing.PublicKey(root.publicKey)
        else { throw FederationIdentityError("A certificate of the federation cannot be read.") }
        guard issued.publicKey == Certificate.PublicKey(boxKey) else {
            throw FederationIdentityError("The federation's certificate is for another key than this box's.")
        }
        guard root.publicKey.isValidSignature(issued.signature, for: issued) else {
            throw FederationIdentityError("The box's certificate was not made by the federation's CA.")
        }
        if let authorityKey, authorityKey.publicKey.rawRepresentation != rootKey.rawRepresentation {
            throw FederationIdentityError("The CA's key does not belong to the CA's certificate.")
        }
        guard let federation = FederationCertificates.federation(of: rootKey), let box = FederationCertificates.box(of: boxKey) else {
            throw FederationIdentityError("The id of the federation could not be made.")
        }
        self.federation = federation
        self.box = box
        self.certificate = certificate
        self.authority = authority
        self.publicKey = Array(boxKey.derRepresentation)
        self.authorityKey = authorityKey
        self.authorityPublicKey = rootKey
        self.logKeyPair = logKey
    }

    // MARK: - Files

    /// A new federation with this box as its founder and issuer; nothing is written.
    package static func found(boxKey: P256.Signing.PrivateKey) throws(FederationIdentityError) -> FederationIdentity {
        do {
            let authorityKey = P256.Signing.PrivateKey()
            let authority = try FederationCertificates.authority(key: authorityKey)
            let certificate = try FederationCertificates.issue(for: boxKey.publicKey, authority: authority, key: authorityKey)
            return try FederationIdentity(
                certificate: certificate, authority: authority, boxKey: boxKey.publicKey, authorityKey: authorityKey, logKey: Curve25519.Signing.PrivateKey())
        } catch let error as FederationIdentityError {
            throw error
        } catch {
            throw FederationIdentityError("The federation's certificates could not be made: \(error).")
        }
    }

    /// What is stored in `directory`; nil when the box is of no federation.
    package static func load(directory: String, boxKey: P256.Signing.PrivateKey) throws(FederationIdentityError) -> FederationIdentity? {
        let files = FederationFiles(directory: directory)
        guard let chain = try files.certificates(Self.certificateName) else { return nil }
        guard let certificate = chain.first, let authority = try files.certificates(Self.authorityName)?.first else {
            throw FederationIdentityError(
                "\(files.path(Self.certificateName)) or \(files.path(Self.authorityName)) holds no certificate. \(FederationFiles.restore)")
        }
        guard let bytes = try files.read(Self.logKeyName), let logKey = try? Curve25519.Signing.PrivateKey(rawRepresentation: bytes) else {
            throw FederationIdentityError("\(files.path(Self.logKeyName)) is missing or not a key. \(FederationFiles.restore)")
        }
        var authorityKey: P256.Signing.PrivateKey?
        if let bytes = try files.read(Self.authorityKeyName) {
            guard let key = try? P256.Signing.PrivateKey(pemRepresentation: String(decoding: bytes, as: UTF8.self)) else {
                throw FederationIdentityError(
                    "\(files.path(Self.authorityKeyName)) is not a P-256 key in PEM. Remove it, and give this box the federation's recovery file again.")
            }
            authorityKey = key
        }
        do throws(FederationIdentityError) {
            return try FederationIdentity(
                certificate: certificate, authority: authority, boxKey: boxKey.publicKey, authorityKey: authorityKey, logKey: logKey)
        } catch {
            throw FederationIdentityError("\(error) \(FederationFiles.restore)")
        }
    }

    /// Writes all of it; once it returns the box is of this federation after the next power cut too.
    package func store(directory: String) throws(FederationIdentityError) {
        let files = FederationFiles(directory: directory)
        // What is left when the power goes in between must never be half of one federation and half of another.
        if let chain = try files.certificates(Self.certificateName), chain.last != self.authority { try files.remove(Self.certificateName) }
        if let key = self.authorityKey {
            try files.write(Self.authorityKeyName, Array(key.pemRepresentation.utf8))
        } else {
            try files.remove(Self.authorityKeyName)
        }
        try files.write(Self.logKeyName, Array(self.logKeyPair.rawRepresentation))
        try files.writeCertificates(Self.authorityName, [self.authority])
        try files.writeCertificates(Self.certificateName, [self.certificate, self.authority])
    }

    /// The same box, as an issuer.
    func with(authorityKey: P256.Signing.PrivateKey) throws(FederationIdentityError) -> FederationIdentity {
        guard let boxKey = try? P256.Signing.PublicKey(derRepresentation: self.publicKey) else {
            throw FederationIdentityError("The box's key cannot be read.")
        }
        return try FederationIdentity(
            certificate: self.certificate, authority: self.authority, boxKey: boxKey, authorityKey: authorityKey, logKey: self.logKeyPair)
    }

    // MARK: - What it is for

    /// Signatures over this box's batches, and checks of everybody's: Ed25519.
    package var batchKeys: BatchKeys {
        let key = self.logKeyPair
        return BatchKeys(
            sign: { bytes in (try? key.signature(for: bytes)).map { Array($0) } ?? [] },
            verify: { logKey, bytes, signature in
                guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: logKey) else { return false }
                return key.isValidSignature(signature, for: bytes)
            })
    }

    /// Whether the CA made this row, and the row is of the box whose key it holds. May be called from anywhere.
    package func isGood(_ member: MemberEntry) -> Bool {
        guard MemberRules.fault(member) == nil, MemberRules.box(ofPublicKey: member.publicKey) == member.box,
            let signature = try? P256.Signing.ECDSASignature(derRepresentation: member.signature)
        else { return false }
        return self.authorityPublicKey.isValidSignature(signature, for: MemberCodec.signedBytes(member))
    }

    /// The row with the CA's signature; nil when this box is no issuer.
    package func signed(_ member: MemberEntry) -> MemberEntry? {
        guard let key = self.authorityKey, let signature = try? key.signature(for: MemberCodec.signedBytes(member)) else { return nil }
        var member = member
        member.signature = Array(signature.derRepresentation)
        return member
    }
}
