import Account
import DequeModule
import MQTTSession
import SkerryModel

/// A session at its home: the machine of `MQTTSession` and what ties it to the rest of the node.
final class BrokerSession {
    /// Unique in this run.
    let key: UInt64
    /// Its number in the tables; 0 when it is not durable.
    let number: Int32
    let owner: SessionOwner
    var name: String
    var role: Role
    /// The terms of its last connection; nil when there was none since the start.
    var terms: ListenerTerms?
    /// What the access rules leave it; nil: everything.
    var rights: TopicRights?
    var machine: Session

    /// Shared with the writer, which may drop rows that were not sent; nil when it is not durable.
    let cursor: QueueCursor?
    /// What counts of it in the bytes that wait in memory alone.
    var countedBytes = 0

    /// Nil while nobody is connected.
    var link: MQTTLink?
    /// Who is, or was last, connected; nil for clients without an account.
    var caller: Caller?
    /// A re-authentication between the client's two messages.
    var signIn: ScramSignIn?
    /// Its line in the list of who is connected.
    var online: SessionID?
    var connectedSince: UInt64 = 0
    /// PUBLISH packets from and to the client, for lists.
    var received = 0
    var sent = 0
    /// When its connection ended, by the broker's clock; 0 while connected.
    var ended: UInt64 = 0
    /// When the will is due.
    var willDue: UInt64?
    var isEnded = false

    /// Subscriptions to the chat.
    var interests: [TopicFilter: ChatInterest] = [:]
    /// Retained messages that new subscriptions are still owed.
    var retained = RetainedRuns()
    var isReadingRetained = false
    var retainedRequest: UInt64 = 0
    /// Filters whose SUBACK waits for the disk, each with the topics whose newest retained message it has already brought.
    var subscribing: [TopicFilter: Set<TopicName>] = [:]

    /// The names in a SUBSCRIBE are being looked up; what else comes about subscriptions waits. A connection that owes too many answers is not read.
    var isResolving = false
    var unresolved = Deque<(UnresolvedPacket, MQTTLink?)>()

    /// Writes to rows of its queue that are not on the disk yet: a page read before them would bring back what is done.
    var rowWrites = 0
    var pageRequest: UInt64 = 0
    /// Writes that found the disk full and are tried again: its own row, rows that were acknowledged, rows whose PUBREC is to be noted.
    var isUnsaved = false
    /// Writes of its own row: those given to the writer, the last that is on the disk, the last that failed, and the one that tells of the connection.
    var row: UInt64 = 0
    var savedRow: UInt64 = 0
    var failedRow: UInt64 = 0
    var connectionRow: UInt64 = 0
    /// Its connection waits for `connectionRow`, with CONNACK in the machine's output.
    var isAccepting = false
    var unremoved: (seqs: Set<UInt64>, byteCount: Int) = ([], 0)
    var unreleased: [UInt64] = []
    /// Filters that the client has unsubscribed and whose rows are still there.
    var unremovedFilters: Set<TopicFilter> = []
    /// Packet identifiers whose note in the table is not what `cids` says.
    var unsavedCIDs: Set<UInt16> = []
    var isTouched = false
    /// Since when the outbox is full.
    var slowSince: UInt64?
    /// The `cid` of chat messages that have none of their own, by packet identifier, until they are acknowledged.
    var cids: [UInt16: String] = [:]
    /// Requests to `v1/me/sync` that are being answered.
    var syncs = 0
    /// Scratch of a routing pass: overlapping subscriptions are merged before anything is sent.
    var pass: UInt64 = 0
    var delivery: Delivery?

    init(key: UInt64, number: Int32, owner: SessionOwner, name: String, role: Role, machine: Session, cursor: QueueCursor? = nil) {
        self.key = key
        self.number = number
        self.owner = owner
        self.name = name
        self.role = role
        self.machine = machine
        self.cursor = number == 0 ? nil : cursor ?? QueueCursor(after: 0)
    }

