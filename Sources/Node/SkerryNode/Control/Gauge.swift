import Synchronization

/// A number that goes up and down, read when somebody asks: how full a queue is, how many connections there are.
package struct Gauge: Sendable {
    package var name: String
    package var help: String
    package var value: @Sendable () -> Int?

    package init(name: String, help: String, value: @escaping @Sendable () -> Int?) {
        self.name = name
        self.help = help
        self.value = value
    }
}

/// The gauges of a box. Whoever owns a queue adds its own.
package final class GaugeRegistry: Sendable {
    private let gauges = Mutex<[Gauge]>([])

    package init() {}

    /// Adds a gauge, over one of the same name.
    package func add(_ gauge: Gauge) {
        self.gauges.withLock { gauges in
            gauges.removeAll { $0.name == gauge.name }
            gauges.append(gauge)
        }
    }

    /// By name.
    package var all: [Gauge] { self.gauges.withLock { $0 }.sorted { $0.name < $1.name } }
}
