import Crypto
import SkerryModel

/// A secret the box hands out once: 256 random bits, written with a prefix that tells people and secret scanners what it opens.
///
/// Only `hash` is stored, and its description hides the rest. A hash without salt is enough: nobody guesses 256 bits.
package struct Token: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Of a logged-in device.
        case session = "sk_"
        /// Of the link that makes the first administrator.
        case claim = "sc_"
        /// Of an invite link.
        case invite = "si_"
        /// Of a link that sets a new password.
        case reset = "sr_"
    }

    package static let byteCount = 32
    /// Three of prefix and 52 of base32.
    package static let characterCount = 55

    package let kind: Kind
    /// What the holder keeps. Shown once, never stored, never logged.
    package let text: String

    /// A new token of `random`, which must be the system's generator outside of tests.
    package static func random(_ kind: Kind, using random: inout some RandomNumberGenerator) -> Token {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.byteCount)
        for _ in 0..<(Self.byteCount / 8) { bytes.appendBigEndian(random.next()) }
        return Token(kind: kind, text: kind.rawValue + Base32.encode(bytes))
    }

    private init(kind: Kind, text: String) {
        self.kind = kind
        self.text = text
    }

    /// Reads a token of any kind; nil for what cannot be one, before anything is hashed or looked up.
    package init?(text: some StringProtocol) {
        guard text.utf8.count == Self.characterCount, let kind = Kind(rawValue: String(text.prefix(3))) else { return nil }
        guard let bytes = Base32.decode(text.dropFirst(3)), bytes.count == Self.byteCount else { return nil }
        self.init(kind: kind, text: String(text))
    }

    /// Reads a token that must be of `kind`.
    package init?(text: some StringProtocol, kind: Kind) {
        self.init(text: text)
        guard self.kind == kind else { return nil }
    }

    /// SHA-256 of the whole text, prefix included: what is stored and looked up. Two kinds never share a hash.
    package var hash: [UInt8] { Array(SHA256.hash(data: Array(self.text.utf8))) }

    package var description: String { self.kind.rawValue + "…" }
    package var debugDescription: String { self.description }
}
