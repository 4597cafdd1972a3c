import NIOCore
import NIOEmbedded
import Testing

@testable import Listeners

@Suite struct HandshakeTests {
    static let routes = [
        WebSocketRoute(path: "/v1/ws", subprotocols: ["skerry.v1.json"], origins: .ownPages(also: []), deflate: DeflateAgreement.Wish()) { _, _ in [] },
        WebSocketRoute(path: "/mqtt", subprotocols: ["mqtt", "mqttv3.1"], origins: .any) { _, _ in [] },
        WebSocketRoute(path: "/", subprotocols: ["mqtt", "mqttv3.1"], origins: .any) { _, _ in [] },
    ]

    static func request(
        _ path: String = "/v1/ws", method: String = "GET", version: String = "HTTP/1.1", without: [String] = [], with extra: [String] = []
    ) -> String {
        let fields = [
            "Host: box.local:8080", "Upgrade: websocket", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: skerry.v1.json",
        ].filter { field in !without.contains { field.lowercased().hasPrefix($0.lowercased() + ":") } }
        return "\(method) \(path) \(version)\r\n" + (fields + extra).map { $0 + "\r\n" }.joined() + "\r\n"
    }

    static func response(_ request: String) -> (status: Int, text: String)? {
        guard let head = RequestHead(ByteBuffer(string: request).readableBytesView), head.asksForWebSocket else { return nil }
        let response =
            switch WebSocketHandshake.decide(head, routes: Self.routes) {
            case .accept(_, _, let response), .refuse(let response): String(buffer: response)
            }
        return (Int(response.dropFirst(9).prefix(3)) ?? 0, response)
    }

    @Test("the accept value is the one of RFC 6455 §1.3")
    func accept() throws {
        let answer = try #require(Self.response(Self.request()))
        #expect(answer.status == 101)
        #expect(answer.text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
        #expect(answer.text.contains("Sec-WebSocket-Protocol: skerry.v1.json\r\n"))
        #expect(answer.text.hasSuffix("\r\n\r\n"))
    }

    @Test(
        "header names and tokens are read without regard to case, lists over several lines",
        arguments: [
            Self.request(without: ["upgrade", "connection"], with: ["UPGRADE: WebSocket", "connection: UPGRADE"]),
            Self.request(without: ["connection"], with: ["Connection: keep-alive", "Connection: upgrade"]),
            Self.request(without: ["sec-websocket-protocol"], with: ["Sec-WebSocket-Protocol: other, skerry.v1.json"]),
            Self.request(without: ["sec-websocket-protocol"], with: ["sec-websocket-protocol:other", "sec-websocket-protocol:skerry.v1.json\t "]),
            Self.request("/v1/ws?x=1"),
        ])
    func lenient(_ request: String) {
        #expect(Self.response(request)?.status == 101)
    }

