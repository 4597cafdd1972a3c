import MQTTCodec
import NIOCore
import SkerryModel
import Testing

@Suite("Corpus")
struct CorpusTests {
    @Test("every case of the corpus ends as written there", arguments: try Corpus.load())
    func corpus(_ example: CorpusCase) throws {
        var decoder = try example.reader.decoder()
        decoder.append(ByteBuffer(bytes: example.bytes))
        var packets: [MQTTPacket] = []
        do {
            while let packet = try decoder.next() { packets.append(packet) }
        } catch {
            guard case .error(let reason, let cause) = example.outcome else {
                Issue.record("\(example): \(error)")
                return
            }
            let found = if case .topic(let topic) = error.cause { "topic(\(topic.rawValue))" } else { "\(error.cause)" }
            #expect(error.reason.rawValue == reason, "\(error)")
            #expect(found == cause || found.hasPrefix(cause + "("), "\(error)")
            // An error is final, and nothing more is kept.
            decoder.append(ByteBuffer(bytes: [0xC0, 0x00]))
            #expect(throws: error) { try decoder.next() }
            #expect(decoder.bufferedBytes == 0)
            return
        }
        let names = packets.map { "\($0.type)".uppercased() }
        switch example.outcome {
        case .exact(let expected):
            #expect(names == expected)
            #expect(self.encoded(packets, decoder) == example.bytes)
        case .read(let expected):
            #expect(names == expected)
            #expect(self.encoded(packets, decoder) != example.bytes)
        case .more: #expect(packets.isEmpty && decoder.bufferedBytes == example.bytes.count)
        case .error: Issue.record("\(example): decoded as \(names)")
        }
    }

    @Test("every case ends the same when its bytes come one at a time", arguments: try Corpus.load())
    func oneByOne(_ example: CorpusCase) throws {
        var whole = try example.reader.decoder()
        var single = try example.reader.decoder()
        let expected = Self.outcome(&whole, [ByteBuffer(bytes: example.bytes)])
        let found = Self.outcome(&single, example.bytes.map { ByteBuffer(bytes: [$0]) })
        #expect(found.packets == expected.packets)
        #expect(found.error == expected.error)
    }

    static func outcome(_ decoder: inout MQTTDecoder, _ reads: [ByteBuffer]) -> (packets: [MQTTPacket], error: MQTTDecodeError?) {
        var packets: [MQTTPacket] = []
        for read in reads {
            decoder.append(read)
            do {
                while let packet = try decoder.next() { packets.append(packet) }
            } catch {
                return (packets, error)
            }
        }
        return (packets, nil)
    }

    private func encoded(_ packets: [MQTTPacket], _ decoder: MQTTDecoder) -> [UInt8] {
        var buffer = ByteBuffer()
        for packet in packets {
            guard let version = decoder.version, MQTTEncoder.encode(packet, version: version, into: &buffer) else { return [] }
        }
        return Array(buffer.readableBytesView)
    }
}
