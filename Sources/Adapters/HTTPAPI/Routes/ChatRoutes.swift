import ChatCodec
import HTTPTypes
import NIOCore
import SkerryModel
import SkerryNode

/// The chat's verbs as REST: the same requests through the same service as WebSocket frames, so that they cannot answer otherwise.
struct ChatRoutes {
    let chat: ChatService
    let limits: Limits

    var all: [Route] { self.people + self.conversations + self.members + self.messages }

    private static let conv = "/v1/conversations/{conv}"
    private static let limit = Route.Parameter(name: "limit", schema: .integer, summary: "How many at most; larger than the box allows is an error.")
    private static let after = Route.Parameter(name: "after", schema: .text, summary: "`next` of the page before.")

    // MARK: - Routes

    private var people: [Route] {
        [
            Route(
                method: .get, path: "/v1/users", access: .user, summary: "People on the box whose name starts with `q`",
                query: [.init(name: "q", schema: .text, summary: "Start of the name."), Self.after, Self.limit], answer: .page(.ref("User")),
                handler: self.verb(.users)),
            Route(
                method: .get, path: "/v1/blocks", access: .user, summary: "People I do not want to hear from", answer: .items(.text),
                handler: self.verb(.blocks)),
            Route(
                method: .put, path: "/v1/blocks/{user}", access: .user, summary: "Block somebody", status: .noContent,
                handler: self.verb(.block, silent: true) { fields, request in
                    fields.user = try request.parameter("user")
                    fields.on = true
                }),
            Route(
                method: .delete, path: "/v1/blocks/{user}", access: .user, summary: "Unblock somebody", status: .noContent,
                handler: self.verb(.block, silent: true) { fields, request in
                    fields.user = try request.parameter("user")
                    fields.on = false
                }),
            Route(
                method: .get, path: "/v1/sync", access: .user, summary: "What happened since a cursor, page by page until `done`",
                query: [.init(name: "since", schema: .text, summary: "The cursor of the last page; absent to start anew."), Self.limit],
                answer: .object([
                    .required("status", .choice(["ok", "syncing", "limited", "reset"])),
                    .required("items", .array(.object([.required("t"), .required("d", .object([]))]))),
                    .required("cursor"), .required("done", .boolean),
                ]),
                handler: self.verb(.sync)),
        ]
    }

    private var conversations: [Route] {
        [
            Route(
                method: .get, path: "/v1/conversations", access: .user, summary: "My conversations, most recent first", query: [Self.after, Self.limit],
                answer: .page(.ref("Conversation")), handler: self.verb(.conversations)),
            Route(
                method: .post, path: "/v1/conversations", access: .user,
                summary: "Start a group, or the direct conversation with somebody; `Idempotency-Key` stands in for a group's `cid`",
                body: [
                    .required("type", .choice(["group", "direct"])), .optional("title"), .optional("members", .array(.text)), .optional("user"),
                    .optional("cid"),
                ],
                status: .created, repeatStatus: .ok, answer: .object([.required("conversation", .ref("Conversation")), .required("dup", .boolean)]),
                handler: self.verb(.create, created: true) { fields, request in fields.cid = fields.cid ?? request.headers[.idempotencyKey] }),
            Route(
                method: .get, path: Self.conv, access: .user, summary: "One conversation", answer: .object([.required("conversation", .ref("Conversation"))]),
                hasTag: true, handler: self.verb(.conversation, self.inConversation)),
            Route(
                method: .patch, path: Self.conv, access: .user, summary: "Give a group another title", body: [.required("title")],
                answer: .object([.required("conversation", .ref("Conversation"))]), hasTag: true, heedsMatch: true, handler: self.update),
            Route(
                method: .post, path: "\(Self.conv)/receipt", access: .user, summary: "Say up to where I have received or read",
                body: [.optional("recv"), .optional("read")], status: .noContent, handler: self.verb(.receipt, silent: true, self.inConversation)),
        ]
    }

    private var members: [Route] {
        [
            Route(
                method: .post, path: "\(Self.conv)/members", access: .user, summary: "Take people into a group", body: [.required("users", .array(.text))],
                answer: .object([.required("conversation", .ref("Conversation"))]), handler: self.verb(.invite, self.inConversation)),
            Route(
                method: .put, path: "\(Self.conv)/members/{user}", access: .user, summary: "Give a member a role; `owner` hands the group over",
                body: [.required("role", .memberRoles)], answer: .object([.required("conversation", .ref("Conversation"))]),
                handler: self.verb(.role) { fields, request in
                    fields.conv = try request.parameter("conv")
                    fields.user = try request.parameter("user")
                }),
            Route(
                method: .delete, path: "\(Self.conv)/members/{user}", access: .user, summary: "Take somebody out of a group, or leave it oneself",
                status: .ok, repeatStatus: .noContent, answer: .object([.required("conversation", .ref("Conversation"))]), handler: self.remove),
        ]
    }

