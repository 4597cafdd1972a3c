import Replication
import SkerryModel
import TestKit

/// The values whose bytes are in Golden/messages.hex.
enum WireSamples {
    static let federation = EngineRig.federation
    static let peerLog = Sample.log(epoch: 0xFEDC_BA98_7654_3210, box: Sample.box(2))
    static let signature: [UInt8] = Array(0..<64)

    static let batch = Batch(
        log: peerLog, firstSeq: 300,
        items: [.entry(Array("first entry".utf8)), .dropped(hash: BatchCodec.hash(Array("gone".utf8))), .entry(Array("second".utf8))], signature: signature,
        wantsFlush: true)
    static let quiet = Batch(log: Sample.log(.control), firstSeq: 1, items: [.entry(Array("first entry".utf8))], signature: signature)

    static let digest: Digest = {
        var sum = EpochSum()
        sum.add(1 << 63, 1 << 40)
        sum.add(2, 6)
        sum.add(1, 5)
        return Digest(
            federation: federation, isPartial: true,
            groups: [
                DigestGroup(LogGroup(Sample.box(1), .control), listed: [HeldEpoch(epoch: 7, head: 300, lowWater: 4, isOpen: true)]),
                DigestGroup(LogGroup(Sample.box(2), .message), listed: [], rest: sum),
            ], marks: [Sample.box(2): StartMark(counter: 1_000, nonce: .max), Sample.box(1): StartMark(counter: 5, nonce: 55)], quarantine: .rollback)
    }()
    static let emptyDigest = Digest(federation: federation, groups: [])

    static let rangeRequest = RangeRequest.entries(Sample.log(box: Sample.box(2)), from: 301, bytesMax: 65_536)
    static let listRequest = RangeRequest.epochs(LogGroup(Sample.box(2), .control), from: 9)
    static let rangeAnswer = RangeResponse.entries(peerLog, head: 302, [.skipped(upTo: 299), .batch(batch)])
    static let listAnswer = RangeResponse.epochs(
        LogGroup(Sample.box(2), .message), [HeldEpoch(epoch: 7, head: 300, lowWater: 4), HeldEpoch(epoch: 8, head: 1)], hasMore: true)

    static let hello = Hello(
        federation: federation, versions: 1...2, features: 3, mark: StartMark(counter: 5, nonce: 55), acceptorWrites: 8,
        heads: [Sample.log(box: Sample.box(2)): 300, Sample.log(.control, epoch: 9, box: Sample.box(2)): 2], physicalMilliseconds: 1_700_000_000_000,
        isClockSynced: true, remembered: StartMark(counter: 4, nonce: 44), quarantine: .clone)
    static let plainHello = Hello(
        federation: federation, versions: 1...1, mark: StartMark(counter: 1, nonce: 1), physicalMilliseconds: 0, isClockSynced: false)

    static let golden: [String: [UInt8]] = {
        let text = TestFile.text(TestFile.beside(#filePath, "../Golden/messages.hex")) ?? ""
        var lines: [String: [UInt8]] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: " ")
            let digits = Array(parts.last ?? "")
            lines[String(parts.first ?? "")] = stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) }
        }
        return lines
    }()

    /// What a message means, and how it is written again: for each golden line but the signed bytes.
    enum Meaning: Hashable {
        case batch(BatchCodec.Received)
        case digest(Digest)
        case request(RangeRequest)
        case response(RangeResponse)
        case hello(Hello)

        var bytes: [UInt8] {
            switch self {
            case .batch(let received): BatchCodec.encode(received.batch, of: received.federation)
            case .digest(let digest): DigestCodec.encode(digest)
            case .request(let request): RangeCodec.encode(request)
            case .response(let response): RangeCodec.encode(response, of: WireSamples.federation)
            case .hello(let hello): HelloCodec.encode(hello, from: Sample.box(2))
            }
        }
    }

    static func decode(_ bytes: [UInt8], as name: String) throws(EntryDecodeError) -> Meaning {
        switch name.split(separator: "-").last ?? "" {
        case "batch", "quiet": .batch(try BatchCodec.decode(bytes))
        case "digest", "empty": .digest(try DigestCodec.decode(bytes))
        case "request": .request(try RangeCodec.request(bytes))
        case "answer": .response(try RangeCodec.response(bytes, of: Self.federation))
        default: .hello(try HelloCodec.decode(bytes, from: Sample.box(2)))
        }
    }

    static let meanings: [String: Meaning] = [
        "batch": .batch(.init(federation: federation, batch: batch)), "batch-quiet": .batch(.init(federation: federation, batch: quiet)),
        "digest": .digest(digest), "digest-empty": .digest(emptyDigest), "range-request": .request(rangeRequest), "list-request": .request(listRequest),
        "range-answer": .response(rangeAnswer), "list-answer": .response(listAnswer), "hello": .hello(hello), "hello-plain": .hello(plainHello),
    ]
}
