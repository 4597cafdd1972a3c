import SkerryModel

extension Settings {
    static let accountDeclarations: [Declaration] = [
        .number("accounts.token_days", \.limits.tokenDays, 1...3_650, "How long a sign-in lasts."),
        .number("accounts.claim_minutes", \.limits.claimMinutes, 5...10_080, "How long the link that makes the first administrator lasts."),
        .number("accounts.reset_hours", \.limits.resetHours, 1...720, "How long a link for a new password lasts."),
        .number("accounts.devices_max", \.limits.devicesPerUserMax, 1...1_000, "Signed-in devices of one user."),
        .number("accounts.password_characters_min", \.limits.passwordCharactersMin, 8...64, "The shortest password that may be chosen."),
        .number("accounts.access_rules_max", \.limits.accessRulesMax, 1...100_000, "Access rules over MQTT topics; more are refused."),
    ]
}
