import CZlib
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import WebPages

struct PagesContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    init(source: ApplicationRequestContextSource) { self.coreContext = .init(source: source) }
}

@Suite struct WebPagesTests {
    private func answer(
        _ path: String, method: HTTPRequest.Method = .get, headers: HTTPFields = [:], sisters: [String] = []
    ) async throws -> Response {
        let router = Router(context: PagesContext.self)
        router.get("v1/me") { _, _ in "me" }
        router.post("v1/claim") { _, _ in "claimed" }
        router.get("healthz") { _, _ in "ok" }
        WebPages.addRoutes(to: router) { sisters }
        let head = HTTPRequest(method: method, scheme: "http", authority: "box.local:8080", path: path, headerFields: headers)
        let context = PagesContext(source: .init(channel: EmbeddedChannel(), logger: Logger(label: "test")))
        return try await router.buildResponder().respond(to: Request(head: head, body: RequestBody(buffer: ByteBuffer())), context: context)
    }

    @Test("The pages and their files are served with their type and the headers that lock a browser down")
    func served() async throws {
        for (path, type) in [("/", "text/html"), ("/admin", "text/html"), ("/assets/icon.svg", "image/svg+xml"), ("/assets/style.css", "text/css")] {
            let response = try await self.answer(path)
            #expect(response.status == .ok, "\(path)")
            #expect(response.headers[.contentType]?.hasPrefix(type) == true)
            let policy = response.headers[.contentSecurityPolicy] ?? ""
            #expect(policy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self';"))
            #expect(!policy.contains("unsafe"))
            #expect(policy.contains("ws://box.local:8080"))
            #expect(response.headers[.xContentTypeOptions] == "nosniff")
            #expect(response.headers[.cacheControl] == "no-cache")
        }
    }

    @Test("The chat's page may connect to the boxes of the federation and do nothing else there; the administrator's page stays with its box")
    func sisters() async throws {
        let sources = ["http://10.0.0.2:*", "ws://10.0.0.2:*"]
        let policy = try await self.answer("/", sisters: sources).headers[.contentSecurityPolicy] ?? ""
        let rules = policy.split(separator: ";").filter { $0.contains("10.0.0.2") }
        #expect(rules.count == 1)
        #expect(rules.first?.contains("connect-src 'self' ws://box.local:8080 wss://box.local:8080 http://10.0.0.2:* ws://10.0.0.2:*") == true)
        for path in ["/admin", "/assets/link.js", "/no-such-page"] {
            let other = try await self.answer(path, sisters: sources).headers[.contentSecurityPolicy] ?? "10.0.0.2"
            #expect(!other.contains("10.0.0.2"), "\(path)")
        }
    }

    @Test("An authority that could add a rule to the policy is left out of it", arguments: ["a; script-src *", "a b", "a,b", "é", "a'b"])
    func policyInjection(authority: String) {
        #expect(PageHeaders.policy(authority: authority) == PageHeaders.policy(authority: nil))
    }

    @Test("A browser that holds the content gets 304 for either form, and the forms have different tags")
    func notModified() async throws {
        let plain = try await self.answer("/")
        let packed = try await self.answer("/", headers: [.acceptEncoding: "gzip, deflate, br"])
        let tags = (plain.headers[.eTag] ?? "", packed.headers[.eTag] ?? "")
        #expect(tags.0 != tags.1)
        for tag in [tags.0, tags.1, "W/\(tags.0)", "\"other\", \(tags.1)", "*"] {
            #expect(try await self.answer("/", headers: [.ifNoneMatch: tag]).status == .notModified, "\(tag)")
        }
        #expect(try await self.answer("/", headers: [.ifNoneMatch: "\"other\""]).status == .ok)
    }

