import ChatCodec
import NIOCore
import SkerryModel
import TestKit
import Testing

@Suite("The fields of every verb")
struct VerbTests {
    static let conv = Sample.conversation(1).description
    static let mid = Sample.message(1).description
    static let order = Sample.order(1).description

    static func request(_ verb: String, _ json: String, limits: Limits = Limits()) throws(SkerryError) -> ChatRequest {
        guard let verb = ChatVerb(rawValue: verb) else { throw SkerryError(.badRequest, "no such verb") }
        return try verb.request(try ChatDecoder.fields(ByteBuffer(string: json), limits: limits), limits: limits)
    }

    static func refusal(_ verb: String, _ json: String) -> SkerryError? {
        do throws(SkerryError) { _ = try Self.request(verb, json) } catch { return error }
        return nil
    }

    /// The least that each verb needs.
    static let least: [(String, String)] = [
        ("sync", "{}"), ("conversations", "{}"), ("conversation", #"{"conv":"\#(conv)"}"#), ("history", #"{"conv":"@bob"}"#),
        ("send", #"{"conv":"@bob","cid":"1","text":"x"}"#), ("edit", #"{"mid":"\#(mid)","text":"x"}"#), ("recall", #"{"mid":"\#(mid)"}"#),
        ("react", #"{"mid":"\#(mid)","emoji":"👍"}"#), ("receipt", #"{"conv":"\#(conv)","read":"\#(order)"}"#), ("typing", #"{"conv":"@bob"}"#),
        ("presence", "{}"), ("users", "{}"), ("create", #"{"type":"direct","user":"@bob"}"#), ("update", #"{"conv":"\#(conv)","title":"x"}"#),
        ("invite", #"{"conv":"\#(conv)","users":["@bob"]}"#), ("remove", #"{"conv":"\#(conv)","user":"@bob"}"#),
        ("role", #"{"conv":"\#(conv)","user":"@bob","role":"admin"}"#), ("leave", #"{"conv":"\#(conv)"}"#), ("block", #"{"user":"@bob"}"#), ("blocks", "{}"),
        ("ping", "{}"),
    ]

    @Test("Every verb is accepted with the least it needs", arguments: least)
    func minimal(_ verb: String, _ json: String) { #expect(Self.refusal(verb, json) == nil) }

    @Test("The table names every verb")
    func complete() { #expect(Set(Self.least.map(\.0)) == Set(ChatVerb.allCases.map(\.rawValue))) }

    @Test("Without any one of those fields it is refused, by name", arguments: least)
    func missing(_ verb: String, _ json: String) throws {
        let fields = try #require(JSON(json)).keys
        for field in fields where !(verb == "receipt" && field == "read") {
            guard case .object(var object)? = JSON(json) else { continue }
            object[field] = nil
            let error = Self.refusal(verb, JSON.object(object).description)
            #expect(error?.code == .payloadInvalid, "\(verb) without \(field)")
            #expect(error?.field == field, "\(verb) without \(field)")
        }
    }

    @Test(
        "A field that is wrong is refused with its code and name",
        arguments: [
            ("conversation", #"{"conv":"x"}"#, ErrorCode.payloadInvalid, "conv"), ("conversation", #"{"conv":""}"#, .payloadInvalid, "conv"),
            ("conversation", #"{"conv":"@\#(String(repeating: "a", count: 200))"}"#, .payloadInvalid, "conv"),
            ("history", #"{"conv":"@b","before":"\#(order)","after":"\#(order)"}"#, .payloadInvalid, "before"),
            ("history", #"{"conv":"@b","before":"x"}"#, .payloadInvalid, "before"), ("history", #"{"conv":"@b","after":""}"#, .payloadInvalid, "after"),
            ("history", #"{"conv":"@b","limit":0}"#, .payloadInvalid, "limit"), ("history", #"{"conv":"@b","limit":201}"#, .payloadInvalid, "limit"),
            ("sync", #"{"limit":501}"#, .payloadInvalid, "limit"), ("sync", #"{"limit":-1}"#, .payloadInvalid, "limit"),
            ("conversations", #"{"limit":201}"#, .payloadInvalid, "limit"), ("users", #"{"limit":101}"#, .payloadInvalid, "limit"),
            ("users", #"{"q":"\#(String(repeating: "a", count: 161))"}"#, .payloadInvalid, "q"),
            ("send", #"{"conv":"@b","cid":"a b","text":"x"}"#, .payloadInvalid, "cid"), ("send", #"{"conv":"@b","cid":"","text":"x"}"#, .payloadInvalid, "cid"),
            ("send", #"{"conv":"@b","cid":"1","text":""}"#, .payloadInvalid, "text"),
            ("send", #"{"conv":"@b","cid":"1","text":" \n\t"}"#, .payloadInvalid, "text"),
            ("send", #"{"conv":"@b","cid":"1","text":"a\u0000b"}"#, .payloadInvalid, "text"),
            ("send", #"{"conv":"@b","cid":"1","text":"\#(String(repeating: "a", count: 8_001))"}"#, .tooLarge, "text"),
            ("send", #"{"conv":"@b","cid":"1","text":"x","replyTo":"x"}"#, .payloadInvalid, "replyTo"),
            ("send", #"{"conv":"@b","cid":"1","kind":"smoke","text":"x"}"#, .payloadInvalid, "kind"),
            ("send", #"{"conv":"@b","cid":"1","kind":"picture","media":{"hash":"x"}}"#, .payloadInvalid, "kind"),
            ("send", #"{"conv":"@b","cid":"1","kind":"voice"}"#, .payloadInvalid, "kind"),
            ("send", #"{"conv":"@b","cid":"1","kind":"file"}"#, .payloadInvalid, "kind"),
            ("send", #"{"conv":"@b","cid":"1","kind":"emoji","text":"\#(String(repeating: "a", count: 65))"}"#, .tooLarge, "text"),
            ("send", #"{"conv":"@b","cid":"1","kind":"location","lat":90.1,"lon":0}"#, .payloadInvalid, "lat"),
            ("send", #"{"conv":"@b","cid":"1","kind":"location","lat":0,"lon":-180.5}"#, .payloadInvalid, "lat"),
            ("send", #"{"conv":"@b","cid":"1","kind":"location","lat":0}"#, .payloadInvalid, "lat"),
            ("send", #"{"conv":"@b","cid":"1","kind":"location","lat":0,"lon":0,"accuracy":-1}"#, .payloadInvalid, "accuracy"),
            ("send", #"{"conv":"@b","cid":"1","kind":"location","lat":0,"lon":0,"label":""}"#, .payloadInvalid, "label"),
            ("send", #"{"conv":"@b","cid":"1","kind":"custom","data":"x"}"#, .payloadInvalid, "type"),
            ("send", #"{"conv":"@b","cid":"1","kind":"custom","type":"a b","data":"x"}"#, .payloadInvalid, "type"),
            ("send", #"{"conv":"@b","cid":"1","kind":"custom","type":"a","data":"\u0000"}"#, .payloadInvalid, "type"),
            ("send", #"{"conv":"@b","cid":"1","kind":"custom","type":"a","data":"\#(String(repeating: "a", count: 8_001))"}"#, .tooLarge, "data"),
            ("send", #"{"conv":"@b","cid":"1","kind":"custom","type":"\#(String(repeating: "a", count: 65))"}"#, .tooLarge, "type"),
            ("edit", #"{"mid":"x","text":"x"}"#, .payloadInvalid, "mid"),
            ("react", #"{"mid":"\#(mid)","emoji":"\#(String(repeating: "a", count: 33))"}"#, .tooLarge, "emoji"),
            ("receipt", #"{"conv":"@b"}"#, .payloadInvalid, "read"), ("receipt", #"{"conv":"@b","recv":"x"}"#, .payloadInvalid, "recv"),
            ("create", #"{"type":"circle"}"#, .payloadInvalid, "type"), ("create", #"{"type":"group","cid":"1"}"#, .payloadInvalid, "title"),
            ("create", #"{"type":"group","title":"x"}"#, .payloadInvalid, "cid"),
            ("create", #"{"type":"group","title":"x","cid":"1","members":["bob"]}"#, .payloadInvalid, "members"),
            ("create", #"{"type":"group","title":"\#(String(repeating: "a", count: 201))","cid":"1"}"#, .tooLarge, "title"),
            (
                "create", #"{"type":"group","title":"x","cid":"1","members":[\#(Array(repeating: "\"@a\"", count: 51).joined(separator: ","))]}"#,
                .payloadInvalid, "members"
            ),
            ("invite", #"{"conv":"@b","users":[]}"#, .payloadInvalid, "users"),
            ("invite", #"{"conv":"@b","users":[\#(Array(repeating: "\"@a\"", count: 51).joined(separator: ","))]}"#, .payloadInvalid, "users"),
            ("presence", #"{"users":[]}"#, .payloadInvalid, "users"), ("presence", #"{"users":["x"]}"#, .payloadInvalid, "users"),
            ("role", #"{"conv":"@b","user":"@c","role":"captain"}"#, .payloadInvalid, "role"), ("block", #"{"user":"bob"}"#, .payloadInvalid, "user"),
        ])
    func wrong(_ verb: String, _ json: String, _ code: ErrorCode, _ field: String) {
        let error = Self.refusal(verb, json)
        #expect(error?.code == code, "\(verb) \(json.prefix(120))")
        #expect(error?.field == field, "\(verb) \(json.prefix(120))")
    }

    @Test("The largest that is allowed is allowed")
    func largest() {
        let text = String(repeating: "a", count: 8_000)
        #expect(Self.refusal("send", #"{"conv":"@b","cid":"\#(String(repeating: "c", count: 64))","text":"\#(text)"}"#) == nil)
        #expect(Self.refusal("send", #"{"conv":"@b","cid":"1","kind":"custom","type":"app/x","data":"\#(text)"}"#) == nil)
        #expect(Self.refusal("send", #"{"conv":"@b","cid":"1","kind":"location","lat":-90,"lon":180,"accuracy":0,"label":"x"}"#) == nil)
        #expect(Self.refusal("history", #"{"conv":"@b","limit":200}"#) == nil)
        #expect(Self.refusal("sync", #"{"limit":500}"#) == nil)
    }

    @Test("A name is looked up by its key, in any spelling")
    func names() throws {
        guard case .typing(.direct(.name(let key))) = try Self.request("typing", #"{"conv":"@ZOE\u0301"}"#) else {
            Issue.record("another request")
            return
        }
        #expect(key == "zo\u{e9}")
        guard case .block(.id(let id), isOn: true) = try Self.request("block", #"{"user":"\#(Sample.user(1))"}"#) else {
            Issue.record("another request")
            return
        }
        #expect(id == Sample.user(1))
    }

    @Test("Pages have their defaults")
    func defaults() throws {
        guard case .sync(since: nil, limit: 200) = try Self.request("sync", "{}"),
            case .history(_, before: nil, after: nil, limit: 50) = try Self.request("history", #"{"conv":"@b"}"#),
            case .conversations(after: nil, limit: 100) = try Self.request("conversations", "{}")
        else {
            Issue.record("other defaults")
            return
        }
    }
}
