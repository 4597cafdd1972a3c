package import ChatCodec
package import NIOCore
package import SkerryModel
import Replication
import Store
import Synchronization

/// The chat's use cases, the same for WebSocket, REST and MQTT: a checked request in, the JSON of the answer's `d` out.
package final class ChatService: Sendable {
    package typealias Completion = @Sendable (Result<ByteBuffer, SkerryError>) -> Void

    let node: Node
    private let buckets: Mutex<SendBuckets>
    let typing: Mutex<TypingGate>
    let announcing = Mutex(AnnounceQueue())
    let relay = Mutex<(any FleetingRelay)?>(nil)

    package init(node: Node) {
        self.node = node
        self.buckets = Mutex(SendBuckets(limits: node.limits))
        self.typing = Mutex(TypingGate(limits: node.limits))
    }

    /// Answers on `loop`, or where the answer was made when that is nil. What writes is on the disk when `completion` is called.
    package func perform(_ request: ChatRequest, as caller: Caller, loop: (any EventLoop)?, completion: @escaping Completion) {
        switch request {
        case .conversations, .conversation, .history, .presence, .users, .blocks:
            self.read(request, caller, loop, completion)
        case .sync(let since, let limit): self.sync(since, limit, caller, until: nil, loop, completion)
        case .typing(let conversation): self.typing(conversation, caller, loop, completion)
        case .ping:
            let now = self.node.clock.wall()
            Self.finish(.success(JSONWriter.make { $0.field("time", time: now) }), loop, completion)
        case .send, .edit, .recall, .react, .receipt, .createGroup, .createDirect, .update, .invite, .remove, .role, .leave, .block:
            self.write(request, caller, loop, completion)
        }
    }

    /// As `perform`, for async callers.
    package func perform(_ request: ChatRequest, as caller: Caller) async throws(SkerryError) -> ByteBuffer {
        let result: Result<ByteBuffer, SkerryError> = await withCheckedContinuation { continuation in
            self.perform(request, as: caller, loop: nil) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    package typealias Greeting = (isKnown: Bool, live: String)

    /// Whether a client can go on from `cursor`, and where the live stream stands. To be called once the session is in the online registry
    /// and attached to its shard.
    ///
    /// Asked on the writer's side: what was decided while the user was still taken for absent, and so was pushed to nobody, is committed by
    /// then, and `live` includes it. Should the writer take no more, nothing is decided either, and a reader's answer is as good.
    package func greeting(cursor: String?, loop: any EventLoop, completion: @escaping @Sendable (Result<Greeting, SkerryError>) -> Void) {
        let store = self.node.store
        let ask: @Sendable () -> Void = {
            store.read { store in
                try Self.greeting(cursor, store)
            } completion: { result in
                loop.execute { completion(result.mapError(Self.refusal)) }
            }
        }
        let isQueued = self.node.commits.submit(loop: nil, log: { log in try Self.greeting(cursor, log.store) }) { result in
            if case .success(let greeting) = result { loop.execute { completion(.success(greeting)) } } else { ask() }
        }
        if !isQueued { ask() }
    }

    private static func greeting(_ cursor: String?, _ store: any StoreReading) throws -> Greeting {
        let reader = SyncReader(store)
        return (isKnown: try reader.isKnown(cursor), live: try reader.head().token)
    }

    /// Tells the people who share a conversation with `user` that it came or went.
    package func announce(_ user: UserID, isOnline: Bool) {
        let node = self.node
        node.store.read { store in
            try ChatReader(store, online: node.online).contacts(of: user)
        } completion: { result in
            guard case .success(let contacts) = result, !contacts.isEmpty else { return }
            if let push = Self.presence(user, isOnline: isOnline, contacts, node.online) { node.publish([.push(push)]) }
        }
    }

    /// Nil: nobody who is here would see it.
    static func presence(_ user: UserID, isOnline: Bool, _ contacts: Set<UserID>, _ online: OnlineRegistry) -> ChatPush? {
        let audience = contacts.filter { online.isHere($0) }
        if audience.isEmpty { return nil }
        let frame = ChatFrame.push("presence") { ChangeView.presence(user, isOnline: isOnline).write(to: &$0, viewer: nil) }
        var push = ChatPush(audience: Array(audience), conversation: nil, frame: frame, isEphemeral: true)
        push.presence = (user, isOnline)
        return push
    }

    // MARK: Writing

    private func write(_ request: ChatRequest, _ caller: Caller, _ loop: (any EventLoop)?, _ completion: @escaping Completion) {
        let now = self.node.clock.monotonic()
        if let wait = self.buckets.withLock({ $0.take(caller.user, now: now) }) {
            self.node.metrics.add(.sendsLimited)
            let refusal = SkerryError(.rateLimited, "You are writing faster than this box allows.", retryAfterSeconds: wait)
            Self.finish(.failure(refusal), loop, completion)
            return
        }
        let writer = ChatWriter(caller: caller, limits: self.node.limits, clock: self.node.clock)
        let isQueued = self.node.commits.submit(loop: loop, log: { log in try Self.decide(request, writer, &log) }, completion: completion)
        if !isQueued { Self.finish(.failure(CommitQueue.busy), loop, completion) }
    }

    private static func decide(_ request: ChatRequest, _ writer: ChatWriter, _ log: inout LogTransaction) throws -> ByteBuffer {
        switch request {
        case .send(let conversation, let cid, let content, let replyTo): try writer.send(conversation, cid, content, replyTo, &log)
        case .edit(let message, let text): try writer.edit(message, text: text, &log)
        case .recall(let message): try writer.recall(message, &log)
        case .react(let message, let emoji, let isOn): try writer.react(message, emoji: emoji, isOn: isOn, &log)
        case .receipt(let conversation, let received, let read): try writer.receipt(conversation, received: received, read: read, &log)
        case .createGroup(let title, let members, let cid): try writer.createGroup(title: title, members: members, cid: cid, &log)
        case .createDirect(let user): try writer.createDirect(user, &log)
        case .update(let conversation, let title): try writer.update(conversation, title: title, &log)
        case .invite(let conversation, let users): try writer.invite(conversation, users, &log)
        case .remove(let conversation, let user): try writer.remove(conversation, user, &log)
        case .role(let conversation, let user, let role): try writer.assign(conversation, user, role, &log)
        case .leave(let conversation): try writer.leave(conversation, &log)
        case .block(let user, let isOn): try writer.block(user, isOn: isOn, &log)
        case .sync, .conversations, .conversation, .history, .typing, .presence, .users, .blocks, .ping:
            throw SkerryError(.unavailable, "This request does not write.")
        }
    }

    // MARK: Reading

    private func read(_ request: ChatRequest, _ caller: Caller, _ loop: (any EventLoop)?, _ completion: @escaping Completion) {
        let (online, limits, held) = (self.node.online, self.node.limits, self.node.replication.held)
        self.node.store.read { store -> ByteBuffer in
            let reader = ChatReader(store, online: online, held: held)
            switch request {
            case .conversations(let after, let limit): return try reader.conversations(caller.user, after: after, limit: limit)
            case .conversation(let reference): return try reader.conversation(try reader.membership(reference, caller.user))
            case .history(let reference, let before, let after, let limit):
                return try reader.history(try reader.membership(reference, caller.user), before: before, after: after, limit: limit)
            case .presence(let users): return try reader.presence(caller.user, users, limits: limits)
            case .users(let prefix, let after, let limit): return try reader.users(prefix: prefix, after: after, limit: limit)
            case .blocks: return try reader.blocks(caller.user)
            case .send, .edit, .recall, .react, .receipt, .typing, .createGroup, .createDirect, .update, .invite, .remove, .role, .leave, .block, .ping,
                .sync:
                throw SkerryError(.unavailable, "This request does not read.")
            }
        } completion: { result in
            Self.finish(result.mapError(Self.refusal), loop, completion)
        }
    }

    /// A box that lags behind the cursor waits for what is on its way, as long as a person would, and then answers what it has.
    private func sync(
        _ since: String?, _ limit: Int, _ caller: Caller, until deadline: UInt64?, _ loop: (any EventLoop)?, _ completion: @escaping Completion
    ) {
        let (replication, clock) = (self.node.replication, self.node.clock)
        let progress = replication.progress
        self.node.store.read { store in
            try SyncReader(store, held: replication.held).page(caller.user, since: since, limit: limit)
        } completion: { result in
            if case .success(let page) = result, page.lag != .none {
                let now = clock.monotonic()
                let end = deadline ?? now + ReplicaFeed.waitMilliseconds
                if now < end, replication.isWorthWaiting(for: page.lag, now: now) {
                    let isWaiting = replication.wait(since: progress, milliseconds: end - now, on: self.node.shards[0].loop) { isOver in
                        self.sync(since, limit, caller, until: isOver ? 0 : end, loop, completion)
                    }
                    if isWaiting { return }
                }
                if deadline != nil { replication.didNotCome(page.lag, now: now) }
            }
            Self.finish(result.map(\.answer).mapError(Self.refusal), loop, completion)
        }
    }

    private func typing(_ reference: ConversationReference, _ caller: Caller, _ loop: (any EventLoop)?, _ completion: @escaping Completion) {
        let node = self.node
        node.store.read { store -> (ConversationID, [UserID]) in
            let reader = ChatReader(store, online: node.online)
            let membership = try reader.membership(reference, caller.user)
            return (membership.conversation, try reader.audience(of: caller.user, in: membership.conversation))
        } completion: { [self] result in
            if case .success(let (conversation, members)) = result,
                self.typing.withLock({ $0.isDue(caller.user, conversation, now: node.clock.monotonic()) })
            {
                self.show(typing: caller.user, in: conversation, to: members)
                self.tell(typing: caller.user, in: conversation, to: members)
            }
            Self.finish(result.map { _ in ChatWriter.empty }.mapError(Self.refusal), loop, completion)
        }
    }

    private static func finish(_ result: Result<ByteBuffer, SkerryError>, _ loop: (any EventLoop)?, _ completion: @escaping Completion) {
        if let loop, !loop.inEventLoop { loop.execute { completion(result) } } else { completion(result) }
    }

    /// What a client hears when the store fails under a read: nothing of the inside.
    package static func refusal(_ error: any Error) -> SkerryError {
        (error as? SkerryError) ?? SkerryError(.unavailable, "The box could not read this; see its log.")
    }
}

/// How fast each user may write: a token bucket a user.
struct SendBuckets {
    private typealias Bucket = (tokens: Double, at: UInt64)

    private var buckets: [UserID: Bucket] = [:]
    private let limits: Limits

    init(limits: Limits) { self.limits = limits }

    /// Nil: go ahead. Else the seconds to wait.
    mutating func take(_ user: UserID, now: UInt64) -> Int? {
        if self.buckets.count >= self.limits.chatLimiterKeysMax, self.buckets[user] == nil { self.forget(now: now) }
        let full = Double(self.limits.sendBurst)
        let perSecond = Double(max(1, self.limits.sendPerSecond))
        var bucket = self.buckets[user] ?? (full, now)
        bucket.tokens = self.tokens(bucket, now: now)
        bucket.at = max(bucket.at, now)
        defer { self.buckets[user] = bucket }
        guard bucket.tokens >= 1 else { return max(1, Int(((1 - bucket.tokens) / perSecond).rounded(.up))) }
        bucket.tokens -= 1
        return nil
    }

    private func tokens(_ bucket: Bucket, now: UInt64) -> Double {
        let passed = now > bucket.at ? Double(now - bucket.at) / 1000 : 0
        return min(Double(self.limits.sendBurst), bucket.tokens + passed * Double(max(1, self.limits.sendPerSecond)))
    }

    /// A full bucket is the same as none.
    private mutating func forget(now: UInt64) {
        let full = Double(self.limits.sendBurst)
        self.buckets = self.buckets.filter { self.tokens($0.value, now: now) < full }
        if self.buckets.count >= self.limits.chatLimiterKeysMax { self.buckets.removeAll() }
    }
}

/// Lets one person's typing in one conversation through every few seconds.
struct TypingGate {
    private struct Key: Hashable {
        var user: UserID
        var conversation: ConversationID
    }

    private var lasts: [Key: UInt64] = [:]
    private let limits: Limits

    init(limits: Limits) { self.limits = limits }

    mutating func isDue(_ user: UserID, _ conversation: ConversationID, now: UInt64) -> Bool {
        let key = Key(user: user, conversation: conversation)
        let pause = UInt64(max(0, self.limits.typingSeconds)) * 1000
        if let last = self.lasts[key], now < last + pause { return false }
        if self.lasts.count >= self.limits.chatLimiterKeysMax {
            self.lasts = self.lasts.filter { now < $0.value + pause }
            if self.lasts.count >= self.limits.chatLimiterKeysMax { self.lasts.removeAll() }
        }
        self.lasts[key] = now
        return true
    }
}
