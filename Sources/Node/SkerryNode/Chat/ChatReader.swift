import ChatCodec
import Conversation
import NIOCore
import Replication
import SkerryModel
import Store

/// Answers of the chat that only read. Each runs on a reader's thread, on one consistent state.
struct ChatReader {
    let store: any StoreReading
    let views: ViewBuilder
    let online: OnlineRegistry

    init(_ store: any StoreReading, online: OnlineRegistry, held: HeldElsewhere? = nil) {
        self.store = store
        self.views = ViewBuilder(store, held: held)
        self.online = online
    }

    func user(_ reference: UserReference, field: String = "user") throws -> UserRecord {
        let user: UserRecord?
        switch reference {
        case .id(let id): user = try self.store.user(id)
        case .name(let key): user = try self.store.user(nameKey: key)
        }
        guard let user else { throw SkerryError(.notFound, "There is no such person on this box.", field: field) }
        return user
    }

    func conversationID(_ reference: ConversationReference, for caller: UserID) throws -> ConversationID {
        switch reference {
        case .id(let id): id
        case .direct(let user): .direct(caller, try self.user(user, field: "conv").id)
        }
    }

    /// The caller's membership, or the refusal that tells an outsider nothing.
    func membership(_ reference: ConversationReference, _ caller: UserID) throws -> MembershipRecord {
        let id = try self.conversationID(reference, for: caller)
        let facts = ConversationFacts(conversation: try self.store.conversation(id), membership: try self.store.membership(id, caller))
        return try facts.asMember().1
    }

    func conversations(_ caller: UserID, after: String?, limit: Int) throws -> ByteBuffer {
        var before: Order?
        if let after {
            guard let order = Order(text: after) else { throw SkerryError(.payloadInvalid, "after is not from an earlier answer.", field: "after") }
            before = order
        }
        var rows: [(MembershipRecord, Order)] = []
        for membership in try self.store.memberships(of: caller) {
            guard let record = try self.store.conversation(membership.conversation) else { continue }
            let order = ViewBuilder.activity(record, membership, try self.store.newestOrder(record.id))
            if let before, order >= before { continue }
            rows.append((membership, order))
        }
        rows.sort { $0.1 > $1.1 }
        let page = rows.prefix(limit)
        let views = try page.compactMap { try self.views.conversation($0.0) }
        return JSONWriter.make {
            $0.array("items", views) { json, view in json.object { view.write(to: &$0) } }
            if rows.count > page.count { $0.field("next", page.last?.1) }
        }
    }

    func conversation(_ membership: MembershipRecord) throws -> ByteBuffer {
        guard let view = try self.views.conversation(membership) else { throw ConversationFacts.unknown }
        return JSONWriter.make { $0.object("conversation") { view.write(to: &$0) } }
    }

    func history(_ membership: MembershipRecord, before: Order?, after: Order?, limit: Int) throws -> ByteBuffer {
        let range: HistoryRange = before.map { .before($0) } ?? after.map { .after($0) } ?? .newest
        var rows = try self.store.history(membership.conversation, since: membership.since, range: range, limit: limit + 1)
        let hasMore = rows.count > limit
        if hasMore {
            if case .after = range { rows.removeLast() } else { rows.removeFirst() }
        }
        let views = try rows.compactMap { row in try self.views.isHidden(row, from: membership.user) ? nil : self.views.message(row) }
        return JSONWriter.make {
            $0.array("items", views) { json, view in json.object { view.write(to: &$0, viewer: membership.user) } }
            $0.field("more", hasMore)
        }
    }

    func users(prefix: String, after: String?, limit: Int) throws -> ByteBuffer {
        let rows = try self.store.users(prefix: prefix, after: UserName.key(of: after ?? ""), limit: limit + 1)
        let page = rows.prefix(limit)
        return JSONWriter.make {
            $0.array("items", page.filter { !$0.isLocked }) { json, user in
                json.object {
                    $0.field("id", user.id)
                    $0.field("name", user.name)
                    $0.field("display", user.display)
                    $0.field("online", self.online.isOnline(user.id))
                }
            }
            if rows.count > page.count { $0.field("next", page.last?.nameKey) }
        }
    }

    func presence(_ caller: UserID, _ references: [UserReference]?, limits: Limits) throws -> ByteBuffer {
        var users = Set<UserID>()
        let contacts = try self.contacts(of: caller)
        if let references {
            // Presence is for people one has something to do with; anybody else is shown as offline, never refused by name.
            for reference in references {
                let user = try self.user(reference, field: "users").id
                users.insert(user)
            }
        } else {
            users = Set(contacts.prefix(limits.presenceUsersMax))
        }
        let known = contacts.union([caller])
        return JSONWriter.make {
            $0.array("items", users.sorted()) { json, user in
                json.object {
                    $0.field("user", user)
                    $0.field("online", known.contains(user) && self.online.isOnline(user))
                    if known.contains(user), let seen = self.online.lastSeen(user) { $0.field("lastSeen", time: seen) }
                }
            }
        }
    }

    /// Everyone the user shares a conversation with.
    func contacts(of caller: UserID) throws -> Set<UserID> {
        var contacts = Set<UserID>()
        for membership in try self.store.memberships(of: caller) {
            for other in try self.store.memberships(in: membership.conversation) where other.isMember { contacts.insert(other.user) }
        }
        contacts.remove(caller)
        return contacts
    }

    /// Members who hear of something fleeting that `user` does: nobody who blocked that person in their direct conversation.
    func audience(of user: UserID, in conversation: ConversationID) throws -> [UserID] {
        let members = try self.store.memberships(in: conversation).filter { $0.isMember && $0.user != user }.map(\.user)
        guard try self.store.conversation(conversation)?.form == .direct else { return members }
        return try members.filter { try !self.store.isBlocked(user, by: $0) }
    }

    func blocks(_ caller: UserID) throws -> ByteBuffer {
        let blocks = try self.store.blocks(of: caller)
        return JSONWriter.make { $0.array("items", blocks) { $0.string($1.description) } }
    }
}
