import Account
import ChatCodec
import SkerryModel
import SkerryNode
import Store
import TestKit
import Testing

@Suite("Access rules as accounts keep them")
struct AccessRuleTests {
    private func wanted(
        _ effect: AccessEffect = .deny, _ filter: String = "a/#", user: String? = nil, role: String? = nil, access: AccessVerb = .all
    ) throws -> AccessRuleRequest {
        try AccessRuleRequest(user: user, role: user == nil ? role ?? "user" : nil, access: access.text, filter: filter, effect: effect.text)
    }

    @Test("rules are added, listed oldest first with names, and taken back; the log keeps them")
    func life() async throws {
        let world = AccountWorld()
        let ada = try await world.claimed().caller
        let bob = try await world.user("bob").caller
        let first = try await world.accounts.addAccessRule(try self.wanted(.allow, "dev/%u/#", user: "@bob", access: .publish), by: .caller(ada))
        world.pass(seconds: 1)
        let second = try await world.accounts.addAccessRule(try self.wanted(role: "anonymous"), by: .console)
        let rules = try await world.accounts.accessRules(by: .caller(ada))
        #expect(rules.map(\.rule.id) == [first.rule.id, second.rule.id])
        #expect(rules[0].userName == "bob" && rules[0].rule.subject == .user(bob.user) && rules[0].rule.createdBy == ada.user)
        #expect(rules[1].userName == nil && rules[1].rule.subject == .role(.anonymous) && rules[1].rule.createdBy == nil)
        try await world.accounts.removeAccessRule(first.rule.id, by: .caller(ada))
        #expect(try await world.accounts.accessRules(by: .console).map(\.rule.id) == [second.rule.id])
        #expect(await world.code { try await world.accounts.removeAccessRule(first.rule.id, by: .console) } == .notFound)
        #expect(await world.code { try await world.accounts.removeAccessRule(Sample.accessRule(5), by: .console) } == .notFound)
        #expect(try await world.store.read { try $0.accessRule(first.rule.id)?.isRemoved } == true)
    }

    @Test("only administrators see and change them")
    func administrators() async throws {
        let world = AccountWorld()
        let ada = try await world.claimed().caller
        let bob = try await world.user("bob").caller
        let rule = try await world.accounts.addAccessRule(try self.wanted(), by: .caller(ada)).rule
        let request = try self.wanted(.deny, "b")
        let question = try AccessQuestion(user: "@bob", client: nil, access: "publish", topic: "a/b")
        #expect(await world.code { _ = try await world.accounts.accessRules(by: .caller(bob)) } == .forbidden)
        #expect(await world.code { _ = try await world.accounts.addAccessRule(request, by: .caller(bob)) } == .forbidden)
        #expect(await world.code { try await world.accounts.removeAccessRule(rule.id, by: .caller(bob)) } == .forbidden)
        #expect(await world.code { _ = try await world.accounts.checkAccess(question, opened: [], by: .caller(bob)) } == .forbidden)
        #expect(try await world.accounts.accessRules(by: .console).count == 1)
    }

