import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Engine: restored and cloned boxes")
struct StandingTests {
    private let peer = Sample.box(2)
    private let third = Sample.box(3)
    private let lost = Sample.log(epoch: 1)

    @Test("A box whose own log goes further elsewhere was restored: it is in quarantine until it has its entries back")
    func rollbackByHeads() {
        var rig = EngineRig(heads: [self.lost: 4])
        rig.makeLive(self.peer, [self.lost: 9])
        #expect(rig.quarantines == [.rollback])
        #expect(rig.alarms == [.quarantined(rig.me, .rollback)])
        #expect(rig.ranges(to: self.peer) == [.entries(self.lost, from: 5, bytesMax: rig.engine.limits.rangeBytesMax)])
        rig.wait(1_000)
        #expect(rig.digests(to: self.peer).last?.quarantine == .rollback)
        rig.answerRange(self.peer, .entries(self.lost, head: 9, [.batch(EngineRig.batch(self.lost, 1...9))]))
        #expect(rig.applies.last?.batches.first?.knownUpTo == 4)
        #expect(rig.quarantines == [.rollback], "not before it is on the disk")
        rig.commit()
        #expect(rig.quarantines == [.rollback, nil])
        #expect(rig.engine.heads == [self.lost: 9])
    }

    @Test("Own entries that come back must carry this box's own signature")
    func forgedReturn() {
        var rig = EngineRig()
        rig.makeLive(self.peer, [self.lost: 9])
        rig.answerRange(self.peer, .entries(self.lost, head: 9, [.batch(EngineRig.batch(self.lost, 1...9, key: CheapKeys.logKey(self.peer)))]))
        #expect(rig.applies.isEmpty)
        #expect(rig.alarms.contains(.badSignature(origin: rig.me, link: self.peer)))
    }

    @Test("A box that others remember as started more often was restored, though it lost no entry", arguments: ["hello", "digest"])
    func rollbackByMark(_ way: String) {
        var rig = EngineRig(startCounter: 5, startNonce: 55)
        let remembered = StartMark(counter: 5, nonce: 44)
        rig.step(.linkUp(self.peer))
        rig.hearHello(self.peer)
        rig.answerHello(self.peer, rig.hello(self.peer, remembered: way == "hello" ? remembered : nil))
        if way == "digest" {
            #expect(rig.quarantines.isEmpty)
            rig.hearDigest(self.peer, marks: [rig.me: remembered])
        }
        #expect(rig.quarantines.first == .rollback)
        // It counts on from what is remembered, says so at once, and keeps it for the next start.
        #expect(rig.requests(to: self.peer, .hello).compactMap { try? HelloCodec.decode($0.body, from: rig.me) }.last?.mark == StartMark(counter: 6, nonce: 55))
        let next = EngineRig(startCounter: 6, startNonce: 66, kept: rig.kept())
        #expect(next.engine.mark == StartMark(counter: 7, nonce: 66))
        rig.answerHello(self.peer, rig.hello(self.peer, remembered: StartMark(counter: 6, nonce: 55)))
        rig.hearDigest(self.peer)
        #expect(rig.quarantines == [.rollback, nil])
    }

    @Test("An earlier start that is remembered, and this one, mean nothing", arguments: [StartMark(counter: 4, nonce: 44), StartMark(counter: 5, nonce: 55)])
    func noRollback(_ mark: StartMark) {
        var rig = EngineRig(startCounter: 5, startNonce: 55)
        rig.makeLive(self.peer)
        rig.hearDigest(self.peer, marks: [rig.me: mark])
        #expect(rig.quarantines.isEmpty)
    }

    @Test("With the check switched off a restored box goes unnoticed")
    func mutation() {
        var rig = EngineRig(mutations: .noRollbackCheck)
        rig.makeLive(self.peer, [self.lost: 9])
        rig.hearDigest(self.peer, marks: [rig.me: StartMark(counter: 50, nonce: 1)])
        #expect(rig.quarantines.isEmpty)
    }

    @Test("A peer that was restored is told what is remembered, and shown as what it is until it has caught up")
    func restoredPeer() throws {
        var rig = EngineRig()
        rig.marks[self.peer] = StartMark(counter: 8, nonce: 1)
        rig.makeLive(self.peer)
        rig.step(.linkDown(self.peer))
        _ = rig.take()
        rig.marks[self.peer] = StartMark(counter: 8, nonce: 2)
        rig.makeLive(self.peer)
        let answer = try #require(rig.sent(to: self.peer, .response).compactMap { try? LinkRequest(decoding: $0) }.first)
        #expect(try HelloCodec.decode(answer.body, from: rig.me).remembered == StartMark(counter: 8, nonce: 1))
        #expect(rig.sync(self.peer)?.quarantine == .rollback)
        rig.marks[self.peer] = StartMark(counter: 9, nonce: 2)
        rig.hearHello(self.peer)
        #expect(rig.sync(self.peer)?.quarantine == nil)
        #expect(rig.kept()["marks"] != nil)
    }

    @Test("What is remembered of others survives a restart of this box, and is passed on")
    func marksKept() {
        var rig = EngineRig()
        rig.marks[self.peer] = StartMark(counter: 8, nonce: 1)
        rig.makeLive(self.peer)
        rig.hearDigest(self.peer, marks: [self.third: StartMark(counter: 12, nonce: 3), Sample.box(99): StartMark(counter: 1, nonce: 1)])
        var next = EngineRig(startCounter: 6, kept: rig.kept())
        next.step(.linkUp(self.peer))
        next.hearHello(self.peer)
        let marks = next.digests(to: self.peer).first?.marks
        #expect(marks?[self.peer] == StartMark(counter: 8, nonce: 1))
        #expect(marks?[self.third] == StartMark(counter: 12, nonce: 3))
        #expect(marks?[Sample.box(99)] == nil, "no member")
    }

