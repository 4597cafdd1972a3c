import ChatCodec
import NIOCore
import SkerryModel
import TestKit
import Testing

@Suite("Request frames")
struct DecoderTests {
    static func frame(_ text: String) throws(SkerryError) -> RequestFrame { try ChatDecoder.frame(ByteBuffer(string: text), limits: Limits()) }
    static func refusal(_ text: String) -> SkerryError? {
        do throws(SkerryError) { _ = try Self.frame(text) } catch { return error }
        return nil
    }

    @Test("A frame is read with its fields")
    func whole() throws {
        let frame = try Self.frame(
            #" {"t":"send","id":3,"d":{"conv":"@bob","cid":"1","text":"在吗 \"x\" \u00e9 \ud83d\udea3","lat":1.5,"on":false,"limit":7,"users":["a"]}}"#)
        #expect(frame.t == "send")
        #expect(frame.id == 3)
        #expect(frame.d?.text == "在吗 \"x\" é 🚣")
        #expect(frame.d?.lat == 1.5)
        #expect(frame.d?.on == false)
        #expect(frame.d?.limit == 7)
        #expect(frame.d?.users == ["a"])
    }

    @Test("Fields that are not known are ignored, of any type")
    func unknown() throws {
        let frame = try Self.frame(#"{"t":"ping","x":1,"d":{"novel":[1,{"a":null}],"other":{"b":"c"},"text":null}}"#)
        #expect(frame.t == "ping")
        #expect(frame.d?.text == nil)
    }

    @Test(
        "What is not one JSON object is bad_request",
        arguments: [
            "", " ", "null", "1", "\"t\"", "[]", "[{\"t\":\"ping\"}]", "{", "{}", "{\"t\":1}", "{\"t\":null}", "{\"t\":\"ping\"} x", "{\"t\":\"ping\"}{}",
            "{'t':'ping'}", "{\"t\":\"pi\nng\"}", "{\"t\":\"ping\",\"d\":[]}", "{\"t\":\"ping\",\"d\":1}", "nope", "{\"t\":\"\\x\"}",
            "{\"t\":\"ping\" \"id\":1}", "{\"t\":tru}", "{\"t\":\"\\ud83d\"}",
        ])
    func malformed(_ text: String) { #expect(Self.refusal(text)?.code == .badRequest, "\(text)") }

    @Test(
        "A wrong type names its field",
        arguments: [
            (#"{"t":"a","d":{"text":1}}"#, "text"), (#"{"t":"a","d":{"limit":"1"}}"#, "limit"),
            (#"{"t":"a","d":{"on":1}}"#, "on"), (#"{"t":"a","d":{"on":"true"}}"#, "on"), (#"{"t":"a","d":{"users":"bob"}}"#, "users"),
            (#"{"t":"a","d":{"users":[1]}}"#, "users"), (#"{"t":"a","d":{"lat":"x"}}"#, "lat"),
            (#"{"t":"a","id":"1"}"#, "id"), (#"{"t":5}"#, "t"), (#"{"d":{}}"#, "t"),
        ])
    func types(_ text: String, _ field: String) {
        let error = Self.refusal(text)
        #expect(error?.code == .badRequest)
        #expect(error?.field == field)
        #expect(error?.detail.contains(field) == true)
    }

    @Test("A number that does not fit is refused", arguments: ["1.5", "99999999999999999999", "1e30", "-99999999999999999999"])
    func unfit(_ number: String) { #expect(Self.refusal(#"{"t":"a","d":{"limit":\#(number)}}"#)?.code == .badRequest) }

    @Test(
        "An id is a whole number from 0 to 2^53 - 1",
        arguments: [
            ("0", true), ("9007199254740991", true), ("-1", false), ("9007199254740992", false), ("1.5", false), ("1e3", true), ("18446744073709551616", false),
        ])
    func ids(_ id: String, _ isValid: Bool) { #expect((Self.refusal(#"{"t":"ping","id":\#(id)}"#) == nil) == isValid) }

    @Test("Nesting is counted outside of strings, and the limit is met exactly")
    func depth() throws {
        // The frame itself and `d` are two levels.
        func nested(_ levels: Int) -> String {
            #"{"t":"ping","d":{"x":"# + String(repeating: "[", count: levels) + String(repeating: "]", count: levels) + "}}"
        }
        #expect(Self.refusal(nested(14)) == nil)
        #expect(Self.refusal(nested(15))?.code == .badRequest)
        #expect(Self.refusal(nested(100_000))?.code == .badRequest)
        #expect(Self.refusal(#"{"t":"ping","d":{"text":"\#(String(repeating: "[{", count: 500))"}}"#) == nil)
        #expect(Self.refusal(#"{"t":"ping","d":{"text":"\\\"\#(String(repeating: "[{", count: 500))"}}"#) == nil)
        #expect(try Self.frame(#"{"t":"ping","d":{"text":"\\","x":[]}}"#).d?.text == "\\")
    }

    @Test("A NUL byte, and text that is not UTF-8, are refused; an escaped NUL is left to the field check")
    func bytes() throws {
        func refusal(_ bytes: [UInt8]) -> ErrorCode? {
            do throws(SkerryError) { _ = try ChatDecoder.frame(ByteBuffer(bytes: bytes), limits: Limits()) } catch { return error.code }
            return nil
        }
        let head = Array(#"{"t":"ping","d":{"text":""#.utf8), tail = Array(#""}}"#.utf8)
        #expect(refusal(head + Array("x".utf8) + tail) == nil)
        #expect(refusal(head + [0] + tail) == .badRequest)
        #expect(refusal(Array("\u{0}{\u{0}}\u{0}".utf8)) == .badRequest)
        for bad: [UInt8] in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE4, 0xBD], [0x80]] {
            #expect(refusal(head + bad + tail) == .badRequest, "\(bad)")
        }
        #expect(try Self.frame(#"{"t":"ping","d":{"text":"\u0000"}}"#).d?.text == "\u{0}")
    }

    @Test("A body may be empty, a frame may not")
    func empty() throws {
        #expect(try ChatDecoder.fields(ByteBuffer(), limits: Limits()).text == nil)
        #expect(throws: SkerryError.self) { try ChatDecoder.frame(ByteBuffer(), limits: Limits()) }
    }

    @Test("No refusal repeats what the client wrote")
    func secrets() {
        for text in [#"{"t":"send","d":{"token":12345678}}"#, #"{"t":"x","d":{"password":["hunter2"]}}"#, #"{"t":"x","hunter2":{]}"#] {
            let error = Self.refusal(text)
            #expect(error != nil)
            #expect(error?.detail.contains("hunter2") == false)
            #expect(error?.detail.contains("12345678") == false)
        }
    }

    @Test("Damaged frames are refused or read, never a crash, and what is read is what the JSON says", arguments: 1...30)
    func fuzz(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let seeds = [
            #"{"t":"send","id":3,"d":{"conv":"@bob","cid":"1","text":"hi","lat":1.5,"on":true,"users":["a","b"],"limit":3}}"#,
            #"{"t":"sync","d":{"since":"00","limit":200}}"#, #"{"id":9007199254740991,"t":"\u00e9\ud83d\udea3"}"#,
        ].map { Array($0.utf8) }
        for _ in 0..<300 {
            var bytes = seeds.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert(Array("{}[],:\"\\0e-".utf8).randomElement(using: &random) ?? 0, at: index)
                default: bytes.replaceSubrange(index..., with: (seeds.randomElement(using: &random) ?? []).suffix(index + 1))
                }
                if bytes.isEmpty { bytes = [0x7B] }
            }
            guard let frame = try? ChatDecoder.frame(ByteBuffer(bytes: bytes), limits: Limits()) else { continue }
            // A second, strict reader agrees, unless the text repeats a key, where the two may differ.
            if let json = JSON(bytes: bytes) { #expect(json["t"]?.text == frame.t, "seed \(seed): \(String(decoding: bytes, as: UTF8.self))") }
        }
    }
}
