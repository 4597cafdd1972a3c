import ChatCodec
import NIOCore

/// The AsyncAPI 3 document of the WebSocket and MQTT interfaces. `send` and `receive` are the box's, as AsyncAPI has it.
struct AsyncAPIDocument {
    let version: String

    func make() -> ByteBuffer {
        JSONWriter.make { json in
            json.field("asyncapi", "3.0.0")
            json.object("info") {
                $0.field("title", "Skerry")
                $0.field("version", self.version)
                $0.field(
                    "description",
                    "The chat as WebSocket frames (subprotocol skerry.v1.json) and as MQTT topics. A frame is {t, id, d}; its reply repeats id and has d or error."
                )
            }
            json.object("servers", Self.writeServers)
            json.object("channels") { json in
                json.object("chat", Self.writeChat)
                for topic in ChatDescription.topics { Self.writeTopic(topic, to: &json) }
            }
            json.object("operations", Self.writeOperations)
            json.object("components") { json in
                json.object("schemas") { json in
                    for (name, schema) in Schema.named {
                        json.key(named: name)
                        schema.write(to: &json)
                    }
                }
            }
        }
    }

    private static func writeServers(_ json: inout JSONWriter) {
        for (name, scheme) in [("webSocket", "ws"), ("mqtt", "mqtt")] {
            json.key(named: name)
            json.object {
                $0.field("host", "{host}")
                $0.field("protocol", scheme)
                $0.object("variables") { $0.object("host") { $0.field("description", "The box's address and port.") } }
            }
        }
    }

    // MARK: - Channels

    private static func writeChat(_ json: inout JSONWriter) {
        json.field("address", "/v1/ws")
        json.array("servers", ["webSocket"]) { json, name in json.object { $0.field("$ref", "#/servers/\(name)") } }
        json.object("messages") { json in
            for verb in ChatDescription.verbs {
                let request: [Schema.Property] = [.required("t", .choice([verb.name])), .required("id", .integer), .required("d", .object(verb.fields))]
                Self.writeMessage(verb.name, verb.summary, .object(request), to: &json)
                let reply: [Schema.Property] = [.required("id", .integer), .optional("d", verb.answer), .optional("error", .ref("Problem"))]
                Self.writeMessage("\(verb.name)Reply", "The reply to `\(verb.name)`", .object(reply), to: &json)
            }
            for push in ChatDescription.pushes {
                let frame: [Schema.Property] = [.required("t", .choice([push.name])), .required("d", push.body), .optional("cursor")]
                Self.writeMessage("\(push.name)Push", push.summary, .object(frame), to: &json)
            }
        }
    }

    private static func writeTopic(
        _ topic: (name: String, address: String, summary: String, isReceived: Bool, payload: Schema), to json: inout JSONWriter
    ) {
        json.key(named: topic.name)
        json.object { json in
            json.field("address", topic.address)
            json.field("summary", topic.summary)
            json.array("servers", ["mqtt"]) { json, name in json.object { $0.field("$ref", "#/servers/\(name)") } }
            json.object("messages") { Self.writeMessage("message", topic.summary, topic.payload, to: &$0) }
            let names = topic.address.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
            if names.isEmpty { return }
            json.object("parameters") { json in
                for name in names {
                    json.key(named: name)
                    json.object { $0.field("description", Self.parameterSummary(name)) }
                }
            }
        }
    }

    private static func parameterSummary(_ name: String) -> String {
        switch name {
        case "conv": "A conversation's id, or `@name`."
        case "statistic": "One or several levels, such as `uptime` and `load/publish/sent/1min`."
        default: "A user's id or `@name`."
        }
    }

    private static func writeMessage(_ name: String, _ summary: String, _ payload: Schema, to json: inout JSONWriter) {
        json.key(named: name)
        json.object {
            $0.field("summary", summary)
            $0.key("payload")
            payload.write(to: &$0)
        }
    }

    // MARK: - Operations

    private static func writeOperations(_ json: inout JSONWriter) {
        for verb in ChatDescription.verbs {
            Self.writeOperation(verb.name, "receive", "chat", [verb.name], reply: "\(verb.name)Reply", to: &json)
        }
        for push in ChatDescription.pushes { Self.writeOperation("\(push.name)Push", "send", "chat", ["\(push.name)Push"], reply: nil, to: &json) }
        for topic in ChatDescription.topics {
            Self.writeOperation("\(topic.name)OverMQTT", topic.isReceived ? "receive" : "send", topic.name, ["message"], reply: nil, to: &json)
        }
    }

    private static func writeOperation(
        _ name: String, _ action: String, _ channel: String, _ messages: [String], reply: String?, to json: inout JSONWriter
    ) {
        json.key(named: name)
        json.object { json in
            json.field("action", action)
            Self.writeTarget(channel, messages, to: &json)
            if let reply { json.object("reply") { Self.writeTarget(channel, [reply], to: &$0) } }
        }
    }

    private static func writeTarget(_ channel: String, _ messages: [String], to json: inout JSONWriter) {
        json.object("channel") { $0.field("$ref", "#/channels/\(channel)") }
        json.array("messages", messages) { json, name in json.object { $0.field("$ref", "#/channels/\(channel)/messages/\(name)") } }
    }
}
