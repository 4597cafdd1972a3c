import SkerryModel
import Testing

@Suite("Topic names and filters")
struct TopicFilterTests {
    @Test(
        "[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] a filter wants these topics",
        arguments: [
            ("a", "a"), ("a/b", "a/b"), ("/", "/"), ("/a", "/a"), ("a/", "a/"), ("a//b", "a//b"), ("A", "A"), ("a b", "a b"),
            ("+", "a"), ("+/b", "a/b"), ("a/+", "a/b"), ("a/+", "a/"), ("+/+", "/"), ("+/+", "/finance"), ("/+", "/finance"), ("a/+/c", "a//c"),
            ("a/+/c", "a/b/c"), ("+/b/+", "a/b/c"),
            ("#", "a"), ("#", "a/b/c"), ("#", "/"), ("a/#", "a"), ("a/#", "a/"), ("a/#", "a/b"), ("a/#", "a/b/c/d"), ("+/#", "a"), ("+/#", "a/b"),
            ("a/+/#", "a/b"), ("a/+/#", "a/b/c"), ("/#", "/"), ("/#", "/a"), ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("$SYS/#", "$SYS"), ("$SYS/#", "$SYS/a/b"), ("$SYS/+", "$SYS/a"), ("$SYS/a", "$SYS/a"), ("a/+", "a/$b"), ("a/#", "a/$b"),
            ("在/+", "在/吗"), ("$share/g/a/+", "a/b"), ("$share/g//a", "/a"), ("$share", "$share"), ("$shared/a/b", "$shared/a/b"),
        ])
    func matching(_ filter: String, _ topic: String) throws {
        #expect(try TopicFilter(filter).matches(TopicName(topic)))
    }

    @Test(
        "[MQTT-4.7.2-1] [MQTT-4.7.3-4] [MQTT311-4.7.2-1] [MQTT311-4.7.3-4] a valid filter does not want these topics",
        arguments: [
            ("a", "b"), ("a", "A"), ("a", "a/"), ("a", "/a"), ("a/b", "a"), ("a", "a/b"), ("a/", "a"), ("a/b", "a/bc"), ("a/bc", "a/b"),
            ("+", "a/b"), ("+", "/a"), ("/+", "a"), ("a/+", "a"), ("a/+", "a/b/c"), ("+/b", "a/c"), ("a/+/c", "a/c"), ("+/+", "a"),
            ("a/#", "ab"), ("a/#", "b/a"), ("a/#", "ab/c"), ("/#", "a"), ("a/+/#", "a"),
            // [MQTT-4.7.2-1]
            ("#", "$SYS"), ("#", "$SYS/a"), ("+", "$SYS"), ("+/a", "$SYS/a"), ("+/#", "$SYS/a"), ("$share/g/#", "$SYS/a"), ("$share/g/+", "$x"),
            ("$SYS/a/#", "$SYS"), ("SYS/#", "$SYS/a"),
            // The share name is no part of the topic.
            ("$share/g/a", "g/a"), ("$share/g/a", "$share/g/a"),
            // Byte by byte [MQTT-4.7.3-4]: composed and decomposed é are two topics.
            ("caf\u{E9}", "cafe\u{301}"), ("caf\u{E9}/+", "cafe\u{301}/a"),
        ])
    func notMatching(_ filter: String, _ topic: String) throws {
        #expect(try !TopicFilter(filter).matches(TopicName(topic)))
    }

    @Test(
        "[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2] what is no filter says why",
        arguments: [
            ("", TopicError.empty), ("a\u{0}", .nullCharacter), ("#/a", .misplacedWildcard), ("a/#/b", .misplacedWildcard), ("a#", .misplacedWildcard),
            ("##", .misplacedWildcard), ("a/b#", .misplacedWildcard), ("#a", .misplacedWildcard), ("a+", .misplacedWildcard), ("+a", .misplacedWildcard),
            ("++", .misplacedWildcard), ("a/+b/c", .misplacedWildcard), ("+#", .misplacedWildcard), ("$share/", .badShare), ("$share/g", .badShare),
            ("$share/g/", .badShare), ("$share//a", .badShare), ("$share/+/a", .badShare), ("$share/g#/a", .badShare), ("$share/g/a#", .misplacedWildcard),
            (String(repeating: "/", count: 201), .tooDeep), (String(repeating: "a", count: 65_536), .tooLong),
        ])
    func invalidFilters(_ text: String, _ error: TopicError) {
        #expect(throws: error) { try TopicFilter(text) }
    }

