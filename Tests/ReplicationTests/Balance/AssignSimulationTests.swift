import SkerryModel
import Testing

@testable import Replication

/// The figures of FEDERATION.md §5, roughly: what comes of two choices by weight, and what of the least loaded box.
struct AssignSimulationTests {
    private enum Rule: String { case twoChoices, leastLoaded }

    /// Clients that come at random and stay for some minutes, on 32 boxes of weights 1 to 4 that are heard every so many seconds.
    private struct World {
        var rule: Rule
        var secondsBetweenHeartbeats: Int
        var assigners: Int
        var random: Draws

        /// Mean over time of the fullest box's utilisation by the mean utilisation.
        mutating func run(seconds: Int, clientsPerSecond: Double, stay: Int) -> Double {
            let weights = (0..<32).map { Double($0 % 4 + 1) }
            let boxes = (0..<32).compactMap { BoxID([UInt8](repeating: UInt8($0 + 1), count: 10)) }
            var connections = [Int](repeating: 0, count: 32)
            var leaving = [[Int]](repeating: [], count: seconds * 2 + stay * 20)
            var told = zip(boxes, weights).map { AssignCandidate(box: $0, load: BoxLoad(connections: 0, weight: $1)) }
            var all = [Assigner](repeating: Assigner(), count: self.assigners)
            var (credit, sum, samples) = (0.0, 0.0, 0)
            for second in 0..<seconds {
                for box in leaving[second] { connections[box] -= 1 }
                for box in 0..<32 where (second + box * 7) % self.secondsBetweenHeartbeats == 0 {
                    told[box].load.connections = connections[box]
                    for index in all.indices { all[index].heard(boxes[box]) }
                }
                credit += clientsPerSecond
                while credit >= 1 {
                    credit -= 1
                    let asked = Int(self.random.next() % UInt64(self.assigners))
                    let choice: BoxID?
                    switch self.rule {
                    case .twoChoices: choice = all[asked].pick(told) { self.random.next() }
                    case .leastLoaded: choice = told.min { BoxScore.of($0.load) < BoxScore.of($1.load) }?.box
                    }
                    guard let box = choice.flatMap({ boxes.firstIndex(of: $0) }) else { continue }
                    connections[box] += 1
                    leaving[min(leaving.count - 1, second + 1 + self.lifetime(stay))].append(box)
                }
                guard second >= stay * 2, second % 3 == 0 else { continue }
                let use = zip(connections, weights).map { Double($0) / $1 }
                let mean = Double(connections.reduce(0, +)) / weights.reduce(0, +)
                sum += (use.max() ?? 0) / mean
                samples += 1
            }
            return sum / Double(max(1, samples))
        }

        /// Exponential, in whole seconds: the place of the first of many rare events.
        private mutating func lifetime(_ mean: Int) -> Int {
            var seconds = 0
            // Steps of a tenth of the mean keep the shape and cost little.
            while self.random.next() % 10 != 0, seconds < mean * 15 { seconds += mean / 10 }
            return seconds + Int(self.random.next() % UInt64(max(1, mean / 10)))
        }
    }

    private static func run(_ rule: Rule, every seconds: Int, assigners: Int = 1, seed: UInt64) -> Double {
        var world = World(rule: rule, secondsBetweenHeartbeats: seconds, assigners: assigners, random: Draws(seed: seed))
        return world.run(seconds: 700, clientsPerSecond: 50, stay: 200)
    }

    @Test("two choices by weight keep 32 boxes even though heartbeats are half a minute old; the least loaded box is overrun")
    func figures() {
        let seed = UInt64.random(in: 1 ... .max)
        var lines = ["max/mean utilisation, 32 boxes of weights 1 to 4, seed \(seed)"]
        var figures: [String: Double] = [:]
        for (name, rule, seconds, assigners) in [
            ("two choices, heartbeat every 5 s", Rule.twoChoices, 5, 1), ("two choices, heartbeat every 30 s", .twoChoices, 30, 1),
            ("two choices, 32 boxes assign, 5 s", .twoChoices, 5, 32), ("least loaded, heartbeat every 5 s", .leastLoaded, 5, 1),
            ("least loaded, heartbeat every 30 s", .leastLoaded, 30, 1),
        ] {
            let figure = Self.run(rule, every: seconds, assigners: assigners, seed: seed)
            figures[name] = figure
            lines.append("  \(name): \((figure * 100).rounded() / 100)")
        }
        print(lines.joined(separator: "\n"))
        #expect(figures["two choices, heartbeat every 5 s"] ?? 9 <= 1.1)
        #expect(figures["two choices, heartbeat every 30 s"] ?? 9 <= 1.1)
        #expect(figures["two choices, 32 boxes assign, 5 s"] ?? 9 <= 1.1)
        #expect(figures["least loaded, heartbeat every 30 s"] ?? 0 > 1.5)
    }
}
