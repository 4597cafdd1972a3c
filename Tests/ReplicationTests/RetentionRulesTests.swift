import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Which entries are dead")
struct RetentionRulesTests {
    private static let day: UInt64 = 24 * 60 * 60 * 1000
    private static let now = 1_000 * day
    private let policy = RetentionPolicy(messageMilliseconds: 30 * day)

    private func subject(_ body: EntryBody, at seq: UInt64, box: UInt8 = 1, days: UInt64) -> RetentionSubject {
        RetentionSubject(
            Entry(hlc: HLC(milliseconds: Self.now - days * Self.day, counter: 0), body: body),
            at: LogPosition(log: Sample.log(body.stream, box: Sample.box(box)), seq: seq))
    }

    private func dead(_ subjects: [RetentionSubject], policy: RetentionPolicy? = nil) -> [LogEpoch: [ClosedRange<UInt64>]] {
        RetentionRules.dead(among: subjects, nowMilliseconds: Self.now, policy: policy ?? self.policy)
    }

    private func block(_ target: Int, _ isOn: Bool) -> EntryBody { .block(owner: Sample.user(1), target: Sample.user(target), isOn: isOn) }

    @Test("Messages and what was done to them go by the age of their stamp; with no limit they stay")
    func messages() {
        let change = MessageChange(target: Sample.message(1), conversation: Sample.conversation(1), by: Sample.user(1))
        let subjects = [
            self.subject(EntryCodecTests.message(.text("a")), at: 1, days: 40), self.subject(.recall(change), at: 2, days: 31),
            self.subject(EntryCodecTests.message(.text("b")), at: 3, days: 30), self.subject(.edit(change, text: "c"), at: 5, days: 35),
        ]
        #expect(self.dead(subjects) == [Sample.log(): [1...2, 5...5]])
        #expect(self.dead(subjects, policy: RetentionPolicy()).isEmpty)
    }

    @Test("Of rows with one key the greatest order stays, wherever and in what order they came")
    func rows() {
        let subjects = [
            self.subject(self.block(2, true), at: 1, days: 9), self.subject(self.block(2, false), at: 2, days: 7),
            self.subject(self.block(3, true), at: 3, days: 900), self.subject(self.block(2, true), at: 1, box: 2, days: 8),
        ]
        let expected = [Sample.log(.control): [1...1], Sample.log(.control, box: Sample.box(2)): [1...1]] as [LogEpoch: [ClosedRange<UInt64>]]
        #expect(self.dead(subjects) == expected)
        #expect(self.dead(subjects.reversed()) == expected)
    }

    @Test("What is known to be greater elsewhere counts too")
    func winners() throws {
        let old = self.subject(self.block(2, true), at: 1, days: 9)
        let key = try #require(old.key)
        let dead = RetentionRules.dead(
            among: [old], winners: [key: self.subject(self.block(2, true), at: 9, days: 1).order], nowMilliseconds: Self.now, policy: self.policy)
        #expect(dead == [Sample.log(.control): [1...1]])
    }

    @Test("That something is gone is kept for 120 days; that it is there, for ever")
    func tombstones() {
        let subjects = [
            self.subject(self.block(2, false), at: 1, days: 120), self.subject(self.block(3, false), at: 2, days: 121),
            self.subject(self.block(4, true), at: 3, days: 900),
        ]
        #expect(self.dead(subjects) == [Sample.log(.control): [2...2]])
    }

    @Test("A member that was removed stays removed for ever")
    func members() {
        let member = MemberEntry(
            box: Sample.box(2), standing: .removed, name: "x", publicKey: [1], logKey: [2], endpoints: [], version: 3)
        #expect(self.dead([self.subject(.member(member), at: 1, days: 900)]).isEmpty)
    }

    @Test("A receipt replaces those of its own origin only: the greatest counts, not the last")
    func receipts() {
        func receipt(_ read: Int) -> EntryBody {
            .receipt(conversation: Sample.conversation(1), user: Sample.user(1), received: nil, read: Sample.order(read))
        }
        let subjects = [
            self.subject(receipt(5), at: 1, days: 3), self.subject(receipt(10), at: 2, days: 2), self.subject(receipt(3), at: 1, box: 2, days: 1),
        ]
        #expect(self.dead(subjects) == [Sample.log(): [1...1]])
    }

    @Test("Rows of different kinds never replace each other, unknown entries are never replaced, and nothing from the future expires")
    func apart() {
        let subjects = [
            self.subject(.unknown(type: 99, bytes: [1]), at: 1, days: 3), self.subject(.unknown(type: 99, bytes: [1]), at: 2, days: 2),
            self.subject(self.block(2, true), at: 3, days: 9),
            self.subject(EntryCodecTests.membership(.left, .member, since: nil), at: 4, days: 8),
        ]
        #expect(self.dead(subjects).isEmpty)
        var late = self.subject(EntryCodecTests.message(.text("a")), at: 1, days: 0)
        late.hlc = HLC(milliseconds: Self.now * 2, counter: 0)
        #expect(RetentionRules.fate(of: late, winner: nil, nowMilliseconds: Self.now, policy: self.policy) == .kept)
    }
}
