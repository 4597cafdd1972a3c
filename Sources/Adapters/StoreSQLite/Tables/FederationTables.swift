import SkerryModel
import Store

// MARK: - Items and batches of logs

extension SQLiteReader {
    func items(of epoch: Int32, from seq: UInt64, through last: UInt64, limit: Int, bytes: Int) throws -> [LogItem] {
        let last = min(last, LocalPosition.seqMax)
        guard limit > 0, seq <= last else { return [] }
        var items: [LogItem] = []
        var bytesLeft = bytes
        try self.db.each(
            """
            SELECT pos, raw, 0 FROM entry WHERE pos >= ?1 AND pos <= ?2
            UNION ALL SELECT pos, hash, 1 FROM dropped WHERE pos >= ?1 AND pos <= ?2
            ORDER BY 1 LIMIT ?3
            """, LocalPosition(epoch: epoch, seq: seq).packed, LocalPosition(epoch: epoch, seq: last).packed, limit
        ) { (row) throws(StoreError) in
            let bytes: [UInt8] = try row.get(1)
            bytesLeft -= bytes.count
            guard items.isEmpty || bytesLeft >= 0 else { return false }
            items.append(LogItem(seq: LocalPosition(packed: try row.get(0)).seq, content: try row.get(2) ? .dropped(hash: bytes) : .entry(bytes)))
            return true
        }
        return items
    }

    func batches(of epoch: Int32, covering seq: UInt64, limit: Int) throws -> [BatchRecord] {
        guard limit > 0, seq > 0, seq <= LocalPosition.seqMax else { return [] }
        let first: BatchRecord? = try self.db.first(
            "SELECT pos, count, signature FROM batch WHERE pos >= ?1 AND pos <= ?2 AND pos + count > ?2 ORDER BY pos LIMIT 1",
            LocalPosition(epoch: epoch, seq: seq > Self.batchEntriesMax ? seq - Self.batchEntriesMax + 1 : 1).packed,
            LocalPosition(epoch: epoch, seq: seq).packed, read: Self.batch)
        guard let first else { return [] }
        var batches = [first]
        // Of batches that overlap, whichever begins at or before the place that is wanted next and reaches beyond it.
        try self.db.each(
            "SELECT pos, count, signature FROM batch WHERE pos > ?1 AND pos <= ?2 ORDER BY pos", LocalPosition(epoch: epoch, seq: first.firstSeq).packed,
            LocalPosition(epoch: epoch, seq: LocalPosition.seqMax).packed
        ) { (row) throws(StoreError) in
            guard batches.count < limit, let before = batches.last else { return false }
            let batch = try Self.batch(row)
            guard batch.firstSeq <= before.lastSeq + 1 else { return false }
            if batch.lastSeq > before.lastSeq { batches.append(batch) }
            return true
        }
        return batches
    }

    /// A batch has no more entries than this, so the one that covers a place begins no further before it.
    private static let batchEntriesMax: UInt64 = 256

    private static func batch(_ row: Row) throws(StoreError) -> BatchRecord {
        let position = LocalPosition(packed: try row.get(0))
        return BatchRecord(epoch: position.epoch, firstSeq: position.seq, count: try row.get(1), signature: try row.get(2))
    }

    func metas(prefix: String) throws -> [(name: String, value: [UInt8])] {
        var metas: [(name: String, value: [UInt8])] = []
        try self.db.each("SELECT name, value FROM meta WHERE name >= ?1 ORDER BY name", prefix) { (row) throws(StoreError) in
            guard row.withBytes(0, { $0.starts(with: prefix.utf8) }) else { return false }
            metas.append((try row.get(0), try row.get(1)))
            return true
        }
        return metas
    }
}

extension SQLiteTransaction {
    func setBirth(_ hlc: HLC, of epoch: Int32) throws {
        try self.write("UPDATE epoch SET birth = ?2 WHERE number = ?1", epoch, Int64(bitPattern: hlc.rawValue))
    }

    func setFinal(_ epoch: Int32) throws { try self.write("UPDATE epoch SET is_final = 1 WHERE number = ?1", epoch) }

    func setReplicated(_ seq: UInt64, of epoch: Int32) throws {
        try self.write("UPDATE epoch SET replicated = ?2 WHERE number = ?1 AND replicated < ?2", epoch, Int64(clamping: seq))
    }

    func append(dropped hash: [UInt8], at position: LocalPosition) throws {
        try self.advance(to: position)
        try self.write("INSERT INTO dropped (pos, hash) VALUES (?1, ?2)", position.packed, hash)
    }

