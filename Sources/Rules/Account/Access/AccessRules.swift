package import SkerryModel

/// All access rules of the box, and what they make of a client.
///
/// Deny rules of the user and of their role always hold and win over every allow. Of allow rules only the nearest count: the user's own if there
/// are any, else their role's, else everything is allowed. Whether a rule counts does not depend on what it matches: a rule for publishing
/// alone, or one with `%c` that says nothing about this client's id, still is one, so no choice of a client id lifts a restriction.
package struct AccessRules: Sendable {
    /// A client, as far as rules know it.
    package struct Client: Sendable, Hashable {
        /// Nil: a client without an account.
        package var user: UserID?
        package var name: String?
        package var role: AccessRole
        package var clientID: String

        package init(user: UserID, name: String, role: Role, clientID: String) {
            (self.user, self.name, self.role, self.clientID) = (user, name, AccessRole(role), clientID)
        }

        package init(anonymous clientID: String) {
            (self.user, self.name, self.role, self.clientID) = (nil, nil, .anonymous, clientID)
        }
    }

    package let all: [AccessRuleRecord]
    private let byUser: [UserID: [AccessRuleRecord]]
    private let byRole: [AccessRole: [AccessRuleRecord]]

    package init(_ rules: [AccessRuleRecord] = []) {
        var (byUser, byRole): ([UserID: [AccessRuleRecord]], [AccessRole: [AccessRuleRecord]]) = ([:], [:])
        for rule in rules {
            switch rule.subject {
            case .user(let user): byUser[user, default: []].append(rule)
            case .role(let role): byRole[role, default: []].append(rule)
            }
        }
        (self.all, self.byUser, self.byRole) = (rules, byUser, byRole)
    }

    /// What the client may do; nil: everything.
    ///
    /// - Parameter opened: the topics of clients without an account, the only ones they have. Rules can only take from them.
    package func rights(of client: Client, opened: [TopicFilter]) -> TopicRights? {
        if client.user != nil, self.byUser.isEmpty, self.byRole[client.role] == nil { return nil }
        let (own, role) = self.rules(for: client)
        let publish = Self.side(own, role, client, opened, \.coversPublish)
        let subscribe = Self.side(own, role, client, opened, \.coversSubscribe)
        let statesBridges = client.user != nil || TopicRights.opensBridges(opened)
        return publish.isOpen && subscribe.isOpen ? nil : TopicRights(publish: publish, subscribe: subscribe, statesBridges: statesBridges)
    }

    /// Whether every client without an account has the same rights: no rule for them holds the client id.
    package var treatsAnonymousAlike: Bool { !(self.byRole[.anonymous] ?? []).contains { $0.filter.utf8.contains(UInt8(ascii: "%")) } }

    private func rules(for client: Client) -> (own: [AccessRuleRecord], role: [AccessRuleRecord]) {
        (client.user.flatMap { self.byUser[$0] } ?? [], self.byRole[client.role] ?? [])
    }

    private static func side(
        _ own: [AccessRuleRecord], _ role: [AccessRuleRecord], _ client: Client, _ opened: [TopicFilter], _ isAbout: (AccessVerb) -> Bool
    ) -> TopicRights.Side {
        func filters(_ rules: [AccessRuleRecord], _ effect: AccessEffect) -> [TopicFilter] {
            rules.compactMap { rule in
                rule.effect == effect && isAbout(rule.verb) ? AccessPattern.filter(rule.filter, user: client.name, client: client.clientID) : nil
            }
        }
        let denied = filters(own, .deny) + filters(role, .deny)
        guard client.user != nil else { return TopicRights.Side(denied: denied, allowed: opened) }
        let nearest = [own, role].first { $0.contains { $0.effect == .allow } }
        return TopicRights.Side(denied: denied, allowed: nearest.map { filters($0, .allow) })
    }

    // MARK: - Why

    /// The rule that decides about a topic, for whoever asks why.
    package enum Ground: Sendable, Hashable {
        case denied(AccessRuleID)
        case allowed(AccessRuleID)
        /// There are allow rules for the user, or else the role, and none of them is about this.
        case notAllowed(isOwn: Bool)
        /// No allow rule holds for this client, so everything is allowed that is not denied.
        case unrestricted
        /// Allow rules have no say in who reads `$SYS`, nor in what bridges publish there.
        case system
        /// The setting `mqtt.anonymous` decides.
        case opened(Bool)
    }

    /// What decides about publishing to, or reading from, one topic. Always agrees with `rights`.
    package func ground(of client: Client, _ verb: AccessVerb, _ topic: TopicName, opened: [TopicFilter]) -> Ground {
        let isAbout: (AccessVerb) -> Bool = { verb == .publish ? $0.coversPublish : $0.coversSubscribe }
        let ground = self.ground(of: client, isAbout, opened, TopicRights.isSystem(topic.text)) { $0.contains { $0.matches(topic) } }
        guard ground == .system, client.user == nil, verb == .publish else { return ground }
        return .opened(TopicRights.opensBridges(opened))
    }

    /// What decides about subscribing to a filter. A filter that several rules cover only together names the first of those that have a part in it.
    package func ground(of client: Client, subscribing filter: TopicFilter, opened: [TopicFilter]) -> Ground {
        self.ground(of: client, \.coversSubscribe, opened, TopicRights.isSystem(filter.filter)) { FilterCoverage.covers($0, filter) }
    }

    private func ground(
        of client: Client, _ isAbout: (AccessVerb) -> Bool, _ opened: [TopicFilter], _ isSystem: Bool, _ decides: ([TopicFilter]) -> Bool
    ) -> Ground {
        let (own, role) = self.rules(for: client)
        if let rule = Self.first(of: own + role, .deny, client, isAbout, decides) { return .denied(rule) }
        if isSystem { return .system }
        guard client.user != nil else { return .opened(decides(opened)) }
        guard let nearest = [own, role].first(where: { $0.contains { $0.effect == .allow } }) else { return .unrestricted }
        return Self.first(of: nearest, .allow, client, isAbout, decides).map { .allowed($0) }
            ?? .notAllowed(isOwn: nearest.first?.subject == own.first?.subject)
    }

    private static func first(
        of rules: [AccessRuleRecord], _ effect: AccessEffect, _ client: Client, _ isAbout: (AccessVerb) -> Bool, _ decides: ([TopicFilter]) -> Bool
    ) -> AccessRuleID? {
        var filters: [(id: AccessRuleID, filter: TopicFilter)] = []
        for rule in rules where rule.effect == effect && isAbout(rule.verb) {
            guard let filter = AccessPattern.filter(rule.filter, user: client.name, client: client.clientID) else { continue }
            filters.append((rule.id, filter))
        }
        guard decides(filters.map(\.filter)) else { return nil }
        return (filters.first { decides([$0.filter]) } ?? filters.first)?.id
    }
}

extension AccessRules.Ground {
    package var isAllowed: Bool {
        switch self {
        case .allowed, .unrestricted, .system: true
        case .denied, .notAllowed: false
        case .opened(let isOpen): isOpen
        }
    }
}
