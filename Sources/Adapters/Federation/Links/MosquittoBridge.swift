import NIOCore
import NIOPosix
import Replication
import SkerryModel
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The links that this box dials, by libmosquitto, on one thread (FEDERATION.md §6.3): it alone calls the library, waits for all sockets with `poll`
/// (whose descriptors may be over 1024), and tells what happens. May be called from anywhere.
final class MosquittoBridge: Sendable {
    private struct Inbox {
        var wanted: [LinkPeer]?
        var closing: [BoxID: String] = [:]
        var ports: [BoxID: BridgePort] = [:]
        var isStopping = false
    }

    let terms: BridgeTerms
    private let monotonic: @Sendable () -> UInt64
    /// Once a second, on the bridge's thread.
    private let second: @Sendable (UInt64) -> Void
    private let inbox = Mutex(Inbox())
    private let pipe: WakePipe
    private let thread: NIOThreadPool
    private let ended = AsyncEnd()

    init(
        _ terms: BridgeTerms, monotonic: @escaping @Sendable () -> UInt64, second: @escaping @Sendable (UInt64) -> Void
    ) throws(LinkFailure) {
        guard let pipe = WakePipe() else { throw LinkFailure(.dialing, "the process has as many open files as it may") }
        self.terms = terms
        self.monotonic = monotonic
        self.second = second
        self.pipe = pipe
        self.thread = NIOThreadPool(numberOfThreads: 1)
    }

    func start() {
        self.thread.start()
        self.thread.submit { _ in
            BridgeLoop(self).run()
            self.ended.reach()
        }
    }

    /// Dials these from now on and no others.
    func dial(_ peers: [LinkPeer]) {
        let kept = Array(peers.prefix(self.terms.limits.dialledMax))
        self.inbox.withLock { inbox in
            inbox.wanted = kept
            let boxes = Set(kept.map(\.box))
            inbox.ports = inbox.ports.filter { boxes.contains($0.key) }
            for box in boxes where inbox.ports[box] == nil {
                inbox.ports[box] = BridgePort(limits: self.terms.limits) { [weak self] in self?.pipe.ring() }
            }
        }
        self.pipe.ring()
    }

    func send(_ message: LinkMessage, to box: BoxID) { self.inbox.withLock { $0.ports[box] }?.send(message) }

    /// Ends the link that is there now; another attempt follows if it is still wanted.
    func close(_ box: BoxID, reason: String) {
        self.inbox.withLock { inbox in
            if inbox.ports[box] != nil { inbox.closing[box] = reason }
        }
        self.pipe.ring()
    }

    func stop() async {
        self.inbox.withLock { $0.isStopping = true }
        self.pipe.ring()
        await self.ended.reached()
        try? await self.thread.shutdownGracefully()
    }

    // MARK: - The thread's side

    fileprivate struct Orders {
        var wanted: [(peer: LinkPeer, port: BridgePort)]?
        var closing: [BoxID: String]
        var isStopping: Bool
    }

    fileprivate func orders() -> Orders {
        self.inbox.withLock { inbox in
            defer {
                inbox.wanted = nil
                inbox.closing = [:]
            }
            let wanted = inbox.wanted.map { peers in peers.compactMap { peer in inbox.ports[peer.box].map { (peer, $0) } } }
            return Orders(wanted: wanted, closing: inbox.closing, isStopping: inbox.isStopping)
        }
    }

    fileprivate var wakeDescriptor: Int32 { self.pipe.reader }
    fileprivate func hear() { self.pipe.hear() }
    fileprivate func now() -> UInt64 { self.monotonic() }
    fileprivate func secondPassed(_ now: UInt64) { self.second(now) }
}

/// What happens on the bridge's thread, and nothing of it anywhere else.
private final class BridgeLoop {
    private let bridge: MosquittoBridge
    private var links: [BoxID: DialledLink] = [:]
    private var nextSecond: UInt64 = 0

    init(_ bridge: MosquittoBridge) { self.bridge = bridge }

    func run() {
        while true {
            let orders = self.bridge.orders()
            let now = self.bridge.now()
            if orders.isStopping { break }
            self.follow(orders, now)
            for link in self.links.values { link.proceed(now: now) }
            if now >= self.nextSecond {
                self.nextSecond = now + 1_000
                for link in self.links.values { link.secondPassed(now: now) }
                self.bridge.secondPassed(now)
            }
            self.wait()
        }
        let now = self.bridge.now()
        for link in self.links.values {
            // What the box says last: that it leaves.
            link.proceed(now: now)
            link.leave(now: now)
        }
        self.links = [:]
    }

    private func follow(_ orders: MosquittoBridge.Orders, _ now: UInt64) {
        for (box, reason) in orders.closing { self.links[box]?.close(reason, now: now) }
        guard let wanted = orders.wanted else { return }
        let boxes = Set(wanted.map(\.peer.box))
        for (box, link) in self.links where !boxes.contains(box) {
            link.leave(now: now)
            self.links[box] = nil
        }
        for (peer, port) in wanted {
            let link = self.links[peer.box] ?? DialledLink(peer, self.bridge.terms, port: port)
            self.links[peer.box] = link
            link.want(peer, now: now)
        }
    }

    private func wait() {
        let links = Array(self.links.values)
        var polled = [pollfd(fd: self.bridge.wakeDescriptor, events: Int16(POLLIN), revents: 0)]
        var due = self.nextSecond
        var isRestless = false
        for link in links {
            var entry = pollfd(fd: -1, events: 0, revents: 0)
            if let interest = link.interest {
                entry.fd = interest.descriptor
                entry.events = Int16(interest.read ? POLLIN : 0) | Int16(interest.write ? POLLOUT : 0)
            }
            polled.append(entry)
            if let deadline = link.deadline { due = min(due, deadline) }
            if link.isRestless || link.hasMoreToSend { isRestless = true }
        }
        let before = self.bridge.now()
        let milliseconds = isRestless || due <= before ? 0 : min(due - before, 1_000)
        let count = poll(&polled, nfds_t(polled.count), Int32(milliseconds))
        if count > 0, polled[0].revents != 0 { self.bridge.hear() }
        let now = self.bridge.now()
        for (link, entry) in zip(links, polled.dropFirst()) {
            let events = Int32(entry.revents)
            if events == 0, !link.isRestless { continue }
            let isBroken = events & Int32(POLLERR | POLLHUP | POLLNVAL) != 0
            link.socketReady(
                read: events & Int32(POLLIN) != 0 || link.isRestless, write: events & Int32(POLLOUT) != 0, isBroken: isBroken, now: now)
        }
    }
}

/// An end that many may wait for.
final class AsyncEnd: Sendable {
    private let state = Mutex<(isReached: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    func reach() {
        let waiting = self.state.withLock { state in
            defer { state = (true, []) }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func reached() async {
        await withCheckedContinuation { continuation in
            let isReached = self.state.withLock { state in
                if !state.isReached { state.waiting.append(continuation) }
                return state.isReached
            }
            if isReached { continuation.resume() }
        }
    }
}
