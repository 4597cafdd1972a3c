import NIOCore
import SkerryModel
import TestKit
import Testing

@testable import Listeners

@Suite("PROXY headers") struct ProxyHeaderTests {
    static let bytesMax = 2_048

    static func read(_ bytes: [UInt8]) -> ProxyHeader.Verdict { ProxyHeader.read(ByteBuffer(bytes: bytes).readableBytesView, binaryBytesMax: Self.bytesMax) }

    static func binary(_ command: UInt8, _ family: UInt8, _ body: [UInt8], length: Int? = nil) -> [UInt8] {
        let length = length ?? body.count
        return ProxyHeader.signature + [command, family, UInt8(length >> 8), UInt8(length & 0xFF)] + body
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var bytes: [UInt8]
        /// Nil: the header is wrong. "": the connection's own address counts.
        var address: String?
        var port = 0
        var testDescription: String { self.name }
    }

    /// From 2001:db8::7, port 4, to ::1, port 5.
    static let version6: [UInt8] = [
        0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 5,
    ]

    static let right: [Case] = [
        Case(name: "TCP4", bytes: Array("PROXY TCP4 192.0.2.7 10.0.0.1 56324 1883\r\n".utf8), address: "192.0.2.7", port: 56_324),
        Case(name: "TCP6", bytes: Array("PROXY TCP6 2001:db8::7 ::1 4 65535\r\n".utf8), address: "2001:db8::7", port: 4),
        Case(
            name: "the longest TCP6",
            bytes: Array(
                "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n".utf8),
            address: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", port: 65_535),
        Case(name: "UNKNOWN", bytes: Array("PROXY UNKNOWN\r\n".utf8), address: ""),
        Case(name: "UNKNOWN with a tail", bytes: Array("PROXY UNKNOWN ffff:ffff 1 what ever\r\n".utf8), address: ""),
        Case(name: "v2 IPv4", bytes: Self.binary(0x21, 0x11, [192, 0, 2, 7, 10, 0, 0, 1, 0xDC, 0x04, 7, 0x5B]), address: "192.0.2.7", port: 56_324),
        Case(
            name: "v2 IPv4 with more behind the addresses", bytes: Self.binary(0x21, 0x11, [192, 0, 2, 7, 10, 0, 0, 1, 0xDC, 4, 7, 0x5B, 4, 0, 1, 9]),
            address: "192.0.2.7", port: 56_324),
        Case(name: "v2 IPv6", bytes: Self.binary(0x21, 0x21, Self.version6), address: "2001:db8::7", port: 4),
        Case(name: "v2 datagram", bytes: Self.binary(0x21, 0x12, [192, 0, 2, 7, 10, 0, 0, 1, 0, 1, 0, 2]), address: "192.0.2.7", port: 1),
        Case(name: "v2 LOCAL", bytes: Self.binary(0x20, 0x00, []), address: ""),
        Case(name: "v2 LOCAL with addresses that do not count", bytes: Self.binary(0x20, 0x11, [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]), address: ""),
        Case(name: "v2 unspecified", bytes: Self.binary(0x21, 0x00, [1, 2, 3]), address: ""),
        Case(name: "v2 Unix", bytes: Self.binary(0x21, 0x31, [UInt8](repeating: 0x61, count: 216)), address: ""),
        Case(name: "v2 as long as may be", bytes: Self.binary(0x20, 0x00, [UInt8](repeating: 0, count: Self.bytesMax - 16)), address: ""),
    ]

    @Test("a header says who the client is, however it is cut, and what follows is left alone", arguments: Self.right)
    func accepted(_ given: Case) throws {
        for end in 0..<given.bytes.count {
            #expect(Self.read(Array(given.bytes[..<end])) == .incomplete, "after \(end) bytes")
        }
        for tail in [[], [0x10], Array("GET / HTTP/1.1\r\n\r\n".utf8)] as [[UInt8]] {
            guard case .complete(let length, let address) = Self.read(given.bytes + tail) else {
                Issue.record("refused")
                return
            }
            #expect(length == given.bytes.count)
            if given.address == "" {
                #expect(address == nil)
            } else {
                #expect(address == (try SocketAddress(ipAddress: try #require(given.address), port: given.port)))
            }
        }
    }

    static let wrong: [Case] = [
        Case(name: "plain MQTT", bytes: [0x10]),
        Case(name: "plain HTTP", bytes: Array("GET".utf8)),
        Case(name: "a method that begins alike", bytes: Array("PROPFIND".utf8)),
        Case(name: "no blank after the word", bytes: Array("PROXY\tTCP4".utf8)),
        Case(name: "no CR", bytes: Array("PROXY UNKNOWN\n".utf8)),
        Case(name: "no end", bytes: Array(("PROXY UNKNOWN " + String(repeating: "a", count: 100)).utf8)),
        Case(name: "no family", bytes: Array("PROXY \r\n".utf8)),
        Case(name: "an unknown family", bytes: Array("PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n".utf8)),
        Case(name: "lower case", bytes: Array("PROXY tcp4 1.2.3.4 1.2.3.4 1 1\r\n".utf8)),
        Case(name: "two blanks", bytes: Array("PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n".utf8)),
        Case(name: "a field too few", bytes: Array("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n".utf8)),
        Case(name: "a field too many", bytes: Array("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n".utf8)),
        Case(name: "the other family's address", bytes: Array("PROXY TCP4 ::1 ::1 1 1\r\n".utf8)),
        Case(name: "a name", bytes: Array("PROXY TCP4 localhost 1.2.3.4 1 1\r\n".utf8)),
        Case(name: "a leading zero in the address", bytes: Array("PROXY TCP4 010.2.3.4 1.2.3.4 1 1\r\n".utf8)),
        Case(name: "a zone", bytes: Array("PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n".utf8)),
        Case(name: "port 65536", bytes: Array("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n".utf8)),
        Case(name: "port 01", bytes: Array("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n".utf8)),
        Case(name: "port +1", bytes: Array("PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n".utf8)),
        Case(name: "not ASCII", bytes: Array("PROXY TCP4 1.2.3.4 1.2.3.4 1 1ß\r\n".utf8)),
        Case(name: "v2 version 1", bytes: Self.binary(0x11, 0x11, [])),
        Case(name: "v2 unknown command", bytes: Self.binary(0x22, 0x11, [UInt8](repeating: 0, count: 12))),
        Case(name: "v2 unknown family", bytes: Self.binary(0x21, 0x41, [UInt8](repeating: 0, count: 12))),
        Case(name: "v2 unknown transport", bytes: Self.binary(0x21, 0x13, [UInt8](repeating: 0, count: 12))),
        Case(name: "v2 too short for IPv4", bytes: Self.binary(0x21, 0x11, [UInt8](repeating: 0, count: 11))),
        Case(name: "v2 too short for IPv6", bytes: Self.binary(0x21, 0x21, [UInt8](repeating: 0, count: 35))),
        Case(name: "v2 too long, before it has come", bytes: Self.binary(0x20, 0x00, [], length: Self.bytesMax - 15)),
        Case(name: "v2 with a broken signature", bytes: Array(ProxyHeader.signature.dropLast()) + [0x0B]),
    ]

    @Test("what is not exactly right is refused, however it is cut, and never later than it can be known", arguments: Self.wrong)
    func refused(_ given: Case) {
        guard case .wrong = Self.read(given.bytes) else {
            Issue.record("\(Self.read(given.bytes))")
            return
        }
        for end in 0..<given.bytes.count {
            if case .complete = Self.read(Array(given.bytes[..<end])) { Issue.record("taken after \(end) bytes") }
        }
    }

    @Test("random and mutated headers never give an address that is not written in them")
    func mutated() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<20_000 {
            var bytes = Self.right.randomElement(using: &random)?.bytes ?? []
            for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            if case .complete(let length, _) = Self.read(bytes) { #expect(length <= bytes.count, "seed \(seed): \(bytes)") }
        }
    }
}
