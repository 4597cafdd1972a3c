import MQTTCodec
import NIOCore
import SkerryModel
import Testing

@Suite("Round trip")
struct RoundTripTests {
    static let sides: [(MQTTVersion, MQTTDecoder.Role)] = MQTTVersion.allCases.flatMap { [($0, .server), ($0, .client)] }

    static func decoder(_ version: MQTTVersion, _ role: MQTTDecoder.Role) throws -> MQTTDecoder {
        try role == .server ? Reader.server(version).decoder() : Reader.client(version).decoder()
    }

    @Test("every packet, 300 of each kind, comes back equal and encodes to the same bytes", arguments: Self.sides)
    func everyPacket(_ version: MQTTVersion, _ role: MQTTDecoder.Role) throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("round trip: \(version), \(role), seed \(seed)")
        var maker = PacketMaker(seed: seed, version, for: role)
        let fresh = try Self.decoder(version, role)
        for type in maker.types + (role == .server ? [.connect] : []) {
            for _ in 0..<300 {
                let packet = try maker.packet(type)
                var bytes = ByteBuffer()
                try #require(MQTTEncoder.encode(packet, version: version, into: &bytes), "\(type), seed \(seed)")
                var decoder = type == .connect ? MQTTDecoder() : fresh
                decoder.append(bytes)
                let decoded = try decoder.next()
                #expect(decoded == packet, "\(type), seed \(seed)")
                #expect(decoder.bufferedBytes == 0)
                var again = ByteBuffer()
                if let decoded { MQTTEncoder.encode(decoded, version: version, into: &again) }
                #expect(again == bytes, "\(type), seed \(seed)")
            }
        }
    }

    @Test("a stream of every packet is read the same, wherever it is cut", arguments: Self.sides)
    func everyCut(_ version: MQTTVersion, _ role: MQTTDecoder.Role) throws {
        var maker = PacketMaker(seed: 7, version, for: role)
        var packets: [MQTTPacket] = []
        var stream = ByteBuffer()
        for type in maker.types + maker.types {
            let packet = try maker.packet(type)
            packets.append(packet)
            try #require(MQTTEncoder.encode(packet, version: version, into: &stream))
        }
        let bytes = Array(stream.readableBytesView)
        let fresh = try Self.decoder(version, role)
        for cut in 0...bytes.count {
            var decoder = fresh
            let reads = [ByteBuffer(bytes: bytes[..<cut]), ByteBuffer(bytes: bytes[cut...])]
            let outcome = CorpusTests.outcome(&decoder, reads)
            #expect(outcome.error == nil && outcome.packets == packets, "cut at \(cut)")
            #expect(decoder.bufferedBytes == 0)
        }
        // Three and more pieces, from one byte up.
        for size in 1...40 {
            var decoder = fresh
            let reads = stride(from: 0, to: bytes.count, by: size).map { ByteBuffer(bytes: bytes[$0..<min($0 + size, bytes.count)]) }
            let outcome = CorpusTests.outcome(&decoder, reads)
            #expect(outcome.error == nil && outcome.packets == packets, "pieces of \(size)")
        }
    }

    @Test("packets that were given out stay whole while the connection reads on")
    func slicesSurvive() throws {
        var decoder = try Reader.server(.v311).decoder()
        var stream = ByteBuffer()
        let messages = (0..<50).map { MQTTPublish(topic: nil, payload: ByteBuffer(repeating: UInt8($0), count: 100 + $0)) }
        for var message in messages {
            message.topic = try TopicName("t")
            MQTTEncoder.encode(.publish(message), version: .v311, into: &stream)
        }
        var kept: [ByteBuffer] = []
        while stream.readableBytes > 0 {
            decoder.append(stream.readSlice(length: min(70, stream.readableBytes)) ?? ByteBuffer())
            while case .publish(let publish) = try decoder.next() { kept.append(publish.payload) }
        }
        #expect(kept == messages.map(\.payload))
    }
}
