import SkerryModel
import Testing

@testable import Replication

@Suite struct PairingTokenTests {
    private static func sample(_ addresses: [String] = ["192.168.1.20:8884", "[fd00::1]:8884"]) throws -> PairingToken {
        PairingToken(
            authorityHash: (0..<16).map { UInt8($0) }, secret: (0..<16).map { UInt8(0xF0 + $0) },
            addresses: try addresses.map { try #require(PairingToken.Address($0)) }, expiresSeconds: 1_795_000_000)
    }

    /// Tokens are carried between versions: what one wrote, every later one reads.
    private static let golden =
        "040020g30g2gc1o81450m30d1o7v1sfiufqfbtnnv3svluvsvnvfu03avm3c00g4o2k02512mg8fq0000000000000000000000028lkm8i2np8"

    @Test("a token reads as it was written, and is written as it always was")
    func golden() throws {
        let token = try Self.sample()
        #expect(try PairingToken(token.description) == token)
        #expect(token.addresses.map(\.description) == ["192.168.1.20:8884", "[fd00::1]:8884"])
        #expect(token.description == Self.golden)
    }

    @Test("capitals, spaces, hyphens and line ends do not matter")
    func spelling() throws {
        let token = try Self.sample(["10.0.0.1:1"])
        let text = token.description
        let middle = text.index(text.startIndex, offsetBy: 20)
        #expect(try PairingToken(" \(text[..<middle].uppercased())-\n\(text[middle...])\r\n") == token)
    }

    @Test("every single mistyped, missing or doubled character is noticed, and said so")
    func mistyped() throws {
        let text = Array(try Self.sample().description)
        for index in text.indices {
            var wrong = text
            wrong[index] = wrong[index] == "7" ? "8" : "7"
            #expect(throws: PairingTokenError.self) { try PairingToken(String(wrong)) }
            wrong = text
            wrong.remove(at: index)
            #expect(throws: PairingTokenError.self) { try PairingToken(String(wrong)) }
            wrong = text
            wrong.insert(wrong[index], at: index)
            #expect(throws: PairingTokenError.self) { try PairingToken(String(wrong)) }
        }
    }

    @Test("what is no token is refused in words that say what to do")
    func words() throws {
        func message(_ text: String) -> String {
            do throws(PairingTokenError) {
                _ = try PairingToken(text)
                return ""
            } catch { return error.description }
        }
        #expect(message("").contains("skerry pair invite"))
        #expect(message("   \n").contains("skerry pair invite"))
        #expect(message("hello wörld").contains("letters and digits"))
        #expect(message("zzzz").contains("Copy it again"))
        #expect(message(String(repeating: "a", count: 100_000)).contains("too long"))
        #expect(message(String(Self.golden.dropLast(8))).contains("incomplete or mistyped"))
    }

    @Test("random bytes never make a token and never crash")
    func noise() {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SplitMix(seed)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<120, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            #expect(throws: PairingTokenError.self, "seed \(seed)") { try PairingToken(Base32.encode(bytes)) }
        }
    }

    @Test("an address is a literal with a port, and nothing else")
    func addresses() {
        #expect(PairingToken.Address("10.0.0.1:8884")?.packed == [10, 0, 0, 1])
        #expect(PairingToken.Address("[::1]:1")?.description == "[::1]:1")
        for text in ["", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "::1:1", "box.local:1", ":1", "[10.0.0.1:1", "10.0.0.1:-1"] {
            #expect(PairingToken.Address(text) == nil, "\(text)")
        }
    }
}

/// A small generator whose seed is printed when a test fails.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var word = self.state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
