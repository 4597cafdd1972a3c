extension Settings {
    static let logDeclarations: [Declaration] = [
        .choice("log.level", \.log.level, "What is worth a line in the log. Messages, passwords and positions never are.")
    ]
}
