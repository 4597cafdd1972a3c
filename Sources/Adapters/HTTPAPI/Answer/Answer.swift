import ChatCodec
import Crypto
import HTTPTypes
import Hummingbird
import NIOCore
import SkerryModel

/// What a route answers when all went well.
struct Answer: Sendable {
    var status: HTTPResponse.Status
    var body: ByteBuffer?
    var contentType = "application/json"
    var headers = HTTPFields()

    static func json(_ body: ByteBuffer, _ status: HTTPResponse.Status = .ok) -> Answer { Answer(status: status, body: body) }
    static func json(_ status: HTTPResponse.Status = .ok, _ body: (inout JSONWriter) -> Void) -> Answer {
        Answer(status: status, body: JSONWriter.make(body))
    }
    static func text(_ body: String, _ contentType: String) -> Answer {
        Answer(status: .ok, body: ByteBuffer(string: body), contentType: contentType)
    }
    static let nothing = Answer(status: .noContent, body: nil)

    func response() -> Response {
        var headers = self.headers
        headers[.cacheControl] = headers[.cacheControl] ?? "no-store"
        guard let body = self.body else { return Response(status: self.status, headers: headers) }
        headers[.contentType] = self.contentType
        return Response(status: self.status, headers: headers, body: ResponseBody(byteBuffer: body))
    }
}

/// Strong validators (RFC 9110 §8.8.3): a hash of the very bytes that were answered.
enum EntityTag {
    static func of(_ body: ByteBuffer) -> String {
        var hash = SHA256()
        body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return "\"\(Base32.encode(Array(hash.finalize()).prefix(16)))\""
    }

    /// Whether a list of tags as in `If-Match` names `tag`. Weak ones never match strongly.
    static func list(_ header: String, names tag: String) -> Bool {
        header.split(separator: ",").contains { item in
            let item = item.drop { $0 == " " || $0 == "\t" }
            let end = item.lastIndex { $0 != " " && $0 != "\t" }
            guard let end else { return false }
            return item[...end] == "*" || item[...end] == tag
        }
    }

    /// Throws unless the request's `If-Match`, if there is one, names `tag`.
    static func check(_ header: String?, _ tag: String) throws(SkerryError) {
        guard let header, !Self.list(header, names: tag) else { return }
        throw SkerryError(.preconditionFailed, "It has changed since you read it; read it again.")
    }
}
