import HTTPTypes
import Hummingbird
import NIOCore

/// Lets the web chat of another box of the federation ask this one, when its user was sent here (Fetch §3.2, CORS).
///
/// Nothing is given away by it: a browser adds no cookie and no password to such a request, so an answer goes to whoever has the token. Every other
/// page is told nothing, and its browser keeps the answer from it. The administrator's interface is for the box's own pages.
struct SisterPageMiddleware: RouterMiddleware {
    typealias Context = SkerryRequestContext

    let isSister: @Sendable (_ origin: String) -> Bool

    /// How long a browser may go without asking again; a box that was removed is let in no longer than that, and then only with a good token.
    private static let secondsKept = "600"

    func handle(
        _ request: Request, context: SkerryRequestContext, next: @concurrent (Request, SkerryRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let origin = request.headers[.origin], Self.isForPages(request.uri.path), self.isSister(origin) else { return try await next(request, context) }
        var response: Response
        if request.method == .options, request.headers[.accessControlRequestMethod] != nil {
            response = Response(status: .noContent)
            response.headers[.accessControlAllowMethods] = "GET, HEAD, POST, PUT, PATCH, DELETE"
            response.headers[.accessControlAllowHeaders] = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Range"
            response.headers[.accessControlMaxAge] = Self.secondsKept
        } else {
            response = try await next(request, context)
        }
        response.headers[.accessControlAllowOrigin] = origin
        response.headers[.accessControlExposeHeaders] = "ETag, Retry-After, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
        response.headers[.vary] = response.headers[.vary].map { "\($0), Origin" } ?? "Origin"
        return response
    }

    private static func isForPages(_ path: String) -> Bool { path.hasPrefix("/v1/") && path != "/v1/admin" && !path.hasPrefix("/v1/admin/") }
}
