import Account
import ChatCodec
import HTTPTypes
import Hummingbird
import NIOCore
import SkerryModel
import SkerryNode
import Testing

/// What HTTP itself asks of every route.
@Suite struct CarrierTests {
    let box = Box()

    @Test("an unknown address, a wrong method and OPTIONS are answered as HTTP says")
    func methods() async throws {
        let unknown = try await self.box.ask(.get, "/v1/nothing")
        #expect(unknown.status == 404)
        #expect(unknown.headers[.contentType] == "application/problem+json")
        for other in ["/v1/me/", "/v1//me", "//v1/me", "/v1", "/V1/me"] { #expect(try await self.box.ask(.get, other).status == 404, "\(other)") }
        let wrong = try await self.box.ask(.put, "/v1/me")
        #expect(wrong.status == 405)
        #expect(wrong.headers[.allow] == "GET, HEAD, OPTIONS, PATCH")
        #expect(wrong["status"]?.number == 405)
        let options = try await self.box.ask(.options, "/v1/login")
        #expect(options.status == 204)
        #expect(options.headers[.allow] == "OPTIONS, POST")
        #expect(options.headers[.accessControlAllowOrigin] == nil)
    }

    @Test("HEAD answers what GET would, without the body")
    func head() async throws {
        let bob = try await self.box.user("bob")
        let get = try await self.box.ask(.get, "/v1/me", token: bob.token)
        let head = try await self.box.ask(.head, "/v1/me", token: bob.token)
        #expect(head.status == 200)
        #expect(head.body.readableBytes == 0)
        #expect(head.headers[.contentLength] == get.headers[.contentLength])
        #expect(head.headers[.eTag] == get.headers[.eTag])
        let refused = try await self.box.ask(.head, "/v1/me")
        #expect(refused.status == 401)
        #expect(refused.body.readableBytes == 0)
    }

    @Test("every answer has a request id, forbids sniffing, and is not kept by caches")
    func headers() async throws {
        let bob = try await self.box.user("bob")
        var seen = Set<String>()
        for (method, path) in [(HTTPRequest.Method.get, "/v1/me"), (.get, "/healthz"), (.get, "/nothing"), (.delete, "/v1/login"), (.post, "/v1/logout")] {
            let reply = try await self.box.ask(method, path, token: bob.token)
            #expect(seen.insert(try #require(reply.headers[.requestID])).inserted)
            #expect(reply.headers[.xContentTypeOptions] == "nosniff")
            #expect(reply.headers[.cacheControl] == "no-store")
        }
    }

    @Test("what is not JSON is refused before anything is done")
    func malformed() async throws {
        let bad: [(body: String, status: Int)] = [
            ("{", 400), ("[]", 400), ("nonsense", 400), (#"{"name":1}"#, 400), (#"{"name":"a","password":{}}"#, 400), ("{}", 422),
            (String(repeating: #"{"a":"#, count: 40) + "1" + String(repeating: "}", count: 40), 400), ("{\"name\":\"a\0\"}", 400),
        ]
        for (body, status) in bad {
            let reply = try await self.box.ask(.post, "/v1/login", body)
            #expect(reply.status == status, "\(body.prefix(20))")
            #expect(reply.headers[.contentType] == "application/problem+json")
        }
        #expect(try await self.box.ask(.post, "/v1/login", #"{"name":"a","password":"b","later":[1,{"x":null}]}"#).status == 401)
    }

    @Test("the body is JSON, said to be, and not compressed")
    func mediaType() async throws {
        let body = #"{"name":"bob","password":"wrong wrong"}"#
        let typed = try await self.box.ask(.post, "/v1/login", body, headers: [.contentType: "text/plain"])
        #expect(typed.status == 415)
        #expect(typed.headers[.accept] == "application/json")
        #expect(try await self.box.ask(.post, "/v1/login", body, headers: [.contentType: ""]).status == 415)
        #expect(try await self.box.ask(.post, "/v1/login", body, headers: [.contentEncoding: "gzip"]).status == 415)
        #expect(try await self.box.ask(.post, "/v1/login", body, headers: [.contentType: "Application/JSON; charset=utf-8"]).status == 401)
    }

    @Test("a body that is announced too large is refused before it is read, one that grows too large when it does")
    func tooLarge() async throws {
        var limits = Limits()
        limits.httpBodyBytesMax = 1_000
        let box = Box(limits: limits)
        var fields = HTTPFields()
        fields[.contentType] = "application/json"
        fields[.contentLength] = "1001"
        // Reading this body would never end.
        let never = RequestBody(asyncSequence: AsyncStream<ByteBuffer> { _ in })
        let announced = try await box.send(.post, "/v1/login", fields, never)
        #expect(announced.status == 413)
        #expect(announced.code == "too_large")
        fields[.contentLength] = nil
        let (stream, source) = AsyncStream<ByteBuffer>.makeStream()
        for _ in 0..<11 { source.yield(ByteBuffer(repeating: UInt8(ascii: " "), count: 100)) }
        #expect(try await box.send(.post, "/v1/login", fields, RequestBody(asyncSequence: stream)).status == 413)
        for (nonsense, status) in [("-1", 400), ("12x", 400), ("+5", 400), ("99999999999999999999", 413)] {
            fields[.contentLength] = nonsense
            #expect(try await box.send(.post, "/v1/login", fields, never).status == status)
        }
    }

    @Test("somebody who has not signed in may not send as much as somebody who has")
    func strangersBody() async throws {
        let bob = try await self.box.user("bob")
        let padding = String(repeating: " ", count: Limits().strangerBytesMax)
        #expect(try await self.box.ask(.post, "/v1/login", #"{"name":"bob","password":"x"}"# + padding).status == 413)
        #expect(try await self.box.ask(.patch, "/v1/me", token: bob.token, #"{"display":"Bob"}"# + padding).status == 200)
    }

    @Test("without a token, or with one in the wrong place, there is nothing to see")
    func bearer() async throws {
        let bob = try await self.box.user("bob")
        #expect(try await self.box.ask(.get, "/v1/me").status == 401)
        for header in ["Basic \(bob.token)", "Bearer", "Bearer ", bob.token, "Bearer x", "Bearer \(bob.token)x"] {
            #expect(try await self.box.ask(.get, "/v1/me", headers: [.authorization: header]).status == 401, "\(header.prefix(7))")
        }
        #expect(try await self.box.ask(.get, "/v1/me", headers: [.authorization: "bearer \(bob.token)"]).status == 200)
        #expect(try await self.box.ask(.get, "/v1/me?token=\(bob.token)").status == 401)
        #expect(try await self.box.ask(.get, "/v1/me", headers: [.cookie: "token=\(bob.token)"]).status == 401)
    }

    @Test("whoever asks too fast is told how long to wait, and others are not kept waiting")
    func rate() async throws {
        var limits = Limits()
        limits.httpBurst = 3
        limits.httpPerSecond = 1
        let box = Box(limits: limits)
        let bob = try await box.control.accounts.createUser(name: "bob", password: nil, role: .user, by: .console).id
        let token = try await box.control.accounts.issueToken(for: .id(bob), device: nil, by: .console).token.text
        var left: [String?] = []
        for _ in 0..<3 { left.append(try await box.ask(.get, "/v1/me", token: token).headers[.remaining]) }
        #expect(left == ["2", "1", "0"])
        let limited = try await box.ask(.get, "/v1/me", token: token)
        #expect(limited.status == 429)
        #expect(limited.headers[.retryAfter] == "1")
        #expect(limited.headers[.remaining] == "0")
        #expect(box.node.metrics.value(.httpLimited) == 1)
        #expect(try await box.ask(.post, "/v1/login", "{}").status == 422)
        box.pass(seconds: 1)
        #expect(try await box.ask(.get, "/v1/me", token: token).status == 200)
        // Health is for machines that ask often, and is not counted.
        for _ in 0..<10 { #expect(try await box.ask(.get, "/healthz").status == 200) }
    }

    @Test("health, readiness and its reasons")
    func health() async throws {
        #expect(try await self.box.ask(.get, "/healthz")["status"]?.text == "ok")
        #expect(try await self.box.ask(.get, "/readyz")["ready"]?.flag == true)
        self.box.control.hold("draining")
        let waiting = try await self.box.ask(.get, "/readyz")
        #expect(waiting.status == 503)
        #expect(waiting["reasons"]?[0]?.text == "draining")
        self.box.control.release("draining")
        self.box.closeStore()
        let closed = try await self.box.ask(.get, "/readyz")
        #expect(closed.status == 503)
        #expect(closed["reasons"]?[0]?.text?.hasPrefix("store: ") == true)
        #expect(try await self.box.ask(.get, "/healthz").status == 200)
    }

    @Test("metrics are for the box itself and for administrators")
    func metrics() async throws {
        let admin = try await self.box.claimed()
        let bob = try await self.box.user("bob")
        #expect(try await self.box.ask(.get, "/metrics").status == 401)
        #expect(try await self.box.ask(.get, "/metrics", token: bob.token).status == 403)
        #expect(try await self.box.ask(.get, "/metrics", token: admin).status == 200)
        for (address, host) in [("127.0.0.1", "127.0.0.1:8080"), ("::1", "[::1]:8080"), ("::ffff:127.0.0.1", "LocalHost")] {
            let reply = try await self.box.ask(.get, "/metrics", from: address, host: host)
            #expect(reply.status == 200)
            #expect(reply.headers[.contentType]?.hasPrefix("text/plain; version=0.0.4") == true)
            let text = String(buffer: reply.body)
            #expect(text.contains("\n# TYPE skerry_http_requests_total counter\nskerry_http_requests_total "))
            #expect(text.contains("\nskerry_resident_bytes 20000000\n"))
            for line in text.split(separator: "\n") where !line.hasPrefix("#") { #expect(line.split(separator: " ").count == 2, "\(line)") }
        }
    }

    @Test(
        "a proxy on the box, or a page whose name was pointed at it, is not the box itself",
        arguments: [
            ("box.example", nil), ("127.0.0.1.evil.example", nil), ("localhost.evil.example:8080", nil), ("", nil), ("127.0.0.1", "X-Forwarded-For"),
            ("localhost:8080", "Forwarded"), ("[::1]", "Via"),
        ])
    func metricsBehindLoopback(_ host: String, _ header: String?) async throws {
        var headers: [HTTPField.Name: String] = [:]
        if let header { headers[try #require(HTTPField.Name(header))] = "192.0.2.7" }
        #expect(try await self.box.ask(.get, "/metrics", headers: headers, from: "127.0.0.1", host: host).status == 401)
    }

    @Test("the WebSocket's address tells a plain request to upgrade")
    func upgrade() async throws {
        let reply = try await self.box.ask(.get, "/v1/ws")
        #expect(reply.status == 426)
        #expect(reply.headers[.upgrade] == "websocket")
    }
}
