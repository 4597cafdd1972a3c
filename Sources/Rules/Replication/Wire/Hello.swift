package import SkerryModel

/// How two boxes greet each other when a link has come up (kind `hello`): asked and answered with the same fields.
package struct Hello: Sendable, Hashable {
    /// Own epochs in a greeting: the newest; all of them are in the digest that follows.
    package static let headsMax = 32

    package var federation: FederationID
    /// The versions of the protocol that it speaks; the greatest common one is spoken.
    package var versions: ClosedRange<UInt64>
    package var features: UInt64
    package var mark: StartMark
    /// Durable votes for leases, a mark like the start counter (FEDERATION.md §2.1).
    package var acceptorWrites: UInt64
    /// How far its own logs go.
    package var heads: [LogEpoch: UInt64]
    /// Its clock, in milliseconds since 1970, and whether that is vouched for by NTP.
    package var physicalMilliseconds: UInt64
    package var isClockSynced: Bool
    /// In an answer: what its sender remembers of the asker; nil: nothing.
    package var remembered: StartMark?
    /// In an answer: why its sender holds the asker to be no full member.
    package var quarantine: QuarantineReason?

    package init(
        federation: FederationID, versions: ClosedRange<UInt64>, features: UInt64 = 0, mark: StartMark, acceptorWrites: UInt64 = 0,
        heads: [LogEpoch: UInt64] = [:], physicalMilliseconds: UInt64, isClockSynced: Bool, remembered: StartMark? = nil,
        quarantine: QuarantineReason? = nil
    ) {
        self.federation = federation
        self.versions = versions
        self.features = features
        self.mark = mark
        self.acceptorWrites = acceptorWrites
        self.heads = heads
        self.physicalMilliseconds = physicalMilliseconds
        self.isClockSynced = isClockSynced
        self.remembered = remembered
        self.quarantine = quarantine
    }
}

/// `1:fed 2:versionMin 3:versionMax 4:features(fix64) 5:counter 6:nonce(fix64) 7:acceptorWrites 8:own head… 9:clock 10:synced 11:remembered
/// 12:quarantine`; a head is `1:stream 2:epoch(fix64) 3:head`.
package enum HelloCodec {
    package static func encode(_ hello: Hello, from box: BoxID) -> [UInt8] {
        var writer = FieldWriter(reserving: 160)
        writer.bytes(1, hello.federation.bytes)
        writer.varint(2, hello.versions.lowerBound)
        writer.varint(3, hello.versions.upperBound)
        writer.fixed64(4, hello.features)
        writer.varint(5, hello.mark.counter)
        writer.fixed64(6, hello.mark.nonce)
        writer.varint(7, hello.acceptorWrites)
        let heads = hello.heads.sorted { ($0.key.stream.rawValue, $0.key.epoch) < ($1.key.stream.rawValue, $1.key.epoch) }
        for (log, head) in heads.prefix(Hello.headsMax) {
            var part = FieldWriter(reserving: 24)
            part.varint(1, UInt64(log.stream.rawValue))
            part.fixed64(2, log.epoch)
            part.varint(3, head)
            writer.bytes(8, part.bytes)
        }
        writer.varint(9, hello.physicalMilliseconds)
        writer.flag(10, hello.isClockSynced)
        if let mark = hello.remembered { writer.bytes(11, DigestCodec.encode(box, mark)) }
        if let reason = hello.quarantine { writer.varint(12, reason.wireValue) }
        return writer.bytes
    }

    /// `box`: who sent it; its heads are of that box's logs.
    package static func decode(_ bytes: [UInt8], from box: BoxID) throws(EntryDecodeError) -> Hello {
        let fields = try FieldMap(bytes[...])
        let id = try fields.requiredBytes(1)
        guard id.count == FederationID.byteCount, let federation = FederationID(id) else { throw EntryDecodeError(.badField, at: 1) }
        let lowest = try fields.required(2)
        let highest = try fields.required(3)
        guard lowest <= highest else { throw EntryDecodeError(.badField, at: 3) }
        var hello = Hello(
            federation: federation, versions: lowest...highest, features: fields.number(4) ?? 0,
            mark: StartMark(counter: try fields.required(5), nonce: try fields.required(6)), acceptorWrites: fields.number(7) ?? 0,
            physicalMilliseconds: fields.number(9) ?? 0, isClockSynced: fields.flag(10))
        if let slice = fields.slice(11) { hello.remembered = try DigestCodec.mark(slice).1 }
        hello.quarantine = fields.number(12).flatMap { QuarantineReason(wireValue: $0) }
        var reader = FieldReader(bytes[...])
        while let (field, value) = try reader.next() {
            guard field == 8, case .bytes(let slice) = value else { continue }
            guard hello.heads.count < Hello.headsMax else { throw EntryDecodeError(.tooLarge, at: 8) }
            let part = try FieldMap(slice)
            guard let stream = Stream(rawValue: try part.required8(1)) else { throw EntryDecodeError(.badField, at: 8) }
            let head = try part.required(3)
            guard head <= BatchCodec.sequenceMax else { throw EntryDecodeError(.badField, at: 8) }
            hello.heads[LogEpoch(origin: box, stream: stream, epoch: try part.required(2))] = head
        }
        return hello
    }
}
