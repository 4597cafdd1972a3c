package import SkerryModel

// What a box keeps of the other boxes' logs beside their entries, so that it can give them on: whole batches under their origin's
// signature, the hashes of entries it no longer holds, who is a member.

/// A batch of another box as it came: which entries, and the origin's signature over them.
package struct BatchRecord: Sendable, Hashable {
    package var epoch: Int32
    package var firstSeq: UInt64
    package var count: Int
    package var signature: [UInt8]

    package init(epoch: Int32, firstSeq: UInt64, count: Int, signature: [UInt8]) {
        self.epoch = epoch
        self.firstSeq = firstSeq
        self.count = count
        self.signature = signature
    }

    package var lastSeq: UInt64 { self.firstSeq &+ UInt64(max(0, self.count)) &- 1 }
}

/// One place of a log as it is held: the entry, or the SHA-256 of one that was dropped because it is dead (FEDERATION.md §2.6).
package struct LogItem: Sendable, Hashable {
    package enum Content: Sendable, Hashable {
        case entry([UInt8])
        case dropped(hash: [UInt8])
    }

    package var seq: UInt64
    package var content: Content

    package init(seq: UInt64, content: Content) {
        self.seq = seq
        self.content = content
    }

    package var byteCount: Int {
        switch self.content {
        case .entry(let bytes), .dropped(let bytes): bytes.count
        }
    }
}

/// A row of the member list, with the order of the entry that wrote it.
package struct MemberRecord: Sendable, Hashable {
    package var entry: MemberEntry
    package var stamp: Order

    package init(entry: MemberEntry, stamp: Order) {
        self.entry = entry
        self.stamp = stamp
    }
}

package protocol FederationReading {
    /// The epoch under which rows refer to `log`; nil when this box has not met it.
    func epoch(_ log: LogEpoch) throws -> EpochRecord?
    /// Items of one epoch from `seq` up to and including `last`, rising and without a gap above the low-water mark: at most `limit`, and at
    /// most `bytes` of them except that the first always comes.
    func items(of epoch: Int32, from seq: UInt64, through last: UInt64, limit: Int, bytes: Int) throws -> [LogItem]
    /// Batches of one epoch, rising: first one that covers `seq`, then each that begins where the last one ended, at most `limit`. Empty
    /// when none covers it.
    func batches(of epoch: Int32, covering seq: UInt64, limit: Int) throws -> [BatchRecord]
    /// Small values whose name starts with `prefix`, by rising name.
    func metas(prefix: String) throws -> [(name: String, value: [UInt8])]
    func member(_ box: BoxID) throws -> MemberRecord?
    /// By rising box.
    func members() throws -> [MemberRecord]
}

package protocol FederationWriting {
    /// When the epoch began, as far as is known here: the stamp of the first of its entries that is held.
    func setBirth(_ hlc: HLC, of epoch: Int32) throws
    /// The epoch is over and the same everywhere.
    func setFinal(_ epoch: Int32) throws
    /// Other boxes hold what this box wrote in the epoch up to here.
    func setReplicated(_ seq: UInt64, of epoch: Int32) throws
    /// As `append`, for an entry that is no longer to be had: its hash stands in its place.
    func append(dropped hash: [UInt8], at position: LocalPosition) throws
    /// Nothing up to and including `seq` is to be had any more: the low-water mark rises to it, and the head where it was lower. Whatever
    /// is held below goes: entries, hashes, batches that end there. Messages and places in syncs are taken away before, by who knows them.
    func skip(_ epoch: Int32, upTo seq: UInt64) throws
    /// Lets go of an entry; its hash stays in its place. No error when it is not held.
    func drop(_ position: LocalPosition, hash: [UInt8]) throws
    /// Takes an entry out of a sync.
    func unindex(_ scope: SyncScope, at position: LocalPosition) throws
    /// Keeps a batch's signature; of two that begin at the same place the longer one stays.
    func put(_ batch: BatchRecord) throws
    func put(_ member: MemberRecord) throws
    func removeMeta(_ name: String) throws
}
