/// The layers of `Sources/`, lowest first: a target imports folders below its own only (Architecture.md).
enum Layers {
    static let folders = ["System", "Contracts", "Index", "Wire", "Rules", "Node", "Adapters", "Server", "Programs"]
    /// Neighbours that may all the same: the store's records are made of the model's nouns.
    static let exceptions = ["Store": ["SkerryModel"]]

    static func rank(_ folder: some StringProtocol) -> Int? { Self.folders.firstIndex { $0 == folder } }

    /// Every target by name, with its folder, from where its files are.
    static func targets(_ tree: SourceTree) -> [String: String] {
        var targets: [String: String] = [:]
        for folder in Self.folders { for name in tree.entries(in: "Sources/\(folder)") { targets[name] = folder } }
        return targets
    }

    /// What is wrong with `target` using `used`; nil when nothing is, or when it is not ours.
    static func problem(_ target: String, uses used: String, _ targets: [String: String]) -> String? {
        guard let folder = targets[target], let other = targets[used], let rank = Self.rank(folder), let below = Self.rank(other), below >= rank else {
            return nil
        }
        if target == used || Self.exceptions[target]?.contains(used) == true { return nil }
        return "\(target) (\(folder)) uses \(used) (\(other)): a target uses layers below its own only"
    }

    /// The module that a line imports.
    static func imported(_ line: some StringProtocol) -> String? {
        let words = line.split { $0 == " " || $0 == "\t" }
        let isModifier = { (word: Substring.SubSequence) in
            word.hasPrefix("@") || ["package", "public", "internal", "fileprivate", "private"].contains(String(word))
        }
        let rest = words.drop { isModifier(Substring($0)) }
        guard rest.first == "import",
            let name = rest.dropFirst().first(where: { !["struct", "class", "enum", "protocol", "func", "typealias", "let", "var"].contains(String($0)) })
        else { return nil }
        return String(name.split(separator: ".").first ?? "")
    }

    /// The targets that Package.swift makes with `layer(…)` and `program(…)`, and the names in their lists.
    static func manifest(_ text: String) -> [(target: String, uses: [String])] {
        var found: [(String, [String])] = []
        for start in ["layer(\"", "program(\""] {
            for part in Self.pieces(of: text, after: start) {
                let quoted = Self.quoted(start == "layer(\"" ? String(part.drop { $0 != "," }) : "\"" + part)
                guard let target = quoted.first else { continue }
                let list = part.drop { $0 != "[" }.prefix { $0 != "]" }
                found.append((target, Self.quoted(String(list))))
            }
        }
        return found
    }

    private static func pieces(of text: String, after mark: String) -> [Substring] {
        var pieces: [Substring] = []
        var rest = text[...]
        while let range = rest.firstRange(of: mark) {
            rest = rest[range.upperBound...]
            pieces.append(rest)
        }
        return pieces
    }

    private static func quoted(_ text: String) -> [String] {
        text.split(separator: "\"", omittingEmptySubsequences: false).enumerated().filter { $0.offset.isMultiple(of: 2) == false }.map { String($0.element) }
    }
}
