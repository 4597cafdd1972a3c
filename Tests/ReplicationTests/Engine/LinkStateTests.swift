import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Engine: a link, in every state")
struct LinkStateTests {
    private static let peer = Sample.box(2)
    private static let log = Sample.log(box: Sample.box(2))
    private static let own = Sample.log(epoch: 4)

    enum Happening: String, CaseIterable {
        case linkUp, linkDown, acknowledgedAll, hello, helloOfOldVersion, helloOfOtherFederation, answer, digest, partialDigest, batch, brokenBatch, ranges
        case rangeAnswer, smallAppend, largeAppend, headOnly, applied, applyFailed, rangeRead, lowWater, identityTaken, tick, removal, members
    }

    private static let limits = EngineLimits.with { $0.windowBytesMax = 4_096 }

    /// A box in that state, with this box's log a little along.
    private static func rig(in phase: PeerSync.Phase) -> EngineRig {
        var rig = EngineRig(limits: Self.limits)
        rig.append(Self.own, 1...2)
        switch phase {
        case .absent: break
        case .greeting: rig.step(.linkUp(Self.peer))
        case .live: rig.makeLive(Self.peer, [Self.own: 2])
        case .lagging:
            rig.makeLive(Self.peer, [Self.own: 2])
            rig.append(Self.own, 3...202)
        }
        return rig
    }

    private static func phase(_ rig: EngineRig) -> PeerSync.Phase { rig.sync(Self.peer)?.phase ?? .absent }

    private static func apply(_ happening: Happening, to rig: inout EngineRig) {
        let head = rig.engine.heads[Self.own] ?? 0
        switch happening {
        case .linkUp: rig.step(.linkUp(Self.peer))
        case .linkDown: rig.step(.linkDown(Self.peer))
        case .acknowledgedAll: rig.step(.acknowledged(Self.peer, bytes: .max))
        case .hello: rig.hearHello(Self.peer)
        case .helloOfOldVersion: rig.hearHello(Self.peer, rig.hello(Self.peer, versions: 0...0))
        case .helloOfOtherFederation: rig.hearHello(Self.peer, rig.hello(Self.peer, federation: EngineRig.federation(2)))
        case .answer: rig.answerHello(Self.peer)
        case .digest: rig.hearDigest(Self.peer, [Self.own: head])
        case .partialDigest: rig.hearDigest(Self.peer, [Self.own: head], isPartial: true)
        case .batch: rig.hearBatch(EngineRig.batch(Self.log, 1...1))
        case .brokenBatch: rig.hear(Self.peer, .message, [1, 2, 3])
        case .ranges:
            rig.hear(
                Self.peer, .request,
                LinkRequest(.range, correlation: 5, body: RangeCodec.encode(.entries(Self.own, from: 1, bytesMax: 1_000))).payload)
        case .rangeAnswer:
            rig.hear(
                Self.peer, .response,
                LinkRequest(.range, correlation: 5, body: RangeCodec.encode(.entries(Self.log, head: 9, []), of: EngineRig.federation)).payload)
        case .smallAppend: rig.append(Self.own, (head + 1)...(head + 1))
        case .largeAppend: rig.append(Self.own, (head + 1)...(head + 200))
        case .headOnly: rig.step(.appended(CommittedRun(log: Self.own, firstSeq: head + 200, entries: [])))
        case .applied: rig.step(.applied(999, heads: [Self.log: 5]))
        case .applyFailed: rig.step(.applyFailed(999))
        case .rangeRead: rig.step(.rangeRead(999, .absent))
        case .lowWater: rig.step(.lowWater([Self.own: 1]))
        case .identityTaken: rig.step(.identityTaken)
        case .tick: rig.wait(1_000)
        case .removal:
            rig.members[Self.peer]?.standing = .removed
            rig.step(.members(rig.members))
        case .members: rig.step(.members(rig.members))
        }
    }

    private static func expected(_ happening: Happening, in phase: PeerSync.Phase) -> PeerSync.Phase {
        switch (happening, phase) {
        case (.linkUp, _): .greeting
        case (.linkDown, _), (.removal, _): .absent
        case (.helloOfOldVersion, _), (.helloOfOtherFederation, _): .absent
        case (.largeAppend, .live), (.headOnly, .live): .lagging
        case (.digest, .lagging), (.partialDigest, .lagging): .live
        // The window is empty, but the peer lacks nearly all of what was written.
        case (.acknowledgedAll, .lagging): .lagging
        default: phase
        }
    }

    @Test("Every happening in every state leads to the state it should", arguments: [PeerSync.Phase.absent, .greeting, .live, .lagging], Happening.allCases)
    func table(_ phase: PeerSync.Phase, _ happening: Happening) {
        var rig = Self.rig(in: phase)
        #expect(Self.phase(rig) == phase)
        Self.apply(happening, to: &rig)
        #expect(Self.phase(rig) == Self.expected(happening, in: phase), "\(phase) \(happening)")
    }

