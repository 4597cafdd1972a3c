import SkerryModel
import Testing

@testable import Replication

/// Which box a client is named (FEDERATION.md §5).
struct AssignerTests {
    private static func box(_ number: UInt8) throws -> BoxID { try #require(BoxID([UInt8](repeating: number, count: 10))) }

    private static func candidate(_ number: UInt8, connections: Int = 0, weight: Double = 1) throws -> AssignCandidate {
        AssignCandidate(box: try Self.box(number), load: BoxLoad(connections: connections, weight: weight))
    }

    @Test("the score is the fullest of all that can run out")
    func score() {
        var load = BoxLoad(connections: 250, connectionsMax: 10_000, weight: 1, memory: 0.05, processor: 0.02, descriptors: 0.01)
        #expect(BoxScore.of(load) == 0.1)
        #expect(BoxScore.of(load, more: 250) == 0.2)
        load.memory = 0.5
        #expect(BoxScore.of(load) == 0.5)
        load.descriptors = 0.6
        #expect(BoxScore.of(load) == 0.6)
        load.processor = 0.7
        #expect(BoxScore.of(load) == 0.7)
        load.loopLagMilliseconds = 40
        #expect(BoxScore.of(load) == 0.8)
        load.connectionsMax = 250
        #expect(BoxScore.of(load) == 1, "a limit below what the size of the box says counts")
        #expect(BoxScore.of(BoxLoad(connections: 0, weight: 0)) == 0, "a weight of nothing divides by nothing")
    }

    @Test(
        "nobody is sent to a box that is silent, drained, short of disk, behind, quarantined, away or nowhere",
        arguments: ["silent", "draining", "disk", "behind", "quarantined", "away", "nowhere"])
    func exclusions(_ reason: String) throws {
        var bad = try Self.candidate(1)
        switch reason {
        case "silent": bad.age = 15_001
        case "draining": bad.isDraining = true
        case "disk": bad.load.isDiskLow = true
        case "behind": bad.behind = 10_001
        case "quarantined": bad.isQuarantined = true
        case "away": bad.isAlive = false
        default: bad.hasEndpoints = false
        }
        let good = try Self.candidate(2, connections: 2_000)
        var (assigner, random) = (Assigner(), Draws(seed: 1))
        for _ in 0..<50 {
            #expect(assigner.assign([bad, good], previous: bad.box) { random.next() } == [good.box])
        }
        #expect(assigner.assign([bad]) { random.next() }.isEmpty)
    }

    @Test("the edges of the exclusions are inside")
    func edges() throws {
        var candidate = try Self.candidate(1)
        candidate.age = 15_000
        candidate.behind = 10_000
        #expect(candidate.isEligible)
    }

    @Test("a client stays at its box up to a quarter more than the mean and a tenth, and not beyond")
    func sticky() throws {
        // Scores 0.5 and 0.1 have the mean 0.3: the client may stay up to 0.475.
        let others = [try Self.candidate(2, connections: 250)]
        var (assigner, random) = (Assigner(), Draws(seed: 2))
        let kept = try Self.candidate(1, connections: 1_000)
        #expect(try assigner.assign([kept] + others, previous: Self.box(1)) { random.next() }.first == Self.box(1), "0.4 of a mean of 0.25")
        let full = try Self.candidate(1, connections: 1_250)
        #expect(try assigner.assign([full] + others, previous: Self.box(1)) { random.next() }.first == Self.box(2))
        #expect(
            try assigner.assign([full] + others, previous: Self.box(1), isSettled: true) { random.next() }.first == Self.box(1),
            "who was sent on a moment ago is not sent on again")
    }

    @Test("who was sent on a moment ago stays at a box that is drained, but not at one that is away")
    func settled() throws {
        var drained = try Self.candidate(1)
        drained.isDraining = true
        let other = try Self.candidate(2)
        var (assigner, random) = (Assigner(), Draws(seed: 3))
        #expect(try assigner.assign([drained, other], previous: Self.box(1), isSettled: true) { random.next() }.first == Self.box(1))
        drained.isAlive = false
        #expect(try assigner.assign([drained, other], previous: Self.box(1), isSettled: true) { random.next() }.first == Self.box(2))
    }

    @Test("an answer names up to two others, never the box itself, never one twice")
    func alternates() throws {
        let candidates = try (1...5).map { try Self.candidate(UInt8($0)) }
        var (assigner, random) = (Assigner(), Draws(seed: 4))
        for _ in 0..<200 {
            let answer = assigner.assign(candidates, previous: try Self.box(3)) { random.next() }
            #expect(answer.first == (try Self.box(3)))
            #expect(answer.count == 3 && Set(answer).count == 3)
        }
        #expect(assigner.assign([candidates[0]]) { random.next() } == [candidates[0].box])
    }

