import ArgumentParser
import SkerryServer

struct ClaimCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "claim", abstract: "Print a new one-time link that makes the first administrator. Earlier links stop working.")

    @OptionGroup var answer: AnswerOptions

    func run() async throws { try await self.answer.perform(ControlRequest(.claim)) }
}

struct UserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Add, list, lock, unlock people; reset a password.",
        subcommands: [Add.self, List.self, Lock.self, Unlock.self, Reset.self])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Add a user. The password is asked for, or read from standard input.")

        @Argument(help: "The name to sign in with.") var name: String
        @Option(help: ArgumentHelp("admin or user.", valueName: "role")) var role = "user"
        @Flag(help: "Read the password from standard input.") var passwordStdin = false
        @OptionGroup var answer: AnswerOptions

        func validate() throws {
            guard ["admin", "user"].contains(self.role) else { throw ValidationError("--role is admin or user") }
        }

        func run() async throws {
            let password = try Secret.password(fromStdin: self.passwordStdin, prompt: "Password for \(self.name): ")
            try await self.answer.perform(ControlRequest(.userAdd, name: self.name, password: password, role: self.role))
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List all users.")

        @OptionGroup var answer: AnswerOptions

        func run() async throws { try await self.answer.perform(ControlRequest(.userList)) }
    }

    struct Lock: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lock a user out; open connections end at once.")

        @Argument(help: "The user's name.") var name: String
        @OptionGroup var answer: AnswerOptions

        func run() async throws { try await self.answer.perform(ControlRequest(.userLock, name: self.name)) }
    }

    struct Unlock: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a locked user in again.")

        @Argument(help: "The user's name.") var name: String
        @OptionGroup var answer: AnswerOptions

        func run() async throws { try await self.answer.perform(ControlRequest(.userUnlock, name: self.name)) }
    }

    struct Reset: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set a new password from standard input, or print a one-time link with which the user chooses one.")

        @Argument(help: "The user's name.") var name: String
        @Flag(help: "Read the new password from standard input.") var passwordStdin = false
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            let password = self.passwordStdin ? try Secret.password(fromStdin: true, prompt: "") : nil
            try await self.answer.perform(ControlRequest(.userReset, name: self.name, password: password))
        }
    }
}

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Print a new token of a user, for a device or a script. It is the password of an MQTT client.")

    @Argument(help: "The user's name.") var name: String
    @Option(help: ArgumentHelp("What the token is for, as the user's list of devices shows it.", valueName: "text")) var device = "command line"
    @OptionGroup var answer: AnswerOptions

    func run() async throws { try await self.answer.perform(ControlRequest(.token, name: self.name, device: self.device)) }
}

struct InviteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "invite", abstract: "Print a link with which new people join.")

    @Option(help: ArgumentHelp("admin or user.", valueName: "role")) var role = "user"
    @Option(help: ArgumentHelp("How many people may use it.", valueName: "n")) var uses = 1
    @Option(help: ArgumentHelp("How long it lasts.", valueName: "n")) var hours = 72
    @OptionGroup var answer: AnswerOptions

    func run() async throws { try await self.answer.perform(ControlRequest(.invite, role: self.role, uses: self.uses, hours: self.hours)) }
}

struct OnlineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "online", abstract: "List who is connected.")

    @OptionGroup var answer: AnswerOptions

    func run() async throws { try await self.answer.perform(ControlRequest(.online)) }
}

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "How the box is: listeners, people, storage, health.")

    @OptionGroup var answer: AnswerOptions

    func run() async throws { try await self.answer.perform(ControlRequest(.status)) }
}
