import ChatCodec
import HTTPTypes
import Hummingbird
import NIOCore
import SkerryModel

/// A refusal on its way out: an error of the registry, and what HTTP says beside it.
struct Refusal: Error {
    var error: SkerryError
    /// For what the registry has no status of its own: `405`, `415`, `426`.
    var status: HTTPResponse.Status?
    var headers = HTTPFields()

    static func mediaType(_ detail: String) -> Refusal {
        Refusal(error: SkerryError(.badRequest, detail), status: .unsupportedMediaType, headers: [.accept: "application/json"])
    }

    static func method(allow: String) -> Refusal {
        Refusal(error: SkerryError(.badRequest, "This address knows only \(allow)."), status: .methodNotAllowed, headers: [.allow: allow])
    }

    /// The problem document (RFC 9457).
    func response() -> Response {
        let status = self.status ?? HTTPResponse.Status(code: self.error.code.httpStatus)
        var headers = self.headers
        headers[.contentType] = "application/problem+json"
        headers[.cacheControl] = "no-store"
        if let seconds = self.error.retryAfterSeconds { headers[.retryAfter] = String(seconds) }
        if status == .unauthorized {
            headers[.wwwAuthenticate] = self.error.code == .tokenExpired ? "Bearer error=\"invalid_token\"" : "Bearer"
        }
        let body = JSONWriter.make { json in
            guard self.status != nil else { return self.error.write(to: &json) }
            json.field("type", "about:blank")
            json.field("code", self.error.code.rawValue)
            json.field("status", status.code)
            json.field("title", status.reasonPhrase)
            json.field("detail", self.error.detail)
            json.field("temporary", false)
        }
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: body))
    }
}
