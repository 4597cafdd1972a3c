import ArgumentParser
import NIOCore
import Settings
import SkerryServer

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Where the box lives: what every verb needs to know.
struct PlaceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The data directory. (default: $SKERRY_DATA, the service's state directory, or ~/.local/state/skerry)", valueName: "dir"))
    var data: String?

    @Option(help: ArgumentHelp("The settings file. (default: skerry.conf in the data directory, if there is one)", valueName: "file"))
    var config: String?

    func settings(_ flags: [SettingsLoader.Flag] = []) throws -> Settings {
        do throws(SettingsError) {
            return try self.source(flags)()
        } catch {
            complain("\(error)")
            throw ExitCode(78)
        }
    }

    /// Reads the settings each time it is called: the file may have changed, the command line and the environment have not.
    func source(_ flags: [SettingsLoader.Flag]) -> SettingsSource {
        var flags = flags
        if let data { flags.append(SettingsLoader.Flag(key: "data", value: data, name: "--data")) }
        let (given, environment, config) = (flags, Self.environment(), self.config)
        return { () throws(SettingsError) in try SettingsLoader(flags: given, environment: environment, configPath: config).load() }
    }

    private static func environment() -> [String: String] {
        var variables: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "=") { variables[String(text[..<equals])] = String(text[text.index(after: equals)...]) }
            next += 1
        }
        return variables
    }
}

/// How an administrator's verb shows its answer.
struct AnswerOptions: ParsableArguments {
    @OptionGroup var place: PlaceOptions

    @Flag(help: "Print the answer as JSON.")
    var json = false

    /// Asks the running box, or does it on the data directory when none runs, and prints the answer.
    func perform(_ request: ControlRequest) async throws { try self.show(try await self.ask(request)) }

    func ask(_ request: ControlRequest) async throws -> ControlReply {
        let settings = try self.place.settings()
        do {
            if let answer = try ControlClient(data: settings.data).perform(request) { return answer }
            return try await OfflineBox.perform(request, settings: settings)
        } catch {
            complain("\(error)")
            throw ExitCode.failure
        }
    }

    func show(_ reply: ControlReply) throws {
        guard reply.isOK else {
            complain(self.json ? String(buffer: reply.json) : reply.text)
            throw ExitCode.failure
        }
        print(self.json ? String(buffer: reply.json) : reply.text)
    }
}

/// One line to standard error.
func complain(_ text: String) {
    for line in text.split(separator: "\n") { StandardError.write("skerry: \(line)\n") }
}
