package import Account
package import NIOCore
package import SkerryModel

/// Something that every shard hears of, in the order of the commits.
package enum NodeEvent: Sendable {
    case push(ChatPush)
    /// Closes live sessions of a user: all of them, or those of one device.
    case endSessions(UserID, DeviceID?, SessionEnd)
    /// A user has another role.
    case roleChanged(UserID, Role)
    /// The access rules are these from now on.
    case rulesChanged(AccessRules)
    /// News for the MQTT broker's part of each shard.
    case mqtt(BrokerEvent)
    /// Clients are to go to other boxes, as many as the order has targets.
    case move(MoveOrder)
}

/// Why the box ends a session that did nothing wrong on the wire.
package enum SessionEnd: Sendable, Hashable {
    case revoked
    case locked
    case replaced
    case shutdown
    case slow
}

/// A push for the live sessions of some users, encoded once.
package struct ChatPush: Sendable {
    /// The members it may be shown to, as the log says at this point: nobody else ever sees it.
    package var audience: [UserID]
    package var conversation: ConversationID?
    /// The whole WebSocket frame, with the cursor when the push came from the log.
    package var frame: ByteBuffer
    /// The same for the sender's own sessions, which also see the `cid`.
    package var own: (user: UserID, frame: ByteBuffer)?
    /// Ephemeral pushes (typing, presence) are the first to go when a client is slow; they are never stored.
    package var isEphemeral: Bool
    /// Not for this session: it caused the push and knows.
    package var except: SessionID?
    /// Set in a push about somebody's presence: who, for carriers that say it in their own words.
    package var presence: (user: UserID, isOnline: Bool)?

    package init(
        audience: [UserID], conversation: ConversationID?, frame: ByteBuffer, own: (user: UserID, frame: ByteBuffer)? = nil, isEphemeral: Bool = false,
        except: SessionID? = nil
    ) {
        self.audience = audience
        self.conversation = conversation
        self.frame = frame
        self.own = own
        self.isEphemeral = isEphemeral
        self.except = except
    }
}

/// A live connection of a user to this box, unique in this run.
package struct SessionID: Sendable, Hashable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Who asks: the user and device that a token stands for.
package struct Caller: Sendable, Hashable {
    package var user: UserID
    package var name: String
    package var role: Role
    package var device: DeviceID
    package var session: SessionID?

    package init(user: UserID, name: String, role: Role, device: DeviceID, session: SessionID? = nil) {
        self.user = user
        self.name = name
        self.role = role
        self.device = device
        self.session = session
    }
}
