package import Account
package import NIOCore
package import SkerryModel
import Store
import Synchronization

/// Coming in with a TLS client certificate: whoever signed it has checked who holds it, and the handshake that they hold its key.
extension AccountService {
    /// The user whose name a verified certificate carries. No password is asked for and no try is counted: there is nothing to guess.
    ///
    /// A user who is locked out or removed is refused, which is how a certificate is revoked; `endSessions` ends what is connected. The answer
    /// is checked once more on `loop`, as with a token, so a lock cannot slip between.
    ///
    /// - Parameter completion: nil when nobody of that name is here: then the certificate says nothing and a password decides.
    package func authenticate(
        certificateOf name: String, address: AddressKey, loop: (any EventLoop)?, completion: @escaping @Sendable (Result<Caller?, SkerryError>) -> Void
    ) {
        let generation = self.tokens.withLock(\.generation)
        self.node.store.read { store in
            guard name.utf8.count <= 160 else { return nil as UserRecord? }
            return try store.user(nameKey: UserName.key(of: name))
        } completion: { result in
            switch result {
            case .failure(let error): self.answer(loop) { completion(.failure(ChatService.refusal(error))) }
            case .success(nil): self.answer(loop) { completion(.success(nil)) }
            case .success(let user?):
                var caller: Result<Caller, SkerryError> = .success(
                    Caller(user: user.id, name: user.name, role: user.role, device: Self.certificateDevice(of: user.id)))
                if user.isLocked {
                    self.note(SessionRules.locked, "certificate", name: user.name, address: address)
                    caller = .failure(SessionRules.locked)
                }
                self.finish(caller, since: generation, loop) { completion($0.map { $0 }) }
            }
        }
    }

    private func answer(_ loop: (any EventLoop)?, _ body: @escaping @Sendable () -> Void) {
        if let loop, !loop.inEventLoop { loop.execute(body) } else { body() }
    }

    /// The device of connections that came in by a certificate. A password that its user changes does not end them; an administrator's reset and a
    /// lock do, as they end everything of a user.
    package static func certificateDevice(of user: UserID) -> DeviceID {
        let password = Self.mqttDevice(of: user).value
        return DeviceID(Bytes16(high: password.high ^ 0x6365_7274_0000_0000, low: password.low))
    }
}
