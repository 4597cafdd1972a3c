package import NIOCore
import SkerryModel

/// What a proxy says of the client before the client's own bytes: the PROXY protocol, versions 1 and 2.
///
/// Pure: bytes in, a verdict out. Strict, because what is misread here becomes somebody's address.
package enum ProxyHeader {
    package enum Verdict: Hashable {
        /// So far it is one; more is needed.
        case incomplete
        /// The header ends after `length` bytes. No address: the proxy speaks for itself (a health check), or of a client that has none here;
        /// then the connection's own address counts.
        case complete(length: Int, address: SocketAddress?)
        case wrong(String)
    }

    /// The longest header of version 1, its end included.
    package static let textBytesMax = 107
    /// The first bytes of version 2.
    package static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    static let textStart = Array("PROXY ".utf8)

    /// - Parameter binaryBytesMax: the longest header of version 2 that is taken, with everything a proxy may add to the addresses.
    package static func read(_ bytes: ByteBufferView, binaryBytesMax: Int) -> Verdict {
        switch Self.kind(bytes) {
        case .unknown: .incomplete
        case .neither: .wrong("it does not begin with a PROXY header")
        case .text: Self.readText(bytes)
        case .binary: Self.readBinary(bytes, binaryBytesMax)
        }
    }

    enum Kind { case unknown, neither, text, binary }

    /// What the first bytes can be the beginning of.
    static func kind(_ bytes: ByteBufferView) -> Kind {
        if bytes.isEmpty { return .unknown }
        for (start, kind) in [(Self.textStart, Kind.text), (Self.signature, .binary)] where bytes.first == start.first {
            guard bytes.starts(with: start.prefix(bytes.count)) else { return .neither }
            return bytes.count >= start.count ? kind : .unknown
        }
        return .neither
    }

    // MARK: - Version 1: one line

    private static func readText(_ bytes: ByteBufferView) -> Verdict {
        let window = bytes.prefix(Self.textBytesMax)
        guard let end = window.firstIndex(of: 0x0A) else {
            return window.count < Self.textBytesMax ? .incomplete : .wrong("its line has no end")
        }
        let line = window[..<end]
        guard line.last == 0x0D else { return .wrong("its line ends without CR") }
        guard line.allSatisfy({ $0 < 128 }) else { return .wrong("its line is not ASCII") }
        let words = String(decoding: line.dropLast(), as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        let length = bytes.distance(from: bytes.startIndex, to: end) + 1
        // "UNKNOWN" may be followed by anything.
        if words.count >= 2, words[1] == "UNKNOWN" { return .complete(length: length, address: nil) }
        guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6" else { return .wrong("its line is not understood") }
        let size = words[1] == "TCP4" ? 4 : 16
        guard let source = IPText.packed(words[2]), let target = IPText.packed(words[3]), source.count == size, target.count == size,
            let port = Self.port(words[4]), Self.port(words[5]) != nil, let address = Self.address(source, port)
        else { return .wrong("its addresses are not understood") }
        return .complete(length: length, address: address)
    }

    private static func port(_ text: Substring) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ 48...57 ~= $0 }), text.utf8.count == 1 || text.first != "0", let port = Int(text),
            port <= 65_535
        else { return nil }
        return port
    }

    // MARK: - Version 2: binary

    private static func readBinary(_ bytes: ByteBufferView, _ bytesMax: Int) -> Verdict {
        let header = Array(bytes.prefix(16))
        guard header.count == 16 else { return .incomplete }
        guard header[12] >> 4 == 2 else { return .wrong("its version is unknown") }
        let length = 16 + (Int(header[14]) << 8 | Int(header[15]))
        guard length <= bytesMax else { return .wrong("it is longer than \(bytesMax) bytes") }
        guard bytes.count >= length else { return .incomplete }
        let body = Array(bytes.prefix(length).dropFirst(16))
        let (family, transport) = (header[13] >> 4, header[13] & 0x0F)
        switch header[12] & 0x0F {
        case 0: return .complete(length: length, address: nil)
        case 1: break
        default: return .wrong("its command is unknown")
        }
        guard family <= 3, transport <= 2 else { return .wrong("its address family is unknown") }
        let size: Int
        switch family {
        case 1: size = 4
        case 2: size = 16
        // Unspecified, and Unix sockets: there is no address that means anything here.
        default: return .complete(length: length, address: nil)
        }
        guard body.count >= 2 * size + 4 else { return .wrong("its addresses are cut off") }
        let port = Int(body[2 * size]) << 8 | Int(body[2 * size + 1])
        guard let address = Self.address(Array(body.prefix(size)), port) else { return .wrong("its addresses are not understood") }
        return .complete(length: length, address: address)
    }

    private static func address(_ packed: [UInt8], _ port: Int) -> SocketAddress? {
        try? SocketAddress(packedIPAddress: ByteBuffer(bytes: packed), port: port)
    }
}
