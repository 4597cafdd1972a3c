import Replication
import SkerryModel
import TestKit

/// Signatures that cost nothing: a number made of key and bytes. Whoever knows a key can sign for its box, as it should be.
enum CheapKeys {
    static func logKey(_ box: BoxID) -> [UInt8] { Array("key of ".utf8) + box.bytes }

    static func signature(_ key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key + bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        var result: [UInt8] = []
        result.appendBigEndian(hash)
        return result
    }

    static func keys(_ box: BoxID) -> BatchKeys {
        let own = Self.logKey(box)
        return BatchKeys(sign: { Self.signature(own, $0) }, verify: { key, bytes, signature in Self.signature(key, bytes) == signature })
    }
}

extension EngineLimits {
    static func with(_ change: (inout EngineLimits) -> Void) -> EngineLimits {
        var limits = EngineLimits()
        change(&limits)
        return limits
    }
}

/// One engine, with the other boxes, the store and the clock in the hands of the test.
struct EngineRig {
    static let federation = federation(1)
    static func federation(_ number: UInt8) -> FederationID {
        guard let id = FederationID([9, 9, 9, 9, 9, 9, 9, 9, 9, number]) else { preconditionFailure("ten bytes make an id") }
        return id
    }

    let me = Sample.box(1)
    var engine: ReplicationEngine
    var members: [BoxID: EngineMember] = [:]
    var monotonic: UInt64 = 1_000
    /// Everything the engine wanted, since it was looked at last.
    var effects: [EngineEffect] = []
    /// Start marks of the other boxes.
    var marks: [BoxID: StartMark] = [:]

    init(
        boxes: UInt8 = 3, heads: [LogEpoch: UInt64] = [:], current: Set<LogEpoch> = [], startCounter: UInt64 = 5, startNonce: UInt64 = 55,
        kept: [String: [UInt8]] = [:], limits: EngineLimits = EngineLimits(), mutations: EngineMutations = []
    ) {
        let counter = RigRandom()
        self.engine = ReplicationEngine(
            box: Sample.box(1), federation: Self.federation, keys: CheapKeys.keys(Sample.box(1)),
            stored: EngineStored(heads: heads, current: current, startCounter: startCounter, startNonce: startNonce, kept: kept), limits: limits,
            mutations: mutations, random: { counter.next() })
        for number in 1...boxes {
            let box = Sample.box(number)
            self.members[box] = EngineMember(standing: .active, logKey: CheapKeys.logKey(box))
            self.marks[box] = StartMark(counter: 3, nonce: UInt64(number) * 1_000)
        }
        self.step(.members(self.members))
    }

    static let epochMilliseconds: UInt64 = 1_700_000_000_000
    var instant: EngineInstant { EngineInstant(monotonic: self.monotonic, physical: Self.epochMilliseconds + self.monotonic, isSynced: true) }

    mutating func step(_ event: EngineEvent) { self.effects += self.engine.step(event, now: self.instant) }

    mutating func wait(_ milliseconds: UInt64) {
        self.monotonic += milliseconds
        self.step(.tick)
    }

    /// What has gathered, and forgets it.
    mutating func take() -> [EngineEffect] {
        defer { self.effects = [] }
        return self.effects
    }

    // MARK: What others say

    mutating func hear(_ from: BoxID, _ channel: LinkChannel, _ payload: [UInt8], origin: BoxID? = nil) {
        let addressee = channel.isAddressed ? self.me : nil
        self.step(.received(LinkMessage(origin: origin ?? from, channel: channel, addressee: addressee, payload: payload), from: from))
    }

    func hello(_ box: BoxID, remembered: StartMark? = nil, versions: ClosedRange<UInt64> = 1...1, federation: FederationID = EngineRig.federation) -> Hello {
        Hello(
            federation: federation, versions: versions, mark: self.marks[box] ?? StartMark(counter: 1, nonce: 1),
            physicalMilliseconds: Self.epochMilliseconds + self.monotonic, isClockSynced: true, remembered: remembered)
    }

    mutating func hearHello(_ box: BoxID, _ hello: Hello? = nil) {
        let body = HelloCodec.encode(hello ?? self.hello(box), from: box)
        self.hear(box, .request, LinkRequest(.hello, correlation: 77, body: body).payload)
    }

