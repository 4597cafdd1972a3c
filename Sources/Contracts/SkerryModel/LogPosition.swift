/// The two logs that every box keeps (FEDERATION.md §2.1): control rows travel before messages.
package enum Stream: UInt8, Sendable, Hashable, CaseIterable {
    case control = 1
    case message = 2
}

/// One run of a box's log: the box, the stream, and a random number drawn at the first write after each start.
///
/// A restored backup starts a new epoch and so can never use a position twice (FEDERATION.md §2.1, simulated).
package struct LogEpoch: Sendable, Hashable {
    package let origin: BoxID
    package let stream: Stream
    package let epoch: UInt64

    package init(origin: BoxID, stream: Stream, epoch: UInt64) {
        self.origin = origin
        self.stream = stream
        self.epoch = epoch
    }
}

/// Where an entry stands in the federation: `(origin, epoch, seq)`; `seq` counts from 1 without a gap inside an epoch.
package struct LogPosition: Sendable, Hashable {
    package let log: LogEpoch
    package let seq: UInt64

    package init(log: LogEpoch, seq: UInt64) {
        self.log = log
        self.seq = seq
    }
}

/// A hybrid logical clock reading: 48 bits of milliseconds since 1970, 16 bits of counter.
package struct HLC: Sendable, Hashable, Comparable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package init(milliseconds: UInt64, counter: UInt16) { self.rawValue = (milliseconds << 16) | UInt64(counter) }

    package var milliseconds: UInt64 { self.rawValue >> 16 }
    package var counter: UInt16 { UInt16(truncatingIfNeeded: self.rawValue) }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The one order of everything: `(hlc, origin, epoch, seq)`, the same on every box; never wall clock, never arrival (PRODUCT.md §3).
///
/// Clients see it as an opaque text that sorts as the order does. The last writer of a row is the one with the greater order.
package struct Order: Sendable, Hashable, Comparable, CustomStringConvertible {
    package static let byteCount = 34
    package let hlc: HLC
    package let origin: BoxID
    package let epoch: UInt64
    package let seq: UInt64

    package init(hlc: HLC, origin: BoxID, epoch: UInt64, seq: UInt64) {
        self.hlc = hlc
        self.origin = origin
        self.epoch = epoch
        self.seq = seq
    }

    package init(hlc: HLC, position: LogPosition) {
        self.init(hlc: hlc, origin: position.log.origin, epoch: position.log.epoch, seq: position.seq)
    }

    /// The 34 bytes that `bytes` gives; nil for any other count.
    package init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.byteCount, let hlc = bytes.bigEndian(at: 0), let origin = BoxID(UnsafeRawBufferPointer(rebasing: bytes[8..<18])),
            let epoch = bytes.bigEndian(at: 18), let seq = bytes.bigEndian(at: 26)
        else { return nil }
        self.init(hlc: HLC(rawValue: hlc), origin: origin, epoch: epoch, seq: seq)
    }

    package init?(bytes: [UInt8]) {
        guard let order = bytes.withUnsafeBytes({ Self(bytes: $0) }) else { return nil }
        self = order
    }

    package init?(text: some StringProtocol) {
        guard text.utf8.count == 55, let bytes = Base32.decode(text) else { return nil }
        self.init(bytes: bytes)
    }

    package var bytes: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(Self.byteCount)
        result.appendBigEndian(self.hlc.rawValue)
        self.origin.append(to: &result)
        result.appendBigEndian(self.epoch)
        result.appendBigEndian(self.seq)
        return result
    }

    package var description: String { Base32.encode(self.bytes) }

    package static func < (left: Self, right: Self) -> Bool {
        if left.hlc != right.hlc { return left.hlc < right.hlc }
        if left.origin != right.origin { return left.origin < right.origin }
        return (left.epoch, left.seq) < (right.epoch, right.seq)
    }
}