    @Test(
        "A box is greeted until it has greeted, answered and told what it holds, in any order",
        arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    func greeting(_ order: [Int]) {
        var rig = EngineRig()
        rig.step(.linkUp(Self.peer))
        for (place, step) in order.enumerated() {
            // An answer says all that a greeting does.
            #expect(Self.phase(rig) == (Set(order.prefix(place)) == [1, 2] ? .live : .greeting), "before \(place)")
            switch step {
            case 0: rig.hearHello(Self.peer)
            case 1: rig.answerHello(Self.peer)
            default: rig.hearDigest(Self.peer)
            }
        }
        #expect(Self.phase(rig) == .live)
    }

    @Test("A greeting that is lost is repeated, and an answer to another one does not count")
    func lostGreeting() {
        var rig = EngineRig()
        rig.step(.linkUp(Self.peer))
        #expect(rig.requests(to: Self.peer, .hello).count == 1)
        rig.wait(1_000)
        #expect(rig.requests(to: Self.peer, .hello).count == 1)
        rig.wait(1_000)
        #expect(rig.requests(to: Self.peer, .hello).count == 2)
        let old = rig.requests(to: Self.peer, .hello)[0]
        let body = HelloCodec.encode(rig.hello(Self.peer), from: Self.peer)
        rig.hear(Self.peer, .response, LinkRequest(.hello, correlation: old.correlation, body: body).payload)
        rig.hearDigest(Self.peer)
        #expect(Self.phase(rig) == .greeting)
        rig.answerHello(Self.peer)
        #expect(Self.phase(rig) == .live)
        rig.wait(10_000)
        #expect(rig.requests(to: Self.peer, .hello).count == 2)
    }

    @Test("A link on which nothing comes back is never live: nothing is pushed, nothing is asked for")
    func oneWay() {
        var rig = EngineRig()
        rig.step(.linkUp(Self.peer))
        rig.hearHello(Self.peer)
        rig.hearDigest(Self.peer, [Self.log: 10])
        rig.append(Self.own, 1...1)
        rig.wait(20_000)
        #expect(Self.phase(rig) == .greeting)
        #expect(rig.batches(to: Self.peer).isEmpty)
        #expect(rig.ranges(to: Self.peer).isEmpty)
        // What does arrive is good nevertheless.
        rig.hearBatch(EngineRig.batch(Self.log, 1...1))
        #expect(rig.applied == [1...1])
    }

    @Test("No common version: the link is closed, and the peer is shown as what it is until it speaks one")
    func versions() {
        var rig = EngineRig(limits: .with { $0.versions = 2...3 })
        rig.step(.linkUp(Self.peer))
        rig.hearHello(Self.peer, rig.hello(Self.peer, versions: 1...1))
        #expect(rig.closed == [Self.peer])
        #expect(rig.alarms == [.versionMismatch(Self.peer)])
        #expect(rig.sync(Self.peer)?.quarantine == .version)
        rig.step(.linkUp(Self.peer))
        rig.hearHello(Self.peer, rig.hello(Self.peer, versions: 1...2))
        rig.answerHello(Self.peer, rig.hello(Self.peer, versions: 1...2))
        rig.hearDigest(Self.peer)
        #expect(rig.sync(Self.peer) == PeerSync(phase: .live, unacknowledgedBytes: rig.sync(Self.peer)?.unacknowledgedBytes ?? 0))
    }

    @Test("A box of another federation is sent away")
    func otherFederation() {
        var rig = EngineRig()
        rig.step(.linkUp(Self.peer))
        rig.answerHello(Self.peer, rig.hello(Self.peer, federation: EngineRig.federation(2)))
        #expect(rig.closed == [Self.peer])
        #expect(rig.alarms == [.wrongFederation(link: Self.peer)])
    }

    @Test("A new link starts from nothing: what was under way on the old one is forgotten")
    func newLink() {
        var rig = EngineRig()
        rig.makeLive(Self.peer, [Self.log: 10])
        #expect(rig.ranges(to: Self.peer).count == 1)
        rig.step(.linkDown(Self.peer))
        #expect(rig.sync(Self.peer)?.phase == .absent)
        let answer = RangeResponse.entries(Self.log, head: 10, [.batch(EngineRig.batch(Self.log, 1...10))])
        rig.answerRange(Self.peer, answer)
        #expect(rig.applies.isEmpty)
        rig.makeLive(Self.peer, [Self.log: 10])
        #expect(rig.ranges(to: Self.peer).count == 2)
        rig.answerRange(Self.peer, answer)
        #expect(rig.applied == [1...10])
    }

    @Test("The clocks of peers are passed on")
    func clocks() {
        var rig = EngineRig()
        rig.step(.linkUp(Self.peer))
        rig.hearHello(Self.peer)
        #expect(rig.effects.contains(.clockHeard(Self.peer, physical: EngineRig.epochMilliseconds + rig.monotonic, isSynced: true)))
    }

    @Test("Broken requests, answers and digests are refused with an alarm and change nothing")
    func broken() {
        var rig = EngineRig()
        rig.makeLive(Self.peer, [Self.log: 10])
        _ = rig.take()
        rig.hear(Self.peer, .request, [0xFF])
        rig.hear(Self.peer, .request, LinkRequest(.hello, correlation: 1, body: [0xFF]).payload)
        rig.hear(Self.peer, .request, LinkRequest(.range, correlation: 1, body: [0xFF]).payload)
        #expect(rig.alarms == [.malformed(link: Self.peer, .request)])
        rig.hear(Self.peer, .digest, [0xFF])
        rig.hear(Self.peer, .response, [0xFF])
        rig.hear(Self.peer, .response, LinkRequest(.range, correlation: 12_345, body: [0xFF]).payload)
        #expect(rig.alarms.count == 3)
        #expect(rig.closed.isEmpty)
        // For another box, and of channels that are not the engine's.
        rig.step(.received(LinkMessage(origin: Self.peer, channel: .request, addressee: Sample.box(3), payload: [0xFF]), from: Self.peer))
        rig.hear(Self.peer, .heartbeat, [0xFF])
        #expect(rig.alarms.count == 3)
    }
}
