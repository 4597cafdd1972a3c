import SkerryModel
import Testing

@testable import Replication

/// Whether another box is there (FEDERATION.md §3): every state and everything that can be heard in it.
struct LivenessTests {
    private static let old = StartMark(counter: 1, nonce: 11)
    private static let run = StartMark(counter: 2, nonce: 22)
    private static let next = StartMark(counter: 3, nonce: 33)
    /// When the last word of the box came, in every state that had one.
    private static let heard: UInt64 = 1_000_000

    /// A box in the state, by the shortest way there.
    private static func box(_ state: BoxLiveness) -> Liveness {
        var box = Liveness()
        if state == .unknown { return box }
        box.hear(.heartbeat(Self.old, uptime: 500), now: Self.heard - 60_000)
        box.hear(.heartbeat(Self.run, uptime: 100), now: Self.heard)
        switch state {
        case .unknown, .alive: break
        case .suspect: box.hear(.lost, now: Self.heard)
        case .down:
            box.hear(.tick, now: Self.heard + 15_000)
            box.hear(.tick, now: Self.heard + 30_000)
        case .leaving: box.hear(.leaving(Self.run), now: Self.heard)
        case .unreachable:
            box.hear(.sighted(ageMilliseconds: 0), now: Self.heard + 29_000)
            box.hear(.tick, now: Self.heard + 30_000)
        }
        return box
    }

    /// What is heard, and how long after the box's last word.
    private enum Word: String, CaseIterable {
        case heartbeat, repeated, late, newRun, online, leaving, lateLeaving, lost, sighted, sightedLongAgo, tick1, tick15, tick30, tick70

        var event: Liveness.Event {
            switch self {
            case .heartbeat: .heartbeat(run, uptime: 5_100)
            case .repeated: .heartbeat(run, uptime: 100)
            case .late: .heartbeat(old, uptime: 9_000)
            case .newRun: .heartbeat(next, uptime: 1)
            case .online: .online(run)
            case .leaving: .leaving(run)
            case .lateLeaving: .leaving(old)
            case .lost: .lost
            case .sighted: .sighted(ageMilliseconds: 4_000)
            case .sightedLongAgo: .sighted(ageMilliseconds: 40_000)
            case .tick1, .tick15, .tick30, .tick70: .tick
            }
        }

        var after: UInt64 {
            switch self {
            case .tick1: 1_000
            case .tick15: 15_000
            case .tick30: 30_000
            case .tick70: 70_000
            default: 31_000
            }
        }
    }

    private static let expected: [(BoxLiveness, [Word: BoxLiveness])] = [
        (
            .unknown,
            [
                .heartbeat: .alive, .repeated: .alive, .late: .alive, .newRun: .alive, .online: .alive, .leaving: .leaving, .lateLeaving: .leaving,
                .sighted: .unreachable,
            ]
        ),
        (.alive, [.leaving: .leaving, .lost: .suspect, .tick15: .suspect, .tick30: .down, .tick70: .down]),
        (.suspect, [.heartbeat: .alive, .newRun: .alive, .online: .alive, .leaving: .leaving, .tick30: .down, .tick70: .down]),
        (.down, [.heartbeat: .alive, .newRun: .alive, .online: .alive, .leaving: .leaving, .sighted: .unreachable]),
        (.leaving, [.newRun: .alive, .online: .alive, .lost: .down, .tick15: .down, .tick30: .down, .tick70: .down]),
        (.unreachable, [.heartbeat: .alive, .newRun: .alive, .online: .alive, .leaving: .leaving, .tick70: .down]),
    ]

    @Test("every state meets every word: it becomes what the design says, and nothing else changes it", arguments: Self.expected.map(\.0))
    func table(_ state: BoxLiveness) throws {
        let changes = try #require(Self.expected.first { $0.0 == state }).1
        for word in Word.allCases {
            var box = Self.box(state)
            try #require(box.state == state)
            let hasChanged = box.hear(word.event, now: Self.heard + word.after)
            let wanted = changes[word] ?? state
            #expect(box.state == wanted, "\(state) hears \(word.rawValue)")
            #expect(hasChanged == (wanted != state), "\(state) hears \(word.rawValue)")
        }
        #expect(Self.expected.map(\.0).count == BoxLiveness.allCases.count)
    }

    @Test("a box that somebody else still hears is unreachable instead of down, until nobody has for half a minute")
    func thirdParty() {
        var box = Self.box(.alive)
        box.hear(.sighted(ageMilliseconds: 2_000), now: Self.heard + 25_000)
        box.hear(.tick, now: Self.heard + 30_000)
        #expect(box.state == .unreachable)
        // Heard of anew, five seconds ago by then.
        box.hear(.sighted(ageMilliseconds: 5_000), now: Self.heard + 50_000)
        box.hear(.tick, now: Self.heard + 74_000)
        #expect(box.state == .unreachable)
        box.hear(.tick, now: Self.heard + 75_000)
        #expect(box.state == .down)
    }

    @Test("silence is counted from the last word, not from when the link broke")
    func silence() {
        var box = Self.box(.alive)
        box.hear(.lost, now: Self.heard + 4_000)
        #expect(box.state == .suspect)
        box.hear(.tick, now: Self.heard + 29_999)
        #expect(box.state == .suspect)
        box.hear(.tick, now: Self.heard + 30_000)
        #expect(box.state == .down)
    }

    @Test("a restarted box is news whatever its counter says: one restored from a backup counts from lower")
    func restored() {
        var box = Self.box(.down)
        let isNews = box.hear(.heartbeat(StartMark(counter: 1, nonce: 99), uptime: 3), now: Self.heard + 40_000)
        #expect(isNews)
        #expect(box.state == .alive)
        #expect(box.start == StartMark(counter: 1, nonce: 99))
    }

    @Test("words of runs that are over say nothing, up to eight of them")
    func pastRuns() {
        var box = Liveness()
        for counter in 1...20 as ClosedRange<UInt64> { box.hear(.heartbeat(StartMark(counter: counter, nonce: counter), uptime: 1), now: counter) }
        box.hear(.lost, now: 30)
        for counter in 12...19 as ClosedRange<UInt64> {
            box.hear(.heartbeat(StartMark(counter: counter, nonce: counter), uptime: 99), now: 40)
            #expect(box.state == .suspect)
        }
        #expect(box.start?.counter == 20)
    }

    @Test("a clock that stands still or a word from before the start of the observer's clock makes nobody young or old")
    func edges() {
        var box = Liveness()
        box.hear(.sighted(ageMilliseconds: 255_000), now: 10)
        #expect(box.state == .unreachable, "the age is cut at the beginning of the clock")
        box.hear(.heartbeat(Self.run, uptime: 1), now: 10)
        box.hear(.tick, now: 5)
        #expect(box.state == .alive)
    }
}
