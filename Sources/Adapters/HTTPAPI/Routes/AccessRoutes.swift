import ChatCodec
import HTTPTypes
import SkerryModel
import SkerryNode

/// Access rules over MQTT topics, for administrators (Access.md).
struct AccessRoutes {
    let control: NodeControl

    private var accounts: AccountService { self.control.accounts }

    private static let verbs = Schema.choice(AccessVerb.allCases.map(\.text))
    private static let effects = Schema.choice(AccessEffect.allCases.map(\.text))
    private static let roles = Schema.choice(AccessRole.allCases.map(\.text))

    static let schemas: [(name: String, schema: Schema)] = [
        (
            "AccessRule",
            .object([
                .required("id"), .optional("user"), .optional("name"), .optional("role", Self.roles), .required("effect", Self.effects),
                .required("access", Self.verbs), .required("filter"), .required("created", .time), .optional("by"),
            ])
        ),
        ("AccessAnswer", .object([.required("allowed", .boolean), .required("reason"), .optional("rule", .ref("AccessRule"))])),
    ]

    var all: [Route] {
        [
            Route(
                method: .get, path: "/v1/admin/access/rules", access: .admin, summary: "Who may publish and subscribe what over MQTT, oldest rule first",
                answer: .items(.ref("AccessRule")),
                handler: .signedIn { _, caller in
                    let rules = try await self.accounts.accessRules(by: .caller(caller))
                    return .json { $0.array("items", rules) { json, rule in json.object { rule.write(to: &$0) } } }
                }),
            Route(
                method: .post, path: "/v1/admin/access/rules", access: .admin,
                summary: "Add an access rule for a user (id or @name) or for a role; connected clients are judged by it at once",
                body: [
                    .optional("user"), .optional("role", Self.roles), .required("effect", Self.effects), .optional("access", Self.verbs), .required("filter"),
                ], status: .created, answer: .ref("AccessRule"), isRepeatable: true,
                handler: .signedIn { request, caller in
                    let fields = request.fields
                    let wanted = try AccessRuleRequest(
                        user: fields.user, role: fields.role, access: fields.access, filter: fields.filter, effect: fields.effect)
                    let rule = try await self.accounts.addAccessRule(wanted, by: .caller(caller))
                    return .json(.created) { rule.write(to: &$0) }
                }),
            Route(
                method: .delete, path: "/v1/admin/access/rules/{id}", access: .admin, summary: "Take an access rule back", status: .noContent,
                handler: .signedIn { request, caller in
                    let id: AccessRuleID = try request.id("id", unknown: AccountService.noSuchRule.detail)
                    try await self.accounts.removeAccessRule(id, by: .caller(caller))
                    return .nothing
                }),
            Route(
                method: .get, path: "/v1/admin/access/check", access: .admin, summary: "May a client publish to a topic, or subscribe to a filter, and why",
                query: [
                    .init(name: "user", schema: .text, summary: "A user's id or `@name`; without it, a client without an account."),
                    .init(name: "client", schema: .text, summary: "The client id, for rules with `%c`."),
                    .init(name: "access", schema: .choice(["publish", "subscribe"]), summary: "What it would do."),
                    .init(name: "topic", schema: .text, summary: "The topic to publish to, or the filter to subscribe to."),
                ],
                answer: .ref("AccessAnswer"),
                handler: .signedIn { request, caller in
                    let query = request.query
                    let question = try AccessQuestion(user: query["user"], client: query["client"], access: query["access"], topic: query["topic"])
                    let opened = self.control.broker?.openedTopics ?? []
                    let answer = try await self.accounts.checkAccess(question, opened: opened, by: .caller(caller))
                    return .json { answer.write(to: &$0) }
                }),
        ]
    }
}
