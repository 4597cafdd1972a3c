import NIOCore
import SkerryModel
import Synchronization
import TestKit
import Testing

@testable import SkerryNode

/// Sending clients elsewhere: who goes, and how many.
@Suite("Moving clients")
struct MovingTests {
    private static func target(_ number: UInt8 = 2) -> MoveTarget {
        MoveTarget(
            box: Sample.box(number),
            endpoints: [
                BoxEndpoint(kind: "http", address: "10.0.0.\(number)", port: 8_080), BoxEndpoint(kind: "mqtt", address: "10.0.0.\(number)", port: 1_883),
                BoxEndpoint(kind: "mqtt", address: "fd00::\(number)", port: 1_883), BoxEndpoint(kind: "federation", address: "10.0.0.\(number)", port: 9),
            ], token: "t")
    }

    /// Goes when it is told to, unless it is stubborn.
    private final class Outlet: ChatOutlet, Sendable {
        let moves = Atomic(0)
        let isStubborn: Bool
        init(isStubborn: Bool = false) { self.isStubborn = isStubborn }
        func push(_ frame: ByteBuffer, isEphemeral: Bool) {}
        func end(_ reason: SessionEnd) {}
        func move(_ order: MoveOrder) { if !self.isStubborn, order.take() != nil { self.moves.add(1, ordering: .relaxed) } }
    }

    @Test("an order moves as many clients as it has targets, over all shards together")
    func order() async throws {
        let box = TestBox(loops: 3)
        let outlets = (0..<9).map { _ in Outlet() } + [Outlet(isStubborn: true)]
        for (index, outlet) in outlets.enumerated() {
            let loop = box.loops[index % 3]
            let shard = box.node.shard(on: loop)
            let caller = Caller(user: Sample.user(index), name: "n", role: .user, device: Sample.device(index))
            loop.run {
                let bound = NIOLoopBound<any ChatOutlet>(outlet, eventLoop: loop)
                shard.assumeIsolated { $0.chat.attach(SessionID(rawValue: UInt64(index)), caller, bound) }
            }
        }
        let moved = { outlets.reduce(0) { $0 + $1.moves.load(ordering: .relaxed) } }
        let few = MoveOrder([Self.target(), Self.target(3)], isDrain: false)
        box.node.publish([.move(few)])
        box.runLoops()
        #expect(moved() == 2)
        #expect(few.isDone && few.take() == nil)
        box.node.publish([.move(MoveOrder((0..<100).map { _ in Self.target() }, isDrain: true))])
        box.runLoops()
        #expect(moved() == 11)
        #expect(outlets[9].moves.load(ordering: .relaxed) == 0)
    }

    @Test("a client that came back is left alone: for ten minutes when the load is evened out, for half a minute when everybody has to go")
    func comeBack() {
        let moving = Moving()
        let device = Sample.device(1)
        #expect(!moving.isBack(device, isDrain: false, now: 0))
        moving.moved(device, now: 1_000)
        #expect(moving.isBack(device, isDrain: true, now: 30_999))
        #expect(!moving.isBack(device, isDrain: true, now: 31_000))
        #expect(moving.isBack(device, isDrain: false, now: 600_999))
        #expect(!moving.isBack(device, isDrain: false, now: 601_000))
        #expect(!moving.isBack(Sample.device(2), isDrain: false, now: 1_000))
    }

    @Test("devices that were moved are remembered up to a bound, the later ones")
    func bound() {
        let moving = Moving()
        for index in 0..<20_000 { moving.moved(Sample.device(index), now: UInt64(index)) }
        #expect(moving.isBack(Sample.device(19_999), isDrain: false, now: 20_000))
        #expect(!moving.isBack(Sample.device(0), isDrain: false, now: 20_000))
        #expect((0..<20_000).count { moving.isBack(Sample.device($0), isDrain: false, now: 20_000) } <= 8_192)
    }

    @Test("somebody who comes in while the box is drained is named another box, as long as there is one")
    func drain() {
        let moving = Moving()
        #expect(moving.target() == nil && !moving.isDraining)
        moving.drain(true) { Self.target() }
        #expect(moving.isDraining)
        #expect(moving.target()?.box == Sample.box(2))
        moving.drain(true) { nil }
        #expect(moving.target() == nil)
        moving.drain(false) { Self.target() }
        #expect(moving.target() == nil && !moving.isDraining)
    }

    @Test("a server reference is every place of the kind, with spaces between [MQTT-4.11]")
    func reference() {
        #expect(Self.target().serverReference("mqtt") == "10.0.0.2:1883 [fd00::2]:1883")
        #expect(Self.target().serverReference("mqtts") == nil)
    }

