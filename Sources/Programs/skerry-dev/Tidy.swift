import ArgumentParser

/// `skerry-dev tidy`: what this repository agreed on and no compiler checks. Prints what is wrong, one line each, and fails if anything is.
struct TidyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tidy",
        abstract: "Check layers, imports, dead files, dead links, the table of MQTT's statements and what the release links.",
        discussion: "Run at the root of the repository. Ends with 1 and a list when something is wrong.")

    @Option(help: "The root of the repository.")
    var root = "."

    @Option(help: "A release binary that must not contain Foundation or ICU.")
    var binary: String?

    @Flag(help: "Also check the format of every Swift file with swift-format.")
    var format = false

    func run() throws {
        let tree = SourceTree(root: self.root)
        guard tree.exists("Package.swift"), tree.exists("Sources") else {
            throw ValidationError("There is no Package.swift here; run it at the root of the repository, or give --root.")
        }
        var problems = Self.layers(tree) + Self.files(tree) + Self.links(tree) + Self.topLevel(tree) + TidyStatements.problems(tree)
        if let binary = self.binary { problems += Self.linkage(binary) }
        if self.format { problems += Self.format(tree) }
        for problem in problems { print(problem) }
        guard problems.isEmpty else {
            print("\(problems.count) things to tidy")
            throw ExitCode.failure
        }
        print("tidy")
    }

    // MARK: - Layers and imports

    /// Run while building and do not ship; a plugin gets its paths from Foundation.
    static let buildTools: Set = ["AssetsPlugin", "AssetsTool"]

    static func layers(_ tree: SourceTree) -> [String] {
        let targets = Layers.targets(tree)
        var problems: [String] = []
        for (target, uses) in Layers.manifest(tree.text("Package.swift")) {
            if targets[target] == nil { problems.append("Package.swift: \(target) has no folder in Sources") }
            for used in uses { if let problem = Layers.problem(target, uses: used, targets) { problems.append("Package.swift: \(problem)") } }
        }
        for path in tree.files(in: "Sources", suffix: ".swift") {
            let target = path.split(separator: "/").dropFirst(2).first.map(String.init) ?? ""
            for (index, line) in tree.lines(path).enumerated() {
                guard let module = Layers.imported(line) else { continue }
                if module == "Foundation" || module == "XCTest", !Self.buildTools.contains(target) {
                    problems.append("\(path):\(index + 1): imports \(module); FoundationEssentials is the most that ships")
                }
                if let problem = Layers.problem(target, uses: module, targets) { problems.append("\(path):\(index + 1): \(problem)") }
            }
        }
        return problems
    }

    // MARK: - Files

    /// Files without code, and shortcuts that the rules forbid.
    static func files(_ tree: SourceTree) -> [String] {
        var problems: [String] = []
        for path in tree.files(in: "Sources", suffix: ".swift") + tree.files(in: "Tests", suffix: ".swift") {
            let code = tree.lines(path).map { $0.drop { $0 == " " } }.filter { !$0.isEmpty && !$0.hasPrefix("//") }
            if code.allSatisfy({ Layers.imported($0) != nil }) { problems.append("\(path): holds no code; remove it") }
            guard path.hasPrefix("Sources/") else { continue }
            // Spelled in two parts, or this file would find itself.
            for line in code where line.contains("try" + "! ") { problems.append("\(path): \(line.prefix(60)): errors are handled or thrown") }
        }
        return problems
    }

    /// The root holds what a newcomer needs to see, and nothing else.
    static func topLevel(_ tree: SourceTree) -> [String] {
        let allowed: Set = ["Package.swift", "Package.resolved", "Sources", "Tests", "Firmware-Config", "Packaging", "README.md", "LICENSE"]
        return tree.entries(in: "").filter { !allowed.contains($0) }.map { "\($0): does not belong to the top level of the repository" }
    }

    // MARK: - Links

    /// Links between documents, and from documents to files, that lead nowhere.
    static func links(_ tree: SourceTree) -> [String] {
        var problems: [String] = []
        for path in tree.files(in: "", suffix: ".md") {
            let folder = path.split(separator: "/").dropLast().joined(separator: "/")
            var isCode = false
            for (index, line) in tree.lines(path).enumerated() {
                if line.hasPrefix("```") { isCode.toggle() }
                if isCode { continue }
                for piece in line.split(separator: "](", omittingEmptySubsequences: false).dropFirst() {
                    let target = piece.prefix { $0 != ")" && $0 != "#" && $0 != " " }
                    if target.isEmpty || target.contains(":") { continue }
                    let place = target.hasPrefix("/") ? String(target.dropFirst()) : folder.isEmpty ? String(target) : "\(folder)/\(target)"
                    if !tree.exists(place) { problems.append("\(path):\(index + 1): the link to \(target) leads nowhere") }
                }
            }
        }
        return problems
    }

    // MARK: - The release

    /// Foundation brings ICU's data, 30 MB that the box does not need: both leave these names in a binary.
    static let banned = ["icudt", "u_getDataDirectory", "libFoundation.so", "lib_FoundationICU", "libFoundationInternationalization"]

    static func linkage(_ path: String) -> [String] {
        guard let bytes = SourceTree.bytes(path) else { return ["\(path): cannot be read"] }
        return Self.banned.filter { Self.holds(bytes, Array($0.utf8)) }.map { "\(path): holds \($0): Foundation or ICU is linked" }
    }

    /// Jumps from one first letter to the next, which is fast enough for a whole binary.
    static func holds(_ bytes: [UInt8], _ name: [UInt8]) -> Bool {
        guard let first = name.first else { return true }
        return bytes.withUnsafeBytes { hay in
            guard let base = hay.baseAddress else { return false }
            var offset = 0
            while let found = memchr(base + offset, Int32(first), hay.count - offset) {
                offset = UnsafeRawPointer(found) - base
                if offset + name.count > hay.count { return false }
                if memcmp(base + offset, name, name.count) == 0 { return true }
                offset += 1
            }
            return false
        }
    }

    // MARK: - Format

    static func format(_ tree: SourceTree) -> [String] {
        let command = "cd '\(tree.root)' && swift format lint --strict --parallel --recursive Sources Tests Package.swift >&2"
        return system(command) == 0 ? [] : ["swift format finds the lines above; `swift format --in-place --recursive Sources Tests` mends most"]
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif
