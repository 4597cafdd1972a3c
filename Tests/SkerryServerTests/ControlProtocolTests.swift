import ChatCodec
import NIOCore
import SkerryModel
import Testing

@testable import SkerryServer

@Suite("Control socket")
struct ControlProtocolTests {
    @Test("a request comes back as it was sent", arguments: ControlVerb.allCases)
    func request(verb: ControlVerb) throws {
        var sent = ControlRequest(verb, name: "Łukasz \"x\"", password: "p\\q", role: "admin", device: "d", uses: 3, hours: 4)
        (sent.mqtt.client, sent.mqtt.topic, sent.mqtt.filter, sent.mqtt.prefix) = ("a/b", "t \"q\"", "x/#", "p")
        (sent.mqtt.user, sent.mqtt.state, sent.mqtt.after, sent.mqtt.limit, sent.mqtt.removes) = ("u", "away", "z", 7, true)
        let received = try ControlRequest(sent.line, limits: Limits())
        #expect(received.verb == verb)
        #expect(received.name == sent.name && received.password == sent.password && received.role == sent.role)
        #expect(received.mqtt == sent.mqtt)
        #expect(received.device == sent.device && received.uses == 3 && received.hours == 4)
    }

    @Test("a verb nobody knows is refused by name of the cause, not with a crash")
    func unknown() {
        #expect(throws: SkerryError.self) { try ControlRequest(ByteBuffer(string: #"{"t":"self.destruct"}"#), limits: Limits()) }
        #expect(throws: SkerryError.self) { try ControlRequest(ByteBuffer(string: "not json"), limits: Limits()) }
    }

    @Test("an answer of several lines comes back whole")
    func reply() throws {
        let sent = ControlReply("one\n\ntwo") { $0.field("n", 1) }
        let received = try #require(ControlReply(sent.bytes))
        #expect(received.isOK)
        #expect(received.text == "one\n\ntwo")
        #expect(String(buffer: received.json) == #"{"n":1}"#)
    }

    @Test("a refusal carries its code")
    func refusal() throws {
        let received = try #require(ControlReply(ControlReply(SkerryError(.conflict, "There is one already.")).bytes))
        #expect(!received.isOK)
        #expect(received.text == "There is one already.")
        #expect(String(buffer: received.json).contains(#""code":"conflict""#))
    }

    @Test("an answer that was cut off is none", arguments: ["", "ok", "ok\n{}", "maybe\n{}\nx\n"])
    func cut(text: String) { #expect(ControlReply(ByteBuffer(string: text)) == nil) }

    @Test("columns are as wide as their widest cell, and no line ends in blanks")
    func table() {
        var table = TextTable(["NAME", "ROLE"])
        table.add(["安娜", "admin"])
        table.add(["a-long-name", "-"])
        #expect(table.text == "NAME         ROLE\n安娜         admin\na-long-name  -")
    }

    @Test("what a client calls itself neither commands the administrator's terminal nor makes a line of its own")
    func terminal() {
        var table = TextTable(["NAME", "CLIENT"])
        table.add(["eve", "\u{1B}]0;x\u{7}\u{9B}31m\u{202E}a\nroot  online\u{2028}👩‍👩‍👧"])
        #expect(table.text == "NAME  CLIENT\neve    ]0;x  31m a root  online 👩‍👩‍👧")
    }
}
