import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Messages between boxes")
struct WireCodecTests {
    @Test("Every message is written as it always was, and read back", arguments: WireSamples.meanings.keys.sorted())
    func vectors(_ name: String) throws {
        let meaning = try #require(WireSamples.meanings[name])
        let bytes = try #require(WireSamples.golden[name], "no line \(name) in Golden/messages.hex")
        #expect(meaning.bytes == bytes)
        #expect(try WireSamples.decode(bytes, as: name) == meaning)
    }

    @Test("Every golden line is tried")
    func complete() { #expect(Set(WireSamples.golden.keys) == Set(WireSamples.meanings.keys).union(["batch-signed"])) }

    @Test("What an origin signs is as it always was, and the same for whoever has dropped entries")
    func signedBytes() throws {
        #expect(BatchCodec.signedBytes(WireSamples.batch, of: WireSamples.federation) == WireSamples.golden["batch-signed"])
        var whole = WireSamples.batch
        whole.items[1] = .entry(Array("gone".utf8))
        whole.wantsFlush = false
        whole.signature = []
        #expect(BatchCodec.signedBytes(whole, of: WireSamples.federation) == WireSamples.golden["batch-signed"])
        whole.items.swapAt(0, 2)
        #expect(BatchCodec.signedBytes(whole, of: WireSamples.federation) != WireSamples.golden["batch-signed"])
    }

    @Test("Fields that nobody knows yet are skipped", arguments: WireSamples.meanings.keys.sorted())
    func unknownFields(_ name: String) throws {
        var writer = FieldWriter()
        writer.varint(100, 5)
        writer.bytes(101, [1, 2, 3])
        writer.fixed64(102, 7)
        let bytes = try #require(WireSamples.golden[name]) + writer.bytes
        #expect(try WireSamples.decode(bytes, as: name) == WireSamples.meanings[name])
    }

    @Test("A message cut anywhere is an error or another message, never a crash", arguments: WireSamples.meanings.keys.sorted())
    func cuts(_ name: String) throws {
        let bytes = try #require(WireSamples.golden[name])
        for count in 0..<bytes.count {
            guard let meaning = try? WireSamples.decode(Array(bytes.prefix(count)), as: name) else { continue }
            #expect(try WireSamples.decode(meaning.bytes, as: name) == meaning)
        }
    }

    // MARK: What is refused, and why

    /// Writes the fields of a good message, with one of them changed, dropped or added.
    private static func fields(of bytes: [UInt8], _ change: (UInt64, FieldReader.Value) -> [(UInt64, FieldReader.Value)]) -> [UInt8] {
        var reader = FieldReader(bytes[...])
        var writer = FieldWriter()
        while let (field, value) = try? reader.next() {
            for (field, value) in change(field, value) {
                switch value {
                // Which of the two kinds of number a field is, readers do not tell apart.
                case .number(let number): writer.varint(field, number)
                case .bytes(let slice): writer.bytes(field, slice)
                }
            }
        }
        return writer.bytes
    }

    private static func replacing(_ number: UInt64, by new: FieldReader.Value?, in name: String) -> [UInt8] {
        Self.fields(of: WireSamples.golden[name] ?? []) { field, value in
            guard field == number else { return [(field, value)] }
            return new.map { [(field, $0)] } ?? []
        }
    }

    private static func bytes(_ count: Int) -> FieldReader.Value { .bytes([UInt8](repeating: 7, count: count)[...]) }

    struct Broken: CustomTestStringConvertible, Sendable {
        var name: String
        var message: [UInt8]
        var error: EntryDecodeError
        var testDescription: String { "\(self.name): \(self.error)" }

        init(_ name: String, _ message: [UInt8], _ reason: EntryDecodeError.Reason, _ place: UInt64) {
            self.name = name
            self.message = message
            self.error = EntryDecodeError(reason, at: place)
        }
    }

    private static func required(_ name: String, _ fields: [UInt64], _ reason: EntryDecodeError.Reason = .missingField) -> [Broken] {
        fields.map { Broken(name, Self.replacing($0, by: nil, in: name), reason, $0) }
    }

    private static func typed(_ name: String, _ fields: [UInt64: FieldReader.Value]) -> [Broken] {
        fields.sorted { $0.key < $1.key }.map { Broken(name, Self.replacing($0.key, by: $0.value, in: name), .badField, $0.key) }
    }

    static let brokenBatches: [Broken] =
        required("batch", [1, 2, 3, 4, 5, 6])
        + typed(
            "batch",
            [
                1: bytes(1), 2: .number(1), 3: .number(3), 4: .number(1), 5: bytes(8), 6: .number(0), 7: .number(1), 8: bytes(1), 9: .number(1),
                10: bytes(31),
            ])
        + ([
            Broken("batch", replacing(1, by: .number(2), in: "batch"), .badField, 1),
            Broken("batch", replacing(2, by: bytes(9), in: "batch"), .badField, 2),
            Broken("batch", replacing(3, by: .number(258), in: "batch"), .badField, 3),
            Broken("batch", replacing(4, by: bytes(11), in: "batch"), .badField, 4),
            Broken("batch", replacing(6, by: .number(.max), in: "batch"), .badField, 6),
            Broken("batch", replacing(6, by: .number(BatchCodec.sequenceMax - 1), in: "batch"), .badField, 6),
            Broken("batch", replacing(7, by: bytes(0), in: "batch"), .badField, 7),
            Broken("batch", replacing(7, by: bytes(EntryCodec.entryBytesMax + 1), in: "batch"), .tooLarge, 7),
            Broken("batch", replacing(9, by: bytes(65), in: "batch"), .tooLarge, 9),
            Broken("batch", replacing(10, by: bytes(33), in: "batch"), .badField, 10),
            Broken(
                "batch", fields(of: WireSamples.golden["batch"] ?? []) { field, value in field == 7 || field == 10 ? [] : [(field, value)] }, .missingField, 7),
            Broken(
                "batch",
                fields(of: WireSamples.golden["batch"] ?? []) { field, value in
                    [(UInt64, FieldReader.Value)](repeating: (field, value), count: 1)
                        + (field == 10 ? [(UInt64, FieldReader.Value)](repeating: (7, bytes(1)), count: 254) : [])
                }, .tooLarge, 7),
        ] as [Broken])

    static let brokenDigests: [Broken] =
        required("digest", [1, 2])
        + typed("digest", [1: bytes(1), 2: .number(1), 3: bytes(1), 4: .number(1), 5: .number(1), 6: bytes(1)])
        + ([
            Broken("digest", replacing(1, by: .number(2), in: "digest"), .badField, 1),
            Broken("digest", replacing(2, by: bytes(11), in: "digest"), .badField, 2),
            Broken("digest", group { $0.bytes(1, [1]) }, .badField, 1),
            Broken("digest", group { $0.varint(2, 1) }, .missingField, 1),
            Broken("digest", group { $0.bytes(1, Sample.box.bytes) }, .badField, 2),
            Broken("digest", group { $0.varint(5, 1) }, .badField, 5),
            Broken("digest", group { $0.bytes(5, held(head: 1 << 40)) }, .badField, 2),
            Broken("digest", group { $0.bytes(5, held(head: 1, lowWater: 2)) }, .badField, 3),
            Broken("digest", group { $0.bytes(5, [0x10, 1]) }, .missingField, 1),
            Broken("digest", group { $0.bytes(5, [0x09, 0, 0, 0, 0, 0, 0, 0, 0]) }, .missingField, 2),
            Broken("digest", group { for _ in 0...DigestCodec.epochsMax { $0.bytes(5, held(head: 1)) } }, .tooLarge, 5),
            Broken("digest", digest { for _ in 0...DigestCodec.groupsMax { $0.bytes(4, Self.groupBytes) } }, .tooLarge, 4),
            Broken("digest", digest { writer in for number in 0...DigestCodec.marksMax { writer.bytes(5, mark(number)) } }, .tooLarge, 5),
            Broken("digest", digest { $0.bytes(5, [0x0A, 1, 1]) }, .badField, 1),
            Broken("digest", [UInt8](repeating: 0, count: LinkChannel.payloadBytesMax + 1), .tooLarge, UInt64(LinkChannel.payloadBytesMax + 1)),
        ] as [Broken])

    private static let groupBytes: [UInt8] = {
        var writer = FieldWriter()
        writer.bytes(1, Sample.box.bytes)
        writer.varint(2, 1)
        return writer.bytes
    }()

    private static func held(head: UInt64, lowWater: UInt64 = 0) -> [UInt8] {
        var writer = FieldWriter()
        writer.fixed64(1, 5)
        writer.varint(2, head)
        writer.varint(3, lowWater)
        return writer.bytes
    }

    private static func mark(_ number: Int) -> [UInt8] {
        var box: [UInt8] = []
        box.appendBigEndian(UInt64(number))
        var writer = FieldWriter()
        writer.bytes(1, box + [0, 0])
        writer.varint(2, 1)
        writer.fixed64(3, 1)
        return writer.bytes
    }

    private static func digest(_ body: (inout FieldWriter) -> Void) -> [UInt8] {
        var writer = FieldWriter()
        writer.varint(1, 1)
        writer.bytes(2, WireSamples.federation.bytes)
        body(&writer)
        return writer.bytes
    }

    private static func group(_ body: (inout FieldWriter) -> Void) -> [UInt8] {
        Self.digest { writer in
            var group = FieldWriter()
            body(&group)
            writer.bytes(4, group.bytes)
        }
    }

    static let brokenRanges: [Broken] =
        required("range-request", [1, 2, 3, 4, 5]) + required("list-request", [1, 2, 3])
        + required("range-answer", [1, 2, 3, 4]) + required("list-answer", [1, 2])
        + typed("range-answer", [1: bytes(1), 2: .number(1), 3: bytes(8), 4: bytes(1), 5: .number(1), 6: bytes(1)])
        + typed("list-answer", [7: bytes(1), 8: .number(1), 9: bytes(1)])
        + ([
            Broken("range-request", replacing(1, by: .number(3), in: "range-request"), .badField, 1),
            Broken("range-request", replacing(2, by: bytes(9), in: "range-request"), .badField, 2),
            Broken("range-request", replacing(4, by: .number(0), in: "range-request"), .badField, 4),
            Broken("range-request", replacing(4, by: .number(.max), in: "range-request"), .badField, 4),
            Broken("range-answer", replacing(4, by: .number(1 << 40), in: "range-answer"), .badField, 4),
            Broken("range-answer", replacing(6, by: .number(1 << 40), in: "range-answer"), .badField, 6),
            Broken(
                "range-answer", replacing(5, by: .bytes(BatchCodec.encode(WireSamples.quiet, of: EngineRig.federation(2))[...]), in: "range-answer"), .badField,
                5),
            Broken(
                "range-answer",
                fields(of: WireSamples.golden["range-answer"] ?? []) { field, value in
                    [(UInt64, FieldReader.Value)](repeating: (field, value), count: field == 6 ? RangeCodec.piecesMax + 1 : 1)
                }, .tooLarge, 5),
            Broken(
                "list-answer",
                fields(of: WireSamples.golden["list-answer"] ?? []) { field, value in
                    [(UInt64, FieldReader.Value)](repeating: (field, value), count: field == 8 ? RangeCodec.epochsMax : 1)
                }, .tooLarge, 8),
            Broken(
                "range-answer", [UInt8](repeating: 0, count: LinkChannel.payloadBytesMax + 1), .tooLarge, UInt64(LinkChannel.payloadBytesMax + 1)),
        ] as [Broken])

    static let brokenHellos: [Broken] =
        required("hello", [1, 2, 3, 5, 6])
        + ([
            Broken("hello", replacing(1, by: bytes(9), in: "hello"), .badField, 1),
            Broken("hello", replacing(2, by: .number(3), in: "hello"), .badField, 3),
            Broken("hello", replacing(8, by: bytes(0), in: "hello"), .missingField, 1),
            Broken("hello", replacing(8, by: .bytes([0x08, 3][...]), in: "hello"), .badField, 8),
            Broken("hello", replacing(11, by: bytes(0), in: "hello"), .missingField, 1),
            Broken(
                "hello",
                fields(of: WireSamples.golden["hello"] ?? []) { field, value in
                    [(UInt64, FieldReader.Value)](repeating: (field, value), count: field == 8 ? Hello.headsMax : 1)
                }, .tooLarge, 8),
        ] as [Broken])

    @Test("Everything that a batch must be is checked, and the reason names the field", arguments: brokenBatches)
    func batch(_ broken: Broken) { #expect(throws: broken.error) { try WireSamples.decode(broken.message, as: broken.name) } }

    @Test("Everything that a digest must be is checked, and the reason names the field", arguments: brokenDigests)
    func digest(_ broken: Broken) { #expect(throws: broken.error) { try WireSamples.decode(broken.message, as: broken.name) } }

    @Test("Everything that a range message must be is checked, and the reason names the field", arguments: brokenRanges)
    func range(_ broken: Broken) { #expect(throws: broken.error) { try WireSamples.decode(broken.message, as: broken.name) } }

    @Test("Everything that a greeting must be is checked, and the reason names the field", arguments: brokenHellos)
    func hello(_ broken: Broken) { #expect(throws: broken.error) { try WireSamples.decode(broken.message, as: broken.name) } }

    // MARK: Limits that senders keep

    @Test("The largest batch is written and read; the next is cut in two")
    func largest() throws {
        let log = Sample.log()
        let entry = [UInt8](repeating: 1, count: EntryCodec.entryBytesMax)
        for items in [[BatchItem](repeating: .entry(entry), count: 9), [BatchItem](repeating: .entry([1]), count: 600), [.dropped(hash: BatchCodec.hash([1]))]]
        {
            let batches = BatchCodec.split(log, firstSeq: 5, items, wantsFlush: true)
            #expect(batches.flatMap(\.items) == items)
            var next: UInt64 = 5
            for var batch in batches {
                batch.signature = WireSamples.signature
                let bytes = BatchCodec.encode(batch, of: WireSamples.federation)
                #expect(bytes.count <= BatchCodec.size(of: batch))
                #expect(bytes.count <= Batch.bytesMax)
                #expect(try BatchCodec.decode(bytes).batch == batch)
                #expect(batch.firstSeq == next)
                next = batch.lastSeq + 1
            }
        }
        #expect(BatchCodec.split(log, firstSeq: 5, [], wantsFlush: true).isEmpty)
    }

    @Test("A sum over epochs does not depend on their order, and every change of one shows")
    func sums() {
        var random = SeededRandom(seed: 7)
        let epochs = (0..<100).map { _ in (random.next(), random.next() % 1_000) }
        var one = EpochSum()
        for (epoch, head) in epochs { one.add(epoch, head) }
        var other = EpochSum()
        for (epoch, head) in epochs.shuffled(using: &random) { other.add(epoch, head) }
        #expect(one == other)
        other.remove(epochs[3].0, epochs[3].1)
        other.add(epochs[3].0, epochs[3].1 + 1)
        #expect(one.count == other.count && one.hash != other.hash)
        // Two epochs that have changed heads are not the same as before.
        var left = EpochSum()
        left.add(1, 2)
        left.add(2, 1)
        var right = EpochSum()
        right.add(1, 1)
        right.add(2, 2)
        #expect(left != right)
    }

    @Test("The stamp of an entry is read without reading the entry")
    func stamp() {
        for (name, bytes) in EntryCodecTests.golden { #expect(EntryCodec.stamp(of: bytes) == EntryCodecTests.hlc, "\(name)") }
        #expect(EntryCodec.stamp(of: []) == nil)
        #expect(EntryCodec.stamp(of: [0xFF]) == nil)
        #expect(EntryCodec.stamp(of: [0x10, 1]) == nil)
    }
}
