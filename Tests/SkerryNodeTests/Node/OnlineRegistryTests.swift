import SkerryModel
import Synchronization
import TestKit
import Testing

@testable import SkerryNode

/// Who is online, here and at other boxes.
@Suite("Online registry")
struct OnlineRegistryTests {
    private static let here = Sample.user(1)
    private static let there = Sample.user(2)
    private static let other = Sample.box(2)
    private static let third = Sample.box(3)
    private let registry = OnlineRegistry()
    private let limits = Limits()

    private func session(_ user: UserID) -> OnlineSession {
        OnlineSession(
            id: self.registry.nextSession(), user: user, name: "n", device: Sample.device(1), kind: .ws, address: "", client: nil, sinceMilliseconds: 0)
    }

    @Test("somebody comes and goes once for all boxes together, however many connections they have")
    func overall() {
        let (first, second) = (self.session(Self.here), self.session(Self.here))
        #expect(self.registry.enter(first, limits: self.limits) == true)
        #expect(self.registry.enter(second, limits: self.limits) == false)
        #expect(self.registry.arrived([Self.here], at: Self.other, limits: self.limits).changed.isEmpty, "they were online already")
        #expect(self.registry.arrived([Self.here], at: Self.third, limits: self.limits).changed.isEmpty)
        #expect(!self.registry.leave(first.id, user: Self.here, now: 5))
        #expect(!self.registry.leave(second.id, user: Self.here, now: 6), "they are still at two other boxes")
        #expect(self.registry.isOnline(Self.here) && !self.registry.isHere(Self.here))
        #expect(self.registry.departed([Self.here], from: Self.other, now: 7).isEmpty)
        #expect(self.registry.departed([Self.here], from: Self.third, now: 8) == [Self.here])
        #expect(!self.registry.isOnline(Self.here))
        #expect(self.registry.lastSeen(Self.here) == 8)
    }

    @Test("somebody who is known to be elsewhere does not come online by connecting here")
    func arrivedBefore() {
        #expect(self.registry.arrived([Self.here], at: Self.other, limits: self.limits).changed == [Self.here])
        let session = self.session(Self.here)
        #expect(self.registry.enter(session, limits: self.limits) == false)
        #expect(self.registry.departed([Self.here], from: Self.other, now: 1).isEmpty)
        #expect(self.registry.leave(session.id, user: Self.here, now: 2))
    }

    @Test("a box that goes takes everybody along who was only there")
    func forget() {
        _ = self.registry.enter(self.session(Self.here), limits: self.limits)
        let users = (10..<20).map { Sample.user($0) }
        _ = self.registry.arrived(users + [Self.here], at: Self.other, limits: self.limits)
        _ = self.registry.arrived(Array(users.prefix(3)), at: Self.third, limits: self.limits)
        #expect(self.registry.userCountEverywhere == 11)
        #expect(Set(self.registry.forget(Self.other, now: 9)) == Set(users.dropFirst(3)))
        #expect(self.registry.userCountEverywhere == 4)
        #expect(self.registry.userCount == 1)
        #expect(self.registry.hash(at: Self.other) == 0)
        #expect(self.registry.forget(Self.other, now: 9).isEmpty)
    }

    @Test("what comes twice counts once, and who leaves without having come does not count below nothing")
    func repeated() {
        #expect(self.registry.arrived([Self.there, Self.there], at: Self.other, limits: self.limits).changed == [Self.there])
        #expect(self.registry.arrived([Self.there], at: Self.other, limits: self.limits).changed.isEmpty)
        #expect(self.registry.departed([Self.there, Self.there], from: Self.other, now: 1) == [Self.there])
        #expect(self.registry.departed([Self.there], from: Self.other, now: 1).isEmpty)
        #expect(self.registry.departed([Self.there], from: Self.third, now: 1).isEmpty)
        #expect(self.registry.userCountEverywhere == 0)
    }

