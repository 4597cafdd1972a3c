import ChatCodec
import NIOCore
import Replication
import SkerryModel
import Store

/// What a client missed: entries after its cursor that belong to it, epoch by epoch, in the order of the log (PRODUCT.md §3).
///
/// Control epochs come first, so that a client hears of a conversation before it hears what was said there; epochs of a stream in the order
/// in which they began.
struct SyncReader {
    let store: any StoreReading
    let views: ViewBuilder

    init(_ store: any StoreReading, held: HeldElsewhere? = nil) {
        self.store = store
        self.views = ViewBuilder(store, held: held)
    }

    /// Where a client stands that has seen everything there is.
    func head() throws -> SyncCursor { CursorFolding.cursor(of: try self.store.epochs()) }

    /// Whether a client can go on from its cursor, or must reload.
    func isKnown(_ token: String?) throws -> Bool {
        guard let token, let cursor = SyncCursor(token: token) else { return false }
        switch CursorFolding.read(cursor, try self.store.epochs()) {
        case .known(_, let ahead): return try ahead.isEmpty || self.hasOthers()
        case .unknown: return false
        }
    }

    /// How this box stands to a cursor: what is missing may come soon, and is worth a little waiting.
    enum Lag: Sendable, Hashable {
        case none
        /// Folds are of epochs that are not here like that.
        case unknown
        case ahead([LogEpoch: UInt64])
    }

    typealias Page = (answer: ByteBuffer, lag: Lag)

    func page(_ caller: UserID, since: String?, limit: Int) throws -> Page {
        let epochs = try self.store.epochs()
        guard let since else { return (self.reset(epochs), .none) }
        guard let cursor = SyncCursor(token: since) else { throw SkerryError(.payloadInvalid, "since is not a cursor of this federation.", field: "since") }
        guard case .known(var seen, let ahead) = CursorFolding.read(cursor, epochs) else {
            return (self.reset(epochs), try !cursor.isOutdated && self.hasOthers() ? .unknown : .none)
        }
        // On a box that never had others a cursor ahead of the log comes from entries that a power cut or a restore took away.
        guard try ahead.isEmpty || self.hasOthers() else { return (self.reset(epochs), .none) }

        let memberships = Dictionary(try self.store.memberships(of: caller).map { ($0.conversation, $0) }) { first, _ in first }
        let scopes = [SyncScope.user(caller)] + memberships.keys.map { .conversation($0) }
        var positions: [LocalPosition] = []
        var isDone = true
        let byStream = Stream.allCases.flatMap { stream in epochs.filter { $0.log.stream == stream }.sorted { $0.isBefore($1) } }
        for epoch in byStream where (seen[epoch.number] ?? 0) < epoch.head {
            let room = limit - positions.count
            if room == 0 {
                isDone = false
                break
            }
            var sequences = Set<UInt64>()
            for scope in scopes { sequences.formUnion(try self.store.indexed(scope, epoch: epoch.number, after: seen[epoch.number] ?? 0, limit: room + 1)) }
            let sorted = sequences.sorted()
            let taken = sorted.prefix(room)
            positions += taken.map { LocalPosition(epoch: epoch.number, seq: $0) }
            if taken.count < sorted.count {
                seen[epoch.number] = taken.last ?? seen[epoch.number]
                isDone = false
                break
            }
            seen[epoch.number] = epoch.head
        }
        guard let next = CursorFolding.cursor(of: epochs, seen: seen, ahead: ahead) else { return (self.reset(epochs), .none) }
        let changes = try self.changes(positions, caller, memberships)
        let status = ahead.isEmpty ? "ok" : "syncing"
        return (Self.answer(status, changes, cursor: next, done: isDone, viewer: caller), ahead.isEmpty ? .none : .ahead(ahead))
    }

    /// Whether there are, or were, other boxes.
    private func hasOthers() throws -> Bool { try self.store.members().count > 1 }

    private func reset(_ epochs: [EpochRecord]) -> ByteBuffer {
        Self.answer("reset", [], cursor: CursorFolding.cursor(of: epochs), done: true, viewer: nil)
    }

    private static func answer(_ status: String, _ changes: [ChangeView], cursor: SyncCursor, done: Bool, viewer: UserID?) -> ByteBuffer {
        JSONWriter.make {
            $0.field("status", status)
            $0.array("items", changes) { json, change in
                json.object {
                    $0.field("t", change.t)
                    $0.object("d") { change.write(to: &$0, viewer: viewer) }
                }
            }
            $0.field("cursor", cursor.token)
            $0.field("done", done)
        }
    }

