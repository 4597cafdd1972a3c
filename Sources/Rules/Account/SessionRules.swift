package import SkerryModel

/// Whether a device token still opens the door.
package enum SessionRules {
    /// Checks what the lookup of a token's hash found; returns the pair when both may go in.
    ///
    /// An unknown token, a revoked one and one whose user is gone are answered alike. Who holds a token that was real may hear that it
    /// expired (`token_expired`) or that the account is locked (`forbidden`).
    /// - Parameter now: milliseconds since 1970. A box without a set clock never expires a token by mistake: its time is before, not after.
    package static func check(device: DeviceRecord?, user: UserRecord?, now: UInt64) throws(SkerryError) -> (device: DeviceRecord, user: UserRecord) {
        guard let device, let user, device.user == user.id, !device.isRevoked else {
            throw SkerryError(.unauthenticated, "This token is not valid here; sign in again.")
        }
        guard now < device.expiresMilliseconds else {
            throw SkerryError(.tokenExpired, "This sign-in has expired; sign in again.")
        }
        guard !user.isLocked else { throw Self.locked }
        return (device, user)
    }

    /// The answer to a login with the right password into a locked account. Never given before the password was checked.
    package static var locked: SkerryError { SkerryError(.forbidden, "This account is locked; ask an administrator of this box.") }

    /// The one answer to a wrong name and to a wrong password.
    package static var wrongPassword: SkerryError { SkerryError(.unauthenticated, "Name or password is wrong.") }

    /// When a token made at `now` expires, in milliseconds since 1970.
    package static func expiry(now: UInt64, limits: Limits) -> UInt64 {
        Self.adding(now, UInt64(max(1, limits.tokenDays)) * 86_400_000)
    }

    static func adding(_ now: UInt64, _ milliseconds: UInt64) -> UInt64 {
        let (sum, overflow) = now.addingReportingOverflow(milliseconds)
        return overflow ? .max : sum
    }
}
