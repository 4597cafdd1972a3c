import Configuration

/// Reads the settings from their three places: the file, the environment over it, the command line over both.
package struct SettingsLoader {
    /// A setting given on the command line.
    package struct Flag: Sendable, Hashable {
        package let key: String
        package let value: String
        /// As it was written, for error messages: `--http-port`.
        package let name: String

        package init(key: String, value: String, name: String) {
            self.key = key
            self.value = value
            self.name = name
        }
    }

    /// The file of this name in the data directory is read when no other was named.
    package static let fileName = "skerry.conf"
    /// Names the settings file, as `--config` does.
    package static let configVariable = "SKERRY_CONFIG"

    private let flags: [Flag]
    private let environment: [String: String]
    private let configPath: String?
    /// The bytes of a file; nil when there is none.
    private let read: (String) throws(SettingsError) -> [UInt8]?

    /// - Parameters:
    ///   - environment: the whole environment of the process.
    ///   - configPath: the file named on the command line; it must exist.
    package init(
        flags: [Flag], environment: [String: String], configPath: String?,
        read: @escaping (String) throws(SettingsError) -> [UInt8]? = SettingsFileReader.read
    ) {
        self.flags = flags
        self.environment = environment
        self.configPath = configPath ?? environment[Self.configVariable].flatMap { $0.isEmpty ? nil : $0 }
        self.read = read
    }

    /// The settings in force; throws every problem found, each with its place.
    package func load() throws(SettingsError) -> Settings {
        let file = try self.file()
        var problems = self.unknownKeys(file)
        let sources = SettingSources(flags: self.flags, environment: self.environment, file: file)
        var settings = Settings()
        for declaration in Settings.declarations {
            guard let (value, origin) = sources.valueAndOrigin(of: declaration.key) else { continue }
            settings.origins[declaration.key] = origin
            do throws(InvalidValue) {
                try declaration.apply(&settings, value)
            } catch {
                problems.append("\(origin): \(declaration.key) \(error.reason); it is '\(value)'\(Self.hint(value))")
            }
        }
        for family in Settings.families { problems += self.load(family, sources, file, &settings) }
        if settings.data.isEmpty { settings.data = Self.defaultData(self.environment) }
        while settings.data.count > 1, settings.data.hasSuffix("/") { settings.data.removeLast() }
        problems += settings.contradictions()
        guard problems.isEmpty else { throw SettingsError(problems) }
        return settings
    }

    /// Reads every set of a family that one of the three places names.
    private func load(_ family: Family, _ sources: SettingSources, _ file: ConfigFile?, _ settings: inout Settings) -> [String] {
        var problems: [String] = []
        let names = self.names(of: family, file)
        if names.count > Family.setsMax { return ["\(family.prefix)NAME: there may be at most \(Family.setsMax)"] }
        for name in names.sorted() {
            var draft = settings
            var written: Set<String> = []
            family.begin(&draft, name)
            for member in family.members {
                let key = family.key(name, member)
                guard let (value, origin) = sources.valueAndOrigin(of: key) else { continue }
                settings.origins[key] = origin
                written.insert(member.key)
                do throws(InvalidValue) {
                    try member.apply(&draft, value)
                } catch {
                    problems.append("\(origin): \(key) \(error.reason); it is '\(value)'\(Self.hint(value))")
                }
            }
            for leaf in family.required where !written.contains(leaf) {
                let place = settings.origins.first { $0.key.hasPrefix(family.prefix + name + ".") }?.value ?? .standard
                problems.append("\(place): \(family.prefix)\(name).\(leaf) is missing; a \(family.noun) needs it")
            }
            family.finish(&settings, draft, written)
        }
        return problems
    }

    private func names(of family: Family, _ file: ConfigFile?) -> Set<String> {
        let leaves = Set(family.members.map(\.key))
        var names: Set<String> = []
        for key in (file.map { Array($0.values.keys) } ?? []) + self.flags.map(\.key) {
            if let (name, leaf) = family.split(key), Family.isName(name), leaves.contains(String(leaf)) { names.insert(String(name)) }
        }
        for variable in self.environment.keys {
            if let (name, leaf) = family.splitEnvironment(variable), Family.isName(name[...]), leaves.contains(leaf) { names.insert(name) }
        }
        return names
    }

    /// Why a key of a family is none; nil when it is one, or belongs to no family.
    private static func problem(_ key: String, in family: Family) -> String? {
        guard let (name, leaf) = family.split(key) else { return nil }
        guard Family.isName(name) else {
            return "\(key) is not a setting; the name of a \(family.noun) has 1 to \(Family.nameCharactersMax) lower-case letters and digits"
        }
        let leaves = family.members.map(\.key)
        if leaves.contains(String(leaf)) { return nil }
        let suggestion = Suggestion.closest(to: String(leaf), among: leaves.sorted())
        return "\(key) is not a setting; " + (suggestion.map { "did you mean \(family.prefix)\(name).\($0)?" } ?? "`skerry settings --defaults` lists them all")
    }

    private func file() throws(SettingsError) -> ConfigFile? {
        if let path = self.configPath {
            guard let bytes = try self.read(path) else { throw SettingsError("\(path): there is no such settings file") }
            return try ConfigFile(path: path, bytes: bytes)
        }
        let given = SettingSources(flags: self.flags, environment: self.environment, file: nil).value(of: "data")
        let path = (given.flatMap { $0.isEmpty ? nil : $0 } ?? Self.defaultData(self.environment)) + "/" + Self.fileName
        guard let bytes = try self.read(path) else { return nil }
        let file = try ConfigFile(path: path, bytes: bytes)
        if let data = file.values["data"] {
            throw SettingsError("\(path):\(data.line): data cannot be set in the file inside the data directory; use --data, SKERRY_DATA or --config FILE")
        }
        return file
    }

    private func unknownKeys(_ file: ConfigFile?) -> [String] {
        let keys = Set(Settings.declarations.map(\.key))
        let names = Set(Settings.declarations.map(\.environmentName) + [Self.configVariable])
        var problems: [String] = []
        if let file {
            for (key, value) in file.values.sorted(by: { $0.value.line < $1.value.line }) where !keys.contains(key) {
                guard let problem = Self.problem(key, keys) else { continue }
                problems.append("\(file.path):\(value.line): \(problem)")
            }
        }
        for name in self.environment.keys.sorted() where name.hasPrefix("SKERRY_") && !names.contains(name) && !Self.isFamilyVariable(name) {
            problems.append("environment: \(Self.unknown(name, among: names))")
        }
        for flag in self.flags where !keys.contains(flag.key) {
            if let problem = Self.problem(flag.key, keys) { problems.append("option \(flag.name): \(problem)") }
        }
        return problems
    }

    private static func problem(_ key: String, _ keys: Set<String>) -> String? {
        guard let family = Settings.families.first(where: { $0.split(key) != nil }) else { return Self.unknown(key, among: keys) }
        return Self.problem(key, in: family)
    }

    private static func isFamilyVariable(_ name: String) -> Bool {
        Settings.families.contains { family in
            guard let (set, leaf) = family.splitEnvironment(name) else { return false }
            return Family.isName(set[...]) && family.members.contains { $0.key == leaf }
        }
    }

    private static func unknown(_ name: String, among names: Set<String>) -> String {
        let suggestion = Suggestion.closest(to: name, among: names.sorted())
        return "\(name) is not a setting; " + (suggestion.map { "did you mean \($0)?" } ?? "`skerry settings --defaults` lists them all")
    }

    private static func hint(_ value: String) -> String {
        value.contains(" #") ? " (a comment needs a line of its own)" : ""
    }

    /// The service manager's choice, else the place for state of a user's programs (XDG Base Directory).
    private static func defaultData(_ environment: [String: String]) -> String {
        if let directory = environment["STATE_DIRECTORY"]?.split(separator: ":").first { return String(directory) }
        if let state = environment["XDG_STATE_HOME"], state.hasPrefix("/") { return state + "/skerry" }
        if let home = environment["HOME"], home.hasPrefix("/") { return home + "/.local/state/skerry" }
        return "/var/lib/skerry"
    }
}
