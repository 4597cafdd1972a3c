import Account
package import SkerryModel
import Store

/// Access rules over MQTT topics: few, kept in the box's log like everything about accounts, and in the memory of every shard.
extension AccountService {
    /// The rules that hold, oldest first.
    package func accessRules(by actor: Actor) async throws(SkerryError) -> [AccessRuleSummary] {
        try await self.read { store in
            try Self.administrator(actor, store)
            return try store.accessRules().map { try Self.summary($0, store) }
        }
    }

    /// Makes a rule. Connected clients are judged by it from the commit on.
    package func addAccessRule(_ wanted: AccessRuleRequest, by actor: Actor) async throws(SkerryError) -> AccessRuleSummary {
        let limits = self.node.limits
        try AccessPattern.check(wanted.filter, effect: wanted.effect, limits: limits)
        return try await self.decide { log, _ in
            try Self.administrator(actor, log.store)
            let subject: AccessSubject
            switch wanted.subject {
            case .user(let reference): subject = .user(try Self.user(reference, log.store).id)
            case .role(let role): subject = .role(role)
            }
            guard subject != .role(.anonymous) || wanted.effect == .deny else {
                throw SkerryError(
                    .payloadInvalid, "What clients without an account may use is the setting mqtt.anonymous; a rule for them can only deny.", field: "effect")
            }
            let rules = try log.store.accessRules()
            let isKnown = rules.contains {
                $0.subject == subject && $0.verb == wanted.verb && $0.effect == wanted.effect && $0.filter.utf8.elementsEqual(wanted.filter.utf8)
            }
            guard !isKnown else { throw SkerryError(.conflict, "There is this rule already.", field: "filter") }
            guard rules.count < limits.accessRulesMax else {
                throw SkerryError(
                    .quotaExceeded,
                    "There are \(limits.accessRulesMax) access rules already, which is the limit (accounts.access_rules_max); remove some, or use a wildcard, %u or a rule for a role instead of one rule for each."
                )
            }
            let id: AccessRuleID = self.node.random.identifier()
            try log.append(
                .accessRule(
                    AccessRuleEntry(
                        id: id, subject: subject, verb: wanted.verb, filter: wanted.filter, effect: wanted.effect, createdBy: actor.user,
                        createdMilliseconds: self.node.clock.wall(), isRemoved: false)))
            guard let rule = try log.store.accessRule(id) else { throw SkerryError(.unavailable, "The box could not make the rule.") }
            log.events.append(.rulesChanged(AccessRules(try log.store.accessRules())))
            return try Self.summary(rule, log.store)
        }
    }

    /// Takes a rule back. What it had stopped goes on from the commit on.
    package func removeAccessRule(_ id: AccessRuleID, by actor: Actor) async throws(SkerryError) {
        try await self.decide { log, _ in
            try Self.administrator(actor, log.store)
            guard let rule = try log.store.accessRule(id), !rule.isRemoved else { throw Self.noSuchRule }
            try log.append(
                .accessRule(
                    AccessRuleEntry(
                        id: id, subject: rule.subject, verb: rule.verb, filter: rule.filter, effect: rule.effect, createdBy: rule.createdBy,
                        createdMilliseconds: rule.createdMilliseconds, isRemoved: true)))
            log.events.append(.rulesChanged(AccessRules(try log.store.accessRules())))
        }
    }

    package static var noSuchRule: SkerryError { SkerryError(.notFound, "There is no such access rule; the list shows those that there are.") }

    /// Whether a client may publish or subscribe, and why.
    ///
    /// - Parameter opened: what clients without an account may use (`mqtt.anonymous`).
    package func checkAccess(_ question: AccessQuestion, opened: [TopicFilter], by actor: Actor) async throws(SkerryError) -> AccessAnswer {
        try await self.read { store in
            try Self.administrator(actor, store)
            let user = try question.user.map { try Self.user($0, store) }
            let client =
                user.map { AccessRules.Client(user: $0.id, name: $0.name, role: $0.role, clientID: question.client) }
                ?? AccessRules.Client(anonymous: question.client)
            let access = TopicAccess(rules: AccessRules(try store.accessRules()), opened: opened)
            let (obstacle, ground) = try access.judge(client, question)
            if let user, user.isLocked { return AccessAnswer(isAllowed: false, reason: "The account is locked.", rule: nil) }
            if user == nil, opened.isEmpty {
                return AccessAnswer(isAllowed: false, reason: "Clients without an account are not let in: mqtt.anonymous opens nothing.", rule: nil)
            }
            let id: AccessRuleID? =
                switch ground {
                case .denied(let id), .allowed(let id): id
                case .notAllowed, .unrestricted, .system, .opened: nil
                }
            let rule = try id.flatMap { try store.accessRule($0) }.map { try Self.summary($0, store) }
            if let obstacle { return AccessAnswer(isAllowed: false, reason: obstacle, rule: nil) }
            return AccessAnswer(isAllowed: ground.isAllowed, reason: Self.words(ground), rule: rule)
        }
    }

    private static func words(_ ground: AccessRules.Ground) -> String {
        switch ground {
        case .denied: "A rule denies it."
        case .allowed: "A rule allows it."
        case .notAllowed(isOwn: true): "There are allow rules for this user, and none of them is about it."
        case .notAllowed(isOwn: false): "There are allow rules for this role, and none of them is about it."
        case .unrestricted: "No rule is about it, and there are no allow rules for this user or their role."
        case .system: "Of $SYS administrators read all, and bridges write their state; allow rules have no say in it."
        case .opened(true): "The setting mqtt.anonymous opens it."
        case .opened(false): "The setting mqtt.anonymous does not open it."
        }
    }

    private static func summary(_ rule: AccessRuleRecord, _ store: any StoreReading) throws -> AccessRuleSummary {
        guard case .user(let id) = rule.subject else { return AccessRuleSummary(rule: rule, userName: nil) }
        return AccessRuleSummary(rule: rule, userName: try store.user(id)?.name ?? id.description)
    }
}

extension TopicAccess {
    /// What stands against it whatever the rules say (nil: nothing), and what the rules say.
    fileprivate func judge(_ client: AccessRules.Client, _ question: AccessQuestion) throws(SkerryError) -> (obstacle: String?, ground: AccessRules.Ground) {
        let isSignedIn = client.user != nil
        do throws(TopicError) {
            if question.verb == .publish {
                let topic = try TopicName(question.topic)
                return (
                    Self.refusalToPublish(topic, isSignedIn: isSignedIn, nil), self.rules.ground(of: client, .publish, topic, opened: self.opened)
                )
            }
            let filter = try TopicFilter(question.topic)
            return (
                Self.refusalToSubscribe(filter, isSignedIn: isSignedIn, isAdmin: client.role == .admin, nil),
                self.rules.ground(of: client, subscribing: filter, opened: self.opened)
            )
        } catch {
            throw SkerryError(.payloadInvalid, "This is no \(question.verb == .publish ? "topic" : "topic filter"): \(error).", field: "topic")
        }
    }
}
