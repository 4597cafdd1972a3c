package import SkerryModel

/// All epochs of one log of one box.
package struct LogGroup: Sendable, Hashable, Comparable {
    package var origin: BoxID
    package var stream: Stream

    package init(_ origin: BoxID, _ stream: Stream) {
        self.origin = origin
        self.stream = stream
    }

    package init(_ log: LogEpoch) { self.init(log.origin, log.stream) }

    /// Control before messages, so that what is worked through in order does so.
    package static func < (left: Self, right: Self) -> Bool {
        left.stream == right.stream ? left.origin < right.origin : left.stream.rawValue < right.stream.rawValue
    }
}

/// How far a box holds one epoch.
package struct HeldEpoch: Sendable, Hashable {
    package var epoch: UInt64
    /// Everything up to here was held once.
    package var head: UInt64
    /// Everything up to here is gone again: compacted or expired.
    package var lowWater: UInt64
    /// Its origin still writes to it; said by the origin alone.
    package var isOpen: Bool

    package init(epoch: UInt64, head: UInt64, lowWater: UInt64 = 0, isOpen: Bool = false) {
        self.epoch = epoch
        self.head = head
        self.lowWater = lowWater
        self.isOpen = isOpen
    }
}

/// A hash over a set of epochs and heads that does not depend on their order: a sum, so that parts are added and taken away one by one.
package struct EpochSum: Sendable, Hashable {
    package private(set) var count: UInt64
    package private(set) var hash: UInt64

    package init(count: UInt64 = 0, hash: UInt64 = 0) {
        self.count = count
        self.hash = hash
    }

    package mutating func add(_ epoch: UInt64, _ head: UInt64) {
        self.count &+= 1
        self.hash &+= Self.mix(epoch, head)
    }

    package mutating func remove(_ epoch: UInt64, _ head: UInt64) {
        self.count &-= 1
        self.hash &-= Self.mix(epoch, head)
    }

    /// The finisher of splitmix64, twice: every bit of both numbers reaches every bit of the result.
    private static func mix(_ epoch: UInt64, _ head: UInt64) -> UInt64 {
        Self.finish(Self.finish(epoch &+ 0x9E37_79B9_7F4A_7C15) ^ head)
    }

    private static func finish(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// What a box holds of one log: the epochs that change, spelled out, and a sum over all others.
///
/// A box that has the same sum over its own epochs without the spelled ones holds the same of those; otherwise it asks for the list.
package struct DigestGroup: Sendable, Hashable {
    package var group: LogGroup
    package var listed: [HeldEpoch]
    package var rest: EpochSum

    package init(_ group: LogGroup, listed: [HeldEpoch], rest: EpochSum = EpochSum()) {
        self.group = group
        self.listed = listed
        self.rest = rest
    }
}

/// What a box tells of all it holds (`vv`, FEDERATION.md §2.4).
package struct Digest: Sendable, Hashable {
    package var federation: FederationID
    /// Only what has changed: of logs that are not in it nothing is said. A whole one comes on link-up and every minute.
    package var isPartial: Bool
    package var groups: [DigestGroup]
    /// The last run known of every member.
    package var marks: [BoxID: StartMark]
    /// Why its sender keeps itself from full membership.
    package var quarantine: QuarantineReason?

    package init(
        federation: FederationID, isPartial: Bool = false, groups: [DigestGroup], marks: [BoxID: StartMark] = [:], quarantine: QuarantineReason? = nil
    ) {
        self.federation = federation
        self.isPartial = isPartial
        self.groups = groups
        self.marks = marks
        self.quarantine = quarantine
    }
}

/// `Digest` ⇄ bytes: `1:ver 2:fed 3:partial 4:group… 5:mark… 6:quarantine`.
///
/// A group is `1:origin 2:stream 3:count 4:hash(fix64) 5:epoch…`, an epoch `1:epoch(fix64) 2:head 3:lowWater 4:open`, a mark
/// `1:box 2:counter 3:nonce(fix64)`.
package enum DigestCodec {
    /// Groups of one digest, and marks: more than any federation has; a digest with more is refused.
    package static let groupsMax = 1_024
    package static let marksMax = 512
    /// Epochs spelled out in one digest: what is over is in the sums. More are refused.
    package static let epochsMax = 1_536

    package static func encode(_ digest: Digest) -> [UInt8] {
        var writer = FieldWriter(reserving: 64 + digest.groups.count * 64)
        writer.varint(1, BatchCodec.version)
        writer.bytes(2, digest.federation.bytes)
        writer.flag(3, digest.isPartial)
        for group in digest.groups { writer.bytes(4, Self.encode(group)) }
        for (box, mark) in digest.marks.sorted(by: { $0.key < $1.key }) { writer.bytes(5, Self.encode(box, mark)) }
        if let reason = digest.quarantine { writer.varint(6, reason.wireValue) }
        return writer.bytes
    }

    package static func decode(_ bytes: [UInt8]) throws(EntryDecodeError) -> Digest {
        guard bytes.count <= LinkChannel.payloadBytesMax else { throw EntryDecodeError(.tooLarge, at: UInt64(bytes.count)) }
        var version: UInt64?
        var federation: FederationID?
        var digest: (partial: Bool, groups: [DigestGroup], marks: [BoxID: StartMark], quarantine: QuarantineReason?) = (false, [], [:], nil)
        var epochs = 0
        var reader = FieldReader(bytes[...])
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .number(let number)): version = number
            case (2, .bytes(let slice)):
                guard slice.count == FederationID.byteCount else { throw EntryDecodeError(.badField, at: field) }
                federation = FederationID(slice)
            case (3, .number(let number)): digest.partial = number == 1
            case (4, .bytes(let slice)):
                guard digest.groups.count < Self.groupsMax else { throw EntryDecodeError(.tooLarge, at: field) }
                let group = try Self.group(slice, epochsLeft: Self.epochsMax - epochs)
                epochs += group.listed.count
                digest.groups.append(group)
            case (5, .bytes(let slice)):
                guard digest.marks.count < Self.marksMax else { throw EntryDecodeError(.tooLarge, at: field) }
                let (box, mark) = try Self.mark(slice)
                digest.marks[box] = mark
            case (6, .number(let number)): digest.quarantine = QuarantineReason(wireValue: number)
            case (1...6, _): throw EntryDecodeError(.badField, at: field)
            default: break
            }
        }
        guard let version else { throw EntryDecodeError(.missingField, at: 1) }
        guard version == BatchCodec.version else { throw EntryDecodeError(.badField, at: 1) }
        guard let federation else { throw EntryDecodeError(.missingField, at: 2) }
        return Digest(
            federation: federation, isPartial: digest.partial, groups: digest.groups, marks: digest.marks, quarantine: digest.quarantine)
    }

    private static func encode(_ group: DigestGroup) -> [UInt8] {
        var writer = FieldWriter(reserving: 40 + group.listed.count * 20)
        writer.bytes(1, group.group.origin.bytes)
        writer.varint(2, UInt64(group.group.stream.rawValue))
        if group.rest.count > 0 {
            writer.varint(3, group.rest.count)
            writer.fixed64(4, group.rest.hash)
        }
        for epoch in group.listed { writer.bytes(5, Self.encode(epoch)) }
        return writer.bytes
    }

    static func encode(_ epoch: HeldEpoch) -> [UInt8] {
        var writer = FieldWriter(reserving: 24)
        writer.fixed64(1, epoch.epoch)
        writer.varint(2, epoch.head)
        if epoch.lowWater > 0 { writer.varint(3, epoch.lowWater) }
        writer.flag(4, epoch.isOpen)
        return writer.bytes
    }

    static func epoch(_ bytes: ArraySlice<UInt8>) throws(EntryDecodeError) -> HeldEpoch {
        let fields = try FieldMap(bytes)
        let head = try fields.required(2)
        guard head <= BatchCodec.sequenceMax else { throw EntryDecodeError(.badField, at: 2) }
        let lowWater = fields.number(3) ?? 0
        guard lowWater <= head else { throw EntryDecodeError(.badField, at: 3) }
        return HeldEpoch(epoch: try fields.required(1), head: head, lowWater: lowWater, isOpen: fields.flag(4))
    }

    private static func group(_ bytes: ArraySlice<UInt8>, epochsLeft: Int) throws(EntryDecodeError) -> DigestGroup {
        var origin: BoxID?
        var stream: Stream?
        var count: UInt64 = 0
        var hash: UInt64 = 0
        var listed: [HeldEpoch] = []
        var reader = FieldReader(bytes)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let slice)):
                guard slice.count == BoxID.byteCount else { throw EntryDecodeError(.badField, at: field) }
                origin = BoxID(slice)
            case (2, .number(let number)): stream = UInt8(exactly: number).flatMap { Stream(rawValue: $0) }
            case (3, .number(let number)): count = number
            case (4, .number(let number)): hash = number
            case (5, .bytes(let slice)):
                guard listed.count < epochsLeft else { throw EntryDecodeError(.tooLarge, at: field) }
                listed.append(try Self.epoch(slice))
            case (1...5, _): throw EntryDecodeError(.badField, at: field)
            default: break
            }
        }
        guard let origin else { throw EntryDecodeError(.missingField, at: 1) }
        guard let stream else { throw EntryDecodeError(.badField, at: 2) }
        return DigestGroup(LogGroup(origin, stream), listed: listed, rest: count > 0 ? EpochSum(count: count, hash: hash) : EpochSum())
    }

    static func encode(_ box: BoxID, _ mark: StartMark) -> [UInt8] {
        var writer = FieldWriter(reserving: 32)
        writer.bytes(1, box.bytes)
        writer.varint(2, mark.counter)
        writer.fixed64(3, mark.nonce)
        return writer.bytes
    }

    static func mark(_ bytes: ArraySlice<UInt8>) throws(EntryDecodeError) -> (BoxID, StartMark) {
        let fields = try FieldMap(bytes)
        let id = try fields.requiredBytes(1)
        guard id.count == BoxID.byteCount, let box = BoxID(id) else { throw EntryDecodeError(.badField, at: 1) }
        return (box, StartMark(counter: try fields.required(2), nonce: try fields.required(3)))
    }
}

extension QuarantineReason {
    package var wireValue: UInt64 {
        switch self {
        case .rollback: 1
        case .clone: 2
        case .clock: 3
        case .version: 4
        }
    }

    package init?(wireValue: UInt64) {
        switch wireValue {
        case 1: self = .rollback
        case 2: self = .clone
        case 3: self = .clock
        case 4: self = .version
        default: return nil
        }
    }
}