    /// Answers the last greeting that this box sent to it.
    mutating func answerHello(_ box: BoxID, _ hello: Hello? = nil) {
        guard let request = self.requests(to: box, .hello).last else { return }
        let body = HelloCodec.encode(hello ?? self.hello(box), from: box)
        self.hear(box, .response, LinkRequest(.hello, correlation: request.correlation, body: body).payload)
    }

    mutating func hearDigest(
        _ box: BoxID, _ held: [LogEpoch: UInt64] = [:], open: Set<LogEpoch> = [], rest: [LogGroup: EpochSum] = [:], isPartial: Bool = false,
        marks: [BoxID: StartMark] = [:], lowWater: [LogEpoch: UInt64] = [:], quarantine: QuarantineReason? = nil
    ) {
        self.hear(
            box, .digest,
            DigestCodec.encode(
                Self.digest(held, open: open, rest: rest, isPartial: isPartial, marks: marks, lowWater: lowWater, quarantine: quarantine)))
    }

    static func digest(
        _ held: [LogEpoch: UInt64], open: Set<LogEpoch> = [], rest: [LogGroup: EpochSum] = [:], isPartial: Bool = false,
        marks: [BoxID: StartMark] = [:], lowWater: [LogEpoch: UInt64] = [:], quarantine: QuarantineReason? = nil
    ) -> Digest {
        var groups: [LogGroup: DigestGroup] = [:]
        for (log, head) in held {
            groups[LogGroup(log), default: DigestGroup(LogGroup(log), listed: [])].listed.append(
                HeldEpoch(epoch: log.epoch, head: head, lowWater: lowWater[log] ?? 0, isOpen: open.contains(log)))
        }
        for (group, sum) in rest { groups[group, default: DigestGroup(group, listed: [])].rest = sum }
        return Digest(
            federation: Self.federation, isPartial: isPartial, groups: groups.values.sorted { $0.group < $1.group }, marks: marks, quarantine: quarantine)
    }

    /// A link with everything that makes it live.
    mutating func makeLive(_ box: BoxID, _ held: [LogEpoch: UInt64] = [:], open: Set<LogEpoch> = []) {
        self.step(.linkUp(box))
        self.hearHello(box)
        self.answerHello(box)
        self.hearDigest(box, held, open: open)
    }

    static func entry(_ seq: UInt64, size: Int = 40, hlc: UInt64 = EngineRig.epochMilliseconds, type: UInt64 = 16) -> [UInt8] {
        var writer = FieldWriter()
        writer.varint(1, type)
        writer.fixed64(2, hlc << 16)
        writer.bytes(5, [UInt8](repeating: UInt8(truncatingIfNeeded: seq), count: size))
        return writer.bytes
    }

    static func batch(
        _ log: LogEpoch, _ sequences: ClosedRange<UInt64>, size: Int = 40, hlc: UInt64 = EngineRig.epochMilliseconds, type: UInt64 = 16,
        dropped: Set<UInt64> = [], wantsFlush: Bool = false, federation: FederationID = EngineRig.federation, key: [UInt8]? = nil
    ) -> Batch {
        let items = sequences.map { seq -> BatchItem in
            let entry = Self.entry(seq, size: size, hlc: hlc, type: type)
            return dropped.contains(seq) ? .dropped(hash: BatchCodec.hash(entry)) : .entry(entry)
        }
        var batch = Batch(log: log, firstSeq: sequences.lowerBound, items: items, wantsFlush: wantsFlush)
        batch.signature = CheapKeys.signature(key ?? CheapKeys.logKey(log.origin), BatchCodec.signedBytes(batch, of: federation))
        return batch
    }

    mutating func hearBatch(_ batch: Batch, from box: BoxID? = nil, topicOrigin: BoxID? = nil, federation: FederationID = EngineRig.federation) {
        let from = box ?? batch.log.origin
        self.hear(
            from, batch.log.stream == .control ? .control : .message, BatchCodec.encode(batch, of: federation), origin: topicOrigin ?? from)
    }

    /// Answers the last range request to that box.
    mutating func answerRange(_ box: BoxID, _ response: RangeResponse) {
        guard let request = self.requests(to: box, .range).last else { return }
        let body = RangeCodec.encode(response, of: Self.federation)
        self.hear(box, .response, LinkRequest(.range, correlation: request.correlation, body: body).payload)
    }

