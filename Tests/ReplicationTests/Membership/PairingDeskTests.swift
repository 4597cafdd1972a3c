import SkerryModel
import Testing

@testable import Replication

@Suite struct PairingDeskTests {
    private static let secret = [UInt8](repeating: 7, count: 16)
    private static let transcript = Array("transcript".utf8)
    private static let minute: UInt64 = 60_000

    private static func guest(_ number: UInt8) -> PairingDesk.Guest {
        PairingDesk.Guest(box: BoxID([UInt8](repeating: number, count: 10))!, name: "box \(number)", words: "w", address: "10.0.0.\(number)")
    }

    /// What a box does at the desk, by name.
    private enum Act: CaseIterable {
        case good, other, badProof, noGuest, approve, ignore
    }

    private static func act(_ act: Act, on desk: inout PairingDesk, now: UInt64) -> PairingDesk.Verdict? {
        let secret = PairingSecret(Self.secret)
        let mac = secret.mac(Self.transcript)
        switch act {
        case .good: return desk.hello(token: secret.id, mac: mac, transcript: Self.transcript, guest: Self.guest(1), now: now)
        case .other: return desk.hello(token: secret.id, mac: mac, transcript: Self.transcript, guest: Self.guest(2), now: now)
        case .badProof: return desk.hello(token: secret.id, mac: [1], transcript: Self.transcript, guest: Self.guest(1), now: now)
        case .noGuest: return desk.hello(token: secret.id, mac: mac, transcript: Self.transcript, guest: nil, now: now)
        case .approve: return desk.approve(Self.guest(1).box, now: now) ? .admit : nil
        case .ignore: return desk.ignore(Self.guest(1).box, now: now) ? .admit : nil
        }
    }

    private static let none: PairingDesk.Verdict? = nil

    private enum Place: CaseIterable {
        case never, open, openWaits, expired, waiting, admitted, ignored, void, approvalOver
    }

    /// A desk with a token in that state, and the time it is.
    private static func desk(_ place: Place) -> (PairingDesk, UInt64) {
        var desk = PairingDesk()
        let waits = [.openWaits, .waiting, .ignored, .approvalOver].contains(place)
        if place != .never { _ = desk.open(Self.secret, waits: waits, now: 0) }
        switch place {
        case .never, .open, .openWaits: return (desk, 1)
        case .expired: return (desk, 10 * Self.minute)
        case .waiting, .approvalOver: #expect(Self.act(.good, on: &desk, now: 1) == .wait)
        case .admitted: #expect(Self.act(.good, on: &desk, now: 1) == .admit)
        case .ignored:
            #expect(Self.act(.good, on: &desk, now: 1) == .wait)
            _ = desk.ignore(Self.guest(1).box, now: 1)
        case .void: for _ in 0..<5 { _ = Self.act(.badProof, on: &desk, now: 1) }
        }
        return (desk, place == .approvalOver ? 30 * Self.minute + 1 : 2)
    }

    @Test("in every state, every event has the answer that the table says")
    func table() {
        let table: [Place: [Act: PairingDesk.Verdict?]] = [
            .never: [
                .good: .refuse(.unknownToken), .other: .refuse(.unknownToken), .badProof: .refuse(.unknownToken), .noGuest: .refuse(.unknownToken),
                .approve: Self.none, .ignore: Self.none,
            ],
            .open: [.good: .admit, .other: .admit, .badProof: .refuse(.badProof), .noGuest: .refuse(.badProof), .approve: Self.none, .ignore: Self.none],
            .openWaits: [.good: .wait, .other: .wait, .badProof: .refuse(.badProof), .noGuest: .refuse(.badProof), .approve: Self.none, .ignore: Self.none],
            .expired: [
                .good: .refuse(.expired), .other: .refuse(.expired), .badProof: .refuse(.expired), .noGuest: .refuse(.expired), .approve: Self.none,
                .ignore: Self.none,
            ],
            .waiting: [
                .good: .wait, .other: .refuse(.used), .badProof: .refuse(.badProof), .noGuest: .refuse(.badProof), .approve: .admit, .ignore: .admit,
            ],
            .admitted: [
                .good: .admit, .other: .refuse(.used), .badProof: .refuse(.badProof), .noGuest: .refuse(.badProof), .approve: Self.none, .ignore: Self.none,
            ],
            .ignored: [
                .good: .refuse(.ignored), .other: .refuse(.used), .badProof: .refuse(.badProof), .noGuest: .refuse(.badProof), .approve: Self.none,
                .ignore: Self.none,
            ],
            .void: [
                .good: .refuse(.void), .other: .refuse(.void), .badProof: .refuse(.void), .noGuest: .refuse(.void), .approve: Self.none, .ignore: Self.none,
            ],
            .approvalOver: [
                .good: .refuse(.expired), .other: .refuse(.used), .badProof: .refuse(.badProof), .noGuest: .refuse(.badProof), .approve: Self.none,
                .ignore: Self.none,
            ],
        ]
        for place in Place.allCases {
            for act in Act.allCases {
                var (desk, now) = Self.desk(place)
                guard let expected = table[place]?[act] else {
                    Issue.record("the table has no row for \(place), \(act)")
                    continue
                }
                #expect(Self.act(act, on: &desk, now: now) == expected, "\(place), \(act)")
            }
        }
    }

