import NIOCore
import NIOSSL
package import SkerryModel
import SwiftASN1
import X509

/// Whose a client's certificate is. That it is good was found in the handshake.
package enum CertificateUser {
    private static let uriStart = "skerry:user:"

    /// The user's name by the rule `naming`; nil when the certificate has none. Two common names are none: which of them would count?
    package static func name(der: [UInt8], naming: CertificateNaming) -> String? {
        guard let certificate = try? Certificate(derEncoded: der) else { return nil }
        let name: String?
        switch naming {
        case .commonName:
            let names = certificate.subject.flatMap { $0 }.filter { $0.type == .RDNAttributeType.commonName }
            name = names.count == 1 ? names.first.flatMap { String($0.value) } : nil
        case .email: name = Self.alternatives(certificate).compactMap { Self.mailbox($0) }.first
        case .uri: name = Self.alternatives(certificate).compactMap { Self.user($0) }.first
        }
        return name.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func mailbox(_ name: GeneralName) -> String? {
        guard case .rfc822Name(let mail) = name, let at = mail.lastIndex(of: "@") else { return nil }
        return String(mail[..<at])
    }

    private static func user(_ name: GeneralName) -> String? {
        guard case .uniformResourceIdentifier(let uri) = name, uri.hasPrefix(Self.uriStart) else { return nil }
        return String(uri.dropFirst(Self.uriStart.count))
    }

    private static func alternatives(_ certificate: Certificate) -> [GeneralName] {
        ((try? certificate.extensions.subjectAlternativeNames) ?? nil).map(Array.init) ?? []
    }

    /// That of a connection whose handshake is done; nil without TLS or without a client's certificate. On the connection's loop.
    static func name(of pipeline: ChannelPipeline.SynchronousOperations, naming: CertificateNaming) -> String? {
        guard let certificate = (try? pipeline.nioSSL_peerCertificate()) ?? nil, let bytes = try? certificate.toDERBytes() else { return nil }
        return Self.name(der: bytes, naming: naming)
    }
}