    /// The store has done what it was asked for last.
    mutating func commit() {
        for apply in self.applies { self.step(.applied(apply.token, heads: apply.reach)) }
    }

    mutating func append(_ log: LogEpoch, _ sequences: ClosedRange<UInt64>, size: Int = 40, wantsFlush: Bool = true) {
        self.step(
            .appended(
                CommittedRun(
                    log: log, firstSeq: sequences.lowerBound, entries: sequences.map { Self.entry($0, size: size) }, wantsFlush: wantsFlush)))
    }

    // MARK: What the engine said, of what has gathered

    struct Apply {
        var token: UInt64
        var batches: [IncomingBatch]
        var within: UInt64
        var reach: [LogEpoch: UInt64] {
            self.batches.reduce(into: [:]) { $0[$1.batch.log] = max($0[$1.batch.log] ?? 0, $1.batch.lastSeq, $1.skippedUpTo ?? 0) }
        }
    }

    var applies: [Apply] {
        self.effects.compactMap { effect in
            guard case .apply(let token, let batches, let within) = effect else { return nil }
            return Apply(token: token, batches: batches, within: within)
        }
    }

    var applied: [ClosedRange<UInt64>] { self.applies.flatMap(\.batches).filter { !$0.batch.items.isEmpty }.map { $0.batch.firstSeq...$0.batch.lastSeq } }

    func sent(to box: BoxID, _ channel: LinkChannel) -> [[UInt8]] {
        self.effects.compactMap { effect in
            guard case .send(box, channel, let payload) = effect else { return nil }
            return payload
        }
    }

    func requests(to box: BoxID, _ kind: RequestKind) -> [LinkRequest] {
        self.sent(to: box, .request).compactMap { try? LinkRequest(decoding: $0) }.filter { $0.known == kind }
    }

    func ranges(to box: BoxID) -> [RangeRequest] { self.requests(to: box, .range).compactMap { try? RangeCodec.request($0.body) } }

    func answers(to box: BoxID) -> [RangeResponse] {
        self.sent(to: box, .response).compactMap { try? LinkRequest(decoding: $0) }.filter { $0.known == .range }
            .compactMap { try? RangeCodec.response($0.body, of: Self.federation) }
    }

    func digests(to box: BoxID) -> [Digest] { self.sent(to: box, .digest).compactMap { try? DigestCodec.decode($0) } }

    func batches(to box: BoxID, _ channel: LinkChannel = .message) -> [Batch] {
        self.sent(to: box, channel).compactMap { try? BatchCodec.decode($0).batch }
    }

    var alarms: [EngineAlarm] {
        self.effects.compactMap { if case .alarm(let alarm) = $0 { alarm } else { nil } }
    }

    var closed: [BoxID] {
        self.effects.compactMap { if case .closeLink(let box, _) = $0 { box } else { nil } }
    }

    func sync(_ box: BoxID) -> PeerSync? {
        self.effects.compactMap { if case .peer(box, let sync) = $0 { sync } else { nil } }.last
    }

    var replicated: [LogEpoch: UInt64] {
        self.effects.reduce(into: [:]) { result, effect in
            if case .replicated(let log, let seq) = effect { result[log] = seq }
        }
    }

    var finals: [LogEpoch] {
        self.effects.reduce(into: []) { result, effect in
            if case .final(let logs) = effect { result += logs }
        }
    }

    var quarantines: [QuarantineReason?] {
        self.effects.reduce(into: []) { result, effect in
            if case .quarantined(let reason) = effect { result.append(reason) }
        }
    }

    var reads: [(token: UInt64, log: LogEpoch, from: UInt64)] {
        self.effects.compactMap { effect in
            guard case .readRange(let token, let log, let from, _) = effect else { return nil }
            return (token, log, from)
        }
    }

    func kept() -> [String: [UInt8]] {
        self.effects.reduce(into: [:]) { result, effect in
            if case .persist(let name, let value) = effect { result[name] = value }
        }
    }
}

/// Numbers that are all different.
final class RigRandom: @unchecked Sendable {
    private var state: UInt64 = 10_000
    func next() -> UInt64 {
        self.state += 1
        return self.state
    }
}