    @Test("a rule that says nothing new, cannot be, or is about nobody is refused")
    func refusals() async throws {
        let world = AccountWorld()
        _ = try await world.user("bob")
        let accounts = world.accounts
        _ = try await accounts.addAccessRule(try self.wanted(), by: .console)
        let refused: [(AccessRuleRequest, ErrorCode)] = [
            (try self.wanted(), .conflict), (try self.wanted(.deny, "a/#/b"), .payloadInvalid), (try self.wanted(.deny, "$share/g/a"), .payloadInvalid),
            (try self.wanted(.allow, "$SYS/#", role: "admin"), .payloadInvalid), (try self.wanted(.allow, role: "anonymous"), .payloadInvalid),
            (try self.wanted(user: "@nobody"), .notFound), (try self.wanted(.deny, String(repeating: "a", count: 1_025)), .tooLarge),
        ]
        for (request, code) in refused { #expect(await world.code { _ = try await accounts.addAccessRule(request, by: .console) } == code, "\(request)") }
        // What differs in anything is another rule.
        for request in [try self.wanted(.allow), try self.wanted(access: .publish), try self.wanted(user: "@bob"), try self.wanted(.deny, "a/+")] {
            _ = try await accounts.addAccessRule(request, by: .console)
        }
        #expect(throws: SkerryError.self) { try AccessRuleRequest(user: "@a", role: "user", access: nil, filter: "a", effect: "deny") }
        #expect(throws: SkerryError.self) { try AccessRuleRequest(user: nil, role: nil, access: nil, filter: "a", effect: "deny") }
        #expect(throws: SkerryError.self) { try AccessRuleRequest(user: nil, role: "king", access: nil, filter: "a", effect: "deny") }
        #expect(throws: SkerryError.self) { try AccessRuleRequest(user: nil, role: "user", access: "read", filter: "a", effect: "deny") }
        #expect(throws: SkerryError.self) { try AccessRuleRequest(user: nil, role: "user", access: nil, filter: nil, effect: "deny") }
        #expect(throws: SkerryError.self) { try AccessRuleRequest(user: nil, role: "user", access: nil, filter: "a", effect: "forbid") }
        #expect(throws: SkerryError.self) { try AccessQuestion(user: nil, client: nil, access: "all", topic: "a") }
        #expect(throws: SkerryError.self) { try AccessQuestion(user: nil, client: nil, access: "publish", topic: nil) }
    }

    @Test("there are so many rules and no more; one that is taken back makes room")
    func limit() async throws {
        var limits = Limits()
        limits.accessRulesMax = 3
        let world = AccountWorld(limits: limits)
        for number in 1...3 { _ = try await world.accounts.addAccessRule(try self.wanted(.deny, "a/\(number)"), by: .console) }
        let request = try self.wanted(.deny, "a/4")
        let error = await #expect(throws: SkerryError.self) { try await world.accounts.addAccessRule(request, by: .console) }
        #expect(error?.code == .quotaExceeded && error?.detail.contains("accounts.access_rules_max") == true)
        let first = try #require(try await world.accounts.accessRules(by: .console).first)
        try await world.accounts.removeAccessRule(first.rule.id, by: .console)
        _ = try await world.accounts.addAccessRule(request, by: .console)
    }

    @Test("a question is answered with the reason and the rule")
    func questions() async throws {
        let world = AccountWorld()
        _ = try await world.claimed()
        _ = try await world.user("bob")
        let deny = try await world.accounts.addAccessRule(try self.wanted(.deny, "dev/+/secret", role: "user"), by: .console).rule.id
        let allow = try await world.accounts.addAccessRule(try self.wanted(.allow, "dev/%u/%c/#", user: "@bob"), by: .console).rule.id
        func ask(_ user: String?, _ access: String, _ topic: String, client: String? = "c1", opened: [String] = ["open/#"]) async throws -> AccessAnswer {
            try await world.accounts.checkAccess(
                try AccessQuestion(user: user, client: client, access: access, topic: topic), opened: try opened.map { try TopicFilter($0) }, by: .console)
        }
        var answer = try await ask("@bob", "publish", "dev/bob/c1/x")
        #expect(answer.isAllowed && answer.rule?.rule.id == allow)
        answer = try await ask("@bob", "publish", "dev/bob/c2/x")
        #expect(!answer.isAllowed && answer.rule == nil && answer.reason.contains("this user"))
        answer = try await ask("@bob", "publish", "dev/bob/secret", client: "secret")
        #expect(!answer.isAllowed && answer.rule?.rule.id == deny)
        #expect(try await ask("@bob", "subscribe", "dev/bob/c1/#").isAllowed)
        #expect(try await ask("@bob", "subscribe", "$share/g/dev/bob/c1/#").isAllowed)
        #expect(try await !ask("@bob", "subscribe", "#").isAllowed)
        #expect(try await ask("@ada", "publish", "dev/x/secret").isAllowed)
        answer = try await ask("@ada", "publish", "$SYS/x")
        #expect(!answer.isAllowed && answer.reason.contains("box's own"))
        #expect(try await ask("@ada", "subscribe", "$SYS/#").isAllowed)
        #expect(try await ask("@bob", "subscribe", "$SYS/#").reason.contains("administrators"))
        #expect(try await ask(nil, "publish", "open/x").isAllowed)
        #expect(try await ask(nil, "publish", "other").reason.contains("mqtt.anonymous"))
        #expect(try await ask(nil, "publish", "v1/c/@bob/text").reason.contains("account"))
        #expect(try await ask(nil, "publish", "open/x", opened: []).reason.contains("not let in"))
        try await world.accounts.lock(.name(key: "bob"), by: .console)
        #expect(try await ask("@bob", "publish", "dev/bob/c1/x").reason.contains("locked"))
        #expect(await world.code { _ = try await ask("@bob", "publish", "a/#") } == .payloadInvalid)
        #expect(await world.code { _ = try await ask("@bob", "subscribe", "a#") } == .payloadInvalid)
        #expect(await world.code { _ = try await ask("@nobody", "publish", "a") } == .notFound)
    }
}