    private var messages: [Route] {
        [
            Route(
                method: .get, path: "\(Self.conv)/messages", access: .user,
                summary: "A page of the history, rising by `order`; the newest without `before` and `after`",
                query: [
                    .init(name: "before", schema: .text, summary: "Only messages before this order."),
                    .init(name: "after", schema: .text, summary: "Only messages after this order."), Self.limit,
                ],
                answer: .object([.required("items", .array(.ref("Message"))), .required("more", .boolean)]),
                handler: self.verb(.history, self.inConversation)),
            Route(
                method: .post, path: "\(Self.conv)/messages", access: .user,
                summary: "Send a message; answered when it is on the disk. `Idempotency-Key` stands in for `cid`", body: Schema.send, status: .created,
                repeatStatus: .ok, answer: .ref("Receipt"),
                handler: self.verb(.send, created: true) { fields, request in
                    fields.conv = try request.parameter("conv")
                    fields.cid = fields.cid ?? request.headers[.idempotencyKey]
                }),
            Route(
                method: .patch, path: "/v1/messages/{mid}", access: .user, summary: "Change the text of an own message", body: [.required("text")],
                answer: .ref("Changed"), handler: self.verb(.edit, self.ofMessage)),
            Route(
                method: .delete, path: "/v1/messages/{mid}", access: .user, summary: "Take an own message back, or any of a group one manages",
                answer: .ref("Changed"), handler: self.verb(.recall, self.ofMessage)),
            Route(
                method: .put, path: "/v1/messages/{mid}/reactions", access: .user, summary: "React to a message, or take the reaction back",
                body: [.required("emoji"), .optional("on", .boolean)], answer: .ref("Changed"), handler: self.verb(.react, self.ofMessage)),
        ]
    }

    // MARK: - Handlers

    private typealias Filling = @Sendable (inout RequestFields, APIRequest) throws -> Void

    private var inConversation: Filling { { fields, request in fields.conv = try request.parameter("conv") } }
    private var ofMessage: Filling { { fields, request in fields.mid = try request.parameter("mid") } }

    /// Makes a verb's request of body, path and query, and answers what the service answers.
    /// - Parameters:
    ///   - silent: the verb answers nothing that is worth a body.
    ///   - created: 201, or 200 when the answer says that it was there already.
    private func verb(_ verb: ChatVerb, silent: Bool = false, created: Bool = false, _ fill: @escaping Filling = { _, _ in }) -> Route.Handler {
        .signedIn { request, caller in
            var fields = request.fields
            try Self.readQuery(request.query, into: &fields)
            try fill(&fields, request)
            let body = try await self.chat.perform(try verb.request(fields, limits: self.limits), as: caller)
            if silent { return .nothing }
            return .json(body, created && !Self.isRepeated(body) ? .created : .ok)
        }
    }

    private static func readQuery(_ query: Query, into fields: inout RequestFields) throws {
        fields.q = query["q"] ?? fields.q
        fields.since = query["since"] ?? fields.since
        fields.before = query["before"] ?? fields.before
        fields.after = query["after"] ?? fields.after
        fields.limit = try query.integer("limit") ?? fields.limit
    }

    /// The service's answers end in `"dup":true` when the request was one seen before.
    private static func isRepeated(_ body: ByteBuffer) -> Bool { body.readableBytesView.suffix(11).elementsEqual("\"dup\":true}".utf8) }

    private var update: Route.Handler {
        .signedIn { request, caller in
            var fields = request.fields
            fields.conv = try request.parameter("conv")
            let change = try ChatVerb.update.request(fields, limits: self.limits)
            if let match = request.headers[.ifMatch] {
                let current = try await self.chat.perform(try ChatVerb.conversation.request(fields, limits: self.limits), as: caller)
                try EntityTag.check(match, EntityTag.of(current))
            }
            return .json(try await self.chat.perform(change, as: caller))
        }
    }

    private var remove: Route.Handler {
        .signedIn { request, caller in
            var fields = RequestFields()
            fields.conv = try request.parameter("conv")
            fields.user = try request.parameter("user")
            let isSelf: Bool
            switch try request.user("user") {
            case .id(let id): isSelf = id == caller.user
            case .name(let key): isSelf = key == UserName.key(of: caller.name)
            }
            let verb: ChatVerb = isSelf ? .leave : .remove
            let body = try await self.chat.perform(try verb.request(fields, limits: self.limits), as: caller)
            return isSelf ? .nothing : .json(body)
        }
    }
}