    @Test("a list of everybody puts right what was missed, in both directions")
    func replace() {
        _ = self.registry.arrived([Sample.user(1), Sample.user(2)], at: Self.other, limits: self.limits)
        let outcome = self.registry.replace(at: Self.other, with: [Sample.user(2), Sample.user(3)], now: 4, limits: self.limits)
        #expect(Set(outcome.changed) == [Sample.user(1), Sample.user(3)])
        #expect(outcome.areAllNoted)
        #expect(self.registry.isOnline(Sample.user(3)) && !self.registry.isOnline(Sample.user(1)))
    }

    @Test("beyond the bound nobody more is noted, and there is room again when somebody goes")
    func bound() {
        var limits = Limits()
        limits.onlineElsewhereMax = 3
        let users = (1...5).map { Sample.user($0) }
        let first = self.registry.arrived(users, at: Self.other, limits: limits)
        #expect(first.changed.count == 3 && !first.areAllNoted)
        #expect(!self.registry.arrived([Sample.user(9)], at: Self.third, limits: limits).areAllNoted, "the bound is that of all boxes together")
        #expect(self.registry.userCountEverywhere == 3)
        _ = self.registry.departed([Sample.user(1)], from: Self.other, now: 1)
        #expect(self.registry.arrived([Sample.user(9)], at: Self.third, limits: limits).areAllNoted)
        _ = self.registry.forget(Self.other, now: 1)
        #expect(self.registry.arrived([Sample.user(7), Sample.user(8)], at: Self.third, limits: limits).areAllNoted)
    }

    @Test("other boxes hear who came and who went, not who did both in between, and the hash is over what they were told")
    func changes() throws {
        let calls = Atomic(0)
        self.registry.listen { calls.add(1, ordering: .relaxed) }
        let (first, second) = (self.session(Sample.user(1)), self.session(Sample.user(2)))
        _ = self.registry.enter(first, limits: self.limits)
        _ = self.registry.enter(second, limits: self.limits)
        _ = self.registry.enter(self.session(Sample.user(1)), limits: self.limits)
        #expect(calls.load(ordering: .relaxed) == 1, "one call until the news is taken")
        #expect(self.registry.announcedHash == 0)
        _ = self.registry.leave(second.id, user: Sample.user(2), now: 1)
        let changes = self.registry.takeChanges()
        #expect(changes.came == [Sample.user(1)] && changes.left.isEmpty)
        #expect(self.registry.takeChanges().came.isEmpty)
        let told = OnlineRegistry()
        _ = told.arrived(changes.came, at: Self.other, limits: self.limits)
        #expect(told.hash(at: Self.other) == self.registry.announcedHash)
        _ = self.registry.leave(first.id, user: Sample.user(1), now: 1)
        #expect(self.registry.takeChanges().left.isEmpty, "the other connection is still there")
    }

    @Test("pages of who is here rise and miss nobody")
    func pages() {
        let users = (1...25).map { Sample.user($0) }
        for user in users.shuffled() { _ = self.registry.enter(self.session(user), limits: self.limits) }
        var (found, after) = ([UserID](), UserID?.none)
        while true {
            let page = self.registry.users(after: after, limit: 10)
            if page.isEmpty { break }
            found += page
            after = page.last
        }
        #expect(found == users.sorted())
    }

    @Test("typing goes to boxes where somebody of the audience is, and to no other")
    func boxes() {
        _ = self.registry.arrived([Sample.user(1), Sample.user(2)], at: Self.other, limits: self.limits)
        _ = self.registry.arrived([Sample.user(3)], at: Self.third, limits: self.limits)
        #expect(self.registry.boxes(of: [Sample.user(2), Sample.user(9)]) == [Self.other])
        #expect(Set(self.registry.boxes(of: [Sample.user(1), Sample.user(3)])) == [Self.other, Self.third])
        #expect(self.registry.boxes(of: [Sample.user(9)]).isEmpty)
    }
}
