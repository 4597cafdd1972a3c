import Account
import ChatCodec
import HTTPTypes
import Hummingbird
import SkerryModel
import SkerryNode

/// What administrators see of the MQTT broker, and do to it.
struct MQTTRoutes {
    let control: NodeControl
    let limits: Limits

    var all: [Route] { self.clients + self.retained }

    private static let page: [Route.Parameter] = [
        .init(name: "after", schema: .text, summary: "`next` of the page before."),
        .init(name: "limit", schema: .integer, summary: "How many at most; larger than the box allows is an error."),
    ]

    /// No browser leaves `.` and `..` in a path, however they are encoded.
    private static let dots: [Route.Parameter] = [.init(name: "id", schema: .text, summary: "With `-` in the path: the client id, for `.` and `..`.")]

    private var clients: [Route] {
        [
            Route(
                method: .get, path: "/v1/admin/mqtt/clients", access: .admin,
                summary: "MQTT clients, connected and away, by client id; a page may be short, or empty, and still have a next one",
                query: [
                    .init(name: "prefix", schema: .text, summary: "Start of the client id."),
                    .init(name: "user", schema: .text, summary: "A user's id or `@name`."),
                    .init(name: "topic", schema: .text, summary: "Only clients with a subscription to this topic."),
                    .init(name: "state", schema: .choice(ClientQuery.Presence.allCases.map(\.rawValue)), summary: "Connected, or away with a kept session."),
                ] + Self.page,
                answer: .page(.ref("MQTTClient")), handler: self.listClients),
            Route(
                method: .get, path: "/v1/admin/mqtt/clients/{client}", access: .admin, summary: "One MQTT client", query: Self.dots,
                answer: .ref("MQTTClient"),
                handler: .signedIn { request, caller in
                    let client = try await self.control.mqttClient(try request.clientID(), by: .caller(caller))
                    return .json { client.write(to: &$0) }
                }),
            Route(
                method: .delete, path: "/v1/admin/mqtt/clients/{client}", access: .admin,
                summary: "Remove an MQTT session and everything it is owed; a connection of it ends with 0x98", query: Self.dots, status: .noContent,
                handler: .signedIn { request, caller in
                    try await self.control.kickMQTT(try request.clientID(), removes: true, by: .caller(caller))
                    return .nothing
                }),
            Route(
                method: .post, path: "/v1/admin/mqtt/clients/{client}/kick", access: .admin,
                summary: "End an MQTT client's connection with 0x98; it may come back", query: Self.dots, status: .noContent,
                handler: .signedIn { request, caller in
                    try await self.control.kickMQTT(try request.clientID(), removes: false, by: .caller(caller))
                    return .nothing
                }),
            Route(
                method: .get, path: "/v1/admin/mqtt/clients/{client}/subscriptions", access: .admin, summary: "An MQTT client's subscriptions, by filter",
                query: Self.dots + Self.page, answer: .page(.ref("MQTTSubscription")),
                handler: .signedIn { request, caller in
                    let page = try await self.control.mqttSubscriptions(
                        of: try request.clientID(), after: request.query["after"], limit: try self.limit(request), by: .caller(caller))
                    return Self.answer(page) { $1.write(to: &$0) }
                }),
            Route(
                method: .get, path: "/v1/admin/mqtt/subscribers", access: .admin,
                summary: "Who is subscribed to a topic, by client id; a page may be short, or empty, and still have a next one",
                query: [.init(name: "topic", schema: .text, summary: "The topic, without wildcards.")] + Self.page,
                answer: .page(.ref("MQTTSubscription")),
                handler: .signedIn { request, caller in
                    let page = try await self.control.mqttSubscribers(
                        of: try request.asked("topic"), after: request.query["after"], limit: try self.limit(request), by: .caller(caller))
                    return Self.answer(page) { $1.write(to: &$0) }
                }),
        ]
    }

