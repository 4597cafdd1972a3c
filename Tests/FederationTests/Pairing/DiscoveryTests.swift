import NIOCore
import NIOPosix
import Replication
import SkerryModel
import SkerryNode
import Synchronization
import TestKit
import Testing

@testable import Federation

/// Real multicast, on the loopback device alone.
@Suite(.timeLimit(.minutes(2))) struct DiscoveryTests {
    private static func service(
        _ box: PairingBox, port: Int, nonce: UInt64, members: @escaping @Sendable (BoxID) -> Bool = { _ in false },
        found: @escaping @Sendable (BoxID, [String]) -> Void = { _, _ in }
    ) -> DiscoveryService {
        var settings = DiscoveryService.Settings()
        (settings.port, settings.device, settings.everySeconds) = (port, "lo", 1)
        return DiscoveryService(
            membership: box.membership, host: box, startNonce: nonce, hooks: DiscoveryService.Hooks(isMember: members, found: found),
            settings: settings, loop: MultiThreadedEventLoopGroup.singleton.any(), logger: box.membership.logger)
    }

    /// A UDP port that nobody has.
    private static func freePort() async throws -> Int {
        let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(channel.localAddress?.port)
        try await channel.close().get()
        return port
    }

    @Test("a box that wants to join is in the list of another one, with its words, until it is ignored or silent")
    func wantsToJoin() async throws {
        let port = try await Self.freePort()
        let (first, second) = (try await PairingBox("attic"), try await PairingBox("kitchen"))
        let (one, two) = (Self.service(first, port: port, nonce: 1), Self.service(second, port: port, nonce: 2))
        try await one.start()
        try await two.start()
        #expect(await first.membership.candidates().isEmpty, "nobody has said so yet")
        try await second.membership.announce(true)
        try await eventually { await first.membership.candidates().map(\.box) == [second.box] }
        let candidate = try #require(await first.membership.candidates().first)
        #expect(candidate.state == .nearby)
        #expect(candidate.name == "kitchen")
        #expect(candidate.words == second.membership.words)
        #expect(await refusal { try await first.membership.approve(second.box) }?.detail.contains("skerry pair invite") == true)
        try await first.membership.ignore(second.box)
        second.pass(2_000)
        first.pass(2_000)
        two.announce()
        #expect(await first.membership.candidates().isEmpty)
        await one.stop()
        await two.stop()
    }

    @Test("a box that does not speak to its network, or is of a federation, does not say that it wants to join")
    func silent() async throws {
        let first = try await PairingBox("a")
        #expect(await refusal { try await first.membership.announce(true) }?.detail.contains("federation.discovery") == true)
        let one = Self.service(first, port: try await Self.freePort(), nonce: 1)
        try await one.start()
        try await first.membership.announce(true)
        #expect(first.membership.isAnnouncing(now: first.monotonicMilliseconds()))
        first.pass(600_000)
        #expect(!first.membership.isAnnouncing(now: first.monotonicMilliseconds()), "ten minutes are over")
        try await first.membership.announce(true)
        try await first.membership.announce(false)
        #expect(!first.membership.isAnnouncing(now: first.monotonicMilliseconds()))
        _ = try await first.token()
        #expect(await refusal { try await first.membership.announce(true) }?.code == .conflict)
        await one.stop()
        try await first.close()
    }

    @Test("a member whose address changed is heard of; a box of another federation is not")
    func member() async throws {
        let port = try await Self.freePort()
        let (first, second, third) = (try await PairingBox("a"), try await PairingBox("b"), try await PairingBox("c"))
        _ = try await second.membership.join(token: try await first.token())
        _ = try await third.token()
        let seen = Mutex<[BoxID: [String]]>([:])
        let one = Self.service(first, port: port, nonce: 1, members: { $0 == second.box }, found: { box, endpoints in seen.withLock { $0[box] = endpoints } })
        let (two, three) = (Self.service(second, port: port, nonce: 2), Self.service(third, port: port, nonce: 3))
        second.place(["10.9.8.7:8884"])
        for service in [one, two, three] { try await service.start() }
        try await eventually { seen.withLock { $0 == [second.box: ["10.9.8.7:8884"]] } }
        second.place(["10.9.8.6:8884"])
        first.pass(2_000)
        two.announce()
        try await eventually { seen.withLock { $0 == [second.box: ["10.9.8.6:8884"]] } }
        for service in [one, two, three] { await service.stop() }
        try await first.close()
        try await third.close()
    }

    @Test("no more boxes nearby are listed than the limit, each only while it says so, and an ignored one no more")
    func nearby() throws {
        func sighting(_ number: UInt8) throws -> NearbyBoxes.Sighting {
            NearbyBoxes.Sighting(box: try #require(BoxID([UInt8](repeating: number, count: 10))), name: "", words: "", address: "")
        }
        var boxes = NearbyBoxes()
        for number in 0..<40 as Range<UInt8> { boxes.note(try sighting(number), now: UInt64(number)) }
        #expect(boxes.list(now: 40).count == NearbyBoxes.boxesMax)
        #expect(boxes.list(now: 40).first?.box == (try sighting(0).box), "the longest first")
        boxes.note(try sighting(3), now: 60_000)
        let ignored = boxes.ignore(try sighting(4).box, now: 60_000)
        #expect(ignored)
        let unknown = boxes.ignore(try sighting(39).box, now: 60_000)
        #expect(!unknown)
        boxes.note(try sighting(4), now: 60_001)
        #expect(boxes.list(now: 60_001).count == NearbyBoxes.boxesMax - 1)
        #expect(boxes.list(now: 60_001 + NearbyBoxes.milliseconds - 2).map(\.box) == [try sighting(3).box], "the others are silent")
        boxes.note(try sighting(39), now: 60_001 + NearbyBoxes.milliseconds - 2)
        #expect(boxes.list(now: 60_001 + NearbyBoxes.milliseconds - 2).count == 2, "who is silent makes room")
    }

    @Test("noise on the port is dropped and counted")
    func noise() async throws {
        let port = try await Self.freePort()
        let first = try await PairingBox("a")
        let one = Self.service(first, port: port, nonce: 1)
        try await one.start()
        let sender = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
        let group = try SocketAddress(ipAddress: "239.192.83.75", port: port)
        _ = try await sender.eventLoop.submit {}.get()
        try await eventually {
            try? await Self.viaLoopback(sender)
            for count in [0, 1, 100, 1_400] {
                try? await sender.writeAndFlush(AddressedEnvelope(remoteAddress: group, data: ByteBuffer(repeating: 7, count: count))).get()
            }
            return first.metrics.value(.beaconsDropped) >= 4
        }
        try await sender.close().get()
        await one.stop()
    }

    private static func viaLoopback(_ channel: any Channel) async throws {
        let loopback = unsafeBitCast(UInt32(0x7F00_0001).bigEndian, to: in_addr.self)
        try await (channel as? any SocketOptionProvider)?.setIPMulticastIF(loopback).get()
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif
