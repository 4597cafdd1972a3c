import Account
import SkerryModel
import TestKit
import Testing

@Suite("Access rules")
struct AccessRulesTests {
    private static let ann = Sample.user(1)
    private static let bob = Sample.user(2)

    private static func client(_ id: String = "c1", user: UserID = ann, name: String = "ann", role: Role = .user) -> AccessRules.Client {
        AccessRules.Client(user: user, name: name, role: role, clientID: id)
    }

    private static func rule(
        _ number: Int, _ subject: AccessSubject, _ effect: AccessEffect, _ verb: AccessVerb, _ filter: String
    ) -> AccessRuleRecord {
        AccessRuleRecord(
            id: Sample.accessRule(number), subject: subject, verb: verb, filter: filter, effect: effect, createdBy: nil, createdMilliseconds: 1,
            isRemoved: false, stamp: Sample.order(number))
    }

    /// What a client may do under some rules; a client without rights may do everything.
    private struct May {
        var rights: TopicRights?
        init(_ rules: [AccessRuleRecord], _ client: AccessRules.Client, opened: [String] = []) throws {
            self.rights = AccessRules(rules).rights(of: client, opened: try opened.map { try TopicFilter($0) })
        }
        func publish(_ topic: String) throws -> Bool { self.rights?.mayPublish(try TopicName(topic)) ?? true }
        func read(_ topic: String) throws -> Bool { self.rights?.mayRead(try TopicName(topic)) ?? true }
        func subscribe(_ filter: String) throws -> Bool { self.rights?.maySubscribe(try TopicFilter(filter)) ?? true }
    }

    // MARK: - The table

    enum Who: CaseIterable { case own, role, both, otherUser, otherRole }
    enum Coverage: String, CaseIterable { case whole = "a/#", exact = "a/b", part = "a/b/+", none = "x/#" }
    struct Case: Sendable, CustomTestStringConvertible {
        var who: Who
        var verb: AccessVerb
        var effect: AccessEffect
        var coverage: Coverage
        var testDescription: String { "\(self.effect) \(self.verb) \(self.coverage.rawValue) for \(self.who)" }
    }
    static let cases: [Case] = Who.allCases.flatMap { who in
        AccessVerb.allCases.flatMap { verb in
            AccessEffect.allCases.flatMap { effect in Coverage.allCases.map { Case(who: who, verb: verb, effect: effect, coverage: $0) } }
        }
    }

    @Test("One rule: everybody whom it is about, everything that it is about, and nothing else", arguments: cases)
    func table(_ one: Case) throws {
        let subjects: [AccessSubject] =
            switch one.who {
            case .own: [.user(Self.ann)]
            case .role: [.role(.user)]
            case .both: [.user(Self.ann), .role(.user)]
            case .otherUser: [.user(Self.bob)]
            case .otherRole: [.role(.admin), .role(.anonymous)]
            }
        let rules = subjects.enumerated().map { Self.rule($0.offset, $0.element, one.effect, one.verb, one.coverage.rawValue) }
        let may = try May(rules, Self.client())
        let isConcerned = one.who != .otherUser && one.who != .otherRole
        let isAllow = one.effect == .allow
        // What the rule says of topic a/b: nil = it is silent.
        let matches = one.coverage == .whole || one.coverage == .exact
        let covers = one.coverage == .whole
        /// An allow list allows what it names alone; a deny list all but what it names.
        func expected(_ isAbout: Bool, _ isNamed: Bool) -> Bool {
            guard isConcerned else { return true }
            return isAllow ? isAbout && isNamed : !(isAbout && isNamed)
        }
        #expect(try may.publish("a/b") == expected(one.verb.coversPublish, matches))
        #expect(try may.read("a/b") == expected(one.verb.coversSubscribe, matches))
        #expect(try may.subscribe("a/b") == expected(one.verb.coversSubscribe, matches))
        #expect(try may.subscribe("a/#") == expected(one.verb.coversSubscribe, covers))
        #expect(try may.subscribe("$share/g/a/#") == expected(one.verb.coversSubscribe, covers))
        #expect((may.rights == nil) == !isConcerned, "whom no rule is about has nothing to be asked")
    }

