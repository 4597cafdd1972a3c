import NIOCore
import SkerryModel
import Store

/// Everything a memory store holds: plain values, so that a copy is a snapshot.
///
/// Texts that are keys are kept as their bytes: Swift would take two spellings of "é" for the same key, SQLite does not.
struct MemoryState: Sendable {
    struct Pair: Hashable {
        var owner: UserID
        var target: UserID
    }
    struct ReactionKey: Hashable {
        var user: UserID
        var emoji: [UInt8]
    }
    struct SharedMessage {
        var references: Int
        var body: ByteBuffer
    }

    // The log.
    var epochs: [EpochRecord] = []
    var entries: [Int64: [UInt8]] = [:]
    /// Packed positions, rising.
    var sync: [SyncScope: [Int64]] = [:]
    var meta: [[UInt8]: [UInt8]] = [:]
    /// By packed position.
    var dropped: [Int64: [UInt8]] = [:]
    var batches: [Int64: BatchRecord] = [:]
    var members: [BoxID: MemberRecord] = [:]

    // Accounts.
    var users: [UserID: UserRecord] = [:]
    var devices: [DeviceID: DeviceRecord] = [:]
    var invites: [InviteID: InviteRecord] = [:]
    var blocks: [Pair: BlockRecord] = [:]
    var accessRules: [AccessRuleID: AccessRuleRecord] = [:]

    // Chat.
    var conversations: [ConversationID: ConversationRecord] = [:]
    var memberships: [ConversationID: [UserID: MembershipRecord]] = [:]
    /// By rising order.
    var messages: [ConversationID: [MessageRow]] = [:]
    var messageByID: [MessageID: MessageRow] = [:]
    var edits: [MessageID: [UserID: EditRecord]] = [:]
    var recalls: [MessageID: RecallRecord] = [:]
    var reactions: [MessageID: [ReactionKey: ReactionRecord]] = [:]
    var receipts: [ConversationID: [UserID: ReceiptRecord]] = [:]

    // The broker.
    var brokerSessions: [Int32: BrokerSessionRecord] = [:]
    var brokerSubscriptions: [Int32: [[UInt8]: BrokerSubscriptionRecord]] = [:]
    /// By rising sequence.
    var queues: [Int32: [QueueEntry]] = [:]
    var sharedMessages: [Int64: SharedMessage] = [:]
    var inbound: [Int32: [UInt16: InboundRecord]] = [:]
    var retained: [[UInt8]: RetainedRecord] = [:]
    var retainedCleared: [[UInt8]: Order] = [:]

    /// Roughly: what the larger things take.
    var sizeBytes: Int {
        self.entries.values.reduce(0) { $0 + $1.count + 16 } + self.messageByID.count * 128
            + self.retained.values.reduce(0) { $0 + $1.body.readableBytes + 32 }
    }
}

extension String {
    var bytes: [UInt8] { Array(self.utf8) }
}

extension [UInt8] {
    static func < (left: Self, right: Self) -> Bool { left.lexicographicallyPrecedes(right) }
}

extension Collection where Index == Int {
    /// The first index from which `isBehind` holds; the collection is ordered by it.
    func partition(where isBehind: (Element) -> Bool) -> Int {
        var (low, high) = (self.startIndex, self.endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
