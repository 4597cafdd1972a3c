import ArgumentParser
import NIOCore
import SkerryServer

struct PairCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pair",
        abstract: "Make this box and others one system: tokens, approval, the recovery file.",
        discussion: """
            On a box of the federation, or on the first one:
              skerry pair invite
            The last line it prints is the token, good for one box and ten minutes. On the box that is to join, which keeps its people and messages:
              skerry pair join < token
            Neither needs the internet, names or a clock that is right; the second box must reach the first one on its federation port.

            Keep the recovery file: without it, and without the box that made the federation, no box can be added or removed any more.
              skerry pair recovery federation.recovery
            """,
        subcommands: [
            Invite.self, Join.self, List.self, Approve.self, Ignore.self, Words.self, Recovery.self, Restore.self, Announcement.self,
        ])

    struct Invite: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a one-time token with which another box joins; the token is the last line. Founds the federation if there is none.")

        @Flag(help: "Have the box that uses it wait until an administrator approves it here.") var approval = false
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = ControlRequest.BoxWish()
            wish.waits = self.approval
            try await self.answer.perform(ControlRequest(.pairInvite, boxes: wish))
        }
    }

    struct Join: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Join the federation of a token, given as argument or on standard input. Waits for the approval, if one is needed.")

        @Argument(help: "The token; without it, standard input is read.") var token: String?
        @Flag(help: "Instead: tell the network for ten minutes that this box wants to join, so that it can be found.") var announce = false
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = ControlRequest.BoxWish()
            if self.announce { return try await self.answer.perform(ControlRequest(.pairAnnounce, boxes: wish)) }
            wish.token = try self.token ?? Self.read()
            var request = ControlRequest(.pairJoin, boxes: wish)
            var last = ""
            while true {
                let reply = try await self.answer.ask(request)
                // The other box's answer takes as long as its administrator: said once, then asked for quietly.
                guard reply.isOK, Self.isUnderWay(reply) else { return try self.answer.show(reply) }
                if reply.text != last { StandardError.write(reply.text + "\n") }
                last = reply.text
                try await Task.sleep(for: .milliseconds(500))
                request = ControlRequest(.pairProgress)
            }
        }

        private static func isUnderWay(_ reply: ControlReply) -> Bool {
            let json = String(buffer: reply.json)
            return json.contains("\"state\":\"waiting\"") || json.contains("\"state\":\"connecting\"")
        }

        /// The last line that is not empty: all that `skerry pair invite` printed will do.
        private static func read() throws -> String {
            var last = ""
            while let line = readLine(strippingNewline: true), last.utf8.count < 64 * 1024 { if !line.allSatisfy(\.isWhitespace) { last = line } }
            return last
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List boxes that wait to be approved, and those on the network that want to join.")

        @OptionGroup var answer: AnswerOptions

        func run() async throws { try await self.answer.perform(ControlRequest(.pairList)) }
    }

    struct Approve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a waiting box in. Compare its words with those it shows first.")

        @Argument(help: "The box's id, or its name.") var box: String
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = ControlRequest.BoxWish()
            wish.box = self.box
            try await self.answer.perform(ControlRequest(.pairApprove, boxes: wish))
        }
    }

    struct Ignore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Do not let a box in.")

        @Argument(help: "The box's id, or its name.") var box: String
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = ControlRequest.BoxWish()
            wish.box = self.box
            try await self.answer.perform(ControlRequest(.pairIgnore, boxes: wish))
        }
    }

    struct Words: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the fingerprint words of this box, to compare with what another one shows.")

        @OptionGroup var answer: AnswerOptions

        func run() async throws { try await self.answer.perform(ControlRequest(.pairWords)) }
    }

    struct Recovery: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the federation's CA key to a file, under a passphrase. Keep it away from the boxes.")

        @Argument(help: "The file to write; - is standard output.") var file: String
        @Flag(help: "Read the passphrase from standard input.") var passwordStdin = false
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = ControlRequest.BoxWish()
            wish.passphrase = try Secret.password(fromStdin: self.passwordStdin || !Secret.isTerminal, prompt: "Passphrase: ")
            let reply = try await self.answer.ask(ControlRequest(.pairRecovery, boxes: wish))
            guard reply.isOK, self.file != "-" else { return try self.answer.show(reply) }
            do {
                try PrivateFile.write(reply.text, to: self.file)
            } catch {
                complain("\(error)")
                throw ExitCode.failure
            }
            print("\(self.file) holds the federation's CA key under your passphrase. Keep both, in different places.")
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give this box, a member of the federation, the CA key of a recovery file: from then on it may add and remove boxes.")

        @Argument(help: "The recovery file.") var file: String
        @Flag(help: "Read the passphrase from standard input.") var passwordStdin = false
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = ControlRequest.BoxWish()
            do {
                wish.file = try PrivateFile.read(self.file)
            } catch {
                complain("\(error)")
                throw ExitCode.failure
            }
            wish.passphrase = try Secret.secret(fromStdin: self.passwordStdin || !Secret.isTerminal, prompt: "Passphrase: ")
            try await self.answer.perform(ControlRequest(.pairRestore, boxes: wish))
        }
    }

    struct Announcement: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "avahi", abstract: "Print the file with which Avahi announces this box to phones and browsers (/etc/avahi/services/skerry.service).")

        @OptionGroup var place: PlaceOptions

        func run() throws { print(AvahiService.text(try self.place.settings()), terminator: "") }
    }
}
