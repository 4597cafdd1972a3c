import ChatCodec
import HTTPTypes
import Hummingbird
import NIOCore
import SkerryModel

/// Reads the JSON body of a request, as much as the box accepts and no more.
enum RequestBodyReader {
    /// The connection broke while the body was coming in; the server, not a problem document, deals with it.
    struct Broken: Error { let underlying: any Error }

    static func fields(_ request: Request, from access: Route.Access, limits: Limits) async throws -> (fields: RequestFields, bytes: ByteBuffer) {
        let most = access == .open ? min(limits.strangerBytesMax, limits.httpBodyBytesMax) : limits.httpBodyBytesMax
        let bytes = try await Self.bytes(request, most: most)
        if bytes.readableBytes > 0 { try Self.checkType(request.headers) }
        return (try ChatDecoder.fields(bytes, limits: limits), bytes)
    }

    private static func bytes(_ request: Request, most: Int) async throws -> ByteBuffer {
        // What is announced too large is refused before a byte of it is waited for; what comes in pieces, at the piece that is too much.
        if let announced = request.headers[.contentLength] {
            guard !announced.isEmpty, announced.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
                throw SkerryError(.badRequest, "Content-Length is not a number.")
            }
            guard let count = Int(announced), count <= most else { throw Self.tooLarge(most) }
        }
        do {
            return try await request.body.collect(upTo: most)
        } catch is NIOTooManyBytesError {
            throw Self.tooLarge(most)
        } catch {
            throw Broken(underlying: error)
        }
    }

    private static func tooLarge(_ most: Int) -> SkerryError {
        SkerryError(.tooLarge, "A request's body has at most \(most) bytes.")
    }

    private static func checkType(_ headers: HTTPFields) throws {
        let encoding = headers[.contentEncoding]?.lowercased() ?? "identity"
        guard encoding == "identity" else { throw Refusal.mediaType("The body must not be compressed.") }
        let type = headers[.contentType]?.prefix { $0 != ";" }.lowercased() ?? ""
        guard Self.trimmed(type) == "application/json" else { throw Refusal.mediaType("The body is application/json.") }
    }

    private static func trimmed(_ text: String) -> Substring {
        var text = text[...]
        while text.last == " " || text.last == "\t" { text.removeLast() }
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        return text
    }
}
