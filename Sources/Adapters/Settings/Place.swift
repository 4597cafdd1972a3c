import SkerryModel

extension Settings {
    static let placeDeclarations: [Declaration] = [
        .path(
            "data", \.data,
            "The data directory: everything the box knows. When empty: the service's state directory, else ~/.local/state/skerry. "
                + "Not allowed in the skerry.conf inside that directory."),
        .address("bind", \.bind, "The address to listen on; 0.0.0.0 is every IPv4 address of the box, :: every address, 127.0.0.1 only the box itself."),
        .number("loops", \.loops, 0...64, "Event loops. 0 is one for each processor that the box may use."),
        .number("connections.max", \.limits.connectionsMax, 1...1_000_000, "Open connections of all kinds; more are closed at once.").live(),
        .number("connections.per_address_max", \.limits.connectionsPerAddressMax, 1...1_000_000, "Open connections from one address.").live(),
        .number(
            "connections.per_address_burst", \.limits.connectBurst, 1...1_000_000,
            "New connections of all kinds from one address at once; more are closed at once."
        ).live(),
        .number(
            "connections.per_address_per_second", \.limits.connectsPerSecond, 1...1_000_000, "New connections from one address each second for long."
        ).live(),
    ]
}
