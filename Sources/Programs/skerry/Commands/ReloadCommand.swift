import ArgumentParser
import SkerryServer

struct ReloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Have the running box read its settings and certificates anew, as SIGHUP does. Connections go on.",
        discussion: """
            What can change while the box runs is in force when this returns; the answer names what waits for a restart. Settings that are wrong \
            change nothing, and the answer says which line of which file. A certificate that cannot be used leaves the old ones in use.
            """)

    @OptionGroup var options: AnswerOptions

    func run() async throws { try await self.options.perform(ControlRequest(.reload)) }
}
