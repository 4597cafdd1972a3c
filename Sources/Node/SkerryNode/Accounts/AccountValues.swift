package import Account
package import SkerryModel
import ChatCodec

/// A device that has just signed in: its token is shown this once.
package struct SignedIn: Sendable {
    package var token: Token
    package var user: UserRecord
    package var device: DeviceID
    package var expiresMilliseconds: UInt64
}

/// A link with a token in it, as it was made: the token is shown this once.
package struct IssuedLink: Sendable {
    package var id: InviteID
    package var token: Token
    package var expiresMilliseconds: UInt64

    /// The path of the link on any of the box's addresses. The token is behind `#`: it never reaches a server's log.
    package var path: String {
        switch self.token.kind {
        case .claim: "/#/claim/\(self.token.text)"
        case .invite: "/#/invite/\(self.token.text)"
        case .reset: "/#/reset/\(self.token.text)"
        case .session: "/"
        }
    }
}

/// One line of a user's list of devices.
package struct DeviceSummary: Sendable {
    package var device: DeviceRecord
    /// Nil when it was not seen since the box started.
    package var seenMilliseconds: UInt64?
    package var isCurrent: Bool
}

/// One line of the administrator's list of users.
package struct UserSummary: Sendable {
    package var user: UserRecord
    package var isOnline: Bool
    package var devices: Int

    package init(user: UserRecord, isOnline: Bool, devices: Int) {
        self.user = user
        self.isOnline = isOnline
        self.devices = devices
    }
}

/// One page of a list, and the key to go on from; nil when this was the last.
package struct AccountPage<Item: Sendable>: Sendable {
    package var items: [Item]
    package var next: String?
}

/// Who changes an account: an administrator over the network, or somebody at the box itself.
package enum Actor: Sendable, Hashable {
    /// The command line on the box: whoever may run it owns the box already.
    case console
    case caller(Caller)

    package var user: UserID? {
        switch self {
        case .console: nil
        case .caller(let caller): caller.user
        }
    }
}

/// What is kept of a password; the default is no password.
struct KeptPassword: Sendable {
    var hash = ""
    var scramVerifier = ""
}

extension UserRecord {
    mutating func keep(_ password: KeptPassword) {
        self.passwordHash = password.hash
        self.scramVerifier = password.scramVerifier
    }
}

extension UserEntry {
    init(_ user: UserRecord) {
        self.init(
            id: user.id, name: user.wantedName ?? user.name, display: user.display, role: user.role, isLocked: user.isLocked, passwordHash: user.passwordHash,
            scramVerifier: user.scramVerifier, createdMilliseconds: user.createdMilliseconds)
    }
}

extension DeviceEntry {
    init(revoking device: DeviceRecord) {
        self.init(
            id: device.id, user: device.user, tokenHash: device.tokenHash, name: device.name, createdMilliseconds: device.createdMilliseconds,
            expiresMilliseconds: device.expiresMilliseconds, isRevoked: true)
    }
}

extension InviteEntry {
    init(_ invite: InviteRecord) {
        self.init(
            id: invite.id, tokenHash: invite.tokenHash, purpose: invite.purpose, uses: invite.uses, used: invite.used, createdBy: invite.createdBy,
            createdMilliseconds: invite.createdMilliseconds, expiresMilliseconds: invite.expiresMilliseconds, isRevoked: invite.isRevoked)
    }
}

/// The node's generator for the rules, which take one as Swift has it.
struct NodeGenerator: RandomNumberGenerator {
    let random: NodeRandom
    mutating func next() -> UInt64 { self.random.next() }
}
