import SkerryModel
import TestKit
import Testing

@testable import Account

@Suite("Passwords")
struct PasswordTests {
    private func hash(_ text: String, seed: UInt64 = 1) throws -> PasswordHash {
        var random = SeededRandom(seed: seed)
        return try PasswordHash(Password(new: text), cost: .weakest, using: &random)
    }

    @Test("A hash matches its own password and no other")
    func matches() throws {
        let hash = try hash("correct horse 电池")
        #expect(hash.matches(Password(offered: "correct horse 电池")))
        for wrong in ["", "correct horse", "Correct horse 电池", "correct horse 电池 ", String(repeating: "x", count: 5_000), "a\u{0}b"] {
            #expect(!hash.matches(Password(offered: wrong)))
        }
    }

    @Test("The same password hashes differently under another salt")
    func salted() throws {
        #expect(try hash("same password", seed: 1).encoded != hash("same password", seed: 2).encoded)
    }

    @Test("What is written can be read again")
    func roundTrip() throws {
        let hash = try hash("a good password")
        #expect(PasswordHash(encoded: hash.encoded) == hash)
        #expect(hash.encoded.hasPrefix("$scrypt$ln=10,r=8,p=1$"))
    }

    @Test(
        "A hash that was tampered with is refused before any work",
        arguments: [
            "", "$", "$$$$", "plain", "$scrypt$ln=31,r=8,p=1$A$B", "$scrypt$ln=9,r=8,p=1", "$argon2id$v=19$x$y$z",
            "$scrypt$ln=17,r=8,p=1$SALT$HASH", "$scrypt$ln=9,r=8,p=1$SALT$HASH", "$scrypt$ln=10,r=9,p=1$SALT$HASH", "$scrypt$ln=10,r=8,p=5$SALT$HASH",
            "$scrypt$ln=10,r=8,p=0$SALT$HASH", "$scrypt$ln=-10,r=8,p=1$SALT$HASH", "$scrypt$ln=10,r=8$SALT$HASH", "$scrypt$ln=10,r=8,p=1$SALT",
            "$scrypt$ln=10,r=8,p=1$SALT$HASH$", "$scrypt$ln=10,r=8,p=1$$HASH", "$scrypt$ln=10,r=8,p=1$SALT$", "x$scrypt$ln=10,r=8,p=1$SALT$HASH",
            "$scrypt$ln=99999999999999999999,r=8,p=1$SALT$HASH",
        ])
    func tampered(_ template: String) throws {
        let parts = try hash("a good password").encoded.split(separator: "$")
        let text = template.split(separator: "SALT", omittingEmptySubsequences: false).joined(separator: String(parts[2]))
            .split(separator: "HASH", omittingEmptySubsequences: false).joined(separator: String(parts[3]))
        #expect(PasswordHash(encoded: text) == nil)
        #expect(!PasswordHash.verify(Password(offered: "a good password"), against: text, cost: .weakest))
    }

    @Test("Nobody gets in where there is no user or no password")
    func unknownUser() {
        #expect(!PasswordHash.verify(Password(offered: "anything at all"), against: nil, cost: .weakest))
        #expect(!PasswordHash.verify(Password(offered: ""), against: "", cost: .weakest))
    }

    @Test("An older cost asks for a new hash")
    func rehash() throws {
        let hash = try hash("a good password")
        #expect(hash.needsRehash())
        #expect(!hash.needsRehash(for: .weakest))
    }

    @Test("The standard cost stays within 16 MiB, and works")
    func standard() throws {
        var random = SeededRandom(seed: 3)
        #expect(PasswordHash.Cost.standard.memoryBytes == 16 << 20)
        let hash = try PasswordHash(Password(new: "a good password"), using: &random)
        #expect(PasswordHash.verify(Password(offered: "a good password"), against: hash.encoded))
        #expect(!hash.needsRehash())
    }

    @Test("scrypt gives the bytes of RFC 7914")
    func vector() throws {
        // §12, third vector shortened to our 32 bytes: "pleaseletmein", "SodiumChloride", N = 16384, r = 8, p = 1.
        let cost = try #require(PasswordHash.Cost(logRounds: 14, repeats: 1))
        let hash = try PasswordHash(Password(offered: "pleaseletmein"), salt: Array("SodiumChloride".utf8), cost: cost)
        let bytes = try #require(hash.encoded.split(separator: "$").last.flatMap { Base32.decode($0) })
        #expect(bytes.prefix(8) == [0x70, 0x23, 0xBD, 0xCB, 0x3A, 0xFD, 0x73, 0x48])
    }

    @Test(
        "A chosen password has 8 to 256 characters of any script",
        arguments: [("1234567", false), ("12345678", true), ("密码密码密码密码", true), ("with\u{0}zero", false)])
    func chosen(_ text: String, _ isGood: Bool) {
        #expect(((try? Password(new: text)) != nil) == isGood)
    }

    @Test("A chosen password is bounded in characters and in bytes")
    func longest() throws {
        _ = try Password(new: String(repeating: "p", count: 256))
        #expect(throws: SkerryError.self) { _ = try Password(new: String(repeating: "p", count: 257)) }
        let manyScalars = "aaaaaaaa" + String(repeating: "\u{301}", count: 2_000)
        #expect(throws: SkerryError.self) { _ = try Password(new: manyScalars) }
    }

    @Test("Neither a password nor a token shows itself in an interpolation")
    func hidden() throws {
        var random = SeededRandom(seed: 4)
        let token = Token.random(.session, using: &random)
        #expect(!"\(try Password(new: "very secret"))".contains("secret"))
        #expect("\(token)" == "sk_…")
        #expect(!String(reflecting: token).contains(token.text.dropFirst(3)))
    }
}
