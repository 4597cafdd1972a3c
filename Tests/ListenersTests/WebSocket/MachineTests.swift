import NIOCore
import TestKit
import Testing

@testable import Listeners

@Suite struct MachineTests {
    private static func message(_ text: String) -> WebSocketEvent { .message(WebSocketMessage(isText: true, payload: ByteBuffer(string: text))) }
    private static func message(_ bytes: [UInt8]) -> WebSocketEvent { .message(WebSocketMessage(isText: false, payload: ByteBuffer(bytes: bytes))) }

    // MARK: - What is right

    struct Right: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var frames: [ClientFrame]
        var events: [WebSocketEvent]
    }

    static let right: [Right] = [
        Right(testDescription: "an empty text", frames: [.text("")], events: [message("")]),
        Right(testDescription: "an empty binary message", frames: [.binary([])], events: [message([])]),
        Right(testDescription: "text of 125 bytes", frames: [.text(String(repeating: "a", count: 125))], events: [message(String(repeating: "a", count: 125))]),
        Right(testDescription: "text of 126 bytes", frames: [.text(String(repeating: "a", count: 126))], events: [message(String(repeating: "a", count: 126))]),
        Right(
            testDescription: "text of 65535 bytes", frames: [.text(String(repeating: "a", count: 65_535))],
            events: [message(String(repeating: "a", count: 65_535))]),
        Right(
            testDescription: "text of 65536 bytes", frames: [.text(String(repeating: "a", count: 65_536))],
            events: [message(String(repeating: "a", count: 65_536))]),
        Right(
            testDescription: "a ping of 125 bytes", frames: [.ping([UInt8](repeating: 7, count: 125))], events: [.ping(ByteBuffer(repeating: 7, count: 125))]),
        Right(testDescription: "a pong nobody asked for", frames: [.pong([1]), .text("x")], events: [.pong(ByteBuffer(bytes: [1])), message("x")]),
        Right(
            testDescription: "a message in three frames, the middle one empty",
            frames: [.text("a", isFinal: false), .more([], isFinal: false), .more(Array("b".utf8), isFinal: true)], events: [message("ab")]),
        Right(
            testDescription: "control frames between fragments come at once",
            frames: [.text("a", isFinal: false), .ping([1]), .more([0x62], isFinal: false), .pong([]), .more([0x63], isFinal: true)],
            events: [.ping(ByteBuffer(bytes: [1])), .pong(ByteBuffer()), message("abc")]),
        Right(
            testDescription: "a character cut by a fragment",
            frames: [ClientFrame(0x01, [0xF0, 0x9F]), .more([0x98], isFinal: false), .more([0x80], isFinal: true)], events: [message("😀")]),
        Right(testDescription: "two messages", frames: [.text("a"), .binary([1, 2])], events: [message("a"), message([1, 2])]),
        Right(testDescription: "close without code, then nothing counts", frames: [.close(), .text("x")], events: [.close(nil, reason: "")]),
        Right(testDescription: "close with a reason", frames: [.close(1000, Array("再见".utf8))], events: [.close(.normal, reason: "再见")]),
        Right(
            testDescription: "close with the longest reason", frames: [.close(3000, [UInt8](repeating: 0x61, count: 123))],
            events: [.close(WebSocketCloseCode(rawValue: 3000), reason: String(repeating: "a", count: 123))]),
        Right(
            testDescription: "close in the middle of a message", frames: [.text("a", isFinal: false), .close(1001)],
            events: [.close(.goingAway, reason: "")]),
    ]

    @Test("what RFC 6455 allows is understood, however it is cut", arguments: right)
    func understood(_ right: Right) {
        let bytes = right.frames.bytes
        #expect(events([bytes]) == right.events)
        #expect(events(bytes.count > 2_000 ? [Array(bytes.prefix(1_000)), Array(bytes.dropFirst(1_000))] : bytes.map { [$0] }) == right.events)
        for cut in 0...min(bytes.count, bytes.count > 2_000 ? 20 : 300) {
            #expect(events([Array(bytes[..<cut]), Array(bytes[cut...])]) == right.events, "cut at \(cut)")
        }
    }

    // MARK: - What is wrong

    struct Wrong: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: [UInt8]
        var code: UInt16
        /// Bytes after which it must be known.
        var knownAfter: Int

        init(_ name: String, _ frames: [ClientFrame], _ code: UInt16 = 1002, knownAfter: Int) {
            self.testDescription = name
            self.bytes = frames.bytes
            self.code = code
            self.knownAfter = knownAfter
        }
    }

    static let wrong: [Wrong] = Self.wrongOpcodes + Self.wrongFrames + Self.wrongCloseCodes

    private static let wrongOpcodes: [Wrong] = {
        let reservedBits: [UInt8] = [0x90, 0xA0, 0xC0, 0xB0, 0xD0, 0xE0, 0xF0]
        let unknown: [UInt8] = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
        let control: [UInt8] = [8, 9, 10]
        let long = [UInt8](repeating: 0, count: 126)
        var wrong = reservedBits.map { Wrong("reserved bits \(String($0 & 0x70, radix: 2))", [ClientFrame($0 | 1, [1])], knownAfter: 1) }
        wrong += unknown.map { Wrong("opcode \($0)", [ClientFrame(0x80 | $0)], knownAfter: 1) }
        wrong += control.map { Wrong("fragmented control frame \($0)", [ClientFrame($0)], knownAfter: 1) }
        wrong += control.map { Wrong("control frame \($0) of 126 bytes", [ClientFrame(0x80 | $0, long)], knownAfter: 2) }
        return wrong
    }()

    private static let wrongFrames: [Wrong] = [
        Wrong("no mask", [ClientFrame(0x81, [0x61], mask: nil)], knownAfter: 2),
        Wrong("continuation of nothing", [.more([], isFinal: true)], knownAfter: 1),
        Wrong("continuation after the end", [.text("a"), .more([], isFinal: true)], knownAfter: 8),
        Wrong("a message inside another", [.text("a", isFinal: false), .text("b")], knownAfter: 8),
        Wrong("length 125 in two bytes", [ClientFrame(0x82, [UInt8](repeating: 0, count: 125), lengthBytes: [126, 0, 125])], knownAfter: 4),
        Wrong("length 0 in two bytes", [ClientFrame(0x82, [], lengthBytes: [126, 0, 0])], knownAfter: 4),
        Wrong("length 65535 in eight bytes", [ClientFrame(0x82, [], lengthBytes: [127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF])], knownAfter: 10),
        Wrong("length with its highest bit", [ClientFrame(0x82, [], lengthBytes: [127, 0x80, 0, 0, 0, 0, 0, 0, 0])], knownAfter: 10),
        Wrong("close frame of one byte", [ClientFrame(0x88, [3])], knownAfter: 7),
        Wrong("close reason that is not UTF-8", [.close(1000, [0xFF])], 1007, knownAfter: 9),
        Wrong("close reason that ends inside a character", [.close(1000, [0xE5, 0x9C])], 1007, knownAfter: 10),
        Wrong("text with a byte that cannot be", [.text("abc\u{7F}"), ClientFrame(0x81, [0x61, 0xFF, 0x61, 0x61])], 1007, knownAfter: 10 + 8),
        Wrong("text that ends inside a character", [ClientFrame(0x81, [0xCE])], 1007, knownAfter: 7),
        Wrong("bad byte in the second fragment", [ClientFrame(0x01, [0xCE]), .more([0x61, 0x61, 0x61], isFinal: true)], 1007, knownAfter: 7 + 7),
        Wrong("surrogate cut by a fragment", [ClientFrame(0x01, [0xED]), .more([0xA0, 0x80], isFinal: false)], 1007, knownAfter: 7 + 7),
        Wrong("a message over the limit", [.binary([UInt8](repeating: 0, count: 1_001))], 1009, knownAfter: 8),
        Wrong(
            "fragments over the limit together",
            [.binary([UInt8](repeating: 0, count: 600), isFinal: false), .more([UInt8](repeating: 0, count: 401), isFinal: true)],
            1009, knownAfter: 608 + 8),
        Wrong("a length of exabytes", [ClientFrame(0x82, [], lengthBytes: [127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])], 1009, knownAfter: 14),
    ]

    private static let wrongCloseCodes: [Wrong] = {
        let codes: [UInt16] = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]
        return codes.map { Wrong("close code \($0)", [.close($0)], knownAfter: 8) }
    }()

    @Test("what RFC 6455 forbids is refused with its code, at the byte that makes it certain and not before", arguments: wrong)
    func refused(_ wrong: Wrong) {
        let limit = WebSocketMachine.Delivery.messages(bytesMax: 1_000)
        #expect(events([wrong.bytes], delivery: limit).last?.violationCode == wrong.code)
        #expect(events(wrong.bytes.map { [$0] }, delivery: limit).last?.violationCode == wrong.code)
        let known = events([Array(wrong.bytes.prefix(wrong.knownAfter))], delivery: limit)
        #expect(known.last?.violationCode == wrong.code, "known after \(wrong.knownAfter) bytes")
        let before = events([Array(wrong.bytes.prefix(wrong.knownAfter - 1))], delivery: limit)
        #expect(before.allSatisfy { $0.violationCode == nil }, "not known earlier")
    }

    @Test(
        "close codes a peer may send are accepted", arguments: [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
    func closeCodes(_ code: UInt16) {
        #expect(events([ClientFrame.close(code).bytes]) == [.close(WebSocketCloseCode(rawValue: code), reason: "")])
    }

    @Test("nothing is read after a violation")
    func nothingAfter() {
        #expect(events([[ClientFrame(0x83), .text("a")].bytes, ClientFrame.text("b").bytes]).count == 1)
    }

    @Test("a message of exactly the limit passes")
    func limit() {
        #expect(
            events([ClientFrame.binary([UInt8](repeating: 1, count: 1_000)).bytes], delivery: .messages(bytesMax: 1_000)) == [
                Self.message([UInt8](repeating: 1, count: 1_000))
            ])
    }

    @Test("asked for pieces, payload comes as it arrives and without a limit")
    func pieces() {
        let bytes = ClientFrame.binary(Array(0..<200)).bytes
        let got = events([Array(bytes.prefix(50)), Array(bytes[50..<150]), Array(bytes[150...])], delivery: .pieces)
        var all: [UInt8] = []
        for event in got { if case .piece(let piece) = event { all += Array(piece.payload.readableBytesView) } }
        #expect(got.count == 3)
        #expect(all == Array(0..<200))
    }

    // MARK: - To the client

    @Test("a frame is written unmasked with its length in the shortest form", arguments: [0, 1, 125, 126, 65_535, 65_536])
    func written(_ count: Int) {
        var machine = WebSocketMachine(delivery: .pieces)
        var bytes = ByteBuffer()
        let payload = ByteBuffer(repeating: 0x61, count: count)
        #expect(machine.write(WebSocketMessage(isText: true, payload: payload), into: &bytes))
        #expect(bytes.readableBytes == count + (count < 126 ? 2 : count < 65_536 ? 4 : 10))
        #expect(ServerFrame.read(&bytes) == [ServerFrame(first: 0x81, payload: Array(payload.readableBytesView))])
    }

    @Test("nothing is written after a close frame")
    func nothingAfterClose() {
        var machine = WebSocketMachine(delivery: .pieces)
        var bytes = ByteBuffer()
        #expect(machine.writeClose(.normal, into: &bytes))
        let count = bytes.readableBytes
        #expect(!machine.write(WebSocketMessage(isText: true, payload: ByteBuffer()), into: &bytes))
        #expect(!machine.writeClose(.goingAway, into: &bytes))
        #expect(!machine.writeBinaryHeader(length: 1, into: &bytes))
        machine.writePong(ByteBuffer(), into: &bytes)
        machine.writePing(ByteBuffer(), into: &bytes)
        #expect(bytes.readableBytes == count)
    }

    @Test("a long close reason is cut between characters")
    func longReason() {
        var bytes = ByteBuffer()
        WebSocketFrame.writeClose(.normal, String(repeating: "在", count: 50), into: &bytes)
        let frames = ServerFrame.read(&bytes)
        #expect(frames.first?.payload.count == 2 + 41 * 3)
    }

    // MARK: - Fuzzing

    /// Valid traffic: messages cut into frames, control frames between.
    private func traffic(_ random: inout SeededRandom) -> (frames: [ClientFrame], events: [WebSocketEvent]) {
        var frames: [ClientFrame] = []
        var events: [WebSocketEvent] = []
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            let isText = random.chance(50)
            let count = random.chance(10) ? 70_000 : Int.random(in: 0...300, using: &random)
            let text = String(repeating: "a在😀", count: count / 8)
            let payload = isText ? Array(text.utf8) : (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            var rest = payload[...]
            var isFirst = true
            repeat {
                let size = random.chance(50) ? rest.count : Int.random(in: 0...rest.count, using: &random)
                let isLast = size == rest.count && random.chance(80)
                let mask = (0..<4).map { _ in UInt8.random(in: 0...255, using: &random) }
                frames.append(ClientFrame((isLast ? 0x80 : 0) | (isFirst ? (isText ? 1 : 2) : 0), Array(rest.prefix(size)), mask: mask))
                rest = rest.dropFirst(size)
                isFirst = false
                if isLast {
                    events.append(.message(WebSocketMessage(isText: isText, payload: ByteBuffer(bytes: payload))))
                    break
                }
                if random.chance(30) {
                    let data = (0..<Int.random(in: 0...125, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
                    frames.append(.ping(data))
                    events.append(.ping(ByteBuffer(bytes: data)))
                }
            } while true
        }
        return (frames, events)
    }

    private func cut(_ bytes: [UInt8], _ random: inout SeededRandom) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = min(rest.count, random.chance(50) ? Int.random(in: 1...20, using: &random) : Int.random(in: 1...5_000, using: &random))
            pieces.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }

    @Test("random traffic in random pieces comes out as it went in", arguments: [1, 2, 3, UInt64.random(in: 0...UInt64.max)])
    func fuzzValid(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for round in 0..<60 {
            let (frames, expected) = self.traffic(&random)
            #expect(events(self.cut(frames.bytes, &random)) == expected, "seed \(seed), round \(round)")
        }
    }

    @Test("damaged traffic ends in one violation at most, the same however it is cut", arguments: [1, 2, 3, UInt64.random(in: 0...UInt64.max)])
    func fuzzDamaged(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for round in 0..<120 {
            var bytes = self.traffic(&random).frames.bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &random)
            }
            let whole = events([bytes], delivery: .messages(bytesMax: 100_000))
            #expect(events(self.cut(bytes, &random), delivery: .messages(bytesMax: 100_000)) == whole, "seed \(seed), round \(round)")
            #expect(whole.count { $0.violationCode != nil } <= 1 && whole.dropLast().allSatisfy { $0.violationCode == nil }, "seed \(seed), round \(round)")
        }
    }
}
