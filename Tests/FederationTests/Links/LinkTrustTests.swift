import FoundationEssentials
import NIOCore
import Replication
import SkerryModel
import SkerryNode
import Testing

@testable import Federation

/// Who may link with whom.
@Suite("trust between boxes", .timeLimit(.minutes(2)))
struct LinkTrustTests {
    /// Two boxes, the first with the lower id, which dials.
    private static func pair(_ make: (Int) throws -> TestIdentity) throws -> (low: TestIdentity, high: TestIdentity) {
        while true {
            let (first, second) = (try make(0), try make(1))
            if first.box < second.box { return (first, second) }
        }
    }

    private static func failure(_ log: EventLog, _ text: String) async throws {
        try await eventually("a failure with \"\(text)\"; there are \(log.entries)") { log.entries.contains { $0.kind == "failed" && $0.text.contains(text) } }
        #expect(log.count("up") == 0)
    }

    @Test("a box whose certificate another CA has signed is not let in, and says so")
    func foreignClient() async throws {
        let (ours, theirs) = (try TestAuthority("ours"), try TestAuthority("theirs"))
        let members = TestMembers()
        // It trusts our CA, and somebody even put its key on the list.
        let (low, high) = try Self.pair { $0 == 0 ? try TestIdentity(theirs, trusting: ours) : try TestIdentity(ours) }
        members.add(low)
        members.add(high)
        let dialler = try await TestLinkBox(low, ours.federation, members)
        let door = try await TestLinkBox(high, ours.federation, members)
        door.transport.keep([dialler.peer])
        dialler.transport.keep([door.peer])
        try await Self.failure(dialler.log, "alert")
        #expect(door.log.entries.isEmpty)
        try await eventually("it to be counted") { door.metrics.value(.federationDoorRefused) > 0 }
        await dialler.stop()
        await door.stop()
    }

    @Test("a box does not talk to one whose certificate another CA has signed")
    func foreignServer() async throws {
        let (ours, theirs) = (try TestAuthority("ours"), try TestAuthority("theirs"))
        let members = TestMembers()
        let (low, high) = try Self.pair { $0 == 0 ? try TestIdentity(ours) : try TestIdentity(theirs, trusting: ours) }
        members.add(low)
        members.add(high)
        let dialler = try await TestLinkBox(low, ours.federation, members)
        let door = try await TestLinkBox(high, ours.federation, members)
        door.transport.keep([dialler.peer])
        dialler.transport.keep([door.peer])
        try await Self.failure(dialler.log, "tls: ")
        #expect(dialler.log.entries.contains { $0.text.contains("certificate") })
        #expect(door.log.entries.isEmpty)
        await dialler.stop()
        await door.stop()
    }

    @Test("a box that is not on the member list is not let in, whatever its certificate says")
    func noMember() async throws {
        let authority = try TestAuthority()
        let members = TestMembers()
        let (low, high) = try Self.pair { _ in try TestIdentity(authority) }
        members.add(high)
        let dialler = try await TestLinkBox(low, authority.federation, members)
        let door = try await TestLinkBox(high, authority.federation, members)
        door.transport.keep([dialler.peer])
        dialler.transport.keep([door.peer])
        try await Self.failure(dialler.log, "alert")
        #expect(door.log.entries.isEmpty)
        members.add(low)
        try await eventually("a link once it is on the list") { dialler.log.isUp(high.box) && door.log.isUp(low.box) }
        await dialler.stop()
        await door.stop()
    }

    @Test("another member at the expected one's address is not taken for it")
    func wrongPeer() async throws {
        let world = try await TestFederation(3)
        let (low, middle, high) = (world.boxes[0], world.boxes[1], world.boxes[2])
        middle.transport.keep([low.peer])
        low.transport.keep([LinkPeer(box: high.box, publicKey: high.identity.publicKey, endpoints: [middle.endpoint])])
        try await Self.failure(low.log, "another box answers at this address")
        #expect(middle.log.entries.isEmpty)
        await world.stop()
    }

