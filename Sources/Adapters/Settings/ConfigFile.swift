/// The settings file: `key = value`, one a line; a line that starts with `#` is a comment.
///
/// A comment cannot follow a value, because `#` is part of topic filters. A key may be set once: of two values, the file's author meant
/// only one, and we do not guess which.
package struct ConfigFile: Sendable, Hashable {
    package struct Value: Sendable, Hashable {
        package let text: String
        /// Counted from 1.
        package let line: Int
    }

    package static let bytesMax = 256 * 1024
    package let path: String
    package private(set) var values: [String: Value] = [:]

    /// Reads the whole file, and reports every line that cannot be understood, not only the first.
    package init(path: String, bytes: [UInt8]) throws(SettingsError) {
        self.path = path
        guard bytes.count <= Self.bytesMax else {
            throw SettingsError("\(path): a settings file has at most \(Self.bytesMax) bytes; is this the right file?")
        }
        var problems: [String] = []
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        // Windows editors put a byte order mark before the first line, and CR before every line's end.
        if let first = lines.first, first.starts(with: [0xEF, 0xBB, 0xBF]) { lines[lines.startIndex] = first.dropFirst(3) }
        for (index, raw) in lines.enumerated() {
            if let problem = self.read(raw.last == 0x0D ? raw.dropLast() : raw, line: index + 1) {
                problems.append("\(path):\(index + 1): \(problem)")
            }
        }
        guard problems.isEmpty else { throw SettingsError(problems) }
    }

    private mutating func read(_ raw: some Collection<UInt8>, line: Int) -> String? {
        guard let text = String(validating: raw, as: UTF8.self), !text.utf8.contains(0) else { return "this line is not UTF-8 text" }
        let trimmed = Trimming.trim(text)
        if trimmed.isEmpty || trimmed.hasPrefix("#") { return nil }
        guard let equals = trimmed.firstIndex(of: "=") else { return "expected `key = value`, or `#` before a comment" }
        let key = Trimming.trim(trimmed[..<equals])
        guard !key.isEmpty else { return "a key is missing before `=`" }
        if let earlier = self.values[key] { return "\(key) was already set in line \(earlier.line); remove one of the two" }
        self.values[key] = Value(text: Trimming.trim(trimmed[trimmed.index(after: equals)...]), line: line)
        return nil
    }
}
