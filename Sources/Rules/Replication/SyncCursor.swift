package import SkerryModel

/// What a client has seen: for each log epoch the highest sequence, a version vector (FEDERATION.md §2.5.6).
///
/// The token is opaque to clients and means the same on every box. Epochs that are over, and all beyond the newest 64, are folded into one hash.
package struct SyncCursor: Sendable, Hashable {
    /// Epochs spelled out in the cursor of somebody who has seen everything; older ones are folded.
    package static let epochsMax = 64
    /// Epochs spelled out in any cursor: an unread epoch cannot be folded. A client that would need more must reload.
    package static let epochsSpelledMax = 128
    private static let version: UInt8 = 1

    package var seen: [LogEpoch: UInt64]
    /// How many epochs were folded, and the hash over them; `0, 0` when none.
    package var foldedCount: UInt32
    package var foldedHash: UInt64

    package init(seen: [LogEpoch: UInt64] = [:], foldedCount: UInt32 = 0, foldedHash: UInt64 = 0) {
        self.seen = seen
        self.foldedCount = foldedCount
        self.foldedHash = foldedHash
    }

    package var token: String {
        var bytes: [UInt8] = [Self.version]
        bytes.appendBigEndian(self.foldedCount)
        bytes.appendBigEndian(self.foldedHash)
        let sorted = self.seen.sorted {
            if $0.key.origin != $1.key.origin { return $0.key.origin < $1.key.origin }
            return ($0.key.stream.rawValue, $0.key.epoch) < ($1.key.stream.rawValue, $1.key.epoch)
        }
        for (log, seq) in sorted {
            log.origin.append(to: &bytes)
            bytes.append(log.stream.rawValue)
            bytes.appendBigEndian(log.epoch)
            bytes.appendBigEndian(seq)
        }
        return Base32.encode(bytes)
    }

    /// The cursor a client sent; nil when it is not one of ours.
    package init?(token: some StringProtocol) {
        let entryBytes = BoxID.byteCount + 1 + 8 + 8
        guard token.utf8.count <= 16 + (13 + Self.epochsSpelledMax * entryBytes) * 8 / 5, let bytes = Base32.decode(token),
            bytes.count >= 13, bytes[0] == Self.version, (bytes.count - 13) % entryBytes == 0,
            let foldedCount = bytes.bigEndian(at: 1, count: 4), let foldedHash = bytes.bigEndian(at: 5)
        else { return nil }
        self.init(foldedCount: UInt32(foldedCount), foldedHash: foldedHash)
        for offset in stride(from: 13, to: bytes.count, by: entryBytes) {
            guard let origin = BoxID(bytes[offset..<(offset + 10)]), let stream = Stream(rawValue: bytes[offset + 10]),
                let epoch = bytes.bigEndian(at: offset + 11), let seq = bytes.bigEndian(at: offset + 19)
            else { return nil }
            self.seen[LogEpoch(origin: origin, stream: stream, epoch: epoch)] = seq
        }
    }
}