    /// A message that is retained from now on came to the client just now: it is not owed a second time, nor the one it replaced.
    func heard(_ topic: TopicName) {
        for filter in self.subscribing.keys where filter.matches(topic) { Self.note(topic, in: &self.subscribing[filter, default: []]) }
        self.retained.heard(topic)
    }

    private static func note(_ topic: TopicName, in topics: inout Set<TopicName>) {
        if topics.count < RetainedRun.knownMax { topics.insert(topic) }
    }

    /// What `Session.pump` asks before it sends a row for the first time. After a power cut nobody would know that it was sent, unless the disk says
    /// that a connection was there.
    var claim: ((OutboundEntry<ApplicationMessage>) -> Bool)? {
        guard let cursor = self.cursor else { return nil }
        let (isKnown, isFailed) = (self.savedRow >= self.connectionRow, self.failedRow >= self.connectionRow)
        return { entry in
            // While the disk is full all else goes on, so that the queue can drain; only what must not go to somebody else afterwards waits.
            guard isKnown || (isFailed && (entry.share == nil || entry.qos != 2)) else { return false }
            return cursor.take(entry.seq)
        }
    }

    var isDurable: Bool { self.number != 0 }

    /// Who acts when a client is away (its will): the user with the rights it had.
    var actor: Caller? {
        if let caller = self.caller { return caller }
        guard let user = self.owner.user else { return nil }
        return Caller(user: user, name: self.name, role: self.role, device: DeviceID(user.value))
    }

    var state: SessionState {
        SessionState(
            owner: self.owner, name: self.name, role: self.role, expirySeconds: self.machine.expirySeconds, endedMilliseconds: self.ended,
            sentSeq: self.machine.outbound.sentSeq, will: self.machine.will)
    }
}

extension BrokerSession: Hashable {
    static func == (left: BrokerSession, right: BrokerSession) -> Bool { left === right }
    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// A client id as a key: its bytes and not its characters, for ids are never normalised, and the text of the standard library is equal to every
/// other way of writing it.
struct ClientKey: Hashable {
    private let text: String

    init(_ clientID: String) { self.text = clientID }

    static func == (left: ClientKey, right: ClientKey) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
        for byte in self.text.utf8 { hasher.combine(byte) }
    }
}

/// The retained messages that one new subscription is owed, read from the store in pages.
struct RetainedRun {
    var subscription: ClientSubscription
    /// The topic reached so far.
    var after = ""
    /// Topics whose newest message the client has: it was on its way to the disk when the run began, or came since.
    var known: Set<TopicName> = []
    /// So many are remembered; a client that is slow enough to reach it may get the newest message of a topic twice.
    static let knownMax = 10_000
}

/// The runs of one session in the order they are read; a filter has one at most.
struct RetainedRuns {
    private var runs = Deque<RetainedRun>()
    /// The filters of `runs`: most filters that are subscribed or removed have none, and a client may have very many.
    private var filters: Set<TopicFilter> = []

    var first: RetainedRun? { self.runs.first }

    mutating func append(_ run: RetainedRun) {
        self.filters.insert(run.subscription.filter)
        self.runs.append(run)
    }

    mutating func remove(_ filter: TopicFilter) {
        guard self.filters.remove(filter) != nil else { return }
        self.runs.removeAll { $0.subscription.filter == filter }
        if self.runs.isEmpty { self = RetainedRuns() }
    }

    mutating func removeFirst() {
        guard let first = self.runs.popFirst() else { return }
        self.filters.remove(first.subscription.filter)
        // An idle session keeps no storage for it.
        if self.runs.isEmpty { self = RetainedRuns() }
    }

    mutating func removeAll() { self = RetainedRuns() }

    /// The first run has come so far.
    mutating func reached(_ topic: String) {
        if !self.runs.isEmpty { self.runs[0].after = topic }
    }

    mutating func heard(_ topic: TopicName) {
        for index in self.runs.indices where self.runs[index].subscription.filter.matches(topic) {
            if self.runs[index].known.count < RetainedRun.knownMax { self.runs[index].known.insert(topic) }
        }
    }
}
