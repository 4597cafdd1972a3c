import ChatCodec

/// The shape of a JSON value, as far as the documents of the interface describe it (JSON Schema 2020-12).
indirect enum Schema: Sendable {
    case text
    case time
    case integer
    case number
    case boolean
    case choice([String])
    case array(Schema)
    case object([Property])
    /// A shape with a name, in `Schema.named`.
    case ref(String)

    struct Property: Sendable {
        var name: String
        var schema: Schema
        var isRequired = true
    }

    func write(to json: inout JSONWriter) {
        json.object { self.writeFields(to: &$0) }
    }

    private func writeFields(to json: inout JSONWriter) {
        switch self {
        case .text: json.field("type", "string")
        case .time:
            json.field("type", "string")
            json.field("format", "date-time")
        case .integer: json.field("type", "integer")
        case .number: json.field("type", "number")
        case .boolean: json.field("type", "boolean")
        case .choice(let values):
            json.field("type", "string")
            json.array("enum", values) { $0.string($1) }
        case .array(let element):
            json.field("type", "array")
            json.key("items")
            element.write(to: &json)
        case .object(let properties):
            json.field("type", "object")
            json.object("properties") { json in
                for property in properties {
                    json.key(named: property.name)
                    property.schema.write(to: &json)
                }
            }
            let required = properties.filter(\.isRequired).map(\.name)
            if !required.isEmpty { json.array("required", required) { $0.string($1) } }
        case .ref(let name): json.field("$ref", "#/components/schemas/\(name)")
        }
    }
}

extension Schema.Property {
    static func required(_ name: String, _ schema: Schema = .text) -> Self { Self(name: name, schema: schema) }
    static func optional(_ name: String, _ schema: Schema = .text) -> Self { Self(name: name, schema: schema, isRequired: false) }
}

extension Schema {
    static let memberRoles = Schema.choice(["owner", "admin", "member"])
    static let roles = Schema.choice(["user", "admin"])

    /// A page of a list: `items`, and `next` when there are more.
    static func page(_ item: Schema) -> Schema { .object([.required("items", .array(item)), .optional("next")]) }
    static func items(_ item: Schema) -> Schema { .object([.required("items", .array(item))]) }

    /// The fields of a message's body, by kind (Chat.md).
    private static let body: [Property] = [
        .optional("text"), .optional("lat", .number), .optional("lon", .number), .optional("label"), .optional("accuracy", .number), .optional("type"),
        .optional("data"),
    ]
    static let messageKinds = Schema.choice(["text", "emoji", "location", "custom", "picture", "voice", "video", "file"])
    static let send: [Property] = [.required("cid"), .optional("kind", .messageKinds), .optional("replyTo")] + Self.body

    private static let retained: [Property] = [
        .required("topic"), .required("size", .integer), .required("qos", .integer), .optional("contentType"), .optional("expiresIn", .integer),
    ]

