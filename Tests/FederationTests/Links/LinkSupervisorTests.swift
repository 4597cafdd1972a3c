import Replication
import SkerryModel
import Testing

@testable import Federation

@Suite("the life of a dialled link")
struct LinkSupervisorTests {
    private typealias State = LinkSupervisor.State
    private typealias Event = LinkSupervisor.Event
    private typealias Effect = LinkSupervisor.Effect

    private static let limits = LinkLimits()
    private static let start: UInt64 = 1_000_000

    /// A supervisor that has come to this state by the straight way; `random` gives the bound itself, less one.
    private static func supervisor(_ state: State, endpoints: [String] = ["a:1", "b:2"]) -> LinkSupervisor {
        var supervisor = LinkSupervisor(limits: Self.limits) { $0 - 1 }
        if state == .idle { return supervisor }
        let way: [(Event, State)] = [
            (.wanted(endpoints: endpoints), .dialing), (.dialed, .tls), (.secured, .connack), (.admitted, .subscribing), (.subscribed, .live),
        ]
        for (event, next) in way {
            _ = supervisor.step(event, now: Self.start)
            if next == state { return supervisor }
        }
        _ = supervisor.step(.ended("gone"), now: Self.start)
        return supervisor
    }

    private static func failure(_ stage: LinkFailure.Stage) -> LinkFailure { LinkFailure(stage, "lost") }
    private static func late(_ stage: LinkFailure.Stage) -> LinkFailure { LinkFailure(stage, "no answer within 10 seconds") }
    private static let unwanted = LinkFailure(.live, "the link is not wanted any more")

    /// The whole table: every event in every state, long after any deadline.
    private static let table: [(State, Event, State, [Effect])] = [
        (.idle, .wanted(endpoints: ["c:3"]), .dialing, [.dial(endpoint: "c:3")]),
        (.idle, .wanted(endpoints: []), .idle, []),
        (.idle, .unwanted, .idle, []), (.idle, .dialed, .idle, []), (.idle, .secured, .idle, []), (.idle, .admitted, .idle, []),
        (.idle, .subscribed, .idle, []), (.idle, .ended("lost"), .idle, []), (.idle, .tick, .idle, []),

        (.dialing, .wanted(endpoints: ["c:3"]), .dialing, []), (.dialing, .unwanted, .idle, [.drop]), (.dialing, .dialed, .tls, []),
        (.dialing, .secured, .connack, []), (.dialing, .admitted, .subscribing, [.subscribe]), (.dialing, .subscribed, .dialing, []),
        (.dialing, .ended("lost"), .backoff, [.drop, .failed(failure(.dialing))]), (.dialing, .tick, .backoff, [.drop, .failed(late(.dialing))]),

        (.tls, .wanted(endpoints: ["c:3"]), .tls, []), (.tls, .unwanted, .idle, [.drop]), (.tls, .dialed, .tls, []), (.tls, .secured, .connack, []),
        (.tls, .admitted, .subscribing, [.subscribe]), (.tls, .subscribed, .tls, []), (.tls, .ended("lost"), .backoff, [.drop, .failed(failure(.tls))]),
        (.tls, .tick, .backoff, [.drop, .failed(late(.tls))]),

        (.connack, .wanted(endpoints: ["c:3"]), .connack, []), (.connack, .unwanted, .idle, [.drop]), (.connack, .dialed, .connack, []),
        (.connack, .secured, .connack, []), (.connack, .admitted, .subscribing, [.subscribe]), (.connack, .subscribed, .connack, []),
        (.connack, .ended("lost"), .backoff, [.drop, .failed(failure(.connack))]), (.connack, .tick, .backoff, [.drop, .failed(late(.connack))]),

        (.subscribing, .wanted(endpoints: ["c:3"]), .subscribing, []), (.subscribing, .unwanted, .idle, [.drop]),
        (.subscribing, .dialed, .subscribing, []), (.subscribing, .secured, .subscribing, []), (.subscribing, .admitted, .subscribing, []),
        (.subscribing, .subscribed, .live, [.up]), (.subscribing, .ended("lost"), .backoff, [.drop, .failed(failure(.subscribing))]),
        (.subscribing, .tick, .backoff, [.drop, .failed(late(.subscribing))]),

        (.live, .wanted(endpoints: ["c:3"]), .live, []), (.live, .unwanted, .idle, [.drop, .down(unwanted)]), (.live, .dialed, .live, []),
        (.live, .secured, .live, []), (.live, .admitted, .live, []), (.live, .subscribed, .live, []),
        (.live, .ended("lost"), .backoff, [.drop, .down(failure(.live))]), (.live, .tick, .live, []),

        (.backoff, .wanted(endpoints: ["c:3"]), .backoff, []), (.backoff, .unwanted, .idle, []), (.backoff, .dialed, .backoff, []),
        (.backoff, .secured, .backoff, []), (.backoff, .admitted, .backoff, []), (.backoff, .subscribed, .backoff, []),
        (.backoff, .ended("lost"), .backoff, []), (.backoff, .tick, .dialing, [.dial(endpoint: "a:1")]),
    ]

