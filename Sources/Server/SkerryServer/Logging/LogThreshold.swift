package import Logging
package import Settings
import Synchronization

/// The level below which nothing is written; it may change while loggers are about.
package final class LogThreshold: Sendable {
    private let index = Atomic<Int>(0)

    package init(_ level: Logger.Level = .info) { self.set(level) }

    package var level: Logger.Level {
        let index = self.index.load(ordering: .relaxed)
        return Logger.Level.allCases.indices.contains(index) ? Logger.Level.allCases[index] : .info
    }

    package func change(_ level: Settings.Level) { self.set(ServerLog.level(level)) }

    private func set(_ level: Logger.Level) { self.index.store(Logger.Level.allCases.firstIndex(of: level) ?? 0, ordering: .relaxed) }
}
