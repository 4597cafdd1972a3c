import MQTTCodec
import NIOCore
import SkerryModel
import TestKit
import Testing

@testable import SkerryNode

/// A box that is drained sends MQTT clients elsewhere, in the words their version has.
@Suite("Broker: draining")
struct BrokerDrainTests {
    private static let target = MoveTarget(
        box: Sample.box(2),
        endpoints: [BoxEndpoint(kind: "mqtt", address: "10.0.0.2", port: 1_884), BoxEndpoint(kind: "mqtts", address: "10.0.0.2", port: 8_884)], token: "t")

    private func order(_ count: Int, isDrain: Bool = true) -> MoveOrder { MoveOrder((0..<count).map { _ in Self.target }, isDrain: isDrain) }

    @Test("an MQTT 5 client hears 0x9C and where to go [MQTT-4.11], an earlier one is closed without a word", arguments: [MQTTVersion.v5, .v311])
    func connected(_ version: MQTTVersion) async throws {
        let world = try await BrokerWorld.open()
        let client = await world.connect("a", version)
        _ = client.take()
        world.box.node.publish([.move(self.order(5))])
        await world.settle()
        #expect(client.isClosed)
        let packets = client.take()
        if version == .v5 {
            guard case .disconnect(let disconnect)? = packets.last else { return #expect(Bool(false), "no DISCONNECT: \(packets)") }
            #expect(disconnect.reason == .useAnotherServer)
            #expect(disconnect.properties.serverReference == "10.0.0.2:1884")
        } else {
            #expect(packets.isEmpty)
        }
        #expect(world.count(.clientsMoved) == 1)
    }

    @Test("to even the load out nobody is sent on: what is queued for an MQTT client stays on its box")
    func balancing() async throws {
        let world = try await BrokerWorld.open()
        let client = await world.connect("a")
        world.box.node.publish([.move(self.order(5, isDrain: false))])
        await world.settle()
        #expect(!client.isClosed)
    }

    @Test("an order moves no more clients than it has targets")
    func pace() async throws {
        let world = try await BrokerWorld.open(loops: 1)
        var clients: [BrokerClient] = []
        for index in 0..<6 { clients.append(await world.connect("c\(index)")) }
        world.box.node.publish([.move(self.order(2))])
        await world.settle()
        #expect(clients.count { $0.isClosed } == 2)
    }

    @Test("who comes to a drained box is refused and told another, and let in when there is none", arguments: [MQTTVersion.v5, .v311])
    func newcomers(_ version: MQTTVersion) async throws {
        let world = try await BrokerWorld.open()
        world.box.node.moving.drain(true) { Self.target }
        let client = await world.connect("a", version)
        guard case .connack(let connack)? = client.take().first else { return #expect(Bool(false), "no CONNACK") }
        #expect(client.isClosed)
        if version == .v5 {
            #expect(connack.reason == .useAnotherServer)
            #expect(connack.properties.serverReference == "10.0.0.2:1884")
        } else {
            #expect(connack.reason == .serverUnavailable)
        }
        world.box.node.moving.drain(true) { nil }
        let second = await world.connect("a", version)
        #expect(!second.isClosed)
        world.box.node.moving.drain(false)
        #expect(await !world.connect("b", version).isClosed)
    }
}
