package import NIOCore

/// The head of an HTTP/1.1 GET, read strictly, only to see whether it asks for a WebSocket.
///
/// What does not fit is nobody's WebSocket: it goes to the HTTP server unread, which answers it or calls it malformed.
package struct RequestHead: Sendable, Hashable {
    package var path: String
    private var fields: [Field]

    private struct Field: Sendable, Hashable {
        var name: String
        var value: String
    }

    static let fieldsMax = 100

    /// - Parameter bytes: up to and including the empty line.
    package init?(_ bytes: ByteBufferView) {
        var lines: [Slice<ByteBufferView>] = []
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            guard end > rest.startIndex, rest[rest.index(before: end)] == UInt8(ascii: "\r") else { return nil }
            lines.append(Slice(base: bytes, bounds: rest.startIndex..<rest.index(before: end)))
            rest = rest[rest.index(after: end)...]
            if lines.count > Self.fieldsMax + 2 { return nil }
        }
        guard let request = lines.first, rest.isEmpty, lines.count >= 2, lines.last?.isEmpty == true else { return nil }
        let words = request.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 3, words[0] == "GET", words[1].hasPrefix("/"), words[2] == "HTTP/1.1" else { return nil }
        self.path = String(words[1].prefix { $0 != "?" })
        self.fields = []
        for line in lines.dropFirst().dropLast() {
            guard let field = Self.field(line) else { return nil }
            self.fields.append(field)
        }
    }

    private static func field(_ line: Slice<ByteBufferView>) -> Field? {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let (name, value) = (line[..<colon], line[line.index(after: colon)...])
        guard !name.isEmpty, name.allSatisfy(HTTPText.isTokenByte), value.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }) else { return nil }
        return Field(name: String(decoding: name, as: UTF8.self).lowercased(), value: HTTPText.trim(String(decoding: value, as: UTF8.self)))
    }

    /// All values of a field, in order; `name` in lower case.
    package subscript(name: String) -> [String] { self.fields.filter { $0.name == name }.map(\.value) }

    /// The elements of a field that is a list, over all its lines.
    package func list(_ name: String) -> [String] { self[name].flatMap { HTTPText.list($0) } }

    /// Whether the client wants to leave HTTP for WebSocket here. The handshake may still be refused.
    package var asksForWebSocket: Bool {
        self.list("upgrade").contains { $0.lowercased() == "websocket" } && self.list("connection").contains { $0.lowercased() == "upgrade" }
    }
}
