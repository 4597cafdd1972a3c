import ChatCodec
package import Logging

/// One line an event on standard error: time, level, message, `key=value` pairs sorted by key.
///
/// Under systemd the journal keeps the time itself, so a line there starts with the level as the journal reads it (`<6>`).
package struct LineLogHandler: LogHandler {
    private let threshold: LogThreshold
    /// Of this logger alone, when it is to say less than the others.
    private var own = Logger.Level.trace
    package var metadata: Logger.Metadata = [:]
    private let isForJournal: Bool

    package init(threshold: LogThreshold, isForJournal: Bool) {
        self.threshold = threshold
        self.isForJournal = isForJournal
    }

    package var logLevel: Logger.Level {
        get { max(self.own, self.threshold.level) }
        set { self.own = newValue }
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var pairs = self.metadata
        if let given = event.metadata { pairs.merge(given) { _, new in new } }
        if let error = event.error { pairs["error"] = "\(error)" }
        let line = Self.line(event.level, "\(event.message)", pairs, milliseconds: self.isForJournal ? nil : WallClock.milliseconds())
        StandardError.write(line + "\n")
    }

    /// The line, without its end. Control characters are replaced: what a client sends can never make a second line.
    static func line(_ level: Logger.Level, _ message: String, _ pairs: Logger.Metadata, milliseconds: UInt64?) -> String {
        var line = milliseconds.map { "\(Timestamp.text($0)) \(Self.name(level)) " } ?? "<\(Self.priority(level))>"
        line += PlainText.clean(message)
        for (key, value) in pairs.sorted(by: { $0.key < $1.key }) {
            let text = PlainText.clean("\(value)")
            line += " \(key)=" + (text.isEmpty || text.unicodeScalars.contains { $0 == " " || $0 == "\"" } ? Self.quoted(text) : text)
        }
        return line
    }

    private static func quoted(_ text: String) -> String {
        // By scalars: a quote with an accent is one character, and a quote to who reads the line.
        var quoted = "\"".unicodeScalars
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { quoted.append("\\") }
            quoted.append(scalar)
        }
        quoted.append("\"")
        return String(quoted)
    }

    private static func name(_ level: Logger.Level) -> String {
        switch level {
        case .trace: "trace  "
        case .debug: "debug  "
        case .info: "info   "
        case .notice: "notice "
        case .warning: "warning"
        case .error, .critical: "error  "
        }
    }

    /// syslog(3)
    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
