import ChatCodec
package import NIOCore
package import SkerryModel

/// What an administrator's command line says to the running box, over the Unix socket that only the box's own user can open.
///
/// The request is one line, a frame as a chat client writes it: `{"t":"user.add","d":{…}}`. The answer is `ok` or `error`, the JSON of the
/// answer on the second line, and after that what a person reads; then the connection ends.
package enum ControlVerb: String, Sendable, CaseIterable {
    case claim
    case userAdd = "user.add"
    case userList = "user.list"
    case userLock = "user.lock"
    case userUnlock = "user.unlock"
    case userReset = "user.reset"
    case token
    case invite
    case aclAdd = "acl.add"
    case aclList = "acl.list"
    case aclRemove = "acl.remove"
    case aclCheck = "acl.check"
    case online
    case status
    case reload
    case clientsList = "clients.list"
    case clientsShow = "clients.show"
    case clientsKick = "clients.kick"
    case retainedList = "retained.list"
    case retainedShow = "retained.show"
    case retainedClear = "retained.clear"
    case pairInvite = "pair.invite"
    case pairJoin = "pair.join"
    case pairProgress = "pair.progress"
    case pairAnnounce = "pair.announce"
    case pairList = "pair.list"
    case pairApprove = "pair.approve"
    case pairIgnore = "pair.ignore"
    case pairWords = "pair.words"
    case pairRecovery = "pair.recovery"
    case pairRestore = "pair.restore"
    case boxesRemove = "boxes.remove"
    case boxesList = "boxes.list"
    case drain

    static let requestBytesMax = 16 * 1024
    static let connectionsMax = 16
}

package struct ControlReply: Sendable {
    package var isOK: Bool
    package var json: ByteBuffer
    package var text: String

    init(_ text: String, _ body: (inout JSONWriter) -> Void = { _ in }) {
        self.isOK = true
        self.json = JSONWriter.make(body)
        self.text = text
    }

    package init(_ error: SkerryError) {
        self.isOK = false
        self.json = JSONWriter.make { error.write(to: &$0) }
        self.text = error.detail
    }

    var bytes: ByteBuffer {
        var buffer = ByteBuffer(string: self.isOK ? "ok\n" : "error\n")
        buffer.writeImmutableBuffer(self.json)
        buffer.writeString("\n\(self.text)\n")
        return buffer
    }

    /// Reads what `bytes` wrote; nil when the box went away in between.
    package init?(_ bytes: ByteBuffer) {
        let parts = String(buffer: bytes).split(separator: "\n", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "ok" || parts[0] == "error" else { return nil }
        self.isOK = parts[0] == "ok"
        self.json = ByteBuffer(substring: parts[1])
        self.text = String(parts[2].hasSuffix("\n") ? parts[2].dropLast() : parts[2])
    }
}

/// The request of a verb.
package struct ControlRequest: Sendable {
    package var verb: ControlVerb
    package var name: String?
    package var password: String?
    package var role: String?
    package var device: String?
    package var uses: Int?
    package var hours: Int?
    /// Beside `mqtt`, of an access rule.
    package var access, effect, id: String?
    /// What a list or an act on the MQTT broker is about.
    package var mqtt = MQTTWish()
    /// What an act on the federation is about.
    package var boxes = BoxWish()

    package struct BoxWish: Sendable, Hashable {
        /// A pairing token.
        package var token: String?
        /// A box's id, or its name when only one box has it.
        package var box: String?
        package var reason, passphrase, file: String?
        package var waits, lost, isOn: Bool?

        package init() {}
    }

    package struct MQTTWish: Sendable, Hashable {
        package var client, topic, filter, prefix, user, state, after: String?
        package var limit: Int?
        /// Whether the session goes with the connection.
        package var removes: Bool?

        package init() {}
    }

    package init(_ verb: ControlVerb, mqtt: MQTTWish) {
        self.init(verb)
        self.mqtt = mqtt
    }

    package init(_ verb: ControlVerb, boxes: BoxWish) {
        self.init(verb)
        self.boxes = boxes
    }

    package init(
        _ verb: ControlVerb, name: String? = nil, password: String? = nil, role: String? = nil, device: String? = nil, uses: Int? = nil, hours: Int? = nil
    ) {
        self.verb = verb
        self.name = name
        self.password = password
        self.role = role
        self.device = device
        self.uses = uses
        self.hours = hours
    }

    var line: ByteBuffer {
        var buffer = JSONWriter.make { json in
            json.field("t", self.verb.rawValue)
            json.object("d") {
                $0.field("name", self.name)
                $0.field("password", self.password)
                $0.field("role", self.role)
                $0.field("device", self.device)
                if let uses = self.uses { $0.field("uses", uses) }
                if let hours = self.hours { $0.field("hours", hours) }
                $0.field("access", self.access)
                $0.field("effect", self.effect)
                $0.field("id", self.id)
                self.mqtt.write(to: &$0)
                self.boxes.write(to: &$0)
            }
        }
        buffer.writeStaticString("\n")
        return buffer
    }

    init(_ bytes: ByteBuffer, limits: Limits) throws(SkerryError) {
        let frame = try ChatDecoder.frame(bytes, limits: limits)
        guard let verb = ControlVerb(rawValue: frame.t) else {
            throw SkerryError(.badRequest, "The running box does not know this command; it may be older than the program you started.")
        }
        let fields = frame.d ?? RequestFields()
        self.init(
            verb, name: fields.name, password: fields.password, role: fields.role, device: fields.device, uses: fields.uses, hours: fields.hours)
        (self.access, self.effect, self.id) = (fields.access, fields.effect, fields.id)
        self.mqtt = MQTTWish(fields)
        self.boxes = BoxWish(fields)
    }
}

extension ControlRequest.BoxWish {
    fileprivate init(_ fields: RequestFields) {
        (self.token, self.box, self.reason) = (fields.token, fields.label, fields.reason)
        (self.passphrase, self.file) = (fields.passphrase, fields.file)
        (self.waits, self.lost, self.isOn) = (fields.waits, fields.lost, fields.on)
    }

    fileprivate func write(to json: inout JSONWriter) {
        json.field("token", self.token)
        json.field("label", self.box)
        json.field("reason", self.reason)
        json.field("passphrase", self.passphrase)
        json.field("file", self.file)
        if let waits = self.waits { json.field("waits", waits) }
        if let lost = self.lost { json.field("lost", lost) }
        if let isOn = self.isOn { json.field("on", isOn) }
    }
}

extension ControlRequest.MQTTWish {
    fileprivate init(_ fields: RequestFields) {
        (self.client, self.topic, self.filter, self.prefix) = (fields.client, fields.topic, fields.filter, fields.q)
        (self.user, self.state, self.after, self.limit, self.removes) = (fields.user, fields.type, fields.after, fields.limit, fields.on)
    }

    fileprivate func write(to json: inout JSONWriter) {
        json.field("client", self.client)
        json.field("topic", self.topic)
        json.field("filter", self.filter)
        json.field("q", self.prefix)
        json.field("user", self.user)
        json.field("type", self.state)
        json.field("after", self.after)
        if let limit = self.limit { json.field("limit", limit) }
        if let removes = self.removes { json.field("on", removes) }
    }
}