    @Test("a removed member is cut off at once and not let in again")
    func removed() async throws {
        let world = try await TestFederation(2)
        let (low, high) = (world.boxes[0], world.boxes[1])
        world.connect()
        try await eventually("a link") { world.isConnected }
        world.members.remove(low.identity)
        high.transport.close(low.box, reason: "This box was removed.")
        try await eventually("the end of the link") { !low.log.isUp(high.box) && !high.log.isUp(low.box) }
        #expect(low.log.entries.contains { $0.kind == "down" && $0.text == "live: Administrative action" })
        low.log.forget()
        high.log.forget()
        try await Self.failure(low.log, "alert")
        #expect(high.log.entries.isEmpty)
        await world.stop()
    }

    @Test("a box that stops keeping a peer closes its link, whoever dialled")
    func notKept() async throws {
        let world = try await TestFederation(3)
        world.connect()
        try await eventually("links") { world.isConnected }
        let (low, middle, high) = (world.boxes[0], world.boxes[1], world.boxes[2])
        middle.transport.keep([])
        try await eventually("the end of both links") {
            !middle.log.isUp(low.box) && !middle.log.isUp(high.box) && !low.log.isUp(middle.box) && !high.log.isUp(middle.box)
        }
        #expect(low.log.isUp(high.box) && high.log.isUp(low.box))
        await world.stop()
    }

    @Test("certificates that begin in the future or ended long ago link all the same")
    func noClock() async throws {
        let authority = try TestAuthority()
        let members = TestMembers()
        let (low, high) = try Self.pair { which in
            which == 0
                ? try TestIdentity(authority, from: Date(timeIntervalSince1970: 4_000_000_000), to: Date(timeIntervalSince1970: 5_000_000_000))
                : try TestIdentity(authority, from: Date(timeIntervalSince1970: 0), to: Date(timeIntervalSince1970: 1_000))
        }
        members.add(low)
        members.add(high)
        let dialler = try await TestLinkBox(low, authority.federation, members)
        let door = try await TestLinkBox(high, authority.federation, members)
        door.transport.keep([dialler.peer])
        dialler.transport.keep([door.peer])
        try await eventually("a link; there are \(dialler.log.entries)") { dialler.log.isUp(high.box) && door.log.isUp(low.box) }
        await dialler.stop()
        await door.stop()
    }

    @Test("boxes of two federations under one CA do not hear each other")
    func otherFederation() async throws {
        let (authority, other) = (try TestAuthority(), try TestAuthority())
        let members = TestMembers()
        let (low, high) = try Self.pair { _ in try TestIdentity(authority) }
        members.add(low)
        members.add(high)
        let dialler = try await TestLinkBox(low, other.federation, members)
        let door = try await TestLinkBox(high, authority.federation, members)
        door.transport.keep([dialler.peer])
        dialler.transport.keep([door.peer])
        try await Self.failure(dialler.log, "refused with 0x87")
        #expect(door.log.entries.isEmpty)
        await dialler.stop()
        await door.stop()
    }

    @Test("two boxes with one identity hear that they take each other's place")
    func clone() async throws {
        let authority = try TestAuthority()
        let members = TestMembers()
        let (low, high) = try Self.pair { _ in try TestIdentity(authority) }
        members.add(low)
        members.add(high)
        let one = try await TestLinkBox(low, authority.federation, members)
        let two = try await TestLinkBox(low, authority.federation, members)
        let door = try await TestLinkBox(high, authority.federation, members)
        door.transport.keep([one.peer])
        one.transport.keep([door.peer])
        try await eventually("a link") { one.log.isUp(high.box) && door.log.isUp(low.box) }
        two.transport.keep([door.peer])
        try await eventually("word of it") { one.log.count("takenOver") > 0 && two.log.count("takenOver") > 0 }
        #expect(door.metrics.value(.federationTakeOvers) > 0)
        // At the door the links of one box follow each other.
        let order = door.log.entries.filter { $0.kind == "up" || $0.kind == "down" }.map(\.kind)
        for (number, kind) in order.enumerated() { #expect(kind == (number.isMultiple(of: 2) ? "up" : "down")) }
        for box in [one, two, door] { await box.stop() }
    }
}
