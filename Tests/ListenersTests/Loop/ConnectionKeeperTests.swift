import NIOCore
import NIOEmbedded
import TestKit
import Testing

@testable import Listeners

@Suite struct ConnectionKeeperTests {
    final class Kept: KeptConnection {
        var keeperSlot: Int?
        var ticks = 0
        var seconds = 0
        var onSecond: (() -> Void)?
        func tickEnded() { self.ticks += 1 }
        func secondPassed(_ now: NIODeadline) {
            self.seconds += 1
            self.onSecond?()
        }
    }

    @Test("touched connections hear of the tick's end once, after everything of the tick")
    func ticks() {
        let loop = EmbeddedEventLoop()
        let keeper = ConnectionKeeper(loop: loop)
        let (first, second, idle) = (Kept(), Kept(), Kept())
        for kept in [first, second, idle] { keeper.keep(kept) }
        keeper.touch(first)
        keeper.touch(second)
        #expect(first.ticks == 0)
        loop.run()
        loop.run()
        #expect((first.ticks, second.ticks, idle.ticks) == (1, 1, 0))
        keeper.touch(first)
        loop.run()
        #expect(first.ticks == 2)
    }

    @Test("every kept connection hears of every second, and with none left the timer stops")
    func seconds() {
        let loop = EmbeddedEventLoop()
        let keeper = ConnectionKeeper(loop: loop)
        let (first, second) = (Kept(), Kept())
        keeper.keep(first)
        loop.advanceTime(by: .milliseconds(500))
        keeper.keep(second)
        keeper.keep(second)
        loop.advanceTime(by: .seconds(3))
        #expect((first.seconds, second.seconds) == (3, 3))
        keeper.forget(first)
        keeper.forget(first)
        keeper.forget(second)
        loop.advanceTime(by: .seconds(5))
        #expect((first.seconds, second.seconds, keeper.count) == (3, 3, 0))
        keeper.keep(first)
        loop.advanceTime(by: .seconds(1))
        #expect(first.seconds == 4)
    }

    @Test("connections may go, alone or many at once, while they are being called", arguments: [1, 2, UInt64.random(in: 0...UInt64.max)])
    func leaving(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let loop = EmbeddedEventLoop()
        let keeper = ConnectionKeeper(loop: loop)
        var all: [Kept] = []
        for _ in 0..<50 { all.append(Kept()) }
        for kept in all { keeper.keep(kept) }
        var gone: Set<Int> = []
        for (index, kept) in all.enumerated() where random.chance(60) {
            let victims = (0..<Int.random(in: 1...3, using: &random)).map { _ in random.chance(50) ? index : Int.random(in: 0..<50, using: &random) }
            kept.onSecond = {
                for victim in victims {
                    keeper.forget(all[victim])
                    gone.insert(victim)
                }
            }
        }
        loop.advanceTime(by: .seconds(1))
        #expect(keeper.count == 50 - gone.count, "seed \(seed)")
        for kept in all { kept.onSecond = nil }
        let before = all.map(\.seconds)
        loop.advanceTime(by: .seconds(1))
        for (index, kept) in all.enumerated() { #expect(kept.seconds - before[index] == (gone.contains(index) ? 0 : 1), "seed \(seed)") }
    }
}
