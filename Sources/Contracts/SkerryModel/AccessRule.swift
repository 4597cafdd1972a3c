/// One access rule over MQTT topics.
package struct AccessRuleID: Identifier {
    package let value: Bytes16
    package init(_ value: Bytes16) { self.value = value }
}

/// What a client is when rules for many are looked up.
package enum AccessRole: UInt8, Sendable, Hashable, CaseIterable {
    case user = 0
    case admin = 1
    /// Clients without an account, where `mqtt.anonymous` lets them in.
    case anonymous = 2

    package init(_ role: Role) {
        switch role {
        case .user: self = .user
        case .admin: self = .admin
        }
    }

    package init?(text: some StringProtocol) {
        guard let role = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = role
    }

    package var text: String {
        switch self {
        case .user: "user"
        case .admin: "admin"
        case .anonymous: "anonymous"
        }
    }
}

/// Whom a rule is about.
package enum AccessSubject: Sendable, Hashable {
    case user(UserID)
    case role(AccessRole)
}

/// What a rule is about.
package enum AccessVerb: UInt8, Sendable, Hashable, CaseIterable {
    case publish = 1
    /// Subscribing, and everything that comes of it.
    case subscribe = 2
    case all = 3

    package init?(text: some StringProtocol) {
        guard let verb = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = verb
    }

    package var text: String {
        switch self {
        case .publish: "publish"
        case .subscribe: "subscribe"
        case .all: "all"
        }
    }

    package var coversPublish: Bool { self != .subscribe }
    package var coversSubscribe: Bool { self != .publish }
}

package enum AccessEffect: UInt8, Sendable, Hashable, CaseIterable {
    case deny = 0
    case allow = 1

    package init?(text: some StringProtocol) {
        guard let effect = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = effect
    }

    package var text: String {
        switch self {
        case .deny: "deny"
        case .allow: "allow"
        }
    }
}

/// A stored access rule. One that was taken back stays with `isRemoved`, so that an older entry cannot bring it back.
package struct AccessRuleRecord: Sendable, Hashable {
    package var id: AccessRuleID
    package var subject: AccessSubject
    package var verb: AccessVerb
    /// A topic filter in which `%u` stands for the user's name and `%c` for the client id.
    package var filter: String
    package var effect: AccessEffect
    /// Nil: somebody at the box itself.
    package var createdBy: UserID?
    package var createdMilliseconds: UInt64
    package var isRemoved: Bool
    /// The order of the entry that wrote this row: the greater one wins.
    package var stamp: Order

    package init(
        id: AccessRuleID, subject: AccessSubject, verb: AccessVerb, filter: String, effect: AccessEffect, createdBy: UserID?,
        createdMilliseconds: UInt64, isRemoved: Bool, stamp: Order
    ) {
        self.id = id
        self.subject = subject
        self.verb = verb
        self.filter = filter
        self.effect = effect
        self.createdBy = createdBy
        self.createdMilliseconds = createdMilliseconds
        self.isRemoved = isRemoved
        self.stamp = stamp
    }
}

/// An access rule as the log says it.
package struct AccessRuleEntry: Sendable, Hashable {
    package var id: AccessRuleID
    package var subject: AccessSubject
    package var verb: AccessVerb
    package var filter: String
    package var effect: AccessEffect
    package var createdBy: UserID?
    package var createdMilliseconds: UInt64
    package var isRemoved: Bool

    package init(
        id: AccessRuleID, subject: AccessSubject, verb: AccessVerb, filter: String, effect: AccessEffect, createdBy: UserID?,
        createdMilliseconds: UInt64, isRemoved: Bool
    ) {
        self.id = id
        self.subject = subject
        self.verb = verb
        self.filter = filter
        self.effect = effect
        self.createdBy = createdBy
        self.createdMilliseconds = createdMilliseconds
        self.isRemoved = isRemoved
    }
}