    @Test(
        "[MQTT-3.3.2-2] [MQTT-4.7.3-1] what is no topic name says why",
        arguments: [
            ("", TopicError.empty), ("a\u{0}b", .nullCharacter), ("+", .wildcardInName), ("a/#", .wildcardInName), ("a+b", .wildcardInName),
            (String(repeating: "/", count: 201), .tooDeep), (String(repeating: "a", count: 65_536), .tooLong),
        ])
    func invalidNames(_ text: String, _ error: TopicError) {
        #expect(throws: error) { try TopicName(text) }
        #expect(throws: error) { try Array(text.utf8).withUnsafeBytes { bytes throws(TopicError) in try TopicName(utf8: bytes) } }
    }

    @Test("[MQTT-1.5.4-1] bytes that are not UTF-8 are no topic")
    func notUTF8() {
        for bytes: [UInt8] in [[0xFF], [0xED, 0xA0, 0x80], [0xC0, 0x80], [0x61, 0xC3]] {
            #expect(throws: TopicError.notUTF8) { try bytes.withUnsafeBytes { bytes throws(TopicError) in try TopicName(utf8: bytes) } }
            #expect(throws: TopicError.notUTF8) { try bytes.withUnsafeBytes { bytes throws(TopicError) in try TopicFilter(utf8: bytes) } }
        }
    }

    @Test("the longest and the deepest topic are topics")
    func bounds() throws {
        #expect(try TopicName(String(repeating: "a", count: 65_535)).byteCount == 65_535)
        #expect(try TopicName(String(repeating: "/", count: 200)).levelCount == 201)
        #expect(try TopicFilter("$share/g/" + String(repeating: "/", count: 198)).levelCount == 199)
    }

    @Test("[MQTT-4.7.3-4] names and filters are equal when their bytes are")
    func equality() throws {
        let composed = "caf\u{E9}"
        let decomposed = "cafe\u{301}"
        #expect(composed == decomposed, "String thinks so; MQTT does not")
        #expect(try TopicName(composed) != TopicName(decomposed))
        #expect(try TopicFilter(composed) != TopicFilter(decomposed))
        #expect(try Set([TopicName(composed), TopicName(decomposed), TopicName(composed)]).count == 2)
        #expect(try TopicName("a/b").hashValue == TopicName("a/b").hashValue)
        #expect(try TopicFilter("$share/g/a") != TopicFilter("a"))
    }

    @Test("levels may be empty, and every one is given in order")
    func levels() throws {
        #expect(try TopicName("a//b/").levels.map(\.description) == ["a", "", "b", ""])
        #expect(try TopicName("/").levels.map(\.description) == ["", ""])
        #expect(try TopicFilter("$share/g/+/#").levels.map(\.description) == ["+", "#"])
        let depths = try ["a", "/", "a/b/c", "//"].map { try TopicName($0).levelCount }
        #expect(depths == [1, 2, 3, 3])
    }

    @Test("a shared filter is taken apart")
    func share() throws {
        let filter = try TopicFilter("$share/group 1/a/+")
        #expect(filter.shareGroup == "group 1")
        #expect(filter.filter == "a/+")
        #expect(filter.text == "$share/group 1/a/+")
        #expect(filter.levelCount == 2 && filter.hasWildcard && filter.isShared)
        #expect(try TopicFilter("a/b").shareGroup == nil)
    }

    @Test(
        "every topic that matches starts with the literal prefix",
        arguments: [("a/b", "a/b"), ("a/+/b", "a/"), ("a/#", "a"), ("a/b/#", "a/b"), ("#", ""), ("+", ""), ("+/a", ""), ("/#", ""), ("$share/g/a/+", "a/")])
    func prefix(_ filter: String, _ prefix: String) throws {
        #expect(try TopicFilter(filter).literalPrefix == prefix)
    }
}
