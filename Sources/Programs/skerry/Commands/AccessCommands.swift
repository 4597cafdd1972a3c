import ArgumentParser
import SkerryModel
import SkerryServer

struct AccessCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acl",
        abstract: "Say who may publish and subscribe which MQTT topics; list and test the rules.",
        discussion: """
            Without rules every user may use every topic, except $SYS, which only administrators read. A rule allows or denies topics to one user \
            or to everybody of a role (user, admin, anonymous).

            A deny rule always wins. Of the allow rules the nearest count: if a user has allow rules of their own, they may use those topics and \
            nothing else; if not, the allow rules of their role count in the same way; if there are none either, everything is allowed. So one allow \
            rule of its own is enough to confine a device.

            In a filter, %u is the user's name and %c the client id. Clients choose their id themselves, so use %u to keep users apart.

            What clients without an account (role anonymous) may use is the setting mqtt.anonymous; rules can only deny them some of it.

            Rules hold at once, for clients that are connected too: what they may no longer read stops coming, and comes again when the rule is removed.

            A device that uses its own topics and nothing else:
              skerry acl add allow all 'sensors/%u/#' --user pump-7
            Only administrators raise alarms:
              skerry acl add deny publish 'alarms/#' --role user
            May the pump?
              skerry acl check publish alarms/fire --user pump-7
            """,
        subcommands: [Add.self, List.self, Remove.self, Check.self])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Add a rule, for a user or for a role.")

        @Argument(help: "allow or deny.") var effect: String
        @Argument(help: "publish, subscribe or all (both).") var access: String
        @Argument(help: "A topic filter, with + and #, %u for the user's name and %c for the client id; in quotes.") var filter: String
        @Option(help: ArgumentHelp("The user whom the rule is about.", valueName: "name")) var user: String?
        @Option(help: ArgumentHelp("Instead of a user: everybody who is user, admin or anonymous (without an account).", valueName: "role")) var role: String?
        @OptionGroup var answer: AnswerOptions

        func validate() throws {
            guard AccessEffect(text: self.effect) != nil else { throw ValidationError("the first word is allow or deny") }
            guard AccessVerb(text: self.access) != nil else { throw ValidationError("the second word is publish, subscribe or all") }
            guard (self.user == nil) != (self.role == nil) else { throw ValidationError("say whom the rule is about: --user or --role") }
            if let role, AccessRole(text: role) == nil { throw ValidationError("--role is user, admin or anonymous") }
        }

        func run() async throws {
            var request = ControlRequest(.aclAdd, name: self.user, role: self.role)
            (request.effect, request.access, request.mqtt.filter) = (self.effect, self.access, self.filter)
            try await self.answer.perform(request)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List all rules, oldest first.")

        @OptionGroup var answer: AnswerOptions

        func run() async throws { try await self.answer.perform(ControlRequest(.aclList)) }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take a rule back.")

        @Argument(help: "The rule's id, from the list.") var id: String
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var request = ControlRequest(.aclRemove)
            request.id = self.id
            try await self.answer.perform(request)
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tell whether a client may do something, and which rule is the reason. Nothing is published.")

        @Argument(help: "publish or subscribe.") var access: String
        @Argument(help: "The topic to publish to, or the filter to subscribe to.") var topic: String
        @Option(help: ArgumentHelp("The user the client signs in as; without it, a client without an account.", valueName: "name")) var user: String?
        @Option(help: ArgumentHelp("The client id, for rules with %c.", valueName: "id")) var client: String?
        @OptionGroup var answer: AnswerOptions

        func validate() throws {
            guard ["publish", "subscribe"].contains(self.access) else { throw ValidationError("the first word is publish or subscribe") }
        }

        func run() async throws {
            var request = ControlRequest(.aclCheck, name: self.user)
            (request.access, request.mqtt.topic, request.mqtt.client) = (self.access, self.topic, self.client)
            try await self.answer.perform(request)
        }
    }
}
