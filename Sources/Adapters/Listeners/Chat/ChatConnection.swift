package import Account
package import NIOCore
package import SkerryNode
import ChatCodec
import SkerryModel

/// One chat connection: text frames in, requests to the `ChatService`; replies and pushes out (PRODUCT.md §4, Chat.md).
///
/// Lives on its loop and enters the loop's shard directly. It holds no task, no timer and, while idle, no buffer.
package final class ChatConnection: WebSocketApplication, ChatOutlet {
    private enum Phase {
        /// Open, and `hello` is awaited until the deadline.
        case waiting(deadline: NIODeadline)
        /// `hello` came; its token is being looked up, or the session is attached and the live cursor is being read. Requests wait.
        case greeting
        case live
        case ended
    }

    private let listener: ChatListener
    private let address: AddressKey
    private let addressText: String
    private var client: String?
    private var phase: Phase
    private var connection: WebSocketConnection?
    /// Set while attached to the shard and present in the online registry.
    private var caller: Caller?
    private var queue = RequestQueue()
    private var badFrames = 0
    /// Bytes pushed since everything that waited was last taken. Answers do not count: who asked for large pages is not slow because of them.
    private var pushedBytes = 0
    private var hasPinged = false
    private var isPumping = false
    /// Until when it may stay whatever the load: it came a moment ago, or was sent here by another box.
    private var settledUntil = SettledUntil()

    package init(listener: ChatListener, address: AddressKey, addressText: String, client: String?) {
        self.listener = listener
        self.address = address
        self.addressText = addressText
        self.client = client
        self.phase = .ended
    }

    private var node: Node { self.listener.node }
    private var limits: Limits { self.listener.node.limits }

    // MARK: - WebSocketApplication

    package func opened(_ connection: WebSocketConnection) {
        self.connection = connection
        self.phase = .waiting(deadline: connection.loop.now + .seconds(Int64(self.limits.helloSecondsMax)))
    }

    package func received(_ message: WebSocketMessage, on connection: WebSocketConnection) {
        self.hasPinged = false
        guard let frame = self.decode(message) else { return }
        self.badFrames = 0
        switch self.phase {
        case .waiting: self.hello(frame)
        case .greeting, .live: self.request(frame)
        case .ended: break
        }
    }

    package func drained(_ connection: WebSocketConnection) {
        self.pushedBytes = 0
        self.pump()
    }

    package func secondPassed(_ now: NIODeadline, on connection: WebSocketConnection) {
        switch self.phase {
        case .waiting(let deadline):
            if now >= deadline { self.end(.noHello, "no hello") }
        case .greeting, .live:
            let silence = now - connection.lastHeard
            let heartbeat = TimeAmount.seconds(Int64(self.limits.heartbeatSeconds))
            if silence * 2 >= heartbeat * 5 {
                self.end(.idle, "idle")
            } else if silence * 2 >= heartbeat * 3, !self.hasPinged {
                // Timers of a page in the background are slowed down by the browser, messages are not: this wakes it in time.
                self.hasPinged = true
                self.send(ChatFrame.push("ping") { _ in })
            }
        case .ended: break
        }
    }

    package func shouldQuiesce(_ connection: WebSocketConnection) { self.end(.shutdown) }

    package func closed(_ connection: WebSocketConnection) {
        self.phase = .ended
        self.connection = nil
        self.queue = RequestQueue()
        guard let caller = self.caller, let session = caller.session else { return }
        self.caller = nil
        self.node.shard(on: connection.loop).assumeIsolated { $0.chat.detach(session, user: caller.user) }
        let wasLast = self.node.online.leave(session, user: caller.user, now: self.node.clock.wall())
        if wasLast { self.listener.chat.announce(caller.user, isOnline: false) }
    }

    // MARK: - ChatOutlet

    /// Called inside the shard: only gathers, the connection acts when the tick ends.
    package func push(_ frame: ByteBuffer, isEphemeral: Bool) {
        guard let connection = self.connection, connection.isOpen else { return }
        let waiting = connection.waitingBytes
        if isEphemeral, waiting + frame.readableBytes > self.limits.outboxEphemeralBytesMax {
            self.node.metrics.add(.ephemeralDropped)
        } else if waiting > self.limits.outboxBytesMax, self.pushedBytes > self.limits.outboxBytesMax {
            self.end(.slow)
        } else {
            self.pushedBytes += frame.readableBytes
            self.send(frame)
        }
    }

    package func end(_ reason: SessionEnd) {
        guard let connection = self.connection, connection.isOpen else { return }
        if reason == .slow {
            self.node.metrics.add(.slowConsumers)
            // What waits would only keep the reason from the client, who will fetch it all by its cursor.
            connection.dropWaiting()
        }
        self.end(WebSocketCloseCode(reason), reason.closeReason)
    }

    /// The client hears where to go, then the connection closes; what it has not been answered it asks there again.
    package func move(_ order: MoveOrder) {
        guard case .live = self.phase, let connection = self.connection, connection.isOpen, let caller = self.caller else { return }
        let now = self.node.clock.monotonic()
        guard !self.settledUntil.holds(at: now, isDrain: order.isDrain), !self.node.moving.isBack(caller.device, isDrain: order.isDrain, now: now),
            let target = order.take()
        else { return }
        self.node.moving.moved(caller.device, now: now)
        self.node.metrics.add(.clientsMoved)
        self.send(ChatFrame.push("moved") { target.write(to: &$0) })
        self.end(.serviceRestart, "moved to another box")
    }

    // MARK: - Frames

    private func send(_ frame: ByteBuffer) { self.connection?.send(WebSocketMessage(isText: true, payload: frame)) }

    private func end(_ code: WebSocketCloseCode, _ reason: String) {
        self.phase = .ended
        self.connection?.close(code, reason: reason)
    }

    private func decode(_ message: WebSocketMessage) -> RequestFrame? {
        if case .ended = self.phase { return nil }
        do throws(SkerryError) {
            guard message.isText else { throw SkerryError(.badRequest, "A request is a text frame.") }
            return try ChatDecoder.frame(message.payload, limits: self.limits)
        } catch {
            let identity = message.isText ? ChatDecoder.identity(message.payload, limits: self.limits) : nil
            self.send(ChatFrame.error(id: identity?.id, error))
            self.badFrames = identity == nil ? self.badFrames + 1 : 0
            if self.badFrames >= self.limits.badFramesMax { self.end(.badRequests, "too many bad frames") }
            return nil
        }
    }

    // MARK: - Hello

    private func hello(_ frame: RequestFrame) {
        guard frame.t == "hello", let token = frame.d?.token, let loop = self.connection?.loop else {
            return self.refuseHello(frame.id, SkerryError(.unauthenticated, "The first frame is hello with a token."))
        }
        self.phase = .greeting
        self.connection?.allow(messageBytesMax: self.limits.frameBytesMax)
        if let device = frame.d?.device { self.client = String(decoding: device.utf8.prefix(self.limits.deviceNameBytesMax), as: UTF8.self) }
        self.settledUntil = SettledUntil(hop: frame.d?.hop, wall: self.node.clock.wall(), now: self.node.clock.monotonic())
        let (bound, id, cursor) = (NIOLoopBound(self, eventLoop: loop), frame.id, frame.d?.cursor)
        self.listener.accounts.authenticate(token: token, address: self.address, loop: loop) { bound.value.authenticated($0, id, cursor: cursor) }
    }

    private func refuseHello(_ id: Int?, _ error: SkerryError) {
        self.send(ChatFrame.error(id: id, error))
        self.end(WebSocketCloseCode(refusedHello: error), error.code.rawValue)
    }

    /// Attaches the session before it gives the loop back, so that from here on nothing is missed: neither a push nor the end of the token.
    private func authenticated(_ result: Result<Caller, SkerryError>, _ id: Int?, cursor: String?) {
        guard case .greeting = self.phase, let connection = self.connection else { return }
        switch result {
        case .failure(let error): self.refuseHello(id, error)
        case .success(var caller):
            let session = self.node.online.nextSession()
            caller.session = session
            let entry = OnlineSession(
                id: session, user: caller.user, name: caller.name, device: caller.device, kind: .ws, address: self.addressText, client: self.client,
                sinceMilliseconds: self.node.clock.wall())
            guard let isFirst = self.node.online.enter(entry, limits: self.limits) else {
                return self.refuseHello(id, SkerryError(.quotaExceeded, "This account has \(self.limits.sessionsPerUserMax) connections already."))
            }
            self.caller = caller
            let (attached, loop) = (caller, connection.loop)
            let outlet = NIOLoopBound<any ChatOutlet>(self, eventLoop: loop)
            self.node.shard(on: loop).assumeIsolated { $0.chat.attach(session, attached, outlet) }
            if isFirst { self.listener.chat.announce(caller.user, isOnline: true) }
            let bound = NIOLoopBound(self, eventLoop: loop)
            self.listener.chat.greeting(cursor: cursor, loop: loop) { bound.value.greet($0, id) }
        }
    }

    private func greet(_ result: Result<ChatService.Greeting, SkerryError>, _ id: Int?) {
        guard case .greeting = self.phase, let caller = self.caller else { return }
        switch result {
        case .failure(let error): self.refuseHello(id, error)
        case .success(let greeting):
            self.phase = .live
            self.send(ChatFrame.reply(id: id, self.greeting(caller, greeting)))
            self.pump()
        }
    }

    private func greeting(_ caller: Caller, _ greeting: ChatService.Greeting) -> ByteBuffer {
        let (node, limits) = (self.node, self.limits)
        return JSONWriter.make {
            $0.field("user", caller.user)
            $0.field("name", caller.name)
            $0.field("role", caller.role.text)
            $0.field("box", node.box.description)
            $0.field("device", caller.device)
            $0.field("heartbeat", limits.heartbeatSeconds)
            $0.field("maxFrame", limits.frameBytesMax)
            $0.field("time", time: node.clock.wall())
            $0.field("live", greeting.live)
            $0.field("sync", greeting.isKnown ? "ok" : "reset")
            $0.array("features", ["edit", "recall", "react", "receipt", "typing", "presence", "groups", "block"]) { $0.string($1) }
            $0.object("limits") {
                $0.field("text", limits.textBytesMax)
                $0.field("emoji", limits.emojiBytesMax)
                $0.field("title", limits.titleBytesMax)
                $0.field("members", limits.groupMembersMax)
                $0.field("inFlight", limits.requestsInFlightMax)
            }
        }
    }

    // MARK: - Requests

    private func request(_ frame: RequestFrame) {
        do throws(SkerryError) {
            guard let verb = ChatVerb(rawValue: frame.t) else {
                throw SkerryError(.badRequest, frame.t == "hello" ? "hello was said already." : "There is no such verb.", field: "t")
            }
            self.queue.append(frame.id, try verb.request(frame.d ?? RequestFields(), limits: self.limits))
            self.pump()
        } catch {
            self.send(ChatFrame.error(id: frame.id, error))
        }
    }

    /// Starts what may start, in order, and reads on from the client only when nothing waits.
    private func pump() {
        // An answer that is there at once would come back in here: the loop below takes care of the next one.
        guard let connection = self.connection, !self.isPumping else { return }
        self.isPumping = true
        defer { self.isPumping = false }
        if case .live = self.phase, let caller = self.caller {
            // What a client has not taken yet is not added to.
            while connection.waitingBytes <= self.limits.outboxBytesMax, let (id, request) = self.queue.start(limits: self.limits) {
                let (bound, isPage) = (NIOLoopBound(self, eventLoop: connection.loop), request.readsPages)
                self.listener.chat.perform(request, as: caller, loop: connection.loop) { bound.value.finished($0, id, isPage: isPage) }
            }
        }
        connection.holdReading(!self.queue.isEmpty)
    }

    private func finished(_ result: Result<ByteBuffer, SkerryError>, _ id: Int?, isPage: Bool) {
        self.queue.finish(isPage: isPage)
        switch result {
        case .success(let body): self.send(ChatFrame.reply(id: id, body))
        case .failure(let error): self.send(ChatFrame.error(id: id, error))
        }
        if !self.queue.isEmpty { self.pump() }
    }
}

@available(*, unavailable)
extension ChatConnection: Sendable {}
