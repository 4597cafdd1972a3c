package import Replication
import SkerryModel

/// Runs that are not drawn: one box is away while the others write, comes back, and afterwards nothing happens.
package struct SimScenario: Sendable {
    package var boxes = 3
    /// Written while one box is away.
    package var entries: Int
    package var limits = EngineLimits()
    /// How long it is away, and for how long nothing happens afterwards.
    package var awayMilliseconds: UInt64 = 120_000
    package var idleMilliseconds: UInt64 = 300_000

    package init(entries: Int) { self.entries = entries }

    package struct Outcome: Sendable {
        package var failure: String?
        /// Of all boxes until the one that was away had everything; the bytes are those received after it came back.
        package var figures: SimFigures
        package var engineSteps = 0
        /// Bytes sent and commits made while nothing happened.
        package var idleBytes = 0
        package var idleCommits = 0
    }

    package func run(seed: UInt64) -> Outcome {
        var options = SimOptions(seed: seed, boxes: self.boxes)
        options.without = Set(FaultKind.allCases)
        let world = SimWorld(options)
        defer { world.close() }
        world.profile.limits = self.limits
        world.profile.clients = 0
        world.profile.paddingMax = 200
        world.profile.delay = 1...5
        world.populate()
        world.run(until: 10_000)
        guard let away = world.boxes.last, let writer = world.boxes.first else { return Outcome(figures: world.figures) }
        for link in world.network.links where link.sides.contains(where: { $0 === away }) { world.network.cut(link, for: self.awayMilliseconds) }
        self.write(writer, world)
        world.run(until: 9_000 + self.awayMilliseconds)
        let before = world.figures
        world.isLiving = false
        let start = 10_000 + self.awayMilliseconds
        world.run(until: start + 600_000, checkEvery: 100) { world.now > start && world.isConverged() }
        var outcome = Outcome(figures: world.figures)
        outcome.engineSteps = world.figures.engineSteps - before.engineSteps
        outcome.figures.healing = world.now - start
        outcome.figures.batchBytesReceived -= before.batchBytesReceived
        outcome.figures.entryBytesApplied -= before.entryBytesApplied
        self.idle(world, &outcome)
        world.checkEnd()
        outcome.failure = world.failure
        return outcome
    }

    private func write(_ writer: SimBox, _ world: SimWorld) {
        let pause = max(1, self.awayMilliseconds / 2 / UInt64(max(1, self.entries)))
        for index in 0..<self.entries {
            world.after(UInt64(index) * pause) {
                world.messageCount += 1
                writer.enqueue(.write(ClientWrite(content: .message(id: world.messageCount)) { _ in }), within: 0)
            }
        }
    }

    /// What is still to be told is told within a minute; then there is silence.
    private func idle(_ world: SimWorld, _ outcome: inout Outcome) {
        world.run(until: world.now + 70_000)
        let before = world.figures
        world.run(until: world.now + self.idleMilliseconds)
        outcome.idleBytes = world.figures.bytesSent - before.bytesSent
        outcome.idleCommits = world.figures.commits - before.commits
    }
}
