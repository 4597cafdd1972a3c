import Crypto
import Logging
import NIOCore
import Replication
package import SkerryModel
package import SkerryNode

/// The side of the box that wants to come in.
extension MembershipService {
    package func join(token text: String) async throws(SkerryError) -> PairingProgress {
        let host = try self.host()
        let token: PairingToken
        do throws(PairingTokenError) { token = try PairingToken(text) } catch {
            throw SkerryError(.payloadInvalid, error.description, field: "token")
        }
        if case .connecting = self.joining { throw Self.busyJoining }
        if case .waiting = self.joining { throw Self.busyJoining }
        let before = self.joining
        self.joining = .connecting
        do throws(SkerryError) {
            try await self.checkFree(token, host)
        } catch {
            self.become(before)
            throw error
        }
        self.isPatienceOver = false
        self.joiner = Task { await self.run(token, host) }
        let patience = self.timing.answerMilliseconds
        let alarm = Task {
            guard (try? await Task.sleep(for: .milliseconds(patience))) != nil else { return }
            self.wake()
        }
        while case .connecting = self.joining, !self.isPatienceOver { await withCheckedContinuation { self.listeners.append($0) } }
        alarm.cancel()
        if case .failed(let error) = self.joining { throw error }
        return self.joining
    }

    package func progress() async -> PairingProgress { self.joining }

    /// Whether this box may join: it is of no federation, or of one where it is and always was alone.
    private func checkFree(_ token: PairingToken, _ host: any MembershipHost) async throws(SkerryError) {
        guard let identity = self.identity else { return }
        if FederationCertificates.hash(of: identity.authorityPublicKey) == token.authorityHash {
            throw SkerryError(.conflict, "This box is in that federation already.")
        }
        let others = try await host.members().filter { $0.box != self.box }
        guard others.isEmpty else {
            throw SkerryError(
                .conflict,
                """
                This box is in another federation already, and what other boxes wrote there cannot come along. To move it, remove it there \
                (`skerry boxes remove`) and start it with a new data directory; then join with that.
                """)
        }
    }

    private func wake() {
        self.isPatienceOver = true
        self.tellListeners()
    }

    private func tellListeners() {
        for listener in self.listeners { listener.resume() }
        self.listeners = []
    }

    private func become(_ progress: PairingProgress) {
        guard self.joining != progress else { return }
        self.joining = progress
        self.tellListeners()
    }

    // MARK: - The attempt

    private func run(_ token: PairingToken, _ host: any MembershipHost) async {
        do throws(SkerryError) {
            let logKey = Curve25519.Signing.PrivateKey()
            let (welcome, name) = try await self.ask(token, logKey, host)
            try await self.enter(welcome, token, logKey, host)
            self.logger.notice("this box joined a federation", metadata: ["federation": "\(self.federation?.description ?? "")"])
            self.become(.joined(name: name))
        } catch {
            self.logger.notice("this box could not join", metadata: ["reason": "\(error.detail)"])
            self.become(.failed(error))
        }
        self.joiner = nil
    }

