package import NIOCore
package import SkerryModel

/// Where a chat session's pushes go. Called on the session's loop.
package protocol ChatOutlet: AnyObject {
    /// Sends a frame; the outlet bounds what waits and ends itself as a slow consumer.
    func push(_ frame: ByteBuffer, isEphemeral: Bool)
    func end(_ reason: SessionEnd)
    /// Takes a target and sends its client there, if the client may be sent on now.
    func move(_ order: MoveOrder)
}

extension ChatOutlet {
    package func move(_ order: MoveOrder) {}
}

/// The live chat sessions of one loop, by user. Plain state: a test or simulation drives it without a socket.
package struct ChatSessions {
    struct Attached {
        var id: SessionID
        var device: DeviceID
        var outlet: NIOLoopBound<any ChatOutlet>
    }

    private var byUser: [UserID: [Attached]] = [:]
    package private(set) var count = 0

    package mutating func attach(_ id: SessionID, _ caller: Caller, _ outlet: NIOLoopBound<any ChatOutlet>) {
        self.byUser[caller.user, default: []].append(Attached(id: id, device: caller.device, outlet: outlet))
        self.count += 1
    }

    package mutating func detach(_ id: SessionID, user: UserID) {
        guard var sessions = self.byUser[user], let index = sessions.firstIndex(where: { $0.id == id }) else { return }
        sessions.remove(at: index)
        self.byUser[user] = sessions.isEmpty ? nil : sessions
        self.count -= 1
    }

    /// Gives the push to the sessions of its audience here, and to no other.
    package func deliver(_ push: ChatPush) {
        if self.byUser.isEmpty { return }
        for user in push.audience {
            guard let sessions = self.byUser[user] else { continue }
            let frame: ByteBuffer
            if let own = push.own, own.user == user { frame = own.frame } else { frame = push.frame }
            for session in sessions where session.id != push.except { session.outlet.value.push(frame, isEphemeral: push.isEphemeral) }
        }
    }

    package func end(_ user: UserID, _ device: DeviceID?, _ reason: SessionEnd) {
        for session in self.byUser[user] ?? [] where device == nil || session.device == device { session.outlet.value.end(reason) }
    }

    package func move(_ order: MoveOrder) {
        for session in self.byUser.values.joined() {
            if order.isDone { return }
            session.outlet.value.move(order)
        }
    }

    package func endAll(_ reason: SessionEnd) {
        for session in self.byUser.values.joined() { session.outlet.value.end(reason) }
    }
}

/// One shard per event loop: an actor whose executor *is* that loop (ARCHITECTURE.md §5). Its methods never suspend.
///
/// A handler on the same loop enters with `assumeIsolated`, once per read. Everyone else uses `enter` or awaits.
package actor Shard {
    package nonisolated let loop: any EventLoop
    package nonisolated let unownedExecutor: UnownedSerialExecutor
    package nonisolated let index: Int
    package var chat = ChatSessions()
    /// The MQTT sessions whose home this is; nil until the broker starts.
    package var mqtt: BrokerShard?

    package init(loop: any EventLoop, index: Int) {
        self.loop = loop
        self.index = index
        self.unownedExecutor = loop.executor.asUnownedSerialExecutor()
    }

    /// Runs `body` on the shard: at once when already there, else in one hop.
    package nonisolated func enter(_ body: @escaping @Sendable (isolated Shard) -> Void) {
        if self.loop.inEventLoop {
            self.assumeIsolated(body)
        } else {
            self.loop.execute { self.assumeIsolated(body) }
        }
    }

    /// What a commit, or an ephemeral event, means for the sessions here.
    package func deliver(_ events: [NodeEvent]) {
        for event in events {
            switch event {
            case .push(let push):
                self.chat.deliver(push)
                self.mqtt?.deliver(push)
            case .endSessions(let user, let device, let reason):
                self.chat.end(user, device, reason)
                self.mqtt?.endSessions(user, device, reason)
            case .roleChanged(let user, let role): self.mqtt?.roleChanged(user, role)
            case .rulesChanged(let rules): self.mqtt?.rulesChanged(rules)
            case .mqtt(let event): self.mqtt?.hear(event)
            case .move(let order):
                self.chat.move(order)
                self.mqtt?.move(order)
            }
        }
    }
}
