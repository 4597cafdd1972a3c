/// Keys of which there may be several sets, each with a name of its own: `mqtt.listeners.NAME.bind`.
package struct Family: Sendable {
    /// Everything before the name, with the dot.
    let prefix: String
    /// What a name of it is called, for error messages.
    let noun: String
    /// One or more sentences for the default file.
    package let text: String
    /// Their keys are what follows the name.
    package let members: [Declaration]
    /// The keys that a set must have.
    let required: [String]
    /// Prepares `Settings.draft…` for the set of this name.
    let begin: @Sendable (inout Settings, String) -> Void
    /// Puts what the members wrote into its place.
    let finish: @Sendable (inout Settings, Settings, _ written: Set<String>) -> Void
    /// Names that are in force, and for each the settings that the members render.
    let sets: @Sendable (Settings) -> [(name: String, settings: Settings)]

    static let nameCharactersMax = 32
    static let setsMax = 64

    /// Lower-case letters and digits: what also fits into the name of an environment variable.
    static func isName(_ text: Substring) -> Bool {
        (1...Self.nameCharactersMax).contains(text.utf8.count) && text.utf8.allSatisfy { 97...122 ~= $0 || 48...57 ~= $0 }
    }

    func key(_ name: some StringProtocol, _ member: Declaration) -> String { "\(self.prefix)\(name).\(member.key)" }

    /// The name in a key of this family and what follows it; nil when it is no key of it.
    func split(_ key: String) -> (name: Substring, leaf: Substring)? {
        guard key.hasPrefix(self.prefix) else { return nil }
        let rest = key.dropFirst(self.prefix.count)
        guard let dot = rest.firstIndex(of: ".") else { return (rest, "") }
        return (rest[..<dot], rest[rest.index(after: dot)...])
    }

    private var environmentPrefix: String { Declaration.environmentName(of: self.prefix) }

    /// The same for an environment variable.
    func splitEnvironment(_ variable: String) -> (name: String, leaf: String)? {
        guard variable.hasPrefix(self.environmentPrefix) else { return nil }
        let rest = variable.dropFirst(self.environmentPrefix.count)
        guard let bar = rest.firstIndex(of: "_") else { return (rest.lowercased(), "") }
        return (rest[..<bar].lowercased(), rest[rest.index(after: bar)...].lowercased())
    }
}

extension Settings {
    /// In the order of the default file.
    package static let families: [Family] = [Self.certificateFamily, Self.listenerFamily]

    /// Every key with its value as it is written, and whether a change of it takes effect while the box runs. Keys of families are there when
    /// they are set.
    package var entries: [(key: String, value: String, isLive: Bool)] {
        var entries = Self.declarations.map { ($0.key, $0.render(self), $0.isLive) }
        for family in Self.families {
            for (name, settings) in family.sets(self) {
                for member in family.members where self.origins[family.key(name, member)] != nil {
                    entries.append((family.key(name, member), member.render(settings), member.isLive))
                }
            }
        }
        return entries
    }

    /// The keys in which `other` differs from this, in the order of the default file.
    package func differences(to other: Settings) -> [(key: String, isLive: Bool)] {
        let (old, new) = (self.entries, other.entries)
        let before = Dictionary(old.map { ($0.key, $0.value) }) { first, _ in first }
        let after = Dictionary(new.map { ($0.key, $0.value) }) { first, _ in first }
        var differences = new.filter { before[$0.key] != $0.value }.map { (key: $0.key, isLive: $0.isLive) }
        differences += old.filter { after[$0.key] == nil }.map { (key: $0.key, isLive: $0.isLive) }
        return differences
    }
}
