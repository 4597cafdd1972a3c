import Conversation
import SkerryModel
import Testing

@Suite("Messages")
struct MessageRulesTests {
    typealias Groups = GroupRulesTests

    static func message(_ content: MessageContent = .text("x"), from sender: UInt64 = 1, at order: UInt64 = 5, isRecalled: Bool = false) -> MessageFacts {
        MessageFacts(sender: Groups.id(sender), order: Groups.order(order), content: content, isRecalled: isRecalled)
    }
    static func entry(_ text: String, in conversation: UInt64 = 1, replyTo: MessageID? = nil) -> MessageEntry {
        MessageEntry(id: Groups.id(1), conversation: Groups.id(conversation), sender: Groups.id(1), cid: "c", content: .text(text), replyTo: replyTo)
    }

    @Test("The same content again is a duplicate; anything else under the cid is a conflict")
    func repeated() {
        #expect(Groups.code { try MessageRules.repeated(Self.entry("a"), of: Self.entry("a")) } == nil)
        #expect(Groups.code { try MessageRules.repeated(Self.entry("b"), of: Self.entry("a")) } == .conflict)
        #expect(Groups.code { try MessageRules.repeated(Self.entry("a", in: 2), of: Self.entry("a")) } == .conflict)
        #expect(Groups.code { try MessageRules.repeated(Self.entry("a", replyTo: Groups.id(7)), of: Self.entry("a")) } == .conflict)
    }

    @Test("A blocked sender is told so; an outsider is not told even that")
    func blocked() {
        func facts(_ membership: MembershipRecord?) -> ConversationFacts {
            ConversationFacts(conversation: Groups.direct, membership: membership, isBlocked: true)
        }
        #expect(Groups.code { try MessageRules.send(facts(Groups.member(1, .member))) } == .blocked)
        #expect(Groups.code { try MessageRules.send(facts(nil)) } == .notFound)
    }

    @Test("Editing is for the sender, for text, and until it was recalled")
    func edit() {
        let me = Groups.member(1, .member)
        #expect(Groups.code { try MessageRules.edit(Self.message(), by: me) } == nil)
        #expect(Groups.code { try MessageRules.edit(Self.message(from: 2), by: Groups.member(1, .owner)) } == .forbidden)
        #expect(Groups.code { try MessageRules.edit(Self.message(isRecalled: true), by: me) } == .gone)
        #expect(Groups.code { try MessageRules.edit(nil, by: me) } == .notFound)
        for content in [MessageContent.emoji("x"), .custom(type: "a", data: "b"), .location(latitude: 0, longitude: 0, label: nil, accuracyMeters: nil)] {
            #expect(Groups.code { try MessageRules.edit(Self.message(content), by: me) } == .payloadInvalid)
        }
    }

    @Test("Recalling is for the sender, and in groups for managers", arguments: MemberRole.allCases)
    func recall(_ role: MemberRole) {
        let me = Groups.member(1, role)
        for conversation in [Groups.direct, Groups.group] {
            #expect(Groups.code { try MessageRules.recall(Self.message(), in: conversation, by: me) } == nil)
            let isManager = conversation.form == .group && role != .member
            #expect(Groups.code { try MessageRules.recall(Self.message(from: 2), in: conversation, by: me) } == (isManager ? nil : .forbidden))
        }
    }

    @Test("Reacting is for messages that are there, up to the limit")
    func react() {
        let me = Groups.member(1, .member)
        var limits = Limits()
        limits.reactionsPerMessageMax = 2
        #expect(Groups.code { try MessageRules.react(Self.message(), by: me, present: 1, limits: limits) } == nil)
        #expect(Groups.code { try MessageRules.react(Self.message(), by: me, present: 2, limits: limits) } == .quotaExceeded)
        #expect(Groups.code { try MessageRules.react(Self.message(isRecalled: true), by: me, present: 0, limits: limits) } == .gone)
    }

    @Test("What was said before joining does not exist, for any act")
    func since() {
        var me = Groups.member(1, .owner)
        me.since = Groups.order(5)
        let old = Self.message(at: 5)
        #expect(Groups.code { try MessageRules.edit(old, by: me) } == .notFound)
        #expect(Groups.code { try MessageRules.recall(old, in: Groups.group, by: me) } == .notFound)
        #expect(Groups.code { try MessageRules.react(old, by: me, present: 0, limits: Limits()) } == .notFound)
        #expect(Groups.code { try MessageRules.edit(Self.message(at: 6), by: me) } == nil)
    }
}