    /// Asks, and asks again while an administrator of the other box has to decide.
    private func ask(
        _ token: PairingToken, _ logKey: Curve25519.Signing.PrivateKey, _ host: any MembershipHost
    ) async throws(SkerryError) -> (PairingWelcome, String) {
        let rowVersion = try await host.members().first { $0.box == self.box }?.version ?? 0
        let secret = PairingSecret(token.secret)
        let request: [UInt8]
        do { request = try FederationCertificates.request(key: self.boxKey) } catch {
            throw SkerryError(.unavailable, "The request for a certificate could not be made: \(error).")
        }
        let hello = PairingHello(
            token: secret.id, request: request, logKey: Array(logKey.publicKey.rawRepresentation), name: MemberRules.name(host.name),
            endpoints: Self.endpoints(host), software: String(self.software.prefix(PairingHello.versionBytesMax)),
            nonce: self.random.bytes(PairingHello.nonceBytes), rowVersion: rowVersion)
        let give: @Sendable ([UInt8]) -> PairingHello? = { certificate in
            var hello = hello
            let transcript = hello.transcript(certificate: certificate)
            guard let proof = try? logKey.signature(for: transcript) else { return nil }
            hello.logProof = Array(proof)
            hello.mac = secret.mac(transcript)
            return hello
        }
        let end = host.monotonicMilliseconds() + self.timing.patienceMilliseconds
        var failures = 0
        while true {
            let pause: UInt64
            do throws(PairingFailure) {
                switch try await PairingClient(authorityHash: token.authorityHash, hello: give).ask(token.addresses) {
                case .welcome(let welcome): return (welcome, welcome.name)
                case .wait(let name, let words):
                    self.become(.waiting(name: name, words: words))
                    failures = 0
                    pause = self.timing.pollMilliseconds
                case .refusal(let refusal):
                    // Somebody else's moment, not a decision.
                    guard refusal == .busy || refusal == .failed, failures + 1 < self.timing.dials else { throw PairingFailure(refusal.error) }
                    failures += 1
                    pause = self.timing.redialMilliseconds
                case .hello: throw PairingFailure(PairingRefusal.malformed.error)
                }
            } catch {
                failures += 1
                var isWaiting = false
                if case .waiting = self.joining { isWaiting = true }
                guard error.isTemporary, isWaiting || failures < self.timing.dials else { throw error.error }
                pause = self.timing.redialMilliseconds
            }
            guard host.monotonicMilliseconds() + pause < end else {
                throw SkerryError(.unavailable, "No administrator of the other box approved in time. Make a new token there.")
            }
            do { try await Task.sleep(for: .milliseconds(pause)) } catch { throw SkerryError(.unavailable, "The box is stopping.") }
        }
    }

    /// Checks everything that was given, keeps it, and is of the federation.
    private func enter(
        _ welcome: PairingWelcome, _ token: PairingToken, _ logKey: Curve25519.Signing.PrivateKey, _ host: any MembershipHost
    ) async throws(SkerryError) {
        let identity: FederationIdentity
        do throws(FederationIdentityError) {
            identity = try FederationIdentity(
                certificate: welcome.certificate, authority: welcome.authority, boxKey: self.boxKey.publicKey, authorityKey: nil, logKey: logKey)
        } catch {
            throw SkerryError(.forbidden, "What the other box gave cannot be used: \(error.description)")
        }
        guard FederationCertificates.hash(of: identity.authorityPublicKey) == token.authorityHash else {
            throw SkerryError(.forbidden, "The other box is of another federation than the token. Make a new token, and ask who is in between.")
        }
        let rows = welcome.members.filter { identity.isGood($0) }
        guard rows.contains(where: { $0.box == self.box && $0.standing == .active && $0.logKey == identity.logKey }),
            rows.contains(where: { $0.box != self.box && $0.standing == .active })
        else { throw SkerryError(.unavailable, "The other box did not give a member list that holds both boxes. Bring both to the same version of Skerry.") }
        do throws(FederationIdentityError) {
            try self.storeRows(rows)
            try identity.store(directory: self.directory)
        } catch {
            throw SkerryError(.unavailable, error.description)
        }
        self.become(identity)
        try await host.adopt(identity, members: rows)
        self.forgetStoredRows()
    }

    // MARK: - Rows on their way into the store

    /// The rows that came with the certificate, until the store has them: a box that stops in between must still know whom to talk to.
    private static let rowsName = "fed-welcome"

    private func storeRows(_ rows: [MemberEntry]) throws(FederationIdentityError) {
        let message = PairingMessage.welcome(
            PairingWelcome(certificate: [], authority: [], members: rows, federationMilliseconds: 0, name: ""))
        try FederationFiles(directory: self.directory).write(Self.rowsName, message.bytes)
    }

    func storedRows(of identity: FederationIdentity) -> [MemberEntry] {
        guard let bytes = try? FederationFiles(directory: self.directory).read(Self.rowsName), let message = try? PairingMessage(bytes),
            case .welcome(let welcome) = message
        else { return [] }
        return welcome.members.filter { identity.isGood($0) }
    }

    func forgetStoredRows() { try? FederationFiles(directory: self.directory).remove(Self.rowsName) }
}
