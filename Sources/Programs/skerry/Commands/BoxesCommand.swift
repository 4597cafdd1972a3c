import ArgumentParser
import SkerryServer

struct BoxesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "boxes",
        abstract: "List the boxes of the federation, or take one out of it.",
        subcommands: [List.self, BoxesRemoveCommand.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the boxes of the federation: who is there, in sync, how loaded.",
            discussion: """
                This box comes first. IN SYNC is the share of all entries that a box holds; WAITING is what is still to go to it: entries, size and \
                the age of the oldest. What is wrong with a box, and what to do about it, is below the list.
                """)

        @OptionGroup var answer: AnswerOptions

        func run() async throws { try await self.answer.perform(ControlRequest(.boxesList)) }
    }
}

struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Send this box's clients to the other boxes, before it is switched off.",
        discussion: """
            The box takes nobody new and sends its chat clients on, a few each second; MQTT 5 clients are told another box, earlier ones are \
            disconnected and refused. What is queued here for absent MQTT clients stays here. `skerry drain off`, or a restart, ends it.
            """)

    enum Switch: String, ExpressibleByArgument, CaseIterable { case on, off }

    @Argument(help: "on or off.") var state = Switch.on
    @OptionGroup var answer: AnswerOptions

    func run() async throws {
        var wish = ControlRequest.BoxWish()
        wish.isOn = self.state == .on
        try await self.answer.perform(ControlRequest(.drain, boxes: wish))
    }
}
