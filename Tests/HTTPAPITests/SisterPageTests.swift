import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import HTTPAPI

/// What the web chat of another box is told.
@Suite struct SisterPageTests {
    private static let sister = "http://10.0.0.2:8080"

    private func ask(_ method: HTTPRequest.Method, _ path: String, origin: String?, asks: String? = nil) async throws -> Response {
        let router = Router(context: SkerryRequestContext.self)
        router.add(middleware: SisterPageMiddleware { $0 == Self.sister })
        router.get("v1/me") { _, _ in Response(status: .ok, headers: [.vary: "Accept-Encoding"]) }
        router.get("v1/admin/boxes") { _, _ in Response(status: .ok) }
        router.on("v1/me", method: .options) { _, _ in Response(status: .noContent, headers: [.allow: "GET, OPTIONS"]) }
        router.on("v1/admin/boxes", method: .options) { _, _ in Response(status: .noContent, headers: [.allow: "GET, OPTIONS"]) }
        var headers = HTTPFields()
        headers[.origin] = origin
        headers[.accessControlRequestMethod] = asks
        let head = HTTPRequest(method: method, scheme: "http", authority: "10.0.0.1:8080", path: path, headerFields: headers)
        let context = SkerryRequestContext(source: .init(channel: EmbeddedChannel(), logger: Logger(label: "test")))
        return try await router.buildResponder().respond(to: Request(head: head, body: RequestBody(buffer: ByteBuffer())), context: context)
    }

    @Test("the page of another box may ask and read the answer; caches keep it apart from what others get")
    func allowed() async throws {
        let answer = try await self.ask(.get, "/v1/me", origin: Self.sister)
        #expect(answer.headers[.accessControlAllowOrigin] == Self.sister)
        #expect(answer.headers[.vary] == "Accept-Encoding, Origin")
        #expect(answer.headers[.accessControlAllowCredentials] == nil)
        let before = try await self.ask(.options, "/v1/me", origin: Self.sister, asks: "PATCH")
        #expect(before.status == .noContent)
        #expect(before.headers[.accessControlAllowOrigin] == Self.sister)
        #expect(before.headers[.accessControlAllowMethods]?.contains("PATCH") == true)
        #expect(before.headers[.accessControlAllowHeaders]?.contains("Authorization") == true)
    }

    @Test("any other page is told nothing", arguments: [nil, "http://evil.example", "http://10.0.0.2:8080.evil.example", "null"])
    func others(_ origin: String?) async throws {
        for (method, asks) in [(HTTPRequest.Method.get, String?.none), (.options, "GET")] {
            let answer = try await self.ask(method, "/v1/me", origin: origin, asks: asks)
            #expect(answer.headers[.accessControlAllowOrigin] == nil)
            #expect(answer.headers[.accessControlAllowHeaders] == nil)
        }
    }

    @Test("the administrator's interface is for the box's own pages")
    func administration() async throws {
        #expect(try await self.ask(.get, "/v1/admin/boxes", origin: Self.sister).headers[.accessControlAllowOrigin] == nil)
        #expect(try await self.ask(.options, "/v1/admin/boxes", origin: Self.sister, asks: "GET").headers[.accessControlAllowOrigin] == nil)
    }
}
