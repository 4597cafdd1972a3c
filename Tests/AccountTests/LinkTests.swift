import SkerryModel
import Testing

@testable import Account

@Suite("Claim, invite and reset links")
struct LinkTests {
    static func record(_ purpose: InviteRecord.Purpose, _ change: (inout InviteRecord) -> Void = { _ in }) -> InviteRecord {
        var record = InviteRecord(
            id: InviteID(Bytes16(high: 1, low: 2)), tokenHash: [], purpose: purpose, uses: 2, used: 0, createdBy: nil, createdMilliseconds: 0,
            expiresMilliseconds: 1_000, isRevoked: false, stamp: .zeroForTests)
        change(&record)
        return record
    }

    private func code(_ body: () throws -> Void) -> ErrorCode? {
        do { try body() } catch { return (error as? SkerryError)?.code }
        return nil
    }

    @Test("An open invite gives its role; every use counts, the last one ends it")
    func uses() throws {
        var record = Self.record(.join(.admin))
        #expect(try InviteRules.join(record, now: 0).role == .admin)
        record = InviteRules.using(record)
        #expect(record.used == 1)
        _ = try InviteRules.join(record, now: 0)
        record = InviteRules.using(record)
        #expect(self.code { _ = try InviteRules.join(record, now: 0) } == .gone)
        #expect(InviteRules.using(record).used == 2)
    }

    @Test(
        "A link that is over says so to whoever holds it",
        arguments: [(false, 2 as UInt32, 0 as UInt64), (true, 0, 0), (false, 0, 1_000)])
    func over(_ isRevoked: Bool, _ used: UInt32, _ now: UInt64) {
        let change: (inout InviteRecord) -> Void = {
            $0.isRevoked = isRevoked
            $0.used = used
        }
        let user = UserID(Bytes16(high: 0, low: 1))
        #expect(self.code { _ = try InviteRules.join(Self.record(.join(.user), change), now: now) } == .gone)
        #expect(self.code { _ = try InviteRules.reset(Self.record(.reset(user), change), now: now) } == .gone)
        #expect(self.code { _ = try ClaimRules.check(Self.record(.claim, change), hasAdministrator: false, now: now) } == .gone)
    }

    @Test("A token of another purpose is as unknown as one nobody made")
    func otherPurpose() throws {
        let user = UserID(Bytes16(high: 0, low: 1))
        let all: [InviteRecord?] = [nil, Self.record(.claim), Self.record(.join(.user)), Self.record(.reset(user))]
        for record in all {
            if case .join? = record?.purpose {} else { #expect(throws: InviteRules.unknown) { _ = try InviteRules.join(record, now: 0) } }
            if case .reset? = record?.purpose {} else { #expect(throws: InviteRules.unknown) { _ = try InviteRules.reset(record, now: 0) } }
            if case .claim? = record?.purpose {
            } else {
                for claimed in [false, true] {
                    #expect(throws: InviteRules.unknown) { _ = try ClaimRules.check(record, hasAdministrator: claimed, now: 0) }
                }
            }
        }
        #expect(try InviteRules.reset(Self.record(.reset(user)), now: 999).user == user)
    }

    @Test("A claimed box cannot be claimed again")
    func claimOnce() throws {
        _ = try ClaimRules.check(Self.record(.claim), hasAdministrator: false, now: 0)
        #expect(self.code { _ = try ClaimRules.check(Self.record(.claim), hasAdministrator: true, now: 0) } == .gone)
        try ClaimRules.checkOpening(hasAdministrator: false)
        #expect(self.code { try ClaimRules.checkOpening(hasAdministrator: true) } == .gone)
    }

    @Test(
        "Invites are bounded in uses and hours",
        arguments: [(0, 1, false), (1, 1, true), (1_000, 720, true), (1_001, 1, false), (1, 0, false), (1, 721, false), (-1, 5, false)])
    func bounds(_ uses: Int, _ hours: Int, _ isGood: Bool) {
        #expect((self.code { try InviteRules.check(uses: uses, hours: hours) } == nil) == isGood)
    }
}

extension Order {
    static var zeroForTests: Order {
        guard let origin = BoxID([UInt8](repeating: 0, count: BoxID.byteCount)) else { preconditionFailure("ten bytes make a box id") }
        return Order(hlc: HLC(rawValue: 0), origin: origin, epoch: 0, seq: 0)
    }
}
