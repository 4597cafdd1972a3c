import Replication
import SkerryModel
import TestKit
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Broken messages between boxes. `SKERRY_FUZZ_ROUNDS=1000000` tries more of them, `SKERRY_FUZZ_SEED` the same ones again.
@Suite("Messages between boxes, damaged")
struct WireFuzzTests {
    private static func setting(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    @Test("A damaged message is refused or means what it is written as again")
    func mutations() throws {
        let seed = Self.setting("SKERRY_FUZZ_SEED") ?? UInt64.random(in: 0 ... .max)
        let rounds = Int(Self.setting("SKERRY_FUZZ_ROUNDS") ?? 50_000)
        print("Wire fuzz: seed \(seed), \(rounds) rounds")
        var random = SeededRandom(seed: seed)
        let samples = WireSamples.golden.filter { WireSamples.meanings[$0.key] != nil }.sorted { $0.key < $1.key }
        var (readCount, refusedCount) = (0, 0)
        for round in 0..<rounds {
            guard let (name, golden) = random.pick(samples) else { return }
            var bytes = golden
            for _ in 0..<Int.random(in: 1...4, using: &random) { Self.mutate(&bytes, samples.map(\.value), &random) }
            do {
                let meaning = try WireSamples.decode(bytes, as: name)
                readCount += 1
                let again = try? WireSamples.decode(meaning.bytes, as: name)
                if again != meaning { Issue.record("seed \(seed), round \(round), \(name): another meaning when written again") }
                if case .batch(let received) = meaning {
                    let size = BatchCodec.size(of: received.batch)
                    if meaning.bytes.count > size { Issue.record("seed \(seed), round \(round): \(meaning.bytes.count) bytes, at most \(size) expected") }
                }
            } catch {
                refusedCount += 1
            }
        }
        #expect(readCount > 0 && refusedCount > 0)
    }

    private static func mutate(_ bytes: inout [UInt8], _ samples: [[UInt8]], _ random: inout SeededRandom) {
        let index = Int.random(in: 0..<max(1, bytes.count), using: &random)
        switch Int.random(in: 0..<7, using: &random) {
        case 0 where index < bytes.count: bytes[index] = UInt8.random(in: 0...255, using: &random)
        case 1 where index < bytes.count: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &random)
        case 2 where index < bytes.count: bytes.remove(at: index)
        case 3: bytes.insert(contentsOf: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], at: min(index, bytes.count))
        case 4: bytes.insert(contentsOf: bytes[index...].prefix(Int.random(in: 1...40, using: &random)), at: min(index, bytes.count))
        case 5: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 1...20, using: &random)))
        default: bytes.append(contentsOf: (random.pick(samples) ?? []).prefix(index))
        }
    }

    @Test("An engine that hears damaged messages never stops, and takes nothing that was not signed", arguments: 1...8)
    func engine(_ part: UInt64) {
        let seed = Self.setting("SKERRY_FUZZ_SEED") ?? part
        var random = SeededRandom(seed: seed)
        let log = Sample.log(box: Sample.box(2))
        var rig = EngineRig(heads: [Sample.log(): 300, WireSamples.peerLog: 299])
        rig.makeLive(Sample.box(2))
        var seeds: [(LinkChannel, [UInt8])] = [
            (.message, BatchCodec.encode(EngineRig.batch(log, 1...3), of: EngineRig.federation)),
            (.message, BatchCodec.encode(EngineRig.batch(log, 5...9), of: EngineRig.federation)),
        ]
        for (name, bytes) in WireSamples.golden.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "digest", "digest-empty": seeds.append((.digest, bytes))
            case "range-request", "list-request": seeds.append((.request, LinkRequest(.range, correlation: 1, body: bytes).payload))
            case "hello", "hello-plain": seeds.append((.request, LinkRequest(.hello, correlation: 1, body: bytes).payload))
            default: break
            }
        }
        let samples = seeds.map(\.1)
        var wrong = 0
        for _ in 0..<4_000 {
            guard let (channel, golden) = random.pick(seeds) else { return }
            var bytes = golden
            if random.chance(90) { Self.mutate(&bytes, samples, &random) }
            rig.hear(Sample.box(2), channel, bytes)
            for pull in rig.requests(to: Sample.box(2), .range) where random.chance(30) {
                var body = RangeCodec.encode(.entries(log, head: 9, [.skipped(upTo: 2), .batch(EngineRig.batch(log, 3...9))]), of: EngineRig.federation)
                Self.mutate(&body, samples, &random)
                rig.hear(Sample.box(2), .response, LinkRequest(.range, correlation: pull.correlation, body: body).payload)
            }
            for incoming in rig.applies.flatMap(\.batches) where !incoming.batch.items.isEmpty {
                let key = CheapKeys.logKey(incoming.batch.log.origin)
                if CheapKeys.signature(key, BatchCodec.signedBytes(incoming.batch, of: EngineRig.federation)) != incoming.batch.signature { wrong += 1 }
            }
            for closed in rig.closed where closed == Sample.box(2) { rig.step(.linkDown(closed)) }
            if rig.sync(Sample.box(2))?.phase == .absent || !rig.closed.isEmpty { rig.makeLive(Sample.box(2)) }
            if random.chance(50) { rig.commit() }
            if random.chance(20) { rig.wait(UInt64.random(in: 1...5_000, using: &random)) }
            _ = rig.take()
        }
        #expect(wrong == 0, "seed \(seed)")
        // It still works.
        rig.members = [rig.me: EngineMember(standing: .active, logKey: CheapKeys.logKey(rig.me))]
        rig.members[Sample.box(3)] = EngineMember(standing: .active, logKey: CheapKeys.logKey(Sample.box(3)))
        rig.monotonic += 200_000
        rig.step(.members(rig.members))
        rig.makeLive(Sample.box(3))
        rig.hearBatch(EngineRig.batch(Sample.log(epoch: 1234, box: Sample.box(3)), 1...1))
        #expect(rig.applied.contains(1...1))
    }
}
