package import SkerryModel

/// Who may become the first administrator: whoever holds the one-time link the box printed, once.
package enum ClaimRules {
    /// Checks what the lookup of a claim token's hash found.
    ///
    /// A wrong token is refused the same whether or not the box is claimed; the holder of the right one hears why it opens nothing any more.
    package static func check(_ record: InviteRecord?, hasAdministrator: Bool, now: UInt64) throws(SkerryError) -> InviteRecord {
        guard let record, case .claim = record.purpose else { throw InviteRules.unknown }
        guard !hasAdministrator else { throw Self.claimed }
        guard !record.isRevoked, record.used < record.uses, now < record.expiresMilliseconds else {
            throw SkerryError(.gone, "This claim link is no longer valid; run `skerry claim` on the box for a new one.", field: "token")
        }
        return record
    }

    /// Whether a claim link may be opened.
    package static func checkOpening(hasAdministrator: Bool) throws(SkerryError) {
        if hasAdministrator { throw Self.claimed }
    }

    /// When a claim link made at `now` expires, in milliseconds since 1970.
    package static func expiry(now: UInt64, limits: Limits) -> UInt64 {
        SessionRules.adding(now, UInt64(max(1, limits.claimMinutes)) * 60_000)
    }

    static var claimed: SkerryError {
        SkerryError(.gone, "This box already has an administrator: sign in, or run `skerry user reset NAME` on the box for a new password.")
    }
}
