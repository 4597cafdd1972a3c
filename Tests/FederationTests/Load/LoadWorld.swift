import NIOCore
import NIOPosix
import Replication
import SkerryModel
import SkerryNode
import Store
import Synchronization
import TestKit
import Testing

@testable import Federation

/// Time of all boxes of a test; it passes when the test says so.
final class LoadClock: Sendable {
    private let time = Mutex<UInt64>(1_000_000)
    var now: UInt64 { self.time.withLock { $0 } }
    func advance(_ milliseconds: UInt64) { self.time.withLock { $0 += milliseconds } }

    /// - Parameter ahead: milliseconds by which the box's clock is wrong.
    func node(ahead: UInt64 = 0) -> NodeClock {
        NodeClock(wall: { 1_700_000_000_000 + self.now + ahead }, monotonic: { self.now }, isSynced: { true })
    }
}

/// Boxes with heartbeats and presence and nothing else, on a network of function calls.
final class LoadWorld: Sendable {
    let clock = LoadClock()
    let boxes: [LoadBox]
    private let cuts = Mutex<Set<Pair>>([])

    private struct Pair: Hashable {
        var from: BoxID
        var to: BoxID
    }

    init(_ count: Int, limits: Limits = Limits(), ahead: [UInt64] = []) async throws {
        let clock = self.clock
        self.boxes = (0..<count).map { LoadBox(UInt8($0 + 1), clock: clock, limits: limits, ahead: $0 < ahead.count ? ahead[$0] : 0) }
        let members = Dictionary(uniqueKeysWithValues: self.boxes.map { ($0.id, Self.member($0.id)) })
        for box in self.boxes {
            box.start(LoadLinks(box.id, self))
            box.load.members(members)
        }
        for (index, box) in self.boxes.enumerated() { for other in self.boxes[(index + 1)...] { self.link(box, other) } }
    }

    static func member(_ box: BoxID) -> MemberEntry { MemberEntry(box: box, name: "box \(box)", publicKey: [1], logKey: [2], endpoints: [], version: 1) }

    func box(_ id: BoxID) -> LoadBox? { self.boxes.first { $0.id == id } }

    func isUp(_ from: BoxID, _ to: BoxID) -> Bool { self.cuts.withLock { !$0.contains(Pair(from: from, to: to)) } }

    private func link(_ one: LoadBox, _ other: LoadBox) {
        one.load.linkUp(other.id)
        other.load.linkUp(one.id)
        one.presence.linkUp(other.id)
        other.presence.linkUp(one.id)
    }

    /// Nothing goes either way from now on; `isNoticed`: and both sides know.
    func cut(_ one: Int, _ other: Int, isNoticed: Bool = false) {
        let (one, other) = (self.boxes[one], self.boxes[other])
        self.cuts.withLock {
            $0.insert(Pair(from: one.id, to: other.id))
            $0.insert(Pair(from: other.id, to: one.id))
        }
        guard isNoticed else { return }
        one.load.linkDown(other.id)
        other.load.linkDown(one.id)
    }

    func heal(_ one: Int, _ other: Int) {
        let (one, other) = (self.boxes[one], self.boxes[other])
        self.cuts.withLock {
            $0.remove(Pair(from: one.id, to: other.id))
            $0.remove(Pair(from: other.id, to: one.id))
        }
        self.link(one, other)
    }

    func pass(seconds: Int) {
        for _ in 0..<seconds {
            self.clock.advance(1_000)
            for box in self.boxes {
                box.load.tick(now: self.clock.now)
                box.presence.tick(now: self.clock.now)
            }
        }
    }

    /// Waits until it is so: news is gathered for a moment, and pages are fetched by tasks.
    ///
    /// - Parameter passes: seconds pass meanwhile: heartbeats come until one finds that what is under way has ended.
    func until(_ what: String, passes: Bool = false, _ condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while !condition() {
            guard ContinuousClock.now < deadline else {
                Issue.record("not within 20 s: \(what)")
                return
            }
            if passes { self.pass(seconds: 1) }
            await Task.yield()
        }
    }
}

