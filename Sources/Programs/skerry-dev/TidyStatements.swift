/// The table of the normative statements of MQTT against the tests that carry their numbers.
///
/// A row ends with the tests that prove the statement, each as `` `file` name``, or with a dash and the reason why nothing has to be proved.
/// Every named test must be there and carry the number, and every number that a test carries must have a row that names a test.
enum TidyStatements {
    static let table = "Sources/Node/SkerryNode/Documentation.docc/Statements.md"
    /// How many statements the specifications number (Appendix B of each), so that a row cannot get lost.
    static let counts = ["MQTT-": 251, "MQTT311-": 141]

    struct Proof {
        var file: String
        var name: String
        var numbers: [String]
    }

    static func problems(_ tree: SourceTree) -> [String] {
        guard tree.exists(Self.table) else { return ["\(Self.table): is missing"] }
        let proofs = Self.proofs(tree)
        let carriers = Dictionary(grouping: proofs.flatMap { proof in proof.numbers.map { ($0, proof) } }, by: \.0)
        var (problems, rows, proved): ([String], Set<String>, Set<String>) = ([], [], [])
        for (index, line) in tree.lines(Self.table).enumerated() where line.hasPrefix("| [MQTT") {
            let place = "\(Self.table):\(index + 1)"
            let cells = line.split(separator: " | ").map { $0.trimmed("| ") }
            guard cells.count == 4, let number = Self.numbers(cells[0]).first else {
                problems.append("\(place): a row is | [number] | whom it binds | what it says | tests, or a dash and the reason |")
                continue
            }
            if !rows.insert(number).inserted { problems.append("\(place): [\(number)] is there twice") }
            if cells[3].hasPrefix("— ") { continue }
            proved.insert(number)
            for entry in cells[3].split(separator: "<br>") {
                let parts = entry.split(separator: "`", maxSplits: 2, omittingEmptySubsequences: false)
                let (file, name) = parts.count == 3 ? (String(parts[1]), parts[2].trimmed(" ")) : ("", "")
                let isThere = carriers[number]?.contains { $0.1.file == file && $0.1.name == name } ?? false
                if !isThere { problems.append("\(place): no test `\(file)` \(name) carries [\(number)]") }
            }
        }
        for (prefix, count) in Self.counts.sorted(by: { $0.key < $1.key }) {
            let found = rows.count { $0.hasPrefix(prefix) }
            if found != count { problems.append("\(Self.table): has \(found) statements \(prefix)…; the specification has \(count)") }
        }
        for (number, tests) in carriers.sorted(by: { $0.key < $1.key }) where !proved.contains(number) {
            let what = rows.contains(number) ? "its row names no test" : "the table has no such statement"
            problems.append("\(tests[0].1.file): \(tests[0].1.name): carries [\(number)], but \(what) (\(Self.table))")
        }
        return problems
    }

    /// `MQTT-1.5.4-1` of version 5, `MQTT311-1.5.3-1` of 3.1.1.
    static func numbers(_ text: some StringProtocol) -> [String] {
        String(text).matches(of: /MQTT(?:311)?-\d+\.\d+\.\d+-\d+/).map { String($0.output) }
    }

    // MARK: - Where numbers stand

    static func proofs(_ tree: SourceTree) -> [Proof] {
        var proofs: [Proof] = []
        for path in tree.files(in: "Tests", suffix: ".swift") { proofs += Self.swift(tree.text(path), file: Self.name(path)) }
        for path in tree.files(in: "Tests", suffix: ".py") { proofs += Self.python(tree.lines(path), file: Self.name(path)) }
        for path in tree.files(in: "Tests", suffix: ".txt") { proofs += Self.corpus(tree.lines(path), file: Self.name(path)) }
        return proofs
    }

    private static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

    /// The display name of an `@Test`.
    private static func swift(_ text: String, file: String) -> [Proof] {
        text.split(separator: "@Test(", omittingEmptySubsequences: false).dropFirst().compactMap { piece in
            let literal = piece.drop { $0 != "\"" }
            let quotes = literal.hasPrefix("\"\"\"") ? "\"\"\"" : "\""
            let inside = literal.dropFirst(quotes.count)
            guard let end = inside.firstRange(of: quotes)?.lowerBound else { return nil }
            let title = inside[..<end].split { $0 == " " || $0 == "\n" || $0 == "\\" }.joined(separator: " ")
            let numbers = Self.numbers(title)
            return numbers.isEmpty ? nil : Proof(file: file, name: Self.plain(title), numbers: numbers)
        }
    }

    /// Decorators and the docstring of a pytest function.
    private static func python(_ lines: [Substring], file: String) -> [Proof] {
        var (proofs, block): ([Proof], [Substring]) = ([], [])
        for (index, line) in lines.enumerated() {
            if line.hasPrefix("def test_") {
                let docstring = Self.docstring(lines[(index + 1)...])
                let numbers = (block + docstring).flatMap { Self.numbers($0) }
                let name = line.dropFirst(4).prefix { $0 != "(" }
                if !numbers.isEmpty { proofs.append(Proof(file: file, name: String(name), numbers: numbers)) }
                block = []
            } else if line.hasPrefix("@") || !block.isEmpty && !line.isEmpty {
                block.append(line)
            } else {
                block = []
            }
        }
        return proofs
    }

    private static func docstring(_ lines: ArraySlice<Substring>) -> [Substring] {
        guard let first = lines.first, first.hasPrefix("    \"\"\"") else { return [] }
        if first.dropFirst(7).contains("\"\"\"") { return [first] }
        return [first] + lines.dropFirst().prefix { !$0.contains("\"\"\"") }
    }

    /// `tags | reader | bytes | outcome | claim`
    private static func corpus(_ lines: [Substring], file: String) -> [Proof] {
        lines.compactMap { line in
            let fields = line.split(separator: "|")
            guard fields.count == 5, let tags = fields.first, let claim = fields.last else { return nil }
            let numbers = Self.numbers(tags)
            return numbers.isEmpty ? nil : Proof(file: file, name: claim.trimmed(" "), numbers: numbers)
        }
    }

    /// A display name without the numbers in it.
    private static func plain(_ title: String) -> String {
        title.replacing(/,? ?\[MQTT(?:311)?-\d+\.\d+\.\d+-\d+\]/, with: "").trimmed(" ")
    }
}

extension StringProtocol {
    fileprivate func trimmed(_ characters: String) -> String {
        var rest = self[...]
        while let first = rest.first, characters.contains(first) { rest = rest.dropFirst() }
        while let last = rest.last, characters.contains(last) { rest = rest.dropLast() }
        return String(rest)
    }
}
