package import ChatCodec
import Account
package import SkerryModel
import Store

/// What only somebody at the box itself may do.
extension AccountService {
    /// Gives a user a new password: all their devices are signed out, open reset links of theirs stop working.
    package func setPassword(_ text: String, of reference: UserReference) async throws(SkerryError) {
        let chosen = try Password(new: text, limits: self.node.limits)
        let kept = try await self.hash(chosen)
        try await self.decide { log, endings in
            var user = try Self.user(reference, log.store)
            let now = self.node.clock.wall()
            user.keep(kept)
            try log.append(.user(UserEntry(user)))
            for var link in try log.store.openInvites(now: now) where link.purpose == .reset(user.id) {
                link.isRevoked = true
                try log.append(.invite(InviteEntry(link)))
            }
            for device in try log.store.devices(of: user.id, now: now) { try log.append(.device(DeviceEntry(revoking: device))) }
            endings.append(Ending(user: user.id, device: nil, reason: .revoked))
        }
    }
}
