/// What is wrong with the settings, all of it at once, one line each; every line names its place and what to do.
package struct SettingsError: Error, Sendable, Hashable, CustomStringConvertible {
    package let problems: [String]

    package init(_ problem: String) { self.problems = [problem] }
    package init(_ problems: [String]) { self.problems = problems }

    package var description: String { self.problems.joined(separator: "\n") }
}
