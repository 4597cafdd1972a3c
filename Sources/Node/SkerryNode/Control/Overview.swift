package import ChatCodec
package import SkerryModel

/// What an administrator sees of a box at a glance: values of one moment, not windows into the shards.
package struct Overview: Sendable {
    package var box: BoxID
    package var version: String
    package var uptimeSeconds: Int
    package var startedMilliseconds: UInt64
    package var users: Int
    /// On this box, and on all boxes together.
    package var online: Int
    package var onlineEverywhere: Int
    package var webSockets: Int
    package var mqttSessions: Int
    package var messages: Int
    package var listeners: [ListenerRecord]
    package var storeBytes: Int
    package var residentBytes: Int?
    package var disk: (freeBytes: Int, totalBytes: Int)?
    package var clockIsSynced: Bool?
    package var isClaimed: Bool

    /// The fields of `GET /v1/admin/overview` (Chat.md). What the system does not say is left out.
    package func write(to json: inout JSONWriter) {
        json.field("box", self.box.description)
        json.field("version", self.version)
        json.field("uptimeSeconds", self.uptimeSeconds)
        json.field("started", time: self.startedMilliseconds)
        json.field("users", self.users)
        json.field("online", self.online)
        json.field("onlineEverywhere", self.onlineEverywhere)
        json.object("sessions") {
            $0.field("ws", self.webSockets)
            $0.field("mqtt", self.mqttSessions)
        }
        json.field("messages", self.messages)
        json.array("listeners", self.listeners) { json, listener in json.object { listener.write(to: &$0) } }
        json.object("store") { $0.field("bytes", self.storeBytes) }
        json.object("memory") { if let bytes = self.residentBytes { $0.field("residentBytes", bytes) } }
        json.object("disk") {
            guard let disk = self.disk else { return }
            $0.field("freeBytes", disk.freeBytes)
            $0.field("totalBytes", disk.totalBytes)
        }
        json.object("clock") { if let isSynced = self.clockIsSynced { $0.field("synced", isSynced) } }
        json.field("claimed", self.isClaimed)
    }
}

extension ListenerRecord {
    package func write(to json: inout JSONWriter) {
        json.field("kind", self.kind.rawValue)
        json.field("name", self.name)
        json.field("address", self.address)
        json.field("port", self.port)
        json.field("tls", self.isTLS)
    }
}

extension OnlineSession {
    /// One item of `GET /v1/admin/online`.
    package func write(to json: inout JSONWriter) {
        json.field("user", self.user)
        json.field("name", self.name)
        json.field("device", self.device)
        json.field("kind", self.kind.rawValue)
        json.field("address", self.address)
        json.field("since", time: self.sinceMilliseconds)
        json.field("client", self.client)
    }
}
