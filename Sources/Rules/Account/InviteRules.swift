package import SkerryModel

/// What a link with a token in it allows: to claim the box, to join it, or to set a new password.
package enum InviteRules {
    package static let usesRange = 1...1_000
    package static let hoursRange = 1...720

    /// An invite as an administrator asks for it; `payload_invalid` with the field that is out of range.
    package static func check(uses: Int, hours: Int) throws(SkerryError) {
        guard Self.usesRange.contains(uses) else {
            throw SkerryError(.payloadInvalid, "An invite can be used 1 to \(Self.usesRange.upperBound) times.", field: "uses")
        }
        guard Self.hoursRange.contains(hours) else {
            throw SkerryError(.payloadInvalid, "An invite lives for 1 to \(Self.hoursRange.upperBound) hours.", field: "hours")
        }
    }

    /// When a link made at `now` expires, in milliseconds since 1970.
    package static func expiry(now: UInt64, hours: Int) -> UInt64 {
        SessionRules.adding(now, UInt64(max(0, hours)) * 3_600_000)
    }

    /// Checks what the lookup of a token's hash found, and returns the role its bearer will have.
    package static func join(_ record: InviteRecord?, now: UInt64) throws(SkerryError) -> (record: InviteRecord, role: Role) {
        guard let record, case .join(let role) = record.purpose else { throw Self.unknown }
        try Self.checkOpen(record, now)
        return (record, role)
    }

    /// Checks a reset link, and returns whose password it sets.
    package static func reset(_ record: InviteRecord?, now: UInt64) throws(SkerryError) -> (record: InviteRecord, user: UserID) {
        guard let record, case .reset(let user) = record.purpose else { throw Self.unknown }
        try Self.checkOpen(record, now)
        return (record, user)
    }

    /// The record after one more use.
    package static func using(_ record: InviteRecord) -> InviteRecord {
        var record = record
        record.used = min(record.uses, record.used + 1)
        return record
    }

    /// The same for a token nobody made, one of another purpose, and one that is malformed: what a link opens is for its holder to know.
    package static var unknown: SkerryError {
        SkerryError(.notFound, "This link is not known here. Check that it was copied whole, or ask for a new one.", field: "token")
    }

    /// Holding the token proves that the link was real: from here on the answer may help.
    static func checkOpen(_ record: InviteRecord, _ now: UInt64) throws(SkerryError) {
        guard !record.isRevoked else { throw SkerryError(.gone, "This link was withdrawn; ask for a new one.", field: "token") }
        guard record.used < record.uses else { throw SkerryError(.gone, "This link has been used up; ask for a new one.", field: "token") }
        guard now < record.expiresMilliseconds else { throw SkerryError(.gone, "This link has expired; ask for a new one.", field: "token") }
    }
}
