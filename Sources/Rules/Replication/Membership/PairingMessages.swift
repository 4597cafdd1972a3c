import Crypto
package import SkerryModel

/// What a box that wants to join says, once (FEDERATION.md §3 step 4). All of it is under `mac`, which only somebody with the token can make.
package struct PairingHello: Sendable, Hashable {
    package static let nonceBytes = 32
    package static let endpointsMax = MemberEntry.endpointsMax
    package static let versionBytesMax = 32

    package var protocolVersion: UInt64
    /// Which token: derived from its secret.
    package var token: [UInt8]
    /// PKCS #10, DER: proves that the sender has the box key.
    package var request: [UInt8]
    /// The Ed25519 key by which the box will sign its log.
    package var logKey: [UInt8]
    package var name: String
    package var endpoints: [String]
    /// Skerry's version, for the log.
    package var software: String
    package var nonce: [UInt8]
    /// The version of the row that the box knows about itself, of a federation it founded and was alone in; 0: none. The new row goes above.
    package var rowVersion: UInt64
    /// The log key's signature over `transcript`: proves that the sender has that key.
    package var logProof: [UInt8]
    package var mac: [UInt8]

    package init(
        protocolVersion: UInt64 = PairingMessage.version, token: [UInt8], request: [UInt8], logKey: [UInt8], name: String, endpoints: [String],
        software: String, nonce: [UInt8], rowVersion: UInt64 = 0
    ) {
        self.protocolVersion = protocolVersion
        self.token = token
        self.request = request
        self.logKey = logKey
        self.name = name
        self.endpoints = endpoints
        self.software = software
        self.nonce = nonce
        self.rowVersion = rowVersion
        self.logProof = []
        self.mac = []
    }

    /// What is signed and authenticated: everything the box says, and the certificate (DER) it says it to. A hello that was sent to one box is so of no use at
    /// another.
    package func transcript(certificate: [UInt8]) -> [UInt8] {
        var writer = FieldWriter(reserving: 1_024)
        self.writeFields(to: &writer)
        return Array("skerry-pair-1".utf8) + Array(SHA256.hash(data: certificate)) + writer.bytes
    }

    func writeFields(to writer: inout FieldWriter) {
        writer.varint(2, self.protocolVersion)
        writer.bytes(3, self.token)
        writer.bytes(4, self.request)
        writer.bytes(5, self.logKey)
        writer.text(6, self.name)
        for endpoint in self.endpoints { writer.text(7, endpoint) }
        writer.text(8, self.software)
        writer.bytes(9, self.nonce)
        writer.fixed64(10, self.rowVersion)
    }
}

/// Why a box is not let in.
package enum PairingRefusal: UInt64, Sendable, Hashable, CaseIterable, Error {
    /// No open token is this one: never made here, or made before a restart.
    case unknownToken = 1
    case expired = 2
    case used = 3
    case void = 4
    case badProof = 5
    case ignored = 6
    case removed = 7
    case notIssuer = 8
    case busy = 9
    case version = 10
    case malformed = 11
    case failed = 12
    case full = 13

    /// For the administrator of the box that was not let in.
    package var error: SkerryError {
        switch self {
        case .unknownToken:
            SkerryError(.notFound, "The other box does not know this token: it was made elsewhere or before a restart. Make a new one there.", field: "token")
        case .expired: SkerryError(.tokenExpired, "The token has expired; it is good for ten minutes. Make a new one on the other box.", field: "token")
        case .used: SkerryError(.conflict, "The token was used by another box; each is good for one. Make a new one on the other box.", field: "token")
        case .void:
            SkerryError(
                .forbidden, "The token was tried wrongly too often and is void. Make a new one on the other box, and ask who else tries.", field: "token")
        case .badProof:
            SkerryError(.forbidden, "The other box could not verify this one: somebody may be in between. Compare the fingerprint words and use a new token.")
        case .ignored: SkerryError(.forbidden, "The other box's administrator did not let this box in. Talk to them, and use a new token.")
        case .removed:
            SkerryError(
                .conflict,
                "This box was removed from that federation, which is for ever. Start it with a new data directory; then it is a new box and can join.")
        case .notIssuer: SkerryError(.conflict, "The other box may not take boxes in. Make the token on one that may: `skerry boxes` shows which.")
        case .busy: SkerryError(.busy, "The other box is asked by too many at once. Try again in a minute.", retryAfterSeconds: 60)
        case .version: SkerryError(.conflict, "The two boxes have versions of Skerry that do not know each other's pairing. Bring both to the same version.")
        case .malformed: SkerryError(.badRequest, "The other box did not understand this one. Bring both to the same version of Skerry.")
        case .failed: SkerryError(.unavailable, "The other box could not do it; its log says why. Try again with the same token.", retryAfterSeconds: 10)
        case .full: SkerryError(.quotaExceeded, "The federation has as many boxes as it can have. Retire one that is no longer needed.")
        }
    }
}

