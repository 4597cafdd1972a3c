import Crypto
import Logging
import Replication
import SkerryModel
import SkerryNode

/// The side of the federation: a box came with a token.
extension MembershipService {
    /// What to answer to a hello that came to this box's certificate.
    func answer(_ hello: PairingHello, certificate: [UInt8], from address: String) async -> PairingMessage {
        let verdict: PairingMessage
        do throws(PairingRefusal) {
            verdict = try await self.judge(hello, certificate, address)
        } catch {
            self.metrics.add(.pairingsRefused)
            self.logger.notice("a box was not let in", metadata: ["reason": "\(error)", "address": "\(address)"])
            verdict = .refusal(error)
        }
        return verdict
    }

    private func judge(_ hello: PairingHello, _ certificate: [UInt8], _ address: String) async throws(PairingRefusal) -> PairingMessage {
        guard hello.protocolVersion == PairingMessage.version else { throw .version }
        guard let identity = self.identity, identity.isIssuer else { throw .notIssuer }
        guard identity.certificate == certificate, let host = try? self.host() else { throw .failed }
        let transcript = hello.transcript(certificate: certificate)
        let guest = self.guest(hello, transcript, address)
        switch self.desk.hello(token: hello.token, mac: hello.mac, transcript: transcript, guest: guest?.guest, now: host.monotonicMilliseconds()) {
        case .refuse(let refusal): throw refusal
        case .wait:
            self.logger.notice("a box waits to be approved", metadata: ["box": "\(guest?.guest.box.description ?? "")"])
            return .wait(name: MemberRules.name(host.name), words: self.words)
        case .admit:
            guard let guest else { throw .malformed }
            return .welcome(try await self.admit(hello, guest.guest.box, guest.key, identity, host))
        }
    }

    /// Nil: the box did not prove that it has the keys it names, or is this one.
    private func guest(_ hello: PairingHello, _ transcript: [UInt8], _ address: String) -> (guest: PairingDesk.Guest, key: P256.Signing.PublicKey)? {
        guard let key = FederationCertificates.key(ofRequest: hello.request), let box = FederationCertificates.box(of: key), box != self.box,
            let logKey = try? Curve25519.Signing.PublicKey(rawRepresentation: hello.logKey), logKey.isValidSignature(hello.logProof, for: transcript)
        else { return nil }
        let words = FingerprintWords.text(publicKey: Array(key.derRepresentation))
        return (PairingDesk.Guest(box: box, name: MemberRules.name(hello.name), words: words, address: address), key)
    }

    private func admit(
        _ hello: PairingHello, _ box: BoxID, _ key: P256.Signing.PublicKey, _ identity: FederationIdentity, _ host: any MembershipHost
    ) async throws(PairingRefusal) -> PairingWelcome {
        do {
            let members = try await host.members()
            let stored = members.first { $0.box == box }
            guard stored?.standing != .removed else { throw PairingRefusal.removed }
            let active = members.filter { $0.standing == .active }
            guard stored != nil || active.count < Self.boxesMax else { throw PairingRefusal.full }
            var row = MemberEntry(
                box: box, name: MemberRules.name(hello.name), publicKey: Array(key.derRepresentation), logKey: hello.logKey, endpoints: hello.endpoints,
                isIssuer: false, version: 0)
            if let stored, stored.logKey == row.logKey, stored.endpoints == row.endpoints, stored.name == row.name {
                // It came before and its answer was lost: the same again.
                row = stored
            } else {
                let version = MemberRules.nextVersion(after: stored, milliseconds: host.federationMilliseconds())
                row.version = max(version, hello.rowVersion &+ 1)
                guard let signed = identity.signed(row), identity.isGood(signed) else { throw PairingRefusal.malformed }
                row = signed
                try await host.append(row)
                self.metrics.add(.pairings)
                self.logger.notice("a box joined the federation", metadata: ["box": "\(box)"])
            }
            guard let authorityKey = identity.authorityKey else { throw PairingRefusal.notIssuer }
            let certificate = try FederationCertificates.issue(for: key, authority: identity.authority, key: authorityKey)
            let own = active.filter { $0.box == self.box }
            let others = active.filter { $0.box != self.box && $0.box != box }
            return PairingWelcome(
                certificate: certificate, authority: identity.authority, members: [row] + own + others,
                federationMilliseconds: host.federationMilliseconds(), name: MemberRules.name(host.name))
        } catch let refusal as PairingRefusal {
            throw refusal
        } catch {
            self.logger.error("a box could not be let in", metadata: ["box": "\(box)", "error": "\(error)"])
            throw .failed
        }
    }
}
