package import SkerryModel

/// What one of a conversation's decisions needs to know about it and the one who asks.
package struct ConversationFacts: Sendable {
    package var conversation: ConversationRecord?
    package var membership: MembershipRecord?
    /// Direct conversations: the other member does not want to hear from the one who asks.
    package var isBlocked: Bool

    package init(conversation: ConversationRecord?, membership: MembershipRecord?, isBlocked: Bool = false) {
        self.conversation = conversation
        self.membership = membership
        self.isBlocked = isBlocked
    }

    /// The conversation and the asker's membership; anybody who is not in it learns nothing of it.
    package func asMember() throws(SkerryError) -> (ConversationRecord, MembershipRecord) {
        guard let conversation = self.conversation, let membership = self.membership else { throw Self.unknown }
        switch membership.state {
        case .member: return (conversation, membership)
        case .banned: throw SkerryError(.banned, "You are banned from this conversation.")
        case .invited, .left, .kicked: throw Self.unknown
        }
    }

    /// As `asMember`, for a group only.
    package func inGroup() throws(SkerryError) -> (ConversationRecord, MembershipRecord) {
        let (conversation, membership) = try self.asMember()
        guard conversation.form == .group else { throw SkerryError(.forbidden, "A direct conversation has no title, roles or invitations.") }
        return (conversation, membership)
    }

    /// As `inGroup`, for its owner and admins only.
    package func asManager() throws(SkerryError) -> (ConversationRecord, MembershipRecord) {
        let (conversation, membership) = try self.inGroup()
        guard membership.role >= .admin else { throw SkerryError(.forbidden, "Only the owner and admins of the group may do this.") }
        return (conversation, membership)
    }

    package static var unknown: SkerryError { SkerryError(.notFound, "No such conversation, or you are not in it.", field: "conv") }
}

/// Who may do what to a group's members (PRODUCT.md §4). Each answers with the rows to write, or refuses.
package enum GroupRules {
    /// The row that brings `user` in. Nil: already a member.
    package static func invite(
        _ user: UserID, existing: MembershipRecord?, by inviter: MembershipRecord, since: Order?
    ) throws(SkerryError) -> MembershipEntry? {
        if let existing {
            if existing.isMember { return nil }
            if existing.state == .banned, inviter.role < .owner {
                throw SkerryError(.forbidden, "This person is banned here; only the owner can bring them back.", field: "users")
            }
        }
        return MembershipEntry(conversation: inviter.conversation, user: user, state: .member, role: .member, since: since, by: inviter.user)
    }

    package static func remove(_ target: MembershipRecord?, by manager: MembershipRecord) throws(SkerryError) -> MembershipEntry {
        guard let target, target.isMember else { throw SkerryError(.notFound, "This person is not in the group.", field: "user") }
        guard target.role < manager.role else { throw SkerryError(.forbidden, "You can remove only members of a lower role than yours.", field: "user") }
        return Self.entry(target, state: .kicked, role: .member, by: manager.user)
    }

    /// Rows for a new role; making somebody the owner hands the group over, so it is two rows.
    package static func assign(
        _ role: MemberRole, to target: MembershipRecord?, by owner: MembershipRecord
    ) throws(SkerryError) -> [MembershipEntry] {
        guard owner.role == .owner else { throw SkerryError(.forbidden, "Only the owner of the group may change roles.") }
        guard let target, target.isMember else { throw SkerryError(.notFound, "This person is not in the group.", field: "user") }
        guard target.user != owner.user else {
            throw SkerryError(.conflict, "You are the owner; make somebody else the owner first.", field: "user")
        }
        let change = Self.entry(target, state: .member, role: role, by: owner.user)
        return role == .owner ? [change, Self.entry(owner, state: .member, role: .admin, by: owner.user)] : [change]
    }

    /// Rows for leaving; an owner hands over to the longest-standing admin, else member, so that no group is left without one.
    package static func leave(_ member: MembershipRecord, others: [MembershipRecord]) -> [MembershipEntry] {
        var rows = [Self.entry(member, state: .left, role: .member, by: member.user)]
        guard member.role == .owner else { return rows }
        let candidates = others.filter { $0.isMember && $0.user != member.user }
        let heir = candidates.min {
            $0.role != $1.role ? $0.role > $1.role : $0.stamp < $1.stamp
        }
        if let heir { rows.append(Self.entry(heir, state: .member, role: .owner, by: member.user)) }
        return rows
    }

    private static func entry(_ row: MembershipRecord, state: MemberState, role: MemberRole, by: UserID) -> MembershipEntry {
        MembershipEntry(conversation: row.conversation, user: row.user, state: state, role: role, since: row.since, by: by)
    }
}
