import MQTTCodec
import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Who reads the bytes of a case.
enum Reader: Sendable, Hashable {
    case freshServer
    case server(MQTTVersion)
    case client(MQTTVersion)

    init?(_ text: Substring) {
        let parts = text.split(separator: "/")
        let version = parts.dropFirst().first.flatMap { UInt8($0) }.flatMap(MQTTVersion.init(rawValue:))
        switch (parts.first, version) {
        case ("server", nil): self = .freshServer
        case ("server", let version?): self = .server(version)
        case ("client", let version?): self = .client(version)
        default: return nil
        }
    }

    var version: MQTTVersion? {
        switch self {
        case .freshServer: nil
        case .server(let version), .client(let version): version
        }
    }

    /// A decoder that stands where this reader does.
    func decoder(_ limits: MQTTCodecLimits = MQTTCodecLimits()) throws -> MQTTDecoder {
        switch self {
        case .freshServer: return MQTTDecoder(limits: limits)
        case .client(let version): return MQTTDecoder(clientOf: version, limits: limits)
        case .server(let version):
            var decoder = MQTTDecoder(limits: limits)
            var connect = ByteBuffer()
            MQTTEncoder.encode(.connect(MQTTConnect(version: version, clientID: "c")), version: version, into: &connect)
            decoder.append(connect)
            guard case .connect = try decoder.next() else { throw CorpusError(line: "the preparing CONNECT") }
            return decoder
        }
    }
}

struct CorpusError: Error {
    let line: String
}

/// One line of the corpus.
struct CorpusCase: Sendable, CustomStringConvertible {
    enum Outcome: Sendable, Hashable {
        /// These packets, and they encode to the same bytes.
        case exact([String])
        /// These packets, and they encode to other bytes.
        case read([String])
        case more
        case error(reason: UInt8, cause: String)
    }

    let tag: String
    let reader: Reader
    let bytes: [UInt8]
    let outcome: Outcome
    let claim: String
    let file: String

    var description: String { "\(self.tag) \(self.claim) (\(self.file))" }

    init(_ line: String, file: String) throws {
        let fields = line.split(separator: "|", omittingEmptySubsequences: false).map { $0.trimmed }
        guard fields.count == 5, let reader = Reader(fields[1]) else { throw CorpusError(line: line) }
        var notation = Notation(fields[2])
        self.tag = String(fields[0])
        self.reader = reader
        self.bytes = try notation.bytes()
        self.claim = String(fields[4])
        self.file = file
        let words = fields[3].split(separator: " ").map(String.init)
        switch words.first {
        case "ok": self.outcome = .exact(Array(words.dropFirst()))
        case "reads": self.outcome = .read(Array(words.dropFirst()))
        case "more": self.outcome = .more
        case "error":
            guard words.count == 3, let reason = UInt8(words[1].dropFirst(2), radix: 16) else { throw CorpusError(line: line) }
            self.outcome = .error(reason: reason, cause: words[2])
        default: throw CorpusError(line: line)
        }
    }
}

enum Corpus {
    static let files = ["framing", "connect", "publish", "subscribe", "properties", "strings"]

    static func load() throws -> [CorpusCase] {
        try self.files.flatMap { name in
            try self.text(name).split(separator: "\n").filter { !$0.hasPrefix(";") && !$0.trimmed.isEmpty }
                .map { try CorpusCase(String($0), file: "\(name).txt") }
        }
    }

    private static func text(_ name: String) throws -> String {
        let path = "\(#filePath)".split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/Corpus/\(name).txt"
        guard let file = fopen(path, "r") else { throw CorpusError(line: path) }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The notation of the corpus: hexadecimal with lengths that count themselves.
private struct Notation {
    private var tokens: [Substring] = []
    private let line: String

    init(_ text: Substring) {
        self.line = String(text)
        var rest = text.trimmed
        while let first = rest.first {
            if first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") {
                self.tokens.append(rest[...end])
                rest = rest[rest.index(after: end)...]
            } else {
                let end = rest.firstIndex(of: " ") ?? rest.endIndex
                self.tokens.append(rest[..<end])
                rest = rest[end...]
            }
            rest = rest.trimmed
        }
        self.tokens.reverse()
    }

    mutating func bytes(until end: Substring? = nil) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let token = self.tokens.popLast() {
            if token == end { return bytes }
            switch token {
            case "{":
                let inner = try self.bytes(until: "}")
                bytes += Self.variable(inner.count) + inner
            case "[", "[]":
                let inner = token == "[]" ? [] : try self.bytes(until: "]")
                bytes += [UInt8(inner.count >> 8), UInt8(inner.count & 0xFF)] + inner
            default: bytes += try self.literal(token)
            }
        }
        guard end == nil else { throw CorpusError(line: self.line) }
        return bytes
    }

    private func literal(_ token: Substring) throws -> [UInt8] {
        if token.hasPrefix("\"") { return Array(token.dropFirst().dropLast().utf8) }
        let parts = token.split(separator: "*")
        let times = parts.count == 2 ? Int(parts[1]) : 1
        guard let digits = parts.first, let times, digits.count.isMultiple(of: 2) else { throw CorpusError(line: self.line) }
        var bytes: [UInt8] = []
        var rest = digits
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { throw CorpusError(line: self.line) }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return Array(repeatElement(bytes, count: times).joined())
    }

    private static func variable(_ value: Int) -> [UInt8] {
        var (bytes, rest): ([UInt8], Int) = ([], value)
        repeat {
            bytes.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        return bytes
    }
}

extension StringProtocol where SubSequence == Substring {
    fileprivate var trimmed: Substring {
        var rest = self[...]
        while rest.first?.isWhitespace == true { rest = rest.dropFirst() }
        while rest.last?.isWhitespace == true { rest = rest.dropLast() }
        return rest
    }
}
