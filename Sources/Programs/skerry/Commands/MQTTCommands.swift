import ArgumentParser
import SkerryServer

struct ClientsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clients", abstract: "List, look at and disconnect MQTT clients.", subcommands: [List.self, Show.self, Kick.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List MQTT clients, connected and away, by client id.")

        @Option(help: ArgumentHelp("Only client ids that start so.", valueName: "text")) var prefix: String?
        @Option(help: ArgumentHelp("Only clients of this user.", valueName: "name")) var user: String?
        @Option(help: ArgumentHelp("Only those that are connected, or away.", valueName: "connected|away")) var state: String?
        @Option(help: ArgumentHelp("Instead: who is subscribed to this topic, and by which filter.", valueName: "topic")) var topic: String?
        @OptionGroup var page: PageOptions
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = self.page.wish
            (wish.prefix, wish.user, wish.state, wish.topic) = (self.prefix, self.user, self.state, self.topic)
            try await self.answer.perform(ControlRequest(.clientsList, mqtt: wish))
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one MQTT client and its subscriptions.")

        @Argument(help: "The client id.") var client: String
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = ControlRequest.MQTTWish()
            wish.client = self.client
            try await self.answer.perform(ControlRequest(.clientsShow, mqtt: wish))
        }
    }

    struct Kick: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Disconnect an MQTT client (0x98, administrative action). It may come back; `skerry user lock` keeps somebody out.")

        @Argument(help: "The client id.") var client: String
        @Flag(help: "Remove its session and everything that is queued for it, whether it is connected or away.") var remove = false
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = ControlRequest.MQTTWish()
            (wish.client, wish.removes) = (self.client, self.remove)
            try await self.answer.perform(ControlRequest(.clientsKick, mqtt: wish))
        }
    }
}

struct RetainedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retained", abstract: "List, look at and clear retained MQTT messages.", subcommands: [List.self, Show.self, Clear.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List retained messages, by topic.")

        @Argument(help: "A topic filter.") var filter = "#"
        @OptionGroup var page: PageOptions
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = self.page.wish
            wish.filter = self.filter
            try await self.answer.perform(ControlRequest(.retainedList, mqtt: wish))
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the payload of a retained message: as it is when it is text, else as base64.")

        @Argument(help: "The topic.") var topic: String
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = ControlRequest.MQTTWish()
            wish.topic = self.topic
            try await self.answer.perform(ControlRequest(.retainedShow, mqtt: wish))
        }
    }

    struct Clear: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Clear the retained message of a topic, or all that a filter with wildcards matches.")

        @Argument(help: "A topic, or a topic filter with + or #.") var filter: String
        @Flag(help: "Do not ask, for a filter with wildcards.") var yes = false
        @OptionGroup var answer: AnswerOptions

        func run() async throws {
            var wish = ControlRequest.MQTTWish()
            if self.filter.contains("+") || self.filter.contains("#") {
                if !self.yes {
                    StandardError.write("Clear every retained message that \(self.filter) matches? They do not come back. [yes/no] ")
                    guard readLine(strippingNewline: true) == "yes" else {
                        complain("nothing was cleared")
                        throw ExitCode.failure
                    }
                }
                wish.filter = self.filter
            } else {
                wish.topic = self.filter
            }
            try await self.answer.perform(ControlRequest(.retainedClear, mqtt: wish))
        }
    }
}

/// The part of a list that is asked for.
struct PageOptions: ParsableArguments {
    @Option(help: ArgumentHelp("How many at most.", valueName: "n")) var limit: Int?
    @Option(help: ArgumentHelp("Go on behind this one, as the page before said.", valueName: "last")) var after: String?

    var wish: ControlRequest.MQTTWish {
        var wish = ControlRequest.MQTTWish()
        (wish.limit, wish.after) = (self.limit, self.after)
        return wish
    }
}
