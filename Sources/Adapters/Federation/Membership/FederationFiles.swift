import NIOCore
import SkerryNode
import SwiftASN1

/// The files of `FederationIdentity`.
struct FederationFiles {
    static let restore = "Restore the box's files from a backup, or take fed-cert.pem away and pair the box anew."

    let directory: String

    func path(_ name: String) -> String { "\(self.directory)/\(name)" }

    func read(_ name: String) throws(FederationIdentityError) -> [UInt8]? {
        do throws(SecretFileError) {
            return try SecretFile(path: self.path(name)).read()
        } catch {
            throw FederationIdentityError(error.description)
        }
    }

    func write(_ name: String, _ bytes: [UInt8]) throws(FederationIdentityError) {
        do throws(SecretFileError) {
            try SecretFile(path: self.path(name)).write(bytes)
        } catch {
            throw FederationIdentityError(error.description)
        }
    }

    func remove(_ name: String) throws(FederationIdentityError) {
        do throws(SecretFileError) {
            try SecretFile(path: self.path(name)).remove()
        } catch {
            throw FederationIdentityError(error.description)
        }
    }

    /// Each as DER; nil when there is no such file.
    func certificates(_ name: String) throws(FederationIdentityError) -> [[UInt8]]? {
        guard let bytes = try self.read(name) else { return nil }
        let documents = (try? PEMDocument.parseMultiple(pemString: String(decoding: bytes, as: UTF8.self))) ?? []
        return documents.filter { $0.discriminator == Self.discriminator }.map(\.derBytes)
    }

    func writeCertificates(_ name: String, _ certificates: [[UInt8]]) throws(FederationIdentityError) {
        let text = certificates.map { PEMDocument(type: Self.discriminator, derBytes: $0).pemString + "\n" }.joined()
        try self.write(name, Array(text.utf8))
    }

    private static let discriminator = "CERTIFICATE"
}
