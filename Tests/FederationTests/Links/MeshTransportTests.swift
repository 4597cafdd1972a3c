import Replication
import SkerryModel
import SkerryNode
import Synchronization
import Testing

@testable import Federation

@Suite("links between boxes", .serialized, .timeLimit(.minutes(2)))
struct MeshTransportTests {
    @Test("two boxes link, the lower dials, and messages go both ways in their order")
    func twoBoxes() async throws {
        let world = try await TestFederation(2)
        let (low, high) = (world.boxes[0], world.boxes[1])
        world.connect()
        try await eventually("a link") { world.isConnected }
        for number in 0..<200 {
            low.send(.message, [UInt8(number)], to: high)
            high.send(.message, [UInt8(number)], to: low)
        }
        try await eventually("all messages") { low.log.messages.count == 200 && high.log.messages.count == 200 }
        #expect(low.log.messages.map { $0.payload[0] } == (0..<200).map { UInt8($0) })
        #expect(high.log.messages.map { $0.payload[0] } == (0..<200).map { UInt8($0) })
        #expect(high.log.messages.allSatisfy { $0.origin == low.box && $0.channel == .message && $0.addressee == nil })
        try await eventually("all acknowledged") { low.log.acknowledgedBytes == 200 && high.log.acknowledgedBytes == 200 }
        #expect(low.metrics.value(.connectionsAccepted) == 0)
        #expect(high.metrics.value(.connectionsAccepted) == 1)
        await world.stop()
        #expect(!low.log.isUp(high.box) && !high.log.isUp(low.box))
    }

    @Test("what one turn cannot send goes with the next, not when something else happens")
    func turns() async throws {
        let world = try await TestFederation(2)
        let (low, high) = (world.boxes[0], world.boxes[1])
        world.connect()
        try await eventually("a link") { world.isConnected }
        // Fleeting, so that no acknowledgement wakes anybody.
        var slowest = Duration.zero
        for round in 1...20 {
            let start = ContinuousClock.now
            for _ in 0..<2 { low.send(.ephemeral, [UInt8](repeating: 1, count: 65_536), to: high) }
            low.send(.message, [UInt8(round)], to: high)
            try await eventually("them") { high.log.messages.count == round * 3 }
            slowest = max(slowest, ContinuousClock.now - start)
        }
        #expect(slowest < .milliseconds(900))
        await world.stop()
    }

    @Test("what comes on a link that another has replaced is taken and not told of")
    func replaced() async throws {
        let world = try await TestFederation(2)
        let (low, high) = (world.boxes[0], world.boxes[1])
        high.transport.keep([LinkPeer(box: low.box, publicKey: low.identity.publicKey, endpoints: [])])
        let (first, second) = (FakeLink(low.box), FakeLink(low.box))
        high.transport.attached(first)
        high.transport.attached(second)
        #expect(first.closed == ["The box connected again."] && second.closed.isEmpty)
        let taken = Mutex<[String]>([])
        let message = LinkMessage(origin: low.box, channel: .message, payload: [1])
        high.transport.received(message, on: first) { taken.withLock { $0.append("first") } }
        high.transport.acknowledged(10, on: first)
        high.transport.detached(first, reason: "It has gone.")
        high.transport.received(message, on: second) { taken.withLock { $0.append("second") } }
        #expect(high.log.entries.map(\.kind) == ["up", "down", "up", "received"])
        #expect(taken.withLock { $0 } == ["first", "second"])
        high.send(.message, [2], to: low)
        #expect(first.sent.isEmpty && second.sent.map(\.payload) == [[2]])
        // Nobody that no link is kept to.
        let stranger = FakeLink(high.box)
        high.transport.attached(stranger)
        #expect(stranger.closed.count == 1)
        #expect(high.log.entries.count == 4)
        await world.stop()
        #expect(second.closed == ["This box stops."])
        #expect(high.log.entries.last?.kind == "down")
    }

    @Test("every channel goes over a link, addressed ones too")
    func channels() async throws {
        let world = try await TestFederation(2)
        let (low, high) = (world.boxes[0], world.boxes[1])
        world.connect()
        try await eventually("a link") { world.isConnected }
        for channel in LinkChannel.allCases {
            low.send(channel, Array(channel.rawValue.utf8), to: high)
            high.send(channel, Array(channel.rawValue.utf8), to: low)
        }
        let all = Set(LinkChannel.allCases)
        try await eventually("all channels") { Set(low.log.messages.map(\.channel)) == all && Set(high.log.messages.map(\.channel)) == all }
        for message in high.log.messages {
            #expect(message.payload == Array(message.channel.rawValue.utf8))
            #expect(message.addressee == (message.channel.isAddressed ? high.box : nil))
        }
        await world.stop()
    }
}

private final class FakeLink: BoxLink {
    let box: BoxID
    private let state = Mutex<(sent: [LinkMessage], closed: [String])>(([], []))
    init(_ box: BoxID) { self.box = box }
    var sent: [LinkMessage] { self.state.withLock { $0.sent } }
    var closed: [String] { self.state.withLock { $0.closed } }
    func send(_ message: LinkMessage) { self.state.withLock { $0.sent.append(message) } }
    func close(_ reason: String) { self.state.withLock { $0.closed.append(reason) } }
}