    private func changes(
        _ positions: [LocalPosition], _ caller: UserID, _ memberships: [ConversationID: MembershipRecord]
    ) throws -> [ChangeView] {
        var changes: [ChangeView] = []
        var shown = Set<ConversationID>()
        for position in positions {
            guard let entry = try self.views.entry(at: position) else { continue }
            switch entry.body {
            case .message(let message):
                // The same message may stand in the logs of two boxes; it is shown where it counts.
                guard let row = try self.visible(message.id, to: caller, memberships), row.position == position, let view = try self.views.message(row) else {
                    continue
                }
                changes.append(.message(view))
            case .edit(let change, _):
                guard let row = try self.visible(change.target, to: caller, memberships), try self.store.recall(of: row.id) == nil,
                    let edit = try self.store.edit(of: row.id, by: row.sender)
                else { continue }
                changes.append(.edit(change, text: edit.text, edit.stamp))
            case .recall(let change):
                guard let row = try self.visible(change.target, to: caller, memberships), let recall = try self.store.recall(of: row.id) else { continue }
                changes.append(.recall(MessageChange(target: row.id, conversation: row.conversation, by: recall.by), recall.stamp))
            case .reaction(let change, let emoji, _):
                // A recalled message has no reactions, whatever came first.
                guard let row = try self.visible(change.target, to: caller, memberships), try self.store.recall(of: row.id) == nil,
                    let reaction = try self.store.reactions(to: row.id).first(where: { $0.user == change.by && $0.emoji == emoji })
                else { continue }
                changes.append(.reaction(change, emoji: emoji, isOn: reaction.isOn, reaction.stamp))
            case .receipt(let conversation, let user, _, _):
                guard memberships[conversation] != nil, let row = try self.store.receipt(conversation, user) else { continue }
                changes.append(.receipt(conversation, user, received: row.received, read: row.read))
            case .conversation(let conversation): try self.show(conversation.id, caller, memberships, &shown, &changes)
            case .membership(let membership):
                try self.show(membership.conversation, caller, memberships, &shown, &changes)
                if membership.user == caller, let own = memberships[membership.conversation] { try self.showLate(own, entry.hlc, position, &changes) }
            case .user, .device, .invite, .block, .accessRule, .member, .retained, .unknown: continue
            }
        }
        return changes
    }

    /// Messages of a conversation that come along with a membership which came later than they did; older ones are in its history.
    static let lateMax = 200

    private func showLate(_ membership: MembershipRecord, _ hlc: HLC, _ position: LocalPosition, _ changes: inout [ChangeView]) throws {
        guard try self.store.indexed(.late(membership.user), epoch: position.epoch, after: position.seq - 1, limit: 1).first == position.seq,
            let log = try self.store.epochs().first(where: { $0.number == position.epoch })?.log
        else { return }
        let since = Applier.greater(membership.since, Order(hlc: hlc, position: LogPosition(log: log, seq: position.seq)))
        for row in try self.store.history(membership.conversation, since: since, range: .newest, limit: Self.lateMax) {
            guard try !self.views.isHidden(row, from: membership.user) else { continue }
            if let view = try self.views.message(row) { changes.append(.message(view)) }
        }
    }

    /// The conversation as it is now, once a page; or that it is no longer the caller's.
    private func show(
        _ id: ConversationID, _ caller: UserID, _ memberships: [ConversationID: MembershipRecord], _ shown: inout Set<ConversationID>,
        _ changes: inout [ChangeView]
    ) throws {
        guard shown.insert(id).inserted else { return }
        if let membership = memberships[id] {
            if let view = try self.views.conversation(membership) { changes.append(.conversation(view)) }
        } else {
            changes.append(.left(id))
        }
    }

    /// The message's row when the caller may see it: still a member, and it was said after joining.
    private func visible(_ id: MessageID, to caller: UserID, _ memberships: [ConversationID: MembershipRecord]) throws -> MessageRow? {
        guard let row = try self.store.message(id), let membership = memberships[row.conversation] else { return nil }
        if let since = membership.since, row.order <= since { return nil }
        return try self.views.isHidden(row, from: caller) ? nil : row
    }
}
