package import NIOSSL
package import SkerryModel
import NIOCore
import SwiftASN1
import X509

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// What TLS is made from: certificates by name, and whether clients show theirs.
package struct TLSPlan: Sendable, Hashable {
    /// PEM files of a certificate with its chain, and of its key.
    package struct Pair: Sendable, Hashable {
        package var certificate: String
        package var key: String

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// For clients that ask for no name, or for one that no other certificate has.
    package var standard: Pair
    /// For clients that ask for a name of theirs (SNI, RFC 6066 §3).
    package var others: [Pair] = []
    package var clients = ClientCertificates.off
    /// A PEM file of the authorities whose client certificates are good.
    package var clientAuthority = ""

    package init(_ standard: Pair) { self.standard = standard }

    /// Reads every file. What is wrong with any of them is said of that one.
    package func makeContext() throws(BoxIdentityError) -> NIOSSLContext {
        let (chain, key) = try Self.load(self.standard)
        var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        // HTTP/2 is not spoken; a client without ALPN, as of MQTT, is served as well.
        configuration.applicationProtocols = ["http/1.1"]
        if !self.others.isEmpty {
            var table = CertificatesByName()
            for pair in self.others {
                let (chain, key) = try Self.load(pair)
                guard let leaf = chain.first, table.add(chain, key, names: Self.names(leaf)) else {
                    throw BoxIdentityError("\(pair.certificate) names no host: a certificate beside the first is chosen by its DNS names.")
                }
            }
            let found = table
            configuration.sslContextCallback = { values, promise in
                promise.succeed(values.serverHostname.flatMap { found.override(for: $0) } ?? .noChanges)
            }
        }
        if self.clients != .off {
            guard access(self.clientAuthority, R_OK) == 0 else {
                throw BoxIdentityError("Client certificates need \(self.clientAuthority), which cannot be read: \(String(cString: strerror(errno))).")
            }
            // Looked into here, because the library takes a file without a certificate and then trusts nobody.
            guard let authorities = try? NIOSSLCertificate.fromPEMFile(self.clientAuthority), !authorities.isEmpty else {
                throw BoxIdentityError("\(self.clientAuthority) has no certificate in PEM.")
            }
            configuration.trustRoots = .certificates(authorities)
            configuration.certificateVerification = self.clients == .optional ? .optionalVerification : .noHostnameVerification
        }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw BoxIdentityError(
                "TLS cannot use the certificate \(self.standard.certificate) with the key \(self.standard.key): \(error). Both are PEM and belong together.")
        }
    }

    private static func load(_ pair: Pair) throws(BoxIdentityError) -> ([NIOSSLCertificate], NIOSSLPrivateKey) {
        for path in [pair.certificate, pair.key] where access(path, R_OK) != 0 {
            throw BoxIdentityError("TLS needs \(path), which cannot be read: \(String(cString: strerror(errno))).")
        }
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(pair.certificate)
            let key = try NIOSSLPrivateKey(file: pair.key, format: .pem)
            // Whether the two belong together shows only in a context; with several certificates it must be known which pair is wrong.
            _ = try NIOSSLContext(
                configuration: .makeServerConfiguration(certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
            return (chain, key)
        } catch {
            throw BoxIdentityError("TLS cannot use the certificate \(pair.certificate) with the key \(pair.key): \(error). Both are PEM and belong together.")
        }
    }

    private static func names(_ certificate: NIOSSLCertificate) -> [String] {
        guard let bytes = try? certificate.toDERBytes(), let parsed = try? Certificate(derEncoded: bytes),
            let alternatives = try? parsed.extensions.subjectAlternativeNames
        else { return [] }
        return alternatives.compactMap { if case .dnsName(let name) = $0 { name } else { nil } }
    }
}

/// Certificates by the host names they are for. A name written out goes before one with `*`, which stands for the first label.
struct CertificatesByName: Sendable {
    private var pairs: [String: (chain: [NIOSSLCertificate], key: NIOSSLPrivateKey)] = [:]

    mutating func add(_ chain: [NIOSSLCertificate], _ key: NIOSSLPrivateKey, names: [String]) -> Bool {
        for name in names where self.pairs[name.lowercased()] == nil { self.pairs[name.lowercased()] = (chain, key) }
        return !names.isEmpty
    }

    func override(for host: String) -> NIOSSLContextConfigurationOverride? {
        let host = host.lowercased()
        let wild = host.firstIndex(of: ".").map { "*" + host[$0...] } ?? ""
        guard let pair = self.pairs[host] ?? self.pairs[wild] else { return nil }
        var override = NIOSSLContextConfigurationOverride()
        override.certificateChain = pair.chain.map { .certificate($0) }
        override.privateKey = .privateKey(pair.key)
        return override
    }
}
