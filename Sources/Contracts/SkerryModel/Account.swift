// The normal forms of Unicode are in the standard library, under this name only: Foundation, which publishes them, stays out of Skerry.
@_spi(_Unicode) import Swift

/// What a user may do on the box.
package enum Role: UInt8, Sendable, Hashable, CaseIterable {
    case user = 0
    case admin = 1

    package init?(text: some StringProtocol) {
        switch text {
        case "user": self = .user
        case "admin": self = .admin
        default: return nil
        }
    }

    package var text: String {
        switch self {
        case .user: "user"
        case .admin: "admin"
        }
    }
}

/// A user's name as people type it, and the key under which it is unique.
///
/// 1 to 32 letters and digits of any script, `-`, `_`, `.`. The key is the lower-case form in NFC: characters that would still change
/// under NFKC case folding (wide forms, ligatures) are refused, and an accent typed apart from its letter is put together with it, so two
/// names that look alike to either cannot both exist.
package struct UserName: Sendable, Hashable, CustomStringConvertible {
    package let text: String
    package let key: String

    package init(_ text: some StringProtocol, limits: Limits = Limits()) throws(SkerryError) {
        let key = Self.key(of: text)
        guard (1...limits.nameCharactersMax).contains(text.count), key.unicodeScalars.count <= 4 * limits.nameCharactersMax else {
            throw SkerryError(.payloadInvalid, "A name has 1 to \(limits.nameCharactersMax) characters.", field: "name")
        }
        for scalar in key.unicodeScalars {
            let properties = scalar.properties
            let isAllowed: Bool
            switch properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber, .nonspacingMark, .spacingMark:
                isAllowed = !properties.changesWhenNFKCCaseFolded
            default: isAllowed = scalar == "-" || scalar == "_" || scalar == "."
            }
            guard isAllowed else {
                throw SkerryError(.payloadInvalid, "A name is made of letters, digits, '-', '_' and '.'.", field: "name")
            }
        }
        self.text = Self.composed(text)
        self.key = key
    }

    /// The key of any text, whether or not it could be a name: what people type is looked up by this.
    package static func key(of text: some StringProtocol) -> String { Self.composed(text.lowercased()) }

    private static func composed(_ text: some StringProtocol) -> String {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return String(text) }
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: String(text)._nfc)
        return String(scalars)
    }

    package var description: String { self.text }
}

/// A stored user.
package struct UserRecord: Sendable, Hashable {
    package var id: UserID
    package var name: String
    package var nameKey: String
    package var display: String
    package var role: Role
    package var isLocked: Bool
    /// As `PasswordHash` writes it; empty when the user cannot sign in with a password.
    package var passwordHash: String
    /// As `ScramVerifier` writes it, of the same password; empty when the user cannot sign in by SCRAM.
    package var scramVerifier: String
    package var createdMilliseconds: UInt64
    /// The order of the entry that wrote this row: the greater one wins.
    package var stamp: Order
    /// Two boxes gave the same name away while they were apart: what this user's entry says, while somebody with an older right to it has
    /// it and `name` is that with `~` and the beginning of the id. Nil: `name` is what the entry says.
    package var wantedName: String?

    package init(
        id: UserID, name: String, nameKey: String, display: String, role: Role, isLocked: Bool, passwordHash: String, scramVerifier: String = "",
        createdMilliseconds: UInt64, stamp: Order, wantedName: String? = nil
    ) {
        self.id = id
        self.name = name
        self.nameKey = nameKey
        self.display = display
        self.role = role
        self.isLocked = isLocked
        self.passwordHash = passwordHash
        self.scramVerifier = scramVerifier
        self.createdMilliseconds = createdMilliseconds
        self.stamp = stamp
        self.wantedName = wantedName
    }
}

/// One logged-in client of a user: its token's SHA-256, never the token.
package struct DeviceRecord: Sendable, Hashable {
    package var id: DeviceID
    package var user: UserID
    package var tokenHash: [UInt8]
    package var name: String
    package var createdMilliseconds: UInt64
    package var expiresMilliseconds: UInt64
    package var isRevoked: Bool
    package var stamp: Order

    package init(
        id: DeviceID, user: UserID, tokenHash: [UInt8], name: String, createdMilliseconds: UInt64, expiresMilliseconds: UInt64, isRevoked: Bool, stamp: Order
    ) {
        self.id = id
        self.user = user
        self.tokenHash = tokenHash
        self.name = name
        self.createdMilliseconds = createdMilliseconds
        self.expiresMilliseconds = expiresMilliseconds
        self.isRevoked = isRevoked
        self.stamp = stamp
    }
}

/// A link that lets somebody in: the first claim, an invite for new people, or a reset of one user's password.
package struct InviteRecord: Sendable, Hashable {
    package enum Purpose: Sendable, Hashable {
        case claim
        case join(Role)
        case reset(UserID)
    }

    package var id: InviteID
    package var tokenHash: [UInt8]
    package var purpose: Purpose
    package var uses: UInt32
    package var used: UInt32
    package var createdBy: UserID?
    package var createdMilliseconds: UInt64
    package var expiresMilliseconds: UInt64
    package var isRevoked: Bool
    package var stamp: Order

    package init(
        id: InviteID, tokenHash: [UInt8], purpose: Purpose, uses: UInt32, used: UInt32, createdBy: UserID?, createdMilliseconds: UInt64,
        expiresMilliseconds: UInt64, isRevoked: Bool, stamp: Order
    ) {
        self.id = id
        self.tokenHash = tokenHash
        self.purpose = purpose
        self.uses = uses
        self.used = used
        self.createdBy = createdBy
        self.createdMilliseconds = createdMilliseconds
        self.expiresMilliseconds = expiresMilliseconds
        self.isRevoked = isRevoked
        self.stamp = stamp
    }
}

/// A user's wish not to hear from another.
package struct BlockRecord: Sendable, Hashable {
    package var owner: UserID
    package var target: UserID
    package var isOn: Bool
    package var stamp: Order

    package init(owner: UserID, target: UserID, isOn: Bool, stamp: Order) {
        self.owner = owner
        self.target = target
        self.isOn = isOn
        self.stamp = stamp
    }
}
