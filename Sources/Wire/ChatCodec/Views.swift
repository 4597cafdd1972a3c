package import SkerryModel

/// A message as a client sees it: content, and what happened to it since.
package struct MessageView: Sendable {
    package var id: MessageID
    package var conversation: ConversationID
    package var order: Order
    package var sender: UserID
    package var cid: String
    package var content: MessageContent
    package var replyTo: MessageID?
    package var edited: Order?
    package var isRecalled: Bool
    package var reactions: [(emoji: String, users: [UserID])]
    /// Another box has it too: it survives the loss of this one.
    package var isReplicated: Bool

    package init(
        id: MessageID, conversation: ConversationID, order: Order, sender: UserID, cid: String, content: MessageContent, replyTo: MessageID?,
        edited: Order? = nil, isRecalled: Bool = false, reactions: [(emoji: String, users: [UserID])] = [], isReplicated: Bool = false
    ) {
        self.id = id
        self.conversation = conversation
        self.order = order
        self.sender = sender
        self.cid = cid
        self.content = content
        self.replyTo = replyTo
        self.edited = edited
        self.isRecalled = isRecalled
        self.reactions = reactions
        self.isReplicated = isReplicated
    }

    /// Writes the fields of `Message` (Chat.md); `cid` only when `viewer` sent it.
    package func write(to json: inout JSONWriter, viewer: UserID?) {
        json.field("conv", self.conversation)
        json.field("mid", self.id)
        json.field("order", self.order)
        json.field("ts", time: self.order.hlc.milliseconds)
        json.field("from", self.sender)
        if viewer == self.sender, !self.cid.isEmpty { json.field("cid", self.cid) }
        json.field("kind", self.content.kind.text)
        if self.isRecalled {
            json.field("recalled", true)
        } else {
            self.writeContent(to: &json)
            if let replyTo = self.replyTo { json.field("replyTo", replyTo) }
            if let edited = self.edited {
                json.object("edited") {
                    $0.field("order", edited)
                    $0.field("ts", time: edited.hlc.milliseconds)
                }
            }
        }
        if self.isReplicated { json.field("replicated", true) }
        if !self.reactions.isEmpty {
            json.array("reactions", self.reactions) { json, reaction in
                json.object {
                    $0.field("emoji", reaction.emoji)
                    $0.array("users", reaction.users) { $0.string($1.description) }
                }
            }
        }
    }

    private func writeContent(to json: inout JSONWriter) {
        switch self.content {
        case .text(let text), .emoji(let text): json.field("text", text)
        case .location(let latitude, let longitude, let label, let accuracy):
            json.field("lat", latitude)
            json.field("lon", longitude)
            json.field("label", label)
            if let accuracy { json.field("accuracy", accuracy) }
        case .custom(let type, let data):
            json.field("type", type)
            json.field("data", data)
        case .media(let media):
            json.object("media") {
                $0.field("hash", Base32.encode(media.hash))
                $0.field("size", String(media.sizeBytes))
                $0.field("type", media.type)
                $0.field("name", media.name)
            }
            json.field("text", media.caption)
        }
    }
}

/// A member as others see one.
package struct MemberView: Sendable {
    package var user: UserID
    package var name: String
    package var display: String
    package var role: MemberRole
    package var received: Order?
    package var read: Order?

    package init(user: UserID, name: String, display: String, role: MemberRole, received: Order?, read: Order?) {
        self.user = user
        self.name = name
        self.display = display
        self.role = role
        self.received = received
        self.read = read
    }
}

/// A conversation as one of its members sees it.
package struct ConversationView: Sendable {
    package var record: ConversationRecord
    package var members: [MemberView]
    package var role: MemberRole
    package var since: Order?
    package var last: MessageView?
    package var unread: Int
    package var order: Order
    package var viewer: UserID

    package init(
        record: ConversationRecord, members: [MemberView], role: MemberRole, since: Order?, last: MessageView?, unread: Int, order: Order, viewer: UserID
    ) {
        self.record = record
        self.members = members
        self.role = role
        self.since = since
        self.last = last
        self.unread = unread
        self.order = order
        self.viewer = viewer
    }

    package func write(to json: inout JSONWriter) {
        json.field("id", self.record.id)
        json.field("type", self.record.form == .direct ? "direct" : "group")
        if self.record.form == .group { json.field("title", self.record.title) }
        json.field("created", time: self.record.createdMilliseconds)
        json.array("members", self.members) { json, member in
            json.object {
                $0.field("user", member.user)
                $0.field("name", member.name)
                $0.field("display", member.display)
                $0.field("role", member.role.text)
                $0.field("read", member.read)
                $0.field("recv", member.received)
            }
        }
        json.field("role", self.role.text)
        json.field("since", self.since)
        if let last = self.last { json.object("last") { last.write(to: &$0, viewer: self.viewer) } }
        json.field("unread", self.unread)
        json.field("order", self.order)
    }
}

extension SkerryError {
    /// The fields of a problem document (RFC 9457), which every carrier shows alike.
    package func write(to json: inout JSONWriter) {
        json.field("type", "about:blank")
        json.field("code", self.code.rawValue)
        json.field("status", self.code.httpStatus)
        json.field("title", self.code.title)
        json.field("detail", self.detail)
        json.field("temporary", self.code.isTemporary)
        if let seconds = self.retryAfterSeconds { json.field("retryAfter", seconds) }
        if let field = self.field {
            json.array("errors", [field]) { json, field in
                json.object {
                    $0.field("field", field)
                    $0.field("detail", self.detail)
                }
            }
        }
    }
}