/// The box is in: what it is given (FEDERATION.md §3 step 6).
package struct PairingWelcome: Sendable, Hashable {
    /// DER.
    package var certificate: [UInt8]
    package var authority: [UInt8]
    /// Signed rows: the new box's own, that of the box that let it in, and as many others as fit. The rest comes with the control log.
    package var members: [MemberEntry]
    package var federationMilliseconds: UInt64
    /// What the box that let it in calls itself.
    package var name: String

    package init(certificate: [UInt8], authority: [UInt8], members: [MemberEntry], federationMilliseconds: UInt64, name: String) {
        self.certificate = certificate
        self.authority = authority
        self.members = members
        self.federationMilliseconds = federationMilliseconds
        self.name = name
    }
}

/// One frame of a pairing connection: `1:kind …`. A connection carries one hello and one answer.
package enum PairingMessage: Sendable, Hashable {
    package static let version: UInt64 = 1
    /// What TLS is asked for.
    package static let alpn = "skerry-pair/1"
    /// Bytes of a frame without its length; a longer one ends the connection.
    package static let frameBytesMax = 32 * 1024
    /// Bytes of rows in a welcome.
    package static let membersBytesMax = 20 * 1024
    package static let membersMax = 64

    case hello(PairingHello)
    /// An administrator must approve; ask again in a while. With what the box that is asked calls itself, and its words.
    case wait(name: String, words: String)
    case welcome(PairingWelcome)
    case refusal(PairingRefusal)

    package var bytes: [UInt8] {
        var writer = FieldWriter(reserving: 2_048)
        switch self {
        case .hello(let hello):
            writer.varint(1, 1)
            hello.writeFields(to: &writer)
            writer.bytes(14, hello.logProof)
            writer.bytes(15, hello.mac)
        case .wait(let name, let words):
            writer.varint(1, 2)
            writer.text(2, name)
            writer.text(3, words)
        case .welcome(let welcome):
            writer.varint(1, 3)
            writer.bytes(2, welcome.certificate)
            writer.bytes(3, welcome.authority)
            var size = 0
            for member in welcome.members.prefix(Self.membersMax) {
                let row = MemberCodec.encode(member)
                size += row.count
                guard size <= Self.membersBytesMax else { break }
                writer.bytes(4, row)
            }
            writer.fixed64(5, welcome.federationMilliseconds)
            writer.text(6, welcome.name)
        case .refusal(let refusal):
            writer.varint(1, 4)
            writer.varint(2, refusal.rawValue)
        }
        return writer.bytes
    }

    package init(_ bytes: [UInt8]) throws(EntryDecodeError) {
        guard bytes.count <= Self.frameBytesMax else { throw EntryDecodeError(.tooLarge, at: 0) }
        let (numbers, slices) = try Self.fields(bytes)
        switch numbers[1] {
        case 1: self = .hello(try Self.hello(numbers, slices))
        case 2: self = .wait(name: try Self.text(slices, 2, atMost: MemberEntry.nameBytesMax), words: try Self.text(slices, 3, atMost: 128))
        case 3:
            var members: [MemberEntry] = []
            for row in slices[4] ?? [] {
                guard members.count < Self.membersMax else { throw EntryDecodeError(.tooLarge, at: 4) }
                members.append(try MemberCodec.decode(row))
            }
            self = .welcome(
                PairingWelcome(
                    certificate: try Self.one(slices, 2), authority: try Self.one(slices, 3), members: members,
                    federationMilliseconds: numbers[5] ?? 0, name: try Self.text(slices, 6, atMost: MemberEntry.nameBytesMax)))
        case 4: self = .refusal(PairingRefusal(rawValue: numbers[2] ?? 0) ?? .failed)
        default: throw EntryDecodeError(.badField, at: 1)
        }
    }

    private static func hello(_ numbers: [UInt64: UInt64], _ slices: [UInt64: [ArraySlice<UInt8>]]) throws(EntryDecodeError) -> PairingHello {
        var endpoints: [String] = []
        for slice in slices[7] ?? [] {
            guard endpoints.count < PairingHello.endpointsMax, slice.count <= MemberEntry.endpointBytesMax,
                let text = String(validating: slice, as: UTF8.self)
            else { throw EntryDecodeError(.badField, at: 7) }
            endpoints.append(text)
        }
        var hello = PairingHello(
            protocolVersion: numbers[2] ?? 0, token: try Self.one(slices, 3), request: try Self.one(slices, 4), logKey: try Self.one(slices, 5),
            name: try Self.text(slices, 6, atMost: MemberEntry.nameBytesMax), endpoints: endpoints,
            software: try Self.text(slices, 8, atMost: PairingHello.versionBytesMax), nonce: try Self.one(slices, 9), rowVersion: numbers[10] ?? 0)
        guard hello.token.count == PairingSecret.idBytes, hello.nonce.count == PairingHello.nonceBytes, hello.logKey.count == MemberRules.logKeyBytes else {
            throw EntryDecodeError(.badField, at: 3)
        }
        hello.logProof = try Self.one(slices, 14)
        hello.mac = try Self.one(slices, 15)
        return hello
    }

    /// At most 128 fields, so that a frame of empty ones cannot take the box's time.
    private static func fields(_ bytes: [UInt8]) throws(EntryDecodeError) -> ([UInt64: UInt64], [UInt64: [ArraySlice<UInt8>]]) {
        var numbers: [UInt64: UInt64] = [:]
        var slices: [UInt64: [ArraySlice<UInt8>]] = [:]
        var reader = FieldReader(bytes[...])
        var count = 0
        while let (field, value) = try reader.next() {
            count += 1
            guard count <= 128 else { throw EntryDecodeError(.tooLarge, at: field) }
            switch value {
            case .number(let number): numbers[field] = number
            case .bytes(let slice): slices[field, default: []].append(slice)
            }
        }
        return (numbers, slices)
    }

    private static func one(_ slices: [UInt64: [ArraySlice<UInt8>]], _ field: UInt64) throws(EntryDecodeError) -> [UInt8] {
        guard let slice = slices[field]?.last else { throw EntryDecodeError(.missingField, at: field) }
        return Array(slice)
    }

    private static func text(_ slices: [UInt64: [ArraySlice<UInt8>]], _ field: UInt64, atMost count: Int) throws(EntryDecodeError) -> String {
        guard let slice = slices[field]?.last else { return "" }
        guard slice.count <= count, let text = String(validating: slice, as: UTF8.self) else { throw EntryDecodeError(.badField, at: field) }
        return text
    }
}

/// What both sides make of a token's secret: a name for it that may be sent, and the key that proves to have it.
package struct PairingSecret: Sendable, Hashable {
    package static let idBytes = 8

    package let id: [UInt8]
    private let key: [UInt8]

    package init(_ secret: [UInt8]) {
        self.id = Self.derive(secret, "skerry-pair-id", Self.idBytes)
        self.key = Self.derive(secret, "skerry-pair-key", 32)
    }

    package func mac(_ transcript: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: transcript, using: SymmetricKey(data: self.key)))
    }

    /// Takes the same time whatever is wrong.
    package func isGood(_ mac: [UInt8], for transcript: [UInt8]) -> Bool {
        HMAC<SHA256>.isValidAuthenticationCode(mac, authenticating: transcript, using: SymmetricKey(data: self.key))
    }

    private static func derive(_ secret: [UInt8], _ purpose: String, _ count: Int) -> [UInt8] {
        let key = HKDF<SHA256>.deriveKey(inputKeyMaterial: SymmetricKey(data: secret), info: Array(purpose.utf8), outputByteCount: count)
        return key.withUnsafeBytes { Array($0) }
    }
}