    @Test("clients are told every way in that is for them, the chat's first, and not the federation's")
    func urls() {
        #expect(
            Self.target().endpoints.clientURLs == [
                "ws://10.0.0.2:8080/v1/ws", "http://10.0.0.2:8080", "mqtt://10.0.0.2:1883", "mqtt://[fd00::2]:1883",
            ])
    }
}

/// How a box measures itself.
@Suite("Load meter")
struct LoadMeterTests {
    private final class Figures: Sendable {
        let seconds = Mutex(0.0)
        let now = Atomic<UInt64>(1_000)
    }

    private func meter(_ figures: Figures, loops: [SimLoop], weight: Double? = nil, memoryBytes: Int = 2 << 30) -> LoadMeter {
        let probe = LoadProbe(
            memoryShare: { 0.25 }, descriptorShare: { 0.125 }, isDiskLow: { true }, processorSeconds: { figures.seconds.withLock { $0 } }, processors: 4,
            memoryBytes: memoryBytes)
        return LoadMeter(
            loops: loops, probe: probe, weight: weight, connections: { 7 }, connectionsMax: { 100 }, monotonic: { figures.now.load(ordering: .relaxed) })
    }

    private func pass(_ figures: Figures, _ meter: LoadMeter, _ loops: [SimLoop], used: Double = 0, answers: Bool = true) {
        figures.now.add(1_000, ordering: .relaxed)
        figures.seconds.withLock { $0 += used }
        meter.tick()
        if answers { for loop in loops { loop.runPending() } }
    }

    @Test("what is asked for before the first second is measured too")
    func first() {
        let load = self.meter(Figures(), loops: [SimLoop()]).load()
        #expect(load.connections == 7 && load.connectionsMax == 100)
        #expect(load.memory == 0.25 && load.descriptors == 0.125 && load.isDiskLow)
    }

    @Test("the weight is that of the processors as far as the memory goes, or an administrator's")
    func weight() {
        #expect(self.meter(Figures(), loops: []).load().weight == 2)
        #expect(self.meter(Figures(), loops: [], memoryBytes: 64 << 30).load().weight == 4)
        #expect(self.meter(Figures(), loops: [], memoryBytes: 0).load().weight == 0.25)
        #expect(self.meter(Figures(), loops: [], weight: 1_000).load().weight == 64)
    }

    @Test("the processor's share follows what was used, over all processors")
    func processor() {
        let (figures, loops) = (Figures(), [SimLoop()])
        let meter = self.meter(figures, loops: loops)
        self.pass(figures, meter, loops)
        for _ in 0..<60 { self.pass(figures, meter, loops, used: 2) }
        #expect(abs(meter.load().processor - 0.5) < 0.01)
        for _ in 0..<60 { self.pass(figures, meter, loops) }
        #expect(meter.load().processor < 0.01)
    }

    @Test("a loop that answers late shows at once, one that does not answer at all shows more with every second, and it goes down slowly")
    func lag() {
        let (figures, loops) = (Figures(), [SimLoop(), SimLoop()])
        let meter = self.meter(figures, loops: loops)
        self.pass(figures, meter, loops)
        self.pass(figures, meter, loops)
        #expect(meter.load().loopLagMilliseconds == 0)
        meter.tick()
        figures.now.add(80, ordering: .relaxed)
        for loop in loops { loop.runPending() }
        self.pass(figures, meter, loops, answers: false)
        #expect(meter.load().loopLagMilliseconds == 80)
        self.pass(figures, meter, loops, answers: false)
        self.pass(figures, meter, loops, answers: false)
        #expect(meter.load().loopLagMilliseconds == 2_000)
        for loop in loops { loop.runPending() }
        self.pass(figures, meter, loops)
        #expect(meter.load().loopLagMilliseconds == 2_000, "that is how late the answer was")
        self.pass(figures, meter, loops)
        #expect((100..<2_000).contains(meter.load().loopLagMilliseconds))
        for _ in 0..<60 { self.pass(figures, meter, loops) }
        #expect(meter.load().loopLagMilliseconds == 0)
    }

    @Test("the machine says something that can be")
    func system() {
        let probe = LoadProbe.system(.system(dataDirectory: "/tmp"))
        #expect((0.0...1.0).contains(probe.memoryShare()) && probe.memoryShare() > 0)
        #expect((0.0...1.0).contains(probe.descriptorShare()) && probe.descriptorShare() > 0)
        #expect(probe.processorSeconds() > 0)
        #expect(probe.processors >= 1 && probe.memoryBytes > 1 << 20)
        #expect((BoxWeight.min...BoxWeight.max).contains(probe.weight))
    }
}
