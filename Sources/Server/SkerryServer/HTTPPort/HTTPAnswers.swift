package import Hummingbird
package import HummingbirdCore
package import Logging
package import SkerryNode
import HTTPTypes
import NIOCore
import NIOHTTP1

/// Hummingbird's request path as its `Application` runs it: a request id, the router, a date, the answer out.
package enum HTTPAnswers {
    /// - Parameters:
    ///   - router: what `Router.buildResponder()` gives.
    ///   - upgradePaths: paths that are for WebSockets only; a request that is none gets 426 there.
    package static func responder<Responder: HTTPResponder>(
        _ router: Responder, upgradePaths: Set<String>, clock: NodeClock, logger: Logger
    ) -> HTTPChannelHandler.Responder where Responder.Context: InitializableFromSource<ApplicationRequestContextSource> {
        let dates = HTTPDateCache(clock: clock)
        return { request, writer, channel in
            var logger = logger
            logger[metadataKey: "hb.request.id"] = .stringConvertible(RequestID())
            var response = Self.upgradeRequired
            if !upgradePaths.contains(request.uri.path) {
                do {
                    response = try await router.respond(to: request, context: Responder.Context(source: .init(channel: channel, logger: logger)))
                } catch let error as HTTPParserError {
                    throw error
                } catch {
                    logger.error("A request failed.", metadata: ["error.type": "\(type(of: error))"])
                    response = Response(status: .internalServerError)
                }
            }
            response.headers[.date] = dates.text
            do {
                try await writer.write(response: response.head, body: response.body)
            } catch is HTTPParserError {
                // Thrown on as it is, it would be answered a second time.
                throw BrokenWhileAnswering()
            }
        }
    }

    private struct BrokenWhileAnswering: Error {}

    private static var upgradeRequired: Response {
        let body = """
            {"type":"about:blank","code":"bad_request","status":426,"title":"The request could not be understood.",\
            "detail":"This address is for WebSocket, opened as the first request of a connection.","temporary":false}
            """
        var headers: HTTPFields = [.contentType: "application/problem+json", .upgrade: "websocket", .connection: "Upgrade", .cacheControl: "no-store"]
        if let version = HTTPField.Name("Sec-WebSocket-Version") { headers[version] = "13" }
        return Response(
            status: HTTPResponse.Status(code: 426, reasonPhrase: "Upgrade Required"), headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: body))
        )
    }
}
