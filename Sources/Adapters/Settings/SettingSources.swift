import Configuration
import Synchronization

/// The three places in their order of precedence, as one reader, and the memory of which of them answered.
struct SettingSources {
    private static let flagsName = "flags"
    private static let fileName = "file"

    private let reader: ConfigReader
    private let witness = Witness()
    private let flags: [String: SettingsLoader.Flag]
    private let file: ConfigFile?

    init(flags: [SettingsLoader.Flag], environment: [String: String], file: ConfigFile?) {
        // The last of several equal options wins, as everywhere on a command line.
        self.flags = Dictionary(flags.map { ($0.key, $0) }) { _, last in last }
        self.file = file
        self.reader = ConfigReader(
            providers: [
                Self.provider(Self.flagsName, self.flags.mapValues(\.value)),
                EnvironmentVariablesProvider(environmentVariables: environment),
                Self.provider(Self.fileName, file?.values.mapValues(\.text) ?? [:]),
            ], accessReporter: self.witness
        ).scoped(to: ["skerry"])
    }

    func value(of key: String) -> String? { self.reader.string(forKey: Self.key(key)) }

    /// The value of the highest place that has one, and where it stood.
    func valueAndOrigin(of key: String) -> (value: String, origin: SettingOrigin)? {
        guard let value = self.value(of: key) else { return nil }
        let provider = self.witness.lastProvider
        if let flag = self.flags[key], provider == Self.provider(Self.flagsName, [:]).providerName {
            return (value, .flag(name: flag.name))
        }
        if let file = self.file, let written = file.values[key], provider == Self.provider(Self.fileName, [:]).providerName {
            return (value, .file(path: file.path, line: written.line))
        }
        return (value, .environment(name: Declaration.environmentName(of: key)))
    }

    private static func key(_ text: String) -> ConfigKey { ConfigKey(text.split(separator: ".").map(String.init)) }

    private static func provider(_ name: String, _ values: [String: String]) -> InMemoryProvider {
        let pairs = values.map { (AbsoluteConfigKey(["skerry"] + Self.key($0.key).components), ConfigValue(.string($0.value), isSecret: false)) }
        return InMemoryProvider(name: name, values: Dictionary(pairs) { first, _ in first })
    }

    /// Hears from the reader which provider gave a value.
    private final class Witness: AccessReporter {
        private let provider = Mutex<String?>(nil)

        var lastProvider: String? { self.provider.withLock { $0 } }

        func report(_ event: AccessEvent) {
            // Providers are asked in order until one answers: it is the last of the list.
            let name = event.providerResults.last?.providerName
            self.provider.withLock { $0 = name }
        }
    }
}