    @Test("every event in every state has its one outcome", arguments: 0..<Self.table.count)
    func transition(_ row: Int) {
        let (state, event, next, effects) = Self.table[row]
        var supervisor = Self.supervisor(state)
        #expect(supervisor.state == state)
        #expect(supervisor.step(event, now: Self.start + 3_600_000) == effects, "\(state) \(event)")
        #expect(supervisor.state == next, "\(state) \(event)")
    }

    @Test("the table names every state with every event")
    func wholeTable() {
        let states: [State] = [.idle, .dialing, .tls, .connack, .subscribing, .live, .backoff]
        for state in states {
            let kinds = Self.table.filter { $0.0 == state }.map { "\($0.1)".prefix { $0 != "(" } }
            #expect(Set(kinds).count == 8, "\(state)")
        }
    }

    @Test("each step may take ten seconds and not a millisecond more", arguments: [0, 1, 2, 3])
    func deadlines(_ step: Int) {
        let states: [State] = [.dialing, .tls, .connack, .subscribing]
        var supervisor = Self.supervisor(states[step])
        #expect(supervisor.deadline == Self.start + 10_000)
        #expect(supervisor.step(.tick, now: Self.start + 9_999).isEmpty)
        #expect(supervisor.step(.tick, now: Self.start + 10_000).first == .drop)
    }

    @Test("waits grow from one second to a minute, and each is anything up to that")
    func backoff() {
        var bounds: [UInt64] = []
        var supervisor = LinkSupervisor(limits: Self.limits) { bound in
            bounds.append(bound - 1)
            return 0
        }
        _ = supervisor.step(.wanted(endpoints: ["a:1"]), now: 0)
        for _ in 0..<9 {
            _ = supervisor.step(.ended("lost"), now: 0)
            #expect(supervisor.step(.tick, now: 0) == [.dial(endpoint: "a:1")])
        }
        #expect(bounds == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
    }

    @Test("a link that lasted starts over with short waits, one that did not waits longer")
    func flapping() {
        for (lasts, expected) in [(9_999 as UInt64, 8_000 as UInt64), (10_000, 1_000)] {
            var last: UInt64 = 0
            var supervisor = LinkSupervisor(limits: Self.limits) { bound in
                last = bound - 1
                return 0
            }
            _ = supervisor.step(.wanted(endpoints: ["a:1"]), now: 0)
            for _ in 0..<3 {
                _ = supervisor.step(.ended("lost"), now: 0)
                _ = supervisor.step(.tick, now: 0)
            }
            for event in [Event.dialed, .secured, .admitted, .subscribed] { _ = supervisor.step(event, now: 0) }
            _ = supervisor.step(.ended("lost"), now: lasts)
            #expect(last == expected)
        }
    }

    @Test("every attempt takes the next endpoint, and after a link the one that worked comes first")
    func endpoints() {
        var supervisor = LinkSupervisor(limits: Self.limits) { _ in 0 }
        var dialled: [Effect] = supervisor.step(.wanted(endpoints: ["a:1", "b:2", "c:3"]), now: 0)
        for _ in 0..<4 {
            _ = supervisor.step(.ended("lost"), now: 0)
            dialled += supervisor.step(.tick, now: 0)
        }
        #expect(dialled == ["a:1", "b:2", "c:3", "a:1", "b:2"].map { .dial(endpoint: $0) })
        for event in [Event.dialed, .secured, .admitted, .subscribed, .ended("lost")] { _ = supervisor.step(event, now: 0) }
        #expect(supervisor.step(.tick, now: 0) == [.dial(endpoint: "b:2")])
    }

    @Test("news of where the peer is cuts the wait short")
    func news() {
        var supervisor = LinkSupervisor(limits: Self.limits) { $0 - 1 }
        _ = supervisor.step(.wanted(endpoints: ["a:1"]), now: 0)
        for _ in 0..<7 {
            _ = supervisor.step(.ended("lost"), now: 0)
            _ = supervisor.step(.tick, now: 100_000)
        }
        _ = supervisor.step(.ended("lost"), now: 0)
        #expect(supervisor.deadline == 60_000)
        _ = supervisor.step(.wanted(endpoints: ["a:1"]), now: 10)
        #expect(supervisor.deadline == 60_000)
        _ = supervisor.step(.wanted(endpoints: ["b:2"]), now: 10)
        #expect(supervisor.deadline == 1_010)
        #expect(supervisor.step(.tick, now: 1_010) == [.dial(endpoint: "b:2")])
    }
}

@Suite("where a peer is dialled")
struct LinkEndpointTests {
    @Test("addresses with a port are taken, names and nonsense are not")
    func texts() {
        #expect(LinkEndpoint("10.0.0.2:8884")?.address == "10.0.0.2")
        #expect(LinkEndpoint("[fd00::1]:1")?.address == "fd00::1")
        #expect(LinkEndpoint("[fd00::1]:1")?.port == 1)
        for text in ["", ":", "10.0.0.2", "10.0.0.2:", "10.0.0.2:0", "10.0.0.2:65536", "10.0.0.2:-1", "box.local:8884", "[fd00::1]", "a:b:c"] {
            #expect(LinkEndpoint(text) == nil, "\(text)")
        }
    }
}
