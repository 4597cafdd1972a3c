import ChatCodec
import HTTPTypes
import NIOCore

/// The OpenAPI 3.1 document of the table of routes.
struct OpenAPIDocument {
    let version: String
    let routes: [Route]

    func make() -> ByteBuffer {
        JSONWriter.make { json in
            json.field("openapi", "3.1.0")
            json.object("info") {
                $0.field("title", "Skerry")
                $0.field("version", self.version)
                $0.field("summary", "The REST interface of a box. Errors are problem documents (RFC 9457) with a `code` of one registry.")
            }
            json.array("servers", ["/"]) { json, url in json.object { $0.field("url", url) } }
            json.object("paths") { json in
                for (path, routes) in self.byPath {
                    json.key(named: path)
                    json.object { json in
                        for route in routes {
                            json.key(named: route.method.rawValue.lowercased())
                            json.object { Self.write(route, to: &$0) }
                        }
                    }
                }
            }
            json.object("components") { json in
                json.object("securitySchemes") {
                    $0.object("bearer") {
                        $0.field("type", "http")
                        $0.field("scheme", "bearer")
                    }
                }
                json.object("schemas") { json in
                    for (name, schema) in Schema.named {
                        json.key(named: name)
                        schema.write(to: &json)
                    }
                }
            }
        }
    }

    /// In the order in which the table names each path first.
    private var byPath: [(String, [Route])] {
        var order: [String] = []
        var groups: [String: [Route]] = [:]
        for route in self.routes {
            if groups[route.path] == nil { order.append(route.path) }
            groups[route.path, default: []].append(route)
        }
        return order.map { ($0, groups[$0] ?? []) }
    }

    private static func write(_ route: Route, to json: inout JSONWriter) {
        json.field("operationId", route.operationID)
        json.field("summary", route.summary)
        if route.access == .admin { json.field("description", "For administrators.") }
        if route.access != .open {
            json.array("security", [()]) { json, _ in json.object { $0.array("bearer", [String]()) { $0.string($1) } } }
        }
        Self.writeParameters(route, to: &json)
        if let body = route.body {
            json.object("requestBody") {
                $0.field("required", body.contains(where: \.isRequired))
                $0.object("content") { Self.write("application/json", .object(body), to: &$0) }
            }
        }
        json.object("responses") { json in
            json.key(named: String(route.status.code))
            json.object { Self.writeAnswer(route, route.status, to: &$0) }
            if let status = route.repeatStatus {
                json.key(named: String(status.code))
                json.object { Self.writeAnswer(route, status, to: &$0) }
            }
            json.key("default")
            json.object {
                $0.field("description", "A refusal.")
                $0.object("content") { Self.write("application/problem+json", .ref("Problem"), to: &$0) }
            }
        }
    }

    private static func writeParameters(_ route: Route, to json: inout JSONWriter) {
        var parameters: [(place: String, parameter: Route.Parameter, isRequired: Bool)] = route.pathParameters.map {
            ("path", Route.Parameter(name: $0, schema: .text, summary: Self.pathSummary($0)), true)
        }
        parameters += route.query.map { ("query", $0, false) }
        if route.heedsMatch {
            parameters.append(("header", Route.Parameter(name: "If-Match", schema: .text, summary: "The ETag that was read; 412 when it has changed."), false))
        }
        if route.isRepeatable || route.body?.contains(where: { $0.name == "cid" }) == true {
            let summary = "A text of the client's choice; a request repeated with it is not done twice."
            parameters.append(("header", Route.Parameter(name: "Idempotency-Key", schema: .text, summary: summary), false))
        }
        if parameters.isEmpty { return }
        json.array("parameters", parameters) { json, item in
            json.object {
                $0.field("name", item.parameter.name)
                $0.field("in", item.place)
                if item.isRequired { $0.field("required", true) }
                $0.field("description", item.parameter.summary)
                $0.key("schema")
                item.parameter.schema.write(to: &$0)
            }
        }
    }

    private static func pathSummary(_ name: String) -> String {
        switch name {
        case "conv": "A conversation's id, or `@name` for the direct conversation with that person."
        case "user": "A user's id or `@name`."
        case "mid": "A message's id."
        case "client": "An MQTT client id, percent-encoded; a slash in it as `%2F`."
        default: "An id."
        }
    }

    private static func writeAnswer(_ route: Route, _ status: HTTPResponse.Status, to json: inout JSONWriter) {
        json.field("description", status.reasonPhrase)
        guard let answer = route.answer, status != .noContent else { return }
        json.object("content") { Self.write(route.answerType, answer, to: &$0) }
    }

    private static func write(_ type: String, _ schema: Schema, to json: inout JSONWriter) {
        json.key(named: type)
        json.object {
            $0.key("schema")
            schema.write(to: &$0)
        }
    }
}