    @Test("what was assigned since the heartbeat counts at once, and no more once the box was heard")
    func ownCount() throws {
        let candidates = [try Self.candidate(1), try Self.candidate(2)]
        var (assigner, random) = (Assigner(), Draws(seed: 5))
        var counts: [BoxID: Int] = [:]
        for _ in 0..<1_000 { counts[try #require(assigner.pick(candidates) { random.next() }), default: 0] += 1 }
        #expect(counts.values.sorted() == [500, 500], "of two boxes both are drawn every time, and the one with fewer is taken")
        #expect(assigner.score(candidates[0]) == 0.2)
        assigner.heard(try Self.box(1))
        #expect(assigner.score(candidates[0]) == 0)
        #expect(assigner.score(candidates[1]) == 0.2)
    }

    @Test("boxes are drawn by their capacity")
    func weights() throws {
        var random = Draws(seed: 6)
        let candidates = [try Self.candidate(1, weight: 1), try Self.candidate(2, weight: 3)]
        var assigner = Assigner()
        var counts: [BoxID: Int] = [:]
        for _ in 0..<4_000 { counts[try #require(assigner.pick(candidates) { random.next() }), default: 0] += 1 }
        #expect(counts[try Self.box(1)] == 1_000)
        #expect(counts[try Self.box(2)] == 3_000)
    }

    @Test("whatever the random numbers are, somebody is drawn", arguments: [UInt64.min, .max, .max - 1, 1 << 63])
    func extremeRandom(_ value: UInt64) throws {
        var assigner = Assigner()
        let candidates = try (1...4).map { try Self.candidate(UInt8($0)) }
        #expect(assigner.assign(candidates) { value }.count == 3)
    }
}

/// A token that keeps a client from being sent to and fro.
struct HopTokenTests {
    private static func box() throws -> BoxID { try #require(BoxID([UInt8](1...10))) }

    @Test("a token is read as it was written, and nothing else is one")
    func text() throws {
        let token = HopToken(box: try Self.box(), hops: 3, milliseconds: 1_760_000_000_123)
        let text = token.description
        #expect(text.utf8.count == HopToken.characterCount)
        #expect(HopToken(text: text) == token)
        for wrong in ["", "x", String(text.dropLast()), text + "0", text.uppercased(), String(repeating: "v", count: 32), "é" + text.dropFirst(2)] {
            #expect(HopToken(text: wrong) == nil)
        }
    }

    @Test("it is fresh for half a minute, by the clock of another box that may be a little ahead")
    func fresh() throws {
        let token = HopToken(box: try Self.box(), hops: 1, milliseconds: 100_000)
        #expect(token.isFresh(now: 129_999))
        #expect(!token.isFresh(now: 130_000))
        #expect(token.isFresh(now: 70_001))
        #expect(!token.isFresh(now: 70_000), "one from the far future would hold for ever")
    }

    @Test("hops are counted while they follow each other at once, and never beyond what a byte holds")
    func hops() throws {
        let box = try Self.box()
        let first = HopToken.next(after: nil, to: box, now: 1_000)
        #expect(first.hops == 1)
        #expect(HopToken.next(after: first, to: box, now: 5_000).hops == 2)
        #expect(HopToken.next(after: first, to: box, now: 50_000).hops == 1)
        #expect(HopToken.next(after: HopToken(box: box, hops: 255, milliseconds: 1), to: box, now: 2).hops == 255)
    }
}

/// How fast clients are sent elsewhere.
struct MovePaceTests {
    @Test("to even the load out, one of a hundred connections goes each second, and of fewer one every few seconds")
    func balancing() {
        var pace = MovePace()
        let quotas = (0..<100).map { pace.quota(connections: 250, isDraining: false, isOverloaded: true, now: UInt64($0) * 1_000) }
        #expect(quotas.reduce(0, +) == 250)
        #expect(quotas.max() == 3)
        var few = MovePace()
        #expect((0..<100).map { few.quota(connections: 10, isDraining: false, isOverloaded: true, now: UInt64($0) * 1_000) }.reduce(0, +) == 10)
    }

    @Test("nothing is saved up while nobody has to go")
    func noCredit() {
        var pace = MovePace()
        for second in 0..<1_000 as Range<UInt64> { #expect(pace.quota(connections: 90, isDraining: false, isOverloaded: false, now: second * 1_000) == 0) }
        #expect(pace.quota(connections: 90, isDraining: false, isOverloaded: true, now: 1_000_000) == 0)
    }

    @Test("a drain sends everybody away in its time, evenly, and whoever comes late in the next second", arguments: [1, 7, 100, 9_000])
    func drain(_ count: Int) {
        var pace = MovePace()
        var left = count
        var most = 0
        for second in 0..<MovePace.drainSeconds {
            let quota = pace.quota(connections: left, isDraining: true, isOverloaded: false, now: second * 1_000)
            most = max(most, quota)
            left -= min(left, quota)
        }
        #expect(left == 0)
        #expect(most <= count / 30 + 2)
        #expect(pace.quota(connections: 5, isDraining: true, isOverloaded: false, now: 100_000) == 5)
    }

    @Test("however many there are, a second sends away so many at most")
    func bound() {
        var pace = MovePace()
        #expect(pace.quota(connections: 1_000_000, isDraining: true, isOverloaded: false, now: 0) == MovePace.perSecondMax)
    }
}
