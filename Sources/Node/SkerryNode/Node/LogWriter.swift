package import Replication
package import SkerryModel
package import Store

/// The head of this box's own two logs, on the writer's thread: gives every entry its position and its stamp.
///
/// The epochs of a run are drawn at its first write to each stream, at random (FEDERATION.md §2.1): a restored backup can never write the
/// same position twice.
///
/// `@unchecked Sendable`: only `CommitQueue.drain` uses it, which runs once at a time, on the store's writer thread.
package final class LogWriter: @unchecked Sendable {
    private let box: BoxID
    private let clock: NodeClock
    private let random: NodeRandom
    private var hybrid: HybridClock?
    /// This run's epoch of each stream; the random number outlives a failed group, so a run has one.
    private var epochs: [Stream: UInt64] = [:]
    private var heads: [Stream: EpochRecord] = [:]
    /// Every epoch known here with its head, by rising number: the box's version vector, and so the cursor of the live stream.
    private var known: [EpochRecord]?
    /// The part of `known` that is over, which is most of it and does not change from message to message.
    private var plan: CursorFolding.Plan?
    private var isTouched = false
    /// Entries appended so far, committed or not: tells whether a job has written.
    private(set) var appended: UInt64 = 0
    /// Members of conversations lately written to, so that a message to a large group does not read its rows again.
    private var members: [ConversationID: [Member]] = [:]
    private let membersMax = 1_024
    private let online: OnlineRegistry
    /// Set before each group.
    weak var tap: (any CommitTap)?
    private let feed: ReplicaFeed
    /// Who hears what this group appends.
    private var listener: (any ReplicationListener)?
    private var gathered: [Stream: CommittedRun] = [:]
    private var recents: [ReplicaFeed.Recent] = []
    private var areMembersTouched = false
    /// Epochs that this group began.
    private var begun: [EpochRecord] = []

    /// Who is in a conversation, and from where on.
    struct Member {
        var user: UserID
        var since: Order?
    }

    package init(box: BoxID, clock: NodeClock, random: NodeRandom, online: OnlineRegistry, feed: ReplicaFeed = ReplicaFeed()) {
        self.box = box
        self.clock = clock
        self.random = random
        self.online = online
        self.feed = feed
    }

    /// Before each group.
    func begin(_ tap: (any CommitTap)?) {
        self.tap = tap
        self.listener = self.feed.listener
    }

    /// Appends an entry of this box and says where it stands.
    package func append(_ body: EntryBody, _ store: any StoreTransaction) throws -> (order: Order, position: LocalPosition) {
        var hybrid = try self.hybrid ?? Self.load(store)
        let hlc = hybrid.stamp(physicalMilliseconds: self.clock.wall())
        self.hybrid = hybrid
        var head = try self.head(of: body.stream, store)
        head.head += 1
        let position = LocalPosition(epoch: head.number, seq: head.head)
        let bytes: [UInt8]
        do {
            bytes = try EntryCodec.encode(Entry(hlc: hlc, body: body))
        } catch {
            throw SkerryError(.tooLarge, "An entry takes at most \(EntryCodec.entryBytesMax) bytes.")
        }
        try store.append(bytes, at: position)
        if head.head == 1 {
            try store.setBirth(hlc, of: head.number)
            head.birth = hlc
        }
        if self.listener != nil { self.gather(head, body, bytes) }
        if case .member = body { self.areMembersTouched = true }
        self.heads[body.stream] = head
        self.note(head)
        self.isTouched = true
        self.appended += 1
        return (Order(hlc: hlc, origin: self.box, epoch: head.log.epoch, seq: head.head), position)
    }

    /// The cursor that has seen everything appended so far.
    package func cursor(_ store: any StoreTransaction) throws -> SyncCursor {
        let known = try self.loadKnown(store)
        let plan = self.plan ?? CursorFolding.plan(known)
        self.plan = plan
        return CursorFolding.cursor(of: known, plan)
    }

    private func gather(_ head: EpochRecord, _ body: EntryBody, _ bytes: [UInt8]) {
        let stream = head.log.stream
        if self.gathered[stream] == nil { self.gathered[stream] = CommittedRun(log: head.log, firstSeq: head.head, entries: []) }
        self.gathered[stream]?.entries.append(bytes)
        if case .message(let message) = body {
            self.recents.append(.init(seq: head.head, message: message.id, conversation: message.conversation, sender: message.sender))
        }
    }

    /// Before the commit: keeps the clock's reading, so that stamps rise across restarts.
    func finish(_ store: any StoreTransaction) throws {
        guard self.isTouched, let hybrid = self.hybrid else { return }
        var bytes: [UInt8] = []
        bytes.appendBigEndian(hybrid.last.rawValue)
        try store.setMeta(Self.stampName, bytes)
        // Worth no transaction of its own: boxes tell each other again what they hold.
        for (number, seq) in self.feed.held.takeUnwritten() { try store.setReplicated(seq, of: number) }
        self.isTouched = false
    }

    /// After the commit.
    func committed() {
        self.begun = []
        guard let listener = self.listener else { return }
        if !self.gathered.isEmpty {
            if let log = self.gathered[.message]?.log { self.feed.remember(log, self.recents) }
            listener.appended(Stream.allCases.compactMap { self.gathered[$0] })
            self.gathered.removeAll(keepingCapacity: true)
            self.recents.removeAll(keepingCapacity: true)
        }
        if self.areMembersTouched { listener.membersChanged() }
        self.areMembersTouched = false
    }

    // MARK: - Logs of other boxes

    /// Whether `log` is what this run itself appends to: nobody else's word about it counts.
    func isWriting(_ log: LogEpoch) -> Bool { log.origin == self.box && self.epochs[log.stream] == log.epoch }

    /// Whether one more epoch may be made known, or `log` is known.
    func hasRoom(for log: LogEpoch, max: Int, _ store: any StoreTransaction) throws -> Bool {
        let known = try self.loadKnown(store)
        return known.count < max || known.contains { $0.log == log }
    }

    /// The epoch of another box or of an earlier run; made known here when it was not.
    func epoch(_ log: LogEpoch, _ store: any StoreTransaction) throws -> EpochRecord {
        let known = try self.loadKnown(store)
        if let record = known.last(where: { $0.log == log }) { return record }
        let record = try store.registerEpoch(log)
        self.note(record)
        return record
    }

    /// The epoch has moved.
    func moved(_ record: EpochRecord) {
        self.note(record)
        self.isTouched = true
    }

    /// An entry of another box has arrived: this box's stamps follow. False: its stamp is too far ahead to be followed.
    func observe(_ hlc: HLC, _ store: any StoreTransaction) throws -> Bool {
        var hybrid = try self.hybrid ?? Self.load(store)
        defer { self.hybrid = hybrid }
        return hybrid.observe(hlc, physicalMilliseconds: self.clock.wall())
    }

    func isMember(_ entry: MemberEntry) -> Bool { self.feed.isMember(entry) }
    func memberTouched() { self.areMembersTouched = true }

    private func loadKnown(_ store: any StoreReading) throws -> [EpochRecord] {
        if let known = self.known { return known }
        let known = try store.epochs()
        self.known = known
        return known
    }

    /// After a failed group: what was counted on is not there.
    func forget() {
        self.heads = [:]
        self.known = nil
        self.plan = nil
        self.members = [:]
        self.isTouched = false
        self.gathered = [:]
        self.recents = []
        for record in self.begun { self.feed.held.remove(record.log) }
        self.begun = []
        self.areMembersTouched = false
    }

    /// As `isHeard`, for one of many: a large group must not cost a look at the registry for each of its members.
    func isAnyHeard(_ users: [UserID]) -> Bool { self.online.isAnyHere(users) || self.tap.map { tap in users.contains { tap.awaits($0) } } ?? false }

    /// Whether anybody listens for the user: a live session, or a durable one that is away.
    func isHeard(_ user: UserID) -> Bool { self.online.isHere(user) || self.tap?.awaits(user) ?? false }

    func members(of conversation: ConversationID, _ store: any StoreTransaction) throws -> [Member] {
        if let members = self.members[conversation] { return members }
        let members = try store.memberships(in: conversation).filter(\.isMember).map { Member(user: $0.user, since: $0.since) }
        if self.members.count >= self.membersMax { self.members.removeAll() }
        self.members[conversation] = members
        return members
    }

    func membersChanged(_ conversation: ConversationID) { self.members[conversation] = nil }

    private func head(of stream: Stream, _ store: any StoreTransaction) throws -> EpochRecord {
        if let head = self.heads[stream] { return head }
        let epoch = self.epochs[stream] ?? self.random.next()
        self.epochs[stream] = epoch
        let record = try store.registerEpoch(LogEpoch(origin: self.box, stream: stream, epoch: epoch))
        self.heads[stream] = record
        // After a failed group it may be there from before.
        if record.head == 0 { self.begun.append(record) }
        // Before anybody can read its first entry: what is of no known epoch of this box counts as held elsewhere.
        self.feed.held.add(record.log, number: record.number, upTo: 0)
        self.note(record)
        return record
    }

    /// Keeps `known` at what the log is.
    private func note(_ record: EpochRecord) {
        guard let known = self.known else { return }
        // Numbers are given without gaps.
        var index: Int? = Int(record.number) - 1
        if index.map({ !known.indices.contains($0) || known[$0].number != record.number }) ?? true {
            index = known.lastIndex { $0.number == record.number }
        }
        if let index {
            if let plan = self.plan, !plan.survives((known[index], record)) { self.plan = nil }
            self.known?[index] = record
        } else {
            self.known?.append(record)
            self.plan = nil
        }
    }

    private static func load(_ store: any StoreTransaction) throws -> HybridClock {
        HybridClock(last: try Self.lastStamp(store))
    }

    private static let stampName = "hlc"

    /// The latest stamp that is known to be on the disk; zero on a new box.
    package static func lastStamp(_ store: any StoreReading) throws -> HLC {
        HLC(rawValue: try store.meta(Self.stampName).flatMap { $0.bigEndian(at: 0) } ?? 0)
    }
}

