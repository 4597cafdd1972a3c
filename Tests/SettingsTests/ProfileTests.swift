import SkerryModel
import Testing

@testable import Settings

@Suite("Device profiles")
struct ProfileTests {
    static let folder = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/Firmware-Config/profiles"

    @Test(
        "every board's profile is a settings file that the box takes",
        arguments: ["pi-zero2w", "pi3", "pi4", "pi5", "generic-arm64", "generic-amd64"])
    func profile(board: String) throws {
        let path = "\(Self.folder)/\(board).conf"
        let settings = try SettingsLoader(flags: [], environment: ["SKERRY_DATA": "/nowhere"], configPath: path).load()
        #expect(settings.limits.connectionsMax <= 10_000)
        // A profile that sets nothing would pass as well.
        #expect(settings.origins.values.contains { if case .file(path, _) = $0 { true } else { false } })
    }
}
