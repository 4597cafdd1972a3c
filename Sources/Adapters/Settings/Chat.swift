import SkerryModel

extension Settings {
    static let chatDeclarations: [Declaration] = [
        .bytes("chat.text_bytes_max", \.limits.textBytesMax, 100...15_360, "The longest text of a message."),
        .bytes(
            "chat.frame_bytes_max", \.limits.frameBytesMax, 40_960...1_048_576, "The largest WebSocket message; a larger one closes the connection with 1009."),
        .number("chat.group_members_max", \.limits.groupMembersMax, 2...10_000, "Members of a group."),
        .number("chat.send_burst", \.limits.sendBurst, 1...100_000, "Messages one user may send at once before being slowed down."),
        .number("chat.send_per_second", \.limits.sendPerSecond, 1...100_000, "Messages one user may send each second for long."),
    ]
}
