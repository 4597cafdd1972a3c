import TestKit
import Testing

@testable import Listeners

@Suite struct UTF8CheckTests {
    /// Bytes accepted before the first impossible one; nil when none is.
    private func firstBad(_ bytes: [UInt8]) -> Int? {
        var check = UTF8Check()
        for (index, byte) in bytes.enumerated() where !withUnsafeBytes(of: byte, { check.accept($0) }) { return index }
        return nil
    }

    static let impossibles: [([UInt8], Int)] = [
        ([0x80], 0), ([0xC0, 0x80], 0), ([0xC1], 0), ([0xC2, 0x41], 1), ([0xE0, 0x9F], 1), ([0xE0, 0xA0, 0x7F], 2), ([0xED, 0xA0, 0x80], 1),
        ([0xEF, 0xBF, 0xC0], 2),
        ([0xF0, 0x8F], 1), ([0xF4, 0x90, 0x80, 0x80], 1), ([0xF5], 0), ([0xFE], 0), ([0xFF], 0), ([0x61, 0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xF8], 8),
    ]

    @Test("an impossible byte is refused where it stands, not later", arguments: impossibles)
    func impossible(_ bytes: [UInt8], _ index: Int) {
        #expect(self.firstBad(bytes) == index)
    }

    @Test(
        "the borders of every length are accepted",
        arguments: ["\u{0}", "\u{7F}", "\u{80}", "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}"])
    func borders(_ text: String) {
        #expect(self.firstBad(Array(text.utf8)) == nil)
        var check = UTF8Check()
        #expect(Array(text.utf8).withUnsafeBytes { check.accept($0) })
        #expect(check.isComplete)
    }

    @Test("text that ends inside a character is not complete")
    func incomplete() {
        for text in ["ä", "在", "😀"] {
            for count in 1..<text.utf8.count {
                var check = UTF8Check()
                #expect(Array(text.utf8.prefix(count)).withUnsafeBytes { check.accept($0) })
                #expect(!check.isComplete)
            }
        }
    }

    @Test("random bytes are judged as the standard library judges them, whole or cut anywhere", arguments: [UInt64.random(in: 0...UInt64.max)])
    func random(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let alphabet: [UInt8] = [
            0x00, 0x41, 0x61, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5,
        ]
        for _ in 0..<5_000 {
            let isLong = random.chance(30)
            var bytes = isLong ? Array("a long run of plain ASCII in front of it".utf8) : []
            for _ in 0..<Int.random(in: 0...6, using: &random) { bytes.append(alphabet.randomElement(using: &random) ?? 0) }
            if random.chance(30) { bytes += Array("在吗 and a tail".utf8) }
            let isValid = String(validating: bytes, as: UTF8.self) != nil
            let cut = Int.random(in: 0...bytes.count, using: &random)
            var check = UTF8Check()
            let isAccepted = Array(bytes[..<cut]).withUnsafeBytes { check.accept($0) } && Array(bytes[cut...]).withUnsafeBytes { check.accept($0) }
            #expect((isAccepted && check.isComplete) == isValid, "seed \(seed), bytes \(bytes), cut at \(cut)")
        }
    }
}
