import NIOCore
import Replication
import SkerryModel
import SkerryNode
import Synchronization
import TestKit
import Testing

@testable import Federation

/// Boxes that hear each other's heartbeats.
@Suite("Load feature", .timeLimit(.minutes(2)))
struct LoadFeatureTests {
    @Test("boxes that hear each other are alive, with their endpoints, version, load and the difference of their clocks")
    func alive() async throws {
        let world = try await LoadWorld(3, ahead: [0, 4_000])
        let (one, two) = (world.boxes[0], world.boxes[1])
        two.connections.value = 77
        world.pass(seconds: 6)
        for box in world.boxes { for other in world.boxes where other.id != box.id { #expect(box.liveness(of: other) == .alive) } }
        let seen = one.overview(of: two)
        #expect(seen.version == "1.2" && seen.clock == "ntp" && seen.load?.connections == 77)
        #expect(seen.endpoints == [BoxEndpoint(kind: "http", address: "10.0.0.2", port: 8_080)])
        #expect(seen.clockOffsetMilliseconds == 4_000)
        #expect(two.overview(of: one).clockOffsetMilliseconds == -4_000)
        #expect(one.overview(of: one).version == "1.1" && one.overview(of: one).liveness == .alive)
    }

    @Test("a box that falls silent is suspect after 15 s and down after 30 s, and nothing of what it said counts any more")
    func down() async throws {
        let world = try await LoadWorld(2)
        let (one, two) = (world.boxes[0], world.boxes[1])
        // A heartbeat has just come.
        world.pass(seconds: 6)
        world.cut(0, 1)
        world.pass(seconds: 14)
        #expect(one.liveness(of: two) == .alive)
        world.pass(seconds: 1)
        #expect(one.liveness(of: two) == .suspect)
        #expect(one.overview(of: two).endpoints.count == 1)
        world.pass(seconds: 15)
        #expect(one.liveness(of: two) == .down)
        let seen = one.overview(of: two)
        #expect(seen.endpoints.isEmpty && seen.load == nil && seen.onlineUsers == 0)
        #expect(seen.lastSeenMilliseconds != nil && seen.version == "1.2")
        world.heal(0, 1)
        #expect(one.liveness(of: two) == .alive)
    }

    @Test("a box that a third one hears is unreachable, not down")
    func unreachable() async throws {
        let world = try await LoadWorld(3)
        world.pass(seconds: 5)
        world.cut(0, 1, isNoticed: true)
        #expect(world.boxes[0].liveness(of: world.boxes[1]) == .suspect)
        world.pass(seconds: 40)
        #expect(world.boxes[0].liveness(of: world.boxes[1]) == .unreachable)
        #expect(world.boxes[2].liveness(of: world.boxes[1]) == .alive)
        world.cut(1, 2)
        world.pass(seconds: 31)
        #expect(world.boxes[2].liveness(of: world.boxes[1]) == .down)
        world.pass(seconds: 30)
        #expect(world.boxes[0].liveness(of: world.boxes[1]) == .down)
    }

    @Test("a box that says it stops is leaving at once")
    func leaving() async throws {
        let world = try await LoadWorld(2)
        world.boxes[1].load.stop()
        #expect(world.boxes[0].liveness(of: world.boxes[1]) == .leaving)
        world.cut(0, 1, isNoticed: true)
        #expect(world.boxes[0].liveness(of: world.boxes[1]) == .down)
    }

    @Test("what is in another's name, broken, repeated or of an earlier run changes nothing, and is counted when it cannot be read")
    func badInput() async throws {
        let world = try await LoadWorld(2)
        let (one, two) = (world.boxes[0], world.boxes[1])
        world.pass(seconds: 6)
        let before = one.overview(of: two).lastSeenMilliseconds
        let good = two.load.heartbeat()
        world.pass(seconds: 1)
        one.receive(LinkMessage(origin: Sample.box(9), channel: .heartbeat, payload: good.payload), from: two.id)
        one.receive(LinkMessage(origin: two.id, channel: .heartbeat, payload: [0xFF]), from: two.id)
        one.receive(LinkMessage(origin: two.id, channel: .state, payload: [0xFF]), from: two.id)
        one.receive(LinkMessage(origin: two.id, channel: .heartbeat, payload: [UInt8](repeating: 0, count: 90_000)), from: two.id)
        #expect(one.node.metrics.value(.heartbeatsRefused) == 4)
        // A stranger, who is no member.
        one.receive(LinkMessage(origin: Sample.box(9), channel: .heartbeat, payload: good.payload), from: Sample.box(9))
        #expect(one.load.statuses.count == 1)
        // Of this very run, but older than the last.
        var old = good
        old.uptimeMilliseconds = 1
        old.load.connections = 9_999
        one.receive(LinkMessage(origin: two.id, channel: .heartbeat, payload: old.payload), from: two.id)
        #expect(one.overview(of: two).load?.connections == 0)
        #expect(one.overview(of: two).lastSeenMilliseconds == before)
    }

    @Test("a box that is removed is forgotten, with everybody who was online there")
    func removed() async throws {
        let world = try await LoadWorld(2)
        let (one, two) = (world.boxes[0], world.boxes[1])
        two.enter(Sample.user(1))
        try await world.until("the user is online") { one.node.online.isOnline(Sample.user(1)) }
        one.load.members([one.id: LoadWorld.member(one.id)])
        #expect(one.load.statuses.isEmpty)
        #expect(!one.node.online.isOnline(Sample.user(1)))
    }

    // MARK: - Assignment

    @Test("clients are spread over the boxes as they have room, by whichever box is asked")
    func assignment() async throws {
        let world = try await LoadWorld(4)
        world.boxes[0].connections.value = 1_000
        world.pass(seconds: 5)
        var counts: [BoxID: Int] = [:]
        for turn in 0..<400 {
            let answer = world.boxes[turn % 4].load.assign(previous: nil, token: nil)
            counts[answer.box, default: 0] += 1
            #expect(answer.endpoints.count == 1 && answer.alternates.count == 2)
        }
        #expect(counts[world.boxes[0].id] ?? 0 < 20)
        for box in world.boxes.dropFirst() { #expect((100...160).contains(counts[box.id] ?? 0)) }
    }

    @Test("nobody is sent to a box that is down, drained, behind or in quarantine, and the last resort is the box that was asked")
    func excluded() async throws {
        let world = try await LoadWorld(4)
        let one = world.boxes[0]
        world.boxes[1].facts.value.behind = 20_000
        world.boxes[2].facts.value.quarantine = .rollback
        world.boxes[3].load.drain(true)
        world.pass(seconds: 5)
        for _ in 0..<50 { #expect(one.load.assign(previous: nil, token: nil).box == one.id) }
        one.load.drain(true)
        #expect(one.load.assign(previous: nil, token: nil).box == one.id)
        #expect(one.node.moving.target() == nil, "there is nowhere to send anybody")
    }

    @Test("a token keeps a client where it was sent for half a minute, whichever box it asks, unless that box is away")
    func token() async throws {
        let world = try await LoadWorld(3)
        world.pass(seconds: 5)
        let (one, two, three) = (world.boxes[0], world.boxes[1], world.boxes[2])
        let token = HopToken(box: two.id, hops: 1, milliseconds: one.node.clock.wall()).description
        two.load.drain(true)
        for box in world.boxes { #expect(box.load.assign(previous: one.id, token: token).box == two.id) }
        #expect(one.load.assign(previous: one.id, token: token).token == token, "it is not sent on, so it gets no new token")
        world.pass(seconds: 31)
        #expect(one.load.assign(previous: two.id, token: token).box != two.id)
        let fresh = HopToken(box: three.id, hops: 1, milliseconds: one.node.clock.wall()).description
        world.cut(0, 2, isNoticed: true)
        #expect(one.load.assign(previous: nil, token: fresh).box == one.id)
    }

    // MARK: - Sending clients elsewhere

    /// Takes every target it is given, and remembers.
    private final class Outlet: ChatOutlet, Sendable {
        let targets = Mutex<[MoveTarget]>([])
        func push(_ frame: ByteBuffer, isEphemeral: Bool) {}
        func end(_ reason: SessionEnd) {}
        func move(_ order: MoveOrder) {
            if self.targets.withLock({ $0.isEmpty }), let target = order.take() { self.targets.withLock { $0.append(target) } }
        }
    }

    private func clients(_ count: Int, at box: LoadBox) async -> [Outlet] {
        var outlets: [Outlet] = []
        for index in 0..<count {
            let session = box.enter(Sample.user(1_000 + index))
            let outlet = Outlet()
            outlets.append(outlet)
            let shard = box.node.shards[0]
            let caller = Caller(user: session.user, name: "n", role: .user, device: session.device)
            await withCheckedContinuation { done in
                shard.enter {
                    $0.chat.attach(session.id, caller, NIOLoopBound(outlet, eventLoop: shard.loop))
                    done.resume()
                }
            }
        }
        return outlets
    }

    private func moved(_ outlets: [Outlet], _ box: LoadBox) async -> [MoveTarget] {
        await withCheckedContinuation { done in box.node.shards[0].loop.execute { done.resume() } }
        return outlets.flatMap { outlet in outlet.targets.withLock { $0 } }
    }

    @Test("a box far above the mean sends one of a hundred clients each second to boxes below it; one a little above sends nobody")
    func balancing() async throws {
        let world = try await LoadWorld(3)
        let one = world.boxes[0]
        let outlets = await self.clients(200, at: one)
        one.connections.value = 300
        world.boxes[1].connections.value = 100
        world.boxes[2].connections.value = 260
        world.pass(seconds: 10)
        #expect(await self.moved(outlets, one).isEmpty, "0.12 is not above a quarter more than the mean of 0.088, and a tenth")
        one.connections.value = 2_000
        world.pass(seconds: 10)
        let targets = await self.moved(outlets, one)
        #expect((18...22).contains(targets.count), "\(targets.count)")
        #expect(Set(targets.map(\.box)).isSubset(of: [world.boxes[1].id, world.boxes[2].id]))
        #expect(targets.allSatisfy { HopToken(text: $0.token)?.box == $0.box })
        one.connections.value = 200
        world.pass(seconds: 20)
        #expect(await self.moved(outlets, one).count == targets.count)
    }

    @Test("a drain sends everybody away within its time, to the boxes that are left, and other boxes hear of it at once")
    func drain() async throws {
        let world = try await LoadWorld(3)
        let one = world.boxes[0]
        world.pass(seconds: 5)
        let outlets = await self.clients(90, at: one)
        world.boxes[2].load.drain(true)
        one.load.drain(true)
        #expect(world.boxes[1].overview(of: one).isDraining)
        world.pass(seconds: 3)
        let early = await self.moved(outlets, one).count
        #expect((6...15).contains(early), "\(early)")
        world.pass(seconds: Int(MovePace.drainSeconds))
        let targets = await self.moved(outlets, one)
        #expect(targets.count == 90)
        #expect(Set(targets.map(\.box)) == [world.boxes[1].id])
        #expect(one.node.moving.isDraining)
        one.load.drain(false)
        #expect(!world.boxes[1].overview(of: one).isDraining)
    }
}
