import FoundationEssentials
package import NIOCore
package import SkerryModel

/// Every field that a request of the chat may carry, on any carrier; which ones count is the verb's business.
///
/// Unknown fields are ignored, as PRODUCT.md §4 says. A field of the wrong type is `bad_request` with its name.
package struct RequestFields: Decodable, Sendable {
    package var token, device, cursor, hop, since, after, before: String?
    package var limit: Int?
    package var conv, cid, kind, text, label, type, data, replyTo, mid, emoji: String?
    package var lat, lon, accuracy: Double?
    package var on: Bool?
    package var recv, read, q, title, user, role: String?
    package var users, members: [String]?
    package var name, password, display, old, new: String?
    package var uses, hours: Int?
    package var access, filter, effect, client, topic, id: String?
    /// Of boxes and their federation.
    package var reason, passphrase, file: String?
    package var waits, lost: Bool?
    package var media: Media?

    /// Read only so that a media message is refused by name until the media store exists.
    package struct Media: Decodable, Sendable { package var hash: String? }

    package init() {}
}

/// A request frame: `{"t":…,"id":…,"d":{…}}`.
package struct RequestFrame: Decodable, Sendable {
    package var t: String
    package var id: Int?
    package var d: RequestFields?
}

/// The outside of a request frame, whatever its fields are.
package struct FrameIdentity: Decodable, Sendable {
    package var t: String?
    package var id: Int?
}

package enum ChatDecoder {
    /// Reads one frame. Size is the transport's business; depth is checked here before anything is built.
    package static func frame(_ bytes: ByteBuffer, limits: Limits) throws(SkerryError) -> RequestFrame {
        let frame: RequestFrame = try Self.decode(bytes, limits: limits)
        if let id = frame.id, !(0...(1 << 53) - 1).contains(id) {
            throw SkerryError(.badRequest, "id is an integer from 0 to 9007199254740991.", field: "id")
        }
        return frame
    }

    /// The id of a frame whose fields could not be read, so that the refusal reaches who waits for it; nil when it is no request at all.
    package static func identity(_ bytes: ByteBuffer, limits: Limits) -> FrameIdentity? {
        guard let identity: FrameIdentity = try? Self.decode(bytes, limits: limits), identity.t != nil else { return nil }
        return identity
    }

    /// Reads the body of an HTTP or MQTT request; an empty one is an object without fields.
    package static func fields(_ bytes: ByteBuffer, limits: Limits) throws(SkerryError) -> RequestFields {
        if bytes.readableBytes == 0 { return RequestFields() }
        return try Self.decode(bytes, limits: limits)
    }

    private static func decode<Value: Decodable>(_ bytes: ByteBuffer, limits: Limits) throws(SkerryError) -> Value {
        try Self.checkShape(bytes.readableBytesView, depthMax: limits.jsonDepthMax)
        do {
            return try JSONDecoder().decode(Value.self, from: Data(bytes.readableBytesView))
        } catch let error as DecodingError {
            throw Self.refusal(error)
        } catch {
            throw SkerryError(.badRequest, "The text is not JSON.")
        }
    }

    /// One object, nested at most `depthMax` deep, without bytes that would make the decoder guess another encoding.
    private static func checkShape(_ bytes: ByteBufferView, depthMax: Int) throws(SkerryError) {
        var depth = 0
        var isInString = false
        var isEscaped = false
        var isFirst = true
        for byte in bytes {
            if byte == 0 { throw SkerryError(.badRequest, "The text holds a NUL byte.") }
            if isFirst {
                if byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { continue }
                guard byte == UInt8(ascii: "{") else { throw SkerryError(.badRequest, "A request is one JSON object.") }
                isFirst = false
            }
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                if depth > depthMax { throw SkerryError(.badRequest, "JSON nests deeper than \(depthMax) levels.") }
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
        }
        if isFirst { throw SkerryError(.badRequest, "A request is one JSON object.") }
    }

    private static func refusal(_ error: DecodingError) -> SkerryError {
        let (context, what): (DecodingError.Context, String)
        switch error {
        case .typeMismatch(_, let found): (context, what) = (found, "has the wrong type")
        case .valueNotFound(_, let found): (context, what) = (found, "is missing")
        case .keyNotFound(let key, _): return SkerryError(.badRequest, "\(Self.name(key)) is missing.", field: Self.name(key))
        case .dataCorrupted(let found): (context, what) = (found, "is not valid")
        @unknown default: return SkerryError(.badRequest, "The text is not JSON.")
        }
        guard let last = context.codingPath.last(where: { $0.intValue == nil }) else { return SkerryError(.badRequest, "The text is not one JSON object.") }
        return SkerryError(.badRequest, "\(Self.name(last)) \(what).", field: Self.name(last))
    }

    /// Only names that the decoder asked for reach a message: they are ours, not the client's.
    private static func name(_ key: any CodingKey) -> String { String(key.stringValue.prefix(32)) }
}
