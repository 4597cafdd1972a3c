import Crypto
import NIOCore
import Synchronization

/// One file of the web pages, as it is sent: its type, its tag, and its bytes plain or compressed.
///
/// `files`, the list of them all, is written by the build from the `Assets` folder (AssetsPlugin).
final class Asset: Sendable {
    let name: String
    let contentType: String
    /// SHA-256 of the content in hexadecimal: the strong validator, without its quotes.
    let hash: String
    private let content: StaticString
    /// Compressed when the first browser asks for it, then kept: a few tens of kilobytes for all of them together.
    private let compressed = Mutex<ByteBuffer?>(nil)

    init(name: String, content: StaticString) {
        self.name = name
        self.content = content
        self.contentType = Self.contentType(of: name)
        self.hash = content.withUTF8Buffer { Self.hexadecimal(SHA256.hash(data: UnsafeRawBufferPointer($0))) }
    }

    /// The bytes as they are in the binary; copied for each request, because nearly every browser takes the compressed ones.
    var plain: ByteBuffer { ByteBuffer(staticString: self.content) }

    /// The bytes in gzip; nil when the library refuses, and the plain ones will do.
    var gzip: ByteBuffer? {
        self.compressed.withLock { kept in
            if let kept { return kept }
            kept = self.content.withUTF8Buffer { Gzip.compress($0) }
            return kept
        }
    }

    private static func contentType(of name: String) -> String {
        switch name.split(separator: ".").last {
        case "html": "text/html; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "js": "text/javascript; charset=utf-8"
        case "svg": "image/svg+xml"
        case "webmanifest": "application/manifest+json"
        default: "text/plain; charset=utf-8"
        }
    }

    private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        for byte in bytes {
            if byte < 16 { text += "0" }
            text += String(byte, radix: 16)
        }
        return text
    }
}
