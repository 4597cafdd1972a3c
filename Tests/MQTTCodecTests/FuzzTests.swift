import MQTTCodec
import NIOCore
import TestKit
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Broken packets. `SKERRY_FUZZ_ROUNDS=10000000` runs more of them, `SKERRY_FUZZ_SEED` the same ones again.
@Suite("Fuzz")
struct FuzzTests {
    private static func setting(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    private struct Sample {
        let bytes: [UInt8]
        let decoder: MQTTDecoder
    }

    /// The corpus, and packets of every kind, version and direction.
    private static func samples(seed: UInt64) throws -> [Sample] {
        var samples = try Corpus.load().filter { $0.bytes.count < 1_000 }.map { Sample(bytes: $0.bytes, decoder: try $0.reader.decoder()) }
        for (version, role) in RoundTripTests.sides {
            var maker = PacketMaker(seed: seed, version, for: role)
            let fresh = try RoundTripTests.decoder(version, role)
            for type in maker.types + maker.types + (role == .server ? [.connect, .connect] : []) {
                var buffer = ByteBuffer()
                MQTTEncoder.encode(try maker.packet(type), version: version, into: &buffer)
                samples.append(Sample(bytes: Array(buffer.readableBytesView), decoder: type == .connect ? MQTTDecoder() : fresh))
            }
        }
        return samples
    }

    @Test("mutated packets are refused with a reason or mean what they encode to, and never stop the process")
    func mutations() throws {
        let seed = Self.setting("SKERRY_FUZZ_SEED") ?? UInt64.random(in: 0 ... .max)
        let rounds = Int(Self.setting("SKERRY_FUZZ_ROUNDS") ?? 200_000)
        print("MQTT fuzz: seed \(seed), \(rounds) rounds")
        var random = SeededRandom(seed: seed)
        let samples = try Self.samples(seed: seed)
        var (decodedCount, refusedCount) = (0, 0)
        for round in 0..<rounds {
            let sample = samples[Int.random(in: 0..<samples.count, using: &random)]
            var bytes = sample.bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) { Self.mutate(&bytes, samples, using: &random) }
            var decoder = sample.decoder
            decoder.append(ByteBuffer(bytes: bytes))
            do {
                while let packet = try decoder.next() {
                    decodedCount += 1
                    guard let problem = Self.problem(packet, decoder) else { continue }
                    Issue.record("seed \(seed), round \(round), \(packet.type): \(problem)")
                }
            } catch {
                refusedCount += 1
                guard error.reason.isFailure, error.offset >= 0, error.offset <= bytes.count, decoder.bufferedBytes == 0 else {
                    Issue.record("seed \(seed), round \(round): \(error)")
                    continue
                }
            }
        }
        // Both kinds must occur, or the mutations are too wild or too tame to prove anything.
        #expect(decodedCount > rounds / 20 && refusedCount > rounds / 20, "seed \(seed): \(decodedCount) decoded, \(refusedCount) refused")
    }

    /// What a decoded packet encodes to decodes to an equal packet.
    private static func problem(_ packet: MQTTPacket, _ decoder: MQTTDecoder) -> String? {
        guard let version = decoder.version else { return "no version" }
        var bytes = ByteBuffer()
        guard MQTTEncoder.encode(packet, version: version, into: &bytes) else { return "does not encode" }
        var again: MQTTDecoder
        if case .connect = packet {
            again = MQTTDecoder()
        } else {
            again = decoder.role == .server ? MQTTDecoder.connected(version) : MQTTDecoder(clientOf: version)
        }
        again.append(bytes)
        do {
            guard let second = try again.next(), again.bufferedBytes == 0 else { return "is cut short" }
            guard second == packet else { return "comes back as another" }
            var secondBytes = ByteBuffer()
            guard MQTTEncoder.encode(second, version: version, into: &secondBytes), secondBytes == bytes else { return "encodes to other bytes" }
        } catch {
            return "encodes to what is refused: \(error)"
        }
        return nil
    }

    private static func mutate(_ bytes: inout [UInt8], _ samples: [Sample], using random: inout SeededRandom) {
        guard !bytes.isEmpty else { return bytes.append(UInt8.random(in: 0...255, using: &random)) }
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<9, using: &random) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[place] = [0x00, 0x01, 0x02, 0x7F, 0x80, 0x81, 0xC0, 0xED, 0xFE, 0xFF][Int.random(in: 0..<10, using: &random)]
        case 2: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 3: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
        case 4: bytes.remove(at: place)
        case 5: bytes.removeLast(Int.random(in: 0..<bytes.count - place, using: &random))
        case 6: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + Int.random(in: 1...16, using: &random))], at: place)
        case 7:
            // The length of the whole is put right again, so that mutations reach what is behind the envelope.
            Self.repairLength(&bytes)
        default:
            let other = samples[Int.random(in: 0..<samples.count, using: &random)].bytes
            bytes = Array(bytes[..<place]) + other.suffix(Int.random(in: 0...other.count, using: &random))
            Self.repairLength(&bytes)
        }
    }

    private static func repairLength(_ bytes: inout [UInt8]) {
        guard bytes.count >= 2 else { return }
        let body = bytes.dropFirst(1).drop { $0 & 0x80 != 0 }.dropFirst()
        var (length, rest): ([UInt8], Int) = ([], body.count)
        repeat {
            length.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        bytes = [bytes[0]] + length + body
    }

    @Test("random bytes are refused or waited for, and never stop the process", arguments: [Reader.freshServer, .server(.v311), .server(.v5), .client(.v5)])
    func noise(_ reader: Reader) throws {
        let seed = Self.setting("SKERRY_FUZZ_SEED") ?? UInt64.random(in: 0 ... .max)
        let rounds = Int(Self.setting("SKERRY_FUZZ_ROUNDS").map { $0 / 4 } ?? 5_000)
        print("MQTT noise: \(reader), seed \(seed), \(rounds) rounds")
        var random = SeededRandom(seed: seed)
        let fresh = try reader.decoder()
        for round in 0..<rounds {
            var decoder = fresh
            var bytes = (0..<Int.random(in: 1...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            // Every other one in an envelope that is right, or hardly any would be looked into.
            if round.isMultiple(of: 2) {
                let first = UInt8.random(in: 1...15, using: &random) << 4 | (Bool.random(using: &random) ? 2 : 0)
                bytes = [first, UInt8(bytes.count)] + bytes
            }
            decoder.append(ByteBuffer(bytes: bytes))
            do { while try decoder.next() != nil {} } catch { #expect(error.reason.isFailure) }
        }
    }
}

extension MQTTDecoder {
    private static let connectedDecoders: [MQTTVersion: MQTTDecoder] = {
        var decoders: [MQTTVersion: MQTTDecoder] = [:]
        for version in MQTTVersion.allCases { decoders[version] = try? Reader.server(version).decoder() }
        return decoders
    }()

    /// A server's decoder that has accepted a CONNECT of this version.
    fileprivate static func connected(_ version: MQTTVersion) -> MQTTDecoder { self.connectedDecoders[version] ?? MQTTDecoder() }
}
