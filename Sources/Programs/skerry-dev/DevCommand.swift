import ArgumentParser

/// Chores of those who work on Skerry; nothing here is part of a box.
@main
struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skerry-dev",
        abstract: "Chores of those who work on Skerry.",
        subcommands: [SimulateCommand.self, WSEchoCommand.self, TidyCommand.self])
}
