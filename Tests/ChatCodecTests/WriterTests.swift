import ChatCodec
import NIOCore
import SkerryModel
import TestKit
import Testing

@Suite("What the box writes")
struct WriterTests {
    static func text(_ body: (inout JSONWriter) -> Void) -> String { String(buffer: JSONWriter.make(body)) }

    @Test("Commas and nesting come out right")
    func nesting() {
        let text = Self.text {
            $0.field("a", "x")
            $0.object("o") { _ in }
            $0.array("e", [Int]()) { $0.number($1) }
            $0.array("n", [1, 2, 3]) { $0.number($1) }
            $0.array("l", [[1], []]) { json, inner in json.array(inner) { $0.number($1) } }
            $0.array("oo", ["p", "q"]) { json, name in json.object { $0.field("name", name) } }
            $0.field("none", String?.none)
            $0.field("b", true)
            $0.raw("r", ByteBuffer(string: "{\"x\":1}"))
            $0.field("i", Int.min)
        }
        #expect(text == #"{"a":"x","o":{},"e":[],"n":[1,2,3],"l":[[1],[]],"oo":[{"name":"p"},{"name":"q"}],"b":true,"r":{"x":1},"i":-9223372036854775808}"#)
    }

    @Test("Every character that must be escaped is, and comes back")
    func escapes() {
        let written = Self.text { $0.field("a", "\"\\\n\r\t\u{0}\u{1f}/é🚣\u{7f}\u{2028}") }
        #expect(written == "{\"a\":\"\\\"\\\\\\n\\r\\t\\u0000\\u001f/é🚣\u{7f}\u{2028}\"}")
        for value in 0..<0x300 {
            guard let scalar = Unicode.Scalar(UInt32(value)) else { continue }
            let string = "<\(scalar)>"
            #expect(JSON(Self.text { $0.field("a", string) })?["a"]?.text == string)
        }
    }

    @Test("Any text comes back through another reader", arguments: 1...10)
    func roundTrip(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            var string = ""
            for _ in 0..<Int.random(in: 0...30, using: &random) {
                let top: UInt32 = [0x7F, 0x7FF, 0xFFFF, 0x10FFFF].randomElement(using: &random) ?? 0x7F
                if let scalar = Unicode.Scalar(UInt32.random(in: 0...top, using: &random)) { string.unicodeScalars.append(scalar) }
            }
            let found = JSON(Self.text { $0.array("a", [string, string]) { $0.string($1) } })?["a"]?[1]?.text
            #expect(found.map { Array($0.utf8) } == Array(string.utf8), "seed \(seed)")
        }
    }

    @Test(
        "Numbers are JSON, whatever they are",
        arguments: [0, -0.0, 1.5, -10.75, 1e-9, 1e300, 123456789.125, 180, .greatestFiniteMagnitude, .leastNonzeroMagnitude])
    func numbers(_ number: Double) { #expect(JSON(Self.text { $0.field("a", number) })?["a"]?.number == number) }

    @Test("What is no number is null", arguments: [Double.nan, .infinity, -.infinity])
    func noNumber(_ number: Double) { #expect(JSON(Self.text { $0.field("a", number) })?["a"] == .null) }

    @Test(
        "Times are RFC 3339 in UTC with milliseconds",
        arguments: [
            (UInt64(0), "1970-01-01T00:00:00.000Z"), (999, "1970-01-01T00:00:00.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"), (951_868_800_000, "2000-03-01T00:00:00.000Z"), (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"), (1_735_689_599_999, "2024-12-31T23:59:59.999Z"), (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ])
    func times(_ milliseconds: UInt64, _ text: String) { #expect(Timestamp.text(milliseconds) == text) }

    @Test("A time beyond the year 9999 is still a time")
    func farTimes() {
        for milliseconds: UInt64 in [253_402_300_800_000, (1 << 48) - 1, .max] {
            #expect(Timestamp.text(milliseconds).hasPrefix("9999-12-31T") && Timestamp.text(milliseconds).utf8.count == 24)
        }
    }

    @Test(
        "A message shows the fields of its kind, and its cid only to its sender",
        arguments: [
            (MessageContent.text("x"), "text", ["text"]), (.emoji("🚣"), "emoji", ["text"]),
            (.location(latitude: 1, longitude: -2, label: "pier", accuracyMeters: 3), "location", ["lat", "lon", "label", "accuracy"]),
            (.location(latitude: 1, longitude: -2, label: nil, accuracyMeters: nil), "location", ["lat", "lon"]),
            (.custom(type: "app/x", data: ""), "custom", ["type", "data"]),
            (.media(MediaContent(kind: .voice, hash: [1], sizeBytes: .max, type: "audio/ogg")), "voice", ["media"]),
        ])
    func messages(_ content: MessageContent, _ kind: String, _ fields: [String]) throws {
        let message = MessageView(
            id: Sample.message(1), conversation: Sample.conversation(1), order: Sample.order(1_000), sender: Sample.user(1), cid: "c", content: content,
            replyTo: Sample.message(2))
        let own = try #require(JSON(Self.text { message.write(to: &$0, viewer: Sample.user(1)) }))
        let theirs = try #require(JSON(Self.text { message.write(to: &$0, viewer: Sample.user(2)) }))
        let common: Set = ["conv", "mid", "order", "ts", "from", "kind", "replyTo"]
        #expect(own.keys == common.union(fields).union(["cid"]))
        #expect(theirs.keys == common.union(fields))
        #expect(own["kind"]?.text == kind)
        #expect(own["ts"]?.text == "1970-01-01T00:00:01.000Z")
        var recalled = message
        recalled.isRecalled = true
        recalled.reactions = [("👍", [Sample.user(3)])]
        let gone = try #require(JSON(Self.text { recalled.write(to: &$0, viewer: nil) }))
        #expect(gone.keys == ["conv", "mid", "order", "ts", "from", "kind", "recalled", "reactions"])
    }

    @Test("Replies, errors and pushes have their envelope")
    func frames() throws {
        #expect(String(buffer: ChatFrame.reply(id: 3, ByteBuffer(string: "{}"))) == #"{"id":3,"d":{}}"#)
        #expect(String(buffer: ChatFrame.reply(id: nil, ByteBuffer(string: "{}"))) == #"{"d":{}}"#)
        #expect(String(buffer: ChatFrame.push("ping") { _ in }) == #"{"t":"ping","d":{}}"#)
        let push = try #require(
            JSON(bytes: ChatFrame.push("change", cursor: "c") { ChangeView.left(Sample.conversation(1)).write(to: &$0, viewer: nil) }.readableBytesView))
        #expect(push["cursor"]?.text == "c")
        #expect(push["d"]?["kind"]?.text == "left")
        let error = SkerryError(.rateLimited, "Slow \"down\".", field: "cid", retryAfterSeconds: 2)
        let frame = try #require(JSON(bytes: ChatFrame.error(id: 7, error).readableBytesView))
        #expect(frame["id"]?.number == 7)
        let problem = try #require(frame["error"])
        #expect(problem["code"]?.text == "rate_limited")
        #expect(problem["status"]?.number == 429)
        #expect(problem["temporary"]?.isTrue == true)
        #expect(problem["retryAfter"]?.number == 2)
        #expect(problem["errors"]?[0]?["field"]?.text == "cid")
        #expect(problem["detail"]?.text == "Slow \"down\".")
    }
}
