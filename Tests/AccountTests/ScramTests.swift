import SkerryModel
import TestKit
import Testing

@testable import Account

@Suite("SCRAM-SHA-256")
struct ScramTests {
    /// The example of RFC 7677 §3.
    static let clientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    static let serverNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    static let serverFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    static let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    static let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    static let serverFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

    static func verifier(_ password: String = "pencil") throws -> ScramVerifier {
        let salt = try #require(Base64.decode(Array("W22ZaJ0SNY7soEsUEjb6gQ==".utf8)))
        return try ScramVerifier(Password(offered: password), salt: salt, iterations: 4_096)
    }

    /// An exchange that has heard its challenge, with the nonce of the example.
    static func exchange(_ first: String = clientFirst, password: String = "pencil", isGenuine: Bool = true) throws -> ScramExchange {
        var exchange = try ScramExchange(Array(first.utf8))
        _ = exchange.challenge(try self.verifier(password), isGenuine: isGenuine, nonce: self.serverNonce)
        return exchange
    }

    private func refusal(_ body: () throws -> Void) -> Scram.Refusal? {
        do {
            try body()
            return nil
        } catch {
            return error as? Scram.Refusal
        }
    }

    @Test("the example of RFC 7677 comes out byte for byte, both ways")
    func example() throws {
        var exchange = try ScramExchange(Array(Self.clientFirst.utf8))
        #expect(exchange.name == "user")
        let challenge = exchange.challenge(try Self.verifier(), isGenuine: true, nonce: Self.serverNonce)
        #expect(String(decoding: challenge, as: UTF8.self) == Self.serverFirst)
        let answer = try exchange.finish(Array("c=biws,r=\(Self.nonce),p=\(Self.proof)".utf8))
        #expect(String(decoding: answer, as: UTF8.self) == Self.serverFinal)
    }

    @Test("a wrong password, a name without a verifier, and a proof with any one bit changed fail alike")
    func wrong() throws {
        let final = Array("c=biws,r=\(Self.nonce),p=\(Self.proof)".utf8)
        #expect(self.refusal { _ = try Self.exchange(password: "pencils").finish(final) } == .invalidProof)
        #expect(self.refusal { _ = try Self.exchange(isGenuine: false).finish(final) } == .invalidProof)
        let proof = try #require(Base64.decode(Array(Self.proof.utf8)))
        for bit in 0..<(8 * proof.count) {
            var changed = proof
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(self.refusal { _ = try Self.exchange().finish(Array("c=biws,r=\(Self.nonce),p=\(Base64.encode(changed))".utf8)) } == .invalidProof)
        }
    }

    @Test("the flag y and the client's own name as the identity to act for are accepted, and have to be repeated")
    func headers() throws {
        for (header, first) in [("y,,", "y,,n=user,r=abc"), ("n,a=user,", "n,a=user,n=user,r=abc"), ("n,a=USER,", "n,a=USER,n=user,r=abc")] {
            let exchange = try Self.exchange(first)
            let right = "c=\(Base64.encode(header.utf8)),r=abc\(Self.serverNonce),p=\(Self.proof)"
            // The proof is of another exchange; what is in front of it is judged before.
            #expect(self.refusal { _ = try exchange.finish(Array(right.utf8)) } == .invalidProof)
            let wrong = "c=biws,r=abc\(Self.serverNonce),p=\(Self.proof)"
            #expect(self.refusal { _ = try exchange.finish(Array(wrong.utf8)) } == .channelBindingsDontMatch)
        }
    }

    @Test("names come out of their escapes")
    func names() throws {
        #expect(try ScramExchange(Array("n,,n=a=2Cb=3Dc,r=x".utf8)).name == "a,b=c")
        #expect(try ScramExchange(Array("n,,n=zoé,r=x,x=later".utf8)).name == "zoé")
    }

