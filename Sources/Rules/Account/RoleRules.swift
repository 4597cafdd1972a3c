package import SkerryModel

/// What an administrator may do to accounts, so that a box never ends up without one.
package enum RoleRules {
    package static func requireAdministrator(_ user: UserRecord) throws(SkerryError) {
        guard user.role == .admin else { throw SkerryError(.forbidden, "Only an administrator of this box may do this.") }
    }

    /// - Parameter administrators: how many unlocked administrators there are, the target included.
    package static func checkLock(_ target: UserRecord, administrators: Int) throws(SkerryError) {
        try Self.checkNotLast(target, administrators, "Locking this account would leave the box without an administrator; make another one first.")
    }

    /// Whether `target` may be given `role`.
    package static func checkRole(_ role: Role, for target: UserRecord, administrators: Int) throws(SkerryError) {
        guard role != .admin else { return }
        try Self.checkNotLast(target, administrators, "This is the last administrator of the box; make another one first.")
    }

    private static func checkNotLast(_ target: UserRecord, _ administrators: Int, _ detail: String) throws(SkerryError) {
        guard target.role != .admin || target.isLocked || administrators > 1 else { throw SkerryError(.conflict, detail) }
    }
}
