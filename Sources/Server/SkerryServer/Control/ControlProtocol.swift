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
    case online
    case status

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
    }
}
