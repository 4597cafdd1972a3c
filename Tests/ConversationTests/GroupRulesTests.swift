import Conversation
import SkerryModel
import Testing

/// Who may do what in a group: every role against every act.
@Suite("Groups")
struct GroupRulesTests {
    static let group = ConversationRecord(id: id(1), form: .group, title: "g", createdMilliseconds: 0, stamp: order(1))
    static let direct = ConversationRecord(id: id(1), form: .direct, title: "", createdMilliseconds: 0, stamp: order(1))

    static func id<ID: Identifier>(_ number: UInt64) -> ID { ID(Bytes16(high: 0, low: number)) }
    static func order(_ number: UInt64) -> Order {
        guard let box = BoxID([UInt8](repeating: 1, count: 10)) else { preconditionFailure("ten bytes make a box id") }
        return Order(hlc: HLC(rawValue: number), origin: box, epoch: 1, seq: number)
    }
    static func member(_ user: UInt64, _ role: MemberRole, _ state: MemberState = .member, stamp: UInt64 = 1) -> MembershipRecord {
        MembershipRecord(conversation: id(1), user: id(user), state: state, role: role, since: order(0), stamp: order(stamp))
    }
    static func code(_ body: () throws -> Void) -> ErrorCode? {
        do { try body() } catch { return (error as? SkerryError)?.code }
        return nil
    }

    @Test(
        "Whoever is not a member learns nothing, but the banned learn that", arguments: [MemberState.invited, .member, .left, .kicked, .banned],
        MemberRole.allCases)
    func states(_ state: MemberState, _ role: MemberRole) {
        let facts = ConversationFacts(conversation: Self.group, membership: Self.member(1, role, state))
        let wanted: ErrorCode? =
            switch state {
            case .member: nil
            case .banned: .banned
            case .invited, .left, .kicked: .notFound
            }
        #expect(Self.code { _ = try facts.asMember() } == wanted)
        #expect(Self.code { _ = try facts.inGroup() } == wanted)
        #expect(Self.code { _ = try facts.asManager() } == (wanted ?? (role == .member ? .forbidden : nil)))
        #expect(Self.code { try MessageRules.send(facts) } == wanted)
    }

    @Test("Without a conversation or a row there is nothing to learn")
    func nothing() {
        #expect(Self.code { _ = try ConversationFacts(conversation: nil, membership: Self.member(1, .owner)).asMember() } == .notFound)
        #expect(Self.code { _ = try ConversationFacts(conversation: Self.group, membership: nil).asMember() } == .notFound)
    }

    @Test("A direct conversation is no group")
    func noGroup() {
        let facts = ConversationFacts(conversation: Self.direct, membership: Self.member(1, .owner))
        #expect(Self.code { _ = try facts.asMember() } == nil)
        #expect(Self.code { _ = try facts.inGroup() } == .forbidden)
        #expect(Self.code { _ = try facts.asManager() } == .forbidden)
    }

    @Test("Removing takes a higher role than the removed one's", arguments: MemberRole.allCases, MemberRole.allCases)
    func remove(_ manager: MemberRole, _ target: MemberRole) throws {
        let row = Self.member(2, target)
        if manager > target {
            let entry = try GroupRules.remove(row, by: Self.member(1, manager))
            #expect(entry == MembershipEntry(conversation: Self.id(1), user: Self.id(2), state: .kicked, role: .member, since: Self.order(0), by: Self.id(1)))
        } else {
            #expect(Self.code { _ = try GroupRules.remove(row, by: Self.member(1, manager)) } == .forbidden)
        }
    }

    @Test("Only members can be removed or given a role", arguments: [MemberState.invited, .left, .kicked, .banned])
    func absent(_ state: MemberState) {
        let row = Self.member(2, .member, state)
        #expect(Self.code { _ = try GroupRules.remove(row, by: Self.member(1, .owner)) } == .notFound)
        #expect(Self.code { _ = try GroupRules.assign(.admin, to: row, by: Self.member(1, .owner)) } == .notFound)
        #expect(Self.code { _ = try GroupRules.remove(nil, by: Self.member(1, .owner)) } == .notFound)
    }

    @Test("Roles are the owner's to give; giving away ownership makes the old owner an admin", arguments: MemberRole.allCases, MemberRole.allCases)
    func assign(_ giver: MemberRole, _ role: MemberRole) throws {
        let target = Self.member(2, .member)
        guard giver == .owner else {
            #expect(Self.code { _ = try GroupRules.assign(role, to: target, by: Self.member(1, giver)) } == .forbidden)
            return
        }
        let rows = try GroupRules.assign(role, to: target, by: Self.member(1, giver))
        #expect(rows.map(\.role) == (role == .owner ? [.owner, .admin] : [role]))
        #expect(rows.map(\.user) == (role == .owner ? [Self.id(2), Self.id(1)] : [Self.id(2)]))
        #expect(Self.code { _ = try GroupRules.assign(role, to: Self.member(1, .owner), by: Self.member(1, .owner)) } == .conflict)
    }

    @Test(
        "Inviting brings in whoever is not in; the banned only by the owner", arguments: MemberRole.allCases,
        [nil, MemberState.invited, .member, .left, .kicked, .banned])
    func invite(_ inviter: MemberRole, _ state: MemberState?) throws {
        let existing = state.map { Self.member(2, .admin, $0) }
        let result = Result { try GroupRules.invite(Self.id(2), existing: existing, by: Self.member(1, inviter), since: Self.order(9)) }
        switch (state, inviter) {
        case (.member, _): #expect(try result.get() == nil)
        case (.banned, .member), (.banned, .admin): #expect(Self.code { _ = try result.get() } == .forbidden)
        default:
            #expect(
                try result.get()
                    == MembershipEntry(conversation: Self.id(1), user: Self.id(2), state: .member, role: .member, since: Self.order(9), by: Self.id(1)))
        }
    }

    @Test("A leaving owner hands over to the longest-standing admin, else member, else nobody")
    func leave() {
        func heir(_ others: [MembershipRecord]) -> [UserID] {
            GroupRules.leave(Self.member(1, .owner), others: others).filter { $0.role == .owner }.map(\.user)
        }
        let owner = Self.member(1, .owner)
        #expect(heir([owner, Self.member(2, .member, stamp: 1), Self.member(3, .admin, stamp: 9), Self.member(4, .admin, stamp: 5)]) == [Self.id(4)])
        #expect(heir([owner, Self.member(2, .member, stamp: 7), Self.member(3, .member, stamp: 3)]) == [Self.id(3)])
        #expect(heir([owner, Self.member(2, .admin, .left)]) == [])
        #expect(heir([owner]) == [])
        for role in [MemberRole.member, .admin] {
            let rows = GroupRules.leave(Self.member(1, role), others: [Self.member(2, .owner)])
            #expect(rows.map(\.user) == [Self.id(1)])
            #expect(rows.map(\.state) == [.left])
        }
    }
}
