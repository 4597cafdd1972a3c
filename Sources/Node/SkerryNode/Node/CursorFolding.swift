package import Replication
import SkerryModel
package import Store

/// Keeps cursors short on a box that was restarted a thousand times: all but the newest epochs become one hash.
///
/// Only a closed epoch can be folded: nothing is ever added to it any more.
package enum CursorFolding {
    /// The cursor that has seen every epoch of `epochs` (by rising number) up to its head.
    package static func cursor(of epochs: [EpochRecord]) -> SyncCursor {
        let folded = max(0, epochs.count - SyncCursor.epochsMax)
        var cursor = SyncCursor()
        cursor.foldedCount = UInt32(folded)
        cursor.foldedHash = Self.hash(epochs.prefix(folded))
        for epoch in epochs.dropFirst(folded) { cursor.seen[epoch.log] = epoch.head }
        return cursor
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
