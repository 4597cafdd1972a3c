package import SkerryModel
import Crypto
import Logging
import NIOPosix
import Replication
import SkerryNode

extension MembershipService {
    // MARK: - Taking boxes out

    package func remove(_ box: BoxID, isLost: Bool, reason: String) async throws(SkerryError) {
        let host = try self.host()
        let identity = try await self.issuer(host)
        guard let row = try await host.members().first(where: { $0.box == box }) else {
            throw SkerryError(.notFound, "No box of the federation has this id. `skerry boxes` lists them.")
        }
        guard row.standing == .active else { throw SkerryError(.gone, "This box was removed before, which is for ever.") }
        guard box != self.box else {
            throw SkerryError(.conflict, "A box cannot remove itself. Do it on another one that has the federation's CA key.")
        }
        guard reason.utf8.count <= MemberRules.reasonBytesMax else {
            throw SkerryError(.tooLarge, "The reason is longer than \(MemberRules.reasonBytesMax) bytes.", field: "reason")
        }
        if !isLost, let obstacle = await host.obstacle(toRetiring: box) {
            throw SkerryError(
                .conflict, "\(obstacle) If the box is lost or stolen, remove it as lost; what only it has is lost then.", retryAfterSeconds: 60)
        }
        var next = row
        next.standing = .removed
        next.reason = reason
        next.isIssuer = false
        next.cut = MemberRules.cut(try await host.held(of: box))
        next.version = MemberRules.nextVersion(after: row, milliseconds: host.federationMilliseconds())
        guard let signed = identity.signed(next) else { throw SkerryError(.unavailable, "The row could not be signed; look at the log.") }
        try await host.append(signed)
        self.logger.notice("a box was removed", metadata: ["box": "\(box)", "lost": "\(isLost)"])
        if isLost, row.isIssuer {
            self.logger.warning(
                "the lost box had the federation's CA key: nobody comes in by it alone, but if it was stolen, found a new federation when you can",
                metadata: ["box": "\(box)"])
        }
    }

    // MARK: - The CA's key

    package func recoveryFile(passphrase: String) async throws(SkerryError) -> [UInt8] {
        let identity = try await self.issuer(try self.host())
        guard let key = identity.authorityKey else { throw SkerryError(.conflict, "This box does not have the federation's CA key.") }
        guard passphrase.count >= Self.passphraseCharactersMin, passphrase.utf8.count <= 1_024 else {
            throw SkerryError(
                .payloadInvalid, "The passphrase needs at least \(Self.passphraseCharactersMin) characters: whoever opens the file owns the federation.",
                field: "passphrase")
        }
        let (authority, secret, salt) = (identity.authority, Array(key.rawRepresentation), self.random.bytes(16))
        // Takes a second on a small board: not on a thread that others wait for.
        let file = try await Self.aside { () throws(SkerryError) in
            try RecoveryFile.seal(key: secret, authority: authority, passphrase: passphrase, salt: salt)
        }
        self.logger.notice("a recovery file was made")
        return file
    }

    package func restoreIssuer(file: [UInt8], passphrase: String) async throws(SkerryError) {
        let host = try self.host()
        let (key, authority) = try await Self.aside { () throws(SkerryError) in try RecoveryFile.open(file, passphrase: passphrase) }
        guard let identity = self.identity else {
            throw SkerryError(
                .conflict,
                "This box is of no federation. Join one of its boxes first; if none is left, found a new one with `skerry pair invite` and pair the boxes anew."
            )
        }
        guard identity.authority == authority else { throw SkerryError(.conflict, "The file is of another federation than this box's.", field: "file") }
        guard let authorityKey = try? P256.Signing.PrivateKey(rawRepresentation: key) else {
            throw SkerryError(.payloadInvalid, "The file is damaged: it holds no key.", field: "file")
        }
        let issuer: FederationIdentity
        do throws(FederationIdentityError) {
            issuer = try identity.with(authorityKey: authorityKey)
            try issuer.store(directory: self.directory)
        } catch {
            throw SkerryError(.unavailable, error.description)
        }
        self.become(issuer)
        try await host.adopt(issuer, members: [])
        _ = try await self.found(host)
        self.logger.notice("this box has the federation's CA key now")
    }

    private static func aside<Value: Sendable>(_ work: @escaping @Sendable () throws(SkerryError) -> Value) async throws(SkerryError) -> Value {
        do {
            return try await NIOThreadPool.singleton.runIfActive { try work() }
        } catch let error as SkerryError {
            throw error
        } catch {
            throw SkerryError(.unavailable, "The box is stopping.")
        }
    }
}
