package import NIOCore
package import SkerryModel

/// Frames from the box to a client (Chat.md, Envelope).
package enum ChatFrame {
    package static func reply(id: Int?, _ body: ByteBuffer) -> ByteBuffer {
        JSONWriter.make {
            if let id { $0.field("id", id) }
            $0.raw("d", body)
        }
    }

    package static func error(id: Int?, _ error: SkerryError) -> ByteBuffer {
        JSONWriter.make {
            if let id { $0.field("id", id) }
            $0.object("error") { error.write(to: &$0) }
        }
    }

    package static func push(_ t: String, cursor: String? = nil, _ body: (inout JSONWriter) -> Void) -> ByteBuffer {
        JSONWriter.make {
            $0.field("t", t)
            $0.object("d", body)
            $0.field("cursor", cursor)
        }
    }
}

/// Pushes that tell what changed. `write` gives the `d` of a push or of a sync item; `t` says which push it is.
package enum ChangeView: Sendable {
    case message(MessageView)
    case edit(MessageChange, text: String, Order)
    case recall(MessageChange, Order)
    case reaction(MessageChange, emoji: String, isOn: Bool, Order)
    case receipt(ConversationID, UserID, received: Order?, read: Order?)
    case conversation(ConversationView)
    case left(ConversationID)
    case typing(ConversationID, UserID)
    case presence(UserID, isOnline: Bool)

    package var t: String {
        switch self {
        case .message: "msg"
        case .edit, .recall, .reaction, .conversation, .left: "change"
        case .receipt: "receipt"
        case .typing: "typing"
        case .presence: "presence"
        }
    }

    package func write(to json: inout JSONWriter, viewer: UserID?) {
        switch self {
        case .message(let message): message.write(to: &json, viewer: viewer)
        case .edit(let change, let text, let order):
            Self.write("edit", change, order, to: &json)
            json.field("text", text)
        case .recall(let change, let order): Self.write("recall", change, order, to: &json)
        case .reaction(let change, let emoji, let isOn, let order):
            Self.write("react", change, order, to: &json)
            json.field("emoji", emoji)
            json.field("on", isOn)
        case .receipt(let conversation, let user, let received, let read):
            json.field("conv", conversation)
            json.field("user", user)
            json.field("recv", received)
            json.field("read", read)
        case .conversation(let view):
            json.field("kind", "conversation")
            json.object("conversation") { view.write(to: &$0) }
        case .left(let conversation):
            json.field("kind", "left")
            json.field("conv", conversation)
        case .typing(let conversation, let user):
            json.field("conv", conversation)
            json.field("user", user)
        case .presence(let user, let isOnline):
            json.field("user", user)
            json.field("online", isOnline)
        }
    }

    private static func write(_ kind: String, _ change: MessageChange, _ order: Order, to json: inout JSONWriter) {
        json.field("kind", kind)
        json.field("conv", change.conversation)
        json.field("mid", change.target)
        json.field("by", change.by)
        json.field("order", order)
        json.field("ts", time: order.hlc.milliseconds)
    }
}
