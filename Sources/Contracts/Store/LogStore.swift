package import SkerryModel

/// An epoch known to this box, under the small number by which rows refer to it.
package struct EpochRecord: Sendable, Hashable {
    /// Local number, in the order in which this box met the epochs.
    package var number: Int32
    package var log: LogEpoch
    /// The highest contiguous sequence held here; 0 = none yet.
    package var head: UInt64
    /// The stamp of the first of its entries that is held here; 0 = of none.
    package var birth: HLC
    /// It is over, and the same on every box.
    package var isFinal: Bool
    /// Nothing up to here is held any more: expired.
    package var lowWater: UInt64
    /// Of this box's own epochs: how far other boxes hold it, as far as was written down.
    package var replicated: UInt64

    package init(
        number: Int32, log: LogEpoch, head: UInt64, birth: HLC = HLC(rawValue: 0), isFinal: Bool = false, lowWater: UInt64 = 0, replicated: UInt64 = 0
    ) {
        self.number = number
        self.log = log
        self.head = head
        self.birth = birth
        self.isFinal = isFinal
        self.lowWater = lowWater
        self.replicated = replicated
    }
}

/// A log position as rows hold it: the epoch's local number and the sequence.
package struct LocalPosition: Sendable, Hashable, Comparable {
    package var epoch: Int32
    package var seq: UInt64

    package init(epoch: Int32, seq: UInt64) {
        self.epoch = epoch
        self.seq = seq
    }

    /// 23 bits of epoch over 40 bits of sequence: one integer key, in order. 10¹² entries an epoch, 8 million epochs.
    package var packed: Int64 { (Int64(self.epoch) << 40) | Int64(bitPattern: self.seq & 0xFF_FFFF_FFFF) }
    package init(packed: Int64) { self.init(epoch: Int32(truncatingIfNeeded: packed >> 40), seq: UInt64(packed & 0xFF_FFFF_FFFF)) }
    package static func < (left: Self, right: Self) -> Bool { left.packed < right.packed }
}

/// Whose sync an entry belongs to: everyone in a conversation, or one user.
package enum SyncScope: Sendable, Hashable {
    case conversation(ConversationID)
    case user(UserID)
    /// Memberships of one user that came here later than messages of their conversation: the log of another box may bring the two in any order.
    case late(UserID)

    /// 17 bytes: the form, then the id.
    package var bytes: [UInt8] {
        switch self {
        case .conversation(let id): [1] + id.bytes
        case .user(let id): [2] + id.bytes
        case .late(let id): [3] + id.bytes
        }
    }
}

package protocol LogReading {
    /// Every epoch this box has met, by rising number.
    func epochs() throws -> [EpochRecord]
    /// The bytes of the entry there; nil when it is not held.
    func entry(at position: LocalPosition) throws -> [UInt8]?
    /// Sequences after `seq` of one epoch that belong to `scope`, rising, at most `limit`.
    func indexed(_ scope: SyncScope, epoch: Int32, after seq: UInt64, limit: Int) throws -> [UInt64]
    /// A small value kept by name: own HLC, start counter, box id; nil when never written.
    func meta(_ name: String) throws -> [UInt8]?
}

package protocol LogWriting {
    /// Gives `log` its number, or finds the one it has.
    func registerEpoch(_ log: LogEpoch) throws -> EpochRecord
    /// Stores an entry and moves the epoch's head to it. The position must be free and one above the head.
    func append(_ bytes: [UInt8], at position: LocalPosition) throws
    func index(_ scope: SyncScope, at position: LocalPosition) throws
    func setMeta(_ name: String, _ value: [UInt8]) throws
}
