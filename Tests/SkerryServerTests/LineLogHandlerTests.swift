import Logging
import Testing

@testable import SkerryServer

@Suite("Log lines")
struct LineLogHandlerTests {
    @Test("a line has time, level, message and pairs by key")
    func line() {
        let line = LineLogHandler.line(.info, "listening", ["port": "8080", "kind": "http"], milliseconds: 0)
        #expect(line == "1970-01-01T00:00:00.000Z info    listening kind=http port=8080")
    }

    @Test("what a client sends cannot make a second line, nor colours")
    func injection() {
        let line = LineLogHandler.line(.notice, "refused\nfake", ["name": "eve\r\n\u{1B}[31m\u{9B}31m\u{202E}2026\u{2028}error"], milliseconds: nil)
        #expect(line == #"<5>refused fake name="eve   [31m 31m 2026 error""#)
    }

    @Test("a value cannot close its own quotes and forge the pair after it")
    func quotes() {
        let line = LineLogHandler.line(.notice, "refused", ["name": #"eve" role="admin"#], milliseconds: nil)
        #expect(line == #"<5>refused name="eve\" role=\"admin""#)
        let accented = LineLogHandler.line(.notice, "refused", ["name": "eve\"\u{301} role=admin"], milliseconds: nil)
        #expect(accented.unicodeScalars.elementsEqual("<5>refused name=\"eve\\\"\u{301} role=admin\"".unicodeScalars))
    }

    @Test(
        "the journal gets the level as it reads it",
        arguments: zip([Logger.Level.debug, .info, .notice, .warning, .error], ["<7>", "<6>", "<5>", "<4>", "<3>"]))
    func journal(level: Logger.Level, prefix: String) {
        #expect(LineLogHandler.line(level, "x", [:], milliseconds: nil) == prefix + "x")
    }
}
