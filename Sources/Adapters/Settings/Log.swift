extension Settings {
    static let logDeclarations: [Declaration] = [
        .choice("log.level", \.log.level, "What is worth a line in the log. Messages, passwords and positions never are.").live(),
        .flag(
            "log.connects", \.log.connects,
            "A line for every MQTT client that connects, and for those that leave as they should; those that are refused or cut off have one in any case."),
    ]
}
