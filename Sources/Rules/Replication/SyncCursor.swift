package import SkerryModel

/// What a client has seen: for each log epoch the highest sequence, a version vector (FEDERATION.md §2.5.6).
///
/// The token is opaque to clients and means the same on every box: it names epochs by themselves, never by the numbers a box gave them.
/// Of each log (a box's stream) the oldest epochs, which are over and were seen to their ends, are one count and one hash.
package struct SyncCursor: Sendable, Hashable {
    /// One stream of one box, all its epochs.
    package struct Log: Sendable, Hashable, Comparable {
        package var origin: BoxID
        package var stream: Stream

        package init(origin: BoxID, stream: Stream) {
            self.origin = origin
            self.stream = stream
        }

        package init(_ log: LogEpoch) { self.init(origin: log.origin, stream: log.stream) }

        package static func < (left: Self, right: Self) -> Bool {
            left.origin != right.origin ? left.origin < right.origin : left.stream.rawValue < right.stream.rawValue
        }
    }

    /// Epochs at the begin of a log that were seen to their ends: how many, and a hash of which they are and where they end.
    package struct Fold: Sendable, Hashable {
        package var count: UInt32
        package var hash: UInt64

        package init(count: UInt32, hash: UInt64) {
            self.count = count
            self.hash = hash
        }
    }

    /// Epochs spelled out in the cursor of somebody who has seen everything, if more of them can be folded.
    package static let epochsMax = 64
    /// Epochs spelled out in any cursor. A client that would need more must reload.
    package static let epochsSpelledMax = 128
    /// Logs with a fold.
    package static let foldsMax = 512
    private static let version: UInt8 = 2

    /// Of epochs that are not folded; one that is not named has not been seen at all.
    package var seen: [LogEpoch: UInt64]
    package var folds: [Log: Fold]
    /// From a token of an earlier version that folded by the numbers of one box: nobody can tell any more what it has seen.
    package private(set) var isOutdated = false

    package init(seen: [LogEpoch: UInt64] = [:], folds: [Log: Fold] = [:]) {
        self.seen = seen
        self.folds = folds
    }

    /// `2`, then for each log by rising order: origin, stream with the high bit for a fold, how many epochs are spelled, the fold's count
    /// and hash, and by rising epoch each with its sequence.
    package var token: String {
        var spelled: [Log: [(epoch: UInt64, seq: UInt64)]] = [:]
        for (log, seq) in self.seen { spelled[Log(log), default: []].append((log.epoch, seq)) }
        var bytes: [UInt8] = [Self.version]
        bytes.reserveCapacity(64 + self.seen.count * 20 + self.folds.count * 24)
        for log in Set(spelled.keys).union(self.folds.keys).sorted() {
            let (fold, epochs) = (self.folds[log], spelled[log] ?? [])
            log.origin.append(to: &bytes)
            bytes.append(log.stream.rawValue | (fold == nil ? 0 : Self.foldFlag))
            Self.append(UInt64(epochs.count), to: &bytes)
            if let fold {
                Self.append(UInt64(fold.count), to: &bytes)
                bytes.appendBigEndian(fold.hash)
            }
            for (epoch, seq) in epochs.sorted(by: { $0.epoch < $1.epoch }) {
                bytes.appendBigEndian(epoch)
                Self.append(seq, to: &bytes)
            }
        }
        return Base32.encode(bytes)
    }

    private static let foldFlag: UInt8 = 0x80
    private static let bytesMax = 1 + (Self.foldsMax + Self.epochsSpelledMax) * 21 + (Self.foldsMax + Self.epochsSpelledMax) * 18

    /// The cursor a client sent; nil when it is not one of ours.
    package init?(token: some StringProtocol) {
        guard token.utf8.count <= 8 + Self.bytesMax * 8 / 5, let bytes = Base32.decode(token), let version = bytes.first else { return nil }
        switch version {
        case Self.version: self.init(bytes[1...])
        case 1: self.init(first: bytes)
        default: return nil
        }
    }

    private init?(_ bytes: ArraySlice<UInt8>) {
        self.init()
        var rest = bytes
        var last: Log?
        while !rest.isEmpty {
            guard let origin = BoxID(rest.prefix(BoxID.byteCount)), let head = rest.dropFirst(BoxID.byteCount).first,
                let stream = Stream(rawValue: head & ~Self.foldFlag)
            else { return nil }
            let log = Log(origin: origin, stream: stream)
            // One way to write each cursor.
            if let last, log <= last { return nil }
            last = log
            rest = rest.dropFirst(BoxID.byteCount + 1)
            guard let count = Self.number(&rest), count > 0 || head & Self.foldFlag != 0, self.seen.count + Int(clamping: count) <= Self.epochsSpelledMax else {
                return nil
            }
            if head & Self.foldFlag != 0 {
                guard let folded = Self.number(&rest).flatMap({ UInt32(exactly: $0) }), folded > 0, let hash = Self.fixed(&rest) else { return nil }
                self.folds[log] = Fold(count: folded, hash: hash)
            }
            var before: UInt64?
            for _ in 0..<count {
                guard let epoch = Self.fixed(&rest), let seq = Self.number(&rest), before.map({ epoch > $0 }) ?? true else { return nil }
                self.seen[LogEpoch(origin: origin, stream: stream, epoch: epoch)] = seq
                before = epoch
            }
        }
        guard self.folds.count <= Self.foldsMax else { return nil }
    }

    /// Version 1: `1`, the count and hash of what was folded, and 27 bytes for each epoch.
    private init?(first bytes: [UInt8]) {
        let entryBytes = BoxID.byteCount + 1 + 8 + 8
        guard bytes.count >= 13, (bytes.count - 13) % entryBytes == 0, (bytes.count - 13) / entryBytes <= Self.epochsSpelledMax,
            let folded = bytes.bigEndian(at: 1, count: 4)
        else { return nil }
        self.init()
        self.isOutdated = folded > 0
        for offset in stride(from: 13, to: bytes.count, by: entryBytes) {
            guard let origin = BoxID(bytes[offset..<(offset + 10)]), let stream = Stream(rawValue: bytes[offset + 10]),
                let epoch = bytes.bigEndian(at: offset + 11), let seq = bytes.bigEndian(at: offset + 19)
            else { return nil }
            self.seen[LogEpoch(origin: origin, stream: stream, epoch: epoch)] = seq
        }
    }

    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private static func number(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            let part = UInt64(byte & 0x7F)
            guard shift < 63 || part <= 1 else { return nil }
            value |= part << shift
            if byte < 0x80 { return shift > 0 && byte == 0 ? nil : value }
        }
        return nil
    }

    private static func fixed(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
        guard rest.count >= 8 else { return nil }
        defer { rest = rest.dropFirst(8) }
        return rest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
