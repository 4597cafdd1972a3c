import Logging
import Settings
import Testing

@testable import SkerryServer

@Suite("The log's threshold")
struct LogThresholdTests {
    @Test("a change reaches every logger that is about, and one that says less than the others keeps to that")
    func change() {
        let threshold = LogThreshold(.info)
        let first = Logger(label: "test") { _ in LineLogHandler(threshold: threshold, isForJournal: false) }
        var quiet = first
        quiet.logLevel = .warning
        #expect((first.logLevel, quiet.logLevel) == (.info, .warning))
        threshold.change(.debug)
        #expect((first.logLevel, quiet.logLevel) == (.debug, .warning))
        threshold.change(.error)
        #expect((first.logLevel, quiet.logLevel) == (.error, .error))
    }
}
