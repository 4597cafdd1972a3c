import ChatCodec
import NIOCore
import SkerryModel
import SkerryNode

/// The verbs about MQTT clients and retained messages; they need the running box.
extension ControlCommands {
    func mqtt(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        guard let control = self.control else { throw SkerryError(.unavailable, "No box runs on this data directory; start it with `skerry serve`.") }
        let wish = request.mqtt
        switch request.verb {
        case .clientsShow: return try await self.showClient(try Self.asked(wish.client, "client"), control)
        case .clientsKick:
            let (id, removes) = (try Self.asked(wish.client, "client"), wish.removes ?? false)
            try await control.kickMQTT(id, removes: removes, by: .console)
            return ControlReply(
                removes ? "The session of \(PlainText.clean(id)) is gone, and what it was owed." : "\(PlainText.clean(id)) is disconnected; it may come back."
            ) {
                $0.field("client", id)
                $0.field("removed", removes)
            }
        case .retainedList: return try await self.listRetained(wish, control)
        case .retainedShow: return try await self.showRetained(try Self.asked(wish.topic, "topic"), control)
        case .retainedClear:
            let count: Int
            if let filter = wish.filter {
                count = try await control.clearRetained(filter: filter, by: .console)
            } else {
                try await control.clearRetained(topic: try Self.asked(wish.topic, "topic"), by: .console)
                count = 1
            }
            return ControlReply(count == 1 ? "1 retained message is cleared." : "\(count) retained messages are cleared.") { $0.field("cleared", count) }
        default: return try await self.listClients(wish, control)
        }
    }

    private func listClients(_ wish: ControlRequest.MQTTWish, _ control: NodeControl) async throws(SkerryError) -> ControlReply {
        if let topic = wish.topic {
            let page = try await control.mqttSubscribers(of: topic, after: wish.after, limit: try self.limit(wish), by: .console)
            var table = TextTable(["CLIENT", "USER", "STATE", "FILTER", "QOS"])
            for item in page.items { table.add([item.client, Self.dash(item.name), item.isConnected ? "connected" : "away", item.filter, "\(item.qos)"]) }
            return Self.reply(page, table, none: "Nobody is subscribed to this topic.") { $1.write(to: &$0) }
        }
        var presence: ClientQuery.Presence?
        if let state = wish.state {
            presence = ClientQuery.Presence(rawValue: state)
            guard presence != nil else { throw SkerryError(.payloadInvalid, "--state is connected or away.", field: "state") }
        }
        let user = try wish.user.map { (text) throws(SkerryError) in try UserReference(text.hasPrefix("@") ? text : "@\(text)", field: "user") }
        let page = try await control.mqttClients(
            prefix: wish.prefix ?? "", user: user, presence: presence, after: wish.after, limit: try self.limit(wish), by: .console)
        var table = TextTable(["CLIENT", "USER", "STATE", "ADDRESS", "MQTT", "SUBSCRIPTIONS", "QUEUED", "IN FLIGHT", "FROM", "TO"])
        for item in page.items {
            let connection = item.connection
            table.add([
                item.id, Self.dash(item.name), connection == nil ? "away" : "connected", Self.dash(connection?.address ?? ""),
                connection.map { "\($0.version) \($0.transport.rawValue)" } ?? "-", "\(item.subscriptions)", "\(item.queuedMessages)", "\(item.inFlight)",
                "\(item.received)", "\(item.sent)",
            ])
        }
        return Self.reply(page, table, none: "There are no such MQTT clients.") { $1.write(to: &$0) }
    }

    private func showClient(_ id: String, _ control: NodeControl) async throws(SkerryError) -> ControlReply {
        let client = try await control.mqttClient(id, by: .console)
        let page = try await control.mqttSubscriptions(of: id, after: nil, limit: self.node.limits.listPageMax, by: .console)
        var table = TextTable(["client", client.id])
        table.add(["user", Self.dash(client.name)])
        if let connection = client.connection {
            table.add([
                "connected",
                "from \(Self.dash(connection.address)) by \(connection.transport.rawValue), MQTT \(connection.version), since \(Timestamp.text(connection.since))",
            ])
            table.add(["heard", "\(Timestamp.text(connection.heard)), keep-alive \(connection.keepAliveSeconds) s"])
            table.add(["outbox", "\(connection.waitingBytes) bytes"])
        } else {
            table.add(["away", "since \(client.left.map(Timestamp.text) ?? "-")"])
        }
        let expiry = client.expirySeconds.map { "for \($0) s after it leaves" } ?? "for ever"
        table.add(["session", client.isDurable ? "kept \(expiry)" : "ends with the connection"])
        table.add(["queued", "\(client.queuedMessages) messages, \(client.queuedBytes) bytes; \(client.inFlight) in flight"])
        table.add(["messages", "\(client.received) from it, \(client.sent) to it"])
        var text = table.text
        if !page.items.isEmpty {
            var filters = TextTable(["SUBSCRIPTION", "QOS"])
            for item in page.items { filters.add([item.filter, "\(item.qos)"]) }
            text += "\n\n" + filters.text
            if page.next != nil { text += "\n… and more" }
        }
        return ControlReply(text) { json in
            client.write(to: &json)
            json.array("filters", page.items) { json, item in json.object { item.write(to: &$0) } }
        }
    }

    private func listRetained(_ wish: ControlRequest.MQTTWish, _ control: NodeControl) async throws(SkerryError) -> ControlReply {
        let page = try await control.retained(wish.filter ?? "#", after: wish.after, limit: try self.limit(wish), by: .console)
        var table = TextTable(["TOPIC", "BYTES", "QOS", "EXPIRES", "CONTENT TYPE"])
        for item in page.items {
            table.add([item.topic, "\(item.size)", "\(item.qos)", item.expiresIn.map { "in \($0) s" } ?? "-", Self.dash(item.contentType ?? "")])
        }
        return Self.reply(page, table, none: "Nothing is retained there.") { $1.write(to: &$0) }
    }

    private func showRetained(_ topic: String, _ control: NodeControl) async throws(SkerryError) -> ControlReply {
        let message = try await control.retained(topic: topic, by: .console)
        let payload = message.text.map { text in
            let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            return lines.map { PlainText.clean(String(Substring($0))) }.joined(separator: "\n")
        }
        return ControlReply(payload ?? message.base64) { message.write(to: &$0) }
    }

    private func limit(_ wish: ControlRequest.MQTTWish) throws(SkerryError) -> Int {
        let limit = wish.limit ?? self.node.limits.listPageDefault
        guard (1...self.node.limits.listPageMax).contains(limit) else {
            throw SkerryError(.payloadInvalid, "--limit is 1 to \(self.node.limits.listPageMax).", field: "limit")
        }
        return limit
    }

    private static func asked(_ text: String?, _ field: String) throws(SkerryError) -> String {
        guard let text, !text.isEmpty else { throw SkerryError(.payloadInvalid, "Give the \(field).", field: field) }
        return text
    }

    private static func dash(_ text: String) -> String { text.isEmpty ? "-" : text }

    private static func reply<Item>(
        _ page: ListPage<Item>, _ table: TextTable, none: String, _ write: (inout JSONWriter, Item) -> Void
    ) -> ControlReply {
        var text = page.items.isEmpty && page.next == nil ? none : table.text
        if let next = page.next { text += "\n… and perhaps more: --after \(PlainText.quoted(next))" }
        return ControlReply(text) {
            $0.array("items", page.items) { json, item in json.object { write(&$0, item) } }
            $0.field("next", page.next)
        }
    }
}
