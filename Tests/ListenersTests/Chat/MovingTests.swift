import NIOCore
import Replication
import SkerryModel
import SkerryNode
import TestKit
import Testing

@testable import Listeners

/// A chat connection whose client is sent to another box.
@Suite("Chat: moved") struct ChatMovingTests {
    private static let target = MoveTarget(
        box: Sample.box(2), endpoints: [BoxEndpoint(kind: "http", address: "10.0.0.2", port: 8_080)], token: "hop")

    private func move(_ world: ChatWorld, isDrain: Bool) { world.node.publish([.move(MoveOrder([Self.target], isDrain: isDrain))]) }

    @Test("the client hears the box, its endpoints and a token, then 1012")
    func drain() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let client = try await world.connect(as: alice.token)
        _ = await client.heard()
        self.move(world, isDrain: true)
        let frames = await client.heard()
        #expect(
            frames.first?.text
                == #"{"t":"moved","d":{"box":"\#(Sample.box(2))","endpoints":["ws://10.0.0.2:8080/v1/ws","http://10.0.0.2:8080"],"token":"hop"}}"#)
        #expect(frames.last?.closeCode == 1012)
        #expect(world.node.metrics.value(.clientsMoved) == 1)
    }

    @Test("who has not said hello is not sent anywhere, and who has just come not to even the load out")
    func notYet() async throws {
        let world = ChatWorld()
        let alice = try await world.person("alice")
        let stranger = try await world.connect()
        let client = try await world.connect(as: alice.token)
        _ = await client.heard()
        self.move(world, isDrain: false)
        #expect(await client.heard().isEmpty)
        #expect(await stranger.heard().isEmpty)
        #expect(world.node.metrics.value(.clientsMoved) == 0)
    }

    @Test("the rest of a client: half a minute when its token is fresh, in any case; without one until the load is to be evened out")
    func rest() throws {
        let wall: UInt64 = 1_700_000_000_000
        let fresh = SettledUntil(hop: HopToken(box: Sample.box, hops: 1, milliseconds: wall).description, wall: wall, now: 1_000)
        #expect(fresh.holds(at: 30_999, isDrain: true) && fresh.holds(at: 30_999, isDrain: false))
        #expect(!fresh.holds(at: 31_000, isDrain: true) && !fresh.holds(at: 31_000, isDrain: false))
        for hop in [nil, "", "x", HopToken(box: Sample.box, hops: 1, milliseconds: wall - 30_000).description] {
            let plain = SettledUntil(hop: hop, wall: wall, now: 1_000)
            #expect(!plain.holds(at: 1_000, isDrain: true))
            #expect(plain.holds(at: 30_999, isDrain: false))
            #expect(!plain.holds(at: 31_000, isDrain: false))
        }
    }
}
