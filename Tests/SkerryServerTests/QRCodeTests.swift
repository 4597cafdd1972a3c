import Testing

@testable import SkerryServer

@Suite("QR code")
struct QRCodeTests {
    /// Compared module by module with an encoder of other people, for this text and for lengths up to every version's capacity.
    private static let skerry = [
        "#######..#..#.#######",
        "#.....#.#.##..#.....#",
        "#.###.#...##..#.###.#",
        "#.###.#..##.#.#.###.#",
        "#.###.#.#####.#.###.#",
        "#.....#..#.#..#.....#",
        "#######.#.#.#.#######",
        ".........##..........",
        "#.#.#.#.....#...#..#.",
        ".#.#...#####.#.#.###.",
        "##.#.##...##.###.#.##",
        ".###.#...#####.##...#",
        "..##.##.##.#.###..#.#",
        "........#.....##.....",
        "#######...#.#...#####",
        "#.....#...#...#....##",
        "#.###.#.##..#.#..####",
        "#.###.#...##.#...#.#.",
        "#.###.#.##.#.####...#",
        "#.....#..#####.##..#.",
        "#######.#.##.##.#####",
    ]

    @Test("a short text has the modules of the standard")
    func golden() throws {
        let code = try #require(QRCode("SKERRY"))
        #expect(code.size == 21)
        let rows = (0..<code.size).map { y in String((0..<code.size).map { x in code[x, y] ? "#" as Character : "." }) }
        #expect(rows == Self.skerry)
    }

    @Test("each version takes exactly its capacity", arguments: zip(1...13, [14, 26, 42, 62, 84, 106, 122, 152, 180, 213, 251, 287, 331]))
    func capacity(version: Int, bytes: Int) throws {
        #expect(QRCode(String(repeating: "a", count: bytes))?.size == 17 + 4 * version)
        if version < 13 { #expect(QRCode(String(repeating: "a", count: bytes + 1))?.size == 17 + 4 * (version + 1)) }
    }

    @Test("a text that is too long has no code")
    func tooLong() { #expect(QRCode(String(repeating: "a", count: 332)) == nil) }

    @Test("the terminal shows the code with its margin, two rows a line")
    func terminal() throws {
        let code = try #require(QRCode("SKERRY"))
        let lines = code.terminalText.split(separator: "\n")
        #expect(lines.count == 13)
        #expect(lines.allSatisfy { $0.count == 25 })
        #expect(lines[0].allSatisfy { $0 == "█" })
    }
}
