import SkerryModel
import TestKit
import Testing

@testable import Account

@Suite("Tokens and ids")
struct TokenTests {
    @Test("A token reads back as itself, under its own kind only", arguments: Token.Kind.allCases)
    func roundTrip(_ kind: Token.Kind) throws {
        var random = SeededRandom(seed: 7)
        let token = Token.random(kind, using: &random)
        #expect(token.text.utf8.count == Token.characterCount)
        #expect(token.text.hasPrefix(kind.rawValue))
        #expect(Token(text: token.text) == token)
        for other in Token.Kind.allCases { #expect((Token(text: token.text, kind: other) != nil) == (other == kind)) }
        #expect(token.hash.count == 32)
    }

    @Test("Two tokens differ, and so do their hashes; kinds never share a hash")
    func different() {
        var random = SeededRandom(seed: 8)
        let tokens = (0..<100).map { _ in Token.random(.session, using: &random) }
        #expect(Set(tokens.map(\.text)).count == 100)
        var (one, two) = (SeededRandom(seed: 9), SeededRandom(seed: 9))
        #expect(Token.random(.invite, using: &one).hash != Token.random(.reset, using: &two).hash)
    }

    @Test("What cannot be a token is none")
    func malformed() {
        var random = SeededRandom(seed: 10)
        let text = Token.random(.session, using: &random).text
        let wrong = [
            "", "sk_", String(text.dropLast()), text + "0", "sx_" + text.dropFirst(3), text.uppercased(), text.replacingFirst("sk_", "sk-"),
            " " + text.dropLast(),
        ]
        for text in wrong { #expect(Token(text: text) == nil) }
    }

    @Test("Ids are random and read back")
    func ids() {
        var random = SeededRandom(seed: 11)
        let ids = (0..<100).map { _ in UserID.random(using: &random) }
        #expect(Set(ids).count == 100)
        for id in ids { #expect(UserID(text: id.description) == id) }
    }

    static let user = UserRecord(
        id: UserID(Bytes16(high: 1, low: 1)), name: "ann", nameKey: "ann", display: "Ann", role: .user, isLocked: false, passwordHash: "",
        createdMilliseconds: 0, stamp: .zeroForTests)

    static func device(_ change: (inout DeviceRecord) -> Void = { _ in }) -> DeviceRecord {
        var record = DeviceRecord(
            id: DeviceID(Bytes16(high: 2, low: 2)), user: Self.user.id, tokenHash: [], name: "d", createdMilliseconds: 0, expiresMilliseconds: 1_000,
            isRevoked: false, stamp: .zeroForTests)
        change(&record)
        return record
    }

    @Test("A token opens the door until it expires")
    func expiry() throws {
        #expect(try SessionRules.check(device: Self.device(), user: Self.user, now: 999).user.name == "ann")
        #expect(throws: SkerryError(.tokenExpired, "This sign-in has expired; sign in again.")) {
            _ = try SessionRules.check(device: Self.device(), user: Self.user, now: 1_000)
        }
        #expect(SessionRules.expiry(now: 5, limits: Limits()) == 5 + 90 * 86_400_000)
        #expect(SessionRules.expiry(now: .max, limits: Limits()) == .max)
    }

    @Test("Unknown, revoked and stolen tokens are answered alike")
    func alike() {
        let other = Self.device { $0.user = UserID(Bytes16(high: 9, low: 9)) }
        let cases: [(DeviceRecord?, UserRecord?)] = [
            (nil, nil), (nil, Self.user), (Self.device(), nil), (Self.device { $0.isRevoked = true }, Self.user), (other, Self.user),
        ]
        let answers = cases.map { device, user -> SkerryError? in
            do throws(SkerryError) { _ = try SessionRules.check(device: device, user: user, now: 0) } catch { return error }
            return nil
        }
        #expect(Set(answers.map { $0?.code }) == [.unauthenticated])
        #expect(Set(answers.map { $0?.detail }).count == 1)
    }

    @Test("A locked account is refused although the token is right")
    func locked() {
        var user = Self.user
        user.isLocked = true
        #expect(throws: SessionRules.locked) { _ = try SessionRules.check(device: Self.device(), user: user, now: 0) }
    }

    @Test("The last administrator can be neither locked nor demoted")
    func lastAdministrator() throws {
        var admin = Self.user
        admin.role = .admin
        #expect(throws: SkerryError.self) { try RoleRules.checkLock(admin, administrators: 1) }
        #expect(throws: SkerryError.self) { try RoleRules.checkRole(.user, for: admin, administrators: 1) }
        try RoleRules.checkRole(.admin, for: admin, administrators: 1)
        try RoleRules.checkLock(admin, administrators: 2)
        try RoleRules.checkLock(Self.user, administrators: 1)
        #expect(throws: SkerryError.self) { try RoleRules.requireAdministrator(Self.user) }
        try RoleRules.requireAdministrator(admin)
    }
}

extension String {
    fileprivate func replacingFirst(_ prefix: String, _ other: String) -> String { other + self.dropFirst(prefix.count) }
}
