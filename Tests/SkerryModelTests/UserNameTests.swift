import SkerryModel
import Testing

@Suite("User names")
struct UserNameTests {
    @Test(
        "Letters and digits of any script are names",
        arguments: [
            "a", "Bob", "zoé", "张三", "мария", "สมชาย", "देवी", "x-y_z.9", "٣", String(repeating: "a", count: 32), "ñandú", "Å",
        ])
    func valid(_ text: String) throws {
        let name = try UserName(text)
        #expect(name.text == text)
        #expect(try UserName(name.key).key == name.key)
    }

    @Test(
        "Anything else is not",
        arguments: [
            "", " ", "a b", "a@b", "a/b", "a\u{0}", "a\n", "🚣", "a+", "#a", "a\u{200B}b", "a\u{202E}b", "ｗｉｄｅ", "ﬁsh", "²", "Ⅳ", "\u{FEFF}a", "a\u{AD}b",
            String(repeating: "a", count: 33), "%", "a'b",
        ])
    func invalid(_ text: String) {
        let error = #expect(throws: SkerryError.self) { try UserName(text) }
        #expect(error?.code == .payloadInvalid)
        #expect(error?.field == "name")
    }

    @Test(
        "Two spellings of one name have one key",
        arguments: [
            ("Bob", "bOB"), ("Zo\u{e9}", "zoe\u{301}"), ("\u{c5}sa", "a\u{30a}sa"), ("\u{212B}sa", "\u{e5}sa"), ("\u{1E69}", "s\u{323}\u{307}"),
        ])
    func keys(_ one: String, _ other: String) throws {
        #expect(Array(UserName.key(of: one).utf8) == Array(UserName.key(of: other).utf8))
        if let first = try? UserName(one), let second = try? UserName(other) { #expect(Array(first.key.utf8) == Array(second.key.utf8)) }
    }

    @Test("A pile of accents on one letter is no name")
    func piles() { #expect(throws: SkerryError.self) { try UserName("a" + String(repeating: "\u{308}\u{304}", count: 80)) } }

    @Test("Names that differ have keys that differ", arguments: [("bob", "b0b"), ("zoé", "zoe"), ("a.b", "a-b"), ("ı", "i")])
    func different(_ one: String, _ other: String) { #expect(UserName.key(of: one) != UserName.key(of: other)) }
}
