import NIOCore
import TestKit
import Testing

@testable import Listeners

@Suite struct DeflateTests {
    private static func agreement(_ offer: String, keepsContext: Bool = true) -> DeflateAgreement? {
        DeflateAgreement(offers: offer, wish: DeflateAgreement.Wish(keepsContext: keepsContext))
    }

    static let offers: [(String, String)] = [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=\"12\"", "permessage-deflate; server_max_window_bits=12"),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        ),
        ("x-webkit-deflate-frame, permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=15", "permessage-deflate"),
        ("permessage-deflate; unknown, permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
    ]

    @Test("an offer is answered as RFC 7692 says", arguments: offers)
    func accepted(_ offer: String, _ answer: String) {
        #expect(Self.agreement(offer)?.header == answer)
    }

    @Test(
        "an offer that cannot be met is declined, not an error",
        arguments: [
            "", "permessage-bzip2", "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08", "permessage-deflate; client_max_window_bits=1", "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover", "permessage-deflate; foo=bar",
            "permessage-deflate; server_max_window_bits=+9",
        ])
    func declined(_ offer: String) {
        #expect(Self.agreement(offer) == nil)
    }

    @Test("unless wished otherwise the box demands that nothing is kept between messages")
    func forgets() {
        #expect(
            Self.agreement("permessage-deflate", keepsContext: false)?.header == "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    }

    // MARK: - Data

    /// The client's side: the same zlib, told to write and read what the server reads and writes.
    private struct Client {
        let deflater: Deflater
        let inflater: Inflater

        init(_ agreement: DeflateAgreement) {
            var mirrored = agreement
            (mirrored.serverForgets, mirrored.clientForgets) = (agreement.clientForgets, agreement.serverForgets)
            (mirrored.serverWindowBits, mirrored.clientWindowBits) = (agreement.clientWindowBits, agreement.serverWindowBits)
            self.deflater = Deflater(mirrored)
            self.inflater = Inflater(mirrored)
        }

        func compress(_ bytes: [UInt8]) -> [UInt8] { self.deflater.deflate(ByteBuffer(bytes: bytes)).map { Array($0.readableBytesView) } ?? [] }

        func expand(_ bytes: [UInt8]) -> [UInt8]? {
            var output = ByteBuffer()
            guard self.inflater.inflate(ByteBuffer(bytes: bytes), isLast: true, into: &output, bytesMax: 1 << 24) == .done else { return nil }
            return Array(output.readableBytesView)
        }
    }

    private static let text = Array(String(repeating: "在吗? are you there? ", count: 50).utf8)

    @Test(
        "messages go both ways compressed, with and without context, cut anywhere",
        arguments: [
            "permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
        ])
    func bothWays(_ offer: String) throws {
        let agreement = try #require(Self.agreement(offer))
        let client = Client(agreement)
        var machine = WebSocketMachine(delivery: .messages(bytesMax: 1 << 20), deflate: agreement)
        for round in 0..<4 {
            let compressed = client.compress(Self.text)
            #expect(compressed.count < Self.text.count / 4)
            let half = compressed.count / 2
            let frames = [
                ClientFrame(0x41, Array(compressed[..<half])), .ping([1]), ClientFrame(0x80, Array(compressed[half...])),
            ]
            var events: [WebSocketEvent] = []
            for byte in frames.bytes {
                var bytes = ByteBuffer(bytes: [byte])
                while let event = machine.receive(&bytes) { events.append(event) }
            }
            #expect(
                events == [.ping(ByteBuffer(bytes: [1])), .message(WebSocketMessage(isText: true, payload: ByteBuffer(bytes: Self.text)))], "round \(round)")
            var out = ByteBuffer()
            machine.write(WebSocketMessage(isText: true, payload: ByteBuffer(bytes: Self.text)), into: &out)
            let frame = try #require(ServerFrame.read(&out).first)
            #expect(frame.first == 0xC1)
            #expect(client.expand(frame.payload) == Self.text, "round \(round)")
        }
    }

    @Test("with context the second message is shorter, without it is the same")
    func context() throws {
        for (offer, isShorter) in [("permessage-deflate", true), ("permessage-deflate; server_no_context_takeover", false)] {
            let agreement = try #require(Self.agreement(offer))
            var machine = WebSocketMachine(delivery: .pieces, deflate: agreement)
            var sizes: [Int] = []
            for _ in 0..<2 {
                var out = ByteBuffer()
                machine.write(WebSocketMessage(isText: true, payload: ByteBuffer(bytes: Self.text)), into: &out)
                sizes.append(out.readableBytes)
            }
            #expect((sizes[1] < sizes[0]) == isShorter)
        }
    }

    @Test("short messages go uncompressed, and a client may send uncompressed ones too")
    func short() throws {
        let agreement = try #require(Self.agreement("permessage-deflate"))
        var machine = WebSocketMachine(delivery: .messages(bytesMax: 100), deflate: agreement)
        var out = ByteBuffer()
        machine.write(WebSocketMessage(isText: true, payload: ByteBuffer(string: "hi")), into: &out)
        #expect(ServerFrame.read(&out) == [ServerFrame(first: 0x81, payload: Array("hi".utf8))])
        #expect(events([ClientFrame.text("hi").bytes], deflate: agreement) == [.message(WebSocketMessage(isText: true, payload: ByteBuffer(string: "hi")))])
    }

    @Test("an empty compressed message is one zero byte")
    func empty() throws {
        let agreement = try #require(Self.agreement("permessage-deflate"))
        #expect(events([ClientFrame(0xC1, [0x00]).bytes], deflate: agreement) == [.message(WebSocketMessage(isText: true, payload: ByteBuffer()))])
    }

    static let compressed: [[UInt8]] = [
        [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
        [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00], [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00],
    ]

    @Test("the examples of RFC 7692 §7.2.3 are read", arguments: compressed)
    func examples(_ payload: [UInt8]) throws {
        let agreement = try #require(Self.agreement("permessage-deflate"))
        let hello = WebSocketEvent.message(WebSocketMessage(isText: true, payload: ByteBuffer(string: "Hello")))
        #expect(events([ClientFrame(0xC1, payload).bytes], deflate: agreement) == [hello])
    }

    @Test("a small frame that unpacks to more than the limit is refused before it is unpacked")
    func bomb() throws {
        let agreement = try #require(Self.agreement("permessage-deflate"))
        let bomb = Client(agreement).compress([UInt8](repeating: 0x61, count: 8 << 20))
        #expect(bomb.count < 20_000)
        #expect(events([ClientFrame(0xC1, bomb).bytes], delivery: .messages(bytesMax: 65_536), deflate: agreement).last?.violationCode == 1009)
        var output = ByteBuffer()
        #expect(Inflater(agreement).inflate(ByteBuffer(bytes: bomb), isLast: true, into: &output, bytesMax: 65_536) == .tooMuch)
        #expect(output.readableBytes == 65_537)
    }

    @Test("a compressed message of exactly the limit passes, one byte more does not")
    func limit() throws {
        for (count, code) in [(65_536, nil), (65_537, 1009)] as [(Int, UInt16?)] {
            let agreement = try #require(Self.agreement("permessage-deflate"))
            let bytes = Client(agreement).compress([UInt8](repeating: 0x61, count: count))
            #expect(events([ClientFrame(0xC1, bytes).bytes], delivery: .messages(bytesMax: 65_536), deflate: agreement).last?.violationCode == code)
        }
    }

    @Test("damaged data and invalid text inside are refused with 1007")
    func damaged() throws {
        let agreement = try #require(Self.agreement("permessage-deflate"))
        #expect(events([ClientFrame(0xC1, [0xFF, 0xFF, 0xFF, 0xFF]).bytes], deflate: agreement).last?.violationCode == 1007)
        let bad = Client(agreement).compress([UInt8](repeating: 0x61, count: 100) + [0xFF])
        #expect(events([ClientFrame(0xC1, bad).bytes], deflate: agreement).last?.violationCode == 1007)
    }

    @Test("RSV1 is refused on a continuation, on control frames, and when nothing was agreed")
    func reservedBit() throws {
        let agreement = try #require(Self.agreement("permessage-deflate"))
        #expect(events([[ClientFrame(0x41, [0x00]), ClientFrame(0xC0, [0x00])].bytes], deflate: agreement).last?.violationCode == 1002)
        #expect(events([ClientFrame(0xC9).bytes], deflate: agreement).last?.violationCode == 1002)
        #expect(events([ClientFrame(0xC1, [0x00]).bytes]).last?.violationCode == 1002)
    }

    @Test("random bytes never unpack beyond the limit nor crash", arguments: [1, 2, UInt64.random(in: 0...UInt64.max)])
    func fuzz(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let agreement = try #require(Self.agreement("permessage-deflate"))
        for _ in 0..<500 {
            var bytes = Client(agreement).compress(Self.text)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            var output = ByteBuffer()
            _ = Inflater(agreement).inflate(ByteBuffer(bytes: bytes), isLast: true, into: &output, bytesMax: 2_000)
            #expect(output.readableBytes <= 2_001, "seed \(seed)")
        }
    }
}
