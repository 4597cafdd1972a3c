import Logging
import Settings

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The loggers of a box. A healthy box is quiet.
enum ServerLog {
    /// What is worth a line, for every logger of the process.
    static let level = LogThreshold()

    static func make(_ level: Settings.Level) -> Logger {
        let isForJournal = getenv("JOURNAL_STREAM") != nil
        Self.level.change(level)
        return Logger(label: "skerry") { _ in LineLogHandler(threshold: Self.level, isForJournal: isForJournal) }
    }

    /// For libraries that report what the box itself reports better.
    static var quiet: Logger { Logger(label: "skerry") { _ in SwiftLogNoOpLogHandler() } }

    /// For requests: a client's mistakes are answered to the client and not logged.
    static func requests(_ logger: Logger) -> Logger {
        var logger = logger
        logger.logLevel = .info
        return logger
    }

    /// A line for the person who started the box, without time and level: links and codes that are read or copied as they stand.
    static func show(_ line: some StringProtocol) { StandardError.write(line + "\n") }

    static func level(_ level: Settings.Level) -> Logger.Level {
        switch level {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        }
    }
}
