import Crypto
package import SkerryModel

/// SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677), without channel binding and without extensions.
package enum Scram {
    /// Its name as a SASL mechanism, and so MQTT 5's Authentication Method.
    package static let method = "SCRAM-SHA-256"
    /// Bytes of one message of a client; a longer one is refused. The longest name with every character escaped fits.
    package static let messageBytesMax = 1_024
    static let nonceBytesMax = 256
    /// Random bytes of the box in the nonce.
    package static let nonceByteCount = 18

    /// Why a client is refused, by the names of RFC 5802 §7.
    package enum Refusal: String, Error, Sendable, Hashable, CaseIterable {
        case invalidEncoding = "invalid-encoding"
        case invalidUserName = "invalid-username-encoding"
        case extensionsNotSupported = "extensions-not-supported"
        case channelBindingNotSupported = "channel-binding-not-supported"
        case channelBindingsDontMatch = "channel-bindings-dont-match"
        /// The proof is wrong, or the name: which of the two is nobody's business.
        case invalidProof = "invalid-proof"
        /// Another nonce than the one of this exchange, or an identity to act for that is not the user's own.
        case other = "other-error"

        package var error: SkerryError {
            switch self {
            case .invalidProof: SessionRules.wrongPassword
            case .invalidEncoding: SkerryError(.badRequest, "The SCRAM message is malformed (\(self.rawValue)).")
            case .invalidUserName: SkerryError(.badRequest, "The user name in the SCRAM message is malformed (\(self.rawValue)).")
            case .extensionsNotSupported: SkerryError(.badRequest, "The box knows no mandatory extension of SCRAM (\(self.rawValue)).")
            case .channelBindingNotSupported:
                SkerryError(.badRequest, "The box offers no channel binding; use SCRAM with the flag n (\(self.rawValue)).")
            case .channelBindingsDontMatch: SkerryError(.badRequest, "The SCRAM message repeats another header than it began with (\(self.rawValue)).")
            case .other: SkerryError(.badRequest, "The SCRAM message is not of this exchange, or asks to act for somebody else (\(self.rawValue)).")
            }
        }
    }
}

/// One exchange: made from the client's first message, answered by `challenge`, decided by `finish`.
package struct ScramExchange: Sendable {
    /// Who the client says it is, as it wrote it.
    package let name: String
    private let first: ScramClientFirst
    private var verifier: ScramVerifier?
    private var isGenuine = false
    private var nonce = ""
    private var serverFirst = ""

    package init(_ message: [UInt8]) throws(Scram.Refusal) {
        self.first = try ScramClientFirst(message)
        self.name = self.first.name
    }

    /// The server's first message: nonce, salt, iterations.
    ///
    /// - Parameters:
    ///   - isGenuine: false for a name that has no verifier here; it hears the same and fails at the end.
    ///   - random: `Scram.nonceByteCount` fresh bytes.
    package mutating func challenge(_ verifier: ScramVerifier, isGenuine: Bool, random: [UInt8]) -> [UInt8] {
        self.challenge(verifier, isGenuine: isGenuine, nonce: Base64.encode(random))
    }

    mutating func challenge(_ verifier: ScramVerifier, isGenuine: Bool, nonce: String) -> [UInt8] {
        self.verifier = verifier
        self.isGenuine = isGenuine
        self.nonce = self.first.nonce + nonce
        self.serverFirst = "r=\(self.nonce),s=\(Base64.encode(verifier.salt)),i=\(verifier.iterations)"
        return Array(self.serverFirst.utf8)
    }

    /// Judges the client's final message. Returns the server's, by which the client knows that it speaks to the box it meant.
    package func finish(_ message: [UInt8]) throws(Scram.Refusal) -> [UInt8] {
        let final = try ScramClientFinal(message)
        guard let verifier else { throw .other }
        guard ConstantTime.equal(final.binding, self.first.header) else { throw .channelBindingsDontMatch }
        guard ConstantTime.equal(Array(final.nonce.utf8), Array(self.nonce.utf8)) else { throw .other }
        let authenticated = Array("\(self.first.bare),\(self.serverFirst),\(final.withoutProof)".utf8)
        let signature = HMAC<SHA256>.bytes(authenticated, key: SymmetricKey(data: verifier.storedKey))
        guard final.proof.count == signature.count else { throw .invalidProof }
        let clientKey = zip(final.proof, signature).map { $0 ^ $1 }
        let isRight = ConstantTime.equal(Array(SHA256.hash(data: clientKey)), verifier.storedKey)
        let answer = HMAC<SHA256>.bytes(authenticated, key: SymmetricKey(data: verifier.serverKey))
        guard isRight, self.isGenuine else { throw .invalidProof }
        return Array("v=\(Base64.encode(answer))".utf8)
    }
}
