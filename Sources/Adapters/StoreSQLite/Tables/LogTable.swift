import SkerryModel
import Store

extension SQLiteReader {
    func epochs() throws -> [EpochRecord] {
        try self.db.all(
            "SELECT number, origin, stream, epoch, head, birth, is_final, low, replicated FROM epoch ORDER BY number"
        ) { (row) throws(StoreError) in try self.epoch(row) }
    }

    func epoch(_ log: LogEpoch) throws -> EpochRecord? {
        try self.db.first(
            """
            SELECT number, origin, stream, epoch, head, birth, is_final, low, replicated FROM epoch
            WHERE origin = ?1 AND stream = ?2 AND epoch = ?3
            """, log.origin.bytes, log.stream.rawValue, Int64(bitPattern: log.epoch)
        ) { (row) throws(StoreError) in try self.epoch(row) }
    }

    private func epoch(_ row: Row) throws(StoreError) -> EpochRecord {
        let (number, epoch, head): (Int32, Int64, Int64) = (try row.get(0), try row.get(3), try row.get(4))
        let (birth, low, replicated): (Int64, Int64, Int64) = (try row.get(5), try row.get(7), try row.get(8))
        return EpochRecord(
            number: number, log: LogEpoch(origin: try row.get(1), stream: try row.get(2), epoch: UInt64(bitPattern: epoch)),
            head: self.pending.heads[number] ?? UInt64(bitPattern: head), birth: HLC(rawValue: UInt64(bitPattern: birth)), isFinal: try row.get(6),
            lowWater: UInt64(bitPattern: low), replicated: UInt64(bitPattern: replicated))
    }

    func entry(at position: LocalPosition) throws -> [UInt8]? {
        try self.db.first("SELECT raw FROM entry WHERE pos = ?1", position.packed) { (row) throws(StoreError) in try row.get(0) }
    }

    func indexed(_ scope: SyncScope, epoch: Int32, after seq: UInt64, limit: Int) throws -> [UInt64] {
        guard seq < LocalPosition.seqMax else { return [] }
        let (low, high) = (LocalPosition(epoch: epoch, seq: seq), LocalPosition(epoch: epoch, seq: LocalPosition.seqMax))
        return try self.db.all(
            "SELECT pos FROM sync_item WHERE scope = ?1 AND pos > ?2 AND pos <= ?3 ORDER BY pos LIMIT ?4", scope.bytes, low.packed, high.packed,
            max(0, limit)
        ) { (row) throws(StoreError) in LocalPosition(packed: try row.get(0)).seq }
    }

    func meta(_ name: String) throws -> [UInt8]? {
        try self.db.first("SELECT value FROM meta WHERE name = ?1", name) { (row) throws(StoreError) in try row.get(0) }
    }
}

extension SQLiteTransaction {
    func registerEpoch(_ log: LogEpoch) throws -> EpochRecord {
        if let known = try self.epoch(log) { return known }
        let last: Int32? = try self.db.first("SELECT number FROM epoch ORDER BY number DESC LIMIT 1") { (row) throws(StoreError) in try row.get(0) }
        let number = (last ?? 0) + 1
        guard number < LocalPosition.epochsMax else {
            throw self.fail(StoreError(.constraint, "The store holds as many epochs as it can number."))
        }
        try self.write(
            "INSERT INTO epoch (number, origin, stream, epoch, head) VALUES (?1, ?2, ?3, ?4, 0)", number, log.origin.bytes, log.stream.rawValue,
            Int64(bitPattern: log.epoch))
        return EpochRecord(number: number, log: log, head: 0)
    }

    func append(_ bytes: [UInt8], at position: LocalPosition) throws {
        try self.advance(to: position)
        try self.write("INSERT INTO entry (pos, raw) VALUES (?1, ?2)", position.packed, bytes)
    }

    /// Moves the head of an epoch to the place that follows it.
    func advance(to position: LocalPosition) throws(StoreError) {
        guard try self.head(of: position.epoch) + 1 == position.seq, position.seq <= LocalPosition.seqMax else {
            throw self.fail(StoreError(.constraint, "An entry does not follow the last one of its epoch."))
        }
        self.pending.heads[position.epoch] = position.seq
    }

    func index(_ scope: SyncScope, at position: LocalPosition) throws {
        try self.write("INSERT OR IGNORE INTO sync_item (scope, pos) VALUES (?1, ?2)", scope.bytes, position.packed)
    }

    func setMeta(_ name: String, _ value: [UInt8]) throws {
        try self.write("INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
    }

    func head(of epoch: Int32) throws(StoreError) -> UInt64 {
        if let head = self.pending.heads[epoch] { return head }
        let head: Int64? = try self.db.first("SELECT head FROM epoch WHERE number = ?1", epoch) { (row) throws(StoreError) in try row.get(0) }
        guard let head else { throw self.fail(StoreError(.constraint, "An entry belongs to an epoch that was not registered.")) }
        return UInt64(bitPattern: head)
    }
}

extension LocalPosition {
    /// The greatest sequence that fits into a packed position.
    static var seqMax: UInt64 { 0xFF_FFFF_FFFF }
    /// Local numbers of epochs stay below this.
    static var epochsMax: Int32 { 1 << 23 }
}
