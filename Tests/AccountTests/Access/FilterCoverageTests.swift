import Account
import SkerryModel
import TestKit
import Testing

@Suite("Whether filters cover a filter")
struct FilterCoverageTests {
    private static func covers(_ filters: [String], _ wanted: String) throws -> Bool {
        FilterCoverage.covers(try filters.map { try TopicFilter($0) }, try TopicFilter(wanted))
    }

    @Test(
        "One filter covers another when it matches all that the other matches",
        arguments: [
            ("a", "a", true), ("a", "b", false), ("a", "a/b", false), ("a/b", "a", false), ("a", "a/", false), ("a/", "a/", true), ("a/", "a", false),
            ("#", "a", true), ("#", "a/b/c", true), ("#", "#", true), ("#", "+", true), ("#", "+/a", true), ("#", "/", true), ("#", "//", true),
            ("a/#", "a", true), ("a/#", "a/#", true), ("a/#", "a/+", true), ("a/#", "a/b/+/#", true), ("a/#", "#", false), ("a/#", "+/b", false),
            ("a/#", "ab", false), ("a/#", "ab/c", false), ("a/#", "A/b", false), ("a/#", "/a", false),
            ("+", "a", true), ("+", "+", true), ("+", "#", false), ("+", "a/b", false), ("+", "/", false), ("+/+", "/", true), ("+/+", "a/", true),
            ("+/#", "#", true), ("+/#", "+", true), ("+/+/#", "#", false), ("+/+/#", "/#", true), ("+/+/#", "//#", true), ("+/+/+/#", "//#", false),
            ("/+/#", "/#", true), ("+/+", "+/#", false), ("+/b", "a/b", true), ("+/b", "+/b", true), ("+/b", "+/+", false),
            ("a/+/c", "a/b/c", true), ("a/+/c", "a//c", true), ("a/+/c", "a/+/+", false), ("a/+/c", "a/#", false), ("a/+", "a/#", false), ("a/+", "a", false),
            ("a/+/#", "a/#", false), ("a/+/#", "a/+", true), ("a//b", "a//b", true), ("a//b", "a/+/b", false),
            // [MQTT-4.7.2-1]
            ("#", "$SYS", false), ("#", "$SYS/#", false), ("+/#", "$SYS/a", false), ("+", "$x", false), ("$SYS/#", "$SYS/a/b", true), ("$SYS/#", "#", false),
            ("$SYS/+", "$SYS/uptime", true), ("$SYS/#", "$SYS", true), ("a/#", "a/$SYS", true), ("a/+", "a/$x", true),
            // Bytes decide [MQTT-4.7.3-4]: é in two spellings.
            ("caf\u{e9}/#", "caf\u{e9}/x", true), ("caf\u{e9}/#", "cafe\u{301}/x", false), ("+", "🚣", true),
        ])
    func one(_ filter: String, _ wanted: String, _ isCovered: Bool) throws {
        #expect(try Self.covers([filter], wanted) == isCovered)
    }

    @Test("Several filters cover together what none of them covers alone")
    func together() throws {
        #expect(try Self.covers(["a", "a/+/#"], "a/#"))
        #expect(try Self.covers(["a", "a/+", "a/+/+/#"], "a/#"))
        #expect(try Self.covers(["+", "+/+/#"], "#"))
        #expect(try !Self.covers(["a", "a/+", "a/+/+"], "a/#"))
        #expect(try !Self.covers(["a/x", "a/y"], "a/+"), "any other text is not covered")
        #expect(try Self.covers(["a/x", "b/#", "a/y"], "a/y"))
        #expect(try !Self.covers([], "a"))
        #expect(try !Self.covers(["a", "a/+/#"], "$share/g/#"))
        #expect(try Self.covers(["a", "a/+/#"], "$share/g/a/#"), "a share name plays no part")
    }

    /// All levels of which topics and filters are tried here are from a small alphabet, with one text that no filter names.
    @Test("It agrees with trying every topic", arguments: 1...20)
    func exhaustive(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let texts = ["a", "b", "", "other"]
        var topics = texts.filter { !$0.isEmpty }
        for first in texts {
            for second in texts {
                topics.append("\(first)/\(second)")
                for third in texts {
                    topics.append("\(first)/\(second)/\(third)")
                    for fourth in texts { topics.append("\(first)/\(second)/\(third)/\(fourth)") }
                }
            }
        }
        let names = try topics.map { try TopicName($0) }
        func filter() throws -> TopicFilter {
            var levels = (0..<Int.random(in: 1...3, using: &random)).map { _ in random.pick(["a", "b", "", "+", "+"]) ?? "a" }
            if random.chance(40) { levels.append("#") }
            let text = levels.joined(separator: "/")
            return try TopicFilter(text.isEmpty ? "#" : text)
        }
        for _ in 0..<400 {
            let wanted = try filter()
            let filters = try (0..<Int.random(in: 1...5, using: &random)).map { _ in try filter() }
            let isCovered = names.allSatisfy { name in !wanted.matches(name) || filters.contains { $0.matches(name) } }
            #expect(FilterCoverage.covers(filters, wanted) == isCovered, "seed \(seed): \(filters.map(\.text)) cover \(wanted)")
        }
    }
}
