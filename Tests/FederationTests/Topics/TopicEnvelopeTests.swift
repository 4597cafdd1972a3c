import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Topics on the wire")
struct TopicEnvelopeTests {
    /// These bytes are what boxes of other versions send and expect: a change here is a break.
    static let golden: [(name: String, payload: [UInt8], hex: String)] = [
        (
            "a message with everything", TopicFrame(run: 0x0102_0304_0506_0708, messages: [full], oldest: 299).payload,
            "090807060504030201124e08ac02120a706c616e742f372fc3a9180622020aff28e0d40330013a04742f706c420572652f7175"
                + "4a0300010252060a016b12017652050a016b12005a10000102030405060708090a0b0c0d0e0f20ab02"
        ),
        (
            "a bare message", TopicFrame(run: 1, messages: [TopicEnvelope(number: 1, topic: "t", qos: 0, payload: [])], sent: 300).payload,
            "090100000000000000120908011201741800220028ac02"
        ),
        (
            "what was taken", TopicFrame(run: 2, taken: [.init(run: 7, first: 3, count: 260)], heard: 5).payload,
            "0902000000000000001a0e09070000000000000010031884023005"
        ),
        ("interest", TopicInterest(run: 3, version: 4, filters: filters).payload, "09030000000000000010041a03612f2b1a0123"),
    ]