    private var retained: [Route] {
        [
            Route(
                method: .get, path: "/v1/admin/mqtt/retained", access: .admin,
                summary: "Retained messages without their payloads, by topic; a page may be short, or empty, and still have a next one",
                query: [.init(name: "filter", schema: .text, summary: "A topic filter; `#` when left out.")] + Self.page,
                answer: .page(.ref("Retained")),
                handler: .signedIn { request, caller in
                    let page = try await self.control.retained(
                        request.query["filter"] ?? "#", after: request.query["after"], limit: try self.limit(request), by: .caller(caller))
                    return Self.answer(page) { $1.write(to: &$0) }
                }),
            Route(
                method: .delete, path: "/v1/admin/mqtt/retained", access: .admin, summary: "Clear every retained message whose topic the filter wants",
                query: [.init(name: "filter", schema: .text, summary: "A topic filter.")], answer: .object([.required("cleared", .integer)]),
                handler: .signedIn { request, caller in
                    let count = try await self.control.clearRetained(filter: try request.asked("filter"), by: .caller(caller))
                    return .json { $0.field("cleared", count) }
                }),
            Route(
                method: .get, path: "/v1/admin/mqtt/retained/message", access: .admin,
                summary: "One retained message: its payload as text when it is UTF-8, else as base64, cut where it is very long",
                query: [.init(name: "topic", schema: .text, summary: "The topic.")], answer: .ref("RetainedMessage"),
                handler: .signedIn { request, caller in
                    let message = try await self.control.retained(topic: try request.asked("topic"), by: .caller(caller))
                    return .json { message.write(to: &$0) }
                }),
            Route(
                method: .delete, path: "/v1/admin/mqtt/retained/message", access: .admin, summary: "Clear one retained message",
                query: [.init(name: "topic", schema: .text, summary: "The topic.")], status: .noContent,
                handler: .signedIn { request, caller in
                    try await self.control.clearRetained(topic: try request.asked("topic"), by: .caller(caller))
                    return .nothing
                }),
        ]
    }

    private var listClients: Route.Handler {
        .signedIn { request, caller in
            var presence: ClientQuery.Presence?
            if let text = request.query["state"], !text.isEmpty {
                presence = ClientQuery.Presence(rawValue: text)
                guard presence != nil else { throw SkerryError(.payloadInvalid, "state is connected or away.", field: "state") }
            }
            let user = try request.query["user"].flatMap { $0.isEmpty ? nil : try UserReference($0, field: "user") }
            let topic = request.query["topic"].flatMap { $0.isEmpty ? nil : $0 }
            let page = try await self.control.mqttClients(
                prefix: request.query["prefix"] ?? "", user: user, topic: topic, presence: presence, after: request.query["after"],
                limit: try self.limit(request), by: .caller(caller))
            return Self.answer(page) { $1.write(to: &$0) }
        }
    }

    private func limit(_ request: APIRequest) throws(SkerryError) -> Int {
        try request.query.limit(max: self.limits.listPageMax, default: self.limits.listPageDefault)
    }

    private static func answer<Item>(_ page: ListPage<Item>, _ write: (inout JSONWriter, Item) -> Void) -> Answer {
        .json {
            $0.array("items", page.items) { json, item in json.object { write(&$0, item) } }
            $0.field("next", page.next)
        }
    }
}

extension APIRequest {
    /// A client id in the path. It may hold anything, a slash as `%2F` too.
    fileprivate func clientID() throws(SkerryError) -> String {
        guard let raw = self.context.parameters.get("client"), let text = PercentDecoding.decode(raw), !text.isEmpty else {
            throw SkerryError(.badRequest, "The path is not percent-encoded UTF-8.", field: "client")
        }
        if text == "-", let id = self.query["id"], !id.isEmpty { return id }
        return text
    }

    fileprivate func asked(_ name: String) throws(SkerryError) -> String {
        guard let text = self.query[name], !text.isEmpty else { throw SkerryError(.payloadInvalid, "\(name) is missing.", field: name) }
        return text
    }
}