/// One box.
final class LoadBox: Sendable {
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    let id: BoxID
    let node: Node
    let chat: ChatService
    let load: LoadFeature
    let presence: PresenceFeature
    init(_ number: UInt8, clock: LoadClock, limits: Limits, ahead: UInt64) {
        let id = Sample.box(number)
        self.id = id
        let node = Node(box: id, loops: [Self.group.next()], store: MemoryStore(), limits: limits, clock: clock.node(ahead: ahead), random: .system)
        self.node = node
        self.chat = ChatService(node: node)
        self.presence = PresenceFeature(node: node, chat: self.chat)
        let probe = LoadProbe(
            memoryShare: { 0 }, descriptorShare: { 0 }, isDiskLow: { false }, processorSeconds: { 0 }, processors: 1, memoryBytes: 1 << 30)
        let connections = Atomic0()
        self.connections = connections
        let meter = LoadMeter(
            loops: [], probe: probe, connections: { connections.value }, connectionsMax: { 10_000 }, monotonic: { clock.now })
        let told = BoxSelf(
            name: "box", meter: meter, endpoints: { [BoxEndpoint(kind: "http", address: "10.0.0.\(number)", port: 8_080)] }, clock: { .ntp })
        let facts = Facts()
        self.facts = facts
        self.load = LoadFeature(
            node: node,
            own: LoadFeature.Own(
                start: { facts.value.start }, version: "1.\(number)", box: told, behind: { facts.value.behind }, quarantine: { facts.value.quarantine }),
            presence: self.presence)
    }

    /// Figures that the box is to tell.
    struct Told {
        var start = StartMark(counter: 1, nonce: 1)
        var behind: UInt64 = 0
        var quarantine: QuarantineReason?
    }

    final class Facts: Sendable {
        private let told = Mutex(Told())
        var value: Told {
            get { self.told.withLock { $0 } }
            set { self.told.withLock { $0 = newValue } }
        }
    }

    final class Atomic0: Sendable {
        private let number = Atomic(0)
        var value: Int {
            get { self.number.load(ordering: .relaxed) }
            set { self.number.store(newValue, ordering: .relaxed) }
        }
    }

    let facts: Facts
    let connections: Atomic0

    func start(_ links: any FederationLinks) {
        self.load.start(links)
        self.presence.start(links)
    }

    /// Somebody connects; ended by `leave`.
    @discardableResult
    func enter(_ user: UserID) -> OnlineSession {
        let session = OnlineSession(
            id: self.node.online.nextSession(), user: user, name: "n", device: Sample.device(1), kind: .ws, address: "", client: nil, sinceMilliseconds: 0)
        _ = self.node.online.enter(session, limits: self.node.limits)
        return session
    }

    func leave(_ session: OnlineSession) { _ = self.node.online.leave(session.id, user: session.user, now: 1) }

    func liveness(of box: LoadBox) -> BoxLiveness? { self.load.statuses[box.id]?.liveness.state }

    func overview(of box: LoadBox) -> BoxOverview {
        var overview = BoxOverview(box: box.id, name: "", isSelf: box.id == self.id)
        self.load.fill(&overview)
        return overview
    }

    func receive(_ message: LinkMessage, from box: BoxID) {
        if self.load.channels.contains(message.channel) { self.load.received(message, from: box) }
        if self.presence.channels.contains(message.channel) { self.presence.received(message, from: box) }
    }
}

/// Calls instead of links.
private final class LoadLinks: FederationLinks {
    let box: BoxID
    private let world: Reference

    private final class Reference: Sendable {
        let world: Mutex<Weak>
        struct Weak { weak var world: LoadWorld? }
        init(_ world: LoadWorld) { self.world = Mutex(Weak(world: world)) }
        var value: LoadWorld? { self.world.withLock { $0.world } }
    }

    init(_ box: BoxID, _ world: LoadWorld) {
        self.box = box
        self.world = Reference(world)
    }

    var peers: [BoxID] {
        guard let world = self.world.value else { return [] }
        return world.boxes.map(\.id).filter { $0 != self.box && world.isUp(self.box, $0) }
    }

    func send(_ channel: LinkChannel, _ payload: [UInt8], to box: BoxID?) {
        guard let world = self.world.value else { return }
        for peer in box.map({ [$0] }) ?? self.peers where world.isUp(self.box, peer) {
            world.box(peer)?.receive(LinkMessage(origin: self.box, channel: channel, payload: payload), from: self.box)
        }
    }

    func ask(_ kind: RequestKind, _ body: [UInt8], of box: BoxID) async -> [UInt8]? {
        guard let world = self.world.value, world.isUp(self.box, box) else { return nil }
        return await world.box(box)?.presence.answer(kind, body, from: self.box)
    }
}