    @Test("A run that greets again after another one of the same box means two of them; that stays, across a restart of this box")
    func cloneOfPeer() throws {
        var rig = EngineRig()
        for nonce: UInt64 in [1, 2, 1] {
            rig.marks[self.peer] = StartMark(counter: 8, nonce: nonce)
            rig.makeLive(self.peer)
            rig.step(.linkDown(self.peer))
        }
        #expect(rig.alarms == [.quarantined(self.peer, .clone)])
        #expect(rig.sync(self.peer)?.quarantine == .clone)
        _ = rig.kept()
        var next = EngineRig(startCounter: 6, kept: rig.kept())
        next.makeLive(self.peer)
        #expect(next.sync(self.peer)?.quarantine == .clone)
        // The box hears of it in the answer to its greeting.
        let answer = try #require(next.sent(to: self.peer, .response).compactMap { try? LinkRequest(decoding: $0) }.first)
        #expect(try HelloCodec.decode(answer.body, from: rig.me).quarantine == .clone)
        // Removed, and paired anew under another name: gone.
        next.members[self.peer]?.standing = .removed
        next.step(.members(next.members))
        next.wait(1_000)
        #expect(next.sync(self.peer)?.quarantine == nil)
    }

    @Test("A box that restarts over and over is no clone", arguments: [20])
    func restarts(_ count: UInt64) {
        var rig = EngineRig()
        for nonce in 1...count {
            rig.marks[self.peer] = StartMark(counter: 8 + nonce, nonce: nonce)
            rig.makeLive(self.peer)
            rig.step(.linkDown(self.peer))
        }
        #expect(rig.alarms.isEmpty)
        #expect(rig.sync(self.peer)?.quarantine == nil)
    }

    @Test("This box learns that it has a twin: from a link with its own name, from the transport, from a peer, from its own open epoch", arguments: 0..<4)
    func cloneOfSelf(_ way: Int) {
        var rig = EngineRig()
        rig.makeLive(self.peer)
        rig.append(Sample.log(epoch: 4), 1...1)
        switch way {
        case 0: rig.step(.linkUp(rig.me))
        case 1: rig.step(.identityTaken)
        case 2:
            rig.step(.linkUp(self.peer))
            var hello = rig.hello(self.peer)
            hello.quarantine = .clone
            rig.answerHello(self.peer, hello)
        default: rig.hearDigest(self.peer, [Sample.log(epoch: 4): 2])
        }
        #expect(rig.quarantines == [.clone])
        #expect(rig.alarms == [.quarantined(rig.me, .clone)])
        if way == 0 { #expect(rig.closed == [rig.me]) }
        rig.wait(1_000)
        rig.hearDigest(self.peer, [Sample.log(epoch: 4): 1])
        #expect(rig.quarantines == [.clone], "until it is paired anew")
        // Chat goes on: the epoch is its own.
        _ = rig.take()
        rig.step(.linkDown(self.peer))
        rig.makeLive(self.peer)
        rig.append(Sample.log(epoch: 4), 2...2)
        #expect(rig.batches(to: self.peer).count == 1)
        // And the next run knows from its first moment.
        var kept = rig.kept()
        if kept.isEmpty { kept = ["own": [8, 5, 16, 1]] }
        #expect(EngineRig(startCounter: 6, kept: kept).quarantines == [.clone])
    }

    @Test("Two runs that hear of each other through others find out, instead of counting up for ever")
    func rival() {
        var rig = EngineRig(startCounter: 5, startNonce: 55)
        rig.makeLive(self.peer)
        var counter: UInt64 = 5
        for _ in 0..<5 {
            rig.hearDigest(self.peer, marks: [rig.me: StartMark(counter: counter, nonce: 99)])
            counter = rig.engine.mark.counter + 1
        }
        #expect(rig.alarms.contains(.quarantined(rig.me, .clone)))
        #expect(rig.engine.mark.counter <= 10)
    }

    @Test("A start counter that leaves no room for another start is nobody's")
    func absurdCounter() {
        var rig = EngineRig()
        rig.makeLive(self.peer)
        rig.hearDigest(self.peer, marks: [rig.me: StartMark(counter: .max, nonce: 1), self.third: StartMark(counter: .max, nonce: 1)])
        #expect(rig.quarantines.isEmpty)
        rig.hearHello(self.peer)
        rig.wait(60_000)
        #expect(rig.digests(to: self.peer).last?.marks[self.third] == nil)
    }

    @Test("Kept bytes that cannot be read are left out")
    func brokenKept() {
        let rig = EngineRig(kept: ["marks": [0xFF, 1, 2], "own": [0xFF]])
        #expect(rig.engine.mark.counter == 5)
        #expect(rig.quarantines.isEmpty)
    }

    @Test("The same alarm is raised once a minute, and so many different ones")
    func alarms() {
        var rig = EngineRig(limits: .with { $0.alarmsMax = 4 })
        rig.makeLive(self.peer)
        for number: UInt8 in 10..<30 { rig.hearBatch(EngineRig.batch(Sample.log(box: Sample.box(number)), 1...1), from: self.peer) }
        #expect(rig.alarms.count == 4)
        rig.wait(60_000)
        rig.hearBatch(EngineRig.batch(Sample.log(box: Sample.box(10)), 1...1), from: self.peer)
        rig.hearBatch(EngineRig.batch(Sample.log(box: Sample.box(10)), 1...1), from: self.peer)
        #expect(rig.alarms.count == 5)
    }
}