    @Test("the fifth wrong proof voids a token, for whoever comes with the right one too")
    func tries() {
        var (desk, _) = Self.desk(.open)
        for _ in 0..<4 { #expect(Self.act(.badProof, on: &desk, now: 5) == .refuse(.badProof)) }
        #expect(Self.act(.badProof, on: &desk, now: 5) == .refuse(.void))
        #expect(Self.act(.good, on: &desk, now: 5) == .refuse(.void))
    }

    @Test("four wrong proofs do not")
    func fewTries() {
        var (desk, _) = Self.desk(.open)
        for _ in 0..<4 { _ = Self.act(.badProof, on: &desk, now: 5) }
        #expect(Self.act(.good, on: &desk, now: 5) == .admit)
    }

    @Test("a token is good to the last millisecond of its ten minutes, and is remembered after")
    func expiry() {
        var (desk, _) = Self.desk(.open)
        #expect(Self.act(.good, on: &desk, now: 10 * Self.minute - 1) == .admit)
        var (late, _) = Self.desk(.open)
        #expect(Self.act(.good, on: &late, now: 10 * Self.minute) == .refuse(.expired))
        #expect(Self.act(.good, on: &late, now: 19 * Self.minute) == .refuse(.expired))
        #expect(Self.act(.good, on: &late, now: 21 * Self.minute) == .refuse(.unknownToken))
    }

    @Test("a box that waits may be approved after its token's ten minutes, and then come")
    func lateApproval() {
        var (desk, _) = Self.desk(.waiting)
        #expect(desk.waiting(now: 25 * Self.minute).map(\.guest.box) == [Self.guest(1).box])
        let result1 = desk.approve(Self.guest(1).box, now: 25 * Self.minute)
        #expect(result1)
        #expect(desk.waiting(now: 25 * Self.minute).isEmpty)
        #expect(Self.act(.good, on: &desk, now: 26 * Self.minute) == .admit)
        #expect(Self.act(.other, on: &desk, now: 26 * Self.minute) == .refuse(.used))
    }

    @Test("no more tokens than the limit are open; spent ones make room")
    func full() {
        var desk = PairingDesk()
        for number in 0..<8 {
            let isOpen = desk.open([UInt8](repeating: UInt8(number), count: 16), waits: false, now: 0)
            #expect(isOpen)
        }
        let result2 = desk.open([UInt8](repeating: 9, count: 16), waits: false, now: 1)
        #expect(!result2)
        let used = PairingSecret([UInt8](repeating: 3, count: 16))
        let result3 = desk.hello(token: used.id, mac: used.mac([1]), transcript: [1], guest: Self.guest(1), now: 2)
        #expect(result3 == .admit)
        let result4 = desk.open([UInt8](repeating: 9, count: 16), waits: false, now: 3)
        #expect(result4)
        let result5 = desk.open([UInt8](repeating: 10, count: 16), waits: false, now: 4)
        #expect(!result5)
        let result6 = desk.open([UInt8](repeating: 10, count: 16), waits: false, now: 10 * Self.minute)
        #expect(result6, "what has expired makes room")
    }

    @Test("whoever guesses is soon told to come later, and a real box is not kept out")
    func guessing() {
        var (desk, _) = Self.desk(.open)
        var verdicts: [PairingDesk.Verdict] = []
        for number in 0..<30 {
            verdicts.append(desk.hello(token: [UInt8](repeating: UInt8(number), count: 8), mac: [], transcript: [], guest: nil, now: 10))
        }
        #expect(verdicts.prefix(20).allSatisfy { $0 == .refuse(.unknownToken) })
        #expect(verdicts.suffix(10).allSatisfy { $0 == .refuse(.busy) })
        #expect(Self.act(.good, on: &desk, now: 10) == .admit)
        let result7 = desk.hello(token: [0, 0, 0, 0, 0, 0, 0, 0], mac: [], transcript: [], guest: nil, now: 3_100)
        #expect(result7 == .refuse(.unknownToken))
    }
}
