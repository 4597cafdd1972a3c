import MQTTCodec
import MQTTSession
import SkerryModel
import Synchronization

/// Who waits for the answer to a message.
struct PublicationSource: Sendable {
    var shard: Int
    var session: UInt64
    var exchange: PublishExchange?
    var link: MQTTLink?
    /// Another box that it came from, and what to call when it is where it should be.
    var arrival: Arrival?

    struct Arrival: Sendable {
        var box: BoxID
        var taken: @Sendable (AckAnswer) -> Void
    }
}

/// A message that every shard hears of once. The last of them settles it: rows for durable receivers and the retained message go to the disk in
/// one transaction, and the publisher is answered after it; a message that needs no disk is answered at once.
///
/// Each shard hears the messages of one publisher in their order, and a shard settles one before it hears the next: so rows are written in
/// that order too, whichever shard is last.
final class Publication: Sendable {
    struct Receivers: Sendable {
        var waiting: Int
        var matched = 0
        /// Receivers without a row that had no room for it.
        var refused = 0
        var targets: [QueueTarget] = []
    }

    let id: UInt64
    let message: ApplicationMessage
    let source: PublicationSource?
    /// The row of a QoS 2 message that goes away with what it becomes.
    let held: (session: Int32, packetID: UInt16)?
    /// What happens where a queue is full.
    let overflow: BrokerSettings.Overflow
    /// The shared subscription that offers it to one member after the other, and whom it has tried.
    let offer: (filter: TopicFilter, tried: Set<UInt64>)?
    private let receivers: Mutex<Receivers>

    /// Whether it waits for room on the disk; `StalledPublications` changes it, under its lock.
    enum Stalling: UInt8, AtomicRepresentable { case not, waits, isTriedAgain }
    let stalling = Atomic(Stalling.not)

    init(
        id: UInt64, message: ApplicationMessage, source: PublicationSource?, held: (Int32, UInt16)?, overflow: BrokerSettings.Overflow,
        offer: (TopicFilter, Set<UInt64>)? = nil, shards: Int
    ) {
        self.id = id
        self.message = message
        self.source = source
        self.held = held
        self.overflow = overflow
        self.offer = offer
        self.receivers = Mutex(Receivers(waiting: shards))
    }

    /// Whether the message is ours whatever the disk says: PUBREC has told the publisher so, or there is nobody to send it again.
    var isOurs: Bool { self.source == nil || (self.message.qos == .exactlyOnce && self.source?.exchange != nil) }

    /// Whether it is retained from now on. What another box published is retained by the row that comes with that box's log.
    var retains: Bool { self.message.isRetained && self.source?.arrival == nil }

    /// A shard has routed it. Not nil: it was the last one.
    func routed(matched: Int, refused: Int, targets: [QueueTarget]) -> Receivers? {
        self.receivers.withLock {
            $0.waiting -= 1
            $0.matched += matched
            $0.refused += refused
            $0.targets.append(contentsOf: targets)
            return $0.waiting == 0 ? $0 : nil
        }
    }
}