    @Test(
        "a first message that is not one is refused by its reason",
        arguments: [
            ("", Scram.Refusal.invalidEncoding), ("n", .invalidEncoding), ("n,", .invalidEncoding), ("n,,", .invalidEncoding), ("n,,n=user", .invalidEncoding),
            ("n,,r=abc,n=user", .invalidEncoding), ("n,,n=,r=abc", .invalidEncoding), ("n,,n=user,r=", .invalidEncoding), ("n,,n=user,r=a b", .invalidEncoding),
            ("n,,n=user,r=é", .invalidEncoding), ("x,,n=user,r=abc", .invalidEncoding), (",,n=user,r=abc", .invalidEncoding),
            ("n,b=x,n=user,r=abc", .invalidEncoding),
            ("n,a=,n=user,r=abc", .invalidEncoding), ("n,user,n=user,r=abc", .invalidEncoding), ("n,,n=user,r=abc,", .invalidEncoding),
            ("n,,n=user,r=abc,x", .invalidEncoding), ("n,,n=user,r=abc,x=", .invalidEncoding), ("n,,n=user,r=abc,1=x", .invalidEncoding),
            ("n,,n=us\u{0}er,r=abc", .invalidEncoding), ("N,,n=user,r=abc", .invalidEncoding),
            ("p=tls-unique,,n=user,r=abc", .channelBindingNotSupported), ("p=,,n=user,r=abc", .channelBindingNotSupported),
            ("n,,m=ext,n=user,r=abc", .extensionsNotSupported), ("n,,n=user,r=abc,m=ext", .extensionsNotSupported),
            ("n,,n=us=er,r=abc", .invalidUserName), ("n,,n=user=,r=abc", .invalidUserName), ("n,,n=user=2,r=abc", .invalidUserName),
            ("n,,n=user=2c,r=abc", .invalidUserName), ("n,,n=user=41,r=abc", .invalidUserName), ("n,a=root,n=user,r=abc", .other),
        ])
    func malformedFirst(_ message: String, _ reason: Scram.Refusal) {
        #expect(self.refusal { _ = try ScramExchange(Array(message.utf8)) } == reason)
    }

    @Test(
        "a final message that is not one is refused by its reason",
        arguments: [
            ("", Scram.Refusal.invalidEncoding), ("c=biws", .invalidEncoding), ("c=biws,r=NONCE", .invalidEncoding),
            ("r=NONCE,c=biws,p=PROOF", .invalidEncoding),
            ("c=biws,p=PROOF,r=NONCE", .invalidEncoding), ("c=biws,r=NONCE,p=", .invalidEncoding), ("c=biws,r=NONCE,p=PROOF,", .invalidEncoding),
            ("c=biws,r=NONCE,p=!!!!", .invalidEncoding), ("c=biw,r=NONCE,p=PROOF", .invalidEncoding), ("c=,r=NONCE,p=PROOF", .invalidEncoding),
            ("c=biws,r=,p=PROOF", .invalidEncoding), ("c=biws,r=NONCE,x,p=PROOF", .invalidEncoding), ("c=biws,r=NONCE,m=x,p=PROOF", .extensionsNotSupported),
            ("c=eSws,r=NONCE,p=PROOF", .channelBindingsDontMatch), ("c=biws,r=NONCEx,p=PROOF", .other), ("c=biws,r=rOprNGfwEbeRWgbNEkqO,p=PROOF", .other),
            ("c=biws,r=NONCE,p=AAAA", .invalidProof), ("c=biws,r=NONCE,x=y,p=PROOF", .invalidProof),
        ])
    func malformedFinal(_ template: String, _ reason: Scram.Refusal) throws {
        let message = template.split(separator: "NONCE", omittingEmptySubsequences: false).joined(separator: Self.nonce)
            .split(separator: "PROOF", omittingEmptySubsequences: false).joined(separator: Self.proof)
        let exchange = try Self.exchange()
        #expect(self.refusal { _ = try exchange.finish(Array(message.utf8)) } == reason)
    }

