import Listeners
import MQTTCodec
import NIOCore
import NIOPosix
import NIOSSL
import Replication
import SkerryModel
import SkerryNode
import Testing

@testable import Federation

/// Bad networks, killed boxes, and peers that do not behave.
@Suite("links under faults", .timeLimit(.minutes(2)))
struct LinkFaultTests {
    /// Two boxes of which the lower reaches the higher through a relay.
    private struct RelayedPair {
        let world: TestFederation
        let relay: TestRelay
        var low: TestLinkBox { self.world.boxes[0] }
        var high: TestLinkBox { self.world.boxes[1] }

        init(limits: LinkLimits = .quick) async throws {
            self.world = try await TestFederation(2, limits: limits)
            self.relay = try await TestRelay(to: self.world.boxes[1].listener.port)
            self.high.transport.keep([self.low.peer])
            self.low.transport.keep([LinkPeer(box: self.high.box, publicKey: self.high.identity.publicKey, endpoints: ["127.0.0.1:\(self.relay.port)"])])
        }

        func connected() async throws { try await eventually("a link") { self.world.isConnected } }

        func stop() async throws {
            await self.world.stop()
            try await self.relay.stop()
        }
    }

    @Test("a peer killed in the middle of TLS is linked with again, every time")
    func killed() async throws {
        let pair = try await RelayedPair()
        for round in 1...10 {
            try await pair.connected()
            pair.low.send(.message, [UInt8(round)], to: pair.high)
            try await eventually("the message") { pair.high.log.messages.last?.payload == [UInt8(round)] }
            pair.relay.cut()
            try await eventually("the end of link \(round)") { pair.low.log.count("down") == round && pair.high.log.count("down") == round }
        }
        try await pair.connected()
        for log in [pair.low.log, pair.high.log] {
            let order = log.entries.filter { $0.kind == "up" || $0.kind == "down" }.map(\.kind)
            for (number, kind) in order.enumerated() { #expect(kind == (number.isMultiple(of: 2) ? "up" : "down")) }
        }
        // The will: this box is gone, said in its name before the end.
        #expect(pair.high.log.messages.count { $0.channel == .state && $0.payload == Array("gone".utf8) } == 10)
        try await pair.stop()
    }

    @Test("nothing is delivered between down and up, and a message of a link comes before its end")
    func order() async throws {
        let pair = try await RelayedPair()
        for _ in 1...5 {
            try await pair.connected()
            for number in 0..<50 as Range<UInt8> {
                pair.low.send(.message, [number], to: pair.high)
                pair.high.send(.message, [number], to: pair.low)
            }
            pair.relay.cut()
            try await eventually("the end") { !pair.low.log.isUp(pair.high.box) || pair.low.log.count("down") > 0 }
        }
        try await pair.connected()
        for log in [pair.low.log, pair.high.log] {
            var isUp = false
            for entry in log.entries {
                switch entry.kind {
                case "up": isUp = true
                case "down": isUp = false
                case "received", "acknowledged": #expect(isUp)
                default: break
                }
            }
        }
        try await pair.stop()
    }

    @Test("a peer that vanished without a word is missed by the keep-alive, on both sides")
    func halfOpen() async throws {
        let pair = try await RelayedPair()
        try await pair.connected()
        let start = ContinuousClock.now
        pair.relay.stall(true)
        try await eventually("both to miss the other") { pair.low.log.count("down") == 1 && pair.high.log.count("down") == 1 }
        #expect(ContinuousClock.now - start < .seconds(18))
        pair.relay.stall(false)
        pair.relay.cut()
        try await pair.connected()
        try await pair.stop()
    }

    @Test("somebody who takes the connection and says nothing holds up nobody")
    func silent() async throws {
        var limits = LinkLimits.quick
        limits.stageMilliseconds = 400
        let world = try await TestFederation(3, limits: limits)
        let (low, middle, high) = (world.boxes[0], world.boxes[1], world.boxes[2])
        let hole = try await ServerBootstrap(group: TestLinkBox.group).bind(host: "127.0.0.1", port: 0).get()
        let port = hole.localAddress?.port ?? 0
        middle.transport.keep([low.peer])
        // The hole first, then where it really is: each attempt takes the next.
        let endpoints = ["127.0.0.1:\(port)", high.endpoint]
        high.transport.keep([low.peer])
        low.transport.keep([middle.peer, LinkPeer(box: high.box, publicKey: high.identity.publicKey, endpoints: endpoints)])
        try await eventually("the other link meanwhile") { low.log.isUp(middle.box) }
        try await eventually("both links") { low.log.isUp(high.box) }
        #expect(low.log.entries.contains { $0.kind == "failed" && $0.text.hasPrefix("tls: no answer within") })
        try await hole.close()
        await world.stop()
    }

    @Test("a port where nobody listens is a failure at once, and tried again")
    func nobody() async throws {
        let world = try await TestFederation(2)
        let (low, high) = (world.boxes[0], world.boxes[1])
        let port = high.listener.port
        await high.listener.close(grace: .zero)
        low.transport.keep([high.peer])
        try await eventually("three attempts") { low.log.count("failed") >= 3 }
        #expect(low.log.entries.allSatisfy { $0.text.hasPrefix("dialing: ") }, "\(low.log.entries)")
        let again = try await TestLinkBox(high.identity, world.authority.federation, world.members, port: port)
        again.transport.keep([low.peer])
        try await eventually("a link") { low.log.isUp(high.box) }
        await again.stop()
        await world.stop()
    }

    @Test("links work in a process with more than 1024 open descriptors")
    func manyDescriptors() async throws {
        var opened: [Int32] = []
        defer { for descriptor in opened { close(descriptor) } }
        raiseDescriptorLimit()
        while opened.count < 1_100 {
            let descriptor = open("/dev/null", O_RDONLY)
            try #require(descriptor >= 0, "the machine allows too few open files for this test")
            opened.append(descriptor)
        }
        let world = try await TestFederation(2)
        world.connect()
        try await eventually("a link") { world.isConnected }
        world.boxes[0].send(.message, [1], to: world.boxes[1])
        world.boxes[1].send(.message, [2], to: world.boxes[0])
        try await eventually("messages") { world.boxes.allSatisfy { $0.log.messages.count == 1 } }
        await world.stop()
    }

    @Test("five boxes have one link a pair, and a cut of all of them heals")
    func five() async throws {
        let world = try await TestFederation(5)
        world.connect()
        try await eventually("all links") { world.isConnected }
        for box in world.boxes {
            for other in world.boxes where other !== box { box.send(.message, Array(box.box.description.utf8), to: other) }
        }
        try await eventually("all messages") { world.boxes.allSatisfy { $0.log.messages.count == 4 } }
        for box in world.boxes {
            #expect(Set(box.log.messages.map(\.origin)) == Set(world.boxes.filter { $0 !== box }.map(\.box)))
            #expect(box.log.messages.allSatisfy { $0.payload == Array($0.origin.description.utf8) })
        }
        // The highest accepts four links and dials none.
        #expect(world.boxes[4].metrics.value(.connectionsAccepted) == 4)
        for box in world.boxes { for other in world.boxes where other !== box { box.transport.close(other.box, reason: "A test.") } }
        try await eventually("the cut") { world.boxes.allSatisfy { $0.log.count("down") >= 4 } }
        try await eventually("all links again") { world.isConnected }
        await world.stop()
    }

    @Test("the higher box dials when no link comes, and gives way to the one that the lower dials")
    func patience() async throws {
        var limits = LinkLimits.quick
        limits.patienceMilliseconds = 300
        let world = try await TestFederation(2, limits: limits)
        let (low, high) = (world.boxes[0], world.boxes[1])
        // The lower has not heard where the higher is.
        low.transport.keep([LinkPeer(box: high.box, publicKey: high.identity.publicKey, endpoints: [])])
        high.transport.keep([low.peer])
        try await eventually("the higher's link") { world.isConnected }
        #expect(low.metrics.value(.connectionsAccepted) == 1 && high.metrics.value(.connectionsAccepted) == 0)
        low.transport.keep([high.peer])
        try await eventually("the lower's link in its place") { low.log.count("up") == 2 && high.log.count("up") == 2 && world.isConnected }
        #expect(high.metrics.value(.connectionsAccepted) == 1)
        low.send(.message, [1], to: high)
        high.send(.message, [2], to: low)
        try await eventually("messages") { low.log.messages.last?.payload == [2] && high.log.messages.last?.payload == [1] }
        #expect(low.log.count("down") == 1 && high.log.count("down") == 1)
        await world.stop()
    }

    @Test("a receiver that takes nothing is sent no more than the bounds, and everything goes on when it does")
    func slowReceiver() async throws {
        for isUpwards in [true, false] {
            let world = try await TestFederation(2)
            let (low, high) = (world.boxes[0], world.boxes[1])
            world.connect()
            try await eventually("a link") { world.isConnected }
            let (sender, receiver) = isUpwards ? (low, high) : (high, low)
            receiver.log.hold(true)
            let limits = LinkLimits.quick
            let count = 20_000
            let payload = [UInt8](repeating: 1, count: 1_000)
            for _ in 0..<count { sender.send(.message, payload, to: receiver) }
            try await eventually("the receiver to stop reading") { receiver.metrics.value(.federationReadsPaused) > 0 }
            try await eventually("what is over the bound to be dropped") { sender.metrics.value(.federationDropped) > count - 2_500 }
            // What was received and not taken is bounded by count and by bytes, and by what one read brings; however long it waits.
            try await standstill("what is received") { receiver.log.messages.count }
            #expect(receiver.log.messages.count <= limits.untakenMessagesMax + 200)
            #expect(low.log.count("down") == 0 && high.log.count("down") == 0)
            receiver.log.hold(false)
            try await eventually("all that was kept") {
                receiver.log.messages.count + sender.metrics.value(.federationDropped) == count && sender.log.acknowledgedBytes == count * payload.count
            }
            // The link is as good as new.
            sender.send(.message, [7], to: receiver)
            try await eventually("one more") { receiver.log.messages.last?.payload == [7] }
            await world.stop()
        }
    }

    @Test("fleeting messages over the bound are dropped, and count as acknowledged")
    func fleeting() async throws {
        let pair = try await RelayedPair()
        try await pair.connected()
        pair.relay.stall(true)
        let payload = [UInt8](repeating: 1, count: 10_000)
        for _ in 0..<2_000 {
            pair.low.send(.ephemeral, payload, to: pair.high)
            pair.high.send(.ephemeral, payload, to: pair.low)
        }
        try await eventually("drops") { pair.low.metrics.value(.federationDropped) > 0 && pair.high.metrics.value(.federationDropped) > 0 }
        try await pair.stop()
    }

    @Test("the largest payload goes through both ways")
    func largest() async throws {
        let world = try await TestFederation(2)
        let (low, high) = (world.boxes[0], world.boxes[1])
        world.connect()
        try await eventually("a link") { world.isConnected }
        let payload = (0..<LinkChannel.payloadBytesMax).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for channel in [LinkChannel.message, .ephemeral] {
            low.send(channel, payload, to: high)
            high.send(channel, payload, to: low)
        }
        try await eventually("both") { low.log.messages.count == 2 && high.log.messages.count == 2 }
        #expect(low.log.messages.allSatisfy { $0.payload == payload } && high.log.messages.allSatisfy { $0.payload == payload })
        await world.stop()
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

private func raiseDescriptorLimit() {
    var limit = rlimit()
    #if canImport(Glibc)
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    #else
    getrlimit(RLIMIT_NOFILE, &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(RLIMIT_NOFILE, &limit)
    #endif
}