    @Test("Deny wins over allow, wherever either comes from", arguments: [AccessSubject.user(ann), .role(.user)], [AccessSubject.user(ann), .role(.user)])
    func denyWins(_ denying: AccessSubject, _ allowing: AccessSubject) throws {
        for rules in [
            [Self.rule(1, denying, .deny, .all, "a/secret"), Self.rule(2, allowing, .allow, .all, "a/#")],
            [Self.rule(1, allowing, .allow, .all, "a/#"), Self.rule(2, denying, .deny, .all, "a/secret")],
        ] {
            let may = try May(rules, Self.client())
            #expect(try may.publish("a/b"))
            #expect(try !may.publish("a/secret"))
            #expect(try !may.read("a/secret"))
            #expect(try !may.subscribe("a/secret"))
            #expect(try may.subscribe("a/+"), "denied in part only")
            #expect(try !may.publish("b"))
        }
    }

    @Test("The nearest allow rules count: the user's own, else the role's, else everything")
    func nearest() throws {
        let role = Self.rule(1, .role(.user), .allow, .all, "role/#")
        let own = Self.rule(2, .user(Self.ann), .allow, .publish, "own/#")
        let ann = try May([role, own], Self.client())
        #expect(try ann.publish("own/x"))
        #expect(try !ann.publish("role/x"), "her own rules replace the role's")
        #expect(try !ann.subscribe("role/x"), "one rule for publishing alone leaves nothing to subscribe to")
        let bob = try May([role, own], Self.client(user: Self.bob, name: "bob"))
        #expect(try bob.publish("role/x") && !bob.publish("own/x"))
        let root = try May([role, own], Self.client(user: Self.bob, name: "bob", role: .admin))
        #expect(root.rights == nil)
    }

    @Test("A subscription may span several allow rules")
    func span() throws {
        let may = try May([Self.rule(1, .user(Self.ann), .allow, .subscribe, "a"), Self.rule(2, .user(Self.ann), .allow, .all, "a/+/#")], Self.client())
        #expect(try may.subscribe("a/#"))
        #expect(try !may.subscribe("#"))
    }

    // MARK: - $ topics

    @Test("[MQTT-4.7.2-1] a rule that begins with a wildcard is not about topics that begin with $", arguments: ["#", "+/#", "+/broker/#"])
    func dollar(_ filter: String) throws {
        let denied = try May([Self.rule(1, .role(.user), .deny, .all, filter)], Self.client())
        #expect(try denied.read("$SYS/broker/uptime"))
        #expect(try denied.subscribe("$SYS/broker/#"))
        #expect(try denied.publish("$x/broker/y"))
        #expect(try !denied.read("x/broker/y"))
        let allowed = try May([Self.rule(1, .role(.user), .allow, .all, filter)], Self.client())
        #expect(try !allowed.publish("$x/broker/y"))
        #expect(try !allowed.read("$x/broker/y"))
        #expect(try !allowed.subscribe("$x/broker/#"))
    }

    @Test("Allow rules leave $SYS alone, deny rules take it")
    func system() throws {
        let listed = try May([Self.rule(1, .user(Self.ann), .allow, .all, "a/#")], Self.client(role: .admin))
        #expect(try listed.subscribe("$SYS/#") && listed.read("$SYS/broker/uptime"))
        let denied = try May([Self.rule(1, .role(.admin), .deny, .subscribe, "$SYS/#")], Self.client(role: .admin))
        #expect(try !denied.subscribe("$SYS/#") && !denied.subscribe("$SYS/broker/+") && !denied.read("$SYS/broker/uptime"))
        let part = try May([Self.rule(1, .role(.admin), .deny, .all, "$SYS/broker/clients/#")], Self.client(role: .admin))
        #expect(try part.subscribe("$SYS/#") && part.read("$SYS/broker/uptime") && !part.read("$SYS/broker/clients/total"))
        #expect(try May([Self.rule(1, .role(.user), .deny, .all, "$SYSTEM/#")], Self.client()).read("$SYS/x"))
    }

    // MARK: - Names in rules

    @Test("%u is the user's name and %c the client id, whole levels or parts of them")
    func names() throws {
        let rules = [
            Self.rule(1, .role(.user), .allow, .all, "dev/%u/#"), Self.rule(2, .role(.user), .allow, .publish, "by-client/%c"),
            Self.rule(3, .role(.user), .allow, .publish, "%u-%c/%u%c/100%/%x"),
        ]
        let may = try May(rules, Self.client("c1"))
        #expect(try may.publish("dev/ann/temp") && may.subscribe("dev/ann/#"))
        #expect(try !may.publish("dev/bob/temp") && !may.subscribe("dev/+/#") && !may.subscribe("dev/#"))
        #expect(try !may.publish("dev/%u/temp"), "the sign itself is nobody's name")
        #expect(try may.publish("by-client/c1") && !may.publish("by-client/c2") && !may.read("by-client/c1"))
        #expect(try may.publish("ann-c1/annc1/100%/%x"))
    }

    @Test(
        "A client id that is no text of one level has no part in a rule with %c, and the rule still counts",
        arguments: ["a/b", "+", "#", "x+", "x#", "/", "a/../b", ""])
    func wildIDs(_ id: String) throws {
        let may = try May([Self.rule(1, .user(Self.ann), .allow, .all, "dev/%c/#")], Self.client(id))
        for topic in ["dev/a/b", "dev/x", "dev", "dev//x", "other", "dev/+/x".replacing("+", with: "y")] {
            #expect(try !may.publish(topic) && !may.read(topic))
        }
        for filter in ["dev/+/#", "dev/#", "#", "+"] { #expect(try !may.subscribe(filter)) }
        let denied = try May([Self.rule(1, .user(Self.ann), .deny, .all, "dev/%c/#")], Self.client(id))
        #expect(try denied.publish("dev/a/b"))
    }

    @Test("What is put in for a name is not read again, and cannot become a shared subscription")
    func namesOnce() throws {
        let rules = [Self.rule(1, .role(.user), .allow, .all, "dev/%c/x")]
        #expect(try May(rules, Self.client("%u")).publish("dev/%u/x"))
        #expect(try !May(rules, Self.client("%u")).publish("dev/ann/x"))
        #expect(try May(rules, Self.client("a b %c 🚣")).publish("dev/a b %c 🚣/x"))
        let share = try May([Self.rule(1, .role(.user), .allow, .all, "%c/g/secret/#")], Self.client("$share"))
        #expect(try !share.publish("secret/x") && !share.subscribe("secret/#") && !share.subscribe("$share/g/secret/#"))
        // A name from another box's log need not be one that this box would give out.
        let odd = try May([Self.rule(1, .user(Self.ann), .allow, .all, "dev/%u/#")], Self.client(name: "a/b"))
        #expect(try !odd.publish("dev/a/b/c"))
    }

    @Test("Names are compared byte by byte")
    func bytes() throws {
        let rules = [Self.rule(1, .role(.user), .allow, .all, "dev/%u/#")]
        #expect(try May(rules, Self.client(name: "zo\u{e9}")).publish("dev/zo\u{e9}/x"))
        #expect(try !May(rules, Self.client(name: "zo\u{e9}")).publish("dev/zoe\u{301}/x"))
        #expect(try !May(rules, Self.client(name: "Ann")).publish("dev/ann/x"))
        #expect(try May(rules, Self.client(name: "张三")).publish("dev/张三/x"))
    }

    // MARK: - Without an account

    @Test("A client without an account has what was opened, less what is denied to them")
    func anonymous() throws {
        let client = AccessRules.Client(anonymous: "c1")
        let rules = [
            Self.rule(1, .role(.anonymous), .deny, .publish, "open/secret/#"), Self.rule(2, .role(.user), .deny, .all, "#"),
            Self.rule(3, .role(.anonymous), .deny, .all, "open/%c"), Self.rule(4, .role(.anonymous), .deny, .all, "open/of-%u"),
        ]
        let may = try May(rules, client, opened: ["open/#"])
        #expect(try may.publish("open/x") && may.subscribe("open/#") && may.read("open/secret/x"))
        #expect(try !may.publish("open/secret/x") && !may.publish("other") && !may.subscribe("#"))
        #expect(try !may.publish("open/c1") && may.publish("open/c2") && may.publish("open/of-"), "there is no user's name")
        #expect(try !May([], client).publish("x"), "nothing is opened")
        let all = try May([], client, opened: ["#"])
        #expect(try all.publish("x/y") && all.read("x") && all.subscribe("#") && !all.read("$x/y") && !all.publish("$x/y"))
        #expect(try !May([Self.rule(1, .role(.anonymous), .deny, .all, "#")], client, opened: ["#"]).publish("x"))
        // An allow rule for them, from a box that allows such, opens nothing.
        #expect(try !May([Self.rule(1, .role(.anonymous), .allow, .all, "#")], client, opened: ["open/#"]).publish("x"))
    }

    // MARK: - What may be a rule

    @Test(
        "A rule's filter is one that topics can match",
        arguments: [
            ("a/#", true), ("%u", true), ("dev/%u/%c/#", true), ("dev-%c/+", true), ("/", true), ("#", true), ("100%", true), ("v1/#", true), ("$x/#", true),
            ("", false), ("a/#/b", false), ("a+", false), ("+%u", false), ("%c#", false), ("$share/g/a", false), ("$share/g", false), ("a\0", false),
            (String(repeating: "/", count: 201), false),
        ])
    func patterns(_ text: String, _ isGood: Bool) {
        for effect in AccessEffect.allCases {
            do throws(SkerryError) {
                try AccessPattern.check(text, effect: effect, limits: Limits())
                #expect(isGood)
            } catch {
                #expect(!isGood && error.field == "filter")
            }
        }
    }

    @Test("The box's own topics can be denied, and no rule opens them", arguments: ["$SYS/#", "$SYS", "fed/#", "fed", "fed/\u{301}", "$SYS/\u{200D}/#"])
    func own(_ text: String) throws {
        try AccessPattern.check(text, effect: .deny, limits: Limits())
        #expect(throws: SkerryError.self) { try AccessPattern.check(text, effect: .allow, limits: Limits()) }
    }

    @Test("A rule's filter has a largest size")
    func size() throws {
        var limits = Limits()
        limits.accessFilterBytesMax = 10
        try AccessPattern.check("abcdefgh/#", effect: .allow, limits: limits)
        let error = #expect(throws: SkerryError.self) { try AccessPattern.check("abcdefghi/#", effect: .allow, limits: limits) }
        #expect(error?.code == .tooLarge)
    }

    // MARK: - Why

    @Test("The reason given agrees with what happens, whatever the rules", arguments: 1...30)
    func grounds(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let filters = ["a", "a/b", "a/+", "a/#", "+/b", "#", "%u/#", "a/%c", "$SYS/#", "a/+/#", "b"]
        let topics = ["a", "a/b", "a/b/c", "b", "ann/x", "a/c1", "bob/x", "$SYS/a", "$SYS"]
        let subjects: [AccessSubject] = [.user(Self.ann), .user(Self.bob), .role(.user), .role(.anonymous)]
        for _ in 0..<100 {
            let rules = (0..<Int.random(in: 0...6, using: &random)).map { number in
                Self.rule(
                    number, random.pick(subjects) ?? .role(.user), random.chance(50) ? .allow : .deny, random.pick(AccessVerb.allCases) ?? .all,
                    random.pick(filters) ?? "#")
            }
            let client = random.chance(20) ? AccessRules.Client(anonymous: "c1") : Self.client()
            let opened = [try TopicFilter(random.chance(30) ? "#" : "a/#")]
            let all = AccessRules(rules)
            let rights = all.rights(of: client, opened: opened)
            for text in topics {
                let topic = try TopicName(text)
                #expect(
                    all.ground(of: client, .publish, topic, opened: opened).isAllowed == rights?.mayPublish(topic) ?? true, "seed \(seed): \(rules) \(text)")
                #expect(all.ground(of: client, .subscribe, topic, opened: opened).isAllowed == rights?.mayRead(topic) ?? true, "seed \(seed): \(rules) \(text)")
            }
            for text in topics + ["a/#", "a/+", "#", "+", "+/b"] {
                let filter = try TopicFilter(text)
                let ground = all.ground(of: client, subscribing: filter, opened: opened)
                #expect(ground.isAllowed == rights?.maySubscribe(filter) ?? true, "seed \(seed): \(rules) \(text)")
                if case .denied(let id) = ground { #expect(rules.contains { $0.id == id && $0.effect == .deny }) }
                if case .allowed(let id) = ground { #expect(rules.contains { $0.id == id && $0.effect == .allow }) }
            }
        }
    }
}
