package import Account
package import SkerryModel
import Store
import Synchronization

/// What people do with their own account.
extension AccountService {
    package func me(_ caller: Caller) async throws(SkerryError) -> UserRecord {
        let id = caller.user
        return try await self.read { store in
            guard let user = try store.user(id) else { throw Self.unknownToken }
            return user
        }
    }

    /// Changes what others see beside the name.
    /// - Parameter check: called with the user as it is, inside the decision; what it throws refuses the change (`If-Match`).
    package func update(
        _ caller: Caller, display: String, check: (@Sendable (UserRecord) throws(SkerryError) -> Void)? = nil
    ) async throws(SkerryError) -> UserRecord {
        let max = self.node.limits.displayBytesMax
        let isBlank = display.unicodeScalars.allSatisfy(\.properties.isWhitespace)
        guard !isBlank, display.utf8.count <= max, !display.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw SkerryError(.payloadInvalid, "display is 1 to \(max) bytes of visible text.", field: "display")
        }
        return try await self.decide { log, _ in
            guard var user = try log.store.user(caller.user) else { throw Self.unknownToken }
            try check?(user)
            guard user.display != display else { return user }
            user.display = display
            user.stamp = try log.append(.user(UserEntry(user)))
            return user
        }
    }

    /// Sets a new password: every device but the caller's is signed out, MQTT connections made with the old password too.
    package func changePassword(_ caller: Caller, old: String, new: String, address: AddressKey) async throws(SkerryError) {
        let chosen: Password
        do throws(SkerryError) {
            chosen = try Password(new: new, limits: self.node.limits)
        } catch {
            throw SkerryError(error.code, error.detail, field: "new")
        }
        let verified: UserRecord
        do throws(SkerryError) {
            verified = try await self.verify(name: caller.user.description, password: old, address: address)
        } catch {
            // The caller is signed in: `unauthenticated` would send the client back to the sign-in page.
            throw error.code == .unauthenticated ? SkerryError(.forbidden, "The old password is wrong.", field: "old") : error
        }
        let kept = try await self.hash(chosen)
        try await self.decide { log, endings in
            guard var user = try log.store.user(caller.user), user.passwordHash == verified.passwordHash else {
                throw SkerryError(.conflict, "The password was changed meanwhile; sign in again.")
            }
            user.keep(kept)
            try log.append(.user(UserEntry(user)))
            for device in try log.store.devices(of: user.id, now: self.node.clock.wall()) where device.id != caller.device {
                try self.revoke(device, .revoked, &log, &endings)
            }
            endings.append(Ending(user: user.id, device: Self.mqttDevice(of: user.id), reason: .revoked))
        }
    }

    /// The caller's devices, oldest first.
    package func devices(_ caller: Caller) async throws(SkerryError) -> [DeviceSummary] {
        let now = self.node.clock.wall()
        let devices = try await self.read { store in try store.devices(of: caller.user, now: now) }
        return self.tokens.withLock { tokens in
            devices.map { DeviceSummary(device: $0, seenMilliseconds: tokens.lastSeen($0.id), isCurrent: $0.id == caller.device) }
        }
    }

    /// Signs one of the caller's own devices out. Somebody else's is as unknown as one that never was.
    package func revokeDevice(_ id: DeviceID, by caller: Caller) async throws(SkerryError) {
        try await self.decide { log, endings in
            guard let device = try log.store.device(id), device.user == caller.user, !device.isRevoked else {
                throw SkerryError(.notFound, "You have no such device.")
            }
            try self.revoke(device, .revoked, &log, &endings)
        }
    }
}