    func skip(_ epoch: Int32, upTo seq: UInt64) throws {
        guard seq <= LocalPosition.seqMax else { throw self.fail(StoreError(.constraint, "A sequence is out of range.")) }
        let head = try self.head(of: epoch)
        let (low, high) = (LocalPosition(epoch: epoch, seq: 0).packed, LocalPosition(epoch: epoch, seq: seq).packed)
        try self.write("UPDATE epoch SET low = ?2 WHERE number = ?1 AND low < ?2", epoch, Int64(clamping: seq))
        try self.write("DELETE FROM entry WHERE pos > ?1 AND pos <= ?2", low, high)
        try self.write("DELETE FROM dropped WHERE pos > ?1 AND pos <= ?2", low, high)
        try self.write("DELETE FROM batch WHERE pos > ?1 AND pos <= ?2 AND pos + count <= ?2 + 1", low, high)
        if head < seq { self.pending.heads[epoch] = seq }
    }

    func drop(_ position: LocalPosition, hash: [UInt8]) throws {
        try self.write("DELETE FROM entry WHERE pos = ?1", position.packed)
        guard self.db.changes > 0 else { return }
        try self.write("INSERT INTO dropped (pos, hash) VALUES (?1, ?2)", position.packed, hash)
    }

    func unindex(_ scope: SyncScope, at position: LocalPosition) throws {
        try self.write("DELETE FROM sync_item WHERE scope = ?1 AND pos = ?2", scope.bytes, position.packed)
    }

    func put(_ batch: BatchRecord) throws {
        try self.write(
            """
            INSERT INTO batch (pos, count, signature) VALUES (?1, ?2, ?3)
            ON CONFLICT (pos) DO UPDATE SET count = excluded.count, signature = excluded.signature WHERE excluded.count > count
            """, LocalPosition(epoch: batch.epoch, seq: batch.firstSeq).packed, batch.count, batch.signature)
    }

    func removeMeta(_ name: String) throws { try self.write("DELETE FROM meta WHERE name = ?1", name) }
}

// MARK: - Members

extension SQLiteReader {
    func member(_ box: BoxID) throws -> MemberRecord? {
        try self.db.first(
            """
            SELECT box, standing, name, public_key, log_key, endpoints, is_issuer, version, cut, reason, signature, stamp FROM member WHERE box = ?1
            """, box.bytes, read: Self.member)
    }

    func members() throws -> [MemberRecord] {
        try self.db.all(
            "SELECT box, standing, name, public_key, log_key, endpoints, is_issuer, version, cut, reason, signature, stamp FROM member ORDER BY box",
            read: Self.member)
    }

    private static func member(_ row: Row) throws(StoreError) -> MemberRecord {
        let (box, endpoints, cut, version): (BoxID, String, [UInt8], Int64) = (try row.get(0), try row.get(5), try row.get(8), try row.get(7))
        var entry = MemberEntry(
            box: box, standing: try row.get(1), name: try row.get(2), publicKey: try row.get(3), logKey: try row.get(4),
            endpoints: endpoints.split(separator: "\n").map(String.init), isIssuer: try row.get(6), version: UInt64(bitPattern: version),
            reason: try row.get(9), signature: try row.get(10))
        for offset in stride(from: 0, to: cut.count - 16, by: 17) {
            guard let stream = Stream(rawValue: cut[offset]), let epoch = cut.bigEndian(at: offset + 1), let seq = cut.bigEndian(at: offset + 9) else {
                throw StoreError(.corrupt, "A row of the member list holds something impossible; run `skerry check`.")
            }
            entry.cut[LogEpoch(origin: box, stream: stream, epoch: epoch)] = seq
        }
        return MemberRecord(entry: entry, stamp: try row.get(11))
    }
}

extension SQLiteTransaction {
    func put(_ member: MemberRecord) throws {
        let entry = member.entry
        var cut: [UInt8] = []
        for (log, seq) in entry.cut.sorted(by: { ($0.key.stream.rawValue, $0.key.epoch) < ($1.key.stream.rawValue, $1.key.epoch) }) {
            cut.append(log.stream.rawValue)
            cut.appendBigEndian(log.epoch)
            cut.appendBigEndian(seq)
        }
        try self.write(
            """
            INSERT OR REPLACE INTO member (box, standing, name, public_key, log_key, endpoints, is_issuer, version, cut, reason, signature, stamp)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
            """, entry.box.bytes, entry.standing.rawValue, entry.name, entry.publicKey, entry.logKey, entry.endpoints.joined(separator: "\n"),
            entry.isIssuer, Int64(bitPattern: entry.version), cut, entry.reason, entry.signature, member.stamp)
    }
}
