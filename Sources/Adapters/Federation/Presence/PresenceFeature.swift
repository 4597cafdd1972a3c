package import Replication
package import SkerryModel
package import SkerryNode
import NIOCore
import Synchronization

/// Who is online and who is typing, across boxes (FEDERATION.md §2.2): said as it happens, never stored, and put right by the heartbeat, which carries a
/// hash of everybody who is online at a box.
package final class PresenceFeature: FederationFeature {
    package let channels: Set<LinkChannel> = [.ephemeral]
    package let requests: Set<RequestKind> = [.presence]

    private struct State {
        var links: (any FederationLinks)?
        var isFlushDue = false
        /// What a box has said in this second.
        var spent: [BoxID: Spent] = [:]
        var asking: Set<BoxID> = []
        /// When a box may be asked for everybody again.
        var askAgain: [BoxID: UInt64] = [:]
        /// Rises when a box goes: what was being fetched of it then is not true any more.
        var lives: [BoxID: UInt64] = [:]
    }

    private struct Spent {
        var presence = 0
        var typing = 0
    }

    /// Comings and goings, and typing, of one box in a second; more is dropped, and the next heartbeat tells that something is missing.
    static let presencePerSecond = 8_192
    static let typingPerSecond = 1_000
    /// Milliseconds in which news is gathered.
    private static let gatherMilliseconds: Int64 = 50
    /// Milliseconds between two times that everybody is asked for, of one box; and when they do not fit.
    private static let askMilliseconds: UInt64 = 4_000
    private static let askFullMilliseconds: UInt64 = 60_000

    private let node: Node
    private let chat: ChatService
    private let state = Mutex(State())
    /// Held while news is taken and sent, so that who came first is said first.
    private let sending = Mutex(())

    package init(node: Node, chat: ChatService) {
        self.node = node
        self.chat = chat
    }

    package func start(_ links: any FederationLinks) {
        self.state.withLock { $0.links = links }
        self.node.online.listen { [weak self] in self?.gather() }
        self.chat.attach(self)
    }

    package func stop() {
        self.node.online.listen(nil)
        self.chat.attach(nil)
    }

    package func linkUp(_ box: BoxID) { self.askForEverybody(at: box) }

    package func tick(now monotonic: UInt64) { self.state.withLock { $0.spent = [:] } }

    // MARK: - From here

    private func gather() {
        let isNew = self.state.withLock { state in
            defer { state.isFlushDue = true }
            return !state.isFlushDue
        }
        guard isNew else { return }
        self.node.shards[0].loop.scheduleTask(in: .milliseconds(Self.gatherMilliseconds)) { [weak self] in self?.flush() }
    }

    /// Tells every box with a link what is new. Those without one hear of it when theirs comes up.
    private func flush() {
        let links = self.state.withLock { state in
            state.isFlushDue = false
            return state.links
        }
        self.sending.withLock { _ in
            var (came, left) = self.node.online.takeChanges()
            while !came.isEmpty || !left.isEmpty {
                var news = PresenceNews(came: Array(came.suffix(PresenceNews.countMax)))
                came.removeLast(news.came.count)
                news.left = Array(left.suffix(PresenceNews.countMax - news.came.count))
                left.removeLast(news.left.count)
                links?.send(.ephemeral, news.payload, to: nil)
            }
        }
    }

    package func answer(_ kind: RequestKind, _ body: [UInt8], from box: BoxID) async -> [UInt8]? {
        guard kind == .presence else { return nil }
        let after: UserID?
        do throws(EntryDecodeError) {
            after = try PresencePage.after(body)
        } catch {
            return nil
        }
        self.flush()
        let users = self.node.online.users(after: after, limit: PresencePage.countMax + 1)
        return PresencePage(users: Array(users.prefix(PresencePage.countMax)), hasMore: users.count > PresencePage.countMax).payload
    }

    // MARK: - From other boxes

    package func received(_ message: LinkMessage, from box: BoxID) {
        guard message.origin == box, let news = try? PresenceNews(decoding: message.payload) else { return self.node.metrics.add(.heartbeatsRefused) }
        let (isHeard, typing) = self.state.withLock { state -> (Bool, Int) in
            var spent = state.spent[box] ?? Spent()
            defer { state.spent[box] = spent }
            spent.presence += news.came.count + news.left.count
            let typing = min(news.typing.count, max(0, Self.typingPerSecond - spent.typing))
            spent.typing += news.typing.count
            return (spent.presence <= Self.presencePerSecond, typing)
        }
        let dropped = news.typing.count - typing + (isHeard ? 0 : news.came.count + news.left.count)
        if dropped > 0 { self.node.metrics.add(.presenceDropped, dropped) }
        if isHeard {
            var changed = self.node.online.departed(news.left, from: box, now: self.node.clock.wall())
            let arrived = self.node.online.arrived(news.came, at: box, limits: self.node.limits)
            if !arrived.areAllNoted { self.node.metrics.add(.presenceFull) }
            changed += arrived.changed
            self.chat.announce(changed: changed)
        }
        for item in news.typing.prefix(typing) { self.chat.heard(typing: item.user, in: item.conversation) }
    }

    /// What the box's heartbeat says of who is online there.
    func heard(_ box: BoxID, hash: UInt64) {
        if self.node.online.hash(at: box) != hash { self.askForEverybody(at: box) }
    }

    /// The box is down or has left: nobody is online there any more.
    func gone(_ box: BoxID) {
        self.state.withLock { state in
            state.lives[box, default: 0] += 1
            state.askAgain[box] = nil
        }
        self.chat.announce(changed: self.node.online.forget(box, now: self.node.clock.wall()))
    }

    /// The box belongs to the federation no more.
    func forget(_ box: BoxID) {
        self.gone(box)
        self.state.withLock { $0.lives[box] = nil }
    }

    private func askForEverybody(at box: BoxID) {
        let now = self.node.clock.monotonic()
        let (links, life) = self.state.withLock { state -> ((any FederationLinks)?, UInt64) in
            guard let links = state.links, state.askAgain[box] ?? 0 <= now, state.asking.insert(box).inserted else { return (nil, 0) }
            state.askAgain[box] = now + Self.askMilliseconds
            return (links, state.lives[box] ?? 0)
        }
        guard let links else { return }
        Task {
            let users = await self.everybody(at: box, links)
            self.know(users, at: box, life)
        }
    }

    private func know(_ users: Set<UserID>?, at box: BoxID, _ life: UInt64) {
        guard let users, self.state.withLock({ ($0.lives[box] ?? 0) == life }) else {
            self.state.withLock { _ = $0.asking.remove(box) }
            return
        }
        let outcome = self.node.online.replace(at: box, with: users, now: self.node.clock.wall(), limits: self.node.limits)
        let now = self.node.clock.monotonic()
        self.state.withLock { state in
            state.asking.remove(box)
            if !outcome.areAllNoted { state.askAgain[box] = now + Self.askFullMilliseconds }
        }
        if !outcome.areAllNoted { self.node.metrics.add(.presenceFull) }
        self.chat.announce(changed: outcome.changed)
    }

    private func everybody(at box: BoxID, _ links: any FederationLinks) async -> Set<UserID>? {
        var users: Set<UserID> = []
        var after: UserID?
        while users.count <= self.node.limits.onlineElsewhereMax {
            guard let body = await links.ask(.presence, PresencePage.request(after: after), of: box), let page = try? PresencePage(decoding: body) else {
                return nil
            }
            users.formUnion(page.users)
            // A page that does not go on would be asked for again and again.
            guard page.hasMore, let last = page.users.last, after.map({ last > $0 }) ?? true else { break }
            after = last
        }
        return users
    }
}

extension PresenceFeature: FleetingRelay {
    package func typing(_ user: UserID, in conversation: ConversationID, at boxes: [BoxID]) {
        guard let links = self.state.withLock(\.links) else { return }
        let payload = PresenceNews(typing: [PresenceNews.Typing(conversation: conversation, user: user)]).payload
        for box in boxes { links.send(.ephemeral, payload, to: box) }
    }
}
