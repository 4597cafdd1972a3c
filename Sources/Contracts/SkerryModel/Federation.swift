/// Which federation: the first 80 bits of the SHA-256 of its CA's public key (FEDERATION.md §2.1), written as 16 characters of base32.
package struct FederationID: Sendable, Hashable, CustomStringConvertible {
    package static let byteCount = BoxID.byteCount
    private let value: BoxID

    /// The first ten of `bytes`; nil when there are fewer.
    package init?(_ bytes: some Collection<UInt8>) {
        guard let value = BoxID(bytes) else { return nil }
        self.value = value
    }

    package init?(text: some StringProtocol) {
        guard let value = BoxID(text: text) else { return nil }
        self.value = value
    }

    package var bytes: [UInt8] { self.value.bytes }
    package var description: String { self.value.description }
}

/// What a box is to its federation (FEDERATION.md §3). `removed` is for ever.
package enum BoxStanding: UInt8, Sendable, Hashable, CaseIterable {
    case active = 1
    case removed = 2
}

/// One row of the signed member list: who belongs to the federation, under which keys. Only an issuer, who has the CA's key, makes one.
///
/// A box keeps the row with the greater `version`; a row whose signature does not hold is stored and forwarded like any entry, never applied.
package struct MemberEntry: Sendable, Hashable {
    package static let nameBytesMax = 64
    package static let endpointsMax = 8
    /// Bytes of one endpoint, `host:port`.
    package static let endpointBytesMax = 64

    package var box: BoxID
    package var standing: BoxStanding
    package var name: String
    /// The P-256 key of its TLS certificate, as DER SubjectPublicKeyInfo; `box` is made from it.
    package var publicKey: [UInt8]
    /// The Ed25519 key by which it signs its log's batches, 32 bytes.
    package var logKey: [UInt8]
    /// Where its federation listener was when the row was made, as `address:port`.
    package var endpoints: [String]
    /// Whether it has the CA's key.
    package var isIssuer: Bool
    /// Rises with every row about the box: the issuer's stamp.
    package var version: UInt64
    /// Of a removed box: how far its logs count. What it wrote beyond is lost.
    package var cut: [LogEpoch: UInt64]
    /// Why it was removed, for the administrators.
    package var reason: String
    /// The CA's ECDSA signature (DER) over all of the above.
    package var signature: [UInt8]

    package init(
        box: BoxID, standing: BoxStanding = .active, name: String, publicKey: [UInt8], logKey: [UInt8], endpoints: [String], isIssuer: Bool = false,
        version: UInt64, cut: [LogEpoch: UInt64] = [:], reason: String = "", signature: [UInt8] = []
    ) {
        self.box = box
        self.standing = standing
        self.name = name
        self.publicKey = publicKey
        self.logKey = logKey
        self.endpoints = endpoints
        self.isIssuer = isIssuer
        self.version = version
        self.cut = cut
        self.reason = reason
        self.signature = signature
    }
}

/// The retained message of an ordinary MQTT topic, as a row: the greater order wins, so that all boxes keep the same (FEDERATION.md §2.8).
package struct RetainedEntry: Sendable, Hashable {
    package var topic: String
    /// The message as the broker's store holds it; empty: there is none any more.
    package var body: [UInt8]
    /// Milliseconds since 1970; 0 = never.
    package var expiresMilliseconds: UInt64

    package init(topic: String, body: [UInt8], expiresMilliseconds: UInt64) {
        self.topic = topic
        self.body = body
        self.expiresMilliseconds = expiresMilliseconds
    }
}
