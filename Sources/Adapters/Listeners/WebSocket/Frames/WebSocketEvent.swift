package import NIOCore

/// A whole message, unmasked, decompressed, and valid UTF-8 if it is text.
package struct WebSocketMessage: Sendable, Hashable {
    package var isText: Bool
    package var payload: ByteBuffer

    package init(isText: Bool, payload: ByteBuffer) {
        self.isText = isText
        self.payload = payload
    }
}

/// What the bytes of a client mean.
package enum WebSocketEvent: Sendable, Hashable {
    case message(WebSocketMessage)
    /// A part of a message, in order; given instead of `message` when pieces were asked for.
    case piece(WebSocketMessage)
    /// Answer with a pong of the same payload.
    case ping(ByteBuffer)
    case pong(ByteBuffer)
    /// The client ends the connection; nothing follows. Answer with the same code.
    case close(WebSocketCloseCode?, reason: String)
    /// The client broke a rule; nothing follows. Close with the violation's code.
    case violation(WebSocketViolation)
}

/// A broken rule of RFC 6455 or 7692: the close code it is answered with and a few words of ours.
package struct WebSocketViolation: Error, Sendable, Hashable {
    package var code: WebSocketCloseCode
    package var reason: String

    static func protocolError(_ reason: String) -> Self { Self(code: .protocolError, reason: reason) }
    static let invalidUTF8 = Self(code: .invalidData, reason: "text is not UTF-8")
    static let badCompression = Self(code: .invalidData, reason: "compressed data is damaged")
    static func tooBig(_ limit: Int) -> Self { Self(code: .tooBig, reason: "message over \(limit) bytes") }
}
