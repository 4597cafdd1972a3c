import ArgumentParser
import Settings
import SkerryServer

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Look for damage in the database and for settings that cannot work. Changes nothing; a running box goes on.")

    @OptionGroup var place: PlaceOptions

    func run() throws {
        let settings = try self.place.settings()
        let findings: [String]
        do {
            findings = try BoxCheck.findings(settings)
        } catch {
            complain("\(error)")
            throw ExitCode.failure
        }
        if findings.isEmpty {
            print("No problem found in \(settings.data).")
            return
        }
        for finding in findings { print(finding) }
        throw ExitCode.failure
    }
}

struct SettingsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "Print the settings in force and where each comes from, or the default file.")

    @OptionGroup var place: PlaceOptions
    @Flag(help: "Print a settings file with every key, what it does and its default.") var defaults = false

    func run() throws {
        if self.defaults {
            print(Settings.defaultsFile(), terminator: "")
        } else {
            print(try self.place.settings().summary(), terminator: "")
        }
    }
}
