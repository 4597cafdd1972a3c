import Replication
import SkerryModel
import SkerryNode
import TestKit
import Testing

@testable import Federation

/// Who is online at other boxes.
@Suite("Presence feature", .timeLimit(.minutes(2)))
struct PresenceFeatureTests {
    @Test("who comes and goes at one box is online and offline at all of them")
    func comingAndGoing() async throws {
        let world = try await LoadWorld(3)
        let session = world.boxes[0].enter(Sample.user(1))
        try await world.until("online everywhere") { world.boxes.allSatisfy { $0.node.online.isOnline(Sample.user(1)) } }
        #expect(!world.boxes[1].node.online.isHere(Sample.user(1)))
        world.boxes[0].leave(session)
        try await world.until("offline everywhere") { world.boxes.allSatisfy { !$0.node.online.isOnline(Sample.user(1)) } }
    }

    @Test("a box that comes later learns who is there, in pages")
    func snapshot() async throws {
        let world = try await LoadWorld(2)
        world.cut(0, 1, isNoticed: true)
        let count = PresencePage.countMax + 500
        for number in 0..<count { world.boxes[0].enter(Sample.user(number)) }
        // Said to nobody: what the other box comes to know, it has asked for.
        let told = world.boxes[0].node.online
        try await world.until("it was said") { told.takeChanges().came.isEmpty && told.announcedHash != 0 }
        world.pass(seconds: 6)
        world.heal(0, 1)
        let other = world.boxes[1].node.online
        try await world.until("everybody is known", passes: true) { other.userCountEverywhere == count }
        #expect(other.hash(at: world.boxes[0].id) == world.boxes[0].node.online.announcedHash)
    }

    @Test("news that was lost is made good by the next heartbeat, and when nothing was lost nobody asks")
    func lost() async throws {
        let world = try await LoadWorld(2)
        let (one, two) = (world.boxes[0], world.boxes[1])
        one.enter(Sample.user(1))
        try await world.until("the first is known") { two.node.online.isOnline(Sample.user(1)) }
        // Neither what one says nor that the link is gone is noticed.
        world.cut(0, 1)
        let told = one.node.online.announcedHash
        one.enter(Sample.user(2))
        try await world.until("it was said") { one.node.online.announcedHash != told }
        #expect(!two.node.online.isOnline(Sample.user(2)))
        world.heal(0, 1)
        try await world.until("the second is known by the heartbeat", passes: true) { two.node.online.isOnline(Sample.user(2)) }
        #expect(two.node.online.hash(at: one.id) == one.node.online.announcedHash)
    }

    @Test("users of a box that is down, leaves or cannot be reached are offline", arguments: ["down", "leaving", "unreachable"])
    func gone(_ how: String) async throws {
        let world = try await LoadWorld(3)
        world.pass(seconds: 5)
        world.boxes[1].enter(Sample.user(1))
        let one = world.boxes[0].node.online
        try await world.until("online") { one.isOnline(Sample.user(1)) }
        switch how {
        case "leaving": world.boxes[1].load.stop()
        case "unreachable":
            world.cut(0, 1)
            world.pass(seconds: 31)
        default:
            world.cut(0, 1)
            world.cut(1, 2)
            world.pass(seconds: 61)
        }
        #expect(world.boxes[0].liveness(of: world.boxes[1])?.rawValue == how)
        #expect(!one.isOnline(Sample.user(1)))
        #expect(one.userCountEverywhere == 0)
    }

    @Test("a flood of one box is cut each second, counted, and put right by its heartbeat")
    func flood() async throws {
        let world = try await LoadWorld(2)
        let (one, two) = (world.boxes[0], world.boxes[1])
        var sent = 0
        while sent <= PresenceFeature.presencePerSecond {
            let users = (sent..<(sent + PresenceNews.countMax)).map { Sample.user($0) }
            two.receive(LinkMessage(origin: one.id, channel: .ephemeral, payload: PresenceNews(came: users).payload), from: one.id)
            sent += users.count
        }
        // The question that every new link begins with may just have been answered with nobody.
        #expect(two.node.online.userCountEverywhere <= PresenceFeature.presencePerSecond)
        #expect(two.node.metrics.value(.presenceDropped) >= PresenceNews.countMax)
        // In truth nobody is there.
        try await world.until("put right", passes: true) { two.node.online.userCountEverywhere == 0 }
        let typing = PresenceNews.Typing(conversation: Sample.conversation(1), user: Sample.user(1))
        let before = two.node.metrics.value(.presenceDropped)
        two.receive(
            LinkMessage(origin: one.id, channel: .ephemeral, payload: PresenceNews(typing: [PresenceNews.Typing](repeating: typing, count: 1_500)).payload),
            from: one.id)
        #expect(two.node.metrics.value(.presenceDropped) - before == 500)
    }

    @Test("more users than are listed are counted by their box and shown as offline, and the box is not asked for them again at once")
    func full() async throws {
        var limits = Limits()
        limits.onlineElsewhereMax = 50
        let world = try await LoadWorld(2, limits: limits)
        let (one, two) = (world.boxes[0], world.boxes[1])
        for number in 0..<80 { one.enter(Sample.user(number)) }
        try await world.until("as many as fit are known") { two.node.online.userCountEverywhere == 50 }
        try await world.until("it was noticed", passes: true) { two.node.metrics.value(.presenceFull) >= 2 }
        let full = two.node.metrics.value(.presenceFull)
        world.pass(seconds: 30)
        #expect(two.node.metrics.value(.presenceFull) <= full + 1)
        #expect(two.overview(of: one).onlineUsers == 80)
    }

    @Test("what cannot be read, or comes in another's name, is refused and counted")
    func badInput() async throws {
        let world = try await LoadWorld(2)
        let (one, two) = (world.boxes[0], world.boxes[1])
        let good = PresenceNews(came: [Sample.user(1)]).payload
        two.receive(LinkMessage(origin: Sample.box(9), channel: .ephemeral, payload: good), from: one.id)
        two.receive(LinkMessage(origin: one.id, channel: .ephemeral, payload: [0x0A, 5, 1]), from: one.id)
        #expect(two.node.metrics.value(.heartbeatsRefused) == 2)
        #expect(!two.node.online.isOnline(Sample.user(1)))
        #expect(await two.presence.answer(.presence, [0xFF], from: one.id) == nil)
        #expect(await two.presence.answer(.blob, [], from: one.id) == nil)
    }
}