    static let full = TopicEnvelope(
        number: 300, topic: "plant/7/é", qos: 2, isRetained: true, payload: [10, 255], millisecondsLeft: 60_000, payloadFormat: 1, contentType: "t/pl",
        responseTopic: "re/qu", correlation: [0, 1, 2], userProperties: [.init("k", "v"), .init("k", "")], user: UserID(bytes: 0..<16))
    static let filters = ["a/+", "#"].compactMap { try? TopicFilter($0) }

    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { byte in
            let text = String(byte, radix: 16)
            return byte < 16 ? "0\(text)" : text
        }.joined()
    }

    @Test("the bytes on the wire stay as they are", arguments: 0..<4)
    func goldenBytes(index: Int) {
        let entry = Self.golden[index]
        #expect(self.hex(entry.payload) == entry.hex, "\(entry.name)")
    }

    @Test("what is written is read again: every field, with and without")
    func roundTrip() throws {
        var random = SeededRandom(seed: 7)
        for _ in 0..<300 {
            var envelope = TopicEnvelope(
                number: random.next(), topic: "t/\(random.next() % 9)", qos: UInt8(random.next() % 3), isRetained: random.chance(50),
                expiresAtOnce: random.chance(20), payload: (0..<Int(random.next() % 50)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
            if random.chance(50) { envelope.millisecondsLeft = random.next() % TopicEnvelope.millisecondsMax }
            if random.chance(50) { envelope.payloadFormat = UInt8(random.next() % 2) }
            if random.chance(50) { envelope.contentType = "" }
            if random.chance(50) { envelope.responseTopic = "re" }
            if random.chance(50) { envelope.correlation = [] }
            if random.chance(50) { envelope.userProperties = [.init("", ""), .init("b", "é")] }
            if random.chance(50) { envelope.user = UserID(Bytes16(high: random.next(), low: 1)) }
            let frame = TopicFrame(
                run: random.next(), messages: [envelope, Self.full], taken: [.init(run: 1, first: random.next(), count: 2)], oldest: random.next(),
                sent: random.chance(50) ? random.next() : nil, heard: random.chance(50) ? random.next() : nil)
            #expect(try TopicFrame(decoding: frame.payload) == frame)
        }
        let interest = TopicInterest(run: 9, version: 1, filters: Self.filters)
        #expect(try TopicInterest(decoding: interest.payload) == interest)
    }

    @Test("fields of a later version are skipped")
    func unknownFields() throws {
        var writer = FieldWriter()
        writer.fixed64(1, 5)
        writer.text(77, "new")
        writer.varint(78, 1)
        #expect(try TopicFrame(decoding: writer.bytes) == TopicFrame(run: 5))
    }

    @Test("what is too much or makes no sense is refused: counts, lengths, QoS 3, other forms of a field, texts that are none")
    func refused() {
        func frame(_ write: (inout FieldWriter) -> Void) -> [UInt8] {
            var inner = FieldWriter()
            write(&inner)
            var writer = FieldWriter()
            writer.fixed64(1, 1)
            writer.bytes(2, inner.bytes)
            return writer.bytes
        }
        func message(_ change: (inout FieldWriter) -> Void) -> [UInt8] {
            frame { writer in
                writer.varint(1, 1)
                writer.text(2, "t")
                writer.varint(3, 1)
                change(&writer)
            }
        }
        let whole = message { _ in }
        #expect((try? TopicFrame(decoding: whole)) != nil)
        let bad: [[UInt8]] = [
            [], frame { _ in }, frame { $0.varint(1, 1) }, message { $0.varint(3, 3) }, message { $0.varint(4, 1) },
            message { $0.varint(5, TopicEnvelope.millisecondsMax + 1) }, message { $0.varint(6, 2) }, message { $0.bytes(7, [0xFF]) },
            message { $0.bytes(8, [0]) },
            message { $0.bytes(9, [UInt8](repeating: 0, count: 65_536)) }, message { $0.bytes(11, [1]) }, message { $0.bytes(10, [1]) },
            message { $0.bytes(2, [UInt8](repeating: 65, count: 65_536)) },
            TopicFrame(run: 1, messages: Array(repeating: TopicEnvelope(number: 1, topic: "t", qos: 0, payload: []), count: TopicFrame.messagesMax + 1))
                .payload,
            TopicFrame(run: 1, taken: Array(repeating: .init(run: 1, first: 1, count: 1), count: TopicFrame.takenMax + 1)).payload,
            message {
                for _ in 0...TopicEnvelope.userPropertiesMax { $0.bytes(10, [10, 0, 18, 0]) }
            }, whole + [UInt8](repeating: 0, count: LinkChannel.payloadBytesMax),
        ]
        for (index, payload) in bad.enumerated() { #expect((try? TopicFrame(decoding: payload)) == nil, "\(index)") }
    }

    @Test("filters that nobody may be told of are refused, and too many")
    func interestRefused() {
        func interest(_ texts: [String]) -> [UInt8] {
            var writer = FieldWriter()
            writer.fixed64(1, 1)
            writer.varint(2, 1)
            for text in texts { writer.text(3, text) }
            return writer.bytes
        }
        #expect((try? TopicInterest(decoding: interest(["a", "b/#"]))) != nil)
        for text in ["", "a/#/b", "$share/g/t", "$SYS/#", "a+"] { #expect((try? TopicInterest(decoding: interest([text]))) == nil, "\(text)") }
        #expect((try? TopicInterest(decoding: interest((0...TopicInterest.filtersMax).map { "\($0)" }))) == nil)
        #expect((try? TopicInterest(decoding: [])) == nil)
    }

    @Test("torn and random bytes never do more than fail")
    func fuzz() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        for entry in Self.golden {
            for end in entry.payload.indices {
                _ = try? TopicFrame(decoding: Array(entry.payload[..<end]))
                _ = try? TopicInterest(decoding: Array(entry.payload[..<end]))
            }
        }
        for _ in 0..<20_000 {
            var bytes = Self.golden[Int(random.next() % 4)].payload
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8(truncatingIfNeeded: random.next())
            }
            // Whatever is read is written and read again as the same.
            if let frame = try? TopicFrame(decoding: bytes) { #expect((try? TopicFrame(decoding: frame.payload)) == frame, "seed \(seed)") }
            if let interest = try? TopicInterest(decoding: bytes) { #expect((try? TopicInterest(decoding: interest.payload)) == interest, "seed \(seed)") }
            _ = try? BlobMessage(decoding: bytes)
        }
    }

    @Test("messages about blobs are read as they were written, and refused when they ask for too much")
    func blobs() throws {
        let hash = try #require(BlobHash([UInt8](repeating: 9, count: 32)))
        let messages: [BlobMessage] = [
            .want(hash, offset: 1 << 40, pieces: 4), .piece(hash, offset: 0, [1]), .piece(hash, offset: 65_536, [UInt8](repeating: 1, count: 65_536)),
            .absent(hash),
        ]
        for message in messages { #expect(try BlobMessage(decoding: message.payload) == message) }
        let bad: [BlobMessage] = [
            .want(hash, offset: 0, pieces: 0), .want(hash, offset: 0, pieces: 5), .want(hash, offset: .max, pieces: 1), .piece(hash, offset: 0, []),
            .piece(hash, offset: 0, [UInt8](repeating: 1, count: 65_537)),
        ]
        for message in bad { #expect((try? BlobMessage(decoding: message.payload)) == nil) }
        #expect(try BlobMessage.hash(ofQuestion: BlobMessage.question(hash)) == hash)
        #expect(BlobMessage.byteCount(ofAnswer: BlobMessage.answer(77)) == 77 && BlobMessage.byteCount(ofAnswer: BlobMessage.answer(nil)) == nil)
        #expect(BlobMessage.byteCount(ofAnswer: [0xFF]) == nil)
    }
}