    @Test("a message at its bound is read, one byte more is refused; so is bad UTF-8, and a final message that nothing was asked for")
    func bounds() throws {
        let head = "n,,n=user,r=abc,x="
        let longest = head + String(repeating: "y", count: Scram.messageBytesMax - head.utf8.count)
        #expect(self.refusal { _ = try ScramExchange(Array(longest.utf8)) } == nil)
        #expect(self.refusal { _ = try ScramExchange(Array((longest + "y").utf8)) } == .invalidEncoding)
        #expect(self.refusal { _ = try ScramExchange(Array("n,,n=user,r=\(String(repeating: "r", count: Scram.nonceBytesMax + 1))".utf8)) } == .invalidEncoding)
        #expect(self.refusal { _ = try ScramExchange(Array("n,,n=us".utf8) + [0xC3] + Array(",r=abc".utf8)) } == .invalidEncoding)
        #expect(self.refusal { _ = try ScramExchange(Array(Self.clientFirst.utf8)).finish(Array("c=biws,r=\(Self.nonce),p=\(Self.proof)".utf8)) } == .other)
    }

    @Test("no mutation of either message crashes or gets in", .timeLimit(.minutes(1)))
    func mutated() throws {
        let seed = UInt64.random(in: 0...(.max))
        var random = SeededRandom(seed: seed)
        let final = Array("c=biws,r=\(Self.nonce),p=\(Self.proof)".utf8)
        let exchange = try Self.exchange()
        for _ in 0..<20_000 {
            var (first, last) = (Array(Self.clientFirst.utf8), final)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                first[Int.random(in: first.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
                last[Int.random(in: last.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try? ScramExchange(first)
            guard last != final else { continue }
            #expect((try? exchange.finish(last)) == nil, "seed \(seed): \(last)")
        }
    }

    // MARK: - What is kept

    @Test("a verifier is written and read again; nothing else is read")
    func encoding() throws {
        let verifier = try Self.verifier()
        #expect(ScramVerifier(encoded: verifier.encoded) == verifier)
        #expect(verifier.encoded.hasPrefix("SCRAM-SHA-256$4096$"))
        let parts = verifier.encoded.split(separator: "$").map(String.init)
        for (index, wrong) in [(0, "SCRAM-SHA-1"), (1, "4095"), (1, "1000001"), (1, "x"), (2, "00"), (2, ""), (3, "00"), (4, "00"), (4, parts[4] + "$")] {
            var changed = parts
            changed[index] = wrong
            #expect(ScramVerifier(encoded: changed.joined(separator: "$")) == nil, "\(changed)")
        }
        #expect(ScramVerifier(encoded: "") == nil)
    }

    @Test("a password that says the same in other characters has the same verifier; another one has another")
    func prepared() throws {
        let cases = [("caf\u{E9} au lait", "cafe\u{301} au lait"), ("two words", "two words"), ("zwei\u{A0}Wörter", "zwei Wörter"), ("全\u{3000}角", "全 角")]
        for (left, right) in cases { #expect(try Self.verifier(left) == Self.verifier(right), "\(left)") }
        #expect(try Self.verifier("café") != Self.verifier("cafe"))
        #expect(try Self.verifier("Pencil") != Self.verifier("pencil"))
    }

    @Test("an unknown name always hears the same salt, under another secret or name another; it looks like a real one")
    func unknown() throws {
        let secret = [UInt8](repeating: 7, count: 32)
        let fake = ScramVerifier(unknown: "bob", secret: secret)
        #expect(fake == ScramVerifier(unknown: "bob", secret: secret))
        #expect(fake.salt != ScramVerifier(unknown: "eve", secret: secret).salt)
        #expect(fake.salt != ScramVerifier(unknown: "bob", secret: [UInt8](repeating: 8, count: 32)).salt)
        var random = SeededRandom(seed: 3)
        let real = try ScramVerifier(Password(new: "correct horse"), using: &random)
        #expect(fake.iterations == real.iterations)
        #expect(fake.salt.count == real.salt.count)
    }

    @Test("base 64 has one spelling, and the padding is part of it")
    func base64() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYmE=", "fooba"), ("Zm9vYmFy", "foobar")] {
            #expect(Base64.encode(bytes.utf8) == text)
            #expect(Base64.decode(Array(text.utf8)) == Array(bytes.utf8))
        }
        #expect(Base64.decode(Array("+/A=".utf8)) == [0xFB, 0xF0])
        for wrong in ["Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "=m9v", "Zm=v", "Zm9v\n", "Zm-_", "Zg==Zg=="] {
            #expect(Base64.decode(Array(wrong.utf8)) == nil, "\(wrong)")
        }
    }
}
