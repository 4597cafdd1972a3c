import Account
package import ChatCodec
package import SkerryModel

/// An access rule as an administrator writes it.
package struct AccessRuleRequest: Sendable {
    package enum Subject: Sendable {
        case user(UserReference)
        case role(AccessRole)
    }

    package var subject: Subject
    package var verb: AccessVerb
    package var filter: String
    package var effect: AccessEffect

    package init(subject: Subject, verb: AccessVerb, filter: String, effect: AccessEffect) {
        self.subject = subject
        self.verb = verb
        self.filter = filter
        self.effect = effect
    }

    /// The rule in words, as a command line or the body of a request has it; `payload_invalid` names the word that is wrong.
    package init(user: String?, role: String?, access: String?, filter: String?, effect: String?) throws(SkerryError) {
        switch (user, role) {
        case (let user?, nil): self.subject = .user(try UserReference(user, field: "user"))
        case (nil, let text?):
            guard let role = AccessRole(text: text) else { throw SkerryError(.payloadInvalid, "role is user, admin or anonymous.", field: "role") }
            self.subject = .role(role)
        case (_?, _?), (nil, nil): throw SkerryError(.payloadInvalid, "A rule is about a user or about a role: give one of the two.", field: "user")
        }
        guard let verb = AccessVerb(text: access ?? AccessVerb.all.text) else {
            throw SkerryError(.payloadInvalid, "access is publish, subscribe or all.", field: "access")
        }
        guard let effect = effect.flatMap({ AccessEffect(text: $0) }) else { throw SkerryError(.payloadInvalid, "effect is allow or deny.", field: "effect") }
        guard let filter else { throw SkerryError(.payloadInvalid, "filter is missing.", field: "filter") }
        (self.verb, self.filter, self.effect) = (verb, filter, effect)
    }
}

/// One line of the list of access rules.
package struct AccessRuleSummary: Sendable {
    package var rule: AccessRuleRecord
    /// The user's name, when the rule is about one; their id when nobody has it.
    package var userName: String?
}

/// May a client do something with a topic?
package struct AccessQuestion: Sendable {
    /// Nil: a client without an account.
    package var user: UserReference?
    package var client: String
    /// `publish` or `subscribe`.
    package var verb: AccessVerb
    /// A topic to publish to, or a filter to subscribe to.
    package var topic: String

    package init(user: UserReference?, client: String, verb: AccessVerb, topic: String) {
        self.user = user
        self.client = client
        self.verb = verb
        self.topic = topic
    }

    /// The question in words.
    package init(user: String?, client: String?, access: String?, topic: String?) throws(SkerryError) {
        guard let verb = access.flatMap({ AccessVerb(text: $0) }), verb != .all else {
            throw SkerryError(.payloadInvalid, "access is publish or subscribe.", field: "access")
        }
        guard let topic else { throw SkerryError(.payloadInvalid, "topic is missing.", field: "topic") }
        self.user = nil
        if let user { self.user = try UserReference(user, field: "user") }
        (self.client, self.verb, self.topic) = (client ?? "", verb, topic)
    }
}

/// What a client would hear, and which rule is the reason.
package struct AccessAnswer: Sendable {
    package var isAllowed: Bool
    /// A sentence for people.
    package var reason: String
    package var rule: AccessRuleSummary?
}

// One wording for REST and the command line.
extension AccessRuleSummary {
    package func write(to json: inout JSONWriter) {
        json.field("id", self.rule.id)
        switch self.rule.subject {
        case .user(let user):
            json.field("user", user)
            json.field("name", self.userName)
        case .role(let role): json.field("role", role.text)
        }
        json.field("effect", self.rule.effect.text)
        json.field("access", self.rule.verb.text)
        json.field("filter", self.rule.filter)
        json.field("created", time: self.rule.createdMilliseconds)
        if let by = self.rule.createdBy { json.field("by", by) }
    }
}

extension AccessAnswer {
    package func write(to json: inout JSONWriter) {
        json.field("allowed", self.isAllowed)
        json.field("reason", self.reason)
        if let rule = self.rule { json.object("rule") { rule.write(to: &$0) } }
    }
}