    static let named: [(name: String, schema: Schema)] =
        [
            (
                "Problem",
                .object([
                    .required("type"), .required("code"), .required("status", .integer), .required("title"), .required("detail"),
                    .required("temporary", .boolean), .optional("retryAfter", .integer),
                    .optional("errors", .array(.object([.required("field"), .required("detail")]))),
                ])
            ),
            (
                "SignedIn",
                .object([
                    .required("token"), .required("user"), .required("name"), .required("role", .roles), .required("expires", .time), .required("device"),
                ])
            ),
            ("Me", .object([.required("id"), .required("name"), .required("display"), .required("role", .roles)])),
            (
                "Device",
                .object([
                    .required("id"), .required("name"), .required("created", .time), .optional("seen", .time), .required("expires", .time),
                    .required("current", .boolean),
                ])
            ),
            ("User", .object([.required("id"), .required("name"), .required("display"), .required("online", .boolean)])),
            (
                "Message",
                .object(
                    [
                        .required("conv"), .required("mid"), .required("order"), .required("ts", .time), .required("from"), .required("kind", .messageKinds),
                        .optional("cid"), .optional("replyTo"), .optional("edited", .object([.required("order"), .required("ts", .time)])),
                        .optional("recalled", .boolean), .optional("replicated", .boolean),
                        .optional("reactions", .array(.object([.required("emoji"), .required("users", .array(.text))]))),
                    ] + Self.body)
            ),
            (
                "Member",
                .object([
                    .required("user"), .required("name"), .required("display"), .required("role", .memberRoles), .optional("read"), .optional("recv"),
                ])
            ),
            (
                "Conversation",
                .object([
                    .required("id"), .required("type", .choice(["direct", "group"])), .optional("title"), .required("created", .time),
                    .required("members", .array(.ref("Member"))), .required("role", .memberRoles), .optional("since"), .optional("last", .ref("Message")),
                    .required("unread", .integer), .required("order"),
                ])
            ),
            (
                "Receipt",
                .object([
                    .required("cid"), .required("mid"), .required("conv"), .required("order"), .required("ts", .time), .required("dup", .boolean),
                ])
            ),
            ("Changed", .object([.required("mid"), .required("order"), .required("ts", .time)])),
            ("Listener", .object([.required("kind"), .optional("name"), .required("address"), .required("port", .integer), .required("tls", .boolean)])),
            (
                "Overview",
                .object([
                    .required("box"), .required("version"), .required("uptimeSeconds", .integer), .required("started", .time), .required("users", .integer),
                    .required("online", .integer), .required("onlineEverywhere", .integer),
                    .required("sessions", .object([.required("ws", .integer), .required("mqtt", .integer)])),
                    .required("messages", .integer), .required("listeners", .array(.ref("Listener"))),
                    .required("store", .object([.required("bytes", .integer)])),
                    .required("memory", .object([.optional("residentBytes", .integer)])),
                    .required("disk", .object([.optional("freeBytes", .integer), .optional("totalBytes", .integer)])),
                    .required("clock", .object([.optional("synced", .boolean)])), .required("claimed", .boolean),
                ])
            ),
            (
                "Session",
                .object([
                    .required("user"), .required("name"), .required("device"), .required("kind", .choice(["ws", "mqtt"])), .required("address"),
                    .required("since", .time), .optional("client"),
                ])
            ),
            (
                "Account",
                .object([
                    .required("id"), .required("name"), .required("display"), .required("role", .roles), .required("locked", .boolean),
                    .required("created", .time), .required("online", .boolean), .required("devices", .integer),
                ])
            ),
            (
                "Invite",
                .object([
                    .required("id"), .required("role", .roles), .required("uses", .integer), .required("used", .integer), .required("expires", .time),
                    .required("created", .time), .optional("by"),
                ])
            ),
            (
                "MQTTClient",
                .object([
                    .required("client"), .optional("user"), .optional("name"), .required("connected", .boolean), .optional("address"),
                    .optional("transport", .choice(["tcp", "tls", "ws", "wss"])), .optional("listener"),
                    .optional("version", .choice(["3.1", "3.1.1", "5.0"])),
                    .optional("since", .time), .optional("heard", .time), .optional("keepAlive", .integer), .optional("cleanStart", .boolean),
                    .optional("receiveMaximum", .integer), .optional("outboxBytes", .integer), .optional("left", .time), .required("durable", .boolean),
                    .optional("expirySeconds", .integer), .required("subscriptions", .integer), .required("queuedMessages", .integer),
                    .required("queuedBytes", .integer), .required("inFlight", .integer), .required("received", .integer), .required("sent", .integer),
                    .required("will", .boolean),
                ])
            ),
            (
                "MQTTSubscription",
                .object([
                    .required("client"), .optional("user"), .optional("name"), .required("connected", .boolean), .required("filter"),
                    .required("qos", .integer), .required("noLocal", .boolean), .required("retainAsPublished", .boolean),
                    .required("retainHandling", .integer), .optional("identifier", .integer),
                ])
            ),
            ("Retained", .object(Schema.retained)),
            (
                "RetainedMessage",
                .object(
                    Schema.retained + [
                        .required("shown", .integer), .required("userProperties", .array(.object([.required("name"), .required("value")]))),
                        .optional("text"), .optional("base64"),
                    ])
            ),
            ("Link", .object([.required("id"), .required("token"), .required("link"), .required("expires", .time)])),
            ("Readiness", .object([.required("ready", .boolean), .required("reasons", .array(.text))])),
        ] + AccessRoutes.schemas + FederationRoutes.schemas + LoadRoutes.schemas
}
