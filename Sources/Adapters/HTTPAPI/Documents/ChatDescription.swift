/// The chat's frames as the AsyncAPI document describes them (Chat.md, Verbs and Pushes).
enum ChatDescription {
    struct Verb: Sendable {
        var name: String
        var summary: String
        var fields: [Schema.Property]
        var answer: Schema = .object([])
    }

    struct Push: Sendable {
        var name: String
        var summary: String
        var body: Schema
    }

    private static let conversation = Schema.object([.required("conversation", .ref("Conversation"))])
    private static let greeting = Schema.object([
        .required("user"), .required("name"), .required("role", .roles), .required("box"), .required("device"), .required("heartbeat", .integer),
        .required("maxFrame", .integer), .required("time", .time), .required("live"), .required("sync", .choice(["ok", "limited", "reset"])),
        .required("features", .array(.text)), .required("limits", .object([])),
    ])
    private static let presence = Schema.object([.required("user"), .required("online", .boolean), .optional("lastSeen", .time)])

    static let verbs: [Verb] = [
        Verb(
            name: "hello", summary: "The first frame, within 5 s", fields: [.required("token"), .optional("device"), .optional("cursor"), .optional("hop")],
            answer: Self.greeting
        ),
        Verb(
            name: "sync", summary: "What happened since a cursor, page by page until `done`", fields: [.optional("since"), .optional("limit", .integer)],
            answer: .object([
                .required("status", .choice(["ok", "syncing", "limited", "reset"])),
                .required("items", .array(.object([.required("t"), .required("d", .object([]))]))),
                .required("cursor"), .required("done", .boolean),
            ])),
        Verb(
            name: "conversations", summary: "My conversations, most recent first", fields: [.optional("after"), .optional("limit", .integer)],
            answer: .page(.ref("Conversation"))),
        Verb(name: "conversation", summary: "One conversation", fields: [.required("conv")], answer: Self.conversation),
        Verb(
            name: "history", summary: "A page of a conversation, rising by `order`",
            fields: [.required("conv"), .optional("before"), .optional("after"), .optional("limit", .integer)],
            answer: .object([.required("items", .array(.ref("Message"))), .required("more", .boolean)])),
        Verb(
            name: "send", summary: "Send a message; answered when it is on the disk", fields: [.required("conv")] + Schema.send,
            answer: .ref("Receipt")),
        Verb(name: "edit", summary: "Change the text of an own message", fields: [.required("mid"), .required("text")], answer: .ref("Changed")),
        Verb(name: "recall", summary: "Take a message back", fields: [.required("mid")], answer: .ref("Changed")),
        Verb(
            name: "react", summary: "React to a message, or take the reaction back",
            fields: [.required("mid"), .required("emoji"), .optional("on", .boolean)], answer: .ref("Changed")),
        Verb(
            name: "receipt", summary: "Say up to where I have received or read", fields: [.required("conv"), .optional("recv"), .optional("read")]),
        Verb(name: "typing", summary: "Say that I am typing", fields: [.required("conv")]),
        Verb(name: "presence", summary: "Who is online", fields: [.optional("users", .array(.text))], answer: .items(Self.presence)),
        Verb(
            name: "users", summary: "People on the box whose name starts with `q`",
            fields: [.optional("q"), .optional("after"), .optional("limit", .integer)], answer: .page(.ref("User"))),
        Verb(
            name: "create", summary: "Start a group, or the direct conversation with somebody",
            fields: [
                .required("type", .choice(["group", "direct"])), .optional("title"), .optional("members", .array(.text)), .optional("user"), .optional("cid"),
            ], answer: .object([.required("conversation", .ref("Conversation")), .required("dup", .boolean)])),
        Verb(name: "update", summary: "Give a group another title", fields: [.required("conv"), .required("title")], answer: Self.conversation),
        Verb(name: "invite", summary: "Take people into a group", fields: [.required("conv"), .required("users", .array(.text))], answer: Self.conversation),
        Verb(name: "remove", summary: "Take somebody out of a group", fields: [.required("conv"), .required("user")], answer: Self.conversation),
        Verb(
            name: "role", summary: "Give a member a role; `owner` hands the group over",
            fields: [.required("conv"), .required("user"), .required("role", .memberRoles)], answer: Self.conversation),
        Verb(name: "leave", summary: "Leave a group", fields: [.required("conv")]),
        Verb(name: "block", summary: "Block somebody, or unblock", fields: [.required("user"), .optional("on", .boolean)]),
        Verb(name: "blocks", summary: "People I do not want to hear from", fields: [], answer: .items(.text)),
        Verb(name: "ping", summary: "A sign of life, at least every `heartbeat` seconds", fields: [], answer: .object([.required("time", .time)])),
    ]

    static let pushes: [Push] = [
        Push(name: "msg", summary: "A new message, also to the sender's devices", body: .ref("Message")),
        Push(
            name: "change", summary: "Something about a message or a conversation changed",
            body: .object([
                .required("kind", .choice(["edit", "recall", "react", "conversation", "left"])), .optional("conv"), .optional("mid"), .optional("by"),
                .optional("order"), .optional("ts", .time), .optional("text"), .optional("emoji"), .optional("on", .boolean),
                .optional("conversation", .ref("Conversation")),
            ])),
        Push(
            name: "receipt", summary: "Somebody received or read up to an order",
            body: .object([.required("conv"), .required("user"), .optional("recv"), .optional("read")])),
        Push(
            name: "replicated", summary: "Other boxes hold these messages too; only to their sender",
            body: .object([.required("conv"), .required("mids", .array(.text))])),
        Push(name: "typing", summary: "Somebody is typing", body: .object([.required("conv"), .required("user")])),
        Push(name: "presence", summary: "Somebody came or went", body: Self.presence),
        Push(name: "notice", summary: "Something for a person to read", body: .object([.required("code"), .required("text")])),
        Push(
            name: "moved", summary: "Connect elsewhere; the connection closes with 1012",
            body: .object([.required("box"), .required("endpoints", .array(.text)), .required("token")])),
        Push(name: "ping", summary: "Answer with anything", body: .object([])),
    ]

    /// The chat's topics of MQTT. `isReceived`: the box receives what is published there.
    static let topics: [(name: String, address: String, summary: String, isReceived: Bool, payload: Schema)] = [
        ("sendJSON", "v1/c/{conv}/send", "Send a message", true, .object(Schema.send)),
        ("sendText", "v1/c/{conv}/text", "Send plain text", true, .text),
        ("receive", "v1/c/{conv}/msg", "What is said in one conversation", false, .object([.required("t"), .required("d", .object([]))])),
        ("inbox", "v1/me/in", "What is said in all of mine", false, .object([.required("t"), .required("d", .object([]))])),
        (
            "answers", "v1/me/ack", "Answers, where no Response Topic was given", false,
            .object([.optional("cid"), .optional("d", .object([])), .optional("error", .ref("Problem"))])
        ),
        ("read", "v1/c/{conv}/read", "Say up to where I have read", true, .object([.required("read")])),
        ("typingTopic", "v1/c/{conv}/typing", "Say that I am typing", true, .object([])),
        ("presenceTopic", "v1/u/{user}/presence", "Who is online", false, .object([.required("user"), .required("online", .boolean)])),
        ("statistics", "$SYS/broker/{statistic}", "Statistics under Mosquitto's names, retained; for administrators", false, .text),
        ("syncTopic", "v1/me/sync", "Ask what happened since a cursor", true, .object([.optional("since"), .optional("limit", .integer)])),
    ]
}
