import ChatCodec
import HTTPTypes
import SkerryModel
import SkerryNode

/// The boxes of the federation: where they are, how they are, and which one a client should use.
struct LoadRoutes {
    let control: NodeControl

    private static let liveness = Schema.choice(BoxLiveness.allCases.map(\.rawValue))
    private static let endpoint = Schema.object([.required("kind"), .required("address"), .required("port", .integer)])
    private static let load = Schema.object([
        .required("connections", .integer), .required("connectionsMax", .integer), .required("weight", .number), .required("memory", .number),
        .required("processor", .number), .required("descriptors", .number), .required("loopLagMilliseconds", .number), .required("isDiskLow", .boolean),
        .required("score", .number),
    ])

    static let schemas: [(name: String, schema: Schema)] = [
        (
            "Box",
            .object([
                .required("box"), .required("name"), .required("isSelf", .boolean), .required("reachable", .boolean), .required("liveness", Self.liveness),
                .required("isDraining", .boolean), .required("online", .integer), .required("endpoints", .array(.text)),
            ])
        ),
        (
            "BoxOverview",
            .object([
                .required("box"), .required("name"), .required("standing", .choice(["active", "removed"])), .required("isSelf", .boolean),
                .required("isIssuer", .boolean), .required("liveness", Self.liveness), .optional("lastSeen", .time), .optional("version"),
                .required(
                    "sync",
                    .object([
                        .required("phase", .choice(["absent", "greeting", "live", "lagging"])), .required("behind"), .required("ahead"),
                        .required("unacknowledgedBytes", .integer), .optional("quarantine"),
                    ])), .required("entriesKnown"), .required("entriesHeld"), .required("backlogEntries"), .required("backlogBytes"),
                .required("backlogSeconds"), .required("clock", .choice(BoxClockState.allCases.map(\.rawValue))), .required("clockOffsetMilliseconds"),
                .required("isDraining", .boolean), .optional("load", Self.load), .required("onlineUsers", .integer),
                .required("endpoints", .array(Self.endpoint)), .optional("trouble"), .optional("remedy"), .optional("reason"),
            ])
        ),
        (
            "Assignment",
            .object([
                .required("box"), .required("endpoints", .array(.text)),
                .required("alternates", .array(.object([.required("box"), .required("endpoints", .array(.text))]))), .required("ttl", .integer),
                .required("token"),
            ])
        ),
    ]

    var all: [Route] {
        [
            Route(
                method: .get, path: "/v1/boxes", access: .user, summary: "The boxes of the federation and where each can be reached; this one first",
                answer: .object([.required("items", .array(.ref("Box"))), .required("online", .integer)]),
                handler: .signedIn { _, _ in
                    let boxes = await self.control.boxes().filter { $0.standing == .active }
                    return .json {
                        $0.array("items", boxes) { json, box in json.object { box.writeForUsers(to: &$0) } }
                        $0.field("online", self.control.node.online.userCountEverywhere)
                    }
                }),
            Route(
                method: .get, path: "/v1/assign", access: .open, summary: "Which box a client should use: the less loaded of two drawn at random",
                query: [
                    .init(name: "prev", schema: .text, summary: "The box the client used last; it stays there unless that box is full, drained or away."),
                    .init(name: "token", schema: .text, summary: "`token` of the last answer, or of `moved`: nobody is sent on twice within 30 s."),
                ], answer: .ref("Assignment"),
                handler: .open { request in
                    let assignment = try await self.control.assign(previous: request.query["prev"], token: request.query["token"])
                    return .json { assignment.write(to: &$0) }
                }),
            Route(
                method: .get, path: "/v1/admin/boxes", access: .admin, summary: "Everything known of the boxes; this one first, removed ones last",
                answer: .object([.required("items", .array(.ref("BoxOverview"))), .optional("federation"), .optional("isIssuer", .boolean)]),
                handler: .signedIn { _, caller in
                    let list = try await self.control.boxList(by: .caller(caller))
                    return .json { list.write(to: &$0) }
                }),
            Route(
                method: .post, path: "/v1/admin/drain", access: .admin,
                summary: "Send this box's clients to other boxes, and nobody new here, until it is switched off again", body: [.required("on", .boolean)],
                answer: .object([.required("draining", .boolean)]),
                handler: .signedIn { request, caller in
                    guard let isOn = request.fields.on else { throw SkerryError(.payloadInvalid, "on is missing.", field: "on") }
                    try await self.control.drain(isOn, by: .caller(caller))
                    return .json { $0.field("draining", self.control.node.moving.isDraining) }
                }),
        ]
    }
}