    static let wrong: [(String, Int)] = [
        (request(without: ["sec-websocket-version"], with: ["Sec-WebSocket-Version: 12"]), 426),
        (request(without: ["sec-websocket-version"]), 426),
        (request(with: ["Sec-WebSocket-Version: 8"]), 426),
        (request(without: ["sec-websocket-key"]), 400),
        (request(without: ["sec-websocket-key"], with: ["Sec-WebSocket-Key: c2hvcnQ="]), 400),
        (request(without: ["sec-websocket-key"], with: ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="]), 400),
        (request(without: ["sec-websocket-key"], with: ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"]), 400),
        (request(with: ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]), 400),
        (request(without: ["host"]), 400),
        (request(with: ["Host: other"]), 400),
        (request(with: ["Content-Length: 5"]), 400),
        (request(with: ["Transfer-Encoding: chunked"]), 400),
        (request(without: ["sec-websocket-protocol"]), 400),
        (request(without: ["sec-websocket-protocol"], with: ["Sec-WebSocket-Protocol: mqtt"]), 400),
        (request("/mqtt"), 400),
        (request("/other"), 404),
        (request(with: ["Origin: http://evil.example"]), 403),
        (request(with: ["Origin: null"]), 403),
        (request(with: ["Origin: http://box.local:8080", "Origin: http://box.local:8080"]), 400),
    ]

    @Test("a wrong handshake is refused with the status that says why", arguments: wrong)
    func refused(_ request: String, _ status: Int) throws {
        let answer = try #require(Self.response(request))
        #expect(answer.status == status)
        #expect(answer.text.contains("Content-Type: application/problem+json\r\n"))
        #expect(answer.text.contains("\"status\":\(status)"))
        #expect(!answer.text.contains("Sec-WebSocket-Accept"))
        #expect(answer.text.contains("Sec-WebSocket-Version: 13\r\n") == (status == 426))
    }

    @Test("MQTT is spoken at /mqtt and at /, under both of its names", arguments: ["/mqtt", "/"], ["mqtt", "mqttv3.1"])
    func mqtt(_ path: String, _ name: String) {
        let answer = Self.response(Self.request(path, without: ["sec-websocket-protocol"], with: ["Sec-WebSocket-Protocol: \(name)"]))
        #expect(answer?.status == 101)
        #expect(answer?.text.contains("Sec-WebSocket-Protocol: \(name)\r\n") == true)
        #expect(answer?.text.contains("Extensions") == false)
    }

    static let notWebSocket: [String] = [
        request(method: "POST"), request(version: "HTTP/1.0"), request(without: ["upgrade"]), request(without: ["connection"]),
        request(without: ["upgrade"], with: ["Upgrade: h2c"]), request("http://box.local/v1/ws"), request(with: ["Bad Name: x"]), request(with: [" folded: x"]),
        request(with: ["X: a\u{1}b"]), request().replacing("\r\n", with: "\n"), "GET /v1/ws\r\n\r\n", "\r\n\r\n",
        request(with: (0..<200).map { "X-\($0): y" }),
    ]

    @Test("only a well-formed GET for a WebSocket is taken from HTTP", arguments: notWebSocket)
    func notOurs(_ request: String) {
        #expect(Self.response(request) == nil)
    }

    static let pages: [(String, String, Bool)] = [
        ("http://box.local:8080", "box.local:8080", true), ("https://box.local:8080", "box.local:8080", true),
        ("http://BOX.local:8080", "box.LOCAL:8080", true),
        ("http://box.local", "box.local", true), ("http://box.local", "box.local:80", true), ("https://box.local", "box.local:443", true),
        ("https://box.local:443", "box.local", true), ("http://[::1]:8080", "[::1]:8080", true), ("http://box.local", "box.local:8080", false),
        ("http://box.local:8081", "box.local:8080", false), ("https://box.local", "box.local:80", false),
        ("http://box.local.evil:8080", "box.local:8080", false),
        ("http://evil", "", false), ("http://", "", false), ("null", "null", false), ("file://", "", false), ("ftp://box", "box", false),
        ("http://box.local:8080/", "box.local:8080", false),
    ]

    @Test("a page may come from the address it connects to and from nowhere else", arguments: pages)
    func origins(_ origin: String, _ host: String, _ isAllowed: Bool) {
        #expect(OriginRule.ownPages(also: []).allows(origin, host: host) == isAllowed)
        #expect(OriginRule.any.allows(origin, host: host))
    }

    @Test("an origin of the list is allowed, exactly")
    func listed() {
        let rule = OriginRule.ownPages(also: ["https://panel.example"])
        #expect(rule.allows("https://panel.example", host: "box"))
        #expect(!rule.allows("https://panel.example:8443", host: "box"))
        #expect(!rule.allows("http://panel.example", host: "box"))
    }

    @Test("pages of other boxes may come where the route lets them, and nowhere else")
    func sisters() {
        let rule = OriginRule.federationPages { $0 == "http://10.0.0.2:8080" }
        #expect(rule.allows("http://10.0.0.2:8080", host: "10.0.0.1:8080"))
        #expect(rule.allows("http://10.0.0.1:8080", host: "10.0.0.1:8080"))
        #expect(!rule.allows("http://10.0.0.3:8080", host: "10.0.0.1:8080"))
        #expect(!OriginRule.ownPages(also: []).allows("http://10.0.0.2:8080", host: "10.0.0.1:8080"))
    }

    @Test("compression is agreed when the route allows it")
    func compression() {
        let answer = Self.response(Self.request(with: ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]))
        #expect(answer?.text.contains("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n") == true)
    }

    static let base64s: [(String, Int?)] = [
        ("", 0), ("Zg==", 1), ("Zm8=", 2), ("Zm9v", 3), ("Zh==", nil), ("Zm9=", nil), ("Zg=", nil), ("Z===", nil), ("Zm9v====", nil), ("Z=g=", nil),
        ("Zm-_", nil), ("Zm 9", nil),
    ]

    @Test("base64 is known by its one spelling", arguments: base64s)
    func base64(_ text: String, _ count: Int?) {
        #expect(Base64.decodedCount(text) == count)
    }

    static let vectors: [(String, String)] = [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ]

    @Test("base64 is written as RFC 4648 §10 says", arguments: vectors)
    func base64Written(_ text: String, _ encoded: String) {
        #expect(Base64.encode(Array(text.utf8)) == encoded)
    }
}
