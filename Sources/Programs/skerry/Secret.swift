import ArgumentParser
import SkerryServer

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Passwords come from standard input, never from the command line, where other users of the machine could read them.
enum Secret {
    /// A line of standard input; asked for without showing it when a person sits there.
    static func password(fromStdin: Bool, prompt: String) throws -> String {
        if fromStdin { return try Self.line() }
        guard isatty(0) == 1 else {
            complain("give the password on standard input with --password-stdin")
            throw ExitCode.failure
        }
        let first = try Self.hidden(prompt)
        guard try Self.hidden("Again: ") == first else {
            complain("the two passwords differ")
            throw ExitCode.failure
        }
        return first
    }

    static var isTerminal: Bool { isatty(0) == 1 }

    /// One that exists: asked for once.
    static func secret(fromStdin: Bool, prompt: String) throws -> String { fromStdin ? try Self.line() : try Self.hidden(prompt) }

    private static func hidden(_ prompt: String) throws -> String {
        StandardError.write(prompt)
        var shown = termios()
        tcgetattr(0, &shown)
        var hidden = shown
        hidden.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(0, TCSAFLUSH, &hidden)
        defer {
            tcsetattr(0, TCSAFLUSH, &shown)
            StandardError.write("\n")
        }
        return try Self.line()
    }

    private static func line() throws -> String {
        guard let line = readLine(strippingNewline: true), !line.isEmpty else {
            complain("there is no password on standard input")
            throw ExitCode.failure
        }
        return line
    }
}