    @Test("gzip is sent to those who take it, and unpacks to the same bytes")
    func gzip() async throws {
        let plain = try await self.answer("/assets/style.css")
        let packed = try await self.answer("/assets/style.css", headers: [.acceptEncoding: "gzip"])
        #expect(packed.headers[.contentEncoding] == "gzip")
        #expect(packed.headers[.vary] == "Accept-Encoding")
        let asset = try #require(WebPages.assets["style.css"])
        let (bytes, original) = (try #require(asset.gzip), asset.plain)
        #expect(packed.body.contentLength == bytes.readableBytes)
        #expect(plain.body.contentLength == original.readableBytes)
        #expect(bytes.readableBytes < original.readableBytes / 2)
        #expect(Self.unpack(Array(bytes.readableBytesView), upTo: original.readableBytes + 1) == Array(original.readableBytesView))
    }

    @Test(
        "Accept-Encoding is read as RFC 9110 says",
        arguments: [
            ("gzip", true), ("GZIP;q=0.5", true), ("br, gzip", true), ("*", true), ("gzip;q=0", false), ("gzip; q=0.000", false), ("*;q=0", false),
            ("*, gzip;q=0", false), ("br", false), ("", false),
        ])
    func acceptEncoding(field: String, takes: Bool) {
        #expect(WebPages.acceptsGzip(field) == takes)
    }

    @Test("HEAD has the length and no body")
    func head() async throws {
        let (get, head) = (try await self.answer("/"), try await self.answer("/", method: .head))
        #expect(head.headers[.contentLength] == get.headers[.contentLength])
        #expect(head.headers[.eTag] == get.headers[.eTag])
        #expect(head.body.contentLength == 0)
    }

    @Test("An address that leads nowhere gets a page for people, and nothing of the interface is shadowed")
    func notFound() async throws {
        for path in ["/nowhere", "/assets/nope.js", "/assets/notfound.html/x", "/assets/..%2findex.html"] {
            let lost = try await self.answer(path)
            #expect(lost.status == .notFound, "\(path)")
            #expect(lost.headers[.contentType]?.hasPrefix("text/html") == true)
            #expect(lost.headers[.cacheControl] == "no-store")
        }
        #expect(try await self.answer("/v1/me").status == .ok)
        #expect(try await self.answer("/healthz").status == .ok)
        #expect(try await self.answer("/v1/claim", method: .post).status == .ok)
        for path in ["/v1/nowhere", "/v1"] { await self.expectInterfaceNotFound(path) }
    }

    private func expectInterfaceNotFound(_ path: String) async {
        do {
            let response = try await self.answer(path)
            #expect(response.status == .notFound)
            #expect(response.headers[.contentType]?.hasPrefix("text/html") != true)
        } catch {
            #expect((error as? HTTPError)?.status == .notFound)
        }
    }

    @Test("What a browser loads stays small enough for a small box: the chat by itself, and with the administrator's pages")
    func size() {
        func sum(_ names: [String]) -> (plain: Int, packed: Int) {
            names.compactMap { WebPages.assets[$0] }.reduce((0, 0)) { ($0.0 + $1.plain.readableBytes, $0.1 + ($1.gzip?.readableBytes ?? 0)) }
        }
        let all = sum(Array(WebPages.assets.keys))
        let chat = sum(WebPages.assets.keys.filter { !$0.hasPrefix("admin") && $0 != "qr.js" })
        #expect(all.plain <= 255_000)
        #expect(all.packed <= 84_000)
        #expect(chat.plain <= 160_000)
        #expect(chat.packed <= 52_000)
    }

    private static func unpack(_ bytes: [UInt8], upTo limit: Int) -> [UInt8]? {
        var stream = z_stream()
        guard skerry_inflate_init(&stream, 15 + 16) == Z_OK else { return nil }
        defer { inflateEnd(&stream) }
        var input = bytes
        var output = [UInt8](repeating: 0, count: limit)
        let status = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                return inflate(&stream, Z_FINISH)
            }
        }
        return status == Z_STREAM_END ? Array(output.prefix(limit - Int(stream.avail_out))) : nil
    }
}
