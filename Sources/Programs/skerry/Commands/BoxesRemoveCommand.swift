import ArgumentParser
import SkerryServer

/// `skerry boxes remove`.
struct BoxesRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Take a box out of the federation, for ever.",
        discussion: """
            Without --lost it is done only once other boxes hold everything the box has. With --lost it is done at once: what only that box had is \
            lost, its links end and it is not let in again. Its disk holds what people wrote and their password hashes: if it was stolen, have \
            people choose new passwords.
            """)

    @Argument(help: "The box's id, or its name.") var box: String
    @Flag(help: "It is lost, stolen or broken for good.") var lost = false
    @Option(help: ArgumentHelp("Why, for the other administrators.", valueName: "text")) var reason = ""
    @OptionGroup var answer: AnswerOptions

    func run() async throws {
        var wish = ControlRequest.BoxWish()
        (wish.box, wish.lost, wish.reason) = (self.box, self.lost, self.reason)
        try await self.answer.perform(ControlRequest(.boxesRemove, boxes: wish))
    }
}
