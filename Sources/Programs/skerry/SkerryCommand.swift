import ArgumentParser
import SkerryModel

/// `skerry`: the box itself and every administrator's verb.
///
/// Exit codes: 0 done; 1 refused or failed, with the reason on standard error; 64 wrong usage; 78 wrong settings.
@main
struct SkerryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skerry",
        abstract: "An island of messaging: chat in the browser and MQTT on one small box, without the internet.",
        discussion: """
            `skerry serve` runs the box. The other verbs speak to the box that runs on the same data directory, or work on the directory \
            itself when none does. They are for the user that owns the directory, or root.
            """,
        version: SkerryVersion.text,
        subcommands: [
            ServeCommand.self, ClaimCommand.self, UserCommand.self, TokenCommand.self, InviteCommand.self, AccessCommand.self, OnlineCommand.self,
            StatusCommand.self, ReloadCommand.self,
            PairCommand.self, BoxesCommand.self, DrainCommand.self, ClientsCommand.self, RetainedCommand.self, CheckCommand.self, SettingsCommand.self,
            VersionCommand.self,
        ])
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    func run() { print("skerry \(SkerryVersion.text)") }
}
