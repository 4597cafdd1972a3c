package import Replication
import SkerryModel
package import Store

/// Keeps cursors short on a box that was restarted a thousand times: the epochs that are over become one hash.
///
/// Only a closed epoch can be folded, one that a later epoch of the same log follows: nothing is ever added to it any more.
package enum CursorFolding {
    /// Epochs at the start of the list that are one hash in a cursor that has seen them all.
    package struct Fold: Sendable, Hashable {
        package var count: Int
        package var hash: UInt64
    }

    /// The cursor that has seen every epoch of `epochs` (by rising number) up to its head.
    package static func cursor(of epochs: [EpochRecord]) -> SyncCursor { Self.cursor(of: epochs, Self.fold(epochs)) }

    /// As `cursor(of:)`, with the fold of the same epochs made before: it changes only when an epoch is added.
    package static func cursor(of epochs: [EpochRecord], _ fold: Fold) -> SyncCursor {
        var cursor = SyncCursor(foldedCount: UInt32(fold.count), foldedHash: fold.hash)
        for epoch in epochs.dropFirst(fold.count) { cursor.seen[epoch.log] = epoch.head }
        return cursor
    }

    package static func fold(_ epochs: [EpochRecord]) -> Fold {
        let count = Self.foldable(epochs)
        return Fold(count: count, hash: Self.hash(epochs.prefix(count)))
    }

    /// The cursor that has seen of each epoch what `seen` says; nil when too many epochs are unread to be spelled out.
    package static func cursor(of epochs: [EpochRecord], seen: [Int32: UInt64]) -> SyncCursor? {
        let finished = epochs.prefix { seen[$0.number] == $0.head }.count
        let count = min(finished, Self.foldable(epochs))
        guard epochs.count - count <= SyncCursor.epochsSpelledMax else { return nil }
        return Self.cursor(
            of: epochs.map { EpochRecord(number: $0.number, log: $0.log, head: seen[$0.number] ?? 0) },
            Fold(count: count, hash: Self.hash(epochs.prefix(count))))
    }

    /// What of each epoch `cursor` has seen; nil when its folded part is not a prefix of ours: the client must reload.
    package static func seen(_ cursor: SyncCursor, _ epochs: [EpochRecord]) -> [Int32: UInt64]? {
        let folded = Int(cursor.foldedCount)
        guard folded <= epochs.count, folded == 0 || Self.hash(epochs.prefix(folded)) == cursor.foldedHash else { return nil }
        var seen: [Int32: UInt64] = [:]
        var matched = 0
        for (index, epoch) in epochs.enumerated() {
            if index < folded {
                seen[epoch.number] = epoch.head
            } else if let seq = cursor.seen[epoch.log] {
                // A cursor ahead of the log comes from entries that a power cut or a restore took away.
                guard seq <= epoch.head else { return nil }
                seen[epoch.number] = seq
                matched += 1
            } else {
                seen[epoch.number] = 0
            }
        }
        return matched == cursor.seen.count ? seen : nil
    }

    /// How many epochs from the first on are closed; more when otherwise too many were left to spell out.
    private static func foldable(_ epochs: [EpochRecord]) -> Int {
        struct Log: Hashable {
            var origin: BoxID
            var stream: Stream
        }
        var open = Set<Log>()
        var closed = epochs.count
        for (index, epoch) in epochs.enumerated().reversed() where open.insert(Log(origin: epoch.log.origin, stream: epoch.log.stream)).inserted {
            closed = index
        }
        return max(closed, epochs.count - SyncCursor.epochsMax)
    }

    /// FNV-1a over origin, stream, epoch and head of each: a check for equality among honest boxes, not a proof.
    private static func hash(_ epochs: some Collection<EpochRecord>) -> UInt64 {
        if epochs.isEmpty { return 0 }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for epoch in epochs {
            var bytes = epoch.log.origin.bytes + [epoch.log.stream.rawValue]
            bytes.appendBigEndian(epoch.log.epoch)
            bytes.appendBigEndian(epoch.head)
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        return hash
    }
}
