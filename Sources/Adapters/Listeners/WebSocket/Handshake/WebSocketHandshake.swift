import ChatCodec
import Crypto
package import NIOCore
import SkerryModel

/// A place where WebSockets may be opened.
package struct WebSocketRoute: Sendable {
    /// Nil: any path.
    package var path: String?
    /// The subprotocols spoken there, one of which the client must offer; empty: any client, no subprotocol.
    package var subprotocols: [String]
    package var origins: OriginRule
    /// Offer permessage-deflate with this wish; nil: never.
    package var deflate: DeflateAgreement.Wish?
    /// Gives the handlers that take the connection over, first the one next to the socket. Called on the channel's loop.
    package var makeHandlers: @Sendable (any Channel, OpenedWebSocket) -> [any ChannelHandler]

    package init(
        path: String?, subprotocols: [String], origins: OriginRule, deflate: DeflateAgreement.Wish? = nil,
        makeHandlers: @escaping @Sendable (any Channel, OpenedWebSocket) -> [any ChannelHandler]
    ) {
        self.path = path
        self.subprotocols = subprotocols
        self.origins = origins
        self.deflate = deflate
        self.makeHandlers = makeHandlers
    }
}

/// What a handshake agreed on.
package struct OpenedWebSocket: Sendable, Hashable {
    package var path: String
    package var subprotocol: String?
    package var deflate: DeflateAgreement?
    /// What the client calls itself, for the administrator's list; cut to a bounded length.
    package var userAgent: String?
    /// Where the client is, if the connection comes from a proxy that said so.
    package var address: SocketAddress?
}

/// The opening handshake (RFC 6455 §4.2) as a decision about a request head.
package enum WebSocketHandshake {
    package enum Outcome {
        case accept(WebSocketRoute, OpenedWebSocket, response: ByteBuffer)
        case refuse(response: ByteBuffer)
    }

    private static let magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    private static let userAgentBytesMax = 120

    package static func decide(_ head: RequestHead, routes: [WebSocketRoute]) -> Outcome {
        let route: WebSocketRoute
        let opened: OpenedWebSocket
        do {
            (route, opened) = try Self.check(head, routes)
        } catch {
            return .refuse(response: error.response)
        }
        var response = ByteBuffer()
        response.writeStaticString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
        response.writeString(Self.accept(head["sec-websocket-key"].first ?? ""))
        if let subprotocol = opened.subprotocol { response.writeString("\r\nSec-WebSocket-Protocol: \(subprotocol)") }
        if let deflate = opened.deflate { response.writeString("\r\nSec-WebSocket-Extensions: \(deflate.header)") }
        response.writeStaticString("\r\n\r\n")
        return .accept(route, opened, response: response)
    }

    static func accept(_ key: String) -> String { Base64.encode(Insecure.SHA1.hash(data: Array((key + Self.magic).utf8))) }

    private static func check(_ head: RequestHead, _ routes: [WebSocketRoute]) throws(HandshakeRefusal) -> (WebSocketRoute, OpenedWebSocket) {
        guard head["host"].count == 1, let host = head["host"].first else { throw HandshakeRefusal(.badRequest, "A request has one Host header.") }
        guard head["transfer-encoding"].isEmpty, head["content-length"].allSatisfy({ $0 == "0" }) else {
            throw HandshakeRefusal(.badRequest, "A WebSocket handshake has no body.")
        }
        guard head["sec-websocket-version"] == ["13"] else { throw HandshakeRefusal(version: "This box speaks WebSocket version 13 only (RFC 6455).") }
        guard head["sec-websocket-key"].count == 1, let key = head["sec-websocket-key"].first, Base64.decodedCount(key) == 16 else {
            throw HandshakeRefusal(.badRequest, "Sec-WebSocket-Key is sixteen bytes in base64.")
        }
        guard let route = routes.first(where: { $0.path == nil || $0.path == head.path }) else {
            throw HandshakeRefusal(.notFound, "There is no WebSocket at this path.")
        }
        guard head["origin"].count <= 1 else { throw HandshakeRefusal(.badRequest, "A request has one Origin header at most.") }
        if let origin = head["origin"].first, !route.origins.allows(origin, host: host) {
            throw HandshakeRefusal(.forbidden, "Pages of another origin may not open a WebSocket here.")
        }
        let offered = head.list("sec-websocket-protocol")
        let subprotocol = offered.first { route.subprotocols.contains($0) }
        if subprotocol == nil, !route.subprotocols.isEmpty {
            throw HandshakeRefusal(.badRequest, "Offer the subprotocol \(route.subprotocols.joined(separator: " or ")).")
        }
        let deflate = route.deflate.flatMap { DeflateAgreement(offers: head["sec-websocket-extensions"].joined(separator: ","), wish: $0) }
        let userAgent = head["user-agent"].first.map { String(decoding: $0.utf8.prefix(Self.userAgentBytesMax), as: UTF8.self) }
        return (route, OpenedWebSocket(path: head.path, subprotocol: subprotocol, deflate: deflate, userAgent: userAgent))
    }
}

/// A handshake refused: an HTTP response with a problem document, after which the connection is closed.
struct HandshakeRefusal: Error {
    private let status: Int
    private let isVersion: Bool
    private let error: SkerryError

    init(_ code: ErrorCode, _ detail: String) {
        self.error = SkerryError(code, detail)
        self.status = code.httpStatus
        self.isVersion = false
    }

    /// 426, which the registry of errors has no code for: it exists on this carrier only.
    init(version detail: String) {
        self.error = SkerryError(.badRequest, detail)
        self.status = 426
        self.isVersion = true
    }

    var response: ByteBuffer {
        let body = JSONWriter.make {
            $0.field("type", "about:blank")
            $0.field("code", self.error.code.rawValue)
            $0.field("status", self.status)
            $0.field("title", self.error.code.title)
            $0.field("detail", self.error.detail)
            $0.field("temporary", self.error.code.isTemporary)
        }
        let reason =
            switch self.status {
            case 400: "Bad Request"
            case 403: "Forbidden"
            case 404: "Not Found"
            case 426: "Upgrade Required"
            default: "Refused"
            }
        var response = ByteBuffer()
        response.writeString("HTTP/1.1 \(self.status) \(reason)\r\n")
        if self.isVersion { response.writeStaticString("Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n") }
        response.writeString("Connection: \(self.isVersion ? "Upgrade, close" : "close")\r\nContent-Type: application/problem+json\r\n")
        response.writeString("Content-Length: \(body.readableBytes)\r\nCache-Control: no-store\r\n\r\n")
        response.writeImmutableBuffer(body)
        return response
    }
}
