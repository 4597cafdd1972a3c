import Crypto
import CryptoExtras
package import SkerryModel
// The normal forms of Unicode are in the standard library, under this name only: Foundation, which publishes them, stays out of Skerry.
@_spi(_Unicode) import Swift

/// What the box keeps of a password for SCRAM-SHA-256 (RFC 5802 §3, RFC 7677): with it the box checks a client that never shows the
/// password, and proves to the client that it is the box. Nobody can sign in with it; but who steals it can guess against it.
///
/// A guess costs `iterations` of PBKDF2, which needs no memory and so runs on graphics cards far faster than the scrypt of `PasswordHash`:
/// a stolen disk is weaker with verifiers on it than without. So they are made only where an administrator switches SCRAM on.
package struct ScramVerifier: Sendable, Hashable {
    /// Eight times the least of RFC 7677 §4. It is the client, not the box, that pays for it at each sign-in, and clients are
    /// microcontrollers too: they have to be done within the time that a CONNECT is given.
    package static let standardIterations = 32_768
    /// Fewer is refused by clients that heed RFC 7677; more would be a way to make clients work for hours.
    package static let iterationsRange = 4_096...1_000_000
    package static let saltByteCount = 16
    static let keyByteCount = 32

    package let iterations: Int
    let salt: [UInt8]
    let storedKey: [UInt8]
    let serverKey: [UInt8]

    /// Milliseconds of work: never on an event loop.
    package init(_ password: Password, iterations: Int = Self.standardIterations, using random: inout some RandomNumberGenerator) throws(SkerryError) {
        try self.init(password, salt: Bytes16(randomFrom: &random).bytes, iterations: iterations)
    }

    package init(_ password: Password, salt: [UInt8], iterations: Int) throws(SkerryError) {
        do {
            let salted = try KDF.Insecure.PBKDF2.deriveKey(
                from: Self.prepared(password), salt: salt, using: .sha256, outputByteCount: Self.keyByteCount, unsafeUncheckedRounds: iterations)
            self.storedKey = Array(SHA256.hash(data: HMAC<SHA256>.bytes(Array("Client Key".utf8), key: salted)))
            self.serverKey = HMAC<SHA256>.bytes(Array("Server Key".utf8), key: salted)
        } catch {
            throw SkerryError(.busy, "The box cannot work on a password now; try again shortly.", retryAfterSeconds: 5)
        }
        self.iterations = iterations
        self.salt = salt
    }

    /// What is shown for a name that has no verifier here, so that nobody learns which names exist: the same for the same name as long as
    /// the box keeps its `secret`, and like a real one in all that can be seen.
    package init(unknown key: String, secret: [UInt8], iterations: Int = Self.standardIterations) {
        let secret = SymmetricKey(data: secret)
        let derive = { (purpose: String) in HMAC<SHA256>.bytes(Array((purpose + " " + key).utf8), key: secret) }
        self.iterations = iterations
        self.salt = Array(derive("salt").prefix(Self.saltByteCount))
        self.storedKey = derive("stored")
        self.serverKey = derive("server")
    }

    /// Reads what `encoded` wrote; nil for anything else.
    package init?(encoded: String) {
        let parts = encoded.split(separator: "$", omittingEmptySubsequences: false)
        guard encoded.utf8.count <= 200, parts.count == 5, parts[0] == Scram.method, let iterations = Int(parts[1]) else { return nil }
        guard Self.iterationsRange.contains(iterations), let salt = Base32.decode(parts[2]), salt.count == Self.saltByteCount else { return nil }
        guard let stored = Base32.decode(parts[3]), let server = Base32.decode(parts[4]) else { return nil }
        guard stored.count == Self.keyByteCount, server.count == Self.keyByteCount else { return nil }
        self.iterations = iterations
        self.salt = salt
        self.storedKey = stored
        self.serverKey = server
    }

    package var encoded: String {
        let parts = [Scram.method, "\(self.iterations)", Base32.encode(self.salt), Base32.encode(self.storedKey), Base32.encode(self.serverKey)]
        return parts.joined(separator: "$")
    }

    /// The password as both sides have to write it before they hash it (RFC 8265 §4.2, which took SASLprep's place): spaces of other
    /// scripts become the plain one, letters and accents are put together. A password of ASCII stays as it is.
    static func prepared(_ password: Password) -> [UInt8] {
        guard password.bytes.contains(where: { $0 >= 0x80 }), let text = String(validating: password.bytes, as: UTF8.self) else { return password.bytes }
        var scalars = String.UnicodeScalarView()
        scalars.append(
            contentsOf: String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .spaceSeparator ? " " : $0 }))._nfc)
        return Array(String(scalars).utf8)
    }
}

extension HMAC<SHA256> {
    static func bytes(_ data: [UInt8], key: SymmetricKey) -> [UInt8] { Array(Self.authenticationCode(for: data, using: key)) }
}
