import Crypto
import SkerryModel

/// Why a token cannot be used, in words for whoever typed it.
package struct PairingTokenError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// What an administrator carries from a box of a federation to one that is to join (FEDERATION.md §3):
/// `version ‖ CA hash 16 ‖ secret 16 ‖ expiry, seconds, 5 ‖ count ‖ (family ‖ address ‖ port)… ‖ checksum 4`, as base32.
///
/// The hash says whom to trust, the secret makes the box be trusted, the addresses say where. Written in one word, so that a double click takes it
/// whole; spaces, hyphens and capitals do not matter when it is read.
package struct PairingToken: Sendable, Hashable, CustomStringConvertible {
    package static let version: UInt8 = 1
    package static let authorityHashBytes = 16
    package static let secretBytes = 16
    package static let addressesMax = 3
    /// Characters of a text that are looked at; a longer one is no token.
    package static let charactersMax = 512
    private static let checksumBytes = 4

    /// A socket address: 4 or 16 bytes of address.
    package struct Address: Sendable, Hashable, CustomStringConvertible {
        package var packed: [UInt8]
        package var port: UInt16

        /// Nil unless `text` is `address:port`, IPv6 in brackets.
        package init?(_ text: some StringProtocol) {
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else { return nil }
            var host = Substring(text[..<colon])
            if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() } else if host.contains(":") { return nil }
            guard let packed = IPText.packed(host) else { return nil }
            self.init(packed: packed, port: port)
        }

        package init(packed: [UInt8], port: UInt16) {
            self.packed = packed
            self.port = port
        }

        package var host: String { IPText.text(self.packed) }
        package var description: String { self.packed.count == 4 ? "\(self.host):\(self.port)" : "[\(self.host)]:\(self.port)" }
    }

    package var authorityHash: [UInt8]
    package var secret: [UInt8]
    package var addresses: [Address]
    /// Until when, by the clock of the box that made it: for people. That box itself goes by a clock nobody can set.
    package var expiresSeconds: UInt64

    package init(authorityHash: [UInt8], secret: [UInt8], addresses: [Address], expiresSeconds: UInt64) {
        self.authorityHash = authorityHash
        self.secret = secret
        self.addresses = Array(addresses.prefix(Self.addressesMax))
        self.expiresSeconds = expiresSeconds
    }

    package var description: String {
        var bytes: [UInt8] = [Self.version]
        bytes += self.authorityHash
        bytes += self.secret
        for shift in stride(from: UInt64(32), through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: self.expiresSeconds >> shift)) }
        bytes.append(UInt8(self.addresses.count))
        for address in self.addresses {
            bytes.append(UInt8(address.packed.count))
            bytes += address.packed
            bytes += [UInt8(address.port >> 8), UInt8(truncatingIfNeeded: address.port)]
        }
        bytes += Self.checksum(bytes)
        return Base32.encode(bytes)
    }

    package init(_ text: some StringProtocol) throws(PairingTokenError) {
        var plain = ""
        for character in text.utf8 {
            switch character {
            case UInt8(ascii: " "), UInt8(ascii: "-"), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): continue
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): plain.unicodeScalars.append(Unicode.Scalar(character + 32))
            case 33..<127: plain.unicodeScalars.append(Unicode.Scalar(character))
            default: throw PairingTokenError("This is not a pairing token: one has letters and digits only. Copy it again.")
            }
            guard plain.utf8.count <= Self.charactersMax else { throw PairingTokenError("This is too long to be a pairing token. Copy it again.") }
        }
        guard !plain.isEmpty else { throw PairingTokenError("There is no token. `skerry pair invite`, or the other box's admin page, makes one.") }
        let mistyped = PairingTokenError("The token is incomplete or mistyped. Copy it again, from its first to its last character.")
        guard let bytes = Base32.decode(plain), bytes.count > Self.checksumBytes + 1 else { throw mistyped }
        let body = Array(bytes.dropLast(Self.checksumBytes))
        guard Self.checksum(body) == Array(bytes.suffix(Self.checksumBytes)) else { throw mistyped }
        var rest = body[...]
        guard rest.popFirst() == Self.version else {
            throw PairingTokenError("The token was made by a newer version of Skerry. Bring this box to the same version first.")
        }
        guard let hash = Self.take(Self.authorityHashBytes, of: &rest), let secret = Self.take(Self.secretBytes, of: &rest),
            let expiry = Self.take(5, of: &rest), let count = rest.popFirst(), count >= 1, count <= UInt8(Self.addressesMax)
        else { throw mistyped }
        var addresses: [Address] = []
        for _ in 0..<count {
            guard let family = rest.popFirst(), family == 4 || family == 16, let packed = Self.take(Int(family), of: &rest),
                let high = rest.popFirst(), let low = rest.popFirst()
            else { throw mistyped }
            let port = UInt16(high) << 8 | UInt16(low)
            guard port > 0 else { throw mistyped }
            addresses.append(Address(packed: packed, port: port))
        }
        guard rest.isEmpty else { throw mistyped }
        self.init(authorityHash: hash, secret: secret, addresses: addresses, expiresSeconds: expiry.reduce(0) { $0 << 8 | UInt64($1) })
    }

    private static func take(_ count: Int, of rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        guard rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    private static func checksum(_ bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: Array("skerry-pair-token".utf8))
        hash.update(data: bytes)
        return Array(hash.finalize().prefix(Self.checksumBytes))
    }
}