/// What a log job works with: the transaction, the log, and the events it leaves for the shards.
package struct LogTransaction {
    package let store: any StoreTransaction
    private let log: LogWriter
    package var events: [NodeEvent] = []
    /// Who came into a conversation by other boxes' entries, in which order, and has not been shown it yet.
    var joined: [(conversation: ConversationID, user: UserID, order: Order)] = []

    init(store: any StoreTransaction, log: LogWriter) {
        self.store = store
        self.log = log
    }

    /// Appends an entry and applies it to the tables; what must survive is in the same transaction.
    @discardableResult
    package mutating func append(_ body: EntryBody) throws -> Order {
        let (order, position) = try self.log.append(body, self.store)
        if case .membership(let membership) = body { self.log.membersChanged(membership.conversation) }
        try Applier.apply(body, order: order, position: position, to: self.store)
        return order
    }

    /// Who is in the conversation at this point of the log: the audience of whatever is written now.
    package func members(of conversation: ConversationID) throws -> [UserID] { try self.log.members(of: conversation, self.store).map(\.user) }

    /// Who of them sees what stands at `order`: what happens to a message is not for members who came after it.
    package func members(of conversation: ConversationID, seeing order: Order) throws -> [UserID] {
        try self.log.members(of: conversation, self.store).filter { member in member.since.map { order > $0 } ?? true }.map(\.user)
    }
    /// Whether anybody listens for the user: what is made for one person alone need not be made for nobody.
    package func isHeard(_ user: UserID) -> Bool { self.log.isHeard(user) }

    func isAnyHeard(_ users: [UserID]) -> Bool { self.log.isAnyHeard(users) }

    /// Whether `log` is what this run of the box appends to.
    func isWriting(_ log: LogEpoch) -> Bool { self.log.isWriting(log) }
    func moved(_ record: EpochRecord) { self.log.moved(record) }

    /// Where a client stands that has seen everything up to here.
    package func cursorToken() throws -> String { try self.log.cursor(self.store).token }
}
